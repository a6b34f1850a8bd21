"""The benchmark of the paper's tables: its workload, its simulator by hand, its results file."""

import json
from pathlib import Path

import numpy as np
import paper_tables as paper
import pytest

ROOT = Path(__file__).parents[3]
RESULT = ROOT / "benchmarks/results/paper_tables.json"


def requests(keys, costs, *, means=None, coins=0.0, logged=0):
    """One seed of requests worked by hand; costs by model."""
    n = len(keys)
    return paper.Draws(
        np.ones((1, 2, paper.QUERIES)) if means is None else np.array([means]),
        np.array([keys]),
        np.array([costs], dtype=float),
        np.full((1, n), coins),
        np.full((1, n), logged),
    )


@pytest.fixture
def one_place(monkeypatch):
    monkeypatch.setattr(paper, "CAPACITY", 1)


def test_the_workload_is_the_paper_s():
    draws = paper.draw(range(40), 0.5, 100.0, 2000)
    assert draws.keys.shape == (40, 2000)
    assert draws.costs.shape == (40, 2, 2000)
    assert set(np.unique(draws.means)) == {1.0, 101.0}
    assert abs((draws.means == 101).mean() - 0.5) < 0.05
    assert draws.costs.min() == paper.LEAST
    shares = np.bincount(draws.keys.ravel(), minlength=paper.QUERIES) / draws.keys.size
    assert shares == pytest.approx(paper.popularity(0.5), abs=0.01)
    assert paper.popularity(0.5)[0] == pytest.approx(0.2236, abs=1e-4)  # sqrt(1/20)
    at = np.take_along_axis(draws.means, np.stack([draws.keys] * 2, axis=1), 2)
    assert (draws.costs - at)[at > 2].std() == pytest.approx(1.0, abs=0.02)


def test_a_longer_run_begins_with_the_shorter_and_each_seed_is_its_own():
    short, long = paper.draw([3, 4], 0.8, 1.5, 50), paper.draw([4], 0.8, 1.5, 90)
    assert (short.keys[1] == long.keys[0, :50]).all()
    assert (short.costs[1] == long.costs[0, :, :50]).all()
    assert (short.keys[0] != short.keys[1]).any()


def test_offline_serves_from_a_cache_filled_with_the_log(one_place):
    # 0 is asked three times, 1 twice. LFU holds 0: misses of 1 cost 5 + 7 by m1, 2 + 9 by m2, and a
    # right selector pays 2 + 7, a wrong one 5 + 9. LEC by m1: 3·1 < 2·6, holds 1 and pays 3 for 0.
    # By the lesser cost of each request 0 is worth 3·1, 1 is worth 2 + 7: LEC+sel holds 1 too.
    log = requests([0, 0, 1, 0, 1], [[1, 1, 5, 1, 7], [1, 1, 2, 1, 9]])
    wrong = requests([0, 0, 1, 0, 1], [[1, 1, 5, 1, 7], [1, 1, 2, 1, 9]], coins=0.9)
    assert paper.offline(log, "LFU", 0, 1.0) == 12
    assert paper.offline(log, "LFU", 1, 1.0) == 11
    assert paper.offline(log, "LFU", None, 1.0) == 9
    assert paper.offline(wrong, "LFU", None, 0.8) == 14
    assert paper.offline(log, "LEC", 0, 1.0) == 3
    assert paper.offline(log, "LEC", None, 1.0) == 3


def test_offline_under_bandit_feedback_the_log_shows_one_model_s_cost(one_place):
    # The log shows m1's costs only: m2 was never seen, is taken for free, and is asked.
    log = requests([0, 0, 1, 0, 1], [[1, 1, 5, 1, 7], [1, 1, 2, 1, 9]])
    assert paper.offline(log, "LFU", None, 1.0, paper.plain) == 2 + 9


def test_online_the_simulator_learns_the_second_model_for_free_and_a_bandit_pays(one_place):
    # 0 costs 5 and fills the cache; 1 is then asked three times, m1 costs 2, m2 costs 9. Shown both,
    # m1 is asked each time and 1 is held at the third, 3·2 > 1·5. The bandit tries m2 at
    # the second; 0, on which m2 was never tried, is worth nothing to it, and 1 is held from then on.
    run = requests([0, 1, 1, 1], [[5, 2, 2, 2], [5, 9, 9, 9]])
    assert paper.online(run, "LEC", None) == 5 + 2 + 2 + 2
    assert paper.online(run, "LEC", None, paper.plain) == 5 + 2 + 9
    assert paper.online(run, "LEC", 0) == 5 + 2 + 2 + 2
    assert paper.online(run, "LFU", 0) == 5 + 2 + 2  # held at the second, 2 > 1


def test_online_the_second_model_s_cost_counts_twice_after_its_own_answer(one_place):
    # Query 1 against 0, worth 100 a request: never held. m2 costs 1, then 4, 4; m1 3. Means of m2:
    # 1; (1 + 2·4)/3 = 3 is not less than 3; so m1. Counted once, 2.5 < 3 and m2 were asked again.
    run = requests([0, 1, 1, 1], [[100, 3, 3, 3], [100, 1, 4, 4]])
    assert paper.online(run, "LEC", None) == 100 + 3 + 4 + 3


def one_at_a_time(draws, seed, cache, model):
    """The released simulator's rules for one seed, from the whole history at every step."""
    asked, shown, held, paid = [], ([], []), [], 0.0
    for key, cost in zip(draws.keys[seed].tolist(), draws.costs[seed].T.tolist(), strict=True):
        asked.append(key)
        if key in held:
            continue

        def mean(k, query):
            costs = [c for q, c in shown[k] if q == query]
            return sum(costs) / len(costs) if costs else 0.0

        def worth(query):
            believed = [mean(k, query) for k in (0, 1)]
            each = min(believed) if model is None else believed[model]
            return asked.count(query) * (each if cache == "LEC" else 1)

        chosen = int(mean(1, key) < mean(0, key)) if model is None else model
        paid += cost[chosen]
        shown[chosen].append((key, cost[chosen]))
        if model is None:
            shown[1].append((key, cost[1]))
        if len(held) < paper.CAPACITY:
            held.append(key)
        else:
            least = min(held, key=worth)
            if worth(key) > worth(least):
                held[held.index(least)] = key
    return paid


@pytest.mark.parametrize("strategy", list(paper.STRATEGIES))
@pytest.mark.parametrize("ratio", [1.5, 100.0])
def test_online_all_seeds_in_step_are_each_seed_alone(strategy, ratio):
    cache, model = paper.STRATEGIES[strategy]
    draws = paper.draw(range(3), 0.8, ratio, 300)
    alone = [one_at_a_time(draws, seed, cache, model) for seed in range(3)]
    assert paper.online(draws, cache, model) == pytest.approx(alone)


def test_the_paper_s_bound_is_b1_until_the_width_is_less_than_the_mean():
    # log(6·10⁴·20/0.05) = 16.99; at ratio 100 the span is 103.9 and the width at n = 50 is 42.8.
    bound = paper.paper_bound(100.0, 10_000)
    found = bound(np.array([101.0, 101.0, 5.0]), np.array([50.0, 0.0, 5.0]))
    assert found == pytest.approx([101 - 42.83, 0.1, 0.1], abs=0.01)


def test_the_oracle_holds_what_is_worth_most_and_cold_pays_its_first_miss(one_place):
    # At α 0.5 P is largest for 0 (0.22), 0.025 for 19; by cost 19 is worth more: 0.025·50 > 0.22·1.
    means = np.ones((2, paper.QUERIES))
    means[:, 19] = 50, 60
    run = requests([19, 0, 19, 19], [[50, 1, 51, 52], [0, 9, 0, 0]], means=means)
    assert paper.oracle(run, 0.5, cold=False) == 1
    assert paper.oracle(run, 0.5, cold=True) == 51


def test_ours_tries_both_models_and_costs_little_more_than_the_oracle():
    draws = paper.draw(range(4), 0.8, 100.0, 3000)
    each = zip(draws.keys, draws.costs, strict=True)
    ours = sum(paper.ours(keys, costs) for keys, costs in each)
    assert paper.oracle(draws, 0.8, cold=False).sum() < ours
    assert ours < 0.2 * paper.online(draws, "LFU", 0).sum()


def test_few_seeds_make_whole_tables_in_the_order_of_the_paper():
    found = paper.tables(range(2), 300)
    assert [len(found["offline"]), len(found["online"])] == [48, 24]
    rows = [(c["alpha"], c["ratio"], c["accuracy"]) for c in found["offline"][::6]]
    assert rows == list(paper.OFFLINE)
    for cell in found["offline"] + found["online"]:
        assert ("bandit" in cell) == cell["strategy"].endswith("sel")


def test_a_ratio_of_means_has_the_error_of_paired_runs():
    below = np.array([1.0, 2.0, 3.0, 2.0])
    assert paper.ratio_of_means(3 * below, below)["ratio"] == 3
    assert paper.ratio_of_means(3 * below, below)["se"] == pytest.approx(0, abs=1e-12)


@pytest.fixture(scope="module")
def result():
    return json.loads(RESULT.read_text(encoding="utf-8"))


def test_the_committed_markdown_is_the_committed_result(result):
    assert RESULT.with_suffix(".md").read_text(encoding="utf-8") == paper.rendered(result)


def test_every_published_cell_is_within_one_single_run_standard_deviation(result):
    published = {
        (*where, name): value
        for table in (paper.OFFLINE, paper.ONLINE)
        for where, row in table.items()
        for name, value in zip(paper.STRATEGIES, row, strict=True)
    }
    cells = result["offline"] + result["online"]
    assert len(cells) == len(published) == 72
    for cell in cells:
        where = [cell[name] for name in ("alpha", "ratio", "accuracy", "strategy") if name in cell]
        full = cell["full"]
        assert full["published"] == published[tuple(where)]
        assert abs(full["published"] - full["mean"]) <= full["sd"]

"""The benchmark on MMLU-Pro's outcomes: its arithmetic on eight questions, and once for real."""

import csv
import gzip
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import mmlu_pro as mmlu
import numpy as np
import pytest
import results

from langchain_cachemux.keep.policies import LEC, LFU
from langchain_cachemux.types import Query

SMALL, LARGE = "Llama-2-7b-hf", "Llama-2-70b-hf"
NAMES = "rice wheat barley oats rye millet maize spelt".split()


def write(path, rows):
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def folder(tmp_path):
    """Eight questions of 40 characters with their options, answered in 40; the small model has half."""
    place = tmp_path / "routing/mmlu_pro"
    place.mkdir(parents=True)
    ids = [str(number) for number in range(8)]
    items = [
        {"question_id": i, "question": f"What is {name}?".ljust(29), "options": '["a", "b"]'}
        for i, name in zip(ids, NAMES, strict=True)
    ]
    write(place / "items.csv.gz", items)
    outcomes = [
        {"question_id": i, SMALL: int(i) % 2, LARGE: 1, "gemini-1.5-pro-002": 1} for i in ids
    ]
    write(place / "correct_matrix.csv.gz", outcomes)
    write(place / "out_chars_matrix.csv.gz", [{**row, SMALL: 40, LARGE: 40} for row in outcomes])
    return tmp_path


@pytest.fixture
def table(folder):
    return mmlu.read(folder)


@pytest.fixture
def work(table):
    return mmlu.draw(table, SMALL, LARGE, n=8, alpha=0.5, seed=1, half=False)


def by_hand(work, policy, ask, *, capacity):
    """A scan for the least (worth, last): counts of everything, a newcomer kept unless it is least."""
    counts, costs, last, held, total = {}, {}, {}, set(), 0.0
    for now, question in enumerate(work.stream.tolist()):
        counts[question] = counts.get(question, 0) + 1
        last[question] = now
        if question in held:
            continue
        paid, costs[question] = ask(question)
        total += paid
        held.add(question)
        if len(held) > capacity:
            held.remove(
                min(held, key=lambda q: (counts[q] * (costs[q] if policy is LEC else 1), last[q]))
            )
    return total


def test_flops_are_two_for_each_parameter_and_token(table):
    # (40 + 40 characters) / 4 = 20 tokens, x 2 x 7 billion = 0.28 TFLOP
    assert table.flops[SMALL] == pytest.approx([0.28] * 8)
    assert table.flops[LARGE] == pytest.approx([2.8] * 8)
    assert mmlu.pairs(table) == [(SMALL, LARGE, pytest.approx(10))]


def test_a_model_of_unknown_size_is_left_out(table):
    assert set(table.flops) == {SMALL, LARGE}
    assert not set(mmlu.BILLIONS) & set(mmlu.LEFT_OUT)


def test_a_question_that_is_there_twice_counts_once(folder):
    path = folder / "routing/mmlu_pro/items.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows[5] = {**rows[2], "question_id": "5"}
    write(path, rows)

    assert len(mmlu.read(folder).texts) == 7


def test_tables_of_different_questions_are_refused(folder):
    path = folder / "routing/mmlu_pro/correct_matrix.csv.gz"
    write(path, [{"question_id": 1, SMALL: 1, LARGE: 1}])

    with pytest.raises(ValueError, match="different questions"):
        mmlu.read(folder)


def test_failure_costs_two_large_calls_on_top(work):
    assert work.small[work.right] == pytest.approx([0.28] * 4)
    assert work.small[~work.right] == pytest.approx([0.28 + 2 * 2.8] * 4)
    assert work.large == pytest.approx([2.8] * 8)


def test_the_power_distribution_asks_low_numbers_most(table):
    alike = mmlu.draw(table, SMALL, LARGE, n=8, alpha=0.2, seed=1, half=False)

    assert alike.counts[0] / len(alike.stream) == pytest.approx((1 / 8) ** 0.2, abs=0.05)
    assert len(alike.stream) == 800


def test_half_of_the_questions_suit_the_small_model_when_asked(table):
    work = mmlu.draw(table, SMALL, LARGE, n=4, alpha=0.5, seed=0, half=True)

    assert work.right.sum() == 2
    with pytest.raises(ValueError, match="n must be at most the 8"):
        mmlu.draw(table, SMALL, LARGE, n=10, alpha=0.5, seed=0, half=True)


def test_runs_are_paired(table):
    first, again = (
        mmlu.draw(table, SMALL, LARGE, n=8, alpha=0.5, seed=3, half=False) for _ in range(2)
    )

    assert (first.stream == again.stream).all()
    assert (first.rows == again.rows).all()


def test_offline_costs_are_what_the_best_set_leaves(work):
    costs = mmlu.offline(work)

    # 3 of 8 are held; nothing is cheaper than the 3 greatest by count x cost
    least = np.sort(work.counts * np.minimum(work.small, work.large))
    assert costs["LEC+selector"] == pytest.approx(least[:5].sum())
    assert costs["LFU+large"] == pytest.approx(np.sort(work.counts)[:5].sum() * 2.8)
    assert costs["large only"] == pytest.approx(800 * 2.8)
    assert costs["LFU+selector"] <= costs["LFU+selector .8"] <= costs["large only"]


@pytest.mark.parametrize("policy", [LFU, LEC])
@pytest.mark.parametrize("name", ["large", "cascade", *mmlu.FEEDBACK])
def test_online_costs_are_those_of_a_scan_for_the_least(work, policy, name):
    costs, seen = {"large": work.large, "cascade": work.small}.get(name), {}

    def ask(question):
        """What a miss costs, and the least of what was seen of this question by then."""
        if costs is not None:
            return costs[question], costs[question]
        both, known = (work.small[question], work.large[question]), seen.setdefault(question, set())
        choice = min((0, 1), key=lambda model: both[model] if model in known else 0.0)
        shown = name == "full" or (name == "judged" and not choice and not work.right[question])
        known |= {0, 1} if shown else {choice}
        return both[choice], min(both[model] for model in known)

    label = f"{policy.__name__}+{name if costs is not None else f'selector, {name}'}"
    assert mmlu.online(work)[label] == pytest.approx(by_hand(work, policy, ask, capacity=3))


def test_a_bandit_pays_for_the_large_model_too(work):
    work = replace(work, right=np.ones(8, dtype=bool), small=np.full(8, 0.28))

    def routes(shown):
        """Who is asked, three times in a row."""
        router, x, asked = mmlu.Feedback(mmlu.Selector(), work, shown), Query("0"), []
        for _ in range(3):
            asked.append(router.choose(x).model)
            router.learn(x, float(work.costs[asked[-1]][0]), asked[-1])
        assert router.predict(x).lower == 0.28
        return asked

    assert routes("bandit") == ["small", "large", "small"]
    assert routes("full") == ["small"] * 3


@pytest.mark.parametrize(
    ("shown", "route", "right", "seen"),
    [
        ("bandit", "small", False, {"small"}),
        ("judged", "small", False, {"small", "large"}),
        ("judged", "small", True, {"small"}),
        ("judged", "large", False, {"large"}),
        ("full", "large", True, {"small", "large"}),
    ],
)
def test_what_is_seen_of_a_miss_is_what_its_feedback_shows(work, shown, route, right, seen):
    work, selector = replace(work, right=np.full(8, right)), mmlu.Selector()
    mmlu.Feedback(selector, work, shown).learn(Query("3"), float(work.costs[route][3]), route)
    assert selector.seen["3"] == {model: work.costs[model][3] for model in seen}


def test_what_all_learn_lies_between_floor_and_ceiling(work, table):
    vectors = mmlu.vectors_of(table.texts)
    costs = mmlu.online(work)

    for feedback in mmlu.FEEDBACK:
        for given in (None, vectors):
            cost = mmlu.ours(work, feedback, vectors=given)
            assert costs["ceiling"] * 0.9 < cost < costs["small only"]


def test_ours_with_everything_known_is_near_the_best_set(work):
    known = mmlu.ours(work, "full", vectors=None, warm=True)

    assert known == pytest.approx(mmlu.offline(work)["ceiling"], rel=0.35)


def test_results_and_chart_are_written(folder, tmp_path, monkeypatch):
    class Pool:
        """Runs here, where the smaller numbers below are known."""

        def __init__(self, _processes, prepare, arguments):
            prepare(*arguments)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        imap = staticmethod(map)

    class Context:
        """Stands for multiprocessing's."""

    Context.Pool = Pool
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(mmlu, "REQUESTS", {4: 100, 8: 100})
    monkeypatch.setattr(mmlu, "SEEDS", range(2))
    monkeypatch.setattr(mmlu, "SETS", [(4, True), (8, False)])
    monkeypatch.setattr(mmlu, "get_context", lambda _: Context)
    monkeypatch.setattr(sys, "argv", ["mmlu_pro.py", "--data", str(folder)])

    mmlu.main()

    result = json.loads((tmp_path / "results/mmlu_pro.json").read_text(encoding="utf-8"))
    assert len(result["rows"]) == 2 * 2 * 3
    assert result["rows"][0]["costs"]["LFU+large"]["times less"] == 1
    assert (tmp_path / "results/mmlu_pro.png").stat().st_size > 0


def test_without_data_it_says_where_to_get_it(monkeypatch):
    monkeypatch.delenv("CACHEMUX_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["mmlu_pro.py"])

    with pytest.raises(SystemExit, match="TIGER-AI-Lab/MMLU-Pro"):
        mmlu.main()


@pytest.mark.skipif("CACHEMUX_DATA" not in os.environ, reason="CACHEMUX_DATA names no data folder")
def test_a_real_pair_saves_offline_what_the_paper_claims():
    table = mmlu.read(Path(os.environ["CACHEMUX_DATA"]))
    family = ("Meta-Llama-3_1-8B-Instruct", "Meta-Llama-3_1-70B-Instruct")
    costs = mmlu.offline(mmlu.draw(table, *family, n=100, alpha=0.8, seed=0, half=True))

    assert costs["LFU+large"] / costs["LEC+selector"] >= mmlu.GOAL

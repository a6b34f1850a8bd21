"""The comparison: its own two estimators, each policy within the bounds, and the committed results."""

import json
import statistics
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import results
import robustness
import workloads

POLICIES = ["default", *robustness.RIVALS, *(f"alone: {name}" for name in robustness.FIXED)]
OURS = [name for name in POLICIES if name not in robustness.SIMULATED]
FILE = results.FOLDER / "robustness.json"


def stream(*, requests=2_000, keys=200, seeds=2, name="zipf 0.9, cost noise 0.8"):
    """The same requests, priced anew by each seed."""
    asked = workloads._dense(workloads.zipf(np.random.default_rng(0), 0.9, requests, keys))
    draws = [
        workloads._priced(name, asked, np.random.default_rng(seed)) for seed in range(1, seeds + 1)
    ]
    return robustness.Stream(name, "synthetic", tuple(draws))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_costs_no_less_than_the_optimum_and_no_more_than_all(policy):
    one = stream()
    if policy in robustness.SIMULATED:
        pytest.importorskip("libcachesim", reason="the peer is not installed")
    floor = robustness.measure(one.draws, 20, "bracket")["optimum, at least"]
    for share, least in zip(robustness.measure(one.draws, 20, policy)[policy], floor, strict=True):
        assert least <= share <= 1


@pytest.mark.parametrize("policy", sorted(robustness.BLIND))
def test_blind_policies_miss_the_same_at_any_price(policy):
    first, second = stream().draws
    assert not np.array_equal(first.costs, second.costs)
    one, two = (robustness.misses(draw, 20, policy) for draw in (first, second))
    assert np.array_equal(one, two)


def test_lec_by_mean_is_the_papers_rule_read_off_a_table():
    [draw] = stream(requests=500, keys=30, seeds=1).draws
    counts, held, missed = Counter(), set(), []
    last = {}
    costs = dict(zip(draw.keys.tolist(), draw.costs.tolist(), strict=True))
    for now, key in enumerate(draw.keys.tolist()):
        counts[key] += 1
        last[key] = now
        missed.append(key not in held)
        held.add(key)
        if len(held) > 5:
            held.remove(min(held, key=lambda k: (counts[k] * costs[k], last[k])))
    assert robustness.misses(draw, 5, "LEC by mean").tolist() == missed


def test_runs_that_are_done_are_not_done_again(tmp_path, monkeypatch):
    monkeypatch.setattr(robustness, "ProcessPoolExecutor", ThreadPoolExecutor)
    monkeypatch.setattr(robustness, "find_spec", lambda _: None)
    cells, streams = tmp_path / "cells", [stream(requests=300, keys=50, seeds=1)]
    first = robustness.run(streams, cells, 1)
    todo, skipped = robustness.jobs(streams)
    assert set(first) == {job.name for job in todo}
    assert set(skipped.values()) == {"libcachesim is not installed"}
    assert len(skipped) == len(robustness.SIMULATED) * len(robustness.CAPACITIES)

    lines = cells.read_text().splitlines(keepends=True)
    cells.write_text("".join(lines[:-2]))  # as if it was interrupted two runs before the end
    started = []
    run = robustness.Job.run
    monkeypatch.setattr(
        robustness.Job, "run", lambda job, folder: started.append(job.name) or run(job, folder)
    )
    assert robustness.run(streams, cells, 1) == first
    assert set(started) == {json.loads(line)[0] for line in lines[-2:]}
    assert sorted(cells.read_text().splitlines(keepends=True)) == sorted(lines)

    [one, *_] = rows = robustness.table(streams, first)
    best = min(one["cost"][name][0] for name in robustness.RIVALS if name in one["cost"])
    assert one["ratio"] == one["cost"]["default"][0] / best
    assert [row["entries"] for row in rows] == [1, 2, 10]
    robustness.draw_chart(rows, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_five_seeds_for_short_streams_one_for_long():
    assert {s.name: len(s.draws) for s in robustness.streams(None)} == {
        w.name: 5 if "paper" in w.name else 1 for w in workloads.synthetic()
    }


@pytest.fixture(scope="module")
def committed():
    return json.loads(FILE.read_text(encoding="utf-8"))


def test_the_results_hold_every_cell_and_say_what_was_not_run(committed):
    rows = committed["cells"]
    assert Counter(row["kind"] for row in rows) == {"real": 7 * 3, "synthetic": 10 * 3 + 4}
    for row in rows:
        for policy in POLICIES:
            place = f"{row['workload']} | {row['capacity']} | {policy}"
            assert (policy in row["cost"]) != (place in committed["skipped"])
        assert {len(costs) for costs in row["cost"].values()} == {row["seeds"]}


def test_the_committed_summary_follows_from_the_committed_cells(committed):
    assert json.loads(json.dumps(robustness.summarise(committed["cells"]))) == committed["summary"]
    for row in committed["cells"]:
        peers = [row["cost"][name] for name in robustness.RIVALS if name in row["cost"]]
        ratios = robustness.over(row["cost"]["default"], peers)
        assert row["ratio"] == pytest.approx(statistics.mean(ratios))
        for name in set(OURS) & set(row["cost"]):
            pairs = zip(row["cost"][name], row["cost"]["optimum, at least"], strict=True)
            assert all(share >= least for share, least in pairs)

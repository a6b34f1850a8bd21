"""The benchmark of a decision's time: its medians by hand, and what is kept is as fast as promised."""

import latency
import pytest
import results


def test_a_row_is_the_median_of_the_rounds_with_the_least_and_the_most():
    row = latency.row("default", [(3.0, 0.3), (1.0, 0.2), (8.0, 0.1)])
    assert row == {
        "router": "default",
        "goal": 0.3,
        "wall": {"median": 3.0, "least": 1.0, "most": 8.0},
        "cpu": {"median": 0.2, "least": 0.1, "most": 0.3},
    }


def test_a_decision_is_timed_by_the_clock_and_waiting_takes_no_cpu(monkeypatch):
    now = {"perf_counter": 0.0, "thread_time": 0.0}

    def wait(seconds):
        now["perf_counter"] += seconds
        now["thread_time"] += seconds / 10

    monkeypatch.setattr(latency.time, "perf_counter", lambda: now["perf_counter"])
    monkeypatch.setattr(latency.time, "thread_time", lambda: now["thread_time"])
    assert latency.timed(wait, [0.001, 0.5, 0.002]) == pytest.approx((2.0, 0.2))


def test_no_question_is_asked_twice_and_what_is_learned_depends_on_it():
    stream = latency.questions()
    asked = [next(stream) for _ in range(300)]
    assert len({query.text for query in asked}) == len({query.key for query in asked}) == 300
    assert {len(query.vector) for query in asked} == {latency.DIMENSIONS}
    router = latency.learned(latency.ROUTERS["default"], asked)
    short, *_, long = sorted(asked, key=lambda query: len(query.text))
    chances = [router.choose(query, judged=True).chances["small"].mean for query in (short, long)]
    assert chances[0] < chances[1]


def test_what_is_kept_was_measured_of_every_router_and_a_decision_is_little_beside_an_embedding():
    kept = results.read(results.FOLDER / "latency.json")
    cpu = {row["router"]: row["cpu"]["median"] for row in kept["milliseconds"]}
    assert cpu.keys() == {*latency.ROUTERS, "the embedding"}
    for router in ("default", "TorchClassifier"):
        assert cpu[router] <= latency.GOALS[router]
    assert cpu["keys alone"] < cpu["Ridge"] < cpu["default"] < cpu["the embedding"] / 20
    assert cpu["TorchClassifier"] < cpu["the embedding"] / 15

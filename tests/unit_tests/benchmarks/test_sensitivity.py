"""The sensitivity benchmark: its loop and bounds on worked examples, its claims in its results."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import sensitivity

from langchain_cachemux.keep.policies import LEC, LFU, LRU
from langchain_cachemux.types import Query

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"

RESULT = json.loads((BENCHMARKS / "results/sensitivity.json").read_text(encoding="utf-8"))
STUDIES = RESULT["studies"]


def stream(keys, means):
    keys, means = np.array(keys), np.array(means, float)
    odds = np.bincount(keys, minlength=means.size) / keys.size
    return sensitivity.Stream(keys, means, means[keys], odds)


def line(study, name, *, panel=0):
    return np.array(list(STUDIES[study]["panels"].values())[panel][name]["mean"])


def test_a_stream_is_served_as_the_cache_serves_it():
    # A B A B at size 1, A costs 4 and B 1. LRU: A in; A out for B; B out for A; A out for B.
    asked = stream([0, 1, 0, 1], [4, 1])
    served = sensitivity.serve(asked, LRU(), capacity=1)
    assert (served.cost, served.turnover) == (1.0, 750.0)
    # P(q)c(q) is 2 and 0.5, of 2.5. Before each request it holds nothing, A, B, A: short of A's 2
    # by 2, 0, 1.5, 0.
    assert served.regret == pytest.approx(np.array([2, 2, 3.5, 3.5]) / 2.5)
    # LEC keeps A: B, worth 1 and then 2, never exceeds its 4. Paid: 4 + 1 + 0 + 1 of 10.
    assert sensitivity.serve(asked, LEC(), capacity=1).cost == 0.6


def test_the_theorems_bound_is_its_formula():
    # T = 4, N = 2, B1 = 1, B2 = 4; A was seen twice: 4 - 3 sqrt(log(48/0.5)/4) = 0.795, so B1.
    bound = sensitivity.theorem(stream([0, 1, 0, 1], [4, 1]), delta=0.5)
    for _ in range(2):
        bound.learn(Query("0"), 4.0)
    estimate = bound.predict(Query("0"))
    assert estimate.width == pytest.approx(3 * math.sqrt(math.log(96) / 4))
    assert (estimate.mean, estimate.lower) == (4.0, 1.0)


def test_without_a_spread_of_costs_the_bound_is_lfu():
    asked = sensitivity.zipf(0, noise=0.0, spread=0.0)
    short = sensitivity.Stream(asked.keys[:3000], asked.means, asked.paid[:3000], asked.odds)
    bound = sensitivity.theorem(short, delta=0.05)
    costs = [
        sensitivity.serve(short, LEC(), estimator=bound).cost,
        sensitivity.serve(short, LFU()).cost,
    ]
    assert costs[0] == costs[1]


def test_an_average_comes_with_its_standard_error():
    # 1 and 3: squares (3 - 1)²·1/2 = 2 from one repeat; the error of two is sqrt(2)/sqrt(2) = 1.
    average = sensitivity.Average()
    average.learn(Query("A"), 1.0)
    assert average.predict(Query("A")).width == 1.0
    average.learn(Query("A"), 3.0)
    estimate = average.predict(Query("A"))
    assert (estimate.mean, estimate.width) == (2.0, pytest.approx(1.0))
    leaning = sensitivity.Leaning(average, 2.0)
    assert leaning.predict(Query("A")).lower == pytest.approx(4.0)


def test_expected_costs_are_those_drawn_in_the_mean():
    asked = sensitivity.paper(0, queries=20, ratio=1.5)
    assert asked.odds.sum() == pytest.approx(1)
    assert asked.paid.mean() == pytest.approx(asked.expected.mean(), rel=0.02)
    noisy = sensitivity.zipf(0)
    assert noisy.paid.mean() == pytest.approx(noisy.expected.mean(), rel=0.05)
    assert np.bincount(sensitivity.long_tail(0).keys).max() > 400


def test_every_study_is_there_with_its_figure():
    for study in sensitivity.STUDIES:
        told = STUDIES[study.name]
        assert told["seen"] == study.title
        assert told["numbers"] == study.numbers(told["panels"])
        assert told["seeds"] >= 5
        for lines in told["panels"].values():
            assert {len(values["mean"]) for values in lines.values()} == {len(study.settings)}
        figure = BENCHMARKS / f"results/sensitivity_{study.name}.png"
        assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_figure_is_drawn(tmp_path):
    sensitivity.draw_chart(STUDIES["delta"], tmp_path / "delta.png")
    assert (tmp_path / "delta.png").stat().st_size > 10_000


def test_the_bound_is_lfu_at_every_delta():
    some = slice(0, sensitivity.DELTAS.index(1.0) + 1)
    bound, lfu = line("delta", sensitivity.BOUND)[some], line("delta", "LFU")[some]
    assert bound == pytest.approx(lfu, rel=0.001)
    assert line("delta", "LEC")[0] < 0.9 * lfu[0]
    kindest, lfu = (line("delta", n, panel=1)[some] for n in (sensitivity.BOUND, "LFU"))
    assert kindest == pytest.approx(lfu, rel=0.04)


def test_wider_bounds_cost_and_none_makes_lec_blind_to_cost():
    lec, lfu = line("width", "LEC"), line("width", "LFU")
    assert all(np.diff(lec) > 0)
    assert lec[sensitivity.WIDTHS.index(10.0)] < 1.02 * lec[0]
    for name in ("LEC", sensitivity.KNOWING, sensitivity.DEFAULT):
        assert all(line("width", name) < 0.95 * lfu)


def test_a_short_half_life_breaks_lec_and_the_default_is_near_the_best():
    for panel in (0, 1):
        lec, default = (line("half_life", n, panel=panel) for n in ("LEC", sensitivity.DEFAULT))
        assert lec[0] > 1.25 * lec.min()
        assert default[0] < 1.02 * lec.min()


def test_ghosts_are_worth_a_few_percent():
    lec = line("ghosts", "LEC")
    assert lec[0] > 1.03 * lec[-1]
    assert lec[3] < 1.01 * lec[-1]


def test_noise_eats_the_gain():
    gain = 1 - line("noise", "LEC") / line("noise", "LFU")
    assert all(np.diff(gain) < 0)
    assert gain[0] > 0.15
    assert gain[-1] < 0.05


def test_lec_gains_at_every_skew():
    assert all(line("skew", "LEC") < line("skew", "LFU"))
    assert all(line("skew", "LEC") >= line("skew", sensitivity.STATIC))


def test_regret_of_lfu_is_linear_and_that_of_lec_is_not():
    half = sensitivity.TIMES.index(sensitivity.TIMES[-1] // 2)
    for panel in (0, 1):
        lfu, lec = (line("basic", name, panel=panel) for name in ("LFU", "LEC"))
        assert math.log2(lfu[-1] / lfu[half]) > 0.9
        assert math.log2(lec[-1] / lec[half]) < 0.8
        assert lec[-1] < lfu[-1] / 4


def test_pessimism_of_standard_errors_does_not_pay_on_a_noisy_tail():
    for name in (sensitivity.PLAIN, sensitivity.SHRUNK):
        lean = dict(zip(sensitivity.LEANS, line("pessimism", name, panel=1), strict=True))
        assert lean[-1] > lean[0] > lean[1]
        turnover = dict(zip(sensitivity.LEANS, line("pessimism", name), strict=True))
        assert turnover[-1] < turnover[1]
    bound, lfu = (line("pessimism", n, panel=1) for n in (sensitivity.BOUND, "LFU"))
    assert bound == pytest.approx(lfu, rel=0.01)
    assert bound[0] < min(line("pessimism", sensitivity.PLAIN, panel=1))

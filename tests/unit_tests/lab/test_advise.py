"""Advice against a replay at every capacity, and how far it may be trusted."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_traces import NO_BOUNDS, each_choice, popular, spelled, traces

from langchain_cachemux.keep.policies import LEC, LRU
from langchain_cachemux.lab.advise import advise
from langchain_cachemux.lab.replay import replay
from langchain_cachemux.types import Request


def looped(hot=5, rounds=40, cold=100):
    """A loop that LRU serves in full or not at all, and then what is asked once only."""
    return spelled(" ".join([*map(str, range(hot))] * rounds + [f"x{i}" for i in range(cold)]))


def brute(trace, price, policy):
    """The total at every capacity there is, 0 first."""
    totals = [sum(r.cost for r in trace)]
    for capacity in range(1, len({r.key for r in trace}) + 1):
        report = replay(trace, capacity=capacity, policy=policy(), bounds=NO_BOUNDS)
        totals.append(report.cost + price * capacity)
    return totals


@pytest.mark.parametrize(
    ("price", "best"),
    [
        # 300 requests; at 5 entries 195 of them hit, at 4 none does.
        (0.0, 5),  # of all that miss the least the smallest, though more costs nothing
        (1.0, 5),
        (38.0, 5),
        (40.0, 0),  # 5 · 40 = 200 > 195
        (1e9, 0),
    ],
)
def test_the_advice_is_where_cost_and_storage_are_least_of_all_capacities(price, best):
    trace = looped()
    advice = advise(trace, storage_price=price, policy=LRU())
    totals = brute(trace, price, LRU)
    assert advice.best.capacity == best == totals.index(min(totals))
    assert advice.best.total == totals[best]
    assert advice.low <= best <= advice.high


@each_choice
def test_every_point_of_the_curve_is_a_replay_of_its_own(choice):
    trace = popular(300)
    advice = advise(trace, storage_price=0.25, policy=choice())
    assert advice.curve[0].capacity == 0
    assert advice.curve[0].misses == pytest.approx(sum(r.cost for r in trace))
    for point in advice.curve[1:]:
        report = replay(trace, capacity=point.capacity, policy=choice(), bounds=NO_BOUNDS)
        assert point.misses == pytest.approx(report.cost)
        assert point.storage == 0.25 * point.capacity
        assert point.total == point.misses + point.storage
    assert advice.best in advice.curve
    assert advice.best.total == min(point.total for point in advice.curve)


def test_an_advice_in_bytes_counts_bytes():
    trace = popular(300)
    advice = advise(trace, storage_price=0.25, sized=True, policy=LRU())
    sizes = {r.key: r.size for r in trace}
    assert advice.curve[-1].capacity == sum(sizes.values())
    for point in advice.curve[1:]:
        report = replay(trace, capacity=f"{point.capacity}B", policy=LRU(), bounds=NO_BOUNDS)
        assert point.misses == pytest.approx(report.cost)


@given(trace=traces(least=1), price=st.sampled_from([0.0, 0.1, 1.0, 10.0]), sized=st.booleans())
def test_the_best_is_within_its_range_on_any_trace(trace, price, sized):
    advice = advise(trace, storage_price=price, sized=sized, policy=LEC())
    capacities = [point.capacity for point in advice.curve]
    assert capacities == sorted(set(capacities))
    assert capacities[0] == 0
    assert {advice.low, advice.high} <= set(capacities)
    assert advice.low <= advice.best.capacity <= advice.high
    assert all(point.low <= point.high for point in advice.curve)


def test_the_same_trace_gets_the_same_advice():
    trace = popular(200)
    assert advise(trace, storage_price=0.5) == advise(trace, storage_price=0.5)


def test_what_changed_with_time_widens_the_range():
    # 100 loops over 10 keys, even in time: every stretch says 10. If they are looped over in the
    # first tenth only and the rest is asked once, a resampled trace may have any number of tenths.
    even = advise(looped(10, 100, 0), storage_price=10.0, policy=LRU())
    assert (even.low, even.best.capacity, even.high) == (10, 10, 10)
    burst = advise(looped(10, 20, 1800), storage_price=10.0, policy=LRU())
    assert (burst.low, burst.high) == (0, 10)


@pytest.mark.parametrize("price", [-1.0, math.nan, math.inf])
def test_a_price_that_is_none_is_refused_by_name_and_value(price):
    with pytest.raises(ValueError, match=rf"storage_price must be .* got {price!r}"):
        advise(looped(), storage_price=price)


def test_an_advice_needs_a_request():
    with pytest.raises(ValueError, match="trace must have a request, got an empty one"):
        advise([], storage_price=1.0)


@pytest.mark.parametrize("sized", [False, True])
def test_an_advice_on_a_sample_of_the_keys_is_near_that_on_all(sized):
    # No key carries more than a few thousandths of the cost.
    chance = random.Random(1)
    keys = [int(3000 * chance.random() ** 2) for _ in range(12_000)]
    trace = [Request(f"key {k}", 1.0 + k * 7 % 11, 100 + k % 50) for k in keys]
    no_cache = sum(request.cost for request in trace)
    price = no_cache / 3000 / (125 if sized else 1)
    exact, some = (
        advise(trace, storage_price=price, sized=sized, policy=LEC(), sample=sample)
        for sample in (1.0, 0.3)
    )
    assert some.curve[0] == exact.curve[0]
    assert some.curve[-1].capacity == pytest.approx(exact.curve[-1].capacity, rel=0.1)
    at = dict(zip((p.capacity for p in exact.curve), (p.misses for p in exact.curve), strict=True))
    for point in some.curve:
        expected = np.interp(point.capacity, sorted(at), [at[c] for c in sorted(at)])
        assert point.misses == pytest.approx(expected, abs=0.03 * no_cache)
    assert some.best.total == pytest.approx(exact.best.total, rel=0.05)


def test_a_sample_of_the_keys_is_of_a_hash_so_every_pass_follows_the_same():
    # Of 100 keys in turn, at any capacity below all of them, LRU never hits; and with all of them each
    # is paid for once, a tenth of all. So is it for whichever keys are followed.
    trace = list(looped(100, 10, 0))
    advice = advise(trace, storage_price=0.0, policy=LRU(), sample=0.4)
    assert advice.curve[1].misses == pytest.approx(1000)
    assert advice.best.misses == pytest.approx(100)


@pytest.mark.parametrize("sample", [0.0, -0.5, 1.5, math.nan])
def test_a_sample_is_a_share_of_the_keys(sample):
    with pytest.raises(ValueError, match=rf"sample must be a share .* got {sample!r}"):
        advise(looped(), storage_price=1.0, sample=sample)


def test_a_sample_that_leaves_no_key_is_refused():
    with pytest.raises(ValueError, match="large enough to follow a key, got 1e-09"):
        advise(looped(), storage_price=1.0, sample=1e-9)


def test_an_advice_needs_a_trace_that_can_be_read_again():
    with pytest.raises(ValueError, match="trace must be iterable more than once, got <generator"):
        advise((r for r in looped()), storage_price=1.0)

"""The optimum and the bounds on it, against every choice there is."""

import time
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.lab.optimum import Bracket, _Trace, bracket, optimum, static

ONES = dict.fromkeys("ABCD", 1)


def subsets(keys):
    return (frozenset(some) for n in range(len(keys) + 1) for some in combinations(keys, n))


def by_trying_everything(keys, costs, capacity, sizes=ONES):
    """The least cost over all sets that may be held after each request, the slow and obvious way."""
    best = {frozenset(): 0.0}
    for key, cost in zip(keys, costs, strict=True):
        after = {}
        for held, spent in best.items():
            total = spent + (0.0 if key in held else cost)
            for kept in subsets(sorted(held | {key})):
                if sum(sizes[one] for one in kept) <= capacity:
                    after[kept] = min(after.get(kept, float("inf")), total)
        best = after
    return min(best.values())


def columns(trace, sizes=ONES):
    keys = [key for key, _ in trace]
    return keys, [cost for _, cost in trace], [sizes[key] for key in keys]


def zipf(n, *, keys=2000):
    """Requests as 1/rank^0.8, each key at its own log-normal cost."""
    random = np.random.default_rng(7)
    popularity = np.arange(1, keys + 1) ** -0.8
    asked = random.choice(keys, n, p=popularity / popularity.sum())
    return asked, random.lognormal(0, 1.2, keys)[asked]


traces = st.lists(st.tuples(st.sampled_from("ABCD"), st.floats(0, 10)), max_size=9)
weights = st.fixed_dictionaries({key: st.integers(1, 4) for key in "ABCD"})


@given(traces, st.integers(0, 3))
def test_no_cache_costs_less_than_the_optimum_and_one_costs_as_much(trace, capacity):
    keys, costs, _ = columns(trace)
    found = optimum(keys, costs, capacity=capacity)
    assert found == pytest.approx(by_trying_everything(keys, costs, capacity), abs=1e-6)


@given(traces, st.integers(0, 8), weights)
def test_the_optimum_lies_in_the_bracket(trace, capacity, weight):
    keys, costs, sizes = columns(trace, weight)
    for taken, found in (
        (ONES, bracket(keys, costs, capacity=capacity)),
        (weight, bracket(keys, costs, capacity=capacity, sizes=sizes)),
    ):
        exact = by_trying_everything(keys, costs, capacity, taken)
        assert found.lower - 1e-9 <= exact <= found.upper + 1e-9
        assert 0 <= found.width <= 1


@given(traces, st.integers(0, 8), weights, st.lists(st.floats(0, 5), min_size=8, max_size=8))
def test_any_prices_bound_the_optimum_from_both_sides(trace, capacity, weight, prices):
    keys, costs, sizes = columns(trace, weight)
    exact = by_trying_everything(keys, costs, capacity, weight)
    intervals = _Trace.read(keys, costs, sizes, capacity)
    paid = np.concatenate([[0.0], np.cumsum(prices)])[: max(len(keys), 1)]
    assert intervals.cost_of(intervals.dual(paid)) <= exact + 1e-9
    assert intervals.cost_of(intervals.sweep(paid)) >= exact - 1e-9


@given(traces, st.integers(0, 3), st.integers(1, 3))
def test_equal_costs_and_sizes_leave_nothing_between_the_bounds(trace, capacity, size):
    keys = [key for key, _ in trace]
    found = bracket(keys, [2.5] * len(keys), capacity=capacity, sizes=[size] * len(keys))
    assert found.lower == found.upper
    assert found.upper == pytest.approx(
        by_trying_everything(keys, [2.5] * len(keys), capacity // size)
    )


@given(traces)
def test_more_room_costs_no_more_and_never_less_than_the_first_requests(trace):
    keys, costs, _ = columns(trace)
    first = sum(cost for i, cost in enumerate(costs) if keys[i] not in keys[:i])
    for measure in (optimum, static):
        falling = [measure(keys, costs, capacity=capacity) for capacity in range(5)]
        assert falling[0] == pytest.approx(sum(costs))
        assert falling[4] == pytest.approx(first)
        assert all(less <= more + 1e-6 for more, less in pairwise(falling))
    assert bracket(keys, costs, capacity=4).lower == pytest.approx(first)


@given(traces, st.integers(0, 8), weights)
def test_a_static_set_is_the_best_or_with_sizes_saves_half_of_it(trace, capacity, weight):
    keys, costs, sizes = columns(trace, weight)

    def best(taken):
        return min(
            sum(cost for i, cost in enumerate(costs) if keys[i] not in {*kept} & {*keys[:i]})
            for kept in subsets("ABCD")
            if sum(taken[key] for key in kept) <= capacity
        )

    assert static(keys, costs, capacity=capacity) == pytest.approx(best(ONES))
    found = static(keys, costs, capacity=capacity, sizes=sizes)
    assert best(weight) - 1e-9 <= found <= (best(weight) + sum(costs)) / 2 + 1e-9


def test_two_slots_serve_the_last_two_of_a_b_c_a_b():
    # C is not kept: A and B are paid for once each, and C.
    assert optimum("ABCAB", [1] * 5, capacity=2) == pytest.approx(3)
    assert bracket("ABCAB", [1] * 5, capacity=2) == Bracket(3, 3)
    assert static("ABCAB", [1] * 5, capacity=2) == 3


def test_one_slot_changes_hands_where_a_fixed_set_cannot():
    # A A B B: A is kept over the first gap and B over the last. A fixed set holds A or B.
    assert optimum("AABB", [1] * 4, capacity=1) == pytest.approx(2)
    assert bracket("AABB", [1] * 4, capacity=1) == Bracket(2, 2)
    assert static("AABB", [1] * 4, capacity=1) == 3


def test_the_more_expensive_of_two_is_kept_in_one_slot():
    costs = [1, 5, 1, 5]
    assert optimum("ABAB", costs, capacity=1) == pytest.approx(7)
    assert bracket("ABAB", costs, capacity=1).upper == 7
    assert bracket("ABAB", costs, capacity=1).lower == pytest.approx(7, rel=0.02)
    assert static("ABAB", costs, capacity=1) == 7


def test_two_small_answers_are_worth_more_than_a_big_one():
    # Room for 4: A (size 4) would save 5, B and C (2 each) save 3 + 3. Paid: 5 + 3 + 3 and A again.
    costs, sizes = [5, 3, 3, 5, 3, 3], [4, 2, 2, 4, 2, 2]
    found = bracket("ABCABC", costs, sizes=sizes, capacity=4)
    assert found.upper == 16
    assert found.lower == pytest.approx(16, rel=0.02)
    assert static("ABCABC", costs, sizes=sizes, capacity=4) == 16


def test_the_one_answer_that_saves_most_is_not_crowded_out_by_a_small_one():
    # Per size B (2 for 1) is worth more than A (9 for 8), but only one of them fits.
    assert static("ABAB", [9, 2, 9, 2], sizes=[8, 1, 8, 1], capacity=8) == pytest.approx(13)


def test_an_answer_larger_than_the_cache_is_never_kept():
    assert bracket("AAA", [1, 2, 4], sizes=[3, 3, 3], capacity=2) == Bracket(7, 7)
    assert static("AAA", [1, 2, 4], sizes=[3, 3, 3], capacity=2) == 7


def test_an_empty_trace_costs_nothing():
    assert optimum([], [], capacity=1) == static([], [], capacity=1) == 0
    assert bracket([], [], capacity=1) == Bracket(0, 0)
    assert bracket([], [], capacity=1).width == 0


def test_keys_may_be_anything_hashable_and_costs_of_any_scale():
    assert optimum([("a", 1), None, ("a", 1)], [1, 1, 1], capacity=1) == pytest.approx(2)
    for unit in (1e-320, 1e300):
        found = bracket(np.array([3, 5, 3, 5]), np.array([1, 5, 1, 5]) * unit, capacity=1)
        assert found.upper == pytest.approx(7 * unit)


def test_the_gradient_of_the_smoothed_dual_is_its_slope():
    keys, costs = zipf(400, keys=50)
    intervals = _Trace.read(keys, costs, (keys % 7 + 1).tolist(), 40)
    edges = np.array([0, 130, 131, 250, 399])
    prices, step = np.array([0.9, 1.2, 0.3, 0.7]) / 500, 1e-8
    _, gradient = intervals.smoothed(prices, edges=edges)
    for i in range(4):
        ahead, behind = (
            intervals.smoothed(prices + sign * step * np.eye(4)[i], edges=edges)[0]
            for sign in (1, -1)
        )
        assert gradient[i] == pytest.approx((ahead - behind) / (2 * step), rel=1e-3)


@pytest.mark.parametrize("capacity", [1, 10, 100])
def test_the_bracket_is_narrow_around_the_exact_optimum(capacity):
    keys, costs = zipf(3000, keys=500)
    found = bracket(keys, costs, capacity=capacity)
    exact = optimum(keys, costs, capacity=capacity)
    assert found.lower * (1 - 1e-9) <= exact <= found.upper * (1 + 1e-9)
    assert found.width < 0.005
    assert static(keys, costs, capacity=capacity) > found.upper


def test_a_tolerance_saves_time():
    keys, costs = zipf(3000, keys=500)
    rough = bracket(keys, costs, capacity=50, tolerance=0.5)
    fine = bracket(keys, costs, capacity=50, tolerance=0)
    assert fine.width < rough.width < 0.5
    assert rough.lower <= fine.lower <= fine.upper <= rough.upper


@pytest.mark.parametrize("sized", [False, True])
def test_twenty_thousand_requests_take_seconds(sized):
    keys, costs = zipf(20_000)
    sizes = np.random.default_rng(8).integers(1, 4000, 2000)[keys] if sized else None
    began = time.process_time()
    found = bracket(keys, costs, capacity=100 * (2000 if sized else 1), sizes=sizes)
    assert found.width < (0.01 if sized else 0.002)
    assert time.process_time() - began < 20


@pytest.mark.parametrize("measure", [optimum, bracket, static])
@pytest.mark.parametrize(
    ("keys", "costs", "capacity", "told"),
    [
        ("AB", [1], 1, "keys and costs must be of one length, got 2 and 1"),
        ("A", [1], -1, "capacity must be >= 0, got -1"),
        ("AB", [1, -2], 1, "costs must be numbers >= 0, got -2"),
        ("A", [float("nan")], 1, "costs must be numbers >= 0, got nan"),
        ("A", [float("inf")], 1, "costs must be numbers >= 0, got inf"),
    ],
)
def test_wrong_arguments_are_named(measure, keys, costs, capacity, told):
    with pytest.raises(ValueError, match=told):
        measure(keys, costs, capacity=capacity)


@pytest.mark.parametrize("measure", [bracket, static])
@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([1, 1], "keys and sizes must be of one length, got 3 and 2"),
        ([1, 0, 1], "sizes must be positive integers, got 0"),
        ([1, 1.5, 1], "sizes must be positive integers, got 1.5"),
        ([1, 1, 2], "sizes of one key must be the same, got 1 and 2"),
    ],
)
def test_wrong_sizes_are_named(measure, sizes, told):
    with pytest.raises(ValueError, match=told):
        measure("ABA", [1, 1, 1], sizes=sizes, capacity=1)


def test_a_wrong_tolerance_is_named():
    with pytest.raises(ValueError, match="tolerance must be >= 0, got -1"):
        bracket("A", [1], capacity=1, tolerance=-1)


def test_prices_that_are_already_the_best_are_left_alone():
    # B A A B in one slot, B paid 0 and 4, A 0 and 0.5: keep B, and A's 0.5 is all there is to pay. At
    # the first prices tried the slope is 0 everywhere, so there is no step to take.
    assert bracket("BAAB", [0.0, 0.0, 0.5, 4.0], capacity=1) == Bracket(0.5, 0.5)

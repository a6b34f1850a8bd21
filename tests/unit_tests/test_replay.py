"""The offline optimum against every choice there is."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.replay import optimum


def by_trying_everything(keys, costs, capacity):
    """The least cost over all sets that may be held after each request, the slow and obvious way."""
    best = {frozenset(): 0.0}
    for key, cost in zip(keys, costs, strict=True):
        after = {}
        for held, spent in best.items():
            total = spent + (0.0 if key in held else cost)
            for n in range(capacity + 1):
                for kept in map(frozenset, combinations(sorted(held | {key}), n)):
                    after[kept] = min(after.get(kept, float("inf")), total)
        best = after
    return min(best.values())


requests = st.lists(st.tuples(st.sampled_from("ABCD"), st.floats(0, 10)), max_size=9)


@given(requests, st.integers(0, 3))
def test_no_cache_costs_less_and_one_costs_as_much(trace, capacity):
    keys, costs = [key for key, _ in trace], [cost for _, cost in trace]

    found = optimum(keys, costs, capacity=capacity)

    assert found == pytest.approx(by_trying_everything(keys, costs, capacity), abs=1e-6)


def test_two_slots_serve_the_last_two_of_a_b_c_a_b():
    assert optimum("ABCAB", [1] * 5, capacity=2) == pytest.approx(3)


def test_the_dearer_of_two_is_kept_in_one_slot():
    assert optimum("ABAB", [1, 5, 1, 5], capacity=1) == pytest.approx(7)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(("AB", [1], 1), "2 and 1"), (("A", [1], -1), "capacity must be >= 0, got -1")],
)
def test_wrong_arguments_are_named(arguments, told):
    keys, costs, capacity = arguments
    with pytest.raises(ValueError, match=told):
        optimum(keys, costs, capacity=capacity)

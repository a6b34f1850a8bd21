"""The bookkeeping that both stores share: capacity and rules, who leaves, leads, is remembered."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.keep.books import Capacity, Rules, ghosts_for, leader
from langchain_cachemux.keep.policies import LEC, LFU, LRU, robust
from langchain_cachemux.keep.shadows import victims
from langchain_cachemux.types import Standing


@pytest.mark.parametrize(
    ("given", "total", "unit", "entries"),
    [
        (7, 7, "entries", 7),
        (np.int64(7), 7, "entries", 7),
        ("512MB", 512_000_000, "bytes", 125_000),
        ("1MiB", 1_048_576, "bytes", 256),
        (" 1.5 kb ", 1500, "bytes", 1),
    ],
)
def test_a_capacity_is_entries_or_a_size_with_its_unit(given, total, unit, entries):
    capacity = Capacity.parse(given)
    assert (capacity.total, capacity.unit, capacity.entries) == (total, unit, entries)
    assert capacity.in_bytes == (unit == "bytes")


WRONG = [0, -1, True, 1.5, 7.0, "512", "abc", "", "0B", "-1KB", "5K", "3 bit", "9" * 400 + "B"]
WRONG += [None, [3], b"1KB", np.array([1, 2]), np.float64(3.0)]


@pytest.mark.parametrize("given", WRONG, ids=repr)
def test_what_is_no_capacity_is_refused_with_its_name_value_and_remedy(given):
    with pytest.raises(ValueError, match=r"capacity must be .* like '512MB', got ") as refused:
        Capacity.parse(given)
    assert str(refused.value).endswith(f"got {given!r}")


@given(st.integers(1, 10**15))
def test_a_capacity_in_bytes_is_the_number_before_its_unit(total):
    assert Capacity.parse(f"{total}B") == Capacity(total, "bytes")
    assert Capacity.parse(total) == Capacity(total)


def parsed(policy, *, capacity=1, ghosts=None):
    return Rules.parse(capacity=capacity, policy=policy, ghosts=ghosts)


def test_a_half_life_that_several_policies_count_by_is_counted_once():
    rules = parsed([LEC(half_life=5), LRU(), LEC(half_life=5, prior=1.0), LFU()])
    assert rules.half_lives == (5, math.inf)
    assert rules.ages == (0, 1, 0, 1)


def test_the_leader_is_the_first_of_the_least_losses_unless_the_one_followed_is_as_good():
    assert leader([3.0, 1.0, 1.0], 0) == 1
    assert leader([3.0, 1.0, 1.0], 2) == 2
    assert leader([1.0, 1.0, 1.0], 1) == 1
    assert leader([0.0], 0) == 0


def test_one_policy_or_several_are_a_tuple_of_policies():
    one, two = LRU(), LFU()
    assert parsed(one).policies == (one,)
    assert parsed([one, two]).policies == parsed((one, two)).policies == (one, two)


@pytest.mark.parametrize("policy", [[], (), None, "LRU", LRU, [LRU(), None], [LRU], robust, {}])
def test_what_is_no_policy_is_refused_with_its_value(policy):
    with pytest.raises(
        ValueError, match=r"policy must be a policy or several, such as .*, got "
    ) as refused:
        parsed(policy)
    assert str(refused.value).endswith(f"got {policy!r}")


def residents(*worths_and_sizes):
    return [
        Standing(str(i), worth=w, size=s, last=i + 1) for i, (w, s) in enumerate(worths_and_sizes)
    ]


def test_nobody_leaves_while_there_is_room():
    assert victims(Standing("new"), 0, residents((1, 1))) == []
    assert victims(Standing("new"), -3, residents()) == []


def test_the_least_leave_until_the_newcomer_fits():
    least = residents((1, 2), (2, 2), (3, 2))
    assert victims(Standing("new", worth=9, last=9), 3, least) == least[:2]


def test_a_newcomer_among_those_that_would_have_to_leave_stays_out_and_nobody_leaves():
    assert victims(Standing("new", worth=1.5, last=9), 3, residents((1, 2), (2, 2))) is None


def test_of_two_equal_worths_the_older_leaves():
    least = residents((1, 1))
    assert victims(Standing("new", worth=1, last=9), 1, least) == least
    assert victims(Standing("new", worth=1, last=0), 1, least) is None


def test_a_newcomer_that_would_not_fit_even_alone_stays_out():
    assert victims(Standing("new", worth=9, last=9), 5, residents((1, 2), (2, 2))) is None


@pytest.mark.parametrize(
    ("entries", "ghosts"),
    [(0, 10_000), (1, 10_000), (1_000, 10_000), (1_001, 10_010), (2_000, 20_000)],
)
def test_ten_capacities_are_remembered_and_ten_thousand_at_least(entries, ghosts):
    assert ghosts_for(entries) == ghosts
    assert parsed(LRU()).shared(entries) == ghosts
    assert parsed(LRU(), ghosts=3).shared(entries) == 3

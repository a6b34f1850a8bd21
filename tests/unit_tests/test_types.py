"""The plain data: what it computes, and that it cannot be changed behind one's back."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.types import (
    Admission,
    Entry,
    Estimate,
    Match,
    Query,
    Route,
    Standing,
    Usage,
    Wording,
)

numbers = st.floats(-1e6, 1e6)
gaps = st.lists(st.integers(1, 1000), min_size=1, max_size=30)


def aged(times, half_life):
    """What `Standing.requested` must come to: each request alone, halved once per half-life."""
    return sum(0.5 ** ((times[-1] - t) / half_life) for t in times)


def test_queries_share_a_partition_only_with_equal_scope_and_context():
    query = Query("k", scope="s", context="c", text="a")
    assert query.partition == Query("other", scope="s", context="c", text="b").partition
    assert query.partition != Query("k", scope="s", context="d").partition
    assert query.partition != Query("k", scope="t", context="c").partition


def test_a_match_is_by_the_words_of_its_entry_unless_others_are_told():
    entry = Entry("k", text="own words")
    assert Match(entry, 0.9).text == "own words"
    assert Match(entry, 0.9, "an alias").text == "an alias"


def test_a_wording_stands_in_the_partition_of_its_entry():
    assert Wording("k", "of").partition == ""
    assert Wording("k", "of", entry=Entry("of", partition="s:c")).partition == "s:c"


@given(gaps, st.sampled_from([0.5, 3.0, 100.0, math.inf]))
def test_count_is_the_sum_of_requests_each_halved_per_half_life(steps, half_life):
    standing, times, now = Standing("k"), [], 0
    for step in steps:
        now += step
        times.append(now)
        standing.requested(now, half_life)
    assert standing.count == pytest.approx(aged(times, half_life))
    assert (standing.uses, standing.last) == (len(times), now)


def test_a_request_one_half_life_ago_counts_half():
    # Requests at 1 and 11 with half-life 10: at 11 the first counts ½, so F = ½ + 1.
    standing = Standing("k")
    standing.requested(1, 10)
    standing.requested(11, 10)
    assert standing.count == 1.5


def test_a_count_older_than_any_float_fades_to_nothing():
    standing = Standing("k")
    standing.requested(1, 0.001)
    standing.requested(10**9, 0.001)
    assert standing.count == 1.0


@given(numbers, st.floats(0, 1e6), st.floats(0, 1e6))
def test_lower_is_clipped_at_the_floor_and_optimistic_is_not(mean, width, floor):
    estimate = Estimate(mean, width, floor)
    assert estimate.lower == max(floor, mean - width)
    assert estimate.optimistic == mean - width
    assert estimate.upper == mean + width


def test_an_unknown_cost_is_worth_its_floor_and_looks_cheaper_than_any_known_one():
    unknown = Estimate(0.0, math.inf, 0.25)
    assert unknown.lower == 0.25
    assert unknown.optimistic < Estimate(1e-9, 0.0).optimistic
    assert unknown.upper == math.inf


@pytest.mark.parametrize(
    "value",
    [
        Usage(),
        Query("k"),
        Entry("k"),
        Match(Entry("k"), 1.0),
        Admission(0),
        Estimate(1.0, 0.0),
        Route("m", "because", {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_passes_between_the_floors_is_frozen(value):
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, None)


def test_equal_usages_are_equal_and_queries_are_compared_by_identity():
    assert Usage(1, 2) == Usage(1, 2)
    assert Query("k") != Query("k")
    assert Entry("k") != Entry("k")

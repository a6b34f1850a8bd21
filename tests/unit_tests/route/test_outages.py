"""How an outage fades."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.route.outages import Outages


class Clock:
    """Seconds that are set."""

    now = 0.0

    def __call__(self):
        return self.now


def at(times, now):
    """P(outage) at `now` after calls that raised at `times`."""
    clock = Clock()
    outages = Outages(half_life=60.0, clock=clock)
    for clock.now in times:
        outages.raised("m")
    clock.now = now
    return outages.chance("m")


def test_for_a_half_life_an_outage_is_certain_and_then_it_halves():
    assert [at([0.0], t) for t in (0.0, 60.0, 120.0, 180.0)] == [1.0, 1.0, 0.5, 0.25]


@given(st.lists(st.floats(0, 600), min_size=1, max_size=8), st.floats(0, 1e5))
def test_it_is_the_sum_of_all_calls_that_raised_each_faded_by_itself(times, later):
    times = sorted(times)
    now = times[-1] + later
    assert at(times, now) == pytest.approx(
        min(1.0, sum(2.0 * 0.5 ** ((now - t) / 60.0) for t in times))
    )


def test_who_answers_is_not_out_and_nobody_else_is_affected():
    outages = Outages()
    outages.raised("a")
    outages.raised("b")
    outages.answered("a")
    outages.answered("c")
    assert [outages.chance(name) for name in "abc"] == [0.0, pytest.approx(1.0), 0.0]


@pytest.mark.parametrize("half_life", [0.0, -1.0, math.inf, math.nan])
def test_a_half_life_that_is_no_positive_number_is_refused(half_life):
    with pytest.raises(ValueError, match=f"half_life must be .* got {half_life!r}"):
        Outages(half_life=half_life)

"""`Limits`: the partial order of needs, and what errors tell of each model."""

import threading
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from langchain_cachemux.route.limits import FIRST, LONGEST, REMEMBERED, Limits
from langchain_cachemux.types import Needs

KINDS = ("image", "audio", "tools")
needs = st.builds(Needs, st.integers(0, 4), st.frozensets(st.sampled_from(KINDS)))
WORDS = Needs(10)
PICTURE = Needs(10, frozenset({"image"}))


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def limits():
    clock = Clock()
    return clock, Limits(clock=clock)


# The order


@given(needs, needs, needs)
def test_needs_are_partly_ordered(a, b, c):
    assert a <= Needs(a.tokens, a.kinds)
    assert a == b or not (a <= b <= a)
    assert a <= c or not (a <= b <= c)


@given(needs, needs)
def test_one_needs_no_more_than_another_when_it_is_no_longer_and_of_no_other_kind(a, b):
    no_more = a.tokens <= b.tokens and all(kind in b.kinds for kind in a.kinds)
    assert (a <= b) is no_more


# What errors tell


def test_an_error_on_what_was_answered_before_is_an_outage():
    _, known = limits()
    known.answered("small", Needs(100, frozenset({"image"})))
    assert known.failed("small", PICTURE) is False
    assert not known.beyond("small", PICTURE)


def test_an_error_on_more_than_was_answered_is_a_limit_for_that_and_for_more():
    _, known = limits()
    known.answered("small", WORDS)
    assert known.failed("small", PICTURE) is True
    assert known.beyond("small", PICTURE)
    assert known.beyond("small", Needs(99, frozenset({"image", "tools"})))
    assert not known.beyond("small", Needs(99))
    assert not known.beyond("large", PICTURE)


def test_a_limit_holds_for_a_time_that_doubles_with_each_failure_up_to_an_hour():
    clock, known = limits()
    held = []
    for _ in range(9):
        assert known.failed("small", PICTURE) is True
        began = clock.now
        while known.beyond("small", PICTURE):
            clock.now += 1.0
        held.append(clock.now - began)
    assert held[:3] == [FIRST, 2 * FIRST, 4 * FIRST]
    assert all(b == min(2 * a, LONGEST) for a, b in pairwise(held))
    assert held[-1] == LONGEST


def test_an_answer_lifts_the_limits_at_or_below_it_and_no_other():
    _, known = limits()
    known.failed("small", PICTURE)
    known.failed("small", Needs(10, frozenset({"tools"})))
    known.answered("small", Needs(20, frozenset({"image"})))
    assert not known.beyond("small", PICTURE)
    assert known.beyond("small", Needs(20, frozenset({"tools"})))


def test_after_a_limit_was_lifted_the_time_begins_anew():
    clock, known = limits()
    for _ in range(3):
        known.failed("small", PICTURE)
    known.answered("small", PICTURE)
    known.failed("small", Needs(11, frozenset({"image"})))
    clock.now = FIRST
    assert not known.beyond("small", Needs(11, frozenset({"image"})))


def test_a_model_that_never_answered_is_not_asked_from_the_least_request_on_that_it_failed():
    clock, known = limits()
    known.failed("small", PICTURE)
    known.failed("small", Needs(3))
    assert known.beyond("small", Needs(3))
    assert known.beyond("small", PICTURE)
    assert not known.beyond("small", Needs(2))
    clock.now = FIRST
    assert not known.beyond("small", Needs(3))


def test_ever_longer_failures_are_remembered_up_to_a_number():
    _, known = limits()
    for tokens in range(10 * REMEMBERED):
        known.failed("small", Needs(tokens + 1, frozenset({str(tokens)})))
        known.answered("large", Needs(tokens, frozenset({str(tokens)})))
    assert len(known._known["small"].failed) == REMEMBERED
    assert len(known._known["large"].answered) == REMEMBERED
    assert known.beyond("small", Needs(10 * REMEMBERED, frozenset({str(10 * REMEMBERED - 1)})))


def test_eight_threads_at_once_break_nothing():
    _, known = limits()

    def work(n):
        for tokens in range(300):
            known.failed("small", Needs(tokens, frozenset({str(n)})))
            known.answered("small", Needs(tokens, frozenset({str(n)})))

    workers = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for n in range(8):
        assert not known.beyond("small", Needs(299, frozenset({str(n)})))
        assert known.failed("small", Needs(299, frozenset({str(n)}))) is False


# A slow oracle: everything that ever happened, read again at each question


class AgainstHistory(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.clock, self.known = limits()
        self.history = []
        """(answered or failed, what, when): a failure that was an outage is left out."""

    def limits_on(self, asked):
        """Of each failure that no answer at or above it has lifted: what, until when, how often."""
        found = {}
        for what, need, when in self.history:
            if what == "answered":
                found = {n: f for n, f in found.items() if not n <= need}
            else:
                times = max((n for least, (_, n) in found.items() if least <= need), default=0)
                found = {n: f for n, f in found.items() if not need <= n}
                found[need] = when + min(FIRST * 2**times, LONGEST), times + 1
        return [until for need, (until, _) in found.items() if need <= asked]

    @rule(need=needs)
    def answer(self, need):
        self.known.answered("small", need)
        self.history.append(("answered", need, self.clock.now))

    @rule(need=needs)
    def fail(self, need):
        outage = any(what == "answered" and need <= most for what, most, _ in self.history)
        assert self.known.failed("small", need) is not outage
        if not outage:
            self.history.append(("failed", need, self.clock.now))

    @rule(seconds=st.sampled_from([1.0, 30.0, 60.0, 500.0, 4000.0]))
    def wait(self, seconds):
        self.clock.now += seconds

    @invariant()
    def what_is_beyond_is_what_the_history_says(self):
        for tokens in range(5):
            for kinds in ((), ("image",), ("image", "tools"), KINDS):
                asked = Needs(tokens, frozenset(kinds))
                beyond = any(self.clock.now < until for until in self.limits_on(asked))
                assert self.known.beyond("small", asked) is beyond


TestAgainstHistory = AgainstHistory.TestCase
TestAgainstHistory.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)

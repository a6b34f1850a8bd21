"""Patience: one fault is waited for once, and nothing is waited for longer than it may take."""

import threading
import time
from contextvars import ContextVar
from types import SimpleNamespace

import pytest

from langchain_cachemux import patience as module
from langchain_cachemux.patience import FAILURES, SPARED, Failures, SparedError, within

LONG = 30.0


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def fail(failures, what, error):
    with pytest.raises(type(error)), failures.of(what):
        raise error


def tried(failures, what):
    try:
        with failures.of(what):
            return True
    except SparedError:
        return False


def test_what_failed_is_not_tried_again_for_a_while_and_all_else_is(clock):
    failures = Failures()
    fail(failures, "a", ValueError("no vector"))
    assert (tried(failures, "a"), tried(failures, "b")) == (False, True)
    with pytest.raises(SparedError, match="no vector"), failures.of("a"):
        pass
    clock.now += SPARED - 1
    assert not tried(failures, "a")
    clock.now += 1
    assert tried(failures, "a")


def test_after_one_that_was_late_nothing_is_tried_for_a_while(clock):
    failures = Failures()
    fail(failures, "a", TimeoutError())
    assert not tried(failures, "b")
    clock.now += SPARED
    assert tried(failures, "b")


def test_what_went_well_may_go_on():
    failures = Failures()
    assert all(tried(failures, "a") for _ in range(3))


def test_what_is_remembered_is_bounded(clock):
    failures = Failures()
    for number in range(FAILURES + 1):
        fail(failures, str(number), ValueError())
    assert tried(failures, "0")
    assert not tried(failures, "1")


def test_work_returns_what_it_returns_and_raises_what_it_raises():
    assert within(LONG, lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        within(LONG, lambda: 1 / 0)


def test_work_that_is_late_is_left_to_itself():
    go_on, started = threading.Event(), time.monotonic()
    with pytest.raises(TimeoutError):
        within(0.05, lambda: go_on.wait(LONG))
    assert time.monotonic() - started < LONG / 2
    go_on.set()


def test_work_is_done_in_the_callers_context():
    here = ContextVar("here")
    here.set("the caller's")
    assert within(LONG, here.get) == "the caller's"

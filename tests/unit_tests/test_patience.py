"""Patience: one fault is waited for once, nothing longer than it may take, and all heals."""

import asyncio
import math
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from types import SimpleNamespace

import pytest

from langchain_cachemux import patience as module
from langchain_cachemux.patience import (
    FAILURES,
    IN_A_ROW,
    LONGEST,
    SHORTEST,
    SPARED,
    THREADS,
    Patience,
    SparedError,
    together,
    within,
)

LONG = 30.0


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def gate():
    """What hangs waits for it; opened at the end, so that no thread is left behind."""
    gate = threading.Event()
    yield gate
    gate.set()


def raiser(error):
    def work():
        raise error

    return work


def fail(patience, error=None, what=""):
    error = error or ValueError("no vector")
    with pytest.raises(type(error)):
        patience.ask(raiser(error), what)


def tried(patience, what=""):
    try:
        return patience.ask(lambda: True, what)
    except SparedError:
        return False


def test_what_failed_is_not_tried_again_for_a_while_and_all_else_is(clock):
    patience = Patience("the embedder")
    fail(patience, what="a")
    assert (tried(patience, "a"), tried(patience, "b")) == (False, True)
    with pytest.raises(SparedError, match=r"the embedder failed just now.*no vector"):
        patience.ask(int, "a")
    with pytest.raises(SparedError, match="no vector"):
        patience.expect_well("a")
    patience.expect_well("b")
    clock.now += SPARED - 1
    assert not tried(patience, "a")
    clock.now += 1
    assert tried(patience, "a")


def test_after_one_that_was_late_nothing_is_tried_for_a_while(clock):
    patience = Patience("a store")
    fail(patience, TimeoutError())
    assert not tried(patience)
    clock.now += SHORTEST
    assert tried(patience)
    assert tried(patience)


def test_after_a_few_failures_in_a_row_nothing_is_tried_and_a_success_between_them_clears_them(
    clock,
):
    patience = Patience("a store")
    for _ in range(3):
        for _ in range(IN_A_ROW - 1):
            fail(patience)
        assert tried(patience)
    for _ in range(IN_A_ROW):
        fail(patience)
    assert not tried(patience)


def test_each_time_it_is_spared_twice_as_long_and_once_it_works_again_from_the_beginning(clock):
    patience, spans = Patience("a store"), []
    fail(patience, TimeoutError())
    for _ in range(7):
        before = clock.now
        while not_tried := not tried_and_late(patience):
            assert not_tried
            clock.now += SHORTEST
        spans.append(clock.now - before)
    assert spans == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert spans[-1] == LONGEST
    clock.now += LONGEST
    assert tried(patience)
    fail(patience, TimeoutError())
    clock.now += SHORTEST
    assert tried(patience)


def tried_and_late(patience):
    try:
        patience.ask(raiser(TimeoutError()))
    except TimeoutError:
        return True
    except SparedError:
        return False
    return None


def test_one_caller_tries_what_was_spared_and_others_wait_for_what_comes_of_it(clock):
    patience, seen = Patience("a store"), []
    fail(patience, TimeoutError())
    clock.now += SHORTEST
    assert patience.ask(lambda: seen.append(tried(patience)) or "well") == "well"
    assert seen == [False]
    assert tried(patience)


def test_many_that_were_late_at_once_are_one_finding(clock):
    def late():
        all_ask.wait(LONG)
        raise TimeoutError

    def ask(_):
        with pytest.raises(TimeoutError):
            patience.ask(late)

    def passes():
        clock.now += 0.1

    patience, all_ask = Patience("a store"), threading.Barrier(8, passes)
    with ThreadPoolExecutor(8) as callers:
        assert len([*callers.map(ask, range(8))]) == 8
    assert not tried(patience)
    clock.now += SHORTEST
    assert tried(patience)


def test_what_is_remembered_is_bounded(clock):
    patience = Patience("the embedder")
    for number in range(FAILURES + 1):
        fail(patience, what=str(number))
        patience.ask(int)
    assert tried(patience, "0")
    assert not tried(patience, "1")


def test_without_a_deadline_the_caller_asks_itself():
    assert Patience("memory").ask(threading.get_ident) == threading.get_ident()


def test_with_one_a_thread_asks_in_the_callers_context_and_what_it_asks_it_asks_itself():
    here, patience = ContextVar("here"), Patience("a store", LONG)
    here.set("the caller's")

    def work():
        return here.get(), threading.get_ident(), patience.ask(threading.get_ident)

    said, thread, within_it = patience.ask(work)
    assert said == "the caller's"
    assert thread == within_it != threading.get_ident()


def test_what_hangs_is_left_at_the_deadline_and_spared(gate):
    patience, started = Patience("a store", 0.05), time.monotonic()
    with pytest.raises(TimeoutError):
        patience.ask(lambda: gate.wait(LONG))
    with pytest.raises(SparedError):
        patience.ask(int)
    assert time.monotonic() - started < LONG / 2


def test_what_hangs_takes_a_bounded_number_of_threads_and_callers_go_on(gate, monkeypatch):
    monkeypatch.setattr(module, "SHORTEST", 0.0)
    monkeypatch.setattr(module, "LONGEST", 0.0)
    before, patience = threading.active_count(), Patience("a store", 0.001)
    until, outcomes = time.monotonic() + LONG, set()
    while outcomes != {"late", "spared"} and time.monotonic() < until:
        outcomes.add(tell(patience, gate))
    assert outcomes == {"late", "spared"}
    assert threading.active_count() - before <= THREADS
    gate.set()
    patience = Patience("a store", LONG)
    assert patience.ask(lambda: 42) == 42


def tell(patience, gate):
    try:
        return patience.ask(lambda: gate.wait(LONG))
    except TimeoutError:
        return "late"
    except SparedError:
        return "spared"


def test_all_that_is_asked_together_takes_no_longer_than_is_given(gate, monkeypatch):
    def takes(seconds):
        skipped.append(seconds)
        return "well"

    skipped = []
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + sum(skipped))
    monkeypatch.setattr(module, "time", clock)
    one, other = (Patience(name, LONG, shares=True) for name in ("one", "other"))
    embedder, started = Patience("the embedder", LONG), time.monotonic()
    with together(LONG):
        assert embedder.ask(lambda: takes(2 * LONG)) == "well"  # counts on its own
        assert one.ask(lambda: takes(LONG - 0.1)) == "well"
        with pytest.raises(SparedError, match=r"no time (was )?left"):
            other.ask(lambda: gate.wait(LONG))
        with pytest.raises(SparedError, match="no time was left"):
            other.ask(int)
    assert time.monotonic() - started < LONG / 2
    assert one.ask(lambda: 42) == 42
    assert other.ask(lambda: 42) == 42  # it had no time, which is no failure of its own


def test_a_coroutine_is_tried_and_spared_by_the_same_rule():
    patience = Patience("the embedder", 0.01)

    async def ask():
        with patience.of("a text"):
            await asyncio.wait_for(asyncio.sleep(LONG), patience.deadline)

    for error in (TimeoutError, SparedError):
        with pytest.raises(error):
            asyncio.run(ask())


def test_it_is_said_once_that_it_is_spared_and_that_it_works_again(clock, caplog):
    caplog.set_level("INFO")
    patience = Patience("the ledger")
    fail(patience, TimeoutError())
    assert not any(tried(patience) for _ in range(5))
    clock.now += SHORTEST
    assert tried(patience)
    assert tried(patience)
    assert caplog.messages == [
        "the ledger is not asked for 1 s: TimeoutError()",
        "the ledger works again",
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_asks_with_threads_of_its_own(gate):
    patience = Patience("a store", LONG)
    thread = threading.Thread(target=lambda: patience.ask(lambda: gate.wait(LONG)))
    thread.start()
    child = os.fork()
    if not child:
        os._exit(0 if patience.ask(lambda: 42) == 42 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    gate.set()
    thread.join()


def test_work_returns_what_it_returns_and_raises_what_it_raises():
    assert within(LONG, lambda: 42) == Patience("", LONG).ask(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        within(LONG, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Patience("", LONG).ask(lambda: 1 / 0)


def test_work_that_is_late_is_left_to_itself(gate):
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        within(0.05, lambda: gate.wait(LONG))
    assert time.monotonic() - started < LONG / 2


def test_work_is_done_in_the_callers_context():
    here = ContextVar("here")
    here.set("the caller's")
    assert within(LONG, here.get) == "the caller's"


@pytest.mark.parametrize("deadline", [math.inf, 1e12])
def test_a_deadline_that_never_comes_is_one(deadline):
    patience = Patience("the store", deadline)
    assert patience.ask(lambda: 3) == 3
    assert within(deadline, lambda: 4) == 4
    patience.close()

"""Equal questions at once: one leads, the others wait, nobody waits for ever, or for himself."""

import asyncio
import multiprocessing
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from langchain_cachemux import flight as flight_module
from langchain_cachemux.flight import IN_VAIN, SHORTEST, UNKNOWN, Flights, failed, leading

LONG = 30.0
"""Seconds that no test waits for: who is served, or need not wait, comes back long before."""


class Bench:
    """Asks a model for what is not brought by another, as a cache does, and counts how often."""

    def __init__(self, *, longest=LONG, model=lambda key: f"answer to {key}"):
        self.flights = Flights(longest)
        self.model = model
        self.calls = []
        self.inside = threading.Event()
        """A leader is asking."""
        self.go_on = threading.Event()
        self.go_on.set()

    def ask(self, key="q"):
        answer = self.flights.join(key)
        if answer is None:
            answer = self._asked(key)
            self.flights.land(key, answer)
        return answer

    async def aask(self, key="q"):
        answer = await self.flights.ajoin(key)
        if answer is None:
            answer = await asyncio.to_thread(self._asked, key)
            self.flights.land(key, answer)
        return answer

    def _asked(self, key):
        self.calls.append(key)
        self.inside.set()
        self.go_on.wait(LONG)
        return self.model(key)

    def waiting(self, many, *, key="q"):
        """Wait until so many have joined the flight of a key; the callbacks are those who wait."""
        until = time.monotonic() + LONG
        while time.monotonic() < until:
            one = self.flights._flights.get(key)
            threads = len(one.answer._condition._waiters) if one else 0
            joined = threads + (len(one.answer._done_callbacks) if one else 0)
            if joined >= many:
                return
            time.sleep(0.01)
        pytest.fail(f"only {joined} of {many} wait")


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(64) as pool:
        yield pool


# One asks, the others wait


def test_threads_that_ask_the_same_at_once_are_one_call(bench, pool):
    bench.go_on.clear()
    asked = [pool.submit(bench.ask) for _ in range(20)]
    bench.waiting(19)
    bench.go_on.set()
    assert {one.result(LONG) for one in asked} == {"answer to q"}
    assert bench.calls == ["q"]


async def test_tasks_that_ask_the_same_at_once_are_one_call(bench):
    answers = await asyncio.gather(*(bench.aask() for _ in range(20)))
    assert set(answers) == {"answer to q"}
    assert bench.calls == ["q"]


def test_threads_and_tasks_of_several_loops_are_one_call(bench, pool):
    async def several():
        return await asyncio.gather(*(bench.aask() for _ in range(5)))

    bench.go_on.clear()
    asked = [pool.submit(bench.ask) for _ in range(5)]
    loops = [pool.submit(asyncio.run, several()) for _ in range(3)]
    bench.waiting(19)
    bench.go_on.set()
    answers = [one.result(LONG) for one in asked]
    answers += [answer for loop in loops for answer in loop.result(LONG)]
    assert (len(answers), set(answers), bench.calls) == (20, {"answer to q"}, ["q"])


def test_other_questions_do_not_wait(bench, pool):
    bench.go_on.clear()
    slow = pool.submit(bench.ask, "slow")
    bench.inside.wait(LONG)
    assert bench.flights.join("other") is None
    assert bench.calls == ["slow"]
    bench.go_on.set()
    slow.result(LONG)


def test_who_asks_after_the_landing_asks_anew(bench):
    assert [bench.ask(), bench.ask()] == ["answer to q"] * 2
    assert bench.calls == ["q", "q"]
    assert len(bench.flights) == 0


def test_an_answer_found_by_whoever_else_lands_the_flight(bench, pool):
    bench.go_on.clear()
    pool.submit(bench.ask)
    bench.inside.wait(LONG)
    waits = pool.submit(bench.ask)
    bench.waiting(1)
    bench.flights.land("q", "from elsewhere")
    assert waits.result(LONG) == "from elsewhere"
    bench.go_on.set()


# Nobody waits in vain, or not twice


def _given_up(bench, pool, leader):
    """The answers of three who wait for a leader that brings nothing, and the seconds they took."""
    began = threading.Event()

    def lead():
        assert bench.flights.join("q") is None
        began.set()
        bench.waiting(3)
        leader()

    leads = pool.submit(lead)
    began.wait(LONG)
    started = time.monotonic()
    followers = [pool.submit(bench.ask) for _ in range(3)]
    answers = [one.result(LONG) for one in followers]
    leads.result(LONG)
    return answers, time.monotonic() - started


@pytest.mark.parametrize("give_up", [lambda flights: flights.abandon("q"), lambda _: failed()])
def test_when_the_leader_gives_up_the_others_go_on_at_once(bench, pool, give_up):
    answers, took = _given_up(bench, pool, lambda: give_up(bench.flights))
    assert (answers, len(bench.calls)) == (["answer to q"] * 3, 3)
    assert took < UNKNOWN


def test_when_the_leader_takes_too_long_the_others_go_on(pool, clock):
    def takes_too_long():
        clock.now += bench.flights.patience
        assert over.wait(LONG)

    bench, over = Bench(longest=0.3), threading.Event()
    bench.model = lambda key: over.set() or f"answer to {key}"
    answers, _ = _given_up(bench, pool, takes_too_long)
    assert (answers, len(bench.calls)) == (["answer to q"] * 3, 3)


def test_when_the_leaders_thread_has_died_nobody_waits_for_it(bench):
    thread = threading.Thread(target=bench.flights.join, args=("q",))
    thread.start()
    thread.join()
    started = time.monotonic()
    assert bench.ask() == "answer to q"
    assert time.monotonic() - started < UNKNOWN / 2


async def test_when_the_leaders_task_is_cancelled_the_others_go_on(bench):
    async def hang():
        assert await bench.flights.ajoin("q") is None
        await asyncio.sleep(LONG)

    leader = asyncio.create_task(hang())
    await asyncio.sleep(0.01)
    followers = [asyncio.create_task(bench.aask()) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert bench.calls == []
    leader.cancel()
    started = time.monotonic()
    assert await asyncio.gather(*followers) == ["answer to q"] * 3
    assert time.monotonic() - started < UNKNOWN / 2


async def test_a_follower_that_is_cancelled_harms_nobody(bench):
    bench.go_on.clear()
    leader = asyncio.create_task(bench.aask())
    await asyncio.to_thread(bench.inside.wait, LONG)
    followers = [asyncio.create_task(bench.aask()) for _ in range(3)]
    await asyncio.sleep(0.01)
    followers[0].cancel()
    bench.go_on.set()
    assert await asyncio.gather(leader, *followers[1:]) == ["answer to q"] * 3
    assert bench.calls == ["q"]


def test_a_loop_that_closed_while_its_task_waited_harms_nobody(bench, pool):
    bench.go_on.clear()
    leader = pool.submit(bench.ask)
    bench.inside.wait(LONG)
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(bench.aask(), 0.05))
    bench.go_on.set()
    assert leader.result(LONG) == "answer to q"


def test_an_abandoned_flight_makes_nobody_wait_later(pool):
    bench = Bench(longest=0.2)
    alive = threading.Event()

    def leave():
        bench.flights.join("q")
        alive.wait(LONG)

    pool.submit(leave)
    while not len(bench.flights):
        time.sleep(0.01)
    for _ in range(3):
        bench.ask()
    assert (len(bench.calls), len(bench.flights)) == (3, 0)
    alive.set()


def test_a_flight_that_was_promised_to_end_outlives_its_thread_and_its_task(bench, pool):
    def begin():
        with leading() as led:
            assert bench.flights.join("q") is None
        begun.extend(led)

    begun = []

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    waits = pool.submit(bench.ask)
    bench.waiting(1)
    time.sleep(2 * flight_module.GLANCE)
    bench.flights.land("q", "late, but as promised")
    assert waits.result(LONG) == "late, but as promised"
    assert [flight.answer.result(0) for flight in begun] == ["late, but as promised"]


def test_who_promised_to_end_a_flight_can_do_so_from_anywhere(bench, pool):
    with leading() as begun:
        bench.flights.join("q")
    (led,) = begun
    waits = pool.submit(bench.ask)
    bench.waiting(1)
    pool.submit(led.end, None)
    assert waits.result(LONG) == "answer to q"
    assert bench.ask() == "answer to q"


def test_at_0_seconds_nobody_waits(pool):
    bench = Bench(longest=0)
    bench.go_on.clear()
    asked = [pool.submit(bench.ask) for _ in range(4)]
    until = time.monotonic() + LONG
    while len(bench.calls) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    bench.go_on.set()
    assert [one.result(LONG) for one in asked] == ["answer to q"] * 4


# Nobody waits for himself


def test_a_leader_that_asks_the_same_again_within_does_not_wait(bench):
    inner = Bench()
    inner.flights = bench.flights
    bench.model = lambda key: inner.ask(key).upper()
    started = time.monotonic()
    assert bench.ask() == "ANSWER TO Q"
    assert time.monotonic() - started < UNKNOWN / 2


def test_nor_does_it_in_a_thread_of_its_own(bench, pool):
    def within(key):
        return pool.submit(copy_context().run, bench.flights.join, key).result(LONG)

    bench.model = lambda key: str(within(key))
    assert bench.ask() == "None"


async def test_nor_does_it_in_a_task_of_its_own(bench):
    assert await bench.flights.ajoin("q") is None
    assert await asyncio.create_task(bench.flights.ajoin("q")) is None


def test_two_leaders_that_ask_for_each_others_key_do_not_wait(bench, pool):
    both = threading.Barrier(2)

    def ask(one, other):
        assert bench.flights.join(one) is None
        both.wait(LONG)
        return bench.flights.join(other)

    crossed = [pool.submit(ask, "a", "b"), pool.submit(ask, "b", "a")]
    started = time.monotonic()
    assert [one.result(LONG) for one in crossed] == [None, None]
    assert time.monotonic() - started < UNKNOWN / 2


async def test_a_blocking_call_in_an_event_loop_does_not_wait_for_a_task_of_that_loop(bench):
    leader = asyncio.create_task(bench.flights.ajoin("q"))
    await leader
    blocked = asyncio.create_task(asyncio.sleep(LONG))
    bench.flights._flights["q"]._task = flight_module.weakref.ref(blocked)
    started = time.monotonic()
    assert bench.flights.join("q") is None
    assert time.monotonic() - started < UNKNOWN / 2
    blocked.cancel()


def test_a_stream_that_is_read_halfway_does_not_hold_up_its_reader(bench):
    def stream():
        context = copy_context()
        assert context.run(bench.flights.join, "q") is None
        yield "half"
        yield "whole"

    chunks = stream()
    next(chunks)
    started = time.monotonic()
    assert bench.flights.join("q") is None
    assert time.monotonic() - started < UNKNOWN / 2


def test_only_the_leader_can_abandon(bench, pool):
    bench.go_on.clear()
    leader = pool.submit(bench.ask)
    bench.inside.wait(LONG)
    bench.flights.abandon("q")
    failed()
    waits = pool.submit(bench.ask)
    bench.waiting(1)
    bench.go_on.set()
    assert (leader.result(LONG), waits.result(LONG), bench.calls) == (*["answer to q"] * 2, ["q"])


def test_a_leader_that_failed_may_wait_for_the_next(bench, pool):
    assert bench.flights.join("q") is None
    failed()
    bench.go_on.clear()
    leader = pool.submit(bench.ask)
    bench.inside.wait(LONG)
    threading.Timer(0.05, bench.go_on.set).start()
    assert bench.ask() == "answer to q"
    assert (leader.result(LONG), bench.calls) == ("answer to q", ["q"])


# How long


def _landed(flights, clock, seconds):
    flights.join("q")
    clock.now += seconds
    flights.land("q", "answer")


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(flight_module, "time", clock)
    return clock


def test_patience_is_learned_by_the_formulas_of_rfc_6298(clock):
    flights = Flights(1000.0)
    assert flights.patience == UNKNOWN
    took = [random.Random(0).uniform(2, 9) for _ in range(30)]
    mean, deviation = took[0], took[0] / 2
    for place, seconds in enumerate(took):
        _landed(flights, clock, seconds)
        if place:
            deviation = 0.75 * deviation + 0.25 * abs(mean - seconds)
            mean = 0.875 * mean + 0.125 * seconds
        assert flights.patience == pytest.approx(2 * (mean + 4 * deviation))


def test_patience_has_a_least_and_a_longest(clock):
    flights = Flights(5.0)
    _landed(flights, clock, 0.001)
    assert flights.patience == SHORTEST
    _landed(flights, clock, 100.0)
    assert flights.patience == 5.0


def test_each_wait_in_vain_halves_the_patience_until_an_answer_lands(clock):
    flights = Flights(1000.0)
    patience = []
    for place in range(IN_VAIN + 1):
        patience.append(flights.patience)
        one = flights._flights[str(place)] = flight_module.Flight(promised=True)
        clock.now += flights.patience
        flights._brought(str(place), one)
    assert patience == [UNKNOWN, UNKNOWN / 2, UNKNOWN / 4, UNKNOWN / 8, 0.0]
    _landed(flights, clock, 1.0)
    assert flights.patience == 6.0


def test_flights_that_nobody_ended_are_bounded(monkeypatch):
    monkeypatch.setattr(flight_module, "UNDER_WAY", 3)
    flights = Flights()
    for key in "abcde":
        flights.join(key)
    assert [*flights._flights] == ["c", "d", "e"]


def test_a_clear_lets_all_go_on(bench, pool):
    bench.go_on.clear()
    leader = pool.submit(bench.ask)
    bench.inside.wait(LONG)
    waits = pool.submit(bench.flights.join, "q")
    bench.waiting(1)
    bench.flights.clear()
    assert waits.result(LONG) is None
    bench.go_on.set()
    leader.result(LONG)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork_the_child_waits_for_no_leader_of_its_parents(bench, pool):
    bench.go_on.clear()
    leader = pool.submit(bench.ask)
    bench.inside.wait(LONG)
    here, there = multiprocessing.Pipe()
    child = os.fork()
    if not child:
        there.send((bench.flights.join("q"), len(bench.flights)))
        os._exit(0)
    assert here.poll(UNKNOWN / 2)
    assert here.recv() == (None, 1)
    os.waitpid(child, 0)
    bench.go_on.set()
    assert leader.result(LONG) == "answer to q"


def test_under_many_threads_everybody_is_answered_and_nothing_is_left(pool):
    keys = [random.Random(0).choice("abcdefgh") for _ in range(400)]

    def model(key):
        time.sleep(0.002)
        return key.upper()

    bench = Bench(model=model)
    assert [*pool.map(bench.ask, keys)] == [key.upper() for key in keys]
    assert len(bench.calls) < len(keys)
    assert len(bench.flights) == 0


def test_it_says_how_it_was_made():
    assert repr(Flights(5.0)) == "Flights(5)"

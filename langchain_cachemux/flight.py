"""Equal questions asked at once: the first is answered, the others wait for its answer.

The first to join a key leads its flight, and it alone asks. Whoever joins the key before the answer has
landed waits for it. Waiting is a favour and never a duty: it is bounded, and who is not served in time
goes on alone. So a leader may fail, forget, hang or die, and costs the others a call each, no more.

Nobody waits who could be waited for: neither a caller inside a flight that it leads itself (a chain
within the model that asks again, two callers with two keys in opposite order), nor one that would block
the event loop on which its leader runs. Hence no circle of callers can form.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

UNDER_WAY = 10_000
"""Flights at once; of more, the one that began longest ago is given up first."""
SHORTEST = 1.0
"""Seconds that a flight is given however fast others were."""
UNKNOWN = 10.0
"""Seconds that a flight is given as long as none has landed."""
IN_VAIN = 4
"""Waits in vain, one after the other, after which nobody waits until an answer lands."""
GLANCE = 0.2
"""Seconds after which a caller that waits looks whether the leader is still there."""


class Flight:
    """One question under way: its leader, and the answer that others wait for."""

    def __init__(self, *, promised: bool) -> None:
        self.began = time.monotonic()
        self.answer: Future[Any] = Future()
        """None when the leader gave up."""
        self._task, self._thread = _whereabouts()
        self._promised = promised

    def end(self, answer: object) -> None:
        """Tell those who wait; only the first end counts."""
        with suppress(InvalidStateError):
            self.answer.set_result(answer)

    @property
    def leaderless(self) -> bool:
        """Whether the task or thread that led it is no more, and nobody had promised to end it."""
        if self._promised:
            return False
        if self._task is not None:
            task = self._task()
            return task is None or task.done()
        thread = self._thread()
        return thread is None or not thread.is_alive()

    @property
    def mine(self) -> bool:
        """Whether the caller runs where its leader does, and so would wait for itself."""
        task, thread = _whereabouts()
        if self._task is None or task is None:
            return self._thread() is thread()
        return self._task() is task()


_Ref = weakref.ref[Any]


def _whereabouts() -> tuple[_Ref | None, _Ref]:
    """The task of the caller, if it runs in one, and its thread."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return None if task is None else weakref.ref(task), weakref.ref(threading.current_thread())


_LED: ContextVar[tuple[Flight, ...]] = ContextVar("led", default=())
"""The flights that were begun in this context, or in one that it is a copy of."""
_PROMISED: ContextVar[list[Flight] | None] = ContextVar("promised", default=None)
"""Where whoever promised to end them collects the flights that begin."""


@contextmanager
def leading() -> Iterator[list[Flight]]:
    """Collect the flights that begin in this block; who does promises to `end` each of them.

    Such a flight does not end with the task or thread that began it: a stream is read by many.
    """
    begun: list[Flight] = []
    token = _PROMISED.set(begun)
    try:
        yield begun
    finally:
        _PROMISED.reset(token)


def failed() -> None:
    """End the flights that are led here, in this context and by this very task or thread."""
    for flight in _LED.get():
        if flight.mine:
            flight.end(None)


class Flights:
    """The flights under way, by key. Safe between threads, between event loops, and after a fork.

    How long is waited is learned as a retransmission timeout is (RFC 6298): twice the mean time of a
    flight and four times its mean deviation, from its beginning. Every wait in vain halves that, until
    an answer lands again.

    Args:
        longest: Seconds waited at most; at 0 nobody waits.
    """

    def __init__(self, longest: float = 60.0) -> None:
        self.longest = float(longest)
        self._mean = self._deviation = 0.0
        self._learned = False
        self._vain = 0
        self._begin()
        _ALL.add(self)

    def __repr__(self) -> str:
        """Say the settings."""
        return f"Flights({self.longest:g})"

    def __len__(self) -> int:
        """Flights under way."""
        return len(self._flights)

    @property
    def patience(self) -> float:
        """Seconds that a flight is given before those who wait go on alone."""
        if self._vain >= IN_VAIN:
            return 0.0
        given = max(2 * (self._mean + 4 * self._deviation), SHORTEST) if self._learned else UNKNOWN
        return min(given / 2.0**self._vain, self.longest)

    def join(self, key: str) -> Any:
        """Wait for the answer of an equal question; None when the caller has to ask for itself."""
        flight = self._board(key)
        if flight is None or _in_event_loop():
            return None
        while self._awaited(flight):
            with suppress(TimeoutError):
                flight.answer.result(min(self._left(flight), GLANCE))
        return self._brought(key, flight)

    async def ajoin(self, key: str) -> Any:
        """As `join`; the event loop goes on meanwhile."""
        flight = self._board(key)
        if flight is None:
            return None
        answer = asyncio.wrap_future(flight.answer)
        while self._awaited(flight):
            await asyncio.wait([answer], timeout=min(self._left(flight), GLANCE))
        return self._brought(key, flight)

    def land(self, key: str, answer: object) -> None:
        """Bring the answer to all who wait, whoever found it; what it is, is between the callers."""
        with self._lock:
            flight = self._flights.pop(key, None)
            if flight is not None:
                self._learn(time.monotonic() - flight.began)
        if flight is not None:
            flight.end(answer)

    def leads(self, key: str) -> bool:
        """Whether it is the caller who asks."""
        return self._flights.get(key) in _LED.get()

    def abandon(self, key: str) -> None:
        """Let those who wait go on alone, if it is the caller who leads."""
        flight = self._flights.get(key)
        if flight is not None and self.leads(key):
            self._drop(key, flight)

    def clear(self) -> None:
        """Let all go on alone."""
        with self._lock:
            flights = [*self._flights.values()]
            self._flights.clear()
        for flight in flights:
            flight.end(None)

    def _board(self, key: str) -> Flight | None:
        """The flight to wait for; None when the caller leads a new one, or must not wait."""
        led = tuple(filter(self._awaited, _LED.get()))
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None and self._awaited(flight):
                return None if led or flight.mine else flight
            dropped = [flight] if flight is not None else []
            begun = _PROMISED.get()
            flight = self._flights[key] = Flight(promised=begun is not None)
            self._flights.move_to_end(key)
            while len(self._flights) > UNDER_WAY:
                dropped.append(self._flights.popitem(last=False)[1])
        for other in dropped:
            other.end(None)
        _LED.set((*led, flight))
        if begun is not None:
            begun.append(flight)
        return None

    def _awaited(self, flight: Flight) -> bool:
        """Whether there is still something to wait for."""
        return not flight.answer.done() and not flight.leaderless and self._left(flight) > 0

    def _left(self, flight: Flight) -> float:
        return flight.began + self.patience - time.monotonic()

    def _brought(self, key: str, flight: Flight) -> Any:
        """What a flight brought; one that brought nothing in its time is waited for no more."""
        if flight.answer.done():
            return flight.answer.result()
        if self._drop(key, flight) and not flight.leaderless:
            with self._lock:
                self._vain += 1
        return None

    def _drop(self, key: str, flight: Flight) -> bool:
        """Wait for a flight no more; False when it was given up before."""
        with self._lock:
            held = self._flights.get(key) is flight
            if held:
                del self._flights[key]
        flight.end(None)
        return held

    def _learn(self, took: float) -> None:
        """RFC 6298, 2.2 and 2.3."""
        if self._learned:
            self._deviation += (abs(took - self._mean) - self._deviation) / 4
            self._mean += (took - self._mean) / 8
        else:
            self._mean, self._deviation, self._learned = took, took / 2, True
        self._vain = 0

    def _begin(self) -> None:
        """Begin with no flight, as after a fork, which no leader but one survives."""
        self._lock = threading.Lock()
        self._flights: OrderedDict[str, Flight] = OrderedDict()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_ALL: weakref.WeakSet[Flights] = weakref.WeakSet()


def _begin_all() -> None:
    for flights in list(_ALL):
        flights._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all)

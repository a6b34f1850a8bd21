"""Locks that a forked child finds free, and what they guard whole.

A fork copies one thread alone: a lock that another held stays held in the child for ever, and what it
guards stays half changed. So for the moment of a fork every lock is taken first, as `pthread_atfork` is
made for. One that is not to be had in time, because whoever holds it waits for a store, is new in the
child.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any
from weakref import WeakValueDictionary

LONGEST = 0.5
"""Seconds that a fork waits at most until nobody is in the middle of a change."""
SHORT = 0.002
"""Seconds that it waits for one lock while it holds others."""


class Lock:
    """A lock that its thread may take again, as `threading.RLock`; free in a forked child."""

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self.begin()
        _ALL[id(self)] = self

    def __enter__(self) -> None:
        """Take it."""
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        """Let it go."""
        self._lock.release()

    def acquire(self, timeout: float = -1) -> bool:
        """Take it; False when it is not to be had in so many seconds."""
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        """Let it go."""
        self._lock.release()

    def begin(self) -> None:
        """Begin as a lock that nobody holds."""
        self._lock = threading.RLock()


_ALL: WeakValueDictionary[int, Lock] = WeakValueDictionary()
_TAKEN = threading.local()
"""Those that the thread that forks has taken."""


def _locks() -> list[Lock]:
    """All there are; read at once, as other threads make new ones."""
    return [lock for one in _ALL.valuerefs() if (lock := one()) is not None]


def _take() -> None:
    """Take all locks, or let all go and try again.

    Whoever waited here while holding some could wait for somebody who waits for one of them.
    """
    until = time.monotonic() + LONGEST
    while True:
        locks = _locks()
        taken = _TAKEN.locks = [lock for lock in locks if lock.acquire(SHORT)]
        if len(taken) == len(locks) or time.monotonic() > until:
            return
        _let_go()
        time.sleep(SHORT)


def _let_go() -> None:
    for lock in _TAKEN.locks:
        lock.release()
    _TAKEN.locks = []


def _begin() -> None:
    """In the child: those that this thread did not take are held by nobody who lives."""
    taken: list[Any] = _TAKEN.locks
    held = {id(lock) for lock in taken}
    for lock in _locks():
        if id(lock) not in held:
            lock.begin()
    _let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take, after_in_parent=_let_go, after_in_child=_begin)

"""Patience with a part that may fail or hang: a deadline, and a while in which it is not asked again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")

SPARED = 60.0
"""Seconds in which what has failed is not tried again."""
FAILURES = 1000
"""Things remembered that have failed; the oldest is forgotten first."""


class SparedError(RuntimeError):
    """What is asked for has failed just now, and was not tried again."""


class Failures:
    """What has failed lately: it fails again at once, so that one fault is waited for once.

    After a deadline that was missed nothing is tried, whatever it is. Safe between threads.
    """

    def __init__(self) -> None:
        self._until: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._late_until = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Try something in the block, unless it has failed just now.

        Raises:
            SparedError: It has, or the last one was late.
        """
        now = time.monotonic()
        with self._lock:
            until, told = self._until.get(what, (0.0, ""))
            late = self._late_until
        if now < max(until, late):
            msg = f"it failed just now, and is tried again within a minute: {told or 'it was late'}"
            raise SparedError(msg)
        try:
            yield
        except Exception as error:
            self._failed(what, error)
            raise

    def _failed(self, what: str, error: Exception) -> None:
        until = time.monotonic() + SPARED
        with self._lock:
            if isinstance(error, TimeoutError):
                self._late_until = until
            self._until[what] = until, repr(error)
            self._until.move_to_end(what)
            if len(self._until) > FAILURES:
                self._until.popitem(last=False)


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return what the work returns, done in a thread; one that is late is left to itself.

    Raises:
        TimeoutError: It took longer.
        Exception: Whatever the work raises.
    """
    done: Future[T] = Future()

    def do() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001
            done.set_exception(error)

    threading.Thread(target=copy_context().run, args=(do,), daemon=True).start()
    return done.result(seconds)

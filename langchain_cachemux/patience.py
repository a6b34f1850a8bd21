"""Patience with a part that may fail or hang: a deadline, and a while in which it is not asked again.

A part is an embedder, a ledger, an index. Whoever asks it waits until a deadline and then goes on
without it. What was late, or has failed a few times in a row, is spared: whoever asks is told so at
once. After a while one caller tries it, and when that goes well all may again.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from threading import TIMEOUT_MAX, Thread
from typing import TypeVar

from langchain_cachemux.background import Background
from langchain_cachemux.discreet import loggable
from langchain_cachemux.locks import Lock

T = TypeVar("T")

IN_A_ROW = 3
"""Failures, with no success between them, after which a part is spared."""
SHORTEST, LONGEST = 1.0, 30.0
"""Seconds for which a part is spared: the first time, and at most; each time twice as many."""
SPARED = 60.0
"""Seconds in which one thing that has failed is not tried again."""
FAILURES = 1000
"""Things remembered that have failed; the oldest is forgotten first."""
THREADS = 32
"""In which a part is asked at once; as many may hang."""
WAITING = 1000
"""Callers that wait for one of them."""

log = logging.getLogger(__name__)


class SparedError(RuntimeError):
    """What is asked for has failed just now, and was not tried again."""


def level(error: Exception) -> int:
    """How loudly to tell of an error: what is spared was told of when it failed."""
    return logging.DEBUG if isinstance(error, SparedError) else logging.WARNING


_LEFT: ContextVar[list[float] | None] = ContextVar("left", default=None)
"""Seconds that are left to all that is asked in this context together."""

_THERE: ContextVar[bool] = ContextVar("there", default=False)
"""Whether this is a thread that asks: what it asks further, it asks itself."""


@contextmanager
def together(seconds: float) -> Iterator[None]:
    """Let all that is asked in this block, of whatever part, take so many seconds and no more.

    Only the time in which a part is waited for counts.
    """
    token = _LEFT.set([seconds])
    try:
        yield
    finally:
        _LEFT.reset(token)


class Patience:
    """Asks one part, which may fail or hang. Safe between threads, and after a fork.

    Args:
        name: What it is called when it is said that it is spared.
        deadline: Seconds that a caller waits, while a thread asks; with None the caller itself asks, as
            nothing can hang.
        shares: Whether its time is taken from what is left to all that is asked `together`.
    """

    def __init__(self, name: str, deadline: float | None = None, *, shares: bool = False) -> None:
        self.name = name
        self.deadline = deadline
        self._shares = shares
        self._threads = Background(threads=THREADS, waiting=WAITING)
        self._failed: OrderedDict[str, tuple[float, str]] = OrderedDict()
        """Things that have failed, until when they are spared, and why."""
        self._until = 0.0
        """When it may be tried again; 0 as long as all is well."""
        self._span = 0.0
        self._row = 0
        self._begun = 0.0
        """When it was last found that it has to be spared: what began before is no new finding."""
        self._told = ""
        self._lock = Lock()

    def ask(self, work: Callable[[], T], what: str = "") -> T:
        """Return what the work returns; what is late is left to itself.

        Args:
            work: Asks the part.
            what: The thing that it is asked about, if that may be the reason of a failure.

        Raises:
            SparedError: The part, or this thing, has failed just now; or no time is left.
            TimeoutError: It was late.
            Exception: Whatever the work raises.
        """
        with self.of(what):
            if self.deadline is None or _THERE.get():
                return work()
            return self._within(self.deadline, work)

    @contextmanager
    def of(self, what: str = "") -> Iterator[None]:
        """Ask the part in the block, unless it is spared.

        Raises:
            SparedError: It is, or the thing it is asked about.
        """
        self._try(what)
        began = time.monotonic()
        try:
            yield
        except SparedError:
            raise
        except Exception as error:
            self._went_wrong(what, error, began)
            raise
        if self._row:
            self._went_well()

    def expect_well(self, what: str) -> None:
        """Raise what asking about this would raise, had it failed just now.

        Raises:
            SparedError: It has.
        """
        until, told = self._failed.get(what, (0.0, ""))
        self._expect(time.monotonic() >= until, told)

    def close(self) -> None:
        """Ask no more; nobody waits for what hangs."""
        self._threads.close(0.0)

    def _expect(self, well: object, told: str) -> None:
        if not well:
            msg = f"{self.name} failed just now, and is tried again soon: {told}"
            raise SparedError(msg)

    def _try(self, what: str) -> None:
        """Refuse what is spared; when that is over the first who comes tries it, and others do not."""
        if self._until or what in self._failed:
            self.expect_well(what)
            now = time.monotonic()
            with self._lock:
                well = now >= self._until
                if well and self._until:
                    self._until = now + max(self.deadline or 0.0, SHORTEST)
            self._expect(well, self._told)

    def _went_well(self) -> None:
        with self._lock:
            spared, self._until, self._span, self._row = self._until, 0.0, 0.0, 0
        if spared:
            log.info("%s works again", self.name)

    def _went_wrong(self, what: str, error: Exception, began: float) -> None:
        now, told = time.monotonic(), repr(error)
        with self._lock:
            self._row += 1
            bad = isinstance(error, TimeoutError) or self._row >= IN_A_ROW
            spared = bad and began >= self._begun
            if spared:
                self._span = min(self._span * 2, LONGEST) or SHORTEST
                self._until, self._begun, self._told = now + self._span, now, told
            if what:
                self._failed[what] = now + SPARED, told
                self._failed.move_to_end(what)
                if len(self._failed) > FAILURES:
                    self._failed.popitem(last=False)
        if spared:
            log.warning("%s is not asked for %g s: %s", self.name, self._span, loggable(error))

    def _within(self, deadline: float, work: Callable[[], T]) -> T:
        left = (_LEFT.get() if self._shares else None) or [deadline]
        seconds = min(deadline, left[0])
        done: Future[T] = Future()
        if seconds <= 0 or not self._threads.do(partial(copy_context().run, _into, done, work)):
            msg = f"{self.name} was not asked: no time was left, or too many wait"
            raise SparedError(msg)
        started = time.monotonic()
        try:
            return done.result(min(seconds, TIMEOUT_MAX))
        except TimeoutError as error:
            done.cancel()  # what has not begun by now is not done
            if seconds < deadline / 2:
                msg = f"{self.name} had no time left"
                raise SparedError(msg) from error
            raise
        finally:
            left[0] -= time.monotonic() - started


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return what the work returns, done in a thread; one that is late is left to itself.

    Raises:
        TimeoutError: It took longer.
        Exception: Whatever the work raises.
    """
    done: Future[T] = Future()
    ask = partial(copy_context().run, _into, done, work)
    Thread(target=ask, daemon=True).start()
    return done.result(min(seconds, TIMEOUT_MAX))


def _into(done: Future[T], work: Callable[[], T]) -> None:
    """Do the work, unless nobody waits for it any more."""
    if not done.set_running_or_notify_cancel():
        return
    _THERE.set(True)
    try:
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001
        done.set_exception(error)

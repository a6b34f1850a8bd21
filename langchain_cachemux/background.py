"""Work off the caller's path: a bounded queue that nobody waits for, and an event loop's own threads.

What does not fit is refused, so a flood costs nothing but the work itself; what was not done when the
process ends, or was forked, is forgotten.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from typing import ParamSpec, TypeVar

Job = Callable[[], None]
P = ParamSpec("P")
T = TypeVar("T")

IDLE = 10.0
"""Seconds after which a thread that has nothing to do ends."""

log = logging.getLogger(__name__)


class Background:
    """Does jobs off the caller's path; safe between threads, and after a fork.

    A job runs in an empty context: callbacks, tracers and tags of whoever gave it are not its own.

    Args:
        threads: At work at once. They are begun when there is work, and end when there is none.
        waiting: Jobs that may wait for one.

    Raises:
        ValueError: An argument is less than 1.
    """

    def __init__(self, *, threads: int = 2, waiting: int = 64) -> None:
        for name, value in (("threads", threads), ("waiting", waiting)):
            if value < 1:
                msg = f"{name} must be at least 1, got {value!r}"
                raise ValueError(msg)
        self.threads = threads
        self.waiting = waiting
        self._closed = False
        self._begin()
        _ALL.add(self)

    def __repr__(self) -> str:
        """Say the settings."""
        return f"Background(threads={self.threads}, waiting={self.waiting})"

    def do(self, job: Job) -> bool:
        """Do a job some time; False when too many wait already, or it was closed."""
        with self._changed:
            if self._closed or len(self._jobs) >= self.waiting:
                return False
            if self._idle <= len(self._jobs) and self._workers < self.threads:
                try:
                    threading.Thread(target=self._work, daemon=True).start()
                except RuntimeError:  # the process is about to end
                    return False
                self._workers += 1
            self._jobs.append(job)
            self._left += 1
            self._changed.notify_all()
        return True

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to do; False when `timeout` seconds were not enough."""
        until = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while self._left:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def close(self, timeout: float = 5.0) -> bool:
        """Take no more jobs, forget those that wait, and wait some seconds for those under way."""
        with self._changed:
            self._closed = True
            self._left -= len(self._jobs)
            self._jobs.clear()
            self._changed.notify_all()
        return self.wait(timeout)

    def _begin(self) -> None:
        """Begin with no job and no thread, as after a fork, which no thread but one survives."""
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._left = 0
        """Jobs that wait, and those under way."""
        self._workers = self._idle = 0

    def _work(self) -> None:
        changed = self._changed
        while True:
            with changed:
                self._idle += 1
                found = changed.wait_for(lambda: self._jobs or self._closed, IDLE)
                self._idle -= 1
                if not found or not self._jobs:
                    self._workers -= 1
                    return
                job = self._jobs.popleft()
            try:
                Context().run(job)
            except Exception as error:  # noqa: BLE001
                log.warning("work in the background failed: %s", type(error).__name__)
            finally:
                del job
                with changed:
                    self._left -= 1
                    changed.notify_all()


class Workers:
    """A few threads to which an event loop hands work that it waits for; anew after a fork.

    They are nobody else's: what a program does in threads never waits behind what is done here.

    Args:
        threads: At work at once.
    """

    def __init__(self, threads: int = 2) -> None:
        self.threads = threads
        self._begin()
        _ALL.add(self)

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do it in a thread, in a copy of the caller's context, and return what it returned.

        Raises:
            RuntimeError: They were closed.
        """
        job = partial(copy_context().run, work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, job)

    def begin(self, work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Do it in a thread, and let nobody wait; nothing when they were closed."""
        with suppress(RuntimeError):
            self._pool.submit(work, *args, **kwargs)

    def close(self) -> None:
        """Take no more work."""
        self._pool.shutdown(wait=False)

    def _begin(self) -> None:
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="cachemux")


_ALL: weakref.WeakSet[Background | Workers] = weakref.WeakSet()


def _begin_all() -> None:
    for one in list(_ALL):
        one._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all)

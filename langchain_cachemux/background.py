"""Work that nobody waits for: a bounded queue and a few threads, which die with the process.

What does not fit is refused, so a flood costs nothing but the work itself; what was not done when the
process ends, or was forked, is forgotten.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable

Job = Callable[[], None]

log = logging.getLogger(__name__)


class Background:
    """Does jobs off the caller's path; safe between threads, and after a fork.

    Args:
        threads: At work at once.
        waiting: Jobs that may wait for one.
    """

    def __init__(self, *, threads: int = 2, waiting: int = 64) -> None:
        for name, value in (("threads", threads), ("waiting", waiting)):
            if value < 1:
                msg = f"{name} must be at least 1, got {value!r}"
                raise ValueError(msg)
        self.threads = threads
        self.waiting = waiting
        self._begin()

    def __repr__(self) -> str:
        """Say the settings."""
        return f"Background(threads={self.threads}, waiting={self.waiting})"

    def do(self, job: Job) -> bool:
        """Do a job some time; False when too many wait already, or it was closed."""
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            if self._closed:
                return False
            try:
                self._jobs.put_nowait(job)
            except queue.Full:
                return False
            if len(self._workers) < self.threads:
                worker = threading.Thread(target=self._work, args=(self._jobs,), daemon=True)
                self._workers.append(worker)
                worker.start()
            return True

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to do; False when `timeout` seconds were not enough."""
        until = None if timeout is None else time.monotonic() + timeout
        with self._jobs.all_tasks_done:
            while self._jobs.unfinished_tasks:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._jobs.all_tasks_done.wait(left)
        return True

    def close(self, timeout: float = 5.0) -> None:
        """Take no more jobs, and wait some seconds for those under way."""
        with self._lock:
            self._closed = True
        self.wait(timeout)

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._jobs: queue.Queue[Job] = queue.Queue(self.waiting)
        self._workers: list[threading.Thread] = []
        self._closed = False

    @staticmethod
    def _work(jobs: queue.Queue[Job]) -> None:
        while True:
            job = jobs.get()
            try:
                job()
            except Exception as error:  # noqa: BLE001
                log.warning("work in the background failed: %r", error)
            finally:
                jobs.task_done()

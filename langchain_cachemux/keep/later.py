"""Work that is done a moment after it was asked for, once for all who asked meanwhile."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from langchain_cachemux.discreet import loggable
from langchain_cachemux.locks import Lock

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = 1.0
"""Seconds after which it is done."""
LONGEST = 60.0
"""Seconds after which it is tried again at the latest, when it fails."""

log = logging.getLogger(__name__)


class Later:
    """Does one piece of work again and again, a second after it was asked for. Safe between threads.

    What fails is logged, and tried again: after two seconds, four, a minute at most. There is a thread
    only while something is to be done, and it keeps no interpreter from ending.

    Args:
        work: What is done.
        name: What it is, for the log.
    """

    def __init__(self, work: Callable[[], object], name: str) -> None:
        self._work = work
        self._name = name
        self._lock = Lock()
        self._timer: threading.Timer | None = None
        self._failures = 0
        self._now = self._closed = False

    def ask(self, *, now: bool = False) -> None:
        """Have it done in a second, or now; nobody waits for it."""
        if self._timer is not None and (self._now or not now):
            return
        with self._lock:
            if self._closed or (self._timer is not None and (self._now or not now)):
                return
            if self._timer is not None:
                self._timer.cancel()
            self._now = now and not self._failures
            delay = 0.0 if self._now else min(EVERY * 2**self._failures, LONGEST)
            self._timer = threading.Timer(delay, self._do)
            self._timer.daemon = True
            with suppress(RuntimeError):  # the process is about to end
                self._timer.start()

    def close(self) -> None:
        """Do it no more; what is under way goes on."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()

    def _do(self) -> None:
        with self._lock:
            self._timer, self._now = None, False
        try:
            self._work()
        except Exception as error:  # noqa: BLE001
            self._failures += 1
            log.warning("%s failed, and is tried again: %s", self._name, loggable(error))
            self.ask()
        else:
            self._failures = 0

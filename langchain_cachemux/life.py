"""From its opening to its end a cache may be used, in the process that opened it; then it says so.

It ends when it is closed, when nobody refers to it any more, or with the interpreter, whichever comes
first; what was not written yet is written then, once. A forked child ends nothing: what it inherited is
its parent's. In memory it goes on with its copy; a folder is its parent's alone.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING
from weakref import WeakSet, finalize

if TYPE_CHECKING:
    from collections.abc import Callable

CLOSED = "the cache was closed: lookups are misses, and nothing is stored"
FORKED = (
    "the cache in %s is open in process %d, of which this is a fork: lookups are misses, and nothing is "
    "stored; open it in each worker after the fork, with shared=True where several have it open"
)

log = logging.getLogger(__name__)


class ClosedError(RuntimeError):
    """It was closed, or is another process's."""


class Life:
    """Whether something may still be used.

    Args:
        of: What lives; it is not kept alive.
        end: Called once at the end. It must not refer to what lives.
        folder: Where it is kept, if a forked child must leave it alone.
    """

    def __init__(self, of: object, end: Callable[[], object], *, folder: object = None) -> None:
        self.over = ""
        """Why it may not be used any more."""
        self._folder = folder
        self._opener = os.getpid()
        self._said = False
        self._end = finalize(of, end)
        _ALL.add(self)

    def expect(self, *, aloud: bool = True) -> None:
        """Refuse what is asked of it after its end; the first time it is also logged.

        Args:
            aloud: Log it; nobody need hear of what a cache does of its own accord.

        Raises:
            ClosedError: It was closed, or is another process's.
        """
        if self.over:
            if aloud and not self._said:
                self._said = True
                log.warning("%s", self.over)
            raise ClosedError(self.over)

    def close(self) -> None:
        """End it, unless it has ended."""
        self.over = self.over or CLOSED
        self._end()

    def fork(self) -> None:
        """Leave to the parent what is the parent's."""
        self._end.detach()
        if self._folder is not None:
            self.over = self.over or FORKED % (self._folder, self._opener)


_ALL: WeakSet[Life] = WeakSet()


def _fork_all() -> None:
    for life in list(_ALL):
        life.fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fork_all)

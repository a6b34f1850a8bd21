"""What was learned, kept in a file, so that after a restart it is known.

The file is written whole or not at all, now and then and at the end; what was learned since the last
time is lost when the process is killed. A file that cannot be read never stops a program: it is set
aside, and learning begins anew. A forked child goes on with what was learned, and writes nothing: the
file is its parent's.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from langchain_cachemux.background import Background
from langchain_cachemux.locks import Lock
from langchain_cachemux.route import files

EVERY = 100
"""Changes after which the file is written again."""
KIND, VERSION = "multiplexer", 1

log = logging.getLogger(__name__)


class Learned(Protocol):
    """What can be written down as plain data, and take over what was."""

    def dump(self) -> dict[str, Any]:
        """Return what was learned."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from that."""
        ...


class Saved:
    """Keeps what others learned in one file. Safe between threads; one process at a time.

    Args:
        path: The file. What it holds is restored at once.
        learned: Who learns, by name.
        background: Where it is written.
        every: Changes after which it is written again; by default `EVERY`.

    Raises:
        ValueError: One of them cannot be written down, or the folder cannot be made.
    """

    def __init__(
        self,
        path: Path,
        learned: Mapping[str, Learned],
        *,
        background: Background,
        every: int | None = None,
    ) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"path must be a folder, got {str(path.parent)!r}: {error}"
            raise ValueError(msg) from error
        for name, one in learned.items():
            try:
                one.dump()
            except ValueError as error:
                msg = f"path keeps what is learned, but {name} cannot be written down: {error}"
                raise ValueError(msg) from error
        self.path = path
        self._learned = dict(learned)
        self._background = background
        self._every = every
        self._lock = Lock()
        self._changes = 0
        self._unsaved = threading.Event()
        refused = recall(path, self._learned)
        if refused:
            self._set_aside(refused)
        self._opener = os.getpid()
        self._end = weakref.finalize(
            self, _save, self._opener, path, self._learned, self._unsaved, self._lock
        )

    def __repr__(self) -> str:
        """Name the file."""
        return f"Saved({str(self.path)!r})"

    def changed(self) -> None:
        """Say that something was learned; now and then it is written, off the caller's path."""
        self._unsaved.set()
        self._changes += 1
        if self._changes % (self._every or EVERY) == 0:
            self._background.do(self.save)

    def save(self) -> None:
        """Write what was learned, if it was not; a fault is logged."""
        _save(self._opener, self.path, self._learned, self._unsaved, self._lock)

    def _set_aside(self, why: object) -> None:
        aside = self.path.with_name(f"{self.path.name}.{time.time_ns()}")
        try:
            self.path.replace(aside)
        except OSError as error:
            log.warning("%s is not used: %s; nor can it be set aside: %r", self.path, why, error)
            return
        log.warning("%s is not used, and now %s; it is learned anew: %s", self.path, aside, why)


def going_on(
    path: Path, learned: Mapping[str, Learned], *, read_only: bool, every: int = 1000
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Let them go on from what a file says; return what to call when they learn, and at the end.

    Args:
        path: The file.
        learned: Who learns, by name.
        read_only: Whether it is only read.
        every: As of `Saved`.
    """
    if read_only:
        recall(path, learned)
        return lambda: None, lambda: None
    saving = Background(threads=1, waiting=1)
    saved = Saved(path, learned, background=saving, every=every)

    def end() -> None:
        saving.close()
        saved.save()

    return saved.changed, end


def recall(path: Path, learned: Mapping[str, Learned]) -> str:
    """Let them go on from a file, which is left alone; what is wrong with it, if anything."""
    try:
        state = files.read(path)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        return str(error)
    if (state.get("kind"), state.get("version")) != (KIND, VERSION):
        return f"it is {state.get('kind')!r} of version {state.get('version')!r}"
    refused = []
    for name in learned.keys() & state.keys():
        try:
            learned[name].restore(state[name])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            refused.append(f"{name}: {error}")
    return "; ".join(refused)


def _save(
    opener: int,
    path: Path,
    learned: Mapping[str, Learned],
    unsaved: threading.Event,
    lock: Lock,
) -> None:
    with lock:
        if not unsaved.is_set() or os.getpid() != opener:
            return
        unsaved.clear()
        try:
            state = {name: one.dump() for name, one in learned.items()}
            files.write(path, {"kind": KIND, "version": VERSION, **state})
        except (OSError, ValueError) as error:
            unsaved.set()
            log.warning("what was learned was not written to %s: %r", path, error)

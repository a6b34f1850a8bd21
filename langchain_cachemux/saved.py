"""What was learned, kept in a file or beside a shared ledger, so that after a restart it is known.

The file is written whole or not at all, now and then and at the end; what was learned since the last
time is lost when the process is killed. A file that cannot be read never stops a program: it is set
aside, and learning begins anew. A forked child goes on with what was learned, and writes nothing: the
file is its parent's.

Of processes that share a ledger each learns by itself from where it began, and writes what it learned
unless what is written rests on more outcomes (`Note`). So whoever opens the cache goes on from the one
that has learned most.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from langchain_cachemux.background import Background
from langchain_cachemux.discreet import loggable
from langchain_cachemux.keep.shared.notes import Note
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
    """Keeps what others learned in one place. Safe between threads.

    Args:
        path: A file, of one process at a time, or a place beside a shared ledger. What it holds is
            restored at once.
        learned: Who learns, by name.
        background: Where it is written.
        every: Changes after which it is written again; by default `EVERY`.

    Raises:
        ValueError: One of them cannot be written down, or the folder cannot be made.
    """

    def __init__(
        self,
        path: Path | Note,
        learned: Mapping[str, Learned],
        *,
        background: Background,
        every: int | None = None,
    ) -> None:
        if isinstance(path, Path):
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
        self._changes = _Changes()
        refused = recall(path, self._learned, self._changes)
        if refused:
            self._set_aside(refused)
        self._opener = os.getpid()
        self._end = weakref.finalize(
            self, _save, self._opener, path, self._learned, self._changes, self._lock
        )

    def __repr__(self) -> str:
        """Name the file."""
        return f"Saved({str(self.path)!r})"

    def changed(self) -> None:
        """Say that something was learned; now and then it is written, off the caller's path."""
        if self._changes.add() % (self._every or EVERY) == 0:
            self._background.do(self.save)

    def save(self) -> None:
        """Write what was learned, if it was not; a fault is logged."""
        _save(self._opener, self.path, self._learned, self._changes, self._lock)

    def _set_aside(self, why: object) -> None:
        if isinstance(self.path, Note):  # it is another process's, which learns for something else
            log.warning("%s is not used, it is learned anew: %s", self.path, why)
            return
        aside = self.path.with_name(f"{self.path.name}.{time.time_ns()}")
        try:
            self.path.replace(aside)
        except OSError as error:
            log.warning("%s is not used: %s; nor can it be set aside: %r", self.path, why, error)
            return
        log.warning("%s is not used, and now %s; it is learned anew: %s", self.path, aside, why)


@dataclass(slots=True)
class _Changes:
    """How much was learned."""

    outcomes: int = 0
    """Since learning began, in whatever process."""
    here: int = 0
    unsaved: threading.Event = field(default_factory=threading.Event)
    lock: Lock = field(default_factory=Lock)
    """Never held while anything is written."""

    def add(self) -> int:
        """Count one more; return how many there were here."""
        self.unsaved.set()
        with self.lock:
            self.outcomes += 1
            self.here += 1
            return self.here


def going_on(
    path: Path | Note, learned: Mapping[str, Learned], *, read_only: bool, every: int = 1000
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


def recall(
    path: Path | Note, learned: Mapping[str, Learned], changes: _Changes | None = None
) -> str:
    """Let them go on from a file, which is left alone; what is wrong with it, if anything."""
    try:
        content = path.read() if isinstance(path, Note) else path.read_bytes()
        if content is None:
            return ""
        state = files.unpacked(content, str(path))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001
        log.warning("what was learned is not read of %s: %s", path, loggable(error))
        return ""
    if (state.get("kind"), state.get("version")) != (KIND, VERSION):
        return f"it is {state.get('kind')!r} of version {state.get('version')!r}"
    refused = []
    for name in learned.keys() & state.keys():
        try:
            learned[name].restore(state[name])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            refused.append(f"{name}: {error}")
    if changes is not None and not refused:
        changes.outcomes = int(state.get("outcomes", 0))
    return "; ".join(refused)


def _save(
    opener: int,
    path: Path | Note,
    learned: Mapping[str, Learned],
    changes: _Changes,
    lock: Lock,
) -> None:
    with lock:
        if not changes.unsaved.is_set() or os.getpid() != opener:
            return
        changes.unsaved.clear()
        try:
            state = {name: one.dump() for name, one in learned.items()}
            told = {"kind": KIND, "version": VERSION, "outcomes": changes.outcomes, **state}
            if isinstance(path, Note):
                path.write(files.packed(told), changes.outcomes)
            else:
                files.write(path, told)
        except Exception as error:  # noqa: BLE001
            changes.unsaved.set()
            log.warning("what was learned was not written to %s: %s", path, loggable(error))

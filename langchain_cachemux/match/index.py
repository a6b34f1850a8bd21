"""What is near: the rows of all wordings held, exactly in memory and beyond that in Chroma.

The index is a hint. It says which keys are near; the ledger says whether they are held. Every wording
of an entry has a row: its own words, and each alias.

As long as there are at most `EXACT` rows the front holds them all, and nothing else is needed: it is
filled from the ledger's vectors, and is faster and more exact than any graph. Beyond, rows are written
to Chroma behind it, in batches that nobody waits for; what is not written yet is in the front, so what
was put is found at once. A collection that others read is written to in any case.

Whatever fails there costs its own thread alone: up to `WAITING` rows wait in the front, and Chroma is
tried again. What was dropped beyond that, or lost by a crash, is found by comparing the collection with
what is held. One that is of no use, and this cache's alone, is made anew.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from errno import ENOTSUP
from functools import partial
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from langchain_cachemux.background import Background
from langchain_cachemux.discreet import loggable
from langchain_cachemux.match.collection import ChromaRows, Place, Sample, lack, rows_of
from langchain_cachemux.match.front import Front, Neighbour, mark_of
from langchain_cachemux.patience import Patience, SparedError, within

if TYPE_CHECKING:
    from pathlib import Path

    from chromadb.api import ClientAPI

    from langchain_cachemux.types import Vector, Wording

EXACT = 20_000
"""Rows that are searched exactly, in half of the time of Chroma (benchmarks/results/index.json)."""
WAITING = 100_000
"""Rows not yet in Chroma that are held in memory, 150 MB; of more, the oldest are left to a repair."""
OUTDATED = 8
"""More rows than asked for that Chroma is asked for, as some of them may have changed since."""
PATIENCE = 0.2
"""Seconds that a search waits for a server, or for rows that are still being read at opening."""
LATEST = 30.0
"""Seconds that a write to a server may take."""
BEHIND = 1.0
"""Seconds after which a row is written to a server."""
BATCH, FEWEST = 500, 16
"""Rows written at once: at most, and to this process's own Chroma at least, if there are as many."""
SLICE = 0.05
"""Seconds that a write to this process's own Chroma should take: no other thread runs meanwhile."""
AGAIN = (0.1, 60.0)
"""Seconds after which what failed is tried again: the first time, and in the end."""
SPOILED = 3
"""Failures in a row after which a collection of this cache's alone is made anew."""
PROBED = 200
"""Rows that are looked for by a near-duplicate of each, to estimate recall."""
RECALL, SIMILAR = 0.99, 0.95
"""Share of them that should be found, and the cosine of each to its near-duplicate."""

log = logging.getLogger(__name__)

Wordings = Callable[[], "Iterable[Wording]"]


class DamagedError(RuntimeError):
    """A collection does not find what was written to it."""


class Index:
    """Slots, found by what is near. Safe between threads; after a fork this process has its own.

    Args:
        opened: Opens the collection; called in the background, and only when it is needed.
        held: All wordings that should have rows.
        discard: Does away with a collection that is of no use any more.
        shared: Whether others read the collection, on a server: it is written to in any case, never
            discarded, and a search in it has a deadline.
        read: Whether the rows of what is held are there already, as nothing is.
        exact: Rows up to which all are held in memory.
        waiting: Rows not yet written that are held in memory.
    """

    def __init__(
        self,
        opened: Callable[[], ChromaRows],
        *,
        held: Wordings = tuple,
        discard: Callable[[], None] | None = None,
        shared: bool = False,
        read: bool = False,
        exact: int = EXACT,
        waiting: int = WAITING,
    ) -> None:
        self.front = Front()
        """The rows in memory."""
        self._lock = self.front.lock
        self._open, self._held, self._discard = opened, held, discard
        self.shared, self.exact, self.waiting = shared, exact, waiting
        self.faults = 0
        """Times that the collection failed."""
        self.misfits = 0
        """Vectors that were of another length than the others."""
        self._length = 0
        """Of every vector; 0 as long as there was none."""
        self._rows: ChromaRows | None = None
        self._versions = count()
        self._pending: dict[int, int] = {}
        """Slots to be written, the oldest first, and the version of each."""
        self._touched: set[int] = set()
        """Slots changed while all wordings are read, which say nothing of them then."""
        self._whole = True
        """Whether every row is in the front."""
        self._beyond = shared
        """Whether the collection is written to."""
        self._unread = not read
        """Whether the front is yet to be filled with what is held."""
        self._unsure = shared
        """Whether the collection is yet to be compared with what is held."""
        self._useless = False
        """Whether the collection is yet to be made anew."""
        self._failed, self._batch, self._cleared, self._doubts = 0, FEWEST, 0, 0
        self._closed = self._busy = False
        self._read, self._hurry = threading.Event(), threading.Event()
        self._begin()
        _ALL.add(self)
        self._wake()
        self._read.wait(PATIENCE)

    def __repr__(self) -> str:
        """What it holds."""
        return f"Index(rows={len(self.front)}, whole={self._whole}, pending={len(self._pending)})"

    @classmethod
    def memory(cls, held: Wordings = tuple, **others: Any) -> Index:
        """An index of a cache in memory: beyond the front, in this process's ephemeral Chroma."""

        def opened() -> ChromaRows:
            import chromadb

            return ChromaRows(chromadb.EphemeralClient())

        return cls(opened, held=held, **others)

    @classmethod
    def folder(cls, path: Path, held: Wordings = tuple, **others: Any) -> Index:
        """An index beyond whose front Chroma's persistent client keeps a folder, of one process."""
        place = Place(path)
        return cls(place.open, held=held, discard=place.discard, **others)

    @classmethod
    def server(
        cls,
        connect: Callable[[], ClientAPI],
        collection: str,
        held: Wordings = tuple,
        **others: Any,
    ) -> Index:
        """An index in a collection that others read too.

        Args:
            connect: Returns a client; called in the background, and again after a fork.
            collection: Its name.
            held: As for the class.
            others: `read`, `exact` and `waiting`, as for the class.
        """

        def opened() -> ChromaRows:
            return ChromaRows(connect(), collection=collection)

        return cls(partial(within, LATEST, opened), held=held, shared=True, **others)

    def put(self, slot: int, key: str, vector: Vector, partition: str, *, own: bool = True) -> None:
        """Write a row, over whatever the slot held; one of a vector that does not fit is blank.

        Args:
            slot: Where.
            key: Of the wording.
            vector: Of its words.
            partition: What a query must share with it.
            own: Whether it is this process that writes it to a collection that others read too.
        """
        with self._lock:
            if self._fits(vector) and (own or self._whole):
                self.front.put(slot, key, vector, mark_of(partition))
            else:
                self.front.drop(slot)
            self._changed(slot, own=own)
        self._wake()

    def blank(self, slot: int, *, own: bool = True) -> None:
        """Hold nothing in a slot any more; as `put`."""
        with self._lock:
            self.front.drop(slot)
            self._changed(slot, own=own)
        self._wake()

    def nearest(self, vector: Vector, partition: str, *, n: int) -> list[Neighbour]:
        """Return at most `n` rows nearest to `vector`, the most similar first.

        Beyond the front, rows of other partitions come out as if they were less similar than they are.
        """
        if not self._read.is_set():
            self._read.wait(PATIENCE)
        if not self._fits(vector):
            return []
        mark = mark_of(partition)
        near, rows = self.front.nearest(vector, mark, n=n), self._rows
        if not self._whole and rows is not None:
            known = {one.slot for one in near}
            behind = self._behind(partial(rows.nearest, vector, mark, n=n + OUTDATED))
            near += [one for one in behind if not (one.slot in known or one.slot in self._pending)]
        return sorted(near, key=lambda one: -one.similarity)[:n]

    def rows(self) -> dict[int, str]:
        """Return the key in each slot, of rows that are written and of those that will be."""
        rows = self._rows
        written = {} if self._whole or rows is None else rows.keys()
        with self._lock:
            for slot in self._pending:
                written.pop(slot, None)
            return written | self.front.rows()

    def check(self, wordings: Iterable[Wording], *, fix: bool = False) -> list[str]:
        """Compare the rows with the wordings that they should be of; those that lack one, in words.

        Where there is a collection, a sample of them is also looked for in it.

        Args:
            wordings: All that are held, of all entries.
            fix: Also write the rows that are missing, and blank those of no wording.
        """
        self._read.wait(LATEST)
        if self._rows is None and not self._whole:
            return ["the index's collection cannot be opened"]
        rows, problems = self.rows(), []
        stale, sample = set(rows), Sample(PROBED)
        for wording in wordings:
            if wording.vector is None:
                continue
            slot, key = wording.slot, wording.key
            stale.discard(slot)
            sample.add(wording)
            if rows.get(slot) != key:
                problems.append(lack(wording))
                if fix:
                    self.put(slot, key, wording.vector, wording.partition)
        if fix:
            for slot in stale:
                self.blank(slot)
        behind = None if self._unsure else self._rows
        written = [one for one in sample.wordings if one.slot not in self._pending]
        if behind is not None and written:
            found = behind.recall(rows_of(written), similarity=SIMILAR)
            if found < RECALL:
                of = f"near-duplicates of {len(written)} wordings"
                problems.append(f"of {of}, {found:.1%} are found")
        return problems

    def clear(self) -> None:
        """Hold nothing, and do away with the collection, in the background."""
        with self._lock:
            self.front.clear()
            self._pending.clear()
            self._touched.clear()
            self._cleared += 1
            self._length, self._whole, self._unread = 0, True, False
            self._beyond = self._unsure = self.shared
            self._useless = self._rows is not None or self._discard is not None
            self._read.set()
        self._wake()

    def anew(self) -> None:
        """Write the collection anew from what is held, so that nothing else is left in it."""
        with self._lock:
            self._useless, self._unsure = True, self._beyond
        self._wake()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all is written that has to be; False when that takes longer."""
        self._hurry.set()
        try:
            return self._writer.wait(timeout)
        finally:
            if not self._closed:
                self._hurry.clear()

    def close(self, timeout: float = 5.0) -> None:
        """Write what waits, for some seconds at most, and let go of the collection.

        What is not written by then, or was never begun, is repaired when it is opened again.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._hurry.set()
        rows = self._rows
        if self._writer.close(timeout) and rows is not None:
            with suppress(Exception):
                within(timeout, partial(rows.close, sound=not (self._unsure or self._useless)))

    # What is done behind

    def _fits(self, vector: Vector) -> bool:
        """Whether a vector can be compared with the others; one that cannot is counted."""
        if self._length in {0, len(vector)}:
            self._length = len(vector)
            return True
        self.misfits += 1
        if self.misfits == 1:
            log.warning(
                "the embedder's vectors have length %d, those stored have %d: nothing is found by "
                "meaning; clear the cache, or open it with the embedder that it was made with",
                len(vector),
                self._length,
            )
        return False

    def _changed(self, slot: int, *, own: bool) -> None:
        """Note that a row is another; the lock is held."""
        if self._unread or self._unsure:
            self._touched.add(slot)
        if len(self.front) > self.exact and not self._beyond:
            self._beyond = self._unsure = True
        if self._beyond and own:
            self._await(slot)
        elif not own:
            self._pending.pop(slot, None)

    def _await(self, slot: int) -> None:
        """Have a row written some time; the lock is held."""
        self._pending[slot] = next(self._versions)
        while len(self._pending) > self.waiting:
            oldest = next(iter(self._pending))
            del self._pending[oldest]
            self.front.drop(oldest)
            self._whole = False
            self._doubt()

    def _doubt(self) -> None:
        """Have the collection compared with what is held, again if that is under way."""
        self._unsure, self._doubts = True, self._doubts + 1

    @property
    def _idle(self) -> bool:
        """Whether nothing is to be done."""
        heavy = self._beyond and self._whole and len(self.front) > self.exact
        return not (self._unread or self._useless or self._unsure or self._pending or heavy)

    def _wake(self) -> None:
        """Have the writer see to what is to be done."""
        with self._lock:
            if self._idle:
                self._read.set()
            elif not self._busy:
                self._busy = self._writer.do(self._work)

    def _work(self) -> None:
        """Do what is to be done, one thing after another, until nothing is."""
        while True:
            began = time.monotonic()
            try:
                self._step()
            except BaseException as error:  # noqa: BLE001  # a panic of Chroma's is no Exception
                self._note(error)
                pause = min(AGAIN[0] * 2.0**self._failed, AGAIN[1])
                self._failed += 1
                self._spoiled(error)
            else:
                pause, self._failed = self._pause(time.monotonic() - began), 0
            with self._lock:
                begun = self._useless or (self._rows is not None and not self._unsure)
                if self._idle or (self._closed and (self._failed or not begun)):
                    self._busy = False
                    return
            if self._hurry.wait(pause) and self._failed:
                time.sleep(min(pause, AGAIN[0]))

    def _step(self) -> None:
        """Do the next of what is to be done."""
        if self._unread:
            self._fill()
        elif self._useless and not (self.shared and self._rows is None):
            self._renew()
        elif self._rows is None:
            self._rows = self._open()
        elif self._unsure:
            self._compare(self._rows)
        else:
            self._write(self._rows)
            self._lighten(self._rows)

    def _pause(self, took: float) -> float:
        """Seconds until the next step: rows come together, and this process's threads have a turn."""
        if self._unread or self._useless or self._unsure or self._rows is None:
            return 0.0
        if self.shared:
            return BEHIND if len(self._pending) < BATCH else 0.0
        return took

    def _fill(self) -> None:
        """Fill the front with what is held."""
        whole = True
        for wording in self._held():
            with self._lock:
                if self._closed or not self._unread:
                    return
                if len(self.front) >= self.waiting:
                    whole = False
                    break
                self._restore(wording)
        with self._lock:
            self._unread, self._whole = False, whole
            self._beyond = self._unsure = self.shared or len(self.front) > self.exact
            if not self._beyond:
                self._touched.clear()
        self._read.set()
        if not self._beyond and self._discard is not None:
            self._discard()

    def _restore(self, wording: Wording) -> bool:
        """Hold the row of a wording, unless its slot was changed since it was read."""
        vector, slot = wording.vector, wording.slot
        if vector is None or slot in self._touched or not self._fits(vector):
            return False
        self.front.put(slot, wording.key, vector, mark_of(wording.partition))
        return True

    def _renew(self) -> None:
        """Do away with the collection, or with all that is in it where others read it."""
        rows = self._rows
        if rows is not None and self.shared:
            self._patiently(rows.clear)
        elif not self.shared:
            self._rows = None
            if rows is not None:
                with suppress(Exception):
                    rows.close(sound=False)
            if self._discard is not None:
                self._discard()
        self._useless = False

    def _compare(self, rows: ChromaRows) -> None:
        """Find what the collection lacks, and what it should not have."""
        with self._lock:
            self._touched, doubts, cleared = set(self._pending), self._doubts, self._cleared
        written = rows.keys()
        if not self._whole and not self._compared(rows, written, cleared):
            return
        with self._lock:
            if self._cleared != cleared:
                return
            held = self.front.rows() if self._whole else {}
            lacking = [slot for slot, key in held.items() if written.pop(slot, "") != key]
            known = self._touched.union(self.front)
            for slot in (*lacking, *written.keys() - known):
                self._pending.setdefault(slot, next(self._versions))
            self._unsure = self._doubts != doubts
            self._touched.clear()
            self._searching = Patience("the index's collection")
        self._lighten(rows)

    def _compared(self, rows: ChromaRows, written: dict[int, str], cleared: int) -> bool:
        """Have the wordings written that are not, and leave in `written` what should not be there."""
        for wording in self._held():
            if wording.vector is None or written.pop(wording.slot, "") == wording.key:
                continue
            with self._lock:
                if self._closed or self._cleared != cleared:
                    return False
                if self._restore(wording):
                    self._pending.setdefault(wording.slot, next(self._versions))
            while len(self._pending) > self.waiting // 2:
                self._write(rows)
        return True

    def _write(self, rows: ChromaRows) -> None:
        """Write the oldest rows that wait; one that changes meanwhile goes on waiting."""
        with self._lock:
            most = BATCH if self.shared or self._hurry.is_set() else self._batch
            batch = dict(islice(self._pending.items(), most))
            taken = self.front.taken([*batch], self._length)
        if batch and self._length:
            began = time.monotonic()
            self._patiently(partial(rows.write, taken))
            took = max(time.monotonic() - began, 1e-4)
            self._batch = max(FEWEST, min(BATCH, int(len(batch) * min(SLICE / took, 2.0))))
        with self._lock:
            for slot, version in batch.items():
                if self._pending.get(slot) == version:
                    del self._pending[slot]
                    if not self._whole:
                        self.front.drop(slot)

    def _lighten(self, rows: ChromaRows) -> None:
        """Hold in memory what waits and no more, once all is written and there is too much of it.

        Raises:
            DamagedError: What was written is not found.
        """
        if self._pending or self._unsure or len(self.front) <= self.exact:
            return
        slots = [*islice(self.front, 32)]
        if rows.recall(self.front.taken(slots, self._length), similarity=1.0) < RECALL / 2:
            msg = "rows that were written are not found"
            raise DamagedError(msg)
        with self._lock:
            if not (self._pending or self._unsure):
                self._whole = False
                self.front.clear()

    def _behind(self, search: Callable[[], list[Neighbour]]) -> list[Neighbour]:
        """What is near in the collection; nothing when it fails."""
        try:
            with self._searching.of():
                return within(PATIENCE, search) if self.shared else search()
        except SparedError:
            return []
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  # a panic of Chroma's is no Exception
            self._note(error)
            if not isinstance(error, TimeoutError):
                self._doubt()
                self._wake()
            return []

    def _patiently(self, work: Callable[[], None]) -> None:
        """Have a server do something; what is late may still be done, at any time."""
        try:
            within(LATEST, work) if self.shared else work()
        except TimeoutError:
            self._doubt()
            raise

    def _note(self, error: BaseException) -> None:
        """Count and tell a failure."""
        self.faults += 1
        tell = log.warning if self.faults == 1 else log.debug
        tell("Chroma failed behind the index, and is tried again: %s", loggable(error))
        self._read.set()

    def _spoiled(self, error: BaseException) -> None:
        """Have a collection of this cache's alone made anew that cannot be read, or fails on."""
        if self.shared or self._unread or isinstance(error, OSError):
            return
        unread = self._rows is None or self._unsure
        if unread or isinstance(error, DamagedError) or self._failed >= SPOILED:
            self._useless = self._unsure = True

    def _begin(self) -> None:
        """Begin with no thread, as after a fork, which no thread but one survives."""
        self._writer = Background(threads=1, waiting=1)
        self._searching = Patience("the index's collection")
        self._busy = False
        self._read, self._hurry = threading.Event(), threading.Event()

    def _forked(self) -> None:
        """Go on in a child: with the front, and a client of its own where others read the collection.

        What Chroma does in a process it does in threads, which no fork survives: a call would hang. So
        a child touches none of its parent's and begins none: the rows in memory are all it searches.
        """
        self._begin()
        if self._rows is not None:
            self._rows.leave()
        self._rows = None
        self._pending.clear()
        self._touched.clear()
        self._useless = False
        if not self.shared:
            self._open = _refused
            self._unread = not self._whole and self._discard is None
            self._beyond = self._unsure = False
            self.exact = self.waiting
        self._wake()


def _refused() -> ChromaRows:
    raise OSError(ENOTSUP, "Chroma in a process does not survive its fork")


_ALL: weakref.WeakSet[Index] = weakref.WeakSet()


def _begin_all() -> None:
    for one in list(_ALL):
        one._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all)

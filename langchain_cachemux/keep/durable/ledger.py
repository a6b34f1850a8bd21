"""The ledger in a database: the books of `MemoryLedger`, with answers in SQLite.

The books are in memory, keys and numbers, so they decide as ever; the database only stores. An admission
is decided, then written in one transaction, and acknowledged when that is done. A use is written later,
with all others of its second. An answer is read by its key. Opening reads no answer, and where there are
many it reads the books behind: meanwhile exact hits come from the database, and uses wait in a queue.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import sqlite3
import threading
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from langchain_cachemux.discreet import loggable
from langchain_cachemux.keep import probes
from langchain_cachemux.keep.books import Rules
from langchain_cachemux.keep.durable import advice, marks
from langchain_cachemux.keep.durable.advice import StoppedError
from langchain_cachemux.keep.durable.database import Database, damage
from langchain_cachemux.keep.durable.resume import described, resumed, valued_by
from langchain_cachemux.keep.durable.unwritten import Batch, Unwritten
from langchain_cachemux.keep.later import LONGEST, Later
from langchain_cachemux.keep.memory import MemoryBooks
from langchain_cachemux.keep.rows import entry_of, wording_of
from langchain_cachemux.keep.sealed import Checksum, DamagedError
from langchain_cachemux.keep.wordings import own
from langchain_cachemux.locks import Lock
from langchain_cachemux.types import Admission, Entry, Standing, Wording

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from langchain_cachemux.keep.books import Account
    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.keep.sealed import Row, Seal
    from langchain_cachemux.keep.wordings import Alias
    from langchain_cachemux.types import Vector

T = TypeVar("T")

MANY = 10_000
"""Rows that wait at most; then they are written at once."""
TOGETHER = 2_000
"""Rows of a kind that one transaction writes, so that no admission waits for long."""
FEW = 2_000
"""Entries that are read at opening; more are read behind."""
PATIENCE = 1.0
"""Seconds from opening on that an admission waits for the books to be read."""

log = logging.getLogger(__name__)


class SqlLedger:
    """`MemoryLedger`'s books over a database in SQLite; one opener at a time.

    Args:
        url: `sqlite:///` and the path of a file, made when missing.
        capacity: Sum of `Entry.size` that may be held; what an earlier, larger capacity held beyond
            it is evicted at opening.
        policy: What is worth keeping, one or several; entries written under others are valued anew.
        ghosts: Forgotten queries whose counts are remembered; by default `books.ghosts_for`.
        about: What the entries are true of (the embedder, say): written when the database is new,
            compared when it is not.
        seal: What rows are written and read under; by default a `Checksum` without a secret.

    Raises:
        ValueError: As `Rules.parse`; or the database was made about something else, or under another
            seal; or the file is damaged.
    """

    def __init__(
        self,
        url: str,
        *,
        capacity: int,
        policy: Policy | Sequence[Policy],
        ghosts: int | None = None,
        about: Mapping[str, str] | None = None,
        seal: Seal | None = None,
    ) -> None:
        self.rules = Rules.parse(capacity=capacity, policy=policy, ghosts=ghosts)
        self.capacity = self.rules.capacity
        self.policies = self.rules.policies
        self._lock = Lock()
        """Held by whoever reads or changes the books, and never while the database is at work."""
        self._writing = Lock()
        """Held by whoever writes."""
        self._database = Database(url, seal or Checksum())
        self._advice = self._database.advice
        self._later: list[Callable[[MemoryBooks], object]] = []
        """What came while the books were read."""
        self._loaded, self._stop = threading.Event(), threading.Event()
        self._closed = False
        self._flushing = Later(self.flush, "writing the counts of an open ledger")
        self._process = os.getpid()
        self._written, self._advised = -1, True
        self._anew()
        try:
            with self._database.readable():
                self._open(dict(about or {}))
        except BaseException:
            self._closed = True
            self._database.close()
            raise
        _OPEN.add(self)

    def __repr__(self) -> str:
        """How it was made; a password in the address is not told."""
        return f"SqlLedger({self._database.engine.url!r}, {self.rules})"

    @property
    def policy(self) -> Policy:
        """The policy that is followed now."""
        return self.policies[self._books.leader]

    def __len__(self) -> int:
        """Entries held."""
        return len(self._books) if self._loaded.is_set() else self._database.count()

    @property
    def size(self) -> int:
        """Sum of the sizes held, never above `capacity` once the books are read."""
        return self._books.size if self._loaded.is_set() else self._database.total()

    def is_loaded(self) -> bool:
        """Whether the books are read."""
        return self._loaded.is_set()

    @property
    def lost(self) -> int:
        """Rows that were passed over since opening, as they were not as they had been written."""
        return self._database.lost

    def __iter__(self) -> Iterator[Entry]:
        """The entries held, read in batches by key."""
        for row, account in self._database.entries():
            entry = self._entry(row, self._by_now(account))
            if entry is not None:
                yield entry

    def get(self, key: str) -> Entry | None:
        """Return the entry that answers `key`, its own or an alias'; counts nothing."""
        wording = self._read(key, words=False)
        return None if wording is None else wording.entry

    def wording(self, key: str, *, asked: str = "") -> Wording | None:
        """Return the words held under `key`, unless they are known to differ from `asked`."""
        return None if self.differs(key, asked) else self._read(key, words=True)

    def wordings(self, key: str | None = None) -> Iterator[Wording]:
        """The wordings of the entry that answers `key`, or of all, read in batches."""
        asked = None if key is None else self.get(key)
        if key is not None and asked is None:
            return
        for entry in self if asked is None else [asked]:
            yield own(entry)
        for alias in self._database.aliases(None if asked is None else asked.key):
            wording = self._read(alias, words=True)
            if wording is not None and wording.key != wording.of:
                yield wording

    def standing(self, key: str) -> Standing | None:
        """Return what the policy followed now thinks of the entry that answers `key`."""
        if not self._loaded.wait(self._patience):
            return None
        with self._lock:
            account = self._books.answering(key)
            return None if account is None else self._books.standing(account)

    def use(self, key: str, *, credit: float = 1.0, cost: float | None = None) -> bool:
        """Count a request answered by `key` and freeze its new worth; False when it is not held.

        It is written later: nothing that happens to the database keeps an answer from being used.
        """
        with self._lock:
            self._expect_open()
            if self._loaded.is_set():
                return self._use(self._books, key, credit, cost)
            if len(self._later) < MANY:
                self._later.append(partial(self._use, key=key, credit=credit, cost=cost))
        return self.get(key) is not None

    def admit(self, entry: Entry) -> Admission:
        """Count a request for a new answer and keep it, unless it is the least worth keeping.

        While the books are read it waits a moment, and is not kept when that is not enough.

        Raises:
            sqlite3.Error: It could not be written, and is not kept.
        """
        if not self._loaded.wait(self._patience):
            return Admission(None)
        return self._change(lambda books: books.admit(entry))

    def reword(self, wording: Wording) -> Admission:
        """Let an entry be asked for in other words too."""
        if not self._loaded.wait(self._patience):
            return Admission(None)
        return self._change(lambda books: books.reword(wording))

    def unword(self, key: str) -> bool:
        """Take an alias back, its entry stays; True when it was one."""
        held = self._loaded.is_set() or self._database.alias(key) is not None
        if self._loading(Batch(unworded=[key]), lambda books: books.unword(key)):
            return held
        return self._change(lambda books: books.unword(key))

    def differ(self, one: str, other: str) -> None:
        """Remember that two keys are different questions."""
        pair = Batch(differences=[(one, other)])
        if not self._loading(pair, lambda books: books.wordings.differ(one, other)):
            self._change(lambda books: books.wordings.differ(one, other))

    def differs(self, one: str, other: str) -> bool:
        """Whether two keys were found to be different questions."""
        if not self._loaded.is_set():
            return self._database.differs(one, other)
        with self._lock:
            return self._books.wordings.differs(one, other)

    def forget(self, key: str, *, ghost: bool = False) -> bool:
        """Drop an entry and its aliases, and its count unless that is to be remembered."""
        held = self._loaded.is_set() or self._database.account(key) is not None
        if self._loading(Batch(gone=[key]), lambda books: books.forget(key, ghost=ghost)):
            return held
        return self._change(lambda books: books.forget(key, ghost=ghost))

    def extend(self, key: str, expires: float) -> bool:
        """Let the entry that answers `key` hold until then; False when it is not held.

        Raises:
            sqlite3.Error: It could not be written.
        """
        account, _ = self._found(key)
        with self._writing:
            return account is not None and marks.extend(self._database, account.key, expires)

    def expired(self, now: float, most: int) -> list[str]:
        """The keys of entries whose end is not after `now`, the first to end first."""
        return marks.expired(self._database, now, most)

    def labelled(self, labels: Collection[str] = (), *, before: float = math.inf) -> list[str]:
        """The keys of entries that bear all of these labels, and were made before then."""
        return marks.labelled(self._database, labels, before)

    def clear(self) -> None:
        """Drop everything: counts, aliases, differences and slots too."""
        self._stop_work()
        with self._writing:
            self._void()
            self._database.clear()
            with self._lock:
                clocks = [shadow.clock for shadow in self._books.shadows]
                self._anew()
                for shadow, clock in zip(self._books.shadows, clocks, strict=True):
                    shadow.clock = clock
            if not self._loaded.is_set():
                self._database.write(Batch(about=valued_by(self.rules)))
                self._loaded.set()
            self._written = -1

    def flush(self) -> None:
        """Write all counts that wait.

        Raises:
            sqlite3.Error: It could not be; they wait on.
        """
        for _ in range(len(self._unwritten) // TOGETHER + 1):
            with self._writing:
                with self._lock:
                    batch = self._unwritten.counted(TOGETHER)
                    if batch or self._books.now != self._written:
                        batch.state, batch.shadows = self._books.state(), _rows(self._books)
                self._write(batch)
                self._written = batch.state.get("now", self._written)

    def compact(self) -> None:
        """Write the file anew, without what was forgotten, and empty its log.

        Raises:
            sqlite3.Error: There is no room for a copy, or another program reads the file.
        """
        self.flush()
        with self._writing:
            self._database.compact()

    def check(self) -> list[str]:
        """Compare the books with themselves and with the database; none in a sound ledger."""
        self._loaded.wait()
        with self._writing:
            self.flush()
            with self._lock:
                problems = self._books.check()
                held, aliases = self._books.accounts(), self._books.wordings.aliases()
            return [*problems, *self._database.unlike(held, aliases), *self._database.problems()]

    def close(self) -> None:
        """Write what waits, and what the policies would hold, and give the file back."""
        if self._process != os.getpid():  # a fork's copy: the connections are another's
            self._closed = True
            self._database.abandon()
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._flushing.close()
        self._stop_work()
        if self._loaded.is_set():
            try:
                self.flush()
                if self._advice is not None:
                    advice.write(self._advice, self._books, described(self.policies))
            except (sqlite3.Error, OSError) as error:
                log.warning("the last counts were not written to %r: %s", self, loggable(error))
        self._database.close()

    # What the database is read and written by

    def _read(self, key: str, *, words: bool) -> Wording | None:
        """What is held under a key, an answer or an alias of one."""
        account, alias = self._found(key)
        if account is None:
            return None
        try:
            row = self._database.payload(account.key)
            told = None if alias is None else self._database.words(key)
            entry = self._entry(row, account)
        except DamagedError as error:
            self._pass_over(alias or account, error)
            return None
        if entry is None or alias is None:
            return None if entry is None else own(entry)
        if told is None or told["of"] != account.key:
            return None
        return wording_of(told, entry, size=alias.size, slot=alias.slot) if words else own(entry)

    def _found(self, key: str) -> tuple[Account | None, Alias | None]:
        """The account of the entry that answers a key, and the alias that the key is of it."""
        if not self._loaded.is_set():
            self._expect_open()
            alias = self._database.alias(key)
            return self._database.account(key if alias is None else alias.of), alias
        with self._lock:
            self._expect_open()
            return self._books.answering(key), self._books.wordings.find(key)

    def _entry(self, row: Row | None, account: Account | None) -> Entry | None:
        """An answer with its numbers by now; None when it left meanwhile."""
        if row is None or account is None:
            return None
        entry = entry_of(row, cost=account.cost, size=account.size, slot=account.slot)
        return entry if entry.slot >= 0 else None

    def _by_now(self, account: Account) -> Account | None:
        """An account as the books have it, while the database has what was last written."""
        if not self._loaded.is_set():
            return account
        with self._lock:
            return self._books.find(account.key)

    def _pass_over(self, damaged: Account | Alias, why: object) -> None:
        """Forget what is damaged, unless another has its key by now: it is as if it had never been."""
        key = damaged.key
        self._database.lost += 1
        log.warning("what is stored under %s is passed over: %s", key, why)
        with self._lock:
            if not self._loaded.is_set():
                return
            if self._books.find(key) is damaged:
                self._books.forget(key)
            elif self._books.wordings.find(key) is damaged:
                self._books.unword(key)
            self._soon()

    def _change(self, decide: Callable[[MemoryBooks], T]) -> T:
        """Decide, write what was decided, and only then say so."""
        with self._writing:
            with self._lock:
                self._expect_open()
                told = decide(self._books)
                batch = self._unwritten.decided()
            self._write(batch)
            with self._lock:
                self._soon()
        return told

    def _write(self, batch: Batch) -> None:
        if not batch:
            return
        try:
            self._void()
            self._database.write(batch)
        except BaseException:
            with self._lock:
                self._unwritten.failed(batch, self._books)
                self._soon()
            raise

    def _void(self) -> None:
        """What the policies would hold is true no more."""
        if self._advised and self._advice is not None:
            self._advice.unlink(missing_ok=True)
            self._advised = False

    def _use(self, books: MemoryBooks, key: str, credit: float, cost: float | None) -> bool:
        used = books.use(key, credit, cost)
        account = books.answering(key)
        if account is not None:
            self._unwritten.count(account)
        self._soon()
        return used

    def _soon(self) -> None:
        """See that what waits is written."""
        self._flushing.ask(now=len(self._unwritten) >= MANY)

    # Opening and closing

    def embedder(self, vector: Vector) -> int | None:
        """Return the place of an embedder among those that vectors are of (`probes.found`).

        Raises:
            sqlite3.Error: The database cannot be asked, or written to.
        """
        stored = {n: v for rows in self._database.scan("about", ("name", "value")) for n, v in rows}
        place, told = probes.found(stored.get(probes.NAME), vector)
        if told != stored.get(probes.NAME):
            self._know(told)
        return place

    def _know(self, embedders: str) -> None:
        self._database.write(Batch(about={probes.NAME: embedders}))

    def _anew(self) -> None:
        """Books that nothing is in."""
        self._unwritten = Unwritten()
        self._books = MemoryBooks(self.rules, self._unwritten)

    def _open(self, about: dict[str, str]) -> None:
        stored = self._database.open(about)
        self._books.leader = min(self._database.state()["leader"], len(self.policies) - 1)
        self._until = time.monotonic() + PATIENCE
        if self._database.count(most=FEW + 1) <= FEW:
            self._load(stored)
        self._behind = threading.Thread(target=self._work_behind, args=(stored,), daemon=True)
        self._behind.start()

    @property
    def _patience(self) -> float:
        """Seconds that are left to wait for the books."""
        return max(self._until - time.monotonic(), 0.0)

    def _work_behind(self, stored: Mapping[str, str]) -> None:
        """Read the books, if they are not, and see whether the file is sound."""
        wait = PATIENCE
        while not self._loaded.is_set():
            try:
                self._load(stored)
            except StoppedError:
                return
            except Exception as error:  # noqa: BLE001
                log.warning("the books of %r are not read yet: %s", self, loggable(error))
                if self._stop.wait(wait):
                    return
                wait = min(2 * wait, LONGEST)
        for problem in self._database.problems(self._stop):
            log.warning("%s", damage(self._database.engine.url.database, problem))

    def _load(self, stored: Mapping[str, str]) -> None:
        """Read the books, and go on with what came meanwhile."""
        books, unwritten, batch = resumed(self.rules, self._database, stored, stop=self._stop)
        if batch:
            with self._writing:
                self._void()
                self._database.write(batch)
        with self._lock:
            if self._stop.is_set():
                raise StoppedError
            self._books, self._unwritten = books, unwritten
            self._written = self._database.state()["now"]
            books.shrink()
            for later in self._later:
                later(books)
            self._later.clear()
            self._loaded.set()
        self.flush()

    def _loading(self, batch: Batch, later: Callable[[MemoryBooks], object]) -> bool:
        """While the books are read: write at once, and tell them later; False when they are read."""
        with self._writing:
            with self._lock:
                self._expect_open()
                if self._loaded.is_set():
                    return False
                self._later.append(later)
            self._database.write(batch)
        return True

    def _stop_work(self) -> None:
        self._stop.set()
        self._behind.join()

    def _expect_open(self) -> None:
        if self._closed:
            msg = "this ledger was closed: open it again"
            raise RuntimeError(msg)


_OPEN: weakref.WeakSet[SqlLedger] = weakref.WeakSet()


def _close_all() -> None:
    for ledger in [*_OPEN]:
        ledger.close()


atexit.register(_close_all)


def _rows(books: MemoryBooks) -> list[tuple[int, int, float, float | None]]:
    """What `SHADOWS` says of each: its place, its size, its loss, its clock."""
    return [
        (place, s.size, s.loss, s.clock if math.isfinite(s.clock) else None)
        for place, s in enumerate(books.shadows)
    ]

"""The store that processes share: many of them, on one machine or on many, and one database.

The database is the book: what is held is bounded by room that is taken from it (`shared_books`). No row
is written by all. A hit is counted in the process that served it and written with others within a
second; time is the sum of what the processes counted; each votes on the policy to follow by what its own
shadows lost (`counts`), and where that changes, what is held is valued anew.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import threading
import time
import weakref
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from uuid import uuid4

import sqlalchemy as sa

from langchain_cachemux.arguments import expect, is_number, number_of
from langchain_cachemux.keep.books import Account, Rules, ghosts_for, leader
from langchain_cachemux.keep.sealed import Checksum
from langchain_cachemux.keep.shared import marks
from langchain_cachemux.keep.shared.books import (
    ASKED_AGAIN,
    Course,
    SharedBooks,
    valued,
)
from langchain_cachemux.keep.shared.connections import Connections
from langchain_cachemux.keep.shared.counts import Batch, Votes, fresh
from langchain_cachemux.keep.shared.opening import ENDED, embedder, made
from langchain_cachemux.keep.shared.reads import (
    NEWS,
    NUMBERS,
    News,
    SharedReads,
)
from langchain_cachemux.keep.shared.tables import (
    ENTRIES,
    FOLLOWED,
    PROCESSES,
)
from langchain_cachemux.keep.shared.upkeep import (
    PURSES_AT_MOST,
    RENEWED,
    cleared,
    fold,
    forget_ghosts,
    problems,
    value_anew,
)
from langchain_cachemux.types import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.keep.sealed import Seal
    from langchain_cachemux.types import Admission, Entry, Vector, Wording

PENDING = 4096
"""Requests that may wait to be written down; one more, and they are written at once."""
FEW = 500
"""Entries that one transaction of a flush, or of a new era, rewrites."""
BEAT = 10.0
"""Seconds after which a process writes its row though nothing was asked."""

T = TypeVar("T")
log = logging.getLogger(__name__)


class SharedLedger(SharedReads):
    """A ledger in PostgreSQL, or in one SQLite file, that any number of processes have open.

    Args:
        url: Address of the database, such as `postgresql+psycopg://user:password@host/name`. Its
            tables are made where they are missing.
        capacity: Sum of `Entry.size` that may be held, by all together; what was held beyond it is
            evicted at opening.
        policy: What is worth keeping, one or several; all processes must say the same.
        ghosts: Forgotten queries whose counts are remembered; by default `books.ghosts_for`.
        about: What the entries are true of (the embedder, say): written when the database is new,
            compared when it is not.
        seal: What rows are written and read under; by default a `Checksum`.
        typical: Size of an entry, about: as many shadows are kept as that makes entries.
        pace: Seconds after which requests are written down; at 0 each is at once.

    Raises:
        ValueError: As `Rules.parse`; or the database was made about something else.
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
        typical: int = 1,
        pace: float = 1.0,
    ) -> None:
        self.rules = Rules.parse(capacity=capacity, policy=policy, ghosts=ghosts)
        expect(is_number(pace) and pace >= 0, "pace", "seconds >= 0, such as 1.0", pace)
        self.capacity = self.rules.capacity
        self.policies = self.rules.policies
        self.pace = number_of(pace)
        super().__init__(Connections(url), seal or Checksum(), name="")
        self.entries_at_most = max(capacity // typical, 1)
        self._told: Callable[[SharedLedger], object] | None = None
        """Looks what has changed."""
        self._votes = Votes(self.rules, entries=self.entries_at_most)
        self._begin()
        _ALL.add(self)
        try:
            given = about or {}
            self.database.write(
                lambda db: made(db, rules=self.rules, about=given, seal=self.seal, on=self._on)
            )
            self.flush()
        except BaseException:
            self.database.close()
            raise

    def __repr__(self) -> str:
        """How it was made; a password in the address is not told."""
        return f"SharedLedger({self.database!r}, {self.rules})"

    def _begin_anew(self) -> None:
        """Go on in a process that was forked: what was counted before is the other's to write."""
        before = {name: getattr(self, name) for name in ("_closed", "_now", "_course")}
        self._begin()
        vars(self).update(before)

    def _begin(self) -> None:
        """Begin with nothing counted, as a process of its own."""
        self.name = uuid4().hex
        """Of this process, among those that share the ledger."""
        self._purse = int(self.name, 16) % PURSES_AT_MOST
        self._lock = threading.RLock()
        self._flushing = threading.RLock()
        self._wake = threading.Event()
        self._writer: threading.Thread | None = None
        self._closed = False
        self._batch = Batch()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        """What was read lately, by key."""
        self._now = 0
        """Requests of all processes, as far as they are known here."""
        self._last = -BEAT
        """When this process's row was written."""
        self._remembered = True
        """Whether there are ghosts that nobody has counted."""
        self._course = self._on(0, 0)
        """Whom all follow."""

    @property
    def policy(self) -> Policy:
        """The policy that is followed now, as far as this process knows."""
        policy: Policy = self.policies[self._course.place]
        return policy

    # What changes it

    def use(self, key: str, *, credit: float = 1.0, cost: float | None = None) -> bool:
        """Count a request answered by `key`, to be written later; False when it is not held.

        A key that was read within the last second is not looked up again: who is evicted meanwhile is
        counted for nothing.
        """
        known = self._held(key)
        if known is None:
            return False
        with self._lock:
            self._now += 1
            self._batch.requests += 1
            if credit:
                self._batch.use(known.of, self._now, credit, cost)
                self._votes.request(known.of, known.cost, known.size, credit)
                if key != known.of:
                    self._batch.turns[key] = time.time_ns()
        self._written_soon()
        return True

    def admit(self, entry: Entry) -> Admission:
        """Count a request for a new answer and keep it, unless it is the least worth keeping."""
        with self._lock:
            self._now += 1
            self._batch.requests += 1
            now = self._now
            self._votes.request(entry.key, entry.cost, entry.size)
        self._written_soon()
        self._remembered = True
        return self._changed(lambda books: books.admit(entry, now))

    def reword(self, wording: Wording) -> Admission:
        """Let an entry be asked for in other words too."""
        return self._changed(lambda books: books.reword(wording))

    def unword(self, key: str) -> bool:
        """Take an alias back, its entry stays; True when it was one."""
        return self._changed(lambda books: books.unword(key))

    def differ(self, one: str, other: str) -> None:
        """Remember that two keys are different questions."""
        self._changed(lambda books: books.wordings.differ(one, other))

    def forget(self, key: str, *, ghost: bool = False) -> bool:
        """Drop an entry and its aliases, and its count too unless it is to be a ghost."""
        held = self._changed(lambda books: books.forget(key, ghost=ghost))
        with self._lock:
            self._batch.asked.pop(key, None)
        return held

    def extend(self, key: str, expires: float) -> bool:
        """Let the entry that answers `key` hold until then; False when it is not held."""
        return self._changed(lambda books: marks.extend(books.db, self.seal, key, expires))

    def expired(self, now: float, most: int) -> list[str]:
        """The keys of entries whose end is not after `now`, the first to end first."""
        return self.database.read(lambda db: marks.expired(db, now, most))

    def labelled(self, labels: Collection[str] = (), *, before: float = math.inf) -> list[str]:
        """The keys of entries that bear all of these labels, and were made before then."""
        return self.database.read(lambda db: marks.labelled(db, labels, before))

    def embedder(self, vector: Vector) -> int | None:
        """Return the place of an embedder among those that vectors are of (`probes.found`)."""
        return self.database.write(lambda db: embedder(db, vector))

    def compact(self) -> None:
        """Write all tables anew, without what was forgotten."""
        self.database.read(marks.compact)

    def clear(self) -> None:
        """Drop everything: counts, aliases and differences too; each slot is nobody's."""
        with self._flushing, self._lock:
            self._batch = Batch()
            self._now = 0
            self._votes.clear()
            self._known.clear()
            self._changed(lambda books: cleared(books, self.capacity))

    # What the processes tell each other

    def hear(self, told: Callable[[SharedLedger], object]) -> None:
        """Have something called with this each `pace` seconds, to look what has changed."""
        self._told = told
        self._begin_writing()

    def flush(self) -> None:
        """Write down what was counted, and learn what the other processes have done.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: That failed; what was not written is kept for the next time.
        """
        with self._flushing:
            with self._lock:
                batch, self._batch = self._batch, Batch()
            try:
                news = self._write(batch)
            except BaseException:
                with self._lock:
                    self._batch.after(batch, at_most=10 * PENDING)
                raise
            self._last = _clock()
            self._follow(news)

    def close(self) -> None:
        """Write down what was counted, and close the connections."""
        self._closed = True
        self._wake.set()
        try:
            self.flush()
            self.database.write(partial(fold, names=[self.name]))
        except Exception as error:  # noqa: BLE001
            log.warning("the last requests could not be counted: %r", error)
        self.database.close()

    def check(self) -> list[str]:
        """Compare the books with themselves; the problems found, none in a sound ledger."""
        if self._told is not None:
            self._told(self)
        return self._changed(problems)

    # How

    @property
    def age(self) -> int:
        """The place of the count that is read by the policy that is followed."""
        return self._course.age

    def one(self, asked: sa.Select[Any], key: str) -> sa.Row[Any] | None:
        """The row that is found under a key; what it says is known for a while."""
        self._begin_writing()
        row = super().one(asked, key)
        if self.pace:
            with self._lock:
                self._known.pop(key, None)
                if row is not None:
                    self._known[key] = _Known(row.key, row.cost, row.size, _clock())
                if len(self._known) > PENDING:
                    self._known.popitem(last=False)
        return row

    def _held(self, key: str) -> _Known | None:
        """What is known of the entry that answers a key; None when it is not held."""
        with self._lock:
            known = self._known.get(key)
        if known is not None and _clock() - known.read < self.pace:
            return known
        row = self.one(NUMBERS, key)
        return None if row is None else _Known(row.key, row.cost, row.size, _clock())

    def _changed(self, work: Callable[[SharedBooks], T]) -> T:
        """What a change of the books came to; it is one transaction."""
        with self._lock:
            course, purse = self._course, self._purse

        def changed(db: sa.Connection) -> T:
            books = SharedBooks(self.rules, course, db, seal=self.seal, by=self.name, purse=purse)
            done = work(books)
            books.settle()
            return done

        done = self.database.write(changed)
        with self._lock:
            self._known.clear()
        return done

    def _written_soon(self) -> None:
        """See to it that what was counted is written in time."""
        if not self.pace:
            self.flush()
            return
        self._begin_writing()
        if self._batch.requests >= PENDING:
            self._wake.set()

    def _begin_writing(self) -> None:
        """Begin the thread that writes and hears, unless it is under way."""
        if self._writer is None and self.pace and not self._closed:
            with self._lock:
                if self._writer is None:
                    told = (weakref.ref(self), self._wake, self.pace)
                    self._writer = threading.Thread(
                        target=_write_on, args=told, name="cachemux counts", daemon=True
                    )
                    self._writer.start()

    def _write(self, batch: Batch) -> News:
        """Write a batch, some entries at a time; what is written is taken out of it."""
        keys = sorted(batch.asked)
        while True:
            few, keys = keys[:FEW], keys[FEW:]
            waits, news = self.database.write(
                partial(self._written, batch=batch, keys=few, last=not keys)
            )
            counted = {key: batch.asked.pop(key) for key in few}
            with self._lock:
                self._batch.after(Batch({key: counted[key] for key in waits}), at_most=10 * PENDING)
            if news is not None:
                return news

    def _written(
        self, db: sa.Connection, *, batch: Batch, keys: list[str], last: bool
    ) -> tuple[set[str], News | None]:
        """Count some; at last tell the others, and hear what they told."""
        waits = self._count(db, batch=batch, keys=keys)
        if not last:
            return waits, None
        self._tell(db, batch=batch)
        if self._remembered:
            self._remembered = False
            forget_ghosts(db, bound=self._bound)
        return waits, News(*[db.execute(asked).all() for asked in NEWS])

    def _count(self, db: sa.Connection, *, batch: Batch, keys: list[str]) -> set[str]:
        """Count requests on their entries; the keys of those that another process has in hand."""
        locked = sa.select(ENTRIES).where(ENTRIES.c.key.in_(keys)).order_by(ENTRIES.c.key)
        rows = db.execute(locked.with_for_update(skip_locked=True)).all()
        renewed = []
        for row in rows:
            asked = batch.asked[row.key]
            account = Account(row.key, row.cost, row.size, tuple(row.counts), row.last)
            asked.count(account, self.rules.half_lives)
            renewed.append(valued(self._course, account, row.uses + asked.credit))
        if renewed:
            db.execute(RENEWED, renewed)
        missing = set(keys) - {row.key for row in rows}
        there = sa.select(ENTRIES.c.key).where(ENTRIES.c.key.in_(missing))
        return set(db.scalars(there)) if missing else missing

    def _tell(self, db: sa.Connection, *, batch: Batch) -> None:
        """Write this process's row, and when aliases were asked."""
        turns = [{"asked": key, "now": turn} for key, turn in sorted(batch.turns.items())]
        if turns:
            db.execute(ASKED_AGAIN, turns)
        course = self._course
        mine = {"losses": self._votes.losses, "era": course.era, "worth": course.worth}
        mine["seen"] = time.time()
        more = PROCESSES.c.requests + batch.requests
        row = sa.update(PROCESSES).where(PROCESSES.c.id == self.name)
        if not db.execute(row.values(requests=more, **mine)).rowcount:
            told = {"id": self.name, "requests": batch.requests, **mine}
            db.execute(sa.insert(PROCESSES), told)

    def _follow(self, news: News) -> None:
        """Learn what the others did, and follow whom all together have lost least by."""
        (followed,), rows = news.followed, news.processes
        self._steer(followed.place, followed.era)
        with self._lock:
            self._now = sum(row.requests for row in rows) + self._batch.requests
            for row in rows:
                if row.era == self._course.era and row.worth is not None:
                    self._course.policy.evicted(Standing("", worth=row.worth))
        votes = [row.losses for row in rows if len(row.losses) == len(self.policies)]
        totals = [sum(losses) for losses in zip(*votes, strict=True)]
        place = leader(totals, followed.place) if totals else followed.place
        if place != followed.place:
            self._lead(place)
        if place != followed.place or any(row.era < followed.era for row in news.oldest):
            while self.database.write(partial(value_anew, course=self._course)):
                pass
        ended = [row.id for row in rows if row.id and time.time() - row.seen > ENDED]
        if ended:
            self.database.write(partial(fold, names=ended))

    @property
    def _bound(self) -> int:
        """Ghosts to remember."""
        bound = self.rules.ghosts
        return ghosts_for(self.entries_at_most) if bound is None else bound

    def _lead(self, place: int) -> None:
        """Let all follow another policy, unless another process does so just now."""
        mine = sa.update(FOLLOWED).where(FOLLOWED.c.era == self._course.era)

        def led(db: sa.Connection) -> sa.Row[Any]:
            db.execute(mine.values(place=place, era=FOLLOWED.c.era + 1))
            return db.execute(sa.select(FOLLOWED)).one()

        row = self.database.write(led)
        self._steer(row.place, row.era)

    def _steer(self, place: int, era: int) -> None:
        with self._lock:
            if era != self._course.era:
                self._course = self._on(place, era)

    def _on(self, place: int, era: int) -> Course:
        return Course(place, era, fresh(self.policies)[place], self.rules.ages[place])


class _Known(NamedTuple):
    """What was read of the entry that answers a key."""

    of: str
    cost: float
    size: int
    read: float


_clock = time.monotonic


def _write_on(ledger: weakref.ref[SharedLedger], wake: threading.Event, pace: float) -> None:
    """Write down what is counted each `pace` seconds, as long as there is a ledger."""
    while True:
        wake.wait(pace)
        wake.clear()
        one = ledger()
        if one is None or one._closed:
            return
        try:
            if one._batch or _clock() - one._last > BEAT:
                one.flush()
            if one._told is not None:
                one._told(one)
        except Exception as error:  # noqa: BLE001
            log.warning("the other processes could not be told, or heard, yet: %r", error)
        del one


_ALL: weakref.WeakSet[SharedLedger] = weakref.WeakSet()


def _begin_all() -> None:
    for ledger in list(_ALL):
        ledger._begin_anew()


def _end_all() -> None:
    for ledger in list(_ALL):
        if not ledger._closed:
            ledger.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all)
atexit.register(_end_all)

"""The durable ledger: the same books in a database, one transaction a request.

Worths are frozen at use, so the least is an indexed column away and nothing has to be loaded at
opening. Valuations and payloads live in two tables: a hit rewrites a row of numbers, not an answer.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from langchain_cachemux.policies import victims
from langchain_cachemux.types import Admission, Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_cachemux.policies import Policy

SCHEMA = "1"

_tables = sa.MetaData()
_about = sa.Table(
    "about",
    _tables,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
_books = sa.Table(
    "books",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("now", sa.BigInteger, nullable=False),
    sa.Column("held", sa.Integer, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("slots", sa.Integer, nullable=False),
    sa.Column("victim_worth", sa.Double),
)
_entries = sa.Table(
    "entries",
    _tables,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("slot", sa.Integer, nullable=False, unique=True),
    sa.Column("worth", sa.Double, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("count", sa.Double, nullable=False),
    sa.Column("uses", sa.Integer, nullable=False),
    sa.Column("cost", sa.Double, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Index("least", "worth", "last"),
)
_payloads = sa.Table(
    "payloads",
    _tables,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("vector", sa.LargeBinary),
    sa.Column("answer", sa.Text, nullable=False),
)
_ghosts = sa.Table(
    "ghosts",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("count", sa.Double, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
_free = sa.Table("free_slots", _tables, sa.Column("slot", sa.Integer, primary_key=True))

_VALUATION = ("key", "slot", "worth", "last", "count", "uses", "cost", "size")
_FRESH = {"now": 0, "held": 0, "size": 0, "slots": 0}


class SqlLedger:
    """`MemoryLedger`'s books in SQLite, through SQLAlchemy Core.

    Args:
        url: Database address, for instance `sqlite:///folder/ledger.db`.
        capacity: Sum of `Entry.size` that may be held; what an earlier, larger capacity held beyond
            it is evicted at opening.
        policy: What is worth keeping; entries written under another policy are valued anew.
        ghosts: Forgotten queries whose counts are remembered; by default ten times the most entries
            ever held.
        about: What the entries are true of (the embedder, say): written when the database is new,
            compared when it is not.

    Raises:
        ValueError: The database was made about something else.
    """

    def __init__(
        self,
        url: str,
        *,
        capacity: int,
        policy: Policy,
        ghosts: int | None = None,
        about: Mapping[str, str] | None = None,
    ) -> None:
        if not capacity > 0:
            msg = f"capacity must be positive, got {capacity!r}"
            raise ValueError(msg)
        if ghosts is not None and ghosts < 0:
            msg = f"ghosts must be >= 0, got {ghosts!r}"
            raise ValueError(msg)
        self.capacity = capacity
        self.policy = policy
        self.ghosts = ghosts
        self._lock = threading.RLock()
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _durable)
            sa.event.listen(self._engine, "begin", _immediate)
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        try:
            self._open({"schema": SCHEMA, **(about or {})})
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the connections back; nothing is pending, every call was a transaction."""
        self._engine.dispose()

    def clear(self) -> None:
        """Drop everything, counts and slots too."""
        with self._transaction() as (db, _):
            for table in (_entries, _payloads, _ghosts, _free):
                db.execute(sa.delete(table))
            db.execute(sa.update(_books).values(**_FRESH))

    def __len__(self) -> int:
        """Entries held."""
        with self._reader.connect() as db:
            return int(db.execute(sa.select(_books.c.held)).scalar_one())

    @property
    def size(self) -> int:
        """Sum of the sizes held, never above `capacity`."""
        with self._reader.connect() as db:
            return int(db.execute(sa.select(_books.c.size)).scalar_one())

    def __iter__(self) -> Iterator[Entry]:
        """The entries held, read in batches by key."""
        after = ""
        while True:
            page = _held().where(_entries.c.key > after).order_by(_entries.c.key).limit(256)
            with self._reader.connect() as db:
                rows = db.execute(page).all()
            yield from map(_entry, rows)
            if not rows:
                return
            after = rows[-1].key

    def get(self, key: str) -> Entry | None:
        """Return the entry held under `key`; counts nothing."""
        with self._reader.connect() as db:
            row = db.execute(_held().where(_entries.c.key == key)).one_or_none()
        return None if row is None else _entry(row)

    def use(self, key: str) -> bool:
        """Count a request answered by `key` and freeze its new worth; False when it is not held."""
        with self._transaction() as (db, books):
            row = db.execute(sa.select(_entries).where(_entries.c.key == key)).one_or_none()
            if row is None:
                return False
            entry = Entry(**row._mapping)
            self._request(entry, books)
            db.execute(sa.update(_entries).where(_entries.c.key == key).values(_valuation(entry)))
            return True

    def admit(self, entry: Entry) -> Admission:
        """Count a request for a new answer and keep it, unless it is the least worth keeping."""
        with self._transaction() as (db, books):
            old = db.execute(sa.select(_entries).where(_entries.c.key == entry.key)).one_or_none()
            known = (
                old
                or db.execute(sa.select(_ghosts).where(_ghosts.c.key == entry.key)).one_or_none()
            )
            before = dict(known._mapping) if known else {}
            entry.count, entry.last = before.get("count", 0.0), before.get("last", 0)
            entry.uses = before.get("uses", 0)
            db.execute(sa.delete(_ghosts).where(_ghosts.c.key == entry.key))
            self._request(entry, books)
            if old is not None:
                _drop(db, books, Entry(**old._mapping))
            excess = books["size"] + entry.size - self.capacity
            leaving = victims(entry, excess, _least(db)) if excess > 0 else []
            forgotten = [entry] if leaving is None else leaving
            for victim in forgotten:
                if victim is not entry:
                    _drop(db, books, victim)
                if victim.size <= self.capacity:
                    self._evicted(victim.worth, books)
                self._remember(db, victim, books)
            evicted = tuple(v.key for v in forgotten if v is not entry)
            if leaving is None:
                return Admission(None, (entry.key,) if old is not None else ())
            free = db.execute(sa.select(sa.func.max(_free.c.slot))).scalar()
            entry.slot = books["slots"] if free is None else free
            db.execute(sa.delete(_free).where(_free.c.slot == entry.slot))
            db.execute(sa.insert(_entries).values(_valuation(entry)))
            db.execute(sa.insert(_payloads).values(_payload(entry)))
            books["slots"] = max(books["slots"], entry.slot + 1)
            books["held"] += 1
            books["size"] += entry.size
            return Admission(entry.slot, evicted)

    def forget(self, key: str) -> bool:
        """Drop an entry, its count included; True when it was held."""
        with self._transaction() as (db, books):
            db.execute(sa.delete(_ghosts).where(_ghosts.c.key == key))
            row = db.execute(sa.select(_entries).where(_entries.c.key == key)).one_or_none()
            if row is not None:
                _drop(db, books, Entry(**row._mapping))
            return row is not None

    def check(self) -> list[str]:
        """Compare the books with themselves; the problems found, none in a sound ledger."""
        with self._transaction() as (db, books):
            held, size = db.execute(
                sa.select(
                    sa.func.count(), sa.func.coalesce(sa.func.sum(_entries.c.size), 0)
                ).select_from(_entries)
            ).one()
            slots = [*db.scalars(sa.select(_entries.c.slot)), *db.scalars(sa.select(_free.c.slot))]
            keys, payloads, ghosts = (
                set(db.scalars(sa.select(table.c.key))) for table in (_entries, _payloads, _ghosts)
            )
            problems = {
                f"size {books['size']} is not the sum of sizes": size != books["size"],
                f"size {books['size']} exceeds capacity {self.capacity}": size > self.capacity,
                f"held {books['held']} is not the number of entries": held != books["held"],
                "slots are not a permutation": sorted(slots) != list(range(books["slots"])),
                "an entry has no payload, or a payload no entry": keys != payloads,
                "a ghost is held": not ghosts.isdisjoint(keys),
            }
            return [problem for problem, found in problems.items() if found]

    def _open(self, about: dict[str, str]) -> None:
        _tables.create_all(self._engine)
        policy = json.dumps([type(self.policy).__name__, self.policy.half_life])
        with self._engine.begin() as db:
            stored = {row.name: row.value for row in db.execute(sa.select(_about))}
            for name, value in about.items():
                if stored.get(name, value) != value:
                    msg = f"{name} is {value!r}, but the stored entries were made with {stored[name]!r}"
                    raise ValueError(msg)
            valued = stored.get("policy")
            for name, value in {**about, "policy": policy}.items():
                db.execute(sa.delete(_about).where(_about.c.name == name))
                db.execute(sa.insert(_about).values(name=name, value=value))
            if db.execute(sa.select(_books.c.id)).one_or_none() is None:
                db.execute(sa.insert(_books).values(id=1, **_FRESH))
            if valued not in (None, policy):
                self._value_anew(db)
        with self._transaction() as (db, books):
            while books["size"] > self.capacity:
                victim = next(_least(db))
                _drop(db, books, victim)
                self._evicted(victim.worth, books)
                self._remember(db, victim, books)

    def _value_anew(self, db: sa.Connection) -> None:
        """Freeze every worth again: those of two policies cannot be compared."""
        for row in db.execute(sa.select(_entries)).all():
            entry = Entry(**row._mapping)
            worth = self.policy.worth(entry)
            db.execute(sa.update(_entries).where(_entries.c.key == entry.key).values(worth=worth))
        db.execute(sa.update(_books).values(victim_worth=None))

    @contextmanager
    def _transaction(self) -> Iterator[tuple[sa.Connection, dict[str, Any]]]:
        """One write transaction; the books are written back at its end."""
        with self._lock, self._engine.begin() as db:
            row = db.execute(sa.select(_books).with_for_update()).one()
            before = dict(row._mapping)
            books = dict(before)
            if books["victim_worth"] is not None:
                self.policy.evicted(Entry("", worth=books["victim_worth"]))
            yield db, books
            if books != before:
                db.execute(sa.update(_books).values(books))

    def _request(self, entry: Entry, books: dict[str, Any]) -> None:
        books["now"] += 1
        entry.requested(books["now"], self.policy.half_life)
        entry.worth = self.policy.worth(entry)

    def _evicted(self, worth: float, books: dict[str, Any]) -> None:
        self.policy.evicted(Entry("", worth=worth))
        books["victim_worth"] = max(worth, books["victim_worth"] or worth)

    def _remember(self, db: sa.Connection, entry: Entry, books: dict[str, Any]) -> None:
        db.execute(sa.insert(_ghosts).values(key=entry.key, count=entry.count, last=entry.last))
        bound = 10 * books["slots"] if self.ghosts is None else self.ghosts
        kept = sa.select(_ghosts.c.id).order_by(_ghosts.c.id.desc()).limit(1).offset(bound)
        oldest = db.execute(kept).scalar()
        if oldest is not None:
            db.execute(sa.delete(_ghosts).where(_ghosts.c.id <= oldest))


def _held() -> sa.Select[Any]:
    columns = [c for c in _payloads.c if c.name != "key"]
    return sa.select(_entries, *columns).join(_payloads, _payloads.c.key == _entries.c.key)


def _least(db: sa.Connection) -> Iterator[Entry]:
    """The residents, least (worth, last) first, without their payloads."""
    after = sa.select(_entries).order_by(_entries.c.worth, _entries.c.last)
    seen = 0
    while rows := db.execute(after.offset(seen).limit(8)).all():
        yield from (Entry(**row._mapping) for row in rows)
        seen += len(rows)


def _drop(db: sa.Connection, books: dict[str, Any], entry: Entry) -> None:
    db.execute(sa.delete(_entries).where(_entries.c.key == entry.key))
    db.execute(sa.delete(_payloads).where(_payloads.c.key == entry.key))
    db.execute(sa.insert(_free).values(slot=entry.slot))
    books["held"] -= 1
    books["size"] -= entry.size


def _entry(row: sa.Row[Any]) -> Entry:
    fields = dict(row._mapping)
    blob = fields.pop("vector")
    return Entry(**fields, vector=None if blob is None else np.frombuffer(blob, np.float32))


def _valuation(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _VALUATION}


def _payload(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "partition": entry.partition,
        "text": entry.text,
        "vector": None if entry.vector is None else entry.vector.astype(np.float32).tobytes(),
        "answer": entry.answer,
    }


def _durable(connection: Any, _record: object) -> None:
    """A commit survives the death of the process; readers never wait for the writer."""
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _immediate(connection: sa.Connection) -> None:
    """Take the write lock at once: two deferred transactions could not both upgrade."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")

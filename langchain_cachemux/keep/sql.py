"""The durable ledger: the same books in a database, one transaction a request.

Worths are frozen at use, so the least of each shadow is an indexed column away and nothing has to be
loaded at opening. Counts, standings with the policies and payloads live in three tables: a hit rewrites
rows of numbers, not an answer.
"""

from __future__ import annotations

import json
import math
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from langchain_cachemux.keep.policies import (
    FADE,
    ageing,
    leader,
    limited,
    named,
    remembered,
    victims,
)
from langchain_cachemux.types import Admission, Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from langchain_cachemux.keep.policies import Policy

SCHEMA = "2"

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
    sa.Column("leader", sa.Integer, nullable=False),
    sa.Column("ghosts", sa.Integer, nullable=False),
)
_entries = sa.Table(
    "entries",
    _tables,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("slot", sa.Integer, nullable=False, unique=True),
    sa.Column("cost", sa.Double, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
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
_shadows = sa.Table(
    "shadows",
    _tables,
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("loss", sa.Double, nullable=False),
    sa.Column("victim_worth", sa.Double),
)
_standings = sa.Table(
    "standings",
    _tables,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("uses", sa.Double, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("worth", sa.Double, nullable=False),
    sa.Index("least", "place", "worth", "last"),
)
_strays = sa.Table(
    "strays",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.UniqueConstraint("key", "place"),
    sa.Index("first", "place", "id"),
    sqlite_autoincrement=True,
)
_ghosts = sa.Table(
    "ghosts",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
_free = sa.Table("free_slots", _tables, sa.Column("slot", sa.Integer, primary_key=True))

_FRESH = {"now": 0, "held": 0, "size": 0, "slots": 0, "leader": 0, "ghosts": 0}


@dataclass(slots=True)
class _Open:
    """One write transaction: the connection, and the rows that are written back at its end."""

    db: sa.Connection
    books: dict[str, Any]
    shadows: list[dict[str, Any]]


class SqlLedger:
    """`MemoryLedger`'s books in SQLite, through SQLAlchemy Core; one opener at a time.

    Args:
        url: Database address, for instance `sqlite:///folder/ledger.db`.
        capacity: Sum of `Entry.size` that may be held; what an earlier, larger capacity held beyond
            it is evicted at opening.
        policy: What is worth keeping, one or several; entries written under others are valued anew.
        ghosts: Forgotten queries whose counts are remembered; by default `remembered`.
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
        policy: Policy | Sequence[Policy],
        ghosts: int | None = None,
        about: Mapping[str, str] | None = None,
    ) -> None:
        limited(capacity, ghosts)
        self.capacity = capacity
        self.policies = named(policy)
        self.ghosts = ghosts
        self._half_lives, self._ages = ageing(self.policies)
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
        with self._transaction() as at:
            for table in (_entries, _payloads, _standings, _strays, _ghosts, _free):
                at.db.execute(sa.delete(table))
            at.books |= _FRESH
            for shadow in at.shadows:
                shadow |= {"size": 0, "loss": 0.0}

    @property
    def policy(self) -> Policy:
        """The policy that is followed now."""
        with self._reader.connect() as db:
            return self.policies[int(db.execute(sa.select(_books.c.leader)).scalar_one())]

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
            page = _HELD.where(_entries.c.key > after).order_by(_entries.c.key).limit(256)
            with self._reader.connect() as db:
                rows = db.execute(page).all()
            yield from map(self._entry, rows)
            if not rows:
                return
            after = rows[-1].key

    def get(self, key: str) -> Entry | None:
        """Return the entry held under `key`; counts nothing."""
        with self._reader.connect() as db:
            row = db.execute(_HELD.where(_entries.c.key == key)).one_or_none()
        return None if row is None else self._entry(row)

    def use(self, key: str, *, credit: float = 1.0, cost: float | None = None) -> bool:
        """Count a request answered by `key` and freeze its new worth; False when it is not held."""
        with self._transaction() as at:
            row = at.db.execute(sa.select(_entries).where(_entries.c.key == key)).one_or_none()
            if row is None:
                return False
            if not credit:
                at.books["now"] += 1
                return True
            cost = row.cost if cost is None else cost
            entry = Entry(key, cost, row.size, counts=tuple(row.counts), last=row.last)
            self._request(at, entry, credit, stored=True)
            counted = {"counts": entry.counts, "last": entry.last, "cost": cost}
            at.db.execute(sa.update(_entries).where(_entries.c.key == key).values(counted))
            return True

    def admit(self, entry: Entry) -> Admission:
        """Count a request for a new answer and keep it, unless it is the least worth keeping."""
        key = entry.key
        with self._transaction() as at:
            db, books = at.db, at.books
            old = db.execute(sa.select(_entries).where(_entries.c.key == key)).one_or_none()
            ghost = db.execute(sa.select(_ghosts).where(_ghosts.c.key == key)).one_or_none()
            known = old or ghost
            entry.counts, entry.last = (tuple(known.counts), known.last) if known else ((), 0)
            if ghost is not None:
                self._unremember(at, key)
            if old is not None:
                _drop(at, old)
            holds = self._request(at, entry, 1.0, stored=False)
            if not holds[books["leader"]]:
                self._remember(at, key, entry.counts, entry.last)
                return Admission(None, () if old is None else (key,))
            evicted = self._make_room(at, entry.size)
            free = db.execute(sa.select(sa.func.max(_free.c.slot))).scalar()
            entry.slot = books["slots"] if free is None else free
            if free is not None:
                db.execute(sa.delete(_free).where(_free.c.slot == free))
            fields = {column.name: getattr(entry, column.name) for column in _entries.c}
            db.execute(sa.insert(_entries).values(fields))
            db.execute(sa.insert(_payloads).values(_payload(entry)))
            outside = [{"place": place, "key": key} for place, held in enumerate(holds) if not held]
            if outside:
                db.execute(sa.insert(_strays), outside)
            books["slots"] = max(books["slots"], entry.slot + 1)
            books["held"] += 1
            books["size"] += entry.size
            return Admission(entry.slot, evicted)

    def forget(self, key: str) -> bool:
        """Drop an entry, its count included; True when it was held."""
        with self._transaction() as at:
            self._unremember(at, key)
            for held in at.db.execute(sa.select(_standings).where(_standings.c.key == key)).all():
                at.shadows[held.place]["size"] -= held.size
            at.db.execute(sa.delete(_standings).where(_standings.c.key == key))
            row = at.db.execute(sa.select(_entries).where(_entries.c.key == key)).one_or_none()
            if row is not None:
                _drop(at, row)
            return row is not None

    def check(self) -> list[str]:
        """Compare the books with themselves; the problems found, none in a sound ledger."""
        with self._transaction() as at:
            db, books = at.db, at.books
            held, size = db.execute(sa.select(sa.func.count(), _sum(_entries.c.size))).one()
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
                f"{books['ghosts']} is not the number of ghosts": books["ghosts"] != len(ghosts),
            }
            for place, shadow in enumerate(at.shadows):
                mine = _standings.c.place == place
                total = db.execute(sa.select(_sum(_standings.c.size)).where(mine)).scalar_one()
                strays = set(db.scalars(sa.select(_strays.c.key).where(_strays.c.place == place)))
                shadowed = set(db.scalars(sa.select(_standings.c.key).where(mine)))
                problems |= {
                    f"shadow {place}: size is not the sum of sizes": total != shadow["size"],
                    f"shadow {place}: size exceeds capacity": total > self.capacity,
                    f"shadow {place}: a stray is no stray": strays != keys - shadowed,
                }
            return [problem for problem, found in problems.items() if found]

    def _open(self, about: dict[str, str]) -> None:
        with self._engine.begin() as db:
            _about.create(db, checkfirst=True)
            stored = {row.name: row.value for row in db.execute(sa.select(_about))}
            for name, value in about.items():
                if stored.get(name, value) != value:
                    msg = f"{name} is {value!r}, but the stored entries were made with {stored[name]!r}"
                    raise ValueError(msg)
            _tables.create_all(db)
            valued = {
                **about,
                "policy": _told(self.policies),
                "half-lives": json.dumps(self._half_lives),
            }
            db.execute(sa.delete(_about).where(_about.c.name.in_(valued)))
            db.execute(sa.insert(_about), [{"name": n, "value": v} for n, v in valued.items()])
            if db.execute(sa.select(_books.c.id)).one_or_none() is None:
                db.execute(sa.insert(_books).values(id=1, **_FRESH))
            if stored.get("policy") != valued["policy"]:
                self._value_anew(db, json.loads(stored.get("half-lives", "[]")))
        with self._transaction() as at:
            for place, shadow in enumerate(at.shadows):
                while shadow["size"] > self.capacity:
                    self._leave(at, place, next(_least(at.db, place)))
            self._make_room(at, 0)

    def _value_anew(self, db: sa.Connection, before: list[float]) -> None:
        """Let every policy hold what is held: worths of others cannot be compared with its own.

        Args:
            db: A write transaction.
            before: The half-lives of the counts that are stored; each new one takes the nearest.
        """
        for table in (_shadows, _standings, _strays):
            db.execute(sa.delete(table))
        db.execute(sa.update(_books).values(leader=0))
        size = db.execute(sa.select(_books.c.size)).scalar_one()
        near = [
            min(before, key=lambda h: abs(1 / h - 1 / new)) for new in self._half_lives if before
        ]
        for table in (_entries, _ghosts):
            for key, old in db.execute(sa.select(table.c.key, table.c.counts)).all():
                counts = [old[before.index(half_life)] for half_life in near]
                db.execute(sa.update(table).where(table.c.key == key).values(counts=counts))
        rows = db.execute(sa.select(_entries)).all()
        for place, policy in enumerate(self.policies):
            db.execute(sa.insert(_shadows).values(place=place, size=size, loss=0.0))
            for row in rows:
                entry = Entry(row.key, row.cost, row.size, last=row.last)
                entry.count = entry.uses = row.counts[self._ages[place]]
                entry.worth = policy.worth(entry)
                db.execute(sa.insert(_standings).values(_standing(entry, place)))

    @contextmanager
    def _transaction(self) -> Iterator[_Open]:
        """One write transaction; books and shadows are written back at its end."""
        with self._lock, self._engine.begin() as db:
            books = dict(db.execute(sa.select(_books).with_for_update()).one()._mapping)
            rows = db.execute(sa.select(_shadows).order_by(_shadows.c.place))
            at = _Open(db, dict(books), [dict(row._mapping) for row in rows])
            before = [dict(shadow) for shadow in at.shadows]
            for policy, shadow in zip(self.policies, at.shadows, strict=True):
                if shadow["victim_worth"] is not None:
                    policy.evicted(Entry("", worth=shadow["victim_worth"]))
            yield at
            if at.books != books:
                db.execute(sa.update(_books).values(at.books))
            if at.shadows != before:
                db.execute(_BY_PLACE, [{**s, "at": s["place"]} for s in at.shadows])

    def _request(self, at: _Open, entry: Entry, credit: float, *, stored: bool) -> list[bool]:
        """Tell every policy of a request, and see whom to follow; who holds the entry now."""
        at.books["now"] += 1
        entry.requested(at.books["now"], *self._half_lives, credit=credit)
        mine = sa.select(_standings).where(_standings.c.key == entry.key)
        known = {row.place: row for row in at.db.execute(mine)}
        used, holds = [], []
        for place, (policy, shadow) in enumerate(zip(self.policies, at.shadows, strict=True)):
            old = known.get(place)
            entry.count = entry.counts[self._ages[place]]
            entry.uses = (old.uses if old else 0.0) + credit
            entry.worth = policy.worth(entry)
            shadow["loss"] = shadow["loss"] * FADE + (0.0 if old else entry.cost * credit)
            if old is not None and old.size == entry.size:
                used.append({**_standing(entry, place), "at": place, "of": entry.key})
                holds.append(True)
            else:
                holds.append(self._enter(at, place, entry, old, stored=stored))
        if used:
            at.db.execute(_BY_KEY, used)
        losses = [shadow["loss"] for shadow in at.shadows]
        at.books["leader"] = leader(losses, at.books["leader"])
        return holds

    def _enter(
        self, at: _Open, place: int, entry: Entry, old: sa.Row[Any] | None, *, stored: bool
    ) -> bool:
        """Decide whether a shadow takes `entry` in, and who leaves it for that."""
        db, shadow = at.db, at.shadows[place]
        if old is not None:
            db.execute(_STANDING, {"at": place, "of": entry.key})
            shadow["size"] -= old.size
        excess = shadow["size"] + entry.size - self.capacity
        if entry.size > self.capacity:
            return False
        leaving = victims(entry, excess, _least(db, place)) if excess > 0 else []
        if leaving is None:
            self._evicted(at, place, entry.worth)
            return False
        for victim in leaving:
            self._leave(at, place, victim)
        db.execute(sa.insert(_standings).values(_standing(entry, place)))
        shadow["size"] += entry.size
        if stored:
            stray = (_strays.c.place == place) & (_strays.c.key == entry.key)
            db.execute(sa.delete(_strays).where(stray))
        return True

    def _leave(self, at: _Open, place: int, victim: Entry) -> None:
        """A shadow's least leaves it; if it is stored, it is a stray from now on."""
        at.db.execute(_STANDING, {"at": place, "of": victim.key})
        at.shadows[place]["size"] -= victim.size
        self._evicted(at, place, victim.worth)
        stored = sa.select(sa.literal(place), _entries.c.key).where(_entries.c.key == victim.key)
        at.db.execute(sa.insert(_strays).from_select(["place", "key"], stored))

    def _make_room(self, at: _Open, size: int) -> tuple[str, ...]:
        """Forget what the leader does not hold, the first to have left it first."""
        evicted = []
        strays = sa.select(_entries).join(_strays, _strays.c.key == _entries.c.key)
        mine = strays.where(_strays.c.place == at.books["leader"]).order_by(_strays.c.id).limit(1)
        while at.books["size"] + size > self.capacity:
            stray = at.db.execute(mine).one()
            _drop(at, stray)
            self._remember(at, stray.key, stray.counts, stray.last)
            evicted.append(stray.key)
        return tuple(evicted)

    def _evicted(self, at: _Open, place: int, worth: float) -> None:
        self.policies[place].evicted(Entry("", worth=worth))
        shadow = at.shadows[place]
        before = shadow["victim_worth"]
        shadow["victim_worth"] = worth if before is None else max(worth, before)

    def _remember(self, at: _Open, key: str, counts: Sequence[float], last: int) -> None:
        at.db.execute(sa.insert(_ghosts).values(key=key, counts=counts, last=last))
        at.books["ghosts"] += 1
        bound = remembered(at.books["slots"]) if self.ghosts is None else self.ghosts
        excess = at.books["ghosts"] - bound
        if excess > 0:
            oldest = sa.select(_ghosts.c.id).order_by(_ghosts.c.id).limit(excess)
            at.db.execute(sa.delete(_ghosts).where(_ghosts.c.id.in_(oldest)))
            at.books["ghosts"] = bound

    def _unremember(self, at: _Open, key: str) -> None:
        gone = at.db.execute(sa.delete(_ghosts).where(_ghosts.c.key == key))
        at.books["ghosts"] -= gone.rowcount

    def _entry(self, row: sa.Row[Any]) -> Entry:
        """The entry with what the leading policy thinks of it: nothing, if its shadow lacks it."""
        fields = dict(row._mapping)
        blob, age = fields.pop("vector"), self._ages[fields.pop("leader")]
        fields["counts"] = tuple(fields["counts"])
        vector = None if blob is None else np.frombuffer(blob, np.float32)
        return Entry(**fields, count=fields["counts"][age], vector=vector)


_HELD = (
    sa.select(
        _entries,
        *[column for column in _payloads.c if column.name != "key"],
        _books.c.leader,
        sa.func.coalesce(_standings.c.uses, 0.0).label("uses"),
        sa.func.coalesce(_standings.c.worth, -math.inf).label("worth"),
    )
    .join(_payloads, _payloads.c.key == _entries.c.key)
    .join(_books, sa.true())
    .outerjoin(
        _standings, (_standings.c.key == _entries.c.key) & (_standings.c.place == _books.c.leader)
    )
)
_STANDING = sa.delete(_standings).where(
    (_standings.c.place == sa.bindparam("at")) & (_standings.c.key == sa.bindparam("of"))
)
_BY_KEY = sa.update(_standings).where(
    (_standings.c.place == sa.bindparam("at")) & (_standings.c.key == sa.bindparam("of"))
)
_BY_PLACE = sa.update(_shadows).where(_shadows.c.place == sa.bindparam("at"))


def _least(db: sa.Connection, place: int) -> Iterator[Entry]:
    """Those a shadow holds, least (worth, last) first."""
    worth, last = _standings.c.worth, _standings.c.last
    page = sa.select(_standings).where(_standings.c.place == place).order_by(worth, last).limit(8)
    rows = db.execute(page).all()
    while rows:
        for row in rows:
            yield Entry(row.key, size=row.size, uses=row.uses, last=row.last, worth=row.worth)
        seen = sa.tuple_(worth, last) > sa.tuple_(rows[-1].worth, rows[-1].last)
        rows = db.execute(page.where(seen)).all()


def _drop(at: _Open, row: sa.Row[Any]) -> None:
    """Forget a stored answer; what the shadows hold is their own affair."""
    for table in (_entries, _payloads, _strays):
        at.db.execute(sa.delete(table).where(table.c.key == row.key))
    at.db.execute(sa.insert(_free).values(slot=row.slot))
    at.books["held"] -= 1
    at.books["size"] -= row.size


def _told(policies: Sequence[Policy]) -> str:
    """What tells two lists of policies apart; a repr that is an address says nothing."""
    own = [p if type(p).__repr__ is not object.__repr__ else type(p).__qualname__ for p in policies]
    return repr([(told, policy.half_life) for told, policy in zip(own, policies, strict=True)])


def _sum(column: sa.Column[int]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(column), 0)


def _standing(entry: Entry, place: int) -> dict[str, Any]:
    fields = ("key", "size", "uses", "last", "worth")
    return {"place": place, **{name: getattr(entry, name) for name in fields}}


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

"""The store in tables: the same books in a database, one transaction a request.

Worths are frozen at use, so the least of each shadow is an indexed column away and nothing has to be
loaded at opening.
"""

from __future__ import annotations

import json
import math
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from langchain_cachemux.keep import marks
from langchain_cachemux.keep.books import Rules
from langchain_cachemux.keep.rows import entry_of, vector_of
from langchain_cachemux.keep.sealed import Checksum
from langchain_cachemux.keep.tables import (
    ABOUT,
    BOOKS,
    ENDS,
    ENTRIES,
    GHOSTS,
    PAYLOADS,
    SCHEMA,
    SHADOWS,
    STANDINGS,
    STRAYS,
    TABLES,
    WORDINGS,
    upgrade,
)
from langchain_cachemux.keep.transaction import (
    ANSWERING,
    SEAL,
    SqlBooks,
    SqlWordings,
    are_different,
    row_of,
)
from langchain_cachemux.keep.wordings import own
from langchain_cachemux.types import Standing, Wording

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.types import Admission, Entry

_FRESH = {"now": 0, "held": 0, "size": 0, "slots": 0, "leader": 0, "ghosts": 0}


class SqlLedger:
    """`MemoryLedger`'s books in SQLite, through SQLAlchemy Core; one opener at a time.

    Args:
        url: Database address, for instance `sqlite:///folder/ledger.db`.
        capacity: Sum of `Entry.size` that may be held; what an earlier, larger capacity held beyond
            it is evicted at opening.
        policy: What is worth keeping, one or several; entries written under others are valued anew.
        ghosts: Forgotten queries whose counts are remembered; by default `books.ghosts_for`.
        about: What the entries are true of (the embedder, say): written when the database is new,
            compared when it is not.

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
    ) -> None:
        self.rules = Rules.parse(capacity=capacity, policy=policy, ghosts=ghosts)
        self.capacity = self.rules.capacity
        self.policies = self.rules.policies
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

    def __repr__(self) -> str:
        """How it was made; a password in the address is not told."""
        return f"SqlLedger({self._engine.url!r}, {self.rules})"

    def close(self) -> None:
        """Give the connections back; nothing is pending, every call was a transaction."""
        self._engine.dispose()

    def clear(self) -> None:
        """Drop everything: counts, aliases, differences and slots too."""
        with self._transaction() as books:
            books.clear()

    @property
    def policy(self) -> Policy:
        """The policy that is followed now."""
        with self._reader.connect() as db:
            return self.policies[int(db.execute(sa.select(BOOKS.c.leader)).scalar_one())]

    def __len__(self) -> int:
        """Entries held."""
        with self._reader.connect() as db:
            return int(db.execute(sa.select(BOOKS.c.held)).scalar_one())

    @property
    def size(self) -> int:
        """Sum of the sizes held, never above `capacity`."""
        with self._reader.connect() as db:
            return int(db.execute(sa.select(BOOKS.c.size)).scalar_one())

    def __iter__(self) -> Iterator[Entry]:
        """The entries held, read in batches by key."""
        return map(_entry, self._paged(_HELD, ENTRIES.c.key, ""))

    def get(self, key: str) -> Entry | None:
        """Return the entry that answers `key`, its own or an alias'; counts nothing."""
        with self._reader.connect() as db:
            row = db.execute(_HELD.where(ANSWERING), {"asked": key}).one_or_none()
        return None if row is None else _entry(row)

    def wording(self, key: str, *, asked: str = "") -> Wording | None:
        """Return the words held under `key`, unless they are known to differ from `asked`."""
        held = _WORDED.where(ANSWERING, ~sa.exists().where(are_different(key, asked)))
        with self._reader.connect() as db:
            row = db.execute(held, {"asked": key}).one_or_none()
        return None if row is None else _wording(row)

    def wordings(self, key: str | None = None) -> Iterator[Wording]:
        """The wordings of the entry that answers `key`, or of all, read in batches."""
        aliases = _ALIASES if key is None else _ALIASES.where(ANSWERING).params(asked=key)
        for entry in self if key is None else filter(None, [self.get(key)]):
            yield own(entry)
        yield from map(_wording, self._paged(aliases, _ALIAS_SLOT, -1))

    def standing(self, key: str) -> Standing | None:
        """Return what the policy followed now thinks of the entry that answers `key`."""
        with self._reader.connect() as db:
            row = db.execute(_LED.where(ANSWERING), {"asked": key}).one_or_none()
        if row is None:
            return None
        age = self.rules.ages[row.leader]
        uses, worth = (0.0, -math.inf) if row.worth is None else (row.uses, row.worth)
        return Standing(row.key, row.cost, row.size, row.counts[age], uses, row.last, worth)

    def use(self, key: str, *, credit: float = 1.0, cost: float | None = None) -> bool:
        """Count a request answered by `key` and freeze its new worth; False when it is not held."""
        with self._transaction() as books:
            return books.use(key, credit, cost)

    def admit(self, entry: Entry) -> Admission:
        """Count a request for a new answer and keep it, unless it is the least worth keeping."""
        with self._transaction() as books:
            return books.admit(entry)

    def reword(self, wording: Wording) -> Admission:
        """Let an entry be asked for in other words too."""
        with self._transaction() as books:
            return books.reword(wording)

    def unword(self, key: str) -> bool:
        """Take an alias back, its entry stays; True when it was one."""
        with self._transaction() as books:
            return books.unword(key)

    def differ(self, one: str, other: str) -> None:
        """Remember that two keys are different questions."""
        with self._lock, self._engine.begin() as db:
            SqlWordings(self.capacity, db).differ(one, other)

    def differs(self, one: str, other: str) -> bool:
        """Whether two keys were found to be different questions."""
        with self._reader.connect() as db:
            return SqlWordings(self.capacity, db).differs(one, other)

    def forget(self, key: str, *, ghost: bool = False) -> bool:
        """Drop an entry and its aliases, and its count unless that is to be remembered."""
        with self._transaction() as books:
            return books.forget(key, ghost=ghost)

    def extend(self, key: str, expires: float) -> bool:
        """Let the entry that answers `key` hold until then; False when it is not held."""
        with self._transaction() as books:
            account = books.answering(key)
            return account is not None and marks.extend(books.db, SEAL, account.key, expires)

    def expired(self, now: float, most: int) -> list[str]:
        """The keys of entries whose end is not after `now`, the first to end first."""
        with self._reader.connect() as db:
            return marks.expired(db, now, most)

    def labelled(self, labels: Collection[str] = (), *, before: float = math.inf) -> list[str]:
        """The keys of entries that bear all of these labels, and were made before then."""
        with self._reader.connect() as db:
            return marks.labelled(db, labels, before)

    def check(self) -> list[str]:
        """Compare the books with themselves; the problems found, none in a sound ledger."""
        with self._transaction() as books:
            return books.check()

    def _paged(
        self, rows: sa.Select[Any], column: sa.ColumnElement[Any], after: Any
    ) -> Iterator[sa.Row[Any]]:
        """The rows in which a column, no two of whose values are equal, is greater: read in batches."""
        while True:
            page = rows.where(column > after).order_by(column).limit(256)
            with self._reader.connect() as db:
                found = db.execute(page).all()
            yield from found
            if not found:
                return
            after = found[-1]._mapping[column.name]

    def _open(self, about: dict[str, str]) -> None:
        with self._engine.begin() as db:
            ABOUT.create(db, checkfirst=True)
            stored = upgrade(db, Checksum())
            for name, value in about.items():
                if stored.get(name, value) != value:
                    msg = f"{name} is {value!r}, but the stored entries were made with {stored[name]!r}"
                    raise ValueError(msg)
            TABLES.create_all(db)
            ENDS.create(db, checkfirst=True)
            valued = {
                **about,
                "policy": _described(self.policies),
                "half-lives": json.dumps(self.rules.half_lives),
            }
            db.execute(sa.delete(ABOUT).where(ABOUT.c.name.in_(valued)))
            db.execute(sa.insert(ABOUT), [{"name": n, "value": v} for n, v in valued.items()])
            if db.execute(sa.select(BOOKS.c.id)).one_or_none() is None:
                db.execute(sa.insert(BOOKS).values(id=1, **_FRESH))
            if stored.get("policy") != valued["policy"]:
                self._value_anew(db, json.loads(stored.get("half-lives", "[]")))
        with self._transaction() as books:
            books.shrink()

    def _value_anew(self, db: sa.Connection, before: list[float]) -> None:
        """Let every policy hold what is held: worths of others cannot be compared with its own.

        Args:
            db: A write transaction.
            before: The half-lives of the counts that are stored; each new one takes the nearest.
        """
        for table in (SHADOWS, STANDINGS, STRAYS):
            db.execute(sa.delete(table))
        db.execute(sa.update(BOOKS).values(leader=0))
        size = db.execute(sa.select(BOOKS.c.size)).scalar_one()
        near = [
            min(before, key=lambda h: abs(1 / h - 1 / new))
            for new in self.rules.half_lives
            if before
        ]
        for table in (ENTRIES, GHOSTS):
            for key, old in db.execute(sa.select(table.c.key, table.c.counts)).all():
                counts = [old[before.index(half_life)] for half_life in near]
                db.execute(sa.update(table).where(table.c.key == key).values(counts=counts))
        rows = db.execute(sa.select(ENTRIES)).all()
        for place, policy in enumerate(self.policies):
            db.execute(sa.insert(SHADOWS).values(place=place, size=size, loss=0.0))
            for row in rows:
                count = row.counts[self.rules.ages[place]]
                standing = Standing(row.key, row.cost, row.size, count, count, row.last)
                standing.worth = policy.worth(standing)
                db.execute(sa.insert(STANDINGS).values(row_of(standing, place)))

    @contextmanager
    def _transaction(self) -> Iterator[SqlBooks]:
        """One write transaction; what the books came to is written at its end."""
        with self._lock, self._engine.begin() as db:
            books = SqlBooks(self.rules, db)
            yield books
            books.close()


_HELD = sa.select(
    *[ENTRIES.c[name] for name in ("key", "cost", "size", "slot")],
    *[column for column in PAYLOADS.c if column.name != "key"],
).join(PAYLOADS, PAYLOADS.c.key == ENTRIES.c.key)
_ALIAS_SLOT = WORDINGS.c.slot.label("alias_slot")
_WORDS = [
    _ALIAS_SLOT,
    *[WORDINGS.c[name].label(f"alias_{name}") for name in ("key", "size", "text", "vector")],
]
_ALIASES = _HELD.add_columns(*_WORDS).join(WORDINGS, WORDINGS.c.of == ENTRIES.c.key)
_WORDED = _HELD.add_columns(*_WORDS).outerjoin(WORDINGS, WORDINGS.c.key == sa.bindparam("asked"))
_LED = (
    sa.select(ENTRIES, BOOKS.c.leader, STANDINGS.c.uses, STANDINGS.c.worth)
    .select_from(ENTRIES)
    .join(BOOKS, sa.true())
    .outerjoin(
        STANDINGS, (STANDINGS.c.key == ENTRIES.c.key) & (STANDINGS.c.place == BOOKS.c.leader)
    )
)


def _entry(row: sa.Row[Any]) -> Entry:
    opened = Checksum().open("payloads", dict(row._mapping))
    return entry_of(opened, cost=row.cost, size=row.size, slot=row.slot)


def _wording(row: sa.Row[Any]) -> Wording:
    entry = _entry(row)
    if row.alias_key is None:
        return own(entry)
    return Wording(
        row.alias_key,
        row.key,
        row.alias_text,
        vector_of(row.alias_vector),
        row.alias_size,
        row.alias_slot,
        entry,
    )


def _described(policies: Sequence[Policy]) -> str:
    """What tells two lists of policies apart; a repr that is an address says nothing."""
    own = [p if type(p).__repr__ is not object.__repr__ else type(p).__qualname__ for p in policies]
    return repr([(name, policy.half_life) for name, policy in zip(own, policies, strict=True)])


def _durable(connection: Any, _record: object) -> None:
    """A commit survives the death of the process; readers never wait for the writer."""
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _immediate(connection: sa.Connection) -> None:
    """Take the write lock at once: two deferred transactions could not both upgrade."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")

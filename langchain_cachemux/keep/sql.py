"""The store in tables: the same books in a database, one transaction a request.

Worths are frozen at use, so the least of each shadow is an indexed column away and nothing has to be
loaded at opening. Counts, standings with the policies and payloads live in three tables: a hit rewrites
rows of numbers, not an answer.
"""

from __future__ import annotations

import json
import math
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa
from typing_extensions import override

from langchain_cachemux.keep.books import Account, Books, Rules, Shadow
from langchain_cachemux.types import Entry, Standing

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.types import Admission

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
        """Drop everything, counts and slots too."""
        with self._transaction() as books:
            books.clear()

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
            yield from map(_entry, rows)
            if not rows:
                return
            after = rows[-1].key

    def get(self, key: str) -> Entry | None:
        """Return the entry held under `key`; counts nothing."""
        with self._reader.connect() as db:
            row = db.execute(_HELD.where(_entries.c.key == key)).one_or_none()
        return None if row is None else _entry(row)

    def standing(self, key: str) -> Standing | None:
        """Return what the policy followed now thinks of the entry held under `key`."""
        with self._reader.connect() as db:
            row = db.execute(_LED.where(_entries.c.key == key)).one_or_none()
        if row is None:
            return None
        age = self.rules.ages[row.leader]
        uses, worth = (0.0, -math.inf) if row.worth is None else (row.uses, row.worth)
        return Standing(key, row.cost, row.size, row.counts[age], uses, row.last, worth)

    def use(self, key: str, *, credit: float = 1.0, cost: float | None = None) -> bool:
        """Count a request answered by `key` and freeze its new worth; False when it is not held."""
        with self._transaction() as books:
            return books.use(key, credit, cost)

    def admit(self, entry: Entry) -> Admission:
        """Count a request for a new answer and keep it, unless it is the least worth keeping."""
        with self._transaction() as books:
            return books.admit(entry)

    def forget(self, key: str) -> bool:
        """Drop an entry, its count included; True when it was held."""
        with self._transaction() as books:
            return books.forget(key)

    def check(self) -> list[str]:
        """Compare the books with themselves; the problems found, none in a sound ledger."""
        with self._transaction() as books:
            return books.check()

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
                "policy": _described(self.policies),
                "half-lives": json.dumps(self.rules.half_lives),
            }
            db.execute(sa.delete(_about).where(_about.c.name.in_(valued)))
            db.execute(sa.insert(_about), [{"name": n, "value": v} for n, v in valued.items()])
            if db.execute(sa.select(_books.c.id)).one_or_none() is None:
                db.execute(sa.insert(_books).values(id=1, **_FRESH))
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
        for table in (_shadows, _standings, _strays):
            db.execute(sa.delete(table))
        db.execute(sa.update(_books).values(leader=0))
        size = db.execute(sa.select(_books.c.size)).scalar_one()
        near = [
            min(before, key=lambda h: abs(1 / h - 1 / new))
            for new in self.rules.half_lives
            if before
        ]
        for table in (_entries, _ghosts):
            for key, old in db.execute(sa.select(table.c.key, table.c.counts)).all():
                counts = [old[before.index(half_life)] for half_life in near]
                db.execute(sa.update(table).where(table.c.key == key).values(counts=counts))
        rows = db.execute(sa.select(_entries)).all()
        for place, policy in enumerate(self.policies):
            db.execute(sa.insert(_shadows).values(place=place, size=size, loss=0.0))
            for row in rows:
                count = row.counts[self.rules.ages[place]]
                standing = Standing(row.key, row.cost, row.size, count, count, row.last)
                standing.worth = policy.worth(standing)
                db.execute(sa.insert(_standings).values(_row(standing, place)))

    @contextmanager
    def _transaction(self) -> Iterator[SqlBooks]:
        """One write transaction; what the books came to is written at its end."""
        with self._lock, self._engine.begin() as db:
            books = SqlBooks(self.rules, db)
            yield books
            books.close()


class SqlBooks(Books):
    """Books in tables, open for one write transaction.

    Args:
        rules: What the ledger was told.
        db: The transaction.
    """

    shadows: list[SqlShadow]

    def __init__(self, rules: Rules, db: sa.Connection) -> None:
        self.db = db
        self._row = dict(db.execute(sa.select(_books).with_for_update()).one()._mapping)
        rows = db.execute(sa.select(_shadows).order_by(_shadows.c.place))
        made = zip(rules.policies, rules.ages, rows, strict=True)
        shadows = [SqlShadow(policy, rules.capacity, age, row, db) for policy, age, row in made]
        super().__init__(rules, shadows)
        self.now, self.leader = self._row["now"], self._row["leader"]
        self.size, self.slots = self._row["size"], self._row["slots"]
        self.bound = rules.shared(self.slots)
        self._held, self._remembered = self._row["held"], self._row["ghosts"]

    def close(self) -> None:
        """Write back what changed."""
        row = {
            "id": self._row["id"],
            "now": self.now,
            "held": self._held,
            "size": self.size,
            "slots": self.slots,
            "leader": self.leader,
            "ghosts": self._remembered,
        }
        if row != self._row:
            self.db.execute(sa.update(_books).values(row))
        changed = [{**s.row(), "at": s.place} for s in self.shadows if s.row() != s.before]
        if changed:
            self.db.execute(_BY_PLACE, changed)

    def clear(self) -> None:
        """Drop everything, counts and slots too; what the policies learned of victims stays."""
        for table in (_entries, _payloads, _standings, _strays, _ghosts, _free):
            self.db.execute(sa.delete(table))
        self.now = self.leader = self.size = self.slots = self._held = self._remembered = 0
        for shadow in self.shadows:
            shadow.size, shadow.loss = 0, 0.0

    def shrink(self) -> None:
        """Let go of what an earlier, larger capacity held."""
        for shadow in self.shadows:
            while shadow.size > shadow.capacity:
                shadow.evict(next(shadow.least()))
        self.make_room(0)

    @override
    def request(self, account: Account, credit: float) -> None:
        """As `Books.request`; every row that is rewritten is so at its end, with one statement."""
        self._look_up(account.key)
        super().request(account, credit)
        renewed = [row for shadow in self.shadows for row in shadow.renewed]
        if renewed:
            self.db.execute(_STANDING_RENEWED, renewed)
        if account.slot >= 0:
            mine = sa.update(_entries).where(_entries.c.key == account.key)
            counts = {"counts": account.counts, "last": account.last, "cost": account.cost}
            self.db.execute(mine.values(counts))

    @override
    def forget(self, key: str) -> bool:
        """As `Books.forget`."""
        self._look_up(key)
        return super().forget(key)

    @override
    def check(self) -> list[str]:
        """As `Books.check`; and whether every answer has its payload."""
        keys, payloads = (
            set(self.db.scalars(sa.select(table.c.key))) for table in (_entries, _payloads)
        )
        ghosts = len(self.ghosts())
        problems = {
            f"held {self._held} is not the number of entries": self._held != len(keys),
            "an entry has no payload, or a payload no entry": keys != payloads,
            f"{self._remembered} is not the number of ghosts": self._remembered != ghosts,
        }
        return super().check() + [problem for problem, found in problems.items() if found]

    @override
    def find(self, key: str) -> Account | None:
        row = self.db.execute(sa.select(_entries).where(_entries.c.key == key)).one_or_none()
        return None if row is None else _account(row)

    @override
    def keep(self, account: Account, entry: Entry) -> None:
        fields = {column.name: getattr(account, column.name) for column in _entries.c}
        self.db.execute(sa.insert(_entries).values(fields))
        self.db.execute(sa.insert(_payloads).values(_payload(entry)))
        self._held += 1

    @override
    def remove(self, account: Account) -> None:
        for table in (_entries, _payloads, _strays):
            self.db.execute(sa.delete(table).where(table.c.key == account.key))
        self.db.execute(sa.insert(_free).values(slot=account.slot))
        self._held -= 1

    @override
    def remember(self, account: Account) -> None:
        ghost = {"key": account.key, "counts": account.counts, "last": account.last}
        self.db.execute(sa.insert(_ghosts).values(ghost))
        self._remembered += 1
        excess = self._remembered - self.bound
        if excess > 0:
            oldest = sa.select(_ghosts.c.id).order_by(_ghosts.c.id).limit(excess)
            self.db.execute(sa.delete(_ghosts).where(_ghosts.c.id.in_(oldest)))
            self._remembered -= excess

    @override
    def recall(self, key: str) -> tuple[tuple[float, ...], int]:
        row = self.db.execute(sa.select(_ghosts).where(_ghosts.c.key == key)).one_or_none()
        if row is None:
            return (), 0
        self.db.execute(sa.delete(_ghosts).where(_ghosts.c.key == key))
        self._remembered -= 1
        return tuple(row.counts), row.last

    @override
    def free_slot(self) -> int | None:
        slot: int | None = self.db.scalar(sa.select(sa.func.max(_free.c.slot)))
        if slot is not None:
            self.db.execute(sa.delete(_free).where(_free.c.slot == slot))
        return slot

    @override
    def accounts(self) -> Iterable[Account]:
        return map(_account, self.db.execute(sa.select(_entries)))

    @override
    def free_slots(self) -> list[int]:
        return list(self.db.scalars(sa.select(_free.c.slot)))

    @override
    def ghosts(self) -> list[str]:
        return list(self.db.scalars(sa.select(_ghosts.c.key)))

    def _look_up(self, key: str) -> None:
        """Tell every shadow whether it holds a key."""
        for row in self.db.execute(sa.select(_standings).where(_standings.c.key == key)):
            self.shadows[row.place].held[key] = _standing(row)


class SqlShadow(Shadow):
    """A shadow in a table, over the index of (place, worth, last)."""

    def __init__(
        self, policy: Policy, capacity: int, age: int, row: sa.Row[Any], db: sa.Connection
    ) -> None:
        super().__init__(policy, capacity=capacity, age=age)
        self.db = db
        self.before = dict(row._mapping)
        self.place: int = row.place
        self.size, self.loss = row.size, row.loss
        self.renewed: list[dict[str, Any]] = []
        self._victim_worth: float | None = row.victim_worth
        self._mine = _standings.c.place == self.place
        if self._victim_worth is not None:
            policy.evicted(Standing("", worth=self._victim_worth))

    def row(self) -> dict[str, Any]:
        """What is kept of it between transactions."""
        size, loss, worth = self.size, self.loss, self._victim_worth
        return {"place": self.place, "size": size, "loss": loss, "victim_worth": worth}

    @override
    def evicted(self, victim: Standing) -> None:
        """As `Shadow.evicted`; the greatest worth is told again to who opens the books next."""
        super().evicted(victim)
        known = self._victim_worth
        self._victim_worth = victim.worth if known is None else max(victim.worth, known)

    @override
    def least(self) -> Generator[Standing]:
        worth, last = _standings.c.worth, _standings.c.last
        page = sa.select(_standings).where(self._mine).order_by(worth, last).limit(8)
        rows = self.db.execute(page).all()
        while rows:
            yield from map(_standing, rows)
            seen = sa.tuple_(worth, last) > sa.tuple_(rows[-1].worth, rows[-1].last)
            rows = self.db.execute(page.where(seen)).all()

    @override
    def hold(self, standing: Standing) -> None:
        self.db.execute(sa.insert(_standings).values(_row(standing, self.place)))
        self.held[standing.key] = standing
        self.size += standing.size

    @override
    def renew(self, standing: Standing) -> None:
        self.renewed.append({**_row(standing, self.place), **self._bound(standing)})

    @override
    def drop(self, standing: Standing) -> None:
        self.db.execute(_STANDING_DROPPED, self._bound(standing))
        self.held.pop(standing.key, None)
        self.size -= standing.size

    @override
    def stray(self, key: str) -> None:
        stored = sa.select(sa.literal(self.place), _entries.c.key).where(_entries.c.key == key)
        self.db.execute(sa.insert(_strays).from_select(["place", "key"], stored))

    @override
    def unstray(self, key: str) -> None:
        mine = (_strays.c.place == self.place) & (_strays.c.key == key)
        self.db.execute(sa.delete(_strays).where(mine))

    @override
    def first_stray(self) -> str:
        mine = sa.select(_strays.c.key).where(_strays.c.place == self.place)
        return str(self.db.scalars(mine.order_by(_strays.c.id).limit(1)).one())

    @override
    def sizes(self) -> dict[str, int]:
        columns = sa.select(_standings.c.key, _standings.c.size)
        return {row.key: row.size for row in self.db.execute(columns.where(self._mine))}

    @override
    def strays(self) -> set[str]:
        return set(self.db.scalars(sa.select(_strays.c.key).where(_strays.c.place == self.place)))

    def _bound(self, standing: Standing) -> dict[str, Any]:
        return {"at": self.place, "of": standing.key}


_HELD = sa.select(
    *[_entries.c[name] for name in ("key", "cost", "size", "slot")],
    *[column for column in _payloads.c if column.name != "key"],
).join(_payloads, _payloads.c.key == _entries.c.key)
_LED = (
    sa.select(_entries, _books.c.leader, _standings.c.uses, _standings.c.worth)
    .select_from(_entries)
    .join(_books, sa.true())
    .outerjoin(
        _standings, (_standings.c.key == _entries.c.key) & (_standings.c.place == _books.c.leader)
    )
)
_STANDING_DROPPED = sa.delete(_standings).where(
    (_standings.c.place == sa.bindparam("at")) & (_standings.c.key == sa.bindparam("of"))
)
_STANDING_RENEWED = sa.update(_standings).where(
    (_standings.c.place == sa.bindparam("at")) & (_standings.c.key == sa.bindparam("of"))
)
_BY_PLACE = sa.update(_shadows).where(_shadows.c.place == sa.bindparam("at"))


def _account(row: sa.Row[Any]) -> Account:
    return Account(row.key, row.cost, row.size, tuple(row.counts), row.last, row.slot)


def _described(policies: Sequence[Policy]) -> str:
    """What tells two lists of policies apart; a repr that is an address says nothing."""
    own = [p if type(p).__repr__ is not object.__repr__ else type(p).__qualname__ for p in policies]
    return repr([(name, policy.half_life) for name, policy in zip(own, policies, strict=True)])


def _standing(row: sa.Row[Any]) -> Standing:
    return Standing(row.key, size=row.size, uses=row.uses, last=row.last, worth=row.worth)


def _row(standing: Standing, place: int) -> dict[str, Any]:
    fields = ("key", "size", "uses", "last", "worth")
    return {"place": place, **{name: getattr(standing, name) for name in fields}}


def _entry(row: sa.Row[Any]) -> Entry:
    fields = dict(row._mapping)
    blob = fields.pop("vector")
    return Entry(**fields, vector=None if blob is None else np.frombuffer(blob, np.float32))


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

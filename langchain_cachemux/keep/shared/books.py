"""One write transaction on the tables that processes share: who comes, who leaves, and for whom.

It decides as `Books` does under one policy: a newcomer takes room, and where there is none, that of
whoever is worth least, unless that is itself. Nothing is waited for: rows that another process has in
hand are passed over.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from typing_extensions import override

from langchain_cachemux.keep import wordings as bounds
from langchain_cachemux.keep.books import Account, Rules
from langchain_cachemux.keep.rows import payload_of, words_of
from langchain_cachemux.keep.shadows import victims
from langchain_cachemux.keep.shared.reads import IS_ALIAS, OF, different
from langchain_cachemux.keep.shared.tables import (
    DIFFERENCES,
    ENTRIES,
    GHOSTS,
    PAYLOADS,
    PURSES,
    SLOTS,
)
from langchain_cachemux.keep.wordings import Alias, Wordings
from langchain_cachemux.types import Admission, Entry, Standing, Wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.keep.sealed import Seal

PAGE = 8
"""Entries locked at once to see who leaves, where one may not be enough."""
CHUNK = 64
"""Slots that are made at once."""


@dataclass(slots=True)
class Course:
    """Whom the processes follow, as this one knows it."""

    place: int
    """Of the policy, among those of the ledger."""
    era: int
    """How often another was followed before."""
    policy: Policy
    """It itself, with what it learned in this era."""
    age: int
    """The place of its count among those of an account."""
    worth: float | None = None
    """The greatest worth that was evicted in this era."""

    def value(self, account: Account, uses: float) -> Standing:
        """How an entry stands with the policy that is followed, its worth frozen."""
        count = account.counts[self.age]
        standing = Standing(account.key, account.cost, account.size, count, uses, account.last)
        standing.worth = self.policy.worth(standing)
        return standing

    def evicted(self, victim: Standing) -> None:
        """Tell the policy who left, and remember it for the other processes."""
        if victim.worth == -math.inf:  # valued by a policy that is followed no more
            return
        self.policy.evicted(victim)
        self.worth = victim.worth if self.worth is None else max(self.worth, victim.worth)


class SharedBooks:
    """The books, open for one transaction.

    Args:
        rules: Of the ledger.
        course: Whom it follows.
        db: The transaction.
        seal: What rows are written under.
        by: The process that does it.
        purse: The purse that this process prefers.
    """

    def __init__(
        self,
        rules: Rules,
        course: Course,
        db: sa.Connection,
        *,
        seal: Seal,
        by: str = "",
        purse: int = 0,
    ) -> None:
        self.rules = rules
        self.course = course
        self.db = db
        self.seal = seal
        self.by = by
        self.purse = purse
        self.changed = CHANGED[db.dialect.name]
        self.wordings = SharedWordings(self)
        self.vacated: list[int] = []
        """Slots that became free, and are so still."""
        self.room = 0
        """That was given back, less what was taken."""
        self.entries = 0
        """Those that came, less those that left."""
        self._purse: int | None = None
        """The purse that is in this transaction's hand."""
        self._left: dict[str, sa.Row[Any]] = {}
        """The rows of those who may leave."""

    def admit(self, entry: Entry, now: int) -> Admission:
        """As `Ledger.admit`, at a time."""
        known, row = self._known(entry.key)
        if known.of not in {None, entry.key}:
            self.unword(entry.key)
        account = Account(entry.key, entry.cost, entry.size)
        if row is not None:
            account.counts, account.last = tuple(row.counts), row.last
        elif known.counts is not None:
            account.counts, account.last = tuple(known.counts), known.last
        account.requested(max(now, account.last), self.rules.half_lives, 1.0)
        newcomer = self.course.value(account, 1.0 + (row.uses if row else 0.0))
        leaving = self._room(newcomer, entry.size - (row.size if row else 0))
        if leaving is None:
            if entry.size <= self.rules.capacity:
                self.course.evicted(newcomer)
            if row is not None:
                self._drop([row])
            self.remember([account])
            return Admission(None, () if row is None else (row.key,), tuple(self.vacated))
        if known.counts is not None:
            self.db.execute(sa.delete(GHOSTS).where(GHOSTS.c.key == entry.key))
        heir = row is None and bool(leaving)
        self._leave(leaving, but_one=heir)
        before = row or (self._left[leaving[0].key] if heir else None)
        numbered, written = numbers(account, newcomer, self.course.era), payload_of(entry)
        slot = self._succeed(before, numbered, self.seal.sign("payloads", written))
        return Admission(slot, tuple(victim.key for victim in leaving), tuple(self.vacated))

    def reword(self, wording: Wording) -> Admission:
        """As `Ledger.reword`."""
        of = self.db.scalar(OF, {"asked": wording.of})
        row = None if of is None else self.held(of)
        if row is None or self.held(wording.key) or self.wordings.differs(wording.key, row.key):
            return Admission(None)
        giving_way = self.wordings.giving_way(row.key, wording.key)
        more = wording.size - sum(alias.size for alias in giving_way if alias.of == row.key)
        standing = Standing(row.key, row.cost, row.size, uses=row.uses, last=row.last)
        standing.worth = self._worth(row)
        leaving = self._room(standing, more)
        if leaving is None:
            return Admission(None)
        self._leave(leaving)
        evicted = tuple(victim.key for victim in leaving)
        for alias in giving_way:
            self.vacate(SLOTS.c.key == alias.key)
            if alias.of not in {row.key, *evicted}:
                self._resize(alias.of, -alias.size)
        self._resize(row.key, more)
        slot = self.take_slot(wording.key, row.key, wording)
        return Admission(slot, evicted, tuple(self.vacated))

    def unword(self, key: str) -> bool:
        """As `Ledger.unword`."""
        alias = self.wordings.find(key)
        if alias is None:
            return False
        self.vacate(SLOTS.c.key == key)
        self._resize(alias.of, -alias.size)
        return True

    def forget(self, key: str, *, ghost: bool = False) -> bool:
        """As `Ledger.forget`."""
        row = self.held(key)
        if row is not None:
            self._drop([row])
        if not ghost:
            self.db.execute(sa.delete(GHOSTS).where(GHOSTS.c.key == key))
        elif row is not None:
            self.remember([Account(key, row.cost, row.size, tuple(row.counts), row.last)])
        return row is not None

    def _known(self, key: str) -> tuple[Any, sa.Row[Any] | None]:
        """Whose a key is and what is remembered of it, and its entry, both locked.

        Who waited for another process reads again what that one left behind.
        """
        asked, told = _KNOWN[self.db.dialect.name], {"asked": key}
        known = self.db.execute(asked, told).one()
        if not known.alone:
            self.db.execute(sa.select(sa.func.pg_advisory_xact_lock(_NUMBER)), told)
            known = self.db.execute(asked, told).one()
        row = self.held(key) if known.of == key else None
        if row is None and known.of == key:
            known = self.db.execute(asked, told).one()
        return known, row

    def resize(self, more: int) -> None:
        """Let there be so much more room than before, or less; then the least leave for it."""
        if not more:
            return
        purses = self.db.execute(sa.select(PURSES).order_by(PURSES.c.id).with_for_update()).all()
        self.room += more + sum(purse.room for purse in purses)
        while self.room < 0 and (least := next(self.least(""), None)) is not None:
            self._leave([least])
        whole, self.room = divmod(self.room, len(purses))
        self.db.execute(sa.update(PURSES).values(room=whole))

    def held(self, key: str) -> sa.Row[Any] | None:
        """The numbers of an entry, locked until the end of the transaction."""
        return self.db.execute(_ENTRY, {"asked": key}).one_or_none()

    def least(self, key: str, limit: int = 1) -> Iterator[Standing]:
        """Those held and in nobody's hand but one, least first, each locked."""
        page = LEAST.where(ENTRIES.c.key != key).limit(limit)
        rows = self.db.execute(page).all()
        while rows:
            for row in rows:
                self._left[row.key] = row
                yield Standing(
                    row.key, row.cost, row.size, 0.0, row.uses, row.last, self._worth(row)
                )
            last = rows[-1]
            seen = sa.tuple_(*map(sa.literal, (last.era, last.worth, last.last))) < _ORDER
            rows = self.db.execute(page.where(seen)).all()

    def remember(self, accounts: Iterable[Account]) -> None:
        """Make ghosts of keys that left."""
        turn = time.time_ns()
        rows = [
            {"key": one.key, "counts": one.counts, "last": one.last, "turn": turn + place}
            for place, one in enumerate(accounts)
        ]
        if rows and self.rules.ghosts != 0:
            self.db.execute(_REMEMBERED[self.db.dialect.name], rows)

    def settle(self) -> None:
        """Write down in a purse what room was taken and given, and how many entries came and left."""
        if not self.room and not self.entries:
            return
        purse = self._purse
        if purse is None:
            free = self.db.scalar(_ANY_PURSE, {"mine": self.purse})
            purse = self.purse if free is None else free
        told = {"asked": purse, "room": self.room, "entries": self.entries}
        self.db.execute(_SETTLED, told)

    def vacate(self, which: sa.ColumnElement[bool]) -> None:
        """Call slots free."""
        freed = sa.update(SLOTS).where(which).values(**_NOBODY, changed=self.changed, by=self.by)
        self.vacated += self.db.scalars(freed.returning(SLOTS.c.slot)).all()

    def _worth(self, row: sa.Row[Any]) -> float:
        """What a row is worth; of another era it is less than anything."""
        return float(row.worth) if row.era == self.course.era else -math.inf

    def _room(self, newcomer: Standing, need: int) -> list[Standing] | None:
        """Find room for a newcomer: who has to leave, or None when it is the least itself."""
        if need <= 0:
            return []
        if max(newcomer.size, need) > self.rules.capacity:
            return None
        purses = self._purses(need)
        excess = need - sum(purse.room for purse in purses)
        leaving = victims(newcomer, excess, self.least(newcomer.key, 1 if need == 1 else PAGE))
        if leaving is not None and purses:
            self._purse = purses[0].id
            others = [purse.id for purse in purses[1:]]
            self.room += sum(purse.room for purse in purses[1:])
            if others:
                self.db.execute(sa.update(PURSES).where(PURSES.c.id.in_(others)).values(room=0))
        return leaving

    def _purses(self, need: int) -> list[sa.Row[Any]]:
        """One with as much room as is needed, else all that nobody has in hand; locked."""
        one = self.db.execute(_FULL_PURSE, {"need": need, "mine": self.purse}).all()
        return list(one if one or need == 1 else self.db.execute(_PURSES).all())

    def _leave(self, leaving: list[Standing], *, but_one: bool = False) -> None:
        """Evict; what is written of the first may be left for a newcomer to write over."""
        rows = [self._left[victim.key] for victim in leaving]
        self.remember(
            Account(row.key, row.cost, row.size, tuple(row.counts), row.last) for row in rows
        )
        for victim in leaving:
            self.course.evicted(victim)
        self._drop(rows[1:] if but_one else rows)

    def _succeed(
        self, before: sa.Row[Any] | None, numbered: dict[str, Any], written: dict[str, Any]
    ) -> int:
        """Write a newcomer, over whom it replaces if anybody; its slot."""
        key = numbered["key"]
        self.room += (before.size if before else 0) - numbered["size"]
        if before is None:
            self.entries += 1
            self.db.execute(sa.insert(ENTRIES), numbered)
            self.db.execute(sa.insert(PAYLOADS), written)
            return self.take_slot(key, key)
        for table, row in ((ENTRIES, numbered), (PAYLOADS, written)):
            self.db.execute(_SUCCEEDED[table], {**row, "before": before.key})
        told = {"before": before.key, "heir": key, "process": self.by}
        slots = self.db.execute(_INHERITED[self.db.dialect.name], told).all()
        self.vacated += [row.slot for row in slots if row.key is None]
        return next(int(row.slot) for row in slots if row.key is not None)

    def _drop(self, rows: list[sa.Row[Any]]) -> None:
        """Keep entries no longer, nor their aliases."""
        keys = [row.key for row in rows]
        if not keys:
            return
        self.vacate(SLOTS.c.of.in_(keys))
        for table in (ENTRIES, PAYLOADS):
            self.db.execute(sa.delete(table).where(table.c.key.in_(keys)))
        self.entries -= len(rows)
        self.room += sum(row.size for row in rows)

    def _resize(self, key: str, more: int) -> None:
        """Let an entry take so much more room, or less."""
        self.room -= more
        if more:
            mine = sa.update(ENTRIES).where(ENTRIES.c.key == key)
            self.db.execute(mine.values(size=ENTRIES.c.size + more))

    def take_slot(self, key: str, of: str, alias: Wording | None = None) -> int:
        """Let a key have a slot that is nobody's."""
        values: dict[str, Any] = {"key": key, "of": of, "changed": self.changed, "by": self.by}
        if alias is not None:
            values |= self.seal.sign("wordings", words_of(alias))
            values |= {"size": alias.size, "turn": time.time_ns()}
        slot = self.vacated.pop() if self.vacated else self._free_slot()
        self.db.execute(sa.update(SLOTS).where(SLOTS.c.slot == slot).values(values))
        return slot

    def _free_slot(self) -> int:
        """A slot that is nobody's and in nobody's hand; some more are made where there is none."""
        while (slot := self.db.scalar(_FREE)) is None:
            first = self.db.execute(_NEXT).scalar_one()
            more = [{"slot": first + place} for place in range(CHUNK)]
            self.db.execute(_INSERT[self.db.dialect.name](SLOTS).on_conflict_do_nothing(), more)
        return int(slot)


class SharedWordings(Wordings):
    """Aliases in the table of slots."""

    def __init__(self, books: SharedBooks) -> None:
        super().__init__(books.rules.capacity)
        self.books = books
        self.db = books.db

    @override
    def __len__(self) -> int:
        """At most as many as there are slots: they are counted only where that is too many."""
        slots = self.db.scalar(_NEXT) or 0
        if slots <= self.capacity:
            return 0
        return self.db.scalar(sa.select(sa.func.count()).select_from(SLOTS).where(IS_ALIAS)) or 0

    @override
    def aliases(self) -> list[Alias]:
        return self._read(ALIAS)

    @override
    def find(self, key: str) -> Alias | None:
        return next(iter(self._read(ALIAS.where(SLOTS.c.key == key))), None)

    @override
    def of(self, key: str) -> list[Alias]:
        return self._read(ALIAS.where(SLOTS.c.of == key))

    @override
    def oldest(self, number: int) -> list[Alias]:
        return self._read(ALIAS.limit(number))

    @override
    def add(self, alias: Alias, wording: Wording) -> None:
        self.books.take_slot(alias.key, alias.of, wording)

    @override
    def renew(self, key: str) -> None:
        self.db.execute(ASKED_AGAIN, {"asked": key, "now": time.time_ns()})

    @override
    def remove(self, alias: Alias) -> None:
        self.books.vacate(SLOTS.c.key == alias.key)

    @override
    def differ(self, one: str, other: str) -> None:
        one, other = sorted((one, other))
        row = {"one": one, "other": other, "turn": time.time_ns()}
        self.db.execute(_INSERT[self.db.dialect.name](DIFFERENCES).on_conflict_do_nothing(), row)
        newest = sa.select(DIFFERENCES.c.turn).order_by(DIFFERENCES.c.turn.desc())
        last = newest.offset(bounds.DIFFERENCES - 1).limit(1).scalar_subquery()
        self.db.execute(sa.delete(DIFFERENCES).where(DIFFERENCES.c.turn < last))

    @override
    def differs(self, one: str, other: str) -> bool:
        return (
            self.db.execute(sa.select(DIFFERENCES.c.turn).where(different(one, other))).first()
            is not None
        )

    def _read(self, asked: sa.Select[Any]) -> list[Alias]:
        return [Alias(*row) for row in self.db.execute(asked)]


def _insert(dialect: str) -> Any:
    from sqlalchemy.dialects import postgresql, sqlite

    return {"postgresql": postgresql.insert, "sqlite": sqlite.insert}[dialect]


_INSERT = {name: _insert(name) for name in ("postgresql", "sqlite")}
"""Of each dialect, the INSERT that may find the row there already."""
CHANGED: dict[str, sa.ColumnElement[int]] = {
    "postgresql": sa.literal_column("CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)"),
    "sqlite": sa.select(sa.func.coalesce(sa.func.max(SLOTS.c.changed), 0) + 1).scalar_subquery(),
}
"""A number for what a transaction changes; SQLite's grow in the order of commits, see `changes`."""
_ORDER = sa.tuple_(ENTRIES.c.era, ENTRIES.c.worth, ENTRIES.c.last)
LEAST = (
    sa.select(ENTRIES)
    .order_by(ENTRIES.c.era, ENTRIES.c.worth, ENTRIES.c.last)
    .with_for_update(skip_locked=True)
)
_ENTRY = sa.select(ENTRIES).where(ENTRIES.c.key == sa.bindparam("asked")).with_for_update()
_ASKED = sa.bindparam("asked", type_=sa.Text)
_NUMBER = sa.func.hashtextextended(_ASKED, sa.literal(0x61646D6974, sa.BigInteger))
"""Of a key that is admitted; the leases of keys have other numbers."""
_ALONE = {"postgresql": sa.func.pg_try_advisory_xact_lock(_NUMBER), "sqlite": sa.true()}
"""Takes the right to admit a key, which a key has that is in no table yet; SQLite has one writer."""
_KNOWN = {
    dialect: sa.select(SLOTS.c.of, GHOSTS.c.counts, GHOSTS.c.last, alone.label("alone"))
    .select_from(sa.select(_ASKED.label("key")).subquery("asked"))
    .outerjoin(SLOTS, SLOTS.c.key == _ASKED)
    .outerjoin(GHOSTS, GHOSTS.c.key == _ASKED)
    for dialect, alone in _ALONE.items()
}
"""Whose key it is, and what is remembered of it."""
_MINE_FIRST = (PURSES.c.id != sa.bindparam("mine"), PURSES.c.id)
_PURSES = (
    sa.select(PURSES)
    .where(PURSES.c.room > 0)
    .order_by(PURSES.c.id)
    .with_for_update(skip_locked=True)
)
_FULL_PURSE = (
    sa.select(PURSES)
    .where(PURSES.c.room >= sa.bindparam("need"))
    .order_by(*_MINE_FIRST)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_SETTLED = (
    sa.update(PURSES)
    .where(PURSES.c.id == sa.bindparam("asked"))
    .values(
        room=PURSES.c.room + sa.bindparam("room"),
        entries=PURSES.c.entries + sa.bindparam("entries"),
    )
)
_ANY_PURSE = (
    sa.select(PURSES.c.id).order_by(*_MINE_FIRST).limit(1).with_for_update(skip_locked=True)
)
_FREE = (
    sa.select(SLOTS.c.slot)
    .where(SLOTS.c.key.is_(None))
    .order_by(SLOTS.c.slot)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_NEXT = sa.select(sa.func.coalesce(sa.func.max(SLOTS.c.slot), -1) + 1)
_OWN = SLOTS.c.key == SLOTS.c.of
_NO_WORDS = {"text": None, "vector": None, "seal": None, "size": 0}


_PROCESS = sa.bindparam("process", type_=sa.Text)


def _remembered(dialect: str) -> Any:
    ghost = _INSERT[dialect](GHOSTS)
    new = {name: ghost.excluded[name] for name in ("counts", "last", "turn")}
    return ghost.on_conflict_do_update(index_elements=["key"], set_=new)


def _inherited(dialect: str) -> Any:
    heir = sa.case((_OWN, sa.bindparam("heir", type_=sa.Text)))
    freed = sa.update(SLOTS).where(SLOTS.c.of == sa.bindparam("before"))
    taken = freed.values(
        key=heir, of=heir, changed=CHANGED[dialect], by=sa.bindparam("process"), **_NO_WORDS
    )
    return taken.returning(SLOTS.c.slot, SLOTS.c.key)


_REMEMBERED = {dialect: _remembered(dialect) for dialect in _INSERT}
_INHERITED = {dialect: _inherited(dialect) for dialect in _INSERT}
"""The newcomer has the own slot of whom it replaces; those of the aliases are nobody's."""
_SUCCEEDED = {
    table: sa.update(table).where(table.c.key == sa.bindparam("before"))
    for table in (ENTRIES, PAYLOADS)
}
_NOBODY = {"key": None, "of": None, "text": None, "vector": None, "seal": None, "size": 0}
ALIAS = (
    sa.select(*[SLOTS.c[name] for name in ("key", "of", "size", "slot")])
    .where(IS_ALIAS)
    .order_by(SLOTS.c.turn)
)
ASKED_AGAIN = (
    sa.update(SLOTS).where(SLOTS.c.key == sa.bindparam("asked")).values(turn=sa.bindparam("now"))
)
"""When an alias was used."""


def valued(course: Course, account: Account, uses: float) -> dict[str, Any]:
    """The numbers of an entry whose requests were counted."""
    row = numbers(account, course.value(account, uses), course.era)
    return {**row, "asked": row.pop("key")}


def numbers(account: Account, standing: Standing, era: int) -> dict[str, Any]:
    """The numbers of an entry, as they are written."""
    return {
        "key": account.key,
        "cost": account.cost,
        "size": account.size,
        "counts": account.counts,
        "uses": standing.uses,
        "last": account.last,
        "era": era,
        "worth": standing.worth,
    }

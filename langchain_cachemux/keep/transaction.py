"""The books in tables, open for one write transaction: all that it decides is kept, or nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from typing_extensions import override

from langchain_cachemux.keep import wordings as bounds
from langchain_cachemux.keep.books import Account, Books, Rules
from langchain_cachemux.keep.rows import payload_of, words_of
from langchain_cachemux.keep.sealed import Checksum
from langchain_cachemux.keep.shadows import Shadow
from langchain_cachemux.keep.tables import (
    BOOKS,
    DIFFERENCES,
    ENTRIES,
    FREE,
    GHOSTS,
    PAYLOADS,
    SHADOWS,
    STANDINGS,
    STRAYS,
    WORDINGS,
)
from langchain_cachemux.keep.wordings import Alias, Wordings
from langchain_cachemux.types import Standing

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.types import Entry, Wording

SEAL = Checksum()


class SqlBooks(Books):
    """Books in tables, open for one write transaction.

    Args:
        rules: What the ledger was told.
        db: The transaction.
    """

    shadows: list[SqlShadow]

    def __init__(self, rules: Rules, db: sa.Connection) -> None:
        self.db = db
        self._row = dict(db.execute(sa.select(BOOKS).with_for_update()).one()._mapping)
        rows = db.execute(sa.select(SHADOWS).order_by(SHADOWS.c.place))
        made = zip(rules.policies, rules.ages, rows, strict=True)
        shadows = [SqlShadow(policy, rules.capacity, age, row, db) for policy, age, row in made]
        super().__init__(rules, shadows, SqlWordings(rules.capacity, db))
        self._known: set[str] = set()
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
            self.db.execute(sa.update(BOOKS).values(row))
        changed = [{**s.row(), "at": s.place} for s in self.shadows if s.row() != s.before]
        if changed:
            self.db.execute(_BY_PLACE, changed)

    def clear(self) -> None:
        """Drop everything, counts and slots too; what the policies learned of victims stays."""
        for table in (ENTRIES, PAYLOADS, STANDINGS, STRAYS, GHOSTS, FREE, WORDINGS, DIFFERENCES):
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
        for alias in self.wordings.excess():
            self.take_back(alias)

    @override
    def request(self, account: Account, credit: float) -> None:
        """As `Books.request`; every row that is rewritten is so at its end, with one statement."""
        super().request(account, credit)
        renewed = [row for shadow in self.shadows for row in shadow.renewed]
        if renewed:
            self.db.execute(_STANDING_RENEWED, renewed)
        if account.slot >= 0:
            mine = sa.update(ENTRIES).where(ENTRIES.c.key == account.key)
            counts = {"counts": account.counts, "last": account.last, "cost": account.cost}
            self.db.execute(mine.values(counts))

    @override
    def check(self) -> list[str]:
        """As `Books.check`; and whether every answer has its payload."""
        keys, payloads = (
            set(self.db.scalars(sa.select(table.c.key))) for table in (ENTRIES, PAYLOADS)
        )
        ghosts = len(self.ghosts())
        problems = {
            f"held {self._held} is not the number of entries": self._held != len(keys),
            "an entry has no payload, or a payload no entry": keys != payloads,
            f"{self._remembered} is not the number of ghosts": self._remembered != ghosts,
        }
        return super().check() + [problem for problem, found in problems.items() if found]

    @override
    def answering(self, key: str) -> Account | None:
        row = self.db.execute(sa.select(ENTRIES).where(ANSWERING), {"asked": key}).one_or_none()
        return None if row is None else _account(row)

    @override
    def find(self, key: str) -> Account | None:
        row = self.db.execute(sa.select(ENTRIES).where(ENTRIES.c.key == key)).one_or_none()
        return None if row is None else _account(row)

    @override
    def keep(self, account: Account, entry: Entry) -> None:
        fields = {column.name: getattr(account, column.name) for column in ENTRIES.c}
        self.db.execute(sa.insert(ENTRIES).values(fields))
        self.db.execute(sa.insert(PAYLOADS).values(SEAL.sign("payloads", payload_of(entry))))
        self._held += 1

    @override
    def remove(self, account: Account) -> None:
        for table in (ENTRIES, PAYLOADS, STRAYS):
            self.db.execute(sa.delete(table).where(table.c.key == account.key))
        self._held -= 1

    @override
    def resized(self, account: Account) -> None:
        mine = sa.update(ENTRIES).where(ENTRIES.c.key == account.key)
        self.db.execute(mine.values(size=account.size))

    @override
    def remember(self, account: Account) -> None:
        ghost = {"key": account.key, "counts": account.counts, "last": account.last}
        self.db.execute(sa.insert(GHOSTS).values(ghost))
        self._remembered += 1
        excess = self._remembered - self.bound
        if excess > 0:
            oldest = sa.select(GHOSTS.c.id).order_by(GHOSTS.c.id).limit(excess)
            self.db.execute(sa.delete(GHOSTS).where(GHOSTS.c.id.in_(oldest)))
            self._remembered -= excess

    @override
    def recall(self, key: str) -> tuple[tuple[float, ...], int]:
        row = self.db.execute(sa.select(GHOSTS).where(GHOSTS.c.key == key)).one_or_none()
        if row is None:
            return (), 0
        self.db.execute(sa.delete(GHOSTS).where(GHOSTS.c.key == key))
        self._remembered -= 1
        return tuple(row.counts), row.last

    @override
    def free(self, slot: int) -> None:
        self.db.execute(sa.insert(FREE).values(slot=slot))

    @override
    def free_slot(self) -> int | None:
        slot: int | None = self.db.scalar(sa.select(sa.func.max(FREE.c.slot)))
        if slot is not None:
            self.db.execute(sa.delete(FREE).where(FREE.c.slot == slot))
        return slot

    @override
    def accounts(self) -> Iterable[Account]:
        return map(_account, self.db.execute(sa.select(ENTRIES)))

    @override
    def free_slots(self) -> list[int]:
        return list(self.db.scalars(sa.select(FREE.c.slot)))

    @override
    def ghosts(self) -> list[str]:
        return list(self.db.scalars(sa.select(GHOSTS.c.key)))

    @override
    def look_up(self, key: str) -> None:
        if key in self._known:
            return
        self._known.add(key)
        for row in self.db.execute(sa.select(STANDINGS).where(STANDINGS.c.key == key)):
            self.shadows[row.place].held[key] = _standing(row)


class SqlWordings(Wordings):
    """Aliases in a table, over the index of the turns at which they were used."""

    def __init__(self, capacity: int, db: sa.Connection) -> None:
        super().__init__(capacity)
        self.db = db

    @override
    def __len__(self) -> int:
        return self.db.execute(sa.select(sa.func.count()).select_from(WORDINGS)).scalar_one()

    @override
    def aliases(self) -> list[Alias]:
        return self._read(_ALIAS)

    @override
    def find(self, key: str) -> Alias | None:
        return next(iter(self._read(_ALIAS.where(WORDINGS.c.key == key))), None)

    @override
    def of(self, key: str) -> list[Alias]:
        return self._read(_ALIAS.where(WORDINGS.c.of == key))

    @override
    def oldest(self, number: int) -> list[Alias]:
        return self._read(_ALIAS.limit(number))

    @override
    def add(self, alias: Alias, wording: Wording) -> None:
        words = SEAL.sign("wordings", {**words_of(wording), "of": alias.of})
        self.db.execute(sa.insert(WORDINGS).values({**asdict(alias), "turn": _NEXT_TURN, **words}))

    @override
    def renew(self, key: str) -> None:
        mine = sa.update(WORDINGS).where(WORDINGS.c.key == key)
        self.db.execute(mine.values(turn=_NEXT_TURN))

    @override
    def remove(self, alias: Alias) -> None:
        self.db.execute(sa.delete(WORDINGS).where(WORDINGS.c.key == alias.key))

    @override
    def differ(self, one: str, other: str) -> None:
        if self.differs(one, other):
            return
        one, other = sorted((one, other))
        pair = SEAL.sign("differences", {"one": one, "other": other})
        self.db.execute(sa.insert(DIFFERENCES).values(pair))
        last = sa.select(sa.func.max(DIFFERENCES.c.id)).scalar_subquery()
        old = DIFFERENCES.c.id <= last - bounds.DIFFERENCES
        self.db.execute(sa.delete(DIFFERENCES).where(old))

    @override
    def differs(self, one: str, other: str) -> bool:
        known = sa.select(DIFFERENCES.c.id).where(are_different(one, other))
        return self.db.execute(known).first() is not None

    def _read(self, asked: sa.Select[Any]) -> list[Alias]:
        return [Alias(*row) for row in self.db.execute(asked.order_by(WORDINGS.c.turn))]


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
        self._mine = STANDINGS.c.place == self.place
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
        worth, last = STANDINGS.c.worth, STANDINGS.c.last
        page = sa.select(STANDINGS).where(self._mine).order_by(worth, last).limit(8)
        rows = self.db.execute(page).all()
        while rows:
            yield from map(_standing, rows)
            seen = sa.tuple_(worth, last) > sa.tuple_(rows[-1].worth, rows[-1].last)
            rows = self.db.execute(page.where(seen)).all()

    @override
    def hold(self, standing: Standing) -> None:
        self.db.execute(sa.insert(STANDINGS).values(row_of(standing, self.place)))
        self.held[standing.key] = standing
        self.size += standing.size

    @override
    def renew(self, standing: Standing) -> None:
        self.renewed.append({**row_of(standing, self.place), **self._bound(standing)})

    @override
    def resized(self, standing: Standing) -> None:
        self.db.execute(_STANDING_RENEWED, {"size": standing.size, **self._bound(standing)})

    @override
    def drop(self, standing: Standing) -> None:
        self.db.execute(_STANDING_DROPPED, self._bound(standing))
        self.held.pop(standing.key, None)
        self.size -= standing.size

    @override
    def stray(self, key: str) -> None:
        stored = sa.select(sa.literal(self.place), ENTRIES.c.key).where(ENTRIES.c.key == key)
        self.db.execute(sa.insert(STRAYS).from_select(["place", "key"], stored))

    @override
    def unstray(self, key: str) -> None:
        mine = (STRAYS.c.place == self.place) & (STRAYS.c.key == key)
        self.db.execute(sa.delete(STRAYS).where(mine))

    @override
    def first_stray(self) -> str:
        mine = sa.select(STRAYS.c.key).where(STRAYS.c.place == self.place)
        return str(self.db.scalars(mine.order_by(STRAYS.c.id).limit(1)).one())

    @override
    def sizes(self) -> dict[str, int]:
        columns = sa.select(STANDINGS.c.key, STANDINGS.c.size)
        return {row.key: row.size for row in self.db.execute(columns.where(self._mine))}

    @override
    def strays(self) -> set[str]:
        return set(self.db.scalars(sa.select(STRAYS.c.key).where(STRAYS.c.place == self.place)))

    def _bound(self, standing: Standing) -> dict[str, Any]:
        return {"at": self.place, "of": standing.key}


_ALIAS = sa.select(*[WORDINGS.c[name] for name in ("key", "of", "size", "slot")])
ANSWERING = ENTRIES.c.key == sa.func.coalesce(
    sa.select(WORDINGS.c.of).where(WORDINGS.c.key == sa.bindparam("asked")).scalar_subquery(),
    sa.bindparam("asked"),
)
"""The entry whose key is asked for, or that of which it is an alias."""
_NEXT_TURN = sa.select(sa.func.coalesce(sa.func.max(WORDINGS.c.turn), 0) + 1).scalar_subquery()
_STANDING_DROPPED = sa.delete(STANDINGS).where(
    (STANDINGS.c.place == sa.bindparam("at")) & (STANDINGS.c.key == sa.bindparam("of"))
)
_STANDING_RENEWED = sa.update(STANDINGS).where(
    (STANDINGS.c.place == sa.bindparam("at")) & (STANDINGS.c.key == sa.bindparam("of"))
)
_BY_PLACE = sa.update(SHADOWS).where(SHADOWS.c.place == sa.bindparam("at"))


def _account(row: sa.Row[Any]) -> Account:
    return Account(row.key, row.cost, row.size, tuple(row.counts), row.last, row.slot)


def _standing(row: sa.Row[Any]) -> Standing:
    return Standing(row.key, size=row.size, uses=row.uses, last=row.last, worth=row.worth)


def are_different(one: str, other: str) -> sa.ColumnElement[bool]:
    """The row that says so of two keys, in whichever order."""
    one, other = sorted((one, other))
    return (DIFFERENCES.c.one == one) & (DIFFERENCES.c.other == other)


def row_of(standing: Standing, place: int) -> dict[str, Any]:
    """How a standing is written, with the policy in that place."""
    fields = ("key", "size", "uses", "last", "worth")
    return {"place": place, **{name: getattr(standing, name) for name in fields}}

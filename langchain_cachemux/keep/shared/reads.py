"""What is read of a ledger that processes share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import sqlalchemy as sa

from langchain_cachemux.keep.rows import entry_of, wording_of
from langchain_cachemux.keep.sealed import DamagedError
from langchain_cachemux.keep.shared.tables import (
    DIFFERENCES,
    ENTRIES,
    FOLLOWED,
    PAYLOADS,
    PROCESSES,
    PURSES,
    SLOTS,
)
from langchain_cachemux.keep.wordings import own
from langchain_cachemux.types import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from langchain_cachemux.keep.sealed import Seal
    from langchain_cachemux.keep.shared.connections import Connections
    from langchain_cachemux.types import Entry, Wording


T = TypeVar("T")
log = logging.getLogger(__name__)


class Change(NamedTuple):
    """What is in a slot by now."""

    slot: int
    wording: Wording | None
    """None where the slot is nobody's."""


class News(NamedTuple):
    """What the processes told each other."""

    followed: Sequence[sa.Row[Any]]
    processes: Sequence[sa.Row[Any]]
    oldest: Sequence[sa.Row[Any]]
    """The entry of the earliest era."""


_ASKED = SLOTS.c.key == sa.bindparam("asked")
IS_ALIAS = SLOTS.c.key != SLOTS.c.of
OF = sa.select(SLOTS.c.of).where(_ASKED)
"""The key of the entry that answers what is asked for."""
_OWN = SLOTS.alias("own")
_COLUMNS = (
    *[SLOTS.c[name] for name in ("slot", "of")],
    *[SLOTS.c[name].label(f"alias_{name}") for name in ("key", "size", "text", "vector", "seal")],
    *[column for column in PAYLOADS.c if column.name != "key"],
    ENTRIES.c.key,
    ENTRIES.c.cost,
    ENTRIES.c.size,
    _OWN.c.slot.label("own_slot"),
)
HELD = (
    sa.select(*_COLUMNS)
    .join(ENTRIES, ENTRIES.c.key == SLOTS.c.of)
    .join(PAYLOADS, PAYLOADS.c.key == SLOTS.c.of)
    .join(_OWN, _OWN.c.key == SLOTS.c.of)
)
"""What is in a slot that is somebody's, with all of the entry that answers it."""
ASKED = HELD.where(_ASKED)
CHANGES = (
    sa.select(*_COLUMNS)
    .outerjoin(ENTRIES, ENTRIES.c.key == SLOTS.c.of)
    .outerjoin(PAYLOADS, PAYLOADS.c.key == SLOTS.c.of)
    .outerjoin(_OWN, _OWN.c.key == SLOTS.c.of)
    .where(SLOTS.c.by.is_not(None))
)
"""What is in a slot that ever was somebody's."""
LOOKED: dict[str, sa.ColumnElement[int]] = {
    "postgresql": sa.literal_column(
        "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)"
    ),
    "sqlite": sa.select(sa.func.coalesce(sa.func.max(SLOTS.c.changed), 0) + 1).scalar_subquery(),
}
"""Whatever has a smaller number is seen by who looks now; PostgreSQL's may be committed out of order."""
NUMBERS = (
    sa.select(ENTRIES.c.key, ENTRIES.c.cost, ENTRIES.c.size)
    .join(SLOTS, ENTRIES.c.key == SLOTS.c.of)
    .where(_ASKED)
)
STANDING = sa.select(ENTRIES).where(ENTRIES.c.key == OF.scalar_subquery())
TOTALS = sa.select(
    sa.func.sum(PURSES.c.entries).label("entries"), sa.func.sum(PURSES.c.room).label("room")
)
NEWS = (
    sa.select(FOLLOWED),
    sa.select(PROCESSES),
    sa.select(ENTRIES.c.era).order_by(ENTRIES.c.era, ENTRIES.c.worth, ENTRIES.c.last).limit(1),
)


def different(one: str, other: str) -> sa.ColumnElement[bool]:
    """The row that says so of two keys, in whichever order."""
    one, other = sorted((one, other))
    return (DIFFERENCES.c.one == one) & (DIFFERENCES.c.other == other)


def entry(row: sa.Row[Any], seal: Seal) -> Entry:
    """An entry.

    Raises:
        DamagedError: It is not as it was written.
    """
    written = {column.name: row._mapping[column.name] for column in PAYLOADS.c}
    opened = seal.open("payloads", written)
    return entry_of(opened, cost=row.cost, size=row.size, slot=row.own_slot)


def wording(row: sa.Row[Any], seal: Seal) -> Wording:
    """What is in a slot, with its entry.

    Raises:
        DamagedError: It is not as it was written.
    """
    whole = entry(row, seal)
    if row.alias_key == row.key:
        return own(whole)
    names = ("text", "vector", "seal")
    written = {name: row._mapping[f"alias_{name}"] for name in names}
    opened = seal.open("wordings", {"key": row.alias_key, "of": row.of, **written})
    return wording_of(opened, whole, size=row.alias_size, slot=row.slot)


class SharedReads:
    """What is read of a shared ledger, each by one statement or in batches.

    Args:
        database: Where it is.
        seal: What rows are read under.
        name: Of this process, which knows of its own changes.
    """

    capacity: int

    def __init__(self, database: Connections, seal: Seal, *, name: str) -> None:
        self.database = database
        self.seal = seal
        self.name = name
        self.damaged = 0
        """Rows that were not as they had been written."""

    def __len__(self) -> int:
        """Entries held."""
        return int(self.database.read(lambda db: db.execute(TOTALS).one()).entries)

    @property
    def size(self) -> int:
        """Sum of the sizes held, never above `capacity`."""
        return self.capacity - int(self.database.read(lambda db: db.execute(TOTALS).one()).room)

    def __iter__(self) -> Iterator[Entry]:
        """The entries held, read in batches by key."""
        rows = self._paged(HELD.where(~IS_ALIAS), SLOTS.c.slot)
        return filter(None, (self._sound(entry, row) for row in rows))

    def get(self, key: str) -> Entry | None:
        """Return the entry that answers `key`, its own or an alias'; counts nothing."""
        row = self.one(ASKED, key)
        return None if row is None else self._sound(entry, row)

    def wording(self, key: str, *, asked: str = "") -> Wording | None:
        """Return the words held under `key`, unless they are known to differ from `asked`."""
        same = ~sa.exists().where(different(key, asked))
        row = self.one(ASKED.where(same) if asked else ASKED, key)
        return None if row is None else self._sound(wording, row)

    def wordings(self, key: str | None = None) -> Iterator[Wording]:
        """The wordings of the entry that answers `key`, or of all, read in batches."""
        asked = HELD
        if key is not None:
            asked = HELD.where(SLOTS.c.of == OF.scalar_subquery()).params(asked=key)
        rows = self._paged(asked, SLOTS.c.slot)
        return filter(None, (self._sound(wording, row) for row in rows))

    def standing(self, key: str) -> Standing | None:
        """Return what the policy followed now thinks of the entry that answers `key`."""
        row = self.one(STANDING, key)
        if row is None:
            return None
        count = row.counts[self.age]
        return Standing(row.key, row.cost, row.size, count, row.uses, row.last, row.worth)

    def differs(self, one: str, other: str) -> bool:
        """Whether two keys were found to be different questions."""
        known = sa.select(DIFFERENCES.c.turn).where(different(one, other))
        return self.database.read(lambda db: db.execute(known).first()) is not None

    def latest(self) -> int:
        """From where a look at the changes goes on that is not to see those until now."""
        looked = sa.select(LOOKED[self.database.dialect])
        return int(self.database.read(lambda db: db.execute(looked).scalar_one()))

    def changes(self, since: int) -> tuple[list[Change], int]:
        """What other processes put into slots, or took out of them, after an earlier look.

        Args:
            since: What the look before returned; at first `latest()`, or 0.

        Returns:
            The changes, some perhaps twice, and from where the next look goes on.
        """
        upto = LOOKED[self.database.dialect]
        asked = CHANGES.where(SLOTS.c.changed >= since, SLOTS.c.by != self.name)
        found: list[Change] = []
        goes_on = since
        for row in self._paged(asked.add_columns(upto.label("upto")), SLOTS.c.slot):
            goes_on = goes_on if found else int(row.upto)  # of the first page, the earliest look
            held = row.alias_key is not None and row.key is not None
            found.append(Change(row.slot, self._sound(wording, row) if held else None))
        return found, goes_on

    @property
    def age(self) -> int:
        """The place of the count that is read by the policy that is followed."""
        return 0

    def one(self, asked: sa.Select[Any], key: str) -> sa.Row[Any] | None:
        """The row that is found under a key."""
        return self.database.read(lambda db: db.execute(asked, {"asked": key}).one_or_none())

    def _sound(self, read: Callable[[sa.Row[Any], Seal], T], row: sa.Row[Any]) -> T | None:
        """What a row is read as; None, which is told, when it is not as it was written."""
        try:
            return read(row, self.seal)
        except DamagedError as error:
            self.damaged += 1
            log.warning("what is stored under %s is not served: %s", row.key, error)
            return None

    def _paged(self, rows: sa.Select[Any], column: sa.ColumnElement[int]) -> Iterator[sa.Row[Any]]:
        """Rows in batches by a column that no two share."""
        after = -1
        while True:
            page = rows.where(column > after).order_by(column).limit(256)
            found = self.database.read(lambda db, page=page: db.execute(page).all())  # type: ignore[misc]
            yield from found
            if not found:
                return
            after = found[-1]._mapping[column.name]

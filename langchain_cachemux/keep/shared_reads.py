"""What is read of a ledger that processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from langchain_cachemux.keep.rows import entry_of, wording_of
from langchain_cachemux.keep.shared_tables import (
    ENTRIES,
    FOLLOWED,
    PAYLOADS,
    PROCESSES,
    PURSES,
    SLOTS,
)
from langchain_cachemux.keep.wordings import own

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_cachemux.keep.sealed import Seal
    from langchain_cachemux.types import Entry, Wording


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
    .where(SLOTS.c.changed > 0)
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

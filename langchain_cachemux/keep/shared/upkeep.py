"""What is done to the rows of a shared ledger from time to time, by whichever process comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from langchain_cachemux.keep.books import Account
from langchain_cachemux.keep.shared.books import SharedBooks, valued
from langchain_cachemux.keep.shared.tables import (
    ABOUT,
    DIFFERENCES,
    ENTRIES,
    GHOSTS,
    PAYLOADS,
    PROCESSES,
    PURSES,
    SLOTS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_cachemux.keep.shared.books import Course

PURSES_AT_MOST = 16
"""Purses among which the room is divided."""
FEW = 500
"""Rows that one transaction rewrites."""


def fill(db: sa.Connection, capacity: int) -> None:
    """Divide all room among the purses of a ledger that holds nothing."""
    number = min(PURSES_AT_MOST, capacity)
    whole, rest = divmod(capacity, number)
    rows = [{"id": place, "room": whole + (place < rest)} for place in range(number)]
    db.execute(sa.insert(PURSES), rows)


def value_anew(db: sa.Connection, *, course: Course) -> bool:
    """Value some entries of an earlier era by the policy followed now; False when none was left.

    The most that they were worth comes first, so what is not valued yet is the least on either scale.
    Processes do it together, each on what nobody else has in hand.
    """
    page = (
        sa.select(ENTRIES)
        .where(ENTRIES.c.era < course.era)
        .order_by(ENTRIES.c.era.desc(), ENTRIES.c.worth.desc())
        .limit(FEW)
        .with_for_update(skip_locked=True)
    )
    renewed = []
    for row in db.execute(page).all():
        account = Account(row.key, row.cost, row.size, tuple(row.counts), row.last)
        renewed.append(valued(course, account, account.counts[course.age]))
    if renewed:
        db.execute(RENEWED, renewed)
    return len(renewed) == FEW


def recount(db: sa.Connection, before: Sequence[float], half_lives: Sequence[float]) -> None:
    """Let each count begin as that of the nearest half-life that was counted before."""
    near = [min(before, key=lambda h: abs(1 / h - 1 / new)) for new in half_lives]
    places = [before.index(half_life) for half_life in near]
    for table in (ENTRIES, GHOSTS):
        renewed = sa.update(table).where(table.c.key == sa.bindparam("asked"))
        after = ""
        while True:
            page = sa.select(table.c.key, table.c.counts).where(table.c.key > after)
            rows = db.execute(page.order_by(table.c.key).limit(FEW)).all()
            if not rows:
                break
            after = rows[-1].key
            told = [
                {"asked": row.key, "counts": [row.counts[place] for place in places]}
                for row in rows
            ]
            db.execute(renewed, told)


def fold(db: sa.Connection, *, names: Sequence[str]) -> None:
    """Count what processes that ended have counted in one row for all of them."""
    theirs = sa.select(PROCESSES).where(PROCESSES.c.id.in_([*names, ""]))
    rows = db.execute(theirs.order_by(PROCESSES.c.id).with_for_update()).all()
    if not rows:
        return
    era = max(row.era for row in rows)
    worths = [row.worth for row in rows if row.era == era and row.worth is not None]
    db.execute(sa.delete(PROCESSES).where(PROCESSES.c.id.in_([row.id for row in rows])))
    ended = {"requests": sum(row.requests for row in rows), "era": era}
    worth = max(worths, default=None)
    told = {"id": "", **ended, "losses": [], "worth": worth, "seen": 0.0}
    db.execute(sa.insert(PROCESSES), told)


def forget_ghosts(db: sa.Connection, *, bound: int) -> None:
    """Forget the ghosts that left first, beyond as many as are remembered."""
    newest = sa.select(GHOSTS.c.turn).order_by(GHOSTS.c.turn.desc())
    last = db.scalar(newest.offset(bound - 1).limit(1)) if bound else None
    if last is not None:
        gone = sa.select(GHOSTS.c.key).where(GHOSTS.c.turn < last)
        keys = db.scalars(gone.with_for_update(skip_locked=True)).all()
        db.execute(sa.delete(GHOSTS).where(GHOSTS.c.key.in_(keys)))


def cleared(books: SharedBooks, capacity: int) -> None:
    """Drop everything; each slot is nobody's."""
    for table in (ENTRIES, PAYLOADS, GHOSTS, DIFFERENCES, PROCESSES, PURSES):
        books.db.execute(sa.delete(table))
    books.vacate(SLOTS.c.key.is_not(None))
    fill(books.db, capacity)


def problems(books: SharedBooks) -> list[str]:
    """What does not hold of the books; nothing is changed."""
    db = books.db
    count = sa.func.count()
    capacity = int(db.scalar(sa.select(ABOUT.c.value).where(ABOUT.c.name == "capacity")) or 0)
    size = int(db.scalar(sa.select(sa.func.coalesce(sa.func.sum(ENTRIES.c.size), 0))) or 0)
    room = int(db.scalar(sa.select(sa.func.coalesce(sa.func.sum(PURSES.c.room), 0))) or 0)
    counted = int(db.scalar(sa.select(sa.func.sum(PURSES.c.entries))) or 0)
    without = {
        "an entry has no answer": _lacking(ENTRIES.c.key, PAYLOADS.c.key),
        "an answer has no entry": _lacking(PAYLOADS.c.key, ENTRIES.c.key),
        "an entry has no slot": _lacking(ENTRIES.c.key, SLOTS.c.key),
        "a slot is of no entry": _lacking(SLOTS.c.of, ENTRIES.c.key),
        "a ghost is held": sa.select(count).join_from(
            GHOSTS, ENTRIES, GHOSTS.c.key == ENTRIES.c.key
        ),
    }
    held = [
        Account(row.key, row.cost, row.size)
        for row in db.execute(sa.select(ENTRIES.c.key, ENTRIES.c.cost, ENTRIES.c.size))
    ]
    found = {
        f"{counted} entries were counted, and {len(held)} are held": counted != len(held),
        f"size {size} and room {room} are not the capacity {capacity}": size + room != capacity,
        **{what: bool(db.scalar(asked)) for what, asked in without.items()},
    }
    return [*(what for what, holds in found.items() if holds), *books.wordings.check(held)]


def _lacking(column: sa.Column[Any], other: sa.Column[Any]) -> sa.Select[Any]:
    """How many values of a column another table has not."""
    missing = ~sa.exists().where(other == column)
    return sa.select(sa.func.count()).select_from(column.table).where(column.is_not(None), missing)


RENEWED = sa.update(ENTRIES).where(ENTRIES.c.key == sa.bindparam("asked"))

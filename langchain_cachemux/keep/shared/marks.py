"""What a shared ledger is asked about ends and labels of its entries, and how it is written anew."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import sqlalchemy as sa

from langchain_cachemux.keep.durable.marks import labels_in
from langchain_cachemux.keep.shared.reads import OF
from langchain_cachemux.keep.shared.tables import PAYLOADS, SHARED

if TYPE_CHECKING:
    from collections.abc import Collection

    from langchain_cachemux.keep.sealed import Seal

_ROW = PAYLOADS.c


def expired(db: sa.Connection, now: float, most: int) -> list[str]:
    """As `Ledger.expired`; what has no end is written without one, so it is in no comparison."""
    over = sa.select(_ROW.key).where(_ROW.expires <= now).order_by(_ROW.expires, _ROW.key)
    return list(db.scalars(over.limit(most)))


def labelled(db: sa.Connection, labels: Collection[str], before: float) -> list[str]:
    """As `Ledger.labelled`; the database finds what may be meant, and the labels are read then."""
    asked, wanted = sa.select(_ROW.key, _ROW.labels), {*labels}
    if math.isfinite(before):
        asked = asked.where(_ROW.made < before)
    for label in wanted:
        asked = asked.where(_ROW.labels.contains(json.dumps(label), autoescape=True))
    return [key for key, told in db.execute(asked) if wanted <= labels_in(told)]


def extend(db: sa.Connection, seal: Seal, key: str, expires: float) -> bool:
    """As `Ledger.extend`: the row is signed anew.

    Raises:
        DamagedError: The row is not as it was written.
    """
    mine = _ROW.key == OF.scalar_subquery()
    held = sa.select(PAYLOADS).where(mine).with_for_update()
    row = db.execute(held, {"asked": key}).mappings().one_or_none()
    if row is None:
        return False
    opened = seal.open("payloads", dict(row))
    later = {**opened, "expires": expires if math.isfinite(expires) else None}
    signed = seal.sign("payloads", later)
    db.execute(sa.update(PAYLOADS).where(_ROW.key == signed["key"]).values(signed))
    return True


def compact(db: sa.Connection) -> None:
    """Write all tables anew, however long that takes; the server's own log is not this program's.

    Args:
        db: A connection in no transaction, which is not used again.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: There is no room, or it is in use elsewhere.
    """
    if db.dialect.name == "postgresql":
        db.execute(sa.text("SET statement_timeout TO 0"))
        for table in SHARED.sorted_tables:
            db.execute(sa.text(f'VACUUM (FULL) "{table.name}"'))
        db.invalidate()
        return
    db.execute(sa.text("VACUUM"))
    db.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))

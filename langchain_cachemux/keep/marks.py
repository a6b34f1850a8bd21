"""What a ledger in SQL is asked about ends and labels of its entries."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import sqlalchemy as sa

from langchain_cachemux.keep.tables import PAYLOADS

if TYPE_CHECKING:
    from collections.abc import Collection

    from langchain_cachemux.keep.sealed import Seal

_ROW = PAYLOADS.c


def expired(db: sa.Connection, now: float, most: int) -> list[str]:
    """As `Ledger.expired`; what has no end is written without one, so it is in no comparison."""
    over = sa.select(_ROW.key).where(_ROW.expires <= now).order_by(_ROW.expires, _ROW.key)
    return list(db.scalars(over.limit(most)))


def labelled(db: sa.Connection, labels: Collection[str], before: float) -> list[str]:
    """As `Ledger.labelled`.

    Labels are JSON in one column; the database finds those that may be meant, and they are read then.
    """
    asked, wanted = sa.select(_ROW.key, _ROW.labels), {*labels}
    if math.isfinite(before):
        asked = asked.where(_ROW.made < before)
    for label in wanted:
        asked = asked.where(_ROW.labels.contains(json.dumps(label), autoescape=True))
    return [key for key, told in db.execute(asked) if wanted <= {*json.loads(told)}]


def extend(db: sa.Connection, seal: Seal, key: str, expires: float) -> bool:
    """As `Ledger.extend`, of an entry's own key: its row is signed anew.

    Args:
        db: A write transaction.
        seal: Under which the row is.
        key: Of the entry.
        expires: In seconds since the epoch.

    Raises:
        DamagedError: The row is not as it was written.
    """
    row = db.execute(sa.select(PAYLOADS).where(_ROW.key == key)).mappings().one_or_none()
    if row is None:
        return False
    opened = seal.open("payloads", dict(row))
    later = {**opened, "expires": expires if math.isfinite(expires) else None}
    db.execute(sa.update(PAYLOADS).where(_ROW.key == key).values(seal.sign("payloads", later)))
    return True

"""What a ledger's database is asked about ends and labels of its entries."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from langchain_cachemux.keep.durable.database import Database


def expired(database: Database, now: float, most: int) -> list[str]:
    """As `Ledger.expired`; what has no end is written without one, so it is in no comparison."""
    over = "SELECT key FROM payloads WHERE expires <= ? ORDER BY expires, key LIMIT ?"
    with database.reading() as db:
        return [key for (key,) in db.execute(over, (now, most))]


def labelled(database: Database, labels: Collection[str], before: float) -> list[str]:
    """As `Ledger.labelled`.

    Labels are JSON in one column; SQLite finds those that may be meant, and they are read then.
    """
    wanted, asked = {*labels}, "SELECT key, labels FROM payloads WHERE made < ?"
    asked += " AND instr(labels, ?) > 0" * len(wanted)
    with database.reading() as db:
        rows = db.execute(asked, (before, *map(json.dumps, wanted))).fetchall()
    return [key for key, told in rows if wanted <= labels_in(told)]


def extend(database: Database, key: str, expires: float) -> bool:
    """As `Ledger.extend`, of an entry's own key: its row is signed anew.

    Raises:
        sqlite3.Error: It could not be written.
        DamagedError: The row is not as it was written.
    """
    row = database.payload(key)
    if row is None:
        return False
    later = {**row, "expires": expires if math.isfinite(expires) else None}
    database.put(later)
    return True


def labels_in(labels: object) -> set[str]:
    """Labels as they were written; none where they are damaged."""
    try:
        return {*json.loads(str(labels))}
    except (ValueError, TypeError):
        return set()

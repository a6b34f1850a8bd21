"""A cache's folder: open in one process at a time, and readable whatever the cache was made with."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import sqlalchemy as sa

from langchain_cachemux.keep import sql
from langchain_cachemux.keep.books import Rules
from langchain_cachemux.keep.policies import LRU
from langchain_cachemux.types import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEDGER, INDEX = "ledger.db", "chroma"
"""What lies in the folder: the ledger's database, and the index's own folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process.

    Raises:
        ValueError: Another one holds it, or this one does already.
    """
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / "lock", timeout=0, thread_local=False):
            yield
    except Timeout:
        msg = f"path {str(folder)!r} is already open, here or in another process; close it there"
        raise ValueError(msg) from None


class Folder:
    """The ledger in a folder, under no policy and no capacity: to look at, to check and to empty.

    A `SqlLedger` values its entries by the policies it is given and evicts what exceeds its capacity.
    A folder does not tell which those should be, so whoever only wants to look must not open one.

    Args:
        path: The folder.

    Raises:
        ValueError: No cache is kept there, or its database cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / LEDGER).is_file():
            msg = f"{path} holds no cache: there is no {LEDGER} in it"
            raise ValueError(msg)
        self._engine = sa.create_engine(sa.URL.create("sqlite", database=str(path / LEDGER)))
        try:
            with self._engine.connect() as db:
                rows = db.execute(sa.select(sql._about)).all()
        except sa.exc.DatabaseError as error:
            self.close()
            msg = f"{path / LEDGER} cannot be read as a cache's ledger: {error.orig}"
            raise ValueError(msg) from error
        self.about = {row.name: row.value for row in rows}
        """What the entries are true of: the embedder, the unit of capacity, the policies."""

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        """Return the folder; it is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __len__(self) -> int:
        """Answers held."""
        with self._engine.connect() as db:
            return int(
                db.execute(sa.select(sa.func.count()).select_from(sql._entries)).scalar_one()
            )

    def __iter__(self) -> Iterator[Entry]:
        """What the index needs to know of each entry: key, slot, partition and vector."""
        columns = sql._entries.c.key, sql._entries.c.slot, sql._payloads.c.partition
        joined = sql._payloads.c.key == sql._entries.c.key
        asked = sa.select(*columns, sql._payloads.c.vector).join(sql._payloads, joined)
        with self._engine.connect() as db:
            for row in db.execute(asked):
                vector = None if row.vector is None else np.frombuffer(row.vector, np.float32)
                yield Entry(row.key, slot=row.slot, partition=row.partition, vector=vector)

    def totals(self) -> dict[str, Any]:
        """What the entries come to: `answers`, `vectors`, `cost` and `characters`."""
        entries, payloads = sql._entries.c, sql._payloads.c
        length = sa.func.length
        stored = length(payloads.answer) + length(payloads.text)
        asked = sa.select(
            sa.func.count().label("answers"),
            sa.func.count(payloads.vector).label("vectors"),
            sa.func.coalesce(sa.func.sum(entries.cost), 0.0).label("cost"),
            sa.func.coalesce(sa.func.sum(stored), 0).label("characters"),
        ).join(sql._payloads, payloads.key == entries.key)
        with self._engine.connect() as db:
            return dict(db.execute(asked).one()._mapping)

    def check(self) -> list[str]:
        """Compare the books with themselves; the problems found, none in a sound ledger."""
        with self._engine.connect() as db:
            return self._books(db).check()

    def empty(self) -> None:
        """Drop every answer and every count."""
        with self._engine.begin() as db:
            books = self._books(db)
            books.clear()
            books.close()

    def _books(self, db: sa.Connection) -> sql.SqlBooks:
        """The books under rules that nothing is asked of: any policy for each shadow, no limit."""
        shadows = db.execute(sa.select(sa.func.count()).select_from(sql._shadows)).scalar_one()
        rules = Rules.parse(capacity=sys.maxsize, policy=[LRU()] * shadows, ghosts=None)
        return sql.SqlBooks(rules, db)

"""A cache's folder: open in one process at a time, and readable whatever the cache was made with."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa

from langchain_cachemux.arguments import expect
from langchain_cachemux.keep.books import Rules
from langchain_cachemux.keep.durable.database import Database
from langchain_cachemux.keep.durable.private import make_private
from langchain_cachemux.keep.durable.resume import fill, value
from langchain_cachemux.keep.durable.tables import ENTRIES, PAYLOADS, WORDINGS
from langchain_cachemux.keep.durable.unwritten import Unwritten
from langchain_cachemux.keep.memory import MemoryBooks
from langchain_cachemux.keep.policies import LRU
from langchain_cachemux.keep.rows import entry_of, vector_of, wording_of
from langchain_cachemux.keep.sealed import Checksum
from langchain_cachemux.types import Answer, Entry, Wording

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from langchain_cachemux.keep.books import Capacity
    from langchain_cachemux.keep.durable.ledger import SqlLedger
    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.keep.sealed import Seal

LEDGER, INDEX, SHARED = "ledger.db", "chroma", "shared.db"
"""What lies in the folder: the ledger's database, and the index's own folder; or the database of a
ledger that processes share."""


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


def kept(
    folder: Path,
    capacity: Capacity,
    policy: Policy | Sequence[Policy],
    *,
    embeddings: str,
    closing: ExitStack,
    seal: Seal,
    repair: bool = False,
) -> SqlLedger:
    """Open the ledger in a folder, which is this process's and its owner's alone as long as it is open.

    Args:
        folder: Made when it is missing.
        capacity: What the ledger may hold.
        policy: What is worth keeping.
        embeddings: What the vectors were made by.
        closing: Closes what was opened.
        seal: What rows are written under.
        repair: Whether what can be read of a damaged ledger is saved into a new one.

    Raises:
        ValueError: The path is a file; or the folder was made with another embedder, unit or seal, or is
            damaged; or it may not be written to.
    """
    if folder.exists() and not folder.is_dir():
        msg = f"path must be a folder, got the file {str(folder)!r}"
        raise ValueError(msg)
    from langchain_cachemux.keep.durable.ledger import SqlLedger
    from langchain_cachemux.keep.durable.repair import salvage

    together = (folder / SHARED).exists()
    what = f"True for {str(folder)!r}, which processes share"
    expect(not together, "shared", what, given=False)
    try:
        make_private(folder)
        closing.callback(make_private, folder)
        closing.enter_context(locked(folder))
        if repair:
            salvage(folder / LEDGER, seal)
        ledger = SqlLedger(
            f"sqlite:///{folder / LEDGER}",
            capacity=capacity.total,
            policy=policy,
            about=about(embeddings, capacity),
            seal=seal,
        )
        closing.callback(ledger.close)
        make_private(folder)
    except (OSError, sqlite3.Error, sa.exc.DBAPIError) as error:
        msg = (
            f"path must be a folder that can be written to, got {str(folder)!r}: {error}; with "
            "read_only=True it is only read"
        )
        raise ValueError(msg) from error
    return ledger


def about(embeddings: str, capacity: Capacity) -> dict[str, str]:
    """What the entries in a folder must be true of."""
    return {"embeddings": embeddings, "capacity unit": capacity.unit}


class Folder:
    """The ledger in a folder, under no policy and no capacity: to look at, to check and to empty.

    A `SqlLedger` values its entries by the policies it is given and evicts what exceeds its capacity.
    A folder does not tell which those should be, so whoever only wants to look must not open one.

    Args:
        path: The folder.
        seal: What its rows are written under; by default a `Checksum` without a secret.

    Raises:
        ValueError: No cache is kept there, or its database cannot be read.
    """

    def __init__(self, path: Path, *, seal: Seal | None = None) -> None:
        self.path = path
        if not (path / LEDGER).is_file():
            msg = f"{path} holds no cache: there is no {LEDGER} in it"
            raise ValueError(msg)
        self.seal = seal or Checksum()
        self._database = Database(f"sqlite:///{path / LEDGER}", self.seal)
        self._engine = self._database.engine
        try:
            self.about = self._database.look()
        except BaseException:
            self.close()
            raise
        """What the entries are true of: the embedder, the unit of capacity, the policies."""

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> Self:
        """Return the folder; it is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __len__(self) -> int:
        """Answers held."""
        with self._engine.connect() as db:
            return int(db.execute(sa.select(sa.func.count()).select_from(ENTRIES)).scalar_one())

    def wordings(self) -> Iterator[Wording]:
        """The rows that the index should have: of each its key, slot, vector and partition."""
        held, aliases, partition = ENTRIES.c, WORDINGS.c, PAYLOADS.c.partition
        own = sa.select(held.key, held.key.label("of"), held.slot, PAYLOADS.c.vector, partition)
        others = sa.select(aliases.key, aliases.of, aliases.slot, aliases.vector, partition)
        rows = own.join(PAYLOADS, PAYLOADS.c.key == held.key).union_all(
            others.join(PAYLOADS, PAYLOADS.c.key == aliases.of)
        )
        with self._engine.connect() as db:
            for row in db.execute(rows):
                entry = Entry(row.of, partition=row.partition)
                yield Wording(
                    row.key, row.of, vector=vector_of(row.vector), slot=row.slot, entry=entry
                )

    def answers(self) -> Iterator[Answer]:
        """All answers, each with its aliases.

        Raises:
            ValueError: They were sealed under something else.
        """
        sealed, mine = self.about.get("seal"), self._database.seal.name
        if sealed != mine:
            msg = f"{self.path} is sealed otherwise ({sealed}): its answers cannot be read ({mine})"
            raise ValueError(msg)
        for row, account in self._database.entries():
            entry = entry_of(row, cost=account.cost, size=account.size, slot=account.slot)
            told = map(self._database.words, self._database.aliases(entry.key))
            aliases = [wording_of(one, entry, size=0, slot=-1) for one in told if one is not None]
            yield Answer(entry, tuple(aliases))

    def compact(self) -> None:
        """Write the database anew, without what was forgotten, and empty its log.

        Raises:
            ValueError: There is no room for a copy, or another program has the database in use.
        """
        try:
            self._database.compact()
        except sqlite3.Error as error:
            msg = f"{self.path} cannot be compacted now: {error}"
            raise ValueError(msg) from error

    def totals(self) -> dict[str, Any]:
        """What the entries come to: `answers`, `vectors`, `cost` and `characters`."""
        entries, payloads = ENTRIES.c, PAYLOADS.c
        length = sa.func.length
        stored = length(payloads.answer) + length(payloads.text)
        asked = sa.select(
            sa.func.count().label("answers"),
            sa.func.count(payloads.vector).label("vectors"),
            sa.func.coalesce(sa.func.sum(entries.cost), 0.0).label("cost"),
            sa.func.coalesce(sa.func.sum(stored), 0).label("characters"),
        ).join(PAYLOADS, payloads.key == entries.key)
        with self._engine.connect() as db:
            return dict(db.execute(asked).one()._mapping)

    def check(self) -> list[str]:
        """Compare the books with themselves, and see that every row is as it was written.

        Rows that were sealed with a secret are not opened: it is not known here.
        """
        rules = Rules.parse(capacity=sys.maxsize, policy=LRU(), ghosts=None)
        books, unread = MemoryBooks(rules, Unwritten()), self._database.lost
        fill(books, self._database, before=rules.half_lives, stop=Event())
        value(books, books.shadows[0], stop=Event())
        problems = [*books.check(), *self._database.problems()]
        if self.about.get("seal") == self._database.seal.name:
            problems += self._database.unlike(books.accounts(), books.wordings.aliases())
        lost = self._database.lost - unread
        return [*problems, *([f"{lost} rows are not as they were written"] if lost else [])]

    def empty(self) -> None:
        """Drop every answer and every count."""
        self._database.clear()

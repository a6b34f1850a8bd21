"""What processes share, to look at, check and empty, under no policy and no capacity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa

from langchain_cachemux.keep.books import Rules
from langchain_cachemux.keep.policies import LRU
from langchain_cachemux.keep.sealed import Checksum
from langchain_cachemux.keep.shared.books import Course, SharedBooks
from langchain_cachemux.keep.shared.connections import Connections
from langchain_cachemux.keep.shared.reads import SharedReads
from langchain_cachemux.keep.shared.tables import ABOUT, ENTRIES, PAYLOADS, SLOTS
from langchain_cachemux.keep.shared.upkeep import cleared, problems

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from langchain_cachemux.keep.sealed import Seal

    T = TypeVar("T")


class Commons(SharedReads):
    """The tables of a ledger that processes share, who may have it open meanwhile.

    A `SharedLedger` values its entries by the policies it is given; whoever only wants to look must not
    open one.

    Args:
        url: Address of the database.
        seal: What its rows are written under; by default a `Checksum` without a secret.

    Raises:
        ValueError: No cache is kept there, or the database cannot be asked.
    """

    def __init__(self, url: str, *, seal: Seal | None = None) -> None:
        super().__init__(Connections(url), seal or Checksum(), name="")
        try:
            self.about = self._told()
            """What the entries are true of: the embedder, the unit of capacity, the policies."""
            self.capacity = int(self.about.get("capacity", 0))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def __enter__(self) -> Self:
        """Return it; it is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def totals(self) -> dict[str, Any]:
        """What the entries come to: `answers`, `vectors`, `cost` and `characters`."""
        entries, payloads, length = ENTRIES.c, PAYLOADS.c, sa.func.length
        stored = length(payloads.answer) + length(payloads.text)
        asked = sa.select(
            sa.func.count().label("answers"),
            sa.func.count(payloads.vector).label("vectors"),
            sa.func.coalesce(sa.func.sum(entries.cost), 0.0).label("cost"),
            sa.func.coalesce(sa.func.sum(stored), 0).label("characters"),
        ).join(PAYLOADS, payloads.key == entries.key)
        return self.database.read(lambda db: dict(db.execute(asked).one()._mapping))

    def check(self) -> list[str]:
        """Compare the books with themselves, and see that every row is as it was written.

        Rows are only opened under the seal that they were written under.
        """
        found, lost = self._changed(problems), len(self._damaged())
        return [*found, *([f"{lost} rows are not as they were written"] if lost else [])]

    def mend(self) -> int:
        """Drop the rows that are not as they were written, which nobody is given; return how many."""
        damaged = self._damaged()
        for key in damaged:
            self._changed(lambda books, key=key: books.unword(key) or books.forget(key))  # type: ignore[misc]
        return len(damaged)

    def _damaged(self) -> list[str]:
        """The keys of such rows."""
        if self.about["seal"] != self.seal.name:
            return []
        sound = {wording.key for wording in self.wordings()}
        asked = sa.select(SLOTS.c.key).where(SLOTS.c.key.is_not(None))
        return [
            key
            for key in self.database.read(lambda db: db.scalars(asked).all())
            if key not in sound
        ]

    def empty(self) -> None:
        """Drop every answer and every count; who has it open hears of it."""
        self._changed(lambda books: cleared(books, self.capacity))

    def _changed(self, work: Callable[[SharedBooks], T]) -> T:
        rules = Rules.parse(capacity=max(self.capacity, 1), policy=LRU(), ghosts=None)

        def changed(db: sa.Connection) -> T:
            books = SharedBooks(rules, Course(0, 0, LRU(), 0), db, seal=self.seal, by="a command")
            done = work(books)
            books.settle()
            return done

        return self.database.write(changed)

    def _told(self) -> dict[str, str]:
        try:
            return self.database.read(self._about)
        except sa.exc.SQLAlchemyError as error:
            where = self.database.url.render_as_string()
            msg = f"{where} cannot be asked: {type(error.__cause__ or error).__name__}"
            raise ValueError(msg) from error

    def _about(self, db: sa.Connection) -> dict[str, str]:
        known = sa.inspect(db).has_table(ABOUT.name)
        told = {row.name: row.value for row in db.execute(sa.select(ABOUT))} if known else {}
        if "seal" not in told:
            msg = f"{self.database.url.render_as_string()} holds no cache"
            raise ValueError(msg)
        return told

"""What processes that share a ledger learned beside it: a state each, of whoever learned most."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa

    from langchain_cachemux.keep.shared.connections import Connections


class Note:
    """A place for one state in the ledger's database.

    Each process learns by itself, and writes now and then. Kept is what rests on most outcomes, the
    newer of two that rest on as many: what others learned at the same time is not added to it.

    Args:
        database: The ledger's. It is written to after the ledger was closed, too.
        name: Of the state.
    """

    def __init__(self, database: Connections, name: str) -> None:
        self._database = database
        self.name = name

    def __str__(self) -> str:
        """Where it is; no password."""
        return f"{self.name} in {self._database.url}"

    def read(self) -> bytes | None:
        """Return what was written; None when nothing was.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database cannot be asked, or not in time.
        """
        import sqlalchemy as sa

        from langchain_cachemux.keep.shared.tables import NOTES

        asked = sa.select(NOTES.c.content).where(NOTES.c.name == self.name)
        return self._database.read(lambda db: db.scalar(asked))

    def write(self, content: bytes, outcomes: int) -> bool:
        """Write a state, unless what is there rests on more outcomes; return whether it was written.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database cannot be written to, or not in time.
        """
        import sqlalchemy as sa

        from langchain_cachemux.keep.shared.tables import NOTES

        row = {"name": self.name, "content": content, "outcomes": outcomes, "written": time.time()}
        mine = NOTES.c.name == self.name

        def written(db: sa.Connection) -> bool:
            better = db.scalar(sa.select(NOTES.c.outcomes).where(mine).with_for_update())
            if better is not None and better > outcomes:
                return False
            if better is None:
                db.execute(sa.insert(NOTES), row)
            else:
                db.execute(sa.update(NOTES).where(mine), row)
            return True

        return self._database.write(written)


class Notes:
    """The places for all states in a ledger's database, as a folder has files."""

    def __init__(self, database: Connections) -> None:
        self._database = database

    def __truediv__(self, name: str) -> Note:
        """Return the place of a state."""
        return Note(self._database, name)

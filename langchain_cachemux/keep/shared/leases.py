"""Who asks a model just now, of all processes that share a database: one at a time for a key.

In PostgreSQL it is an advisory lock of a connection, which ends with the process that holds it. In
SQLite it is a row that names the process, which all others on the machine see to be alive or not.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import sqlalchemy as sa

from langchain_cachemux.keep.shared.tables import LEASES
from langchain_cachemux.locks import Lock

if TYPE_CHECKING:
    from langchain_cachemux.keep.shared.connections import Connections


class Leases:
    """Leases of keys, of this process. Safe between threads, and after a fork.

    Args:
        database: Where they are.
        longest: Seconds after which a lease is over where nobody can tell whether its process lives.
    """

    def __init__(self, database: Connections, *, longest: float) -> None:
        self.database = database
        self.longest = longest
        self._lock = Lock()
        self._connection: sa.Connection | None = None
        """Holds all advisory locks of this process."""
        self._opener = os.getpid()
        self._taken: set[str] = set()

    def held(self) -> list[str]:
        """Those whose leases this process has; a fork has none of its parent's."""
        if self._opener != os.getpid():
            with self._lock:
                if self._opener != os.getpid():
                    self._connection, self._taken, self._opener = None, set(), os.getpid()
        return list(self._taken)

    def take(self, key: str) -> bool:
        """Take the lease of a key; False when another process has it.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database cannot be asked, or not in time.
        """
        if key in self.held():
            return True
        if self.database.postgres:
            return self._told(_TAKE, key)
        taken = self.database.write(lambda db: self._written(db, key))
        if taken:
            self._taken.add(key)
        return taken

    def give(self, key: str) -> None:
        """Give a lease back, if it is this process's; what cannot be given back now ends in time."""
        if key not in self.held():
            return
        self._taken.discard(key)
        with suppress(sa.exc.SQLAlchemyError):
            if self.database.postgres:
                self._told(_GIVE, key)
            else:
                mine = (LEASES.c.key == key) & (LEASES.c.process == os.getpid())
                self.database.write(lambda db: db.execute(sa.delete(LEASES).where(mine)))

    def close(self) -> None:
        """Give all back."""
        for key in self.held():
            self.give(key)
        with self._lock:
            if self._connection is not None and self._opener == os.getpid():
                self._connection.close()
            self._connection = None

    def _told(self, asked: sa.Select[tuple[bool]], key: str) -> bool:
        """What the connection of all locks says; a new one knows of none."""
        number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big", signed=True)
        with self._lock:
            if asked is _TAKE and key in self._taken:  # else the session would have it twice
                return True
            if self._connection is None:
                self._connection = self.database.alone()
            try:
                told = bool(self._connection.execute(asked, {"number": number}).scalar_one())
            except sa.exc.SQLAlchemyError:
                broken, self._connection = self._connection, None
                self._taken.clear()  # they ended with it
                broken.invalidate()
                broken.close()
                raise
            if told and asked is _TAKE:
                self._taken.add(key)
            return told

    def _written(self, db: sa.Connection, key: str) -> bool:
        row = db.execute(sa.select(LEASES).where(LEASES.c.key == key)).one_or_none()
        now = time.time()
        if row is not None and row.until > now and _lives(row.process):
            return bool(row.process == os.getpid())
        over = (LEASES.c.key == key) | (LEASES.c.until < now)
        db.execute(sa.delete(LEASES).where(over))
        mine = {"key": key, "process": os.getpid(), "until": now + self.longest}
        db.execute(sa.insert(LEASES), mine)
        return True


_TAKE = sa.select(sa.func.pg_try_advisory_lock(sa.bindparam("number", type_=sa.BigInteger)))
_GIVE = sa.select(sa.func.pg_advisory_unlock(sa.bindparam("number", type_=sa.BigInteger)))


def _lives(process: int) -> bool:
    """Whether a process of this machine lives, as far as can be told."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

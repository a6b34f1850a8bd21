"""Connections to a database that processes share, with deadlines, and anew after a fork.

PostgreSQL through psycopg, or one SQLite file. What the server does not do in time the client gives up:
a server that hangs keeps no promise of its own.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from langchain_cachemux.arguments import expect
from langchain_cachemux.extras import needs
from langchain_cachemux.locks import Lock
from langchain_cachemux.patience import within

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

T = TypeVar("T")

READING, WRITING = 1.0, 2.0
"""Seconds that one statement is given, outside a transaction and within one; who asks may wait less."""
TRIES = 5
"""How often a transaction that lost a race is tried."""
CONFLICTS = frozenset({"40001", "40P01", "55P03", "23505"})
"""PostgreSQL's codes of those: no serial order, a deadlock, a lock not had, a key just taken."""


class Connections:
    """One database: what is read from it at once, and transactions.

    Args:
        url: Its address, as SQLAlchemy takes it: `postgresql+psycopg://user:password@host/database`, or
            `sqlite:///file`. What it says of timeouts and TLS (`?sslmode=verify-full`) is kept.

    Raises:
        ValueError: The address is of another kind.
        ImportError: What it needs is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = _address(url)
        """Its password is not told by `str`."""
        self.dialect = self.url.get_backend_name()
        self.postgres = self.dialect == "postgresql"
        if self.postgres:
            needs("psycopg", extra="server", purpose="a cache in PostgreSQL")
        self._reader = self._engine("AUTOCOMMIT")
        self._writer = self._engine(None)
        self._writing: AbstractContextManager[None] = nullcontext() if self.postgres else Lock()
        """Held while SQLite writes: it knows within a process who does, and a fork would copy that."""
        _ALL.add(self)

    def __repr__(self) -> str:
        """Where it is; no password."""
        return f"Connections({str(self.url)!r})"

    def _engine(self, isolation: str | None) -> sa.Engine:
        options: dict[str, Any] = {"hide_parameters": True}  # an error tells no prompt
        if isolation is not None:
            options["isolation_level"] = isolation
        if not self.postgres:
            engine = sa.create_engine(self.url, **options)
            sa.event.listen(engine, "connect", _durable)
            if isolation is None:
                sa.event.listen(engine, "begin", _immediate)
            return engine
        seconds = READING if isolation else WRITING
        limits = {
            "connect_timeout": 2,
            "tcp_user_timeout": int(WRITING * 1000),
            "application_name": "cachemux",
            "options": f"-c statement_timeout={seconds * 1000:.0f} "
            f"-c lock_timeout={WRITING * 500:.0f} -c idle_in_transaction_session_timeout=10000",
        }
        told = {name: value for name, value in limits.items() if name not in self.url.query}
        engine = sa.create_engine(
            self.url, connect_args=told, pool_timeout=seconds, pool_use_lifo=True, **options
        )
        sa.event.listen(engine, "do_connect", _connected(seconds))
        return engine

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Return what is read at once; again, when only the connection was stale.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database cannot be asked, or not in time.
        """
        began = time.monotonic()
        try:
            with self._reader.connect() as db:
                return work(db)
        except sa.exc.DBAPIError as error:
            if not error.connection_invalidated or time.monotonic() - began > READING / 2:
                raise
        with self._reader.connect() as db:
            return work(db)

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Return what one transaction came to; again, when it lost a race.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database cannot be asked, or not in time.
        """
        for tried in range(TRIES):
            try:
                with self._writing, self._writer.begin() as db:
                    return work(db)
            except sa.exc.DBAPIError as error:
                if tried == TRIES - 1 or not _again(error, tried):
                    raise
        msg = "unreachable"
        raise AssertionError(msg)

    def alone(self) -> sa.Connection:
        """A connection of the caller's own, who closes it."""
        return self._reader.connect()

    def close(self) -> None:
        """Close all connections."""
        for engine in (self._reader, self._writer):
            engine.dispose()

    def begin_anew(self) -> None:
        """Leave the connections to the process that this one was forked from."""
        for engine in (self._reader, self._writer):
            engine.dispose(close=False)


def _again(error: sa.exc.DBAPIError, tried: int) -> bool:
    """Whether a transaction that failed so may succeed when it is tried again."""
    code = getattr(error.orig, "sqlstate", None)
    lost = isinstance(error, sa.exc.IntegrityError) or code in CONFLICTS
    return lost or (error.connection_invalidated and tried == 0 and "late" not in str(error.orig))


def _address(url: str) -> sa.URL:
    what = "an address such as 'postgresql+psycopg://user@host/database' or 'sqlite:///file'"
    try:
        address = sa.make_url(url)
    except (sa.exc.ArgumentError, AttributeError):
        msg = f"database must be {what}"  # what was given may hold a password
        raise ValueError(msg) from None
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    known = ("postgresql+psycopg", "sqlite", "sqlite+pysqlite")
    expect(address.drivername in known, "database", what, str(address))
    return address


def _connected(seconds: float) -> Callable[..., DBAPIConnection]:
    """Connect as psycopg does, and give every statement so many seconds."""
    import psycopg

    class Impatient(psycopg.Connection[Any]):
        """A connection that is closed when an answer is late."""

        def wait(self, gen: Any, *_: Any, **__: Any) -> Any:
            until = time.monotonic() + seconds
            return super().wait(_timed(gen, until, self), interval=min(seconds / 10, 0.1))

    def connect(_dialect: Any, _record: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        given = min(seconds, READING)
        try:
            return within(given, lambda: Impatient.connect(*args, **kwargs))
        except TimeoutError:
            msg = f"no connection to the database within {given:g} s"
            raise psycopg.OperationalError(msg) from None

    return connect


def _timed(
    waiting: Generator[Any, Any, T], until: float, connection: Any
) -> Generator[Any, Any, T]:
    """Wait as psycopg does, until it is late: then the connection is closed."""
    import psycopg

    try:
        state = next(waiting)
        while True:
            ready = yield state
            if time.monotonic() > until:
                connection.close()
                msg = "the database was late"
                raise psycopg.OperationalError(msg)
            state = waiting.send(ready)
    except StopIteration as done:
        value: T = done.value
        return value


def _durable(connection: Any, _record: object) -> None:
    """A commit survives the death of the process; readers never wait for the writer."""
    waits = int(WRITING * 1000)
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"busy_timeout={waits}"):
        connection.execute(f"PRAGMA {pragma}")


def _immediate(connection: sa.Connection) -> None:
    """Take the write lock at once: two deferred transactions could not both upgrade."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


_ALL: weakref.WeakSet[Connections] = weakref.WeakSet()


def _begin_all() -> None:
    for database in list(_ALL):
        database.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all)

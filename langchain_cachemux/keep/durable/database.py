"""A ledger's database: it finds rows by their key, writes batches of them, and decides nothing.

Statements are plain SQL, run by SQLite's own driver: a hit is one of them, and described by objects it
would take ten times as long. A commit is in the write-ahead log (`journal_mode=WAL`,
`synchronous=NORMAL`): it survives the death of the process; after a power cut what is left is sound, and
the last commits may be missing.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from langchain_cachemux.keep import probes
from langchain_cachemux.keep.books import Account
from langchain_cachemux.keep.durable.tables import ABOUT, ENDS, SCHEMA, TABLES, upgrade
from langchain_cachemux.keep.durable.unwritten import row_of
from langchain_cachemux.keep.rows import payload_of, words_of
from langchain_cachemux.keep.sealed import DamagedError
from langchain_cachemux.keep.wordings import Alias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from langchain_cachemux.keep.durable.unwritten import Batch
    from langchain_cachemux.keep.sealed import Row, Seal, Table

LATE = 200
"""Milliseconds that a statement waits for another program's lock."""
PAGE = 256
"""Rows that are read at once."""
SIZE = 8192
"""Bytes of a page of a new database: three answers with their vectors, where 4,096 would hold one."""
STEPS = 10_000
"""Instructions of SQLite's between two looks whether to go on."""
JUMPS = 2**40
"""How far to look for a row behind one that cannot be read."""

PAYLOAD = ("key", "partition", "text", "vector", "answer", "made", "expires", "labels", "seal")
WORDS = ("key", "of", "text", "vector", "seal")
NUMBERS = ("cost", "size", "slot")
ACCOUNT = ("key", "slot", "cost", "size", "counts", "last")


class Database:
    """The tables of one ledger in SQLite. Safe between threads; writes are their caller's to order.

    Args:
        url: `sqlite:///` and a path.
        seal: Under which rows are written and read.
    """

    def __init__(self, url: str, seal: Seal) -> None:
        self.engine = sa.create_engine(url, pool_reset_on_return=None, max_overflow=-1)
        self.seal = seal
        self.lost = 0
        """Rows that were not as they had been written, and were passed over."""
        sa.event.listen(self.engine, "connect", _durable)
        sa.event.listen(self.engine, "begin", _immediate)

    @property
    def advice(self) -> Path | None:
        """The file beside it that says what the policies would hold; None when it is in memory."""
        name = self.engine.url.database
        return Path(name).with_suffix(".npz") if name and name != ":memory:" else None

    def open(self, about: dict[str, str]) -> dict[str, str]:
        """Make the tables that are missing, and see that the entries are true of the same.

        Args:
            about: What the entries are to be true of.

        Returns:
            All that is written about them.

        Raises:
            ValueError: They are true of something else, or the file is damaged.
        """
        wanted = {"schema": SCHEMA, "seal": self.seal.name, **about}
        with self.readable(), self.engine.begin() as db:
            ABOUT.create(db, checkfirst=True)
            stored = upgrade(db, self.seal)
            self._expect_whole(stored)
            for name, value in wanted.items():
                if stored.get(name, value) != value:
                    raise ValueError(refusal(name, value, stored[name]))
            TABLES.create_all(db)
            ENDS.create(db, checkfirst=True)
            told = {**stored, **wanted}
            told["checksum"] = _checksum(told)
            new = [{"name": n, "value": v} for n, v in told.items() if stored.get(n) != v]
            if new:
                db.execute(sa.delete(ABOUT).where(ABOUT.c.name == "checksum"))
                db.execute(sa.insert(ABOUT), new)
        return told

    def look(self) -> dict[str, str]:
        """What is written about the entries, of whatever they are true.

        Raises:
            ValueError: The file cannot be read as a ledger's.
        """
        with self.readable(), self.engine.begin() as db:
            stored = upgrade(db, self.seal)
            self._expect_whole(stored)
            return stored

    @contextmanager
    def readable(self) -> Iterator[None]:
        """Tell of a damaged file how it can be saved.

        Raises:
            ValueError: It is damaged.
        """
        try:
            yield
        except (sa.exc.DatabaseError, sqlite3.DatabaseError, UnicodeDecodeError) as error:
            why = getattr(error, "orig", error)
            if getattr(why, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _DAMAGED:
                raise
            raise ValueError(damage(self.engine.url.database, why)) from error

    def _expect_whole(self, about: dict[str, str]) -> None:
        if about.get("checksum", _checksum(about)) != _checksum(about):
            why = "what its entries are true of is not as it was written"
            raise ValueError(damage(self.engine.url.database, why))

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def abandon(self) -> None:
        """Forget the connections, which belong to the process that this one was forked from."""
        self.engine.dispose(close=False)

    def payload(self, key: str) -> Row | None:
        """The row of an answer, opened.

        Raises:
            DamagedError: It is not as it was written.
        """
        return self._opened("payloads", PAYLOAD, _PAYLOAD, key)

    def words(self, key: str) -> Row | None:
        """The row of an alias, opened.

        Raises:
            DamagedError: It is not as it was written.
        """
        return self._opened("wordings", WORDS, _WORDS, key)

    def account(self, key: str) -> Account | None:
        """Cost, size and slot of an entry as they were last written; its counts are not read."""
        row = self.one(_NUMBERS, key)
        return None if row is None else _account(key, row)

    def alias(self, key: str) -> Alias | None:
        """What an alias is of."""
        row = self.one("SELECT key, of, size, slot FROM wordings WHERE key = ?", key)
        return None if row is None else Alias(*row)

    def differs(self, one: str, other: str) -> bool:
        """Whether two keys are written down as different questions."""
        return self.one(_DIFFERS, one, other) is not None or (
            self.one(_DIFFERS, other, one) is not None
        )

    def state(self) -> dict[str, int]:
        """The row of `BOOKS`; all zero in a new ledger, and where it cannot be read."""
        row = self.one(f"SELECT {', '.join(_STATE)} FROM books")  # noqa: S608
        known = row is not None and all(isinstance(n, int) and n >= 0 for n in row)
        return dict(zip(_STATE, row if known and row else [0] * len(_STATE), strict=True))

    def count(self, *, most: int = -1) -> int:
        """How many entries there are, or that there are so many at least."""
        return int(self.one("SELECT count(*) FROM (SELECT 1 FROM entries LIMIT ?)", most)[0])

    def total(self) -> int:
        """The sum of their sizes."""
        return int(self.one("SELECT coalesce(sum(size), 0) FROM entries")[0])

    def one(self, statement: str, *parameters: Any) -> Any:
        """The first row that a statement finds."""
        with self.reading() as db:
            return db.execute(statement, parameters).fetchone()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to read by."""
        try:
            with closing(self.engine.raw_connection()) as connection:
                yield connection.driver_connection  # type: ignore[misc]
        except UnicodeDecodeError as error:  # what is damaged is also told in damaged words
            raise sqlite3.DatabaseError(str(error)) from error

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: all of it, or nothing."""
        with self.reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.commit()
            except BaseException:
                db.rollback()
                raise

    def scan(self, table: str, columns: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
        """All rows of a table that can be read, in batches; what is damaged is passed over.

        Raises:
            sqlite3.OperationalError: There is no such table, or column.
        """
        names = _columns(table, columns)
        page = f"SELECT rowid, {names} FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?"  # noqa: S608
        after, most, jump = -1, PAGE, 1
        while True:
            try:
                with self.reading() as db:
                    rows = db.execute(page, (after, most)).fetchall()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                if most > 1:
                    most = 1
                    continue
                self.lost += jump == 1
                after, jump = after + jump, jump * 2
                if jump > JUMPS:
                    return
                continue
            if not rows:
                return
            after, jump = rows[-1][0], 1
            most = min(2 * most, PAGE)
            yield [row[1:] for row in rows]

    def entries(self) -> Iterator[tuple[Row, Account]]:
        """Every answer's row, opened, with its numbers as they were last written."""
        for row in self._paged(_ENTRIES):
            try:
                yield self._open_row("payloads", PAYLOAD, row), _account(row[0], row[-3:])
            except DamagedError:
                self.lost += 1

    def aliases(self, of: str | None = None) -> Iterator[str]:
        """The keys of all aliases, or of those of one entry, in no promised order."""
        if of is None:
            yield from (row[0] for row in self._paged(_ALIASES))
            return
        with self.reading() as db:
            rows = db.execute("SELECT key FROM wordings WHERE of = ?", (of,)).fetchall()
        yield from (row[0] for row in rows)

    def unlike(self, accounts: Iterable[Account], aliases: Iterable[Alias]) -> list[str]:
        """Where the database says otherwise than the books, or not what was written to it."""
        held = {account.key: (account.slot, account.size) for account in accounts}
        other = {alias.key: (alias.of, alias.slot) for alias in aliases}
        entries = self._said("entries", "key", "slot", "size")
        words = self._said("wordings", "key", "of", "slot")
        damaged = sum(self._damaged("payloads", PAYLOAD)) + sum(self._damaged("wordings", WORDS))
        problems = {
            "the database holds other entries than the books": entries != held,
            "the database holds other aliases than the books": words != other,
            "an entry has no payload, or a payload no entry": (
                self._said("payloads", "key").keys() != entries.keys()
            ),
            f"{damaged} rows are not as they were written": damaged > 0,
        }
        return [problem for problem, found in problems.items() if found]

    def write(self, batch: Batch) -> None:
        """Write a batch: all of it, or nothing.

        Raises:
            sqlite3.Error: It could not be.
        """
        signed = self._signed(batch)
        with self.changing() as db:
            for statement, rows in signed:
                if rows:
                    db.executemany(statement, rows)

    def put(self, row: Row) -> None:
        """Write an answer's row in place of the one before.

        Raises:
            sqlite3.Error: It could not be.
        """
        values = _values(self.seal.sign("payloads", row), PAYLOAD)
        with self.changing() as db:
            db.execute(_insert("payloads", PAYLOAD), values)

    def clear(self) -> None:
        """Delete everything but what the entries are to be true of."""
        with self.changing() as db:
            for table in TABLES.sorted_tables:
                if table is not ABOUT:
                    db.execute(f"DELETE FROM {table.name}")  # noqa: S608

    def compact(self) -> None:
        """Write the file anew, with what is in it and no more, and empty its log.

        Raises:
            sqlite3.Error: There is no room for a copy, or another program reads the file.
        """
        with self.reading() as db:
            db.execute("VACUUM")
            busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            msg = "the log is in use by another program, so what was forgotten is still in it"
            raise sqlite3.OperationalError(msg)

    def problems(self, stop: threading.Event | None = None) -> list[str]:
        """What is wrong with the file, in SQLite's words; the first of it, nothing when it is sound.

        Args:
            stop: Set when nobody wants to know any more.
        """
        stop = stop or threading.Event()
        try:
            with self.reading() as db:
                db.set_progress_handler(stop.is_set, STEPS)
                try:
                    found = [str(row[0]) for row in db.execute("PRAGMA quick_check(1)").fetchall()]
                finally:
                    db.set_progress_handler(None, 0)
        except sqlite3.DatabaseError as error:
            found = [str(error)]
        return [] if found == ["ok"] or stop.is_set() else found

    def _signed(self, batch: Batch) -> Iterable[tuple[str, Sequence[Sequence[Any]]]]:
        """The statements of a batch in their order, each with its rows."""
        gone = [(key,) for key in batch.gone]
        seal = self.seal.sign
        payloads = [seal("payloads", payload_of(entry)) for _, entry in batch.entries]
        words = [
            {
                **seal("wordings", {**words_of(wording), "of": alias.of}),
                "turn": turn,
                **_slot(alias),
            }
            for alias, turn, wording in batch.words
        ]
        pairs = [seal("differences", {"one": a, "other": b}) for a, b in batch.differences]
        state = batch.state
        return [
            ("DELETE FROM entries WHERE key = ?", gone),
            ("DELETE FROM payloads WHERE key = ?", gone),
            ("DELETE FROM wordings WHERE of = ?", gone),
            ("DELETE FROM wordings WHERE key = ?", [(key,) for key in batch.unworded]),
            ("DELETE FROM differences WHERE one = ? AND other = ?", batch.agreed),
            ("DELETE FROM ghosts WHERE key = ?", [(key,) for key in batch.unremembered]),
            (_insert("entries", ACCOUNT), [row_of(account) for account, _ in batch.entries]),
            (_insert("payloads", PAYLOAD), [_values(row, PAYLOAD) for row in payloads]),
            (_insert("wordings", _ALL_WORDS), [_values(row, _ALL_WORDS) for row in words]),
            (_insert("differences", _PAIR), [_values(row, _PAIR) for row in pairs]),
            (_RENUMBER, batch.numbers),
            ("UPDATE wordings SET turn = ? WHERE key = ?", batch.turns),
            (_insert("ghosts", ("key", "counts", "last")), batch.ghosts),
            (_insert("books", ("id", *_STATE)), [(1, *_values(state, _STATE))] if state else []),
            (_insert("about", ("name", "value")), [*batch.about.items()]),
            (_insert("shadows", ("place", "size", "loss", "victim_worth")), batch.shadows),
        ]

    def _opened(self, table: Table, columns: Sequence[str], statement: str, key: str) -> Row | None:
        row = self.one(statement, key)
        return None if row is None else self._open_row(table, columns, row)

    def _open_row(self, table: Table, columns: Sequence[str], row: Sequence[Any]) -> Row:
        return self.seal.open(table, dict(zip(columns, row, strict=False)))

    def _said(self, table: Table | str, *columns: str) -> dict[str, tuple[object, ...]]:
        """What a table says of each key."""
        return {row[0]: row[1:] for batch in self.scan(table, columns) for row in batch}

    def _damaged(self, table: Table, columns: Sequence[str]) -> Iterator[bool]:
        """Of each row whether it is not as it was written."""
        for batch in self.scan(table, columns):
            for row in batch:
                try:
                    self._open_row(table, columns, row)
                except DamagedError:
                    yield True

    def _paged(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """Rows in the order of their first column, a key, in batches."""
        after = ""
        while True:
            with self.reading() as db:
                rows = db.execute(statement, (after, PAGE)).fetchall()
            yield from rows
            if not rows:
                return
            after = rows[-1][0]


_DAMAGED = {
    sqlite3.SQLITE_ERROR,  # of statements that are right: the schema is not
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_NOTADB,
}
_CHANGING = {"checksum", "policy", "half-lives", probes.NAME}
_STATE = ("now", "held", "size", "slots", "leader", "ghosts")
_ALL_WORDS = ("key", "of", "size", "slot", "turn", "text", "vector", "seal")
_PAIR = ("one", "other", "seal")


def _columns(table: str, names: Sequence[str]) -> str:
    return ", ".join(f'{table}."{name}"' for name in names)


def _insert(table: str, names: Sequence[str]) -> str:
    """Whatever has the same key, or the same slot, was not known to the books: it gives way."""
    columns = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join("?" * len(names))
    return f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608


_PAYLOAD = f"SELECT {_columns('payloads', PAYLOAD)} FROM payloads WHERE key = ?"  # noqa: S608
_WORDS = f"SELECT {_columns('wordings', WORDS)} FROM wordings WHERE key = ?"  # noqa: S608
_NUMBERS = f"SELECT {_columns('entries', NUMBERS)} FROM entries WHERE key = ?"  # noqa: S608
_DIFFERS = "SELECT 1 FROM differences WHERE one = ? AND other = ?"
_RENUMBER = "UPDATE entries SET cost = ?, size = ?, counts = ?, last = ? WHERE key = ?"
_ENTRIES = (
    f"SELECT {_columns('payloads', PAYLOAD)}, {_columns('entries', NUMBERS)} "  # noqa: S608
    "FROM payloads JOIN entries ON entries.key = payloads.key "
    "WHERE payloads.key > ? ORDER BY payloads.key LIMIT ?"
)
_ALIASES = "SELECT key FROM wordings WHERE key > ? ORDER BY key LIMIT ?"


def _account(key: str, numbers: Sequence[Any]) -> Account:
    cost, size, slot = numbers
    return Account(key, cost, size, slot=slot)


def _values(row: Any, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def _slot(alias: Any) -> dict[str, int]:
    return {"size": alias.size, "slot": alias.slot}


def _checksum(about: Mapping[str, str]) -> str:
    """Of what the entries are true of; by what they are valued may change."""
    fixed = sorted(repr(pair) for pair in about.items() if pair[0] not in _CHANGING)
    return hashlib.sha256(json.dumps(fixed).encode()).hexdigest()


def refusal(name: str, value: str, stored: str) -> str:
    """What to say where entries are true of something else than is wanted."""
    if name == "seal":
        return (
            f"the stored entries are sealed otherwise ({stored}): open them with the secret that they "
            "were made with, or none if there was none"
        )
    return f"{name} is {value!r}, but the stored entries were made with {stored!r}"


def damage(path: object, why: object) -> str:
    """What to say of a file that cannot be read."""
    return (
        f"{path} cannot be read as a cache's ledger: {why}; LECCache(path, repair=True) saves what can "
        "be read, and keeps the damaged file beside it"
    )


def _durable(connection: Any, _record: object) -> None:
    """A commit survives the death of the process; readers never wait for the writer."""
    connection.text_factory = _text
    for pragma in (
        f"page_size={SIZE}",
        "busy_timeout=5000",
        "journal_mode=WAL",
        "synchronous=NORMAL",
    ):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(f"PRAGMA busy_timeout={LATE}")


def _text(written: bytes) -> str:
    """A damaged text is a text too, of which no seal is true."""
    return written.decode("utf-8", "surrogateescape")


def _immediate(connection: sa.Connection) -> None:
    """Take the write lock at once: two deferred transactions could not both upgrade."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")

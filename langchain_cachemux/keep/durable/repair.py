"""What can be read of a damaged database, saved into a new one."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import time
from contextlib import closing
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.schema import CreateTable

from langchain_cachemux.discreet import loggable
from langchain_cachemux.keep.durable.database import Database
from langchain_cachemux.keep.durable.tables import (
    DIFFERENCES,
    ENTRIES,
    GHOSTS,
    PAYLOADS,
    TABLES,
    WORDINGS,
)
from langchain_cachemux.keep.sealed import DamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_cachemux.keep.sealed import Row, Seal

MAGIC = b"SQLite format 3\0"
"""What a database begins with."""
HEADER = 100
"""Bytes that say what a database is: the size of its pages among them, and how many there are."""
LIKE = 0.9
"""How much alike two descriptions of one table are at least, from 0 to 1."""
LARGEST = 2**40
"""Bytes that a database may be believed to have had."""
BESIDE = ("", "-wal", "-shm")
"""A database's files, by what is added to its name."""

log = logging.getLogger(__name__)


def salvage(path: Path, seal: Seal) -> Path | None:
    """Save what can be read of a damaged database into a new one, which takes its place.

    The damaged file is kept beside it. What was saved and what was lost is logged.

    Args:
        path: The database; nothing happens when it is missing or sound.
        seal: Under which its rows were written.

    Returns:
        Where the damaged file is now; None when nothing was damaged.
    """
    if not path.exists() or _is_sound(path, seal):
        return None
    moment = time.time_ns()
    aside, new = (path.with_name(f"{path.name}.{what}-{moment}") for what in ("damaged", "saved"))
    for ending in BESIDE:
        if Path(f"{path}{ending}").exists():
            Path(f"{path}{ending}").replace(f"{aside}{ending}")
    readable = _readable(aside)
    try:
        saved, lost = _copied(readable, new, seal)
    finally:
        for ending in BESIDE:
            Path(f"{readable}{ending}").unlink(missing_ok=True)
    new.replace(path)
    log.warning(
        "%s was damaged: %d answers and %d other wordings of them were saved, %d rows at least were "
        "lost; the damaged file is now %s",
        path,
        saved["payloads"],
        saved["wordings"],
        lost,
        aside,
    )
    return aside


def _is_sound(path: Path, seal: Seal) -> bool:
    database = Database(f"sqlite:///{path}", seal)
    try:
        with database.readable():
            database.look()
            for table in TABLES.sorted_tables:
                names = ", ".join(f'{table.name}."{column.name}"' for column in table.c)
                database.one(f"SELECT {names} FROM {table.name}")  # noqa: S608
        return not database.problems()
    except ValueError:
        return False
    finally:
        database.close()


def _readable(path: Path) -> Path:
    """A copy that begins as a database does, is as long as it says it is, and knows its tables.

    Of a file that is shorter than its header says, or whose tables are not described as they were made,
    SQLite reads nothing at all.
    """
    copy = path.with_name(f"{path.name}.copy")
    for ending in BESIDE:
        if Path(f"{path}{ending}").exists():
            shutil.copyfile(f"{path}{ending}", f"{copy}{ending}")
    with copy.open("r+b") as file:
        head = file.read(HEADER)
        length = int.from_bytes(head[16:18], "big") * int.from_bytes(head[28:32], "big")
        file.seek(0)
        file.write(MAGIC)
        if copy.stat().st_size < length <= LARGEST:
            file.truncate(length)
    try:
        with closing(sqlite3.connect(copy, isolation_level=None)) as db:
            _describe(db)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        log.warning("the tables of %s cannot be found: %s", path, loggable(error))
    return copy


def _describe(db: sqlite3.Connection) -> None:
    """Say again what the tables are: their columns, and no more than is needed to read them.

    A table whose name is damaged is the one that is described most alike.
    """
    db.text_factory = partial(str, encoding="utf-8", errors="replace")
    db.execute("PRAGMA writable_schema=ON")
    found = "SELECT rowid, name, sql FROM sqlite_master WHERE rootpage > 0 AND sql IS NOT NULL"
    rows = db.execute(found).fetchall()
    kept = []
    for table in TABLES.sorted_tables:
        made = str(CreateTable(table).compile(dialect=dialect()))
        likely = sorted(rows, key=lambda row: (row[1] == table.name, _likeness(row[2], made)))
        if likely and (likely[-1][1] == table.name or _likeness(likely[-1][2], made) > LIKE):
            rows.remove(likely[-1])
            plain = ", ".join(f'"{column.name}"' for column in table.c)
            kept.append((table.name, f"CREATE TABLE {table.name} ({plain})", likely[-1][0]))
    places = ", ".join(str(place) for *_, place in kept) or "0"
    db.execute(f"DELETE FROM sqlite_master WHERE rowid NOT IN ({places})")  # noqa: S608
    new = "UPDATE sqlite_master SET type = 'table', name = ?1, tbl_name = ?1, sql = ?2 WHERE rowid = ?3"
    db.executemany(new, kept)


def _likeness(one: str, other: str) -> float:
    """From 0 to 1."""
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _copied(old: Path, new: Path, seal: Seal) -> tuple[dict[str, int], int]:
    """Copy the rows that can be read and are as they were written; how many of each table, and lost."""
    source, target = (Database(f"sqlite:///{path}", seal) for path in (old, new))
    try:
        target.open(_about(source))
        tables = (PAYLOADS, ENTRIES, WORDINGS, DIFFERENCES, GHOSTS)
        saved = {table.name: _copy(source, target, table) for table in tables}
        with target.engine.begin() as db:
            lone = ENTRIES.c.key.not_in(sa.select(PAYLOADS.c.key))
            source.lost += db.execute(sa.delete(ENTRIES).where(lone)).rowcount
            held = sa.select(ENTRIES.c.key)
            for table, column in ((PAYLOADS, PAYLOADS.c.key), (WORDINGS, WORDINGS.c.of)):
                saved[table.name] -= db.execute(sa.delete(table).where(~column.in_(held))).rowcount
        with target.reading() as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        source.close()
        target.close()
    return saved, source.lost


def _about(source: Database) -> dict[str, str]:
    """What the entries are true of; nothing where that is not as it was written."""
    try:
        stored = source.look()
    except ValueError:
        return {}
    return {
        name: text for name, text in stored.items() if name not in ("schema", "seal", "checksum")
    }


def _copy(source: Database, target: Database, table: sa.Table) -> int:
    names = [column.name for column in table.c]
    marks = ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
    insert = f"INSERT OR IGNORE INTO {table.name} ({marks[0]}) VALUES ({marks[1]})"  # noqa: S608
    saved = 0
    with target.changing() as db:
        for row in _rows(source, table):
            try:
                if "seal" in table.c:
                    target.seal.open(table.name, row)  # type: ignore[arg-type]
                saved += db.execute(insert, [row.get(name) for name in names]).rowcount
            except (DamagedError, sqlite3.IntegrityError, UnicodeEncodeError):
                source.lost += 1
    return saved


def _rows(source: Database, table: sa.Table) -> Iterator[Row]:
    """The rows of a table that can be read; none when the table cannot be found."""
    names = [column.name for column in table.c]
    try:
        for batch in source.scan(table.name, names):
            yield from (dict(zip(names, row, strict=True)) for row in batch)
    except sqlite3.DatabaseError as error:
        source.lost += 1
        log.warning("of %s nothing more can be read: %s", table.name, loggable(error))

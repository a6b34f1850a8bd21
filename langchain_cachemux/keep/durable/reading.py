"""A folder's ledger that is only read: beside whoever has it open, or where nothing may be written."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from typing_extensions import override

from langchain_cachemux.keep.durable.database import refusal
from langchain_cachemux.keep.durable.folder import LEDGER, about
from langchain_cachemux.keep.durable.ledger import SqlLedger
from langchain_cachemux.keep.durable.tables import SCHEMA
from langchain_cachemux.types import Admission

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from langchain_cachemux.keep.books import Capacity
    from langchain_cachemux.keep.durable.unwritten import Batch
    from langchain_cachemux.keep.memory import MemoryBooks
    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.keep.sealed import Seal
    from langchain_cachemux.types import Entry, Wording

READ_ONLY = "the cache was opened with read_only=True: nothing in it can be changed"


class ReadLedger(SqlLedger):
    """What another `SqlLedger` wrote, and writes: found by key, and never counted.

    Its books are never read, so every question is one to the database, which a writer does not hold up.
    A newcomer is not kept.

    Args:
        path: Of the database.
        mode: As SQLite takes it: "mode=ro", or "immutable=1" where not even the files of the
            write-ahead log can be made.
        capacity: As of a `SqlLedger`.
        policy: As of a `SqlLedger`.
        about: As of a `SqlLedger`.
        seal: As of a `SqlLedger`.

    Raises:
        ValueError: It is about something else, or damaged.
        sqlite3.Error: It cannot be read in this mode.
    """

    def __init__(
        self,
        path: Path,
        mode: str,
        *,
        capacity: int,
        policy: Policy | Sequence[Policy],
        about: dict[str, str],
        seal: Seal,
    ) -> None:
        super().__init__(
            f"sqlite:///file:{path}?{mode}&uri=true",
            capacity=capacity,
            policy=policy,
            about=about,
            seal=seal,
        )

    @override
    def close(self) -> None:
        self._closed = True
        self._database.close()

    @override
    def use(self, key: str, *, credit: float = 1.0, cost: float | None = None) -> bool:
        """Nothing is counted; whether it is held."""
        return self._found(key)[0] is not None

    @override
    def admit(self, entry: Entry) -> Admission:
        """Nothing is kept."""
        return Admission(None)

    @override
    def reword(self, wording: Wording) -> Admission:
        """Nothing is kept."""
        return Admission(None)

    @override
    def differ(self, one: str, other: str) -> None:
        """Nothing is remembered."""

    @override
    def extend(self, key: str, expires: float) -> bool:
        """Nothing holds longer than was written; whether it is held."""
        return self._found(key)[0] is not None

    @override
    def clear(self) -> None:
        raise PermissionError(READ_ONLY)

    @override
    def compact(self) -> None:
        raise PermissionError(READ_ONLY)

    @override
    def _know(self, embedders: str) -> None:
        """Nothing is written: nothing was stored with it either."""

    @override
    def flush(self) -> None:
        """Nothing waits."""

    @override
    def check(self) -> list[str]:
        """What is wrong with the file."""
        return self._database.problems()

    @override
    def _open(self, about: dict[str, str]) -> None:
        rows = self._database.scan("about", ("name", "value"))
        stored = {name: value for batch in rows for name, value in batch}
        for name, value in {"schema": SCHEMA, "seal": self._database.seal.name, **about}.items():
            if stored.get(name) != value:
                raise ValueError(refusal(name, value, stored.get(name, "none")))
        self._until = 0.0

    @override
    def _loading(self, batch: Batch, later: Callable[[MemoryBooks], object]) -> bool:
        raise PermissionError(READ_ONLY)


def read(
    folder: Path,
    capacity: Capacity,
    policy: Policy | Sequence[Policy],
    *,
    embeddings: str,
    closing: ExitStack,
    seal: Seal,
) -> ReadLedger:
    """Open the ledger in a folder to read it, whoever else has it open; arguments as of `folder.kept`.

    Raises:
        ValueError: There is none; or it was made with another embedder, unit or seal, or cannot be read.
    """
    path = folder / LEDGER
    if not path.is_file():
        msg = f"path must be a cache's folder where it is only read, but there is no {path}"
        raise ValueError(msg)
    log, errors = path.with_name(f"{path.name}-wal"), []
    whole = not log.exists() or not log.stat().st_size
    for mode in ("mode=ro", "immutable=1") if whole else ("mode=ro",):
        try:
            ledger = ReadLedger(
                path,
                mode,
                capacity=capacity.total,
                policy=policy,
                about=about(embeddings, capacity),
                seal=seal,
            )
        except sqlite3.Error as error:
            errors.append(error)
        else:
            closing.callback(ledger.close)
            return ledger
    msg = f"path {str(folder)!r} cannot be read: {errors[0]}"
    if not whole:
        msg += "; it was not closed, so it must be opened once where it can be written to"
    raise ValueError(msg)

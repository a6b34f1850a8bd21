"""A cache that processes share: what they hold in common, and what each hears of the others.

The ledger is in a database that all have open. What is near each finds by itself: its own front holds
the vectors of what is held, and is told within a second of what came and went elsewhere; beyond the
front all search one collection of a Chroma server. An equal question that is asked elsewhere just now is
waited for as one that is asked here (`flight`).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from langchain_cachemux.arguments import expect
from langchain_cachemux.flight import Flights
from langchain_cachemux.keep.books import TYPICAL_BYTES, Capacity
from langchain_cachemux.keep.durable.folder import LEDGER, SHARED
from langchain_cachemux.keep.durable.private import make_private
from langchain_cachemux.keep.encrypted import Encrypted
from langchain_cachemux.keep.shared.leases import Leases
from langchain_cachemux.keep.shared.ledger import SharedLedger
from langchain_cachemux.keep.shared.notes import Notes
from langchain_cachemux.match.index import Index
from langchain_cachemux.places import Servers
from langchain_cachemux.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from langchain_cachemux.keep.expiry import Expiry
    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.keep.sealed import Seal
    from langchain_cachemux.life import Life
    from langchain_cachemux.stats import Counters
    from langchain_cachemux.types import Entry

GLANCE = 0.05
"""Seconds after which who waits for another process looks again."""


def opened(
    where: Servers | Path,
    capacity: Capacity,
    policy: Policy | Sequence[Policy],
    *,
    embeddings: str,
    counters: Counters,
    deadline: float,
    wait: float,
    life: Life,
    closing: ExitStack,
    expiry: Expiry | None = None,
    seal: Seal | None = None,
    repair: bool = False,
) -> tuple[Shelf, CommonFlights, Notes]:
    """Open a ledger that processes share, an index that hears of all, flights of all, and its notes.

    Args:
        where: The servers, or a folder on one machine.
        capacity: What all together may hold.
        policy: What is worth keeping; all processes say the same.
        embeddings: What the vectors were made by.
        counters: As for a shelf.
        deadline: Seconds in which they have to answer.
        wait: Seconds that an equal question is waited for at most.
        life: As for a shelf.
        closing: Closes what was opened.
        expiry: As for a shelf.
        seal: What rows are written under; all processes have the same.
        repair: Must be False.

    Raises:
        ValueError: It was made with another embedder or unit, or the folder is one process's.
        Exception: The database cannot be opened.
    """
    expect(not repair, "repair", "False for a cache that processes share", repair)
    servers = where if isinstance(where, Servers) else Servers(_file(where))
    ledger = SharedLedger(
        servers.database,
        capacity=capacity.total,
        policy=policy,
        about={"embeddings": embeddings, "capacity unit": capacity.unit},
        seal=seal,
        typical=TYPICAL_BYTES if capacity.in_bytes else 1,
    )
    closing.callback(ledger.close)
    since = ledger.latest()
    if servers.chroma is None or isinstance(seal, Encrypted):  # vectors tell words
        index = Index.memory(ledger.wordings)
    else:
        index = Index.server(servers.client, servers.collection, ledger.wordings)
    closing.callback(index.close)
    shelf = Shelf(
        ledger,
        index,
        in_bytes=capacity.in_bytes,
        counters=counters,
        deadline=deadline,
        expiry=expiry,
        life=life,
    )
    closing.callback(shelf.close)
    flights = CommonFlights(wait, ledger=ledger)
    closing.callback(flights.close)
    ledger.hear(Ear(shelf, flights, since=since).hear)
    return shelf, flights, Notes(ledger.database)


def _file(folder: Path) -> str:
    """The address of the database in a folder that processes share, made when it is missing."""
    import sqlalchemy as sa

    if folder.exists() and not folder.is_dir():
        msg = f"path must be a folder, got the file {str(folder)!r}"
        raise ValueError(msg)
    mine = (folder / LEDGER).exists() and not (folder / SHARED).exists()
    expect(not mine, "shared", f"False for {str(folder)!r}, the cache of one process", given=True)
    make_private(folder)
    (folder / SHARED).touch(mode=0o600)  # what SQLite puts beside it has the same mode
    return str(sa.URL.create("sqlite", database=str(folder / SHARED)))


class Ear:
    """Tells an index what the other processes put into the ledger, and what they took out of it."""

    def __init__(self, shelf: Shelf, flights: CommonFlights, *, since: int) -> None:
        self.shelf, self.flights = shelf, flights
        self.since = since

    def hear(self, ledger: SharedLedger) -> None:
        """Look what has changed since the last time.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database cannot be asked, or not in time.
        """
        self.flights.sweep()
        index = self.shelf.index
        with self.shelf.lock:  # what is put here meanwhile is newer
            changes, self.since = ledger.changes(self.since)
            for slot, wording in changes:
                if wording is None or wording.vector is None:
                    index.blank(slot, own=False)
                else:
                    index.put(slot, wording.key, wording.vector, wording.partition, own=False)


class CommonFlights(Flights):
    """Flights of which one at a time leads a key among all processes that share a ledger.

    Who leads here and finds that another process does waits for the answer to be stored, as long as one
    here would be waited for, and no longer than that process lives.

    Args:
        longest: Seconds waited at most; at 0 nobody waits.
        ledger: Where answers are found.
    """

    def __init__(self, longest: float, *, ledger: SharedLedger) -> None:
        super().__init__(longest)
        self._ledger = ledger
        self._leases = Leases(ledger.database, longest=longest)

    @override
    def join(self, key: str) -> Any:
        answer = super().join(key)
        if answer is not None or not self.leads(key):
            return answer
        until = time.monotonic() + self.patience
        while not self._mine(key):
            if time.monotonic() > until:
                return None
            time.sleep(GLANCE)
            answer = self._stored(key)
            if answer is not None:
                return answer
        return None

    @override
    async def ajoin(self, key: str) -> Any:
        answer = await super().ajoin(key)
        if answer is not None or not self.leads(key):
            return answer
        until = time.monotonic() + self.patience
        while not await _aside(self._mine, key):
            if time.monotonic() > until:
                return None
            await asyncio.sleep(GLANCE)
            answer = await _aside(self._stored, key)
            if answer is not None:
                return answer
        return None

    @override
    def land(self, key: str, answer: object) -> None:
        super().land(key, answer)
        self._leases.give(key)

    @override
    def abandon(self, key: str) -> None:
        led = self.leads(key)
        super().abandon(key)
        if led:
            self._leases.give(key)

    def sweep(self) -> None:
        """Give back the leases of questions that are asked here no more: a model may have failed."""
        for key in self._leases.held():
            flight = self._flights.get(key)
            if flight is None or not self._awaited(flight):
                self._leases.give(key)

    def close(self) -> None:
        """Give all back."""
        self.clear()
        self._leases.close()

    def _mine(self, key: str) -> bool:
        """Whether it is this process that asks; it does too when the database cannot be asked."""
        try:
            return self.longest <= 0 or self._leases.take(key)
        except Exception:  # noqa: BLE001
            return True

    def _stored(self, key: str) -> Entry | None:
        """The answer, once it is stored."""
        try:
            return self._ledger.get(key)
        except Exception:  # noqa: BLE001
            return None


def _aside(work: Callable[[str], Any], key: str) -> Awaitable[Any]:
    """Do it in a thread."""
    return asyncio.get_running_loop().run_in_executor(None, work, key)

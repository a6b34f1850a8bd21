"""Books from their database: the numbers of all that is held, read in batches.

Answers stay where they are. What each policy would hold is advice: it comes from the file that was
written when the ledger was closed (`advice`), or else every policy holds what is held, valued by its
counts. Then only *which* answer leaves next may differ from what it would have been.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

from langchain_cachemux.keep.books import Account
from langchain_cachemux.keep.database import ACCOUNT, PAGE
from langchain_cachemux.keep.sealed import DamagedError
from langchain_cachemux.keep.wordings import Alias
from langchain_cachemux.types import LARGEST_COST, Standing

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from langchain_cachemux.keep.database import Database
    from langchain_cachemux.keep.memory import HeapShadow, MemoryBooks

Counts = tuple[float, ...]

BREATH = 0.0005
"""Seconds that a batch leaves to whoever waits for the interpreter."""
SPARSE = 8
"""Slots there may be for each that is taken, beyond some thousands."""


class StoppedError(Exception):
    """Nobody wants the books any more."""


def fill(
    books: MemoryBooks, database: Database, *, before: Sequence[float], stop: threading.Event
) -> int:
    """Read what is held: entries, aliases, ghosts and differences; no policy holds anything yet.

    Args:
        books: Empty ones.
        database: Theirs.
        before: The half-lives of the counts that are stored; each new one takes the nearest.
        stop: Set when nobody wants them any more.

    Returns:
        The turn at which an alias was last used.

    Raises:
        StoppedError: Nobody does.
    """
    counts = _counted(books.half_lives, before)
    state = database.state()
    books.now, highest = state["now"], SPARSE * (database.count() + 10_000)
    taken: set[int] = set()

    def rows(table: str, *columns: str) -> Iterator[tuple[Any, ...]]:
        return breathing(chain.from_iterable(database.scan(table, columns)), stop)

    for row in rows("entries", *ACCOUNT):
        account = _account(row, counts)
        if account is None or account.slot in taken or account.slot > highest:
            database.lost += 1
            continue
        taken.add(account.slot)
        books.resume(account)
        books.now = max(books.now, account.last)
    turn = _fill_aliases(books, database, rows("wordings", *_WORDING), taken, highest)
    for one, other, seal in rows("differences", "one", "other", "seal"):
        try:
            pair = database.seal.open("differences", {"one": one, "other": other, "seal": seal})
        except DamagedError:
            database.lost += 1
        else:
            books.wordings.resume_difference(pair["one"], pair["other"])
    for key, written, last in rows("ghosts", "key", "counts", "last"):
        known = counts(written)
        if known is not None and _is_time(last) and books.find(key) is None:
            books.resume_ghost(key, known, last)
    books.resume_slots()
    books.bound = books.rules.shared(max(books.slots, min(state["slots"], highest)))
    return turn


def value(books: MemoryBooks, shadow: HeapShadow, *, stop: threading.Event) -> None:
    """Let a policy hold what is held, each answer valued by its counts."""
    standings = []
    for account in breathing(books.accounts(), stop):
        count = account.counts[shadow.age]
        standing = Standing(account.key, account.cost, account.size, count, count, account.last)
        standing.worth = shadow.policy.worth(standing)
        standings.append(standing)
    shadow.resume(standings, strays=())


def breathing(things: Iterable[Any], stop: threading.Event) -> Iterator[Any]:
    """The same things; now and then others may go on meanwhile.

    Raises:
        StoppedError: Nobody wants them any more.
    """
    for number, thing in enumerate(things):
        if number % PAGE == PAGE - 1:
            if stop.is_set():
                raise StoppedError
            time.sleep(BREATH)
        yield thing


_WORDING = ("turn", "key", "of", "size", "slot")


def _fill_aliases(
    books: MemoryBooks,
    database: Database,
    rows: Iterable[tuple[Any, ...]],
    taken: set[int],
    highest: int,
) -> int:
    """Go on with the aliases, in the order of their use; the last turn."""
    right, grown = [], Counter[str]()
    for row in rows:
        if all(map(_is_whole, (row[0], row[3], row[4]))):
            right.append(row)
        else:
            database.lost += 1
    for _, key, of, size, slot in sorted(right):
        account = books.find(of)
        fits = account is not None and grown[of] + size <= account.size
        if not fits or books.find(key) is not None or slot in taken or slot > highest:
            database.lost += 1
            continue
        taken.add(slot)
        grown[of] += size
        books.wordings.resume(Alias(key, of, size, slot))
    return max((row[0] for row in right), default=0)


def _counted(
    half_lives: Sequence[float], before: Sequence[float]
) -> Callable[[str], Counts | None]:
    """What reads counts by the half-lives that were, and tells them by those that are."""
    near = [
        min(range(len(before)), key=lambda place: abs(1 / before[place] - 1 / new))
        for new in half_lives
    ]

    def counts(written: str) -> Counts | None:
        try:
            old = json.loads(written)
            known = tuple([float(old[min(place, len(old) - 1)]) for place in near])
        except (ValueError, TypeError, LookupError):
            return None
        return known if all(map(math.isfinite, known)) else None

    return counts


def _account(row: tuple[Any, ...], counts: Callable[[str], Counts | None]) -> Account | None:
    """An account as it was written; None when it was written otherwise."""
    key, slot, cost, size, written, last = row
    known = counts(written)
    right = (
        known is not None
        and isinstance(key, str)
        and isinstance(cost, float | int)
        and 0 <= cost < LARGEST_COST
        and all(map(_is_time, (slot, size, last)))
        and size > 0
    )
    return Account(key, cost, size, known or (), last, slot) if right else None


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and value >= 0


def _is_time(value: object) -> bool:
    """Whether it is a number of requests: no clock comes to 2^53."""
    return _is_whole(value) and value < 2**53  # type: ignore[operator]

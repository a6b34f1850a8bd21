"""Books from their database: the numbers of all that is held, read in batches.

Answers stay where they are. What each policy would hold is advice: it comes from the file that was
written when the ledger was closed (`advice`), or else every policy holds what is held, valued by its
counts. Then only *which* answer leaves next may differ from what it would have been.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

from langchain_cachemux.keep.books import Account
from langchain_cachemux.keep.durable.advice import breathing, restore
from langchain_cachemux.keep.durable.database import ACCOUNT
from langchain_cachemux.keep.durable.unwritten import Batch, Unwritten, numbers_of
from langchain_cachemux.keep.memory import MemoryBooks
from langchain_cachemux.keep.sealed import DamagedError
from langchain_cachemux.keep.wordings import Alias
from langchain_cachemux.types import LARGEST_COST, Standing

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from langchain_cachemux.keep.books import Rules
    from langchain_cachemux.keep.durable.database import Database
    from langchain_cachemux.keep.memory import HeapShadow
    from langchain_cachemux.keep.policies import Policy

Counts = tuple[float, ...]

SPARSE = 8
"""Slots there may be for each that is taken, beyond some thousands."""


def resumed(
    rules: Rules, database: Database, stored: Mapping[str, str], *, stop: threading.Event
) -> tuple[MemoryBooks, Unwritten, Batch]:
    """Books as they were when they were last written.

    Args:
        rules: Theirs.
        database: Where what they hold is.
        stored: What is written in `ABOUT`.
        stop: Set when nobody wants them any more.

    Returns:
        The books, their store, and what is to be written: by what they are told from now on.

    Raises:
        StoppedError: Nobody wants them.
        sqlite3.Error: The database could not be read.
    """
    unwritten = Unwritten()
    books, before, valued = MemoryBooks(rules, unwritten), _before(rules, stored), valued_by(rules)
    unwritten.turn = fill(books, database, before=before, stop=stop)
    same, advised = stored.get("policy") == valued["policy"], False
    if same:
        _rewind(books, database)
        path = database.advice
        advised = path is not None and restore(path, books, valued["policy"], stop=stop)
    if not advised:
        for shadow in books.shadows:
            value(books, shadow, stop=stop)
    if all(stored.get(name) == told for name, told in valued.items()):
        return books, unwritten, Batch()
    batch = Batch(about=valued)
    if tuple(before) != rules.half_lives:
        batch.numbers = [*map(numbers_of, books.accounts())]
        batch.ghosts = [(key, json.dumps(n), last) for key, n, last in books.remembered()]
    return books, unwritten, batch


def valued_by(rules: Rules) -> dict[str, str]:
    """By what the entries are valued, and what their counts are of: what `ABOUT` is to say."""
    half_lives = json.dumps(rules.half_lives)
    return {"policy": described(rules.policies), "half-lives": half_lives}


def described(policies: Sequence[Policy]) -> str:
    """What tells two lists of policies apart; a repr that is an address says nothing."""
    told = [
        p if type(p).__repr__ is not object.__repr__ else type(p).__qualname__ for p in policies
    ]
    return repr([(name, policy.half_life) for name, policy in zip(told, policies, strict=True)])


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
            books.store.remove(row[0])
            continue
        if books.find(account.key) is not None:  # an index of the table is damaged
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


def _before(rules: Rules, stored: Mapping[str, str]) -> list[float]:
    """The half-lives of the counts that are stored: those of now, where nothing is, or is readable."""
    try:
        told = [*map(float, json.loads(stored.get("half-lives", "[]")))]
    except (ValueError, TypeError):
        told = []
    known = told and all(half_life > 0 for half_life in told)
    return told if known else [*rules.half_lives]


def _rewind(books: MemoryBooks, database: Database) -> None:
    """Let every policy go on from its clock and its losses, and follow who was followed."""
    books.leader = min(database.state()["leader"], len(books.shadows) - 1)
    rows = chain.from_iterable(database.scan("shadows", ("place", "loss", "victim_worth")))
    for place, loss, clock in rows:
        if place in range(len(books.shadows)) and _is_finite(loss):
            books.shadows[place].loss = loss
            if _is_finite(clock):
                books.shadows[place].wind(clock)


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
            books.store.take(Alias(key, of, size, slot))
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


def _is_finite(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)

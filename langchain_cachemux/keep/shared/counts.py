"""What one of several processes knows of requests before it writes it down: counts, and votes.

A hit needs no write. It is counted here, and written with others from time to time.
"""

from __future__ import annotations

import copy
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_cachemux.keep.answers import Answers
from langchain_cachemux.keep.books import Account, Rules
from langchain_cachemux.keep.memory import MemoryBooks
from langchain_cachemux.types import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_cachemux.keep.policies import Policy

SAMPLE = 2_000
"""Entries that the shadows of one process follow at most: a sample of the keys, chosen by their hash."""


@dataclass(slots=True)
class Asked:
    """The requests of one entry that are not written down yet."""

    times: list[tuple[int, float]] = field(default_factory=list)
    """When, by the ledger's counter, and how much of a request each was."""
    cost: float | None = None
    """What a miss would cost, when somebody said so."""

    @property
    def credit(self) -> float:
        """How many requests that is."""
        return sum(credit for _, credit in self.times)

    def count(self, account: Account, half_lives: Sequence[float]) -> None:
        """Count them on an account, on which others may have counted later ones already."""
        for now, credit in self.times:
            if now >= account.last:
                account.requested(now, half_lives, credit)
            else:
                gap = now - account.last
                aged = zip(account.counts, half_lives, strict=True)
                account.counts = tuple([n + credit * 2.0 ** (gap / half) for n, half in aged])
        if self.cost is not None:
            account.cost = self.cost


class Batch:
    """Requests by the key of the entry that answered, and when each alias was last asked."""

    def __init__(self, asked: dict[str, Asked] | None = None) -> None:
        self.asked = {} if asked is None else asked
        self.turns: dict[str, int] = {}
        self.requests = 0
        """In all, those of which nothing is written but that they were."""

    def __bool__(self) -> bool:
        """Whether anything was counted."""
        return bool(self.requests or self.asked)

    def after(self, earlier: Batch, *, at_most: int) -> None:
        """Take in what was counted before, as far as that is of so many entries in all."""
        self.requests += earlier.requests
        self.turns = earlier.turns | self.turns
        for key, asked in earlier.asked.items():
            mine = self.asked.get(key)
            if mine is not None:
                mine.times[:0] = asked.times
                mine.cost = asked.cost if mine.cost is None else mine.cost
            elif len(self.asked) < at_most:
                self.asked[key] = asked

    def use(self, key: str, now: int, credit: float, cost: float | None) -> None:
        """Count a request that an entry answered."""
        asked = self.asked.setdefault(key, Asked())
        asked.times.append((now, credit))
        if cost is not None:
            asked.cost = cost


class Votes:
    """What each policy would have lost on the requests of one process: its vote on whom to follow.

    Shadows as in memory (`shadows`), over a sample of the keys when there are many, with as large a
    share of the capacity (as SHARDS does for miss ratios, Waldspurger et al., FAST 2015).

    Args:
        rules: Of the ledger.
        entries: About how many it holds.
    """

    def __init__(self, rules: Rules, *, entries: int) -> None:
        self.rules = rules
        self.share = min(1.0, SAMPLE / max(entries, 1))
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        rules = self.rules
        policies = fresh(rules.policies)
        capacity = max(1, round(rules.capacity * self.share))
        self._books = MemoryBooks(Rules(capacity, policies, rules.ghosts), Answers())

    @property
    def losses(self) -> list[float]:
        """What each policy has lost lately."""
        return [shadow.loss for shadow in self._books.shadows]

    def request(self, key: str, cost: float, size: int, credit: float = 1.0) -> None:
        """Count a request, whatever became of it."""
        if len(self.rules.policies) == 1 or zlib.crc32(key.encode()) >= self.share * 2.0**32:
            return
        if not self._books.use(key, credit, cost):
            self._books.admit(Entry(key, cost, size))


def fresh(policies: Sequence[Policy]) -> tuple[Policy, ...]:
    """Policies as they are given, apart from what the given ones will learn."""
    return tuple(copy.deepcopy(list(policies)))

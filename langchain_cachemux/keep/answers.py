"""The store in dictionaries: answers, their words, and when they are over."""

from __future__ import annotations

import heapq
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from langchain_cachemux.types import Entry

if TYPE_CHECKING:
    from langchain_cachemux.keep.books import Account
    from langchain_cachemux.keep.wordings import Alias
    from langchain_cachemux.types import Vector, Wording


class Answers:
    """Answers and words in dictionaries. What else a store is told of, the books know."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.words: dict[str, Wording] = {}
        self.ends = Ends()
        """Of the entries whose time is limited."""

    def entry(self, account: Account) -> Entry:
        """A copy of an answer, with its cost and size by now and its slot."""
        kept = self.entries[account.key]
        return Entry(  # `replace` takes three times as long, at every hit
            kept.key,
            account.cost,
            account.size,
            kept.partition,
            kept.text,
            kept.vector,
            kept.answer,
            account.slot,
            kept.made,
            kept.expires,
            kept.labels,
        )

    def wording(self, alias: Alias, account: Account) -> Wording:
        """A copy of an alias' words, with the entry that answers them."""
        entry = self.entry(account)
        return replace(self.words[alias.key], of=alias.of, slot=alias.slot, entry=entry)

    def keep(self, account: Account, entry: Entry) -> None:
        """As `Store.keep`."""
        self.entries[account.key] = replace(entry, vector=_frozen(entry.vector))
        self.ends.put(account.key, entry.expires)

    def remove(self, key: str) -> None:
        """As `Store.remove`."""
        del self.entries[key]
        self.ends.drop(key)

    def extend(self, key: str, expires: float) -> None:
        """Let an answer hold until then."""
        self.entries[key] = replace(self.entries[key], expires=expires)
        self.ends.put(key, expires)

    def add(self, alias: Alias, wording: Wording) -> None:
        """As `Store.add`."""
        self.words[alias.key] = replace(wording, vector=_frozen(wording.vector), entry=None)

    def take(self, alias: Alias) -> None:
        """As `Store.take`."""
        del self.words[alias.key]

    def resized(self, account: Account) -> None:
        """Nothing."""

    def renewed(self, alias: Alias) -> None:
        """Nothing."""

    def remember(self, account: Account) -> None:
        """Nothing."""

    def recalled(self, key: str) -> None:
        """Nothing."""

    def differ(self, one: str, other: str) -> None:
        """Nothing."""

    def agree(self, one: str, other: str) -> None:
        """Nothing."""


class Ends:
    """When what is kept is over, the first first: a heap in which what is no more so is skipped."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def put(self, key: str, end: float) -> None:
        """Write down an end in place of any before; what has none is not written down."""
        self.drop(key)
        if math.isfinite(end):
            self._ends[key] = end
            heapq.heappush(self._heap, (end, key))
        if len(self._heap) > 2 * len(self._ends) + 64:
            self._heap = [(end, key) for key, end in self._ends.items()]
            heapq.heapify(self._heap)

    def drop(self, key: str) -> None:
        """Forget a key."""
        self._ends.pop(key, None)

    def passed(self, now: float, most: int) -> list[str]:
        """The keys whose end is not after `now`, at most so many; they stay until they are dropped."""
        found: list[tuple[float, str]] = []
        while self._heap and self._heap[0][0] <= now and len(found) < most:
            item = heapq.heappop(self._heap)
            if self._ends.get(item[1]) == item[0] and item not in found[-1:]:
                found.append(item)
        for item in found:
            heapq.heappush(self._heap, item)
        return [key for _, key in found]


def _frozen(vector: Vector | None) -> Vector | None:
    """A copy that nobody can write to."""
    if vector is not None:
        vector = vector.copy()
        vector.setflags(write=False)
    return vector

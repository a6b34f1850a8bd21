"""In which other words an entry may be asked for, and which keys are different questions.

An alias has a key, a vector and a slot of its own, and no answer: it leads to its entry's, and goes
when that goes. The least recently used gives way first. As with `Books`, what is decided is decided
here, and a store only fetches and puts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_cachemux.types import Wording

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_cachemux.keep.books import Account
    from langchain_cachemux.types import Entry

WORDINGS = 8
"""Aliases that one entry may have."""
DIFFERENCES = 10_000
"""Pairs of different questions that are remembered."""


@dataclass(frozen=True, slots=True)
class Alias:
    """What the books know of an alias."""

    key: str
    of: str
    size: int
    slot: int


class Wordings(ABC):
    """The aliases of what a ledger holds, and the pairs of keys found different.

    Args:
        capacity: How many aliases there may be in all.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity

    def giving_way(self, of: str, key: str) -> list[Alias]:
        """Who leaves so that `of` can have the alias `key`; what `key` was before is one of them."""
        known = self.find(key)
        own = [alias for alias in self.of(of) if alias.key != key]
        leaving = ([] if known is None else [known]) + own[: max(len(own) - WORDINGS + 1, 0)]
        return leaving or self.excess(1)

    def excess(self, more: int = 0) -> list[Alias]:
        """Those beyond the capacity when `more` come, the least recently used first."""
        number = len(self) + more - self.capacity
        return self.oldest(number) if number > 0 else []

    def check(self, held: Iterable[Account]) -> list[str]:
        """What does not hold of it, when these answers are stored."""
        sizes, aliases = {account.key: account.size for account in held}, list(self.aliases())
        grown: Counter[str] = Counter()
        for alias in aliases:
            grown[alias.of] += alias.size
        most = max(Counter(alias.of for alias in aliases).values(), default=0)
        problems = {
            "an alias is of no entry": not grown.keys() <= sizes.keys(),
            "an alias is an entry": any(alias.key in sizes for alias in aliases),
            "an entry is smaller than its aliases": any(
                size > sizes.get(key, size) for key, size in grown.items()
            ),
            f"an entry has {most} aliases": most > WORDINGS,
            f"{len(aliases)} aliases are more than {self.capacity}": len(aliases) > self.capacity,
        }
        return [problem for problem, found in problems.items() if found]

    def slots(self) -> list[int]:
        """Those of all aliases."""
        return [alias.slot for alias in self.aliases()]

    @abstractmethod
    def __len__(self) -> int:
        """Aliases in all."""

    @abstractmethod
    def aliases(self) -> Iterable[Alias]:
        """All of them."""

    @abstractmethod
    def find(self, key: str) -> Alias | None:
        """The alias that is held under a key."""

    @abstractmethod
    def of(self, key: str) -> list[Alias]:
        """Those of one entry, the least recently used first."""

    @abstractmethod
    def oldest(self, number: int) -> list[Alias]:
        """The least recently used of all, the very least first."""

    @abstractmethod
    def add(self, alias: Alias, wording: Wording) -> None:
        """Hold one more, as if it were just used."""

    @abstractmethod
    def renew(self, key: str) -> None:
        """Call an alias the most recently used."""

    @abstractmethod
    def remove(self, alias: Alias) -> None:
        """Hold it no longer."""

    @abstractmethod
    def differ(self, one: str, other: str) -> None:
        """As `Ledger.differ`; the pair found first is forgotten beyond `DIFFERENCES`."""

    @abstractmethod
    def differs(self, one: str, other: str) -> bool:
        """As `Ledger.differs`."""


def own(entry: Entry) -> Wording:
    """The words that an entry was stored with."""
    return Wording(entry.key, entry.key, entry.text, entry.vector, slot=entry.slot, entry=entry)

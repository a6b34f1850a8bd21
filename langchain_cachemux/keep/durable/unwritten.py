"""What the books have decided and their database does not know yet."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_cachemux.keep.wordings import Alias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_cachemux.keep.books import Account
    from langchain_cachemux.keep.memory import MemoryBooks
    from langchain_cachemux.types import Entry, Wording

FORGOTTEN = 100_000
"""Ghosts to delete that are remembered while nothing can be written; beyond, they stay."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """What is written in one transaction: deletions first. Each is told once, whatever it was before."""

    gone: list[str] = field(default_factory=list)
    """Keys of entries, whose aliases go too."""
    unworded: list[str] = field(default_factory=list)
    """Keys of aliases."""
    entries: list[tuple[Account, Entry]] = field(default_factory=list)
    words: list[tuple[Alias, int, Wording]] = field(default_factory=list)
    """Aliases, with the turn at which each was last used."""
    agreed: list[tuple[str, str]] = field(default_factory=list)
    differences: list[tuple[str, str]] = field(default_factory=list)
    numbers: list[tuple[float, int, str, int, str]] = field(default_factory=list)
    """Cost, size, counts, last and key of entries."""
    turns: list[tuple[int, str]] = field(default_factory=list)
    """Of aliases."""
    unremembered: list[str] = field(default_factory=list)
    ghosts: list[tuple[str, str, int]] = field(default_factory=list)
    """Key, counts and last."""
    state: dict[str, int] = field(default_factory=dict)
    """The row of `BOOKS`; not written when empty."""
    shadows: list[tuple[int, int, float, float | None]] = field(default_factory=list)
    """Rows of `SHADOWS`."""
    about: dict[str, str] = field(default_factory=dict)
    """Rows of `ABOUT`."""

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return any(getattr(self, name) for name in self.__slots__)


class Unwritten:
    """The store of books whose answers are in a database: it remembers what to write there.

    What is decided of answers, words and differences is written before it is acknowledged (`decided`);
    counts, turns and ghosts wait for the others (`counted`). Its owner locks it.
    """

    def __init__(self, turn: int = 0) -> None:
        self.turn = turn
        """Of the alias last used."""
        self._gone: set[str] = set()
        self._unworded: set[str] = set()
        self._entries: dict[str, tuple[Account, Entry]] = {}
        self._words: dict[str, tuple[Alias, int, Wording]] = {}
        self._sizes: dict[str, Account] = {}
        self._agreed: set[tuple[str, str]] = set()
        self._differences: list[tuple[str, str]] = []
        self._counts: dict[str, Account] = {}
        self._turns: dict[str, int] = {}
        self._unremembered: set[str] = set()
        self._ghosts: dict[str, tuple[str, int]] = {}

    def __len__(self) -> int:
        """How many rows wait."""
        ghosts = len(self._unremembered) + len(self._ghosts)
        return len(self._counts) + len(self._turns) + ghosts

    def count(self, account: Account) -> None:
        """Learn that the counts or the cost of an answer are others."""
        self._counts[account.key] = account

    def keep(self, account: Account, entry: Entry) -> None:
        """As `Store.keep`."""
        self._entries[account.key] = account, entry

    def remove(self, key: str) -> None:
        """As `Store.remove`."""
        self._gone.add(key)
        for waiting in (self._entries, self._counts, self._sizes):
            waiting.pop(key, None)

    def resized(self, account: Account) -> None:
        """As `Store.resized`."""
        self._sizes[account.key] = account

    def add(self, alias: Alias, wording: Wording) -> None:
        """As `Store.add`."""
        self.turn += 1
        self._words[alias.key] = alias, self.turn, wording

    def take(self, alias: Alias) -> None:
        """As `Store.take`."""
        self._unworded.add(alias.key)
        self._words.pop(alias.key, None)
        self._turns.pop(alias.key, None)

    def renewed(self, alias: Alias) -> None:
        """As `Store.renewed`."""
        self.turn += 1
        self._turns[alias.key] = self.turn

    def remember(self, account: Account) -> None:
        """As `Store.remember`."""
        self._ghosts.pop(account.key, None)
        self._ghosts[account.key] = json.dumps(account.counts), account.last

    def recalled(self, key: str) -> None:
        """As `Store.recalled`."""
        self._ghosts.pop(key, None)
        if len(self._unremembered) < FORGOTTEN:
            self._unremembered.add(key)

    def differ(self, one: str, other: str) -> None:
        """As `Store.differ`."""
        self._differences.append((one, other))

    def agree(self, one: str, other: str) -> None:
        """As `Store.agree`."""
        self._agreed.add((one, other))

    def decided(self) -> Batch:
        """Take what must be written at once."""
        batch = Batch(
            gone=[*self._gone],
            unworded=[*self._unworded],
            entries=[*self._entries.values()],
            words=[*self._words.values()],
            agreed=[*self._agreed],
            differences=self._differences,
            numbers=_numbers(a for key, a in self._sizes.items() if key not in self._entries),
        )
        self._gone, self._unworded, self._agreed, self._differences = set(), set(), set(), []
        self._entries, self._words, self._sizes = {}, {}, {}
        return batch

    def counted(self, most: int) -> Batch:
        """Take everything, but of the counts, turns and ghosts at most so many each."""
        batch = self.decided()
        batch.numbers += _numbers(self._counts.pop(key) for key in [*self._counts][:most])
        batch.turns = [(self._turns.pop(key), key) for key in [*self._turns][:most]]
        batch.unremembered = [self._unremembered.pop() for _ in [*self._unremembered][:most]]
        batch.ghosts = [(key, *self._ghosts.pop(key)) for key in [*self._ghosts][:most]]
        return batch

    def failed(self, batch: Batch, books: MemoryBooks) -> None:
        """Take a batch back that could not be written: newcomers are forgotten, all else waits again."""
        for account, _ in batch.entries:
            if books.find(account.key) is account:
                books.forget(account.key)
        for alias, _, _ in batch.words:
            if books.wordings.find(alias.key) is alias:
                books.unword(alias.key)
        self._gone.update(batch.gone)
        self._unworded.update(batch.unworded)
        self._agreed.update(batch.agreed)
        for pair in batch.differences:
            books.wordings.agree(*pair)
        for *_, key in batch.numbers:
            known = books.find(key)
            if known is not None:
                self._sizes.setdefault(key, known)
        self._turns = {**{key: turn for turn, key in batch.turns}, **self._turns}
        left = {key: (n, last) for key, n, last in batch.ghosts if key not in self._unremembered}
        self._ghosts = {**left, **self._ghosts}
        self._unremembered.update(batch.unremembered)


def _numbers(accounts: Iterable[Account]) -> list[tuple[float, int, str, int, str]]:
    return [*map(numbers_of, accounts)]


def numbers_of(account: Account) -> tuple[float, int, str, int, str]:
    """What changes of an account: cost, size, counts and last, with its key."""
    return account.cost, account.size, json.dumps(account.counts), account.last, account.key


def row_of(account: Account) -> tuple[Any, ...]:
    """What is stored of an account: key, slot, cost, size, counts and last."""
    return (
        account.key,
        account.slot,
        account.cost,
        account.size,
        json.dumps(account.counts),
        account.last,
    )

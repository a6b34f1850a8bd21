"""The store in dictionaries: the answers, a heap for each policy, and the counts of those forgotten."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from typing_extensions import override

from langchain_cachemux.keep import wordings as bounds
from langchain_cachemux.keep.books import Account, Books, Rules
from langchain_cachemux.keep.shadows import Shadow
from langchain_cachemux.keep.wordings import Alias, Wordings, own
from langchain_cachemux.locks import Lock
from langchain_cachemux.types import Entry

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.types import Admission, Standing, Vector, Wording


class MemoryLedger:
    """A ledger in this process; O(log n) a request.

    Args:
        capacity: Sum of `Entry.size` that may be held.
        policy: What is worth keeping; of several, the one whose misses have cost least lately.
        ghosts: Forgotten queries whose counts are remembered; by default `books.ghosts_for`.

    Raises:
        ValueError: As `Rules.parse`.
    """

    def __init__(
        self, capacity: int, *, policy: Policy | Sequence[Policy], ghosts: int | None = None
    ) -> None:
        self.rules = Rules.parse(capacity=capacity, policy=policy, ghosts=ghosts)
        self.capacity = self.rules.capacity
        self.policies = self.rules.policies
        self._lock = Lock()
        self.clear()

    def __repr__(self) -> str:
        """How it was made."""
        return f"MemoryLedger({self.rules})"

    def clear(self) -> None:
        """Drop everything: counts, aliases, differences and slots too."""
        with self._lock:
            self._books = MemoryBooks(self.rules)

    @property
    def policy(self) -> Policy:
        """The policy that is followed now."""
        return self.policies[self._books.leader]

    def __len__(self) -> int:
        """Entries held."""
        return len(self._books.entries)

    def __iter__(self) -> Iterator[Entry]:
        """The entries held when iteration began."""
        with self._lock:
            return iter([self._books.entry(key) for key in self._books.entries])

    @property
    def size(self) -> int:
        """Sum of the sizes held, never above `capacity`."""
        return self._books.size

    def get(self, key: str) -> Entry | None:
        """Return the entry that answers `key`, its own or an alias'; counts nothing."""
        with self._lock:
            account = self._books.answering(key)
            return None if account is None else self._books.entry(account.key)

    def wording(self, key: str, *, asked: str = "") -> Wording | None:
        """Return the words held under `key`, unless they are known to differ from `asked`."""
        with self._lock:
            differ = self._books.wordings.differs(key, asked)
            return None if differ else self._books.wording(key)

    def wordings(self, key: str | None = None) -> Iterator[Wording]:
        """The wordings of the entry that answers `key`, or of all, when iteration began."""
        with self._lock:
            books = self._books
            asked = books.accounts() if key is None else filter(None, [books.answering(key)])
            held = [(a.key, *(alias.key for alias in books.wordings.of(a.key))) for a in asked]
            return iter([*filter(None, map(books.wording, chain.from_iterable(held)))])

    def standing(self, key: str) -> Standing | None:
        """Return what the policy followed now thinks of the entry that answers `key`."""
        with self._lock:
            account = self._books.answering(key)
            return None if account is None else self._books.standing(account)

    def use(self, key: str, *, credit: float = 1.0, cost: float | None = None) -> bool:
        """Count a request answered by `key` and freeze its new worth; False when it is not held."""
        with self._lock:
            return self._books.use(key, credit, cost)

    def admit(self, entry: Entry) -> Admission:
        """Count a request for a new answer and keep it, unless it is the least worth keeping."""
        with self._lock:
            return self._books.admit(entry)

    def reword(self, wording: Wording) -> Admission:
        """Let an entry be asked for in other words too."""
        with self._lock:
            return self._books.reword(wording)

    def unword(self, key: str) -> bool:
        """Take an alias back, its entry stays; True when it was one."""
        with self._lock:
            return self._books.unword(key)

    def differ(self, one: str, other: str) -> None:
        """Remember that two keys are different questions."""
        with self._lock:
            self._books.wordings.differ(one, other)

    def differs(self, one: str, other: str) -> bool:
        """Whether two keys were found to be different questions."""
        with self._lock:
            return self._books.wordings.differs(one, other)

    def forget(self, key: str) -> bool:
        """Drop an entry, its count and its aliases included; True when it was held."""
        with self._lock:
            return self._books.forget(key)

    def check(self) -> list[str]:
        """Compare the books with themselves; the problems found, none in a sound ledger."""
        with self._lock:
            return self._books.check()


class MemoryBooks(Books):
    """Books in dictionaries."""

    shadows: list[HeapShadow]
    wordings: MemoryWordings

    def __init__(self, rules: Rules) -> None:
        self.entries: dict[str, Entry] = {}
        self._accounts: dict[str, Account] = {}
        self._ghosts: OrderedDict[str, tuple[tuple[float, ...], int]] = OrderedDict()
        self._free: list[int] = []
        super().__init__(
            rules,
            [
                HeapShadow(policy, capacity=rules.capacity, age=age, stored=self.entries)
                for policy, age in zip(rules.policies, rules.ages, strict=True)
            ],
            MemoryWordings(rules.capacity),
        )

    def entry(self, key: str) -> Entry:
        """A copy of the entry stored under `key`, with its cost and size by now and its slot."""
        account = self._accounts[key]
        entry = self.entries[key]
        return replace(entry, cost=account.cost, size=account.size, slot=account.slot)

    def wording(self, key: str) -> Wording | None:
        """A copy of the words held under `key`, with their entry."""
        if key in self.entries:
            return own(self.entry(key))
        alias = self.wordings.find(key)
        if alias is None:
            return None
        entry = self.entry(alias.of)
        return replace(self.wordings.words[key], of=alias.of, slot=alias.slot, entry=entry)

    @override
    def look_up(self, key: str) -> None:
        """Nothing: shadows in memory know all they hold."""

    @override
    def answering(self, key: str) -> Account | None:
        account = self._accounts.get(key)
        if account is None and (alias := self.wordings.find(key)) is not None:
            account = self._accounts[alias.of]
        return account

    @override
    def find(self, key: str) -> Account | None:
        return self._accounts.get(key)

    @override
    def keep(self, account: Account, entry: Entry) -> None:
        self.entries[account.key] = replace(entry, vector=_frozen(entry.vector))
        self._accounts[account.key] = account

    @override
    def remove(self, account: Account) -> None:
        key = account.key
        del self.entries[key], self._accounts[key]
        for shadow in self.shadows:
            shadow.unstray(key)

    @override
    def resized(self, account: Account) -> None:
        """Nothing: the account is the one that is kept."""

    @override
    def remember(self, account: Account) -> None:
        ghosts = self._ghosts
        ghosts[account.key] = (account.counts, account.last)
        while len(ghosts) > self.bound:
            ghosts.popitem(last=False)

    @override
    def recall(self, key: str) -> tuple[tuple[float, ...], int]:
        return self._ghosts.pop(key, ((), 0))

    @override
    def free(self, slot: int) -> None:
        self._free.append(slot)

    @override
    def free_slot(self) -> int | None:
        return self._free.pop() if self._free else None

    @override
    def accounts(self) -> list[Account]:
        return list(self._accounts.values())

    @override
    def free_slots(self) -> list[int]:
        return self._free

    @override
    def ghosts(self) -> list[str]:
        return list(self._ghosts)


class MemoryWordings(Wordings):
    """Aliases in dictionaries, each in the order of their use."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.words: dict[str, Wording] = {}
        self._aliases: OrderedDict[str, Alias] = OrderedDict()
        self._of: dict[str, OrderedDict[str, Alias]] = {}
        self._differences: OrderedDict[frozenset[str], None] = OrderedDict()

    @override
    def __len__(self) -> int:
        return len(self._aliases)

    @override
    def aliases(self) -> list[Alias]:
        return list(self._aliases.values())

    @override
    def find(self, key: str) -> Alias | None:
        return self._aliases.get(key)

    @override
    def of(self, key: str) -> list[Alias]:
        return list(self._of.get(key, {}).values())

    @override
    def oldest(self, number: int) -> list[Alias]:
        return list(islice(self._aliases.values(), number))

    @override
    def add(self, alias: Alias, wording: Wording) -> None:
        self._aliases[alias.key] = alias
        self._of.setdefault(alias.of, OrderedDict())[alias.key] = alias
        self.words[alias.key] = replace(wording, vector=_frozen(wording.vector), entry=None)

    @override
    def renew(self, key: str) -> None:
        self._aliases.move_to_end(key)
        self._of[self._aliases[key].of].move_to_end(key)

    @override
    def remove(self, alias: Alias) -> None:
        del self._aliases[alias.key], self._of[alias.of][alias.key], self.words[alias.key]
        if not self._of[alias.of]:
            del self._of[alias.of]

    @override
    def differ(self, one: str, other: str) -> None:
        self._differences[frozenset((one, other))] = None
        while len(self._differences) > bounds.DIFFERENCES:
            self._differences.popitem(last=False)

    @override
    def differs(self, one: str, other: str) -> bool:
        return frozenset((one, other)) in self._differences


class HeapShadow(Shadow):
    """A dictionary and a heap over (worth, last), O(log n).

    A use leaves the old tuple in the heap, to be skipped when it surfaces; worths never change by
    waiting, so the first tuple that is still true is the least.
    """

    def __init__(
        self, policy: Policy, *, capacity: int, age: int, stored: dict[str, Entry]
    ) -> None:
        super().__init__(policy, capacity=capacity, age=age)
        self._stored = stored
        self._heap: list[tuple[float, int, str]] = []
        self._strays: OrderedDict[str, None] = OrderedDict()

    @override
    def check(self, stored: Mapping[str, int]) -> list[str]:
        true = {key for _, _, key in filter(self._true, self._heap)}
        missing = ["an entry is missing from the heap"] if true != set(self.held) else []
        return super().check(stored) + missing

    @override
    def least(self) -> Generator[Standing]:
        """The heap is whole again when it is closed."""
        passed: list[tuple[float, int, str]] = []
        try:
            while self._heap:
                if self._true(self._heap[0]):
                    yield self.held[self._heap[0][2]]
                    passed.append(heapq.heappop(self._heap))
                else:
                    heapq.heappop(self._heap)
        finally:
            for item in passed:
                heapq.heappush(self._heap, item)

    @override
    def hold(self, standing: Standing) -> None:
        self.held[standing.key] = standing
        self.size += standing.size
        self.renew(standing)

    @override
    def renew(self, standing: Standing) -> None:
        heap = self._heap
        heapq.heappush(heap, (standing.worth, standing.last, standing.key))
        if len(heap) > 2 * len(self.held) + 64:
            self._heap = [item for item in heap if self._true(item)]
            heapq.heapify(self._heap)

    @override
    def resized(self, standing: Standing) -> None:
        """Nothing: the heap knows worths, not sizes."""

    @override
    def drop(self, standing: Standing) -> None:
        del self.held[standing.key]
        self.size -= standing.size

    @override
    def stray(self, key: str) -> None:
        if key in self._stored:
            self._strays[key] = None

    @override
    def unstray(self, key: str) -> None:
        self._strays.pop(key, None)

    @override
    def first_stray(self) -> str:
        return next(iter(self._strays))

    @override
    def sizes(self) -> dict[str, int]:
        return {key: standing.size for key, standing in self.held.items()}

    @override
    def strays(self) -> set[str]:
        return set(self._strays)

    def _true(self, item: tuple[float, int, str]) -> bool:
        standing = self.held.get(item[2])
        return standing is not None and standing.worth == item[0] and standing.last == item[1]


def _frozen(vector: Vector | None) -> Vector | None:
    """A copy that nobody can write to."""
    if vector is not None:
        vector = vector.copy()
        vector.setflags(write=False)
    return vector

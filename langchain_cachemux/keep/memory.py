"""The books in dictionaries and heaps, and the ledger that keeps its answers in a dictionary too."""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeAlias

from typing_extensions import override

from langchain_cachemux.keep import wordings as bounds
from langchain_cachemux.keep.answers import Answers
from langchain_cachemux.keep.books import Account, Books, Rules
from langchain_cachemux.keep.shadows import Shadow
from langchain_cachemux.keep.wordings import Alias, Wordings, own
from langchain_cachemux.locks import Lock
from langchain_cachemux.types import Entry

if TYPE_CHECKING:
    from collections.abc import (
        Collection,
        Container,
        Generator,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.types import Admission, Standing, Wording


class Store(Protocol):
    """Where books in dictionaries put what they do not hold themselves: they hold keys and numbers.

    It decides nothing. It is told in their order of all changes that must outlive the books.
    """

    def keep(self, account: Account, entry: Entry) -> None:
        """Store an answer."""
        ...

    def remove(self, key: str) -> None:
        """Store it no longer."""
        ...

    def resized(self, account: Account) -> None:
        """Learn how much room an answer takes by now."""
        ...

    def add(self, alias: Alias, wording: Wording) -> None:
        """Store an alias, the last to give way."""
        ...

    def take(self, alias: Alias) -> None:
        """Store it no longer."""
        ...

    def renewed(self, alias: Alias) -> None:
        """Learn that an alias is the last to give way."""
        ...

    def remember(self, account: Account) -> None:
        """Store a ghost, the last to be forgotten."""
        ...

    def recalled(self, key: str) -> None:
        """Store it no longer."""
        ...

    def differ(self, one: str, other: str) -> None:
        """Store a difference, the last to be forgotten."""
        ...

    def agree(self, one: str, other: str) -> None:
        """Store it no longer."""
        ...


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
            self._answers = Answers()
            self._books = MemoryBooks(self.rules, self._answers)

    @property
    def policy(self) -> Policy:
        """The policy that is followed now."""
        return self.policies[self._books.leader]

    def __len__(self) -> int:
        """Entries held."""
        return len(self._answers.entries)

    def __iter__(self) -> Iterator[Entry]:
        """The entries held when iteration began."""
        with self._lock:
            return iter([*map(self._answers.entry, self._books.accounts())])

    @property
    def size(self) -> int:
        """Sum of the sizes held, never above `capacity`."""
        return self._books.size

    def get(self, key: str) -> Entry | None:
        """Return the entry that answers `key`, its own or an alias'; counts nothing."""
        with self._lock:
            account = self._books.answering(key)
            return None if account is None else self._answers.entry(account)

    def wording(self, key: str, *, asked: str = "") -> Wording | None:
        """Return the words held under `key`, unless they are known to differ from `asked`."""
        with self._lock:
            return None if self._books.wordings.differs(key, asked) else self._wording(key)

    def wordings(self, key: str | None = None) -> Iterator[Wording]:
        """The wordings of the entry that answers `key`, or of all, when iteration began."""
        with self._lock:
            return iter([*filter(None, map(self._wording, self._books.worded(key)))])

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

    def forget(self, key: str, *, ghost: bool = False) -> bool:
        """Drop an entry and its aliases, and its count unless that is to be remembered."""
        with self._lock:
            return self._books.forget(key, ghost=ghost)

    def extend(self, key: str, expires: float) -> bool:
        """Let the entry that answers `key` hold until then; False when it is not held."""
        with self._lock:
            account = self._books.answering(key)
            if account is not None:
                self._answers.extend(account.key, expires)
            return account is not None

    def expired(self, now: float, most: int) -> list[str]:
        """The keys of entries whose end is not after `now`, the first to end first."""
        with self._lock:
            return self._answers.ends.passed(now, most)

    def labelled(self, labels: Collection[str] = (), *, before: float = math.inf) -> list[str]:
        """The keys of entries that bear all of these labels, and were made before then."""
        wanted = {*labels}
        with self._lock:
            entries = [*self._answers.entries.values()]
        return [e.key for e in entries if e.made < before and wanted <= {*e.labels}]

    def compact(self) -> None:
        """Nothing: it has no file."""

    def check(self) -> list[str]:
        """Compare the books with themselves; the problems found, none in a sound ledger."""
        with self._lock:
            return self._books.check()

    def _wording(self, key: str) -> Wording | None:
        account, alias = self._books.answering(key), self._books.wordings.find(key)
        if account is None:
            return None
        if alias is None:
            return own(self._answers.entry(account))
        return self._answers.wording(alias, account)


class MemoryBooks(Books):
    """Books in dictionaries.

    Args:
        rules: What the ledger was told.
        store: Told of what must outlive them.
    """

    shadows: list[HeapShadow]
    wordings: MemoryWordings

    def __init__(self, rules: Rules, store: Store) -> None:
        self.store = store
        self._accounts: dict[str, Account] = {}
        self._ghosts: OrderedDict[str, tuple[tuple[float, ...], int]] = OrderedDict()
        self._free: list[int] = []
        super().__init__(
            rules,
            [
                HeapShadow(policy, capacity=rules.capacity, age=age, stored=self._accounts)
                for policy, age in zip(rules.policies, rules.ages, strict=True)
            ],
            MemoryWordings(rules.capacity, store),
        )

    def __len__(self) -> int:
        """Answers stored."""
        return len(self._accounts)

    def worded(self, key: str | None = None) -> list[str]:
        """The keys of all wordings of the answer to a key, its own first; or of all answers."""
        asked = self.accounts() if key is None else filter(None, [self.answering(key)])
        return [
            worded
            for account in asked
            for worded in (account.key, *(alias.key for alias in self.wordings.of(account.key)))
        ]

    def resume(self, account: Account) -> None:
        """Go on with an answer that is stored already; no policy holds it yet."""
        self._accounts[account.key] = account
        self.size += account.size

    def resume_ghost(self, key: str, counts: tuple[float, ...], last: int) -> None:
        """Go on with a ghost that is remembered already, the last of them."""
        self._ghosts[key] = (counts, last)

    def state(self) -> dict[str, int]:
        """Where they stand: the numbers that are nobody's."""
        return {
            "now": self.now,
            "held": len(self._accounts),
            "size": self.size,
            "slots": self.slots,
            "leader": self.leader,
            "ghosts": len(self._ghosts),
        }

    def remembered(self) -> list[tuple[str, tuple[float, ...], int]]:
        """The ghosts with their counts, the first to be forgotten first."""
        return [(key, counts, last) for key, (counts, last) in self._ghosts.items()]

    def resume_slots(self) -> None:
        """Call all slots free, below the highest one that is taken, which are not."""
        taken = {account.slot for account in self.accounts()} | {*self.wordings.slots()}
        self.slots = max(taken, default=-1) + 1
        self._free = [slot for slot in range(self.slots) if slot not in taken]
        self.bound = self.rules.shared(self.slots)

    def shrink(self) -> None:
        """Let go of what an earlier, larger capacity held."""
        for shadow in self.shadows:
            shadow.shrink()
        self.make_room(0)
        for alias in self.wordings.excess():
            self.take_back(alias)
        self._forget_oldest()

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
        self._accounts[account.key] = account
        self.store.keep(account, entry)

    @override
    def remove(self, account: Account) -> None:
        del self._accounts[account.key]
        for shadow in self.shadows:
            shadow.unstray(account.key)
        self.store.remove(account.key)

    @override
    def resized(self, account: Account) -> None:
        self.store.resized(account)

    @override
    def remember(self, account: Account) -> None:
        self._ghosts[account.key] = (account.counts, account.last)
        self.store.remember(account)
        self._forget_oldest()

    @override
    def recall(self, key: str) -> tuple[tuple[float, ...], int]:
        if key not in self._ghosts:
            return (), 0
        self.store.recalled(key)
        return self._ghosts.pop(key)

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

    def _forget_oldest(self) -> None:
        while len(self._ghosts) > self.bound:
            self.store.recalled(self._ghosts.popitem(last=False)[0])


class MemoryWordings(Wordings):
    """Aliases in dictionaries, each in the order of their use."""

    def __init__(self, capacity: int, store: Store) -> None:
        super().__init__(capacity)
        self.store = store
        self._aliases: OrderedDict[str, Alias] = OrderedDict()
        self._of: dict[str, OrderedDict[str, Alias]] = {}
        self._differences: OrderedDict[frozenset[str], tuple[str, str]] = OrderedDict()

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

    def resume(self, alias: Alias) -> None:
        """Go on with an alias that is stored already, as if it were just used."""
        self._aliases[alias.key] = alias
        self._of.setdefault(alias.of, OrderedDict())[alias.key] = alias

    def resume_difference(self, one: str, other: str) -> None:
        """Go on with a difference that is remembered already, the last of them."""
        self._differences[frozenset((one, other))] = (one, other)

    @override
    def add(self, alias: Alias, wording: Wording) -> None:
        self.resume(alias)
        self.store.add(alias, wording)

    @override
    def renew(self, key: str) -> None:
        alias = self._aliases[key]
        self._aliases.move_to_end(key)
        self._of[alias.of].move_to_end(key)
        self.store.renewed(alias)

    @override
    def remove(self, alias: Alias) -> None:
        del self._aliases[alias.key], self._of[alias.of][alias.key]
        if not self._of[alias.of]:
            del self._of[alias.of]
        self.store.take(alias)

    @override
    def differ(self, one: str, other: str) -> None:
        if self.differs(one, other):
            return
        self.resume_difference(one, other)
        self.store.differ(one, other)
        while len(self._differences) > bounds.DIFFERENCES:
            self.store.agree(*self._differences.popitem(last=False)[1])

    def agree(self, one: str, other: str) -> None:
        """Remember a difference no more."""
        if self._differences.pop(frozenset((one, other)), None) is not None:
            self.store.agree(one, other)

    @override
    def differs(self, one: str, other: str) -> bool:
        return frozenset((one, other)) in self._differences


class HeapShadow(Shadow):
    """A dictionary and a heap over (worth, last), O(log n).

    In the heap each key has a place that is never above its worth. A use that lifts the worth, as most
    do, leaves the place where it is: only when it surfaces the key sinks to where it belongs. One that
    lowers it gives the key another place, and the old one is skipped when it surfaces.
    """

    def __init__(self, policy: Policy, *, capacity: int, age: int, stored: Container[str]) -> None:
        super().__init__(policy, capacity=capacity, age=age)
        self._stored = stored
        self._heap: list[_Place] = []
        self._places: dict[str, _Place] = {}
        """Of the keys held."""
        self._strays: OrderedDict[str, None] = OrderedDict()

    def resume(self, standings: Sequence[Standing], *, strays: Iterable[str]) -> None:
        """Go on with what it held before, and with its strays in their order."""
        self.held = {standing.key: standing for standing in standings}
        self.size = sum(standing.size for standing in standings)
        self._places = {key: _place(standing) for key, standing in self.held.items()}
        self._heap = list(self._places.values())
        heapq.heapify(self._heap)
        self._strays = OrderedDict.fromkeys(strays)

    @override
    def check(self, stored: Mapping[str, int]) -> list[str]:
        placed = {place[2]: place for place in self._heap if self._is_taken(place)}
        wrong = placed.keys() != self.held.keys() or any(
            place > _place(self.held[key]) for key, place in placed.items()
        )
        missing = ["an entry is missing from the heap"] if wrong else []
        return super().check(stored) + missing

    @override
    def least(self) -> Generator[Standing]:
        """The heap is whole again when it is closed."""
        passed: list[_Place] = []
        try:
            while heap := self._heap:
                place = heap[0]
                if not self._is_taken(place):
                    heapq.heappop(heap)
                elif place < (true := _place(self.held[place[2]])):
                    self._places[place[2]] = true
                    heapq.heapreplace(heap, true)
                else:
                    yield self.held[place[2]]
                    passed.append(heapq.heappop(heap))
        finally:
            for place in passed:
                heapq.heappush(self._heap, place)

    @override
    def hold(self, standing: Standing) -> None:
        self.held[standing.key] = standing
        self.size += standing.size
        self._put(standing)

    @override
    def renew(self, standing: Standing) -> None:
        if standing.worth < self._places[standing.key][0]:
            self._put(standing)

    def _put(self, standing: Standing) -> None:
        """Give a key a place where it belongs."""
        place = self._places[standing.key] = _place(standing)
        heapq.heappush(self._heap, place)
        if len(self._heap) > 2 * len(self.held) + 64:
            self._heap = list(self._places.values())
            heapq.heapify(self._heap)

    @override
    def resized(self, standing: Standing) -> None:
        """Nothing: the heap knows worths, not sizes."""

    @override
    def drop(self, standing: Standing) -> None:
        del self.held[standing.key], self._places[standing.key]
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
    def strays(self) -> list[str]:
        return list(self._strays)

    def _is_taken(self, place: _Place) -> bool:
        """Whether it is the place of its key."""
        return self._places.get(place[2]) is place


_Place: TypeAlias = tuple[float, int, str]


def _place(standing: Standing) -> _Place:
    """Where a key belongs."""
    return standing.worth, standing.last, standing.key

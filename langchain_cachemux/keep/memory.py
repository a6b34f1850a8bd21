"""Who is kept: the entries, what each is worth, and for a while the counts of those forgotten.

Given several policies, a ledger follows one and keeps a shadow of each: the keys that this policy alone
would hold. Answers are stored once. What the leader's shadow holds is kept, and room is made by
forgetting what it does not, the first to have left it first; so with one policy the ledger holds just
what its shadow does.
"""

from __future__ import annotations

import heapq
import math
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

from langchain_cachemux.keep.policies import (
    FADE,
    ageing,
    leader,
    limited,
    named,
    remembered,
    victims,
)
from langchain_cachemux.types import Admission, Entry

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from langchain_cachemux.keep.policies import Policy


class Ledger(Protocol):
    """The truth about what the cache holds. One call is one transaction; safe between threads.

    Time is its own counter of requests: `use` and `admit` each advance it by one.
    """

    capacity: int

    def __len__(self) -> int:
        """Entries held."""
        ...

    def __iter__(self) -> Iterator[Entry]:
        """The entries held, in no promised order."""
        ...

    @property
    def size(self) -> int:
        """Sum of the sizes held, never above `capacity`."""
        ...

    def get(self, key: str) -> Entry | None:
        """Return the entry held under `key`; counts nothing."""
        ...

    def use(self, key: str, *, credit: float = 1.0, cost: float | None = None) -> bool:
        """Count a request answered by `key` and freeze its new worth; False when it is not held.

        Args:
            key: Of the entry that answered.
            credit: How much of a request it counts for, in [0, 1]: the share of the cost of a miss
                that would have been paid without this entry (theory.md §1, "Semantic overlap"). At
                0 time passes, and nothing else.
            cost: What a miss would cost by now, when that is known better than at admission.
        """
        ...

    def admit(self, entry: Entry) -> Admission:
        """Count a request for a new answer and keep it, unless it is the least worth keeping."""
        ...

    def forget(self, key: str) -> bool:
        """Drop an entry, its count included; True when it was held."""
        ...

    def clear(self) -> None:
        """Drop everything, counts and slots too."""
        ...

    def check(self) -> list[str]:
        """Compare the books with themselves; the problems found, none in a sound ledger."""
        ...


class Shadow:
    """The keys that one policy would hold: a dictionary and a heap over (worth, last), O(log n).

    A use leaves the old tuple in the heap, to be skipped when it surfaces; worths never change by
    waiting, so the first tuple that is still true is the least.
    """

    def __init__(self, policy: Policy, capacity: int) -> None:
        self.policy = policy
        self.capacity = capacity
        self.held: dict[str, Entry] = {}
        self.size = 0
        self._heap: list[tuple[float, int, str]] = []

    def request(self, asked: Entry, count: float, credit: float) -> tuple[bool, list[Entry]]:
        """Count a request and decide who is held; whether `asked` was, and who left for it."""
        key = asked.key
        old = self.held.get(key)
        if old is not None and old.size == asked.size:
            entry = old
            entry.cost = asked.cost
        else:
            entry = Entry(key, asked.cost, asked.size)
            if old is not None:
                entry.uses = old.uses
                self.drop(key)
        entry.count = count
        entry.uses += credit
        entry.last = asked.last
        entry.worth = self.policy.worth(entry)
        leaving: list[Entry] | None = []
        if entry is not old:
            excess = self.size + entry.size - self.capacity
            if entry.size > self.capacity:
                return old is not None, []
            if excess > 0:
                least = self._least()
                leaving = victims(entry, excess, least)
                least.close()
                for victim in [entry] if leaving is None else leaving:
                    if victim is not entry:
                        self.drop(victim.key)
                    self.policy.evicted(victim)
            if leaving is None:
                return old is not None, []
            self.held[key] = entry
            self.size += entry.size
        heap = self._heap
        heapq.heappush(heap, (entry.worth, entry.last, key))
        if len(heap) > 2 * len(self.held) + 64:
            self._heap = [item for item in heap if self._true(item)]
            heapq.heapify(self._heap)
        return old is not None, leaving or []

    def drop(self, key: str) -> None:
        """Hold `key` no longer, if it was."""
        entry = self.held.pop(key, None)
        if entry is not None:
            self.size -= entry.size

    def check(self) -> list[str]:
        """What does not hold of the books."""
        true = {key for _, _, key in filter(self._true, self._heap)}
        total = sum(e.size for e in self.held.values())
        problems = {
            f"size {self.size} is not the sum of sizes": total != self.size,
            f"size {self.size} exceeds capacity {self.capacity}": self.size > self.capacity,
            "an entry is missing from the heap": true != set(self.held),
        }
        return [problem for problem, found in problems.items() if found]

    def _true(self, item: tuple[float, int, str]) -> bool:
        entry = self.held.get(item[2])
        return entry is not None and entry.worth == item[0] and entry.last == item[1]

    def _least(self) -> Generator[Entry]:
        """The held, least (worth, last) first; the heap is whole again when it is closed."""
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


class MemoryLedger:
    """Dictionaries: the entries, a shadow for each policy, and ghosts; O(log n) a request.

    Args:
        capacity: Sum of `Entry.size` that may be held.
        policy: What is worth keeping; of several, the one whose misses have cost least lately.
        ghosts: Forgotten queries whose counts are remembered; by default `remembered`.
    """

    def __init__(
        self, capacity: int, *, policy: Policy | Sequence[Policy], ghosts: int | None = None
    ) -> None:
        limited(capacity, ghosts)
        self.capacity = capacity
        self.policies = named(policy)
        self.ghosts = ghosts
        self._half_lives, self._ages = ageing(self.policies)
        self._lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Drop everything, counts and slots too."""
        with self._lock:
            self._shadows = [Shadow(policy, self.capacity) for policy in self.policies]
            self._strays: list[OrderedDict[str, None]] = [OrderedDict() for _ in self.policies]
            self._losses = [0.0 for _ in self.policies]
            self._leader = 0
            self._entries: dict[str, Entry] = {}
            self._counts: OrderedDict[str, tuple[tuple[float, ...], int]] = OrderedDict()
            self._free: list[int] = []
            self._slots = 0
            self._bound = remembered(0) if self.ghosts is None else self.ghosts
            self._size = 0
            self._now = 0

    @property
    def policy(self) -> Policy:
        """The policy that is followed now."""
        return self.policies[self._leader]

    def __len__(self) -> int:
        """Entries held."""
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """The entries held when iteration began."""
        with self._lock:
            return iter([self._seen(entry) for entry in self._entries.values()])

    @property
    def size(self) -> int:
        """Sum of the sizes held, never above `capacity`."""
        return self._size

    def get(self, key: str) -> Entry | None:
        """Return the entry held under `key`; counts nothing."""
        with self._lock:
            entry = self._entries.get(key)
            return None if entry is None else self._seen(entry)

    def use(self, key: str, *, credit: float = 1.0, cost: float | None = None) -> bool:
        """Count a request answered by `key` and freeze its new worth; False when it is not held."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return False
            if not credit:
                self._now += 1
                return True
            if cost is not None:
                entry.cost = cost
            self._request(entry, credit)
            return True

    def admit(self, entry: Entry) -> Admission:
        """Count a request for a new answer and keep it, unless it is the least worth keeping."""
        with self._lock:
            key = entry.key
            old = self._entries.get(key)
            if old is not None:
                entry.counts, entry.last = old.counts, old.last
                self._drop(old)
            else:
                entry.counts, entry.last = self._counts.pop(key, ((), 0))
            self._request(entry, 1.0)
            if key not in self._shadows[self._leader].held:
                self._remember(entry)
                return Admission(None, () if old is None else (key,))
            strays = self._strays[self._leader]
            evicted = []
            while self._size + entry.size > self.capacity:
                stray = self._entries[next(iter(strays))]
                self._drop(stray)
                self._remember(stray)
                evicted.append(stray.key)
            if self._free:
                entry.slot = self._free.pop()
            else:
                entry.slot = self._slots
                self._slots += 1
                self._bound = remembered(self._slots) if self.ghosts is None else self.ghosts
            self._entries[key] = entry
            self._size += entry.size
            for shadow, outside in zip(self._shadows, self._strays, strict=True):
                if key not in shadow.held:
                    outside[key] = None
            return Admission(entry.slot, tuple(evicted))

    def forget(self, key: str) -> bool:
        """Drop an entry, its count included; True when it was held."""
        with self._lock:
            self._counts.pop(key, None)
            for shadow in self._shadows:
                shadow.drop(key)
            entry = self._entries.get(key)
            if entry is not None:
                self._drop(entry)
            return entry is not None

    def check(self) -> list[str]:
        """Compare the books with themselves; the problems found, none in a sound ledger."""
        with self._lock:
            held = self._entries.values()
            slots = [entry.slot for entry in held] + self._free
            problems = {
                f"size {self._size} is not the sum of sizes": sum(e.size for e in held)
                != self._size,
                f"size {self._size} exceeds capacity {self.capacity}": self._size > self.capacity,
                "slots are not a permutation": sorted(slots) != list(range(self._slots)),
                "a ghost is held": not self._counts.keys().isdisjoint(self._entries),
                "a stray is no stray": any(
                    self._entries.keys() - shadow.held.keys() != strays.keys()
                    for shadow, strays in zip(self._shadows, self._strays, strict=True)
                ),
            }
            found = [problem for problem, wrong in problems.items() if wrong]
            return found + [problem for shadow in self._shadows for problem in shadow.check()]

    def _request(self, entry: Entry, credit: float) -> None:
        """Tell every policy of a request, and see whom to follow."""
        self._now += 1
        entry.requested(self._now, *self._half_lives, credit=credit)
        entries, losses = self._entries, self._losses
        for place, shadow in enumerate(self._shadows):
            hit, left = shadow.request(entry, entry.counts[self._ages[place]], credit)
            losses[place] = losses[place] * FADE + (0.0 if hit else entry.cost * credit)
            strays = self._strays[place]
            for victim in left:
                if victim.key in entries:
                    strays[victim.key] = None
            if not hit and entry.key in strays and entry.key in shadow.held:
                del strays[entry.key]
        if len(losses) > 1:
            self._leader = leader(losses, self._leader)

    def _seen(self, entry: Entry) -> Entry:
        """The entry with what the leading policy thinks of it: nothing, if its shadow lacks it."""
        entry.count = entry.counts[self._ages[self._leader]]
        known = self._shadows[self._leader].held.get(entry.key)
        entry.uses, entry.worth = (known.uses, known.worth) if known else (0.0, -math.inf)
        return entry

    def _drop(self, entry: Entry) -> None:
        del self._entries[entry.key]
        self._size -= entry.size
        self._free.append(entry.slot)
        key = entry.key
        for strays in self._strays:
            strays.pop(key, None)

    def _remember(self, entry: Entry) -> None:
        self._counts[entry.key] = (entry.counts, entry.last)
        while len(self._counts) > self._bound:
            self._counts.popitem(last=False)

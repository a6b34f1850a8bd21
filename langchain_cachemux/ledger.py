"""Who is kept: the entries, what each is worth, and for a while the counts of those forgotten."""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

from langchain_cachemux.policies import victims
from langchain_cachemux.types import Admission, Entry

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from langchain_cachemux.policies import Policy


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

    def use(self, key: str) -> bool:
        """Count a request answered by `key` and freeze its new worth; False when it is not held."""
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


class MemoryLedger:
    """A dictionary, a heap over (worth, last), and ghosts: O(log n) a request.

    A use leaves the old tuple in the heap, to be skipped when it surfaces; worths never change by
    waiting, so the first tuple that is still true is the least.

    Args:
        capacity: Sum of `Entry.size` that may be held.
        policy: What is worth keeping.
        ghosts: Forgotten queries whose counts are remembered; by default ten times the most entries
            ever held.
    """

    def __init__(self, capacity: int, *, policy: Policy, ghosts: int | None = None) -> None:
        if not capacity > 0:
            msg = f"capacity must be positive, got {capacity!r}"
            raise ValueError(msg)
        if ghosts is not None and ghosts < 0:
            msg = f"ghosts must be >= 0, got {ghosts!r}"
            raise ValueError(msg)
        self.capacity = capacity
        self.policy = policy
        self.ghosts = ghosts
        self._lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Drop everything, counts and slots too."""
        with self._lock:
            self._entries: dict[str, Entry] = {}
            self._heap: list[tuple[float, int, str]] = []
            self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()
            self._free: list[int] = []
            self._slots = 0
            self._size = 0
            self._now = 0

    def __len__(self) -> int:
        """Entries held."""
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """The entries held when iteration began."""
        with self._lock:
            return iter(list(self._entries.values()))

    @property
    def size(self) -> int:
        """Sum of the sizes held, never above `capacity`."""
        return self._size

    def get(self, key: str) -> Entry | None:
        """Return the entry held under `key`; counts nothing."""
        return self._entries.get(key)

    def use(self, key: str) -> bool:
        """Count a request answered by `key` and freeze its new worth; False when it is not held."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._request(entry)
                self._push(entry)
            return entry is not None

    def admit(self, entry: Entry) -> Admission:
        """Count a request for a new answer and keep it, unless it is the least worth keeping."""
        with self._lock:
            old = self._entries.get(entry.key)
            if old is not None:
                entry.count, entry.uses, entry.last = old.count, old.uses, old.last
            else:
                entry.count, entry.last = self._counts.pop(entry.key, (0.0, 0))
                entry.uses = 0
            self._request(entry)
            if old is not None:
                self._drop(old)
            with closing(self._least()) as least:
                leaving = victims(entry, self._size + entry.size - self.capacity, least)
            forgotten = [entry] if leaving is None else leaving
            for victim in forgotten:
                if victim is not entry:
                    self._drop(victim)
                if victim.size <= self.capacity:
                    self.policy.evicted(victim)
                self._remember(victim)
            evicted = tuple(v.key for v in forgotten if v is not entry)
            if leaving is None:
                return Admission(None, (entry.key,) if old is not None else ())
            entry.slot = self._free.pop() if self._free else self._slots
            self._slots = max(self._slots, entry.slot + 1)
            self._entries[entry.key] = entry
            self._size += entry.size
            self._push(entry)
            return Admission(entry.slot, evicted)

    def forget(self, key: str) -> bool:
        """Drop an entry, its count included; True when it was held."""
        with self._lock:
            self._counts.pop(key, None)
            entry = self._entries.get(key)
            if entry is not None:
                self._drop(entry)
            return entry is not None

    def check(self) -> list[str]:
        """Compare the books with themselves; the problems found, none in a sound ledger."""
        with self._lock:
            held = self._entries.values()
            slots = [entry.slot for entry in held] + self._free
            true = {key for _, _, key in filter(self._true, self._heap)}
            problems = {
                f"size {self._size} is not the sum of sizes": sum(e.size for e in held)
                != self._size,
                f"size {self._size} exceeds capacity {self.capacity}": self._size > self.capacity,
                "slots are not a permutation": sorted(slots) != list(range(self._slots)),
                "an entry is missing from the heap": true != set(self._entries),
                "a ghost is held": not self._counts.keys().isdisjoint(self._entries),
            }
            return [problem for problem, found in problems.items() if found]

    def _request(self, entry: Entry) -> None:
        self._now += 1
        entry.requested(self._now, self.policy.half_life)
        entry.worth = self.policy.worth(entry)

    def _push(self, entry: Entry) -> None:
        heapq.heappush(self._heap, (entry.worth, entry.last, entry.key))
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._heap = [item for item in self._heap if self._true(item)]
            heapq.heapify(self._heap)

    def _true(self, item: tuple[float, int, str]) -> bool:
        entry = self._entries.get(item[2])
        return entry is not None and (entry.worth, entry.last) == item[:2]

    def _least(self) -> Generator[Entry]:
        """The residents, least (worth, last) first; the heap is whole again when it is closed."""
        popped: list[tuple[float, int, str]] = []
        try:
            while self._heap:
                item = heapq.heappop(self._heap)
                if self._true(item):
                    popped.append(item)
                    yield self._entries[item[2]]
        finally:
            for item in popped:
                heapq.heappush(self._heap, item)

    def _drop(self, entry: Entry) -> None:
        del self._entries[entry.key]
        self._size -= entry.size
        self._free.append(entry.slot)

    def _remember(self, entry: Entry) -> None:
        self._counts[entry.key] = (entry.count, entry.last)
        bound = 10 * self._slots if self.ghosts is None else self.ghosts
        while len(self._counts) > bound:
            self._counts.popitem(last=False)

"""Published policies that evict the least of a worth, and always keep the newcomer."""

from __future__ import annotations

import heapq
import math

from langchain_cachemux.keep.policies import Policy
from langchain_cachemux.lab.baselines import checked
from langchain_cachemux.types import Standing


class Least:
    """Evicts the least (worth, last) under a policy and always keeps the newcomer.

    That is how GreedyDual and LFU are published. A `MemoryLedger` differs in two ways: there the
    newcomer may be the victim, and it is valued before the victims leave, so with the clock as it
    was before they advanced it. (libCacheSim's GDSF does both, too.) Nothing is remembered of what
    was evicted, as in a ledger with `ghosts=0`.

    Args:
        capacity: Sum of sizes that may be held.
        policy: What is worth keeping; of its own, since some learn from what is evicted.
    """

    def __init__(self, capacity: int, *, policy: Policy) -> None:
        self.capacity = checked(capacity)
        self.policy = policy
        self.size = 0
        self._entries: dict[str, Standing] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._now = 0

    def __len__(self) -> int:
        """Keys held."""
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        """Whether `key` is held."""
        return key in self._entries

    def request(self, key: str, cost: float = 1.0, size: int = 1) -> bool:
        """Count one request."""
        self._now += 1
        entry = self._entries.get(key)
        hit = entry is not None
        if entry is None:
            if size > self.capacity:
                return False
            while self.size + size > self.capacity:
                self._evict()
            entry = self._entries[key] = Standing(key, cost=cost, size=size)
            self.size += size
        entry.requested(self._now, self.policy.half_life)
        entry.worth = self.policy.worth(entry)
        heapq.heappush(self._heap, (entry.worth, entry.last, key))
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._heap = [(e.worth, e.last, e.key) for e in self._entries.values()]
            heapq.heapify(self._heap)
        return hit

    def _evict(self) -> None:
        while True:
            _, last, key = heapq.heappop(self._heap)
            entry = self._entries.get(key)
            if entry is not None and entry.last == last:  # else it was used or evicted since
                break
        del self._entries[key]
        self.size -= entry.size
        self.policy.evicted(entry)


class InCacheLFU:
    """Least Frequently Used since admission; of equals the one used longest ago leaves.

    For `Least`: a ledger leaves every newcomer out once all that it holds was used twice.
    """

    half_life = math.inf

    def worth(self, entry: Standing) -> float:
        """The number of requests since admission."""
        return float(entry.uses)

    def evicted(self, entry: Standing) -> None:
        """Nothing to learn."""


class LogFrequency:
    """Cost x log(1 + uses since admission): the score of GPTCache's cost-aware fork (CACache)."""

    half_life = math.inf

    def worth(self, entry: Standing) -> float:
        """c·log(1+f)."""
        return entry.cost * math.log1p(entry.uses)

    def evicted(self, entry: Standing) -> None:
        """Nothing to learn."""

"""The paper's own cache and its bound, as they stand (arXiv 2306.02003), to be compared with."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

from langchain_cachemux.lab.baselines import checked
from langchain_cachemux.types import Estimate

if TYPE_CHECKING:
    from langchain_cachemux.types import Query


class WholeHistory:
    """A baseline that counts every request there ever was; the least count x cost / size leaves.

    Algorithm 1 of arXiv 2306.02003 with what a miss is estimated to cost, told with each miss. Of equals
    the one asked for longest ago leaves; a newcomer may itself be the least. It differs from a
    `MemoryLedger` of `LEC` in that no count is ever forgotten.

    Args:
        capacity: Sum of sizes that may be held.
        cost: Whether cost counts; without it this is LFU.
    """

    def __init__(self, capacity: int, *, cost: bool = True) -> None:
        self.capacity = checked(capacity)
        self.cost = cost
        self.size = 0
        self._counts: dict[str, int] = {}
        self._held: dict[str, tuple[float, int, int]] = {}
        """By key: cost per unit of size, size, time of the last request."""
        self._heap: list[tuple[float, int, str]] = []
        self._now = 0

    def __len__(self) -> int:
        """Keys held."""
        return len(self._held)

    def __contains__(self, key: object) -> bool:
        """Whether `key` is held."""
        return key in self._held

    def request(self, key: str, cost: float = 1.0, size: int = 1) -> bool:
        """Count one request."""
        self._now += 1
        self._counts[key] = count = self._counts.get(key, 0) + 1
        held = self._held.get(key)
        if held is None and size > self.capacity:
            return False
        rate, size, _ = held or ((cost if self.cost else 1.0) / size, size, 0)
        if held is None:
            self.size += size
        self._held[key] = rate, size, self._now
        heapq.heappush(self._heap, (count * rate, self._now, key))
        while self.size > self.capacity:
            item = heapq.heappop(self._heap)
            if self._true(item):
                self.size -= self._held.pop(item[2])[1]
        if len(self._heap) > 2 * len(self._held) + 64:
            self._heap = list(filter(self._true, self._heap))
            heapq.heapify(self._heap)
        return held is not None

    def _true(self, item: tuple[float, int, str]) -> bool:
        """Whether it is of the latest request for a key that is held."""
        _, last, key = item
        return key in self._held and self._held[key][2] == last


class OwnMean:
    """The mean of what a key's misses have cost, taken for certain and never forgotten."""

    def __init__(self) -> None:
        self._own: dict[str, tuple[int, float]] = {}

    def learn(self, x: Query, cost: float) -> None:
        """Add one cost of `x`."""
        n, total = self._own.get(x.key, (0, 0.0))
        self._own[x.key] = n + 1, total + cost

    def predict(self, x: Query) -> Estimate:
        """The mean of `x`, which was learned before."""
        n, total = self._own[x.key]
        return Estimate(total / n, 0.0)


class TheoremBound(OwnMean):
    """max(B1, mean - (B2 - B1)·sqrt(log(6·T·N/δ) / (2n))), the theorem's (arXiv 2306.02003).

    Args:
        least: B1, below which no cost is.
        most: B2, above which none is.
        requests: T, how many there will be.
        queries: N, how many different ones.
        delta: The bound may fail with this probability.
    """

    def __init__(
        self, *, least: float, most: float, requests: int, queries: int, delta: float = 0.05
    ) -> None:
        super().__init__()
        self.least = least
        self.span = most - least
        self.log = max(math.log(6 * requests * queries / delta), 0.0)

    def predict(self, x: Query) -> Estimate:
        """Mean and width of `x`, which was learned before."""
        n, _ = self._own[x.key]
        mean = super().predict(x).mean
        return Estimate(mean, self.span * math.sqrt(self.log / (2 * n)), self.least)

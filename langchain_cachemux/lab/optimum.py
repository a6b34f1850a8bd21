"""What a cache that knows the future would have cost: the floor under every policy.

From one request for a key to the next lies an interval. Keeping the answer through it saves the
cost of the request it ends at, and takes the answer's size out of the capacity in every gap between
two requests that it spans. A newcomer need not be kept. So the optimum is the most that a set of
intervals can save, none of the gaps overfull.

With sizes of one that is a flow through time, and a linear program finds it (`optimum`): slowly.
`bracket` is for long traces. Put a price λ ≥ 0 on a unit of capacity in each gap. Whatever the
prices, no schedule saves more than

    D(λ) = Σ_j max(0, saved_j - size_j · Σ_{gaps of j} λ) + capacity · Σ λ

(Lagrange: what a feasible schedule saves beyond its prices is at most the first sum, and its prices
are at most the second). So no cache costs less than total - D(λ). Good prices are found by
minimising D, first with a few constant prices over long windows, then over shorter ones. The same
prices say what to drop when the cache is full, and what that costs is no less than the optimum, for
it is a schedule that fits.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

WINDOWS = 64
"""Prices to begin with; each round has `FINER` times as many, up to one a gap."""
FINER = 8
ROUND = 100
"""Steps of the minimiser in one round."""
BAND = 0.05
"""An interval whose profit is within this share of what it saves is kept in part: D made smooth."""
NOTHING = 1e-100
"""A cost that is less than this share of the greatest is as good as free."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """Two costs with the optimum between them, in the unit of the costs given."""

    lower: float
    """No cache costs less, up to rounding."""
    upper: float
    """A schedule that fits costs this."""

    @property
    def width(self) -> float:
        """(upper - lower) / upper; 0 when all is free."""
        return (self.upper - self.lower) / self.upper if self.upper else 0.0


def optimum(keys: Collection[Hashable], costs: ArrayLike, *, capacity: int) -> float:
    """Return the least total cost at which any cache of `capacity` entries can serve a trace.

    Exact, by a linear program: what is free after a request is what was free before, plus the
    interval that ends there, less the one that starts. Such a matrix is a network's, so the
    program's optimum is a choice of whole intervals. Meant for thousands of requests; beyond, see
    `bracket`.

    Args:
        keys: What each request asks for.
        costs: What a miss at that request costs, in any unit; shape (n,).
        capacity: Entries held at most.

    Raises:
        ValueError: The lengths differ, a cost is negative or no number, or `capacity` is negative.
    """
    trace = _Trace.read(keys, costs, None, capacity)
    if not trace.saved.size:
        return trace.cost_of(0.0)
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    n, kept = trace.n, np.arange(trace.saved.size)
    free = kept.size + np.arange(n)
    rows = np.concatenate([trace.start, trace.end, np.arange(n), np.arange(1, n)])
    columns = np.concatenate([kept, kept, free, free[:-1]])
    signs = np.repeat([1.0, -1.0, 1.0, -1.0], [kept.size, kept.size, n, n - 1])
    most = np.concatenate([np.ones(kept.size), np.full(n, float(capacity))])
    solution = linprog(
        np.concatenate([-trace.saved, np.zeros(n)]),
        A_eq=coo_array((signs, (rows, columns)), (n, kept.size + n)).tocsr(),
        b_eq=np.concatenate([[float(capacity)], np.zeros(n - 1)]),
        bounds=np.column_stack([np.zeros(kept.size + n), most]),
    )
    return trace.cost_of(-float(solution.fun))


def bracket(
    keys: Collection[Hashable],
    costs: ArrayLike,
    *,
    capacity: int,
    sizes: ArrayLike | None = None,
    tolerance: float = 0.001,
) -> Bracket:
    """Return bounds on the least total cost of any cache: a proven one below, a feasible one above.

    With equal sizes and equal costs the two are the same (Belady 1966, who may also leave a newcomer
    out). With several sizes the lower bound lets answers be kept in part, so it may stay apart from
    the optimum, which is NP-hard to find (Berger, Beckmann and Harchol-Balter, arXiv 1711.03709).

    Args:
        keys: What each request asks for.
        costs: What a miss at that request costs, in any unit; shape (n,).
        capacity: Sum of the sizes held at most.
        sizes: Size of each request's answer, a positive integer, always the same for one key;
            shape (n,). All 1 when left out, so that `capacity` counts entries.
        tolerance: Search no further once the bracket is narrower than this share of its upper end.

    Raises:
        ValueError: The lengths differ, a cost is negative or no number, a size is not a positive
            integer or changes, or `capacity` or `tolerance` is negative.
    """
    if not tolerance >= 0:
        msg = f"tolerance must be >= 0, got {tolerance!r}"
        raise ValueError(msg)
    trace = _Trace.read(keys, costs, sizes, capacity)
    if not trace.saved.size:
        return Bracket(trace.cost_of(0.0), trace.cost_of(0.0))
    if np.ptp(trace.size) == 0 and np.ptp(trace.saved) == 0:
        belady = trace.cost_of(trace.sweep(np.arange(trace.n, dtype=float)))
        return Bracket(belady, belady)

    free = np.zeros(trace.n)
    found = Bracket(trace.cost_of(trace.dual(free)), trace.cost_of(trace.sweep(free)))
    edges = np.array([0, trace.n - 1])
    flat = trace.saved.sum() / (trace.size * (trace.end - trace.start)).sum()
    prices = np.array([flat])
    windows = WINDOWS
    while found.width > tolerance and len(prices) < trace.n - 1:
        finer = np.unique(np.linspace(0, trace.n - 1, windows + 1).astype(np.int64))
        prices = prices[np.searchsorted(edges, finer[:-1], side="right") - 1]
        edges, windows = finer, windows * FINER
        prices = _minimum(partial(trace.smoothed, edges=edges), prices, stride=flat / 10)
        paid = _paid(prices, edges)
        found = Bracket(
            max(found.lower, trace.cost_of(trace.dual(paid))),
            min(found.upper, trace.cost_of(trace.sweep(paid))),
        )
    return Bracket(min(found.lower, found.upper), found.upper)


def static(
    keys: Collection[Hashable],
    costs: ArrayLike,
    *,
    capacity: int,
    sizes: ArrayLike | None = None,
) -> float:
    """Return what the best fixed set of keys costs, chosen in hindsight; the rest always misses.

    A member pays its first request. When requests are independent no policy does better in the long
    run. With equal sizes the set is the best there is. With several sizes it is a
    knapsack, filled by what a key saves per size, or by the one key that saves most if that is more:
    a set that fits, and saves at least half of the best.

    Args:
        keys: What each request asks for.
        costs: What a miss at that request costs, in any unit; shape (n,).
        capacity: Sum of the sizes held at most.
        sizes: Size of each request's answer, as for `bracket`.

    Raises:
        ValueError: As for `bracket`.
    """
    trace = _Trace.read(keys, costs, sizes, capacity)
    saves = np.bincount(trace.key, trace.saved)
    takes = np.ones(saves.size, np.int64)
    takes[trace.key] = trace.size
    filled, free = 0.0, capacity
    for key in np.argsort(-saves / takes, kind="stable"):
        if takes[key] <= free:
            filled += float(saves[key])
            free -= int(takes[key])
    return trace.cost_of(max(filled, float(saves.max(initial=0.0))))


@dataclass(frozen=True, slots=True, eq=False)
class _Trace:
    """The intervals worth keeping that fit at all, in the order in which they end."""

    n: int
    """Requests; gap g lies between request g and g + 1."""
    greatest: float
    """The largest cost of a request, in the unit of the user; all below is in units of it."""
    total: float
    """Cost with no cache."""
    capacity: int
    start: Integers
    end: Integers
    key: Integers
    saved: Floats
    """Cost of the request at `end`; positive."""
    size: Integers

    @classmethod
    def read(
        cls,
        keys: Collection[Hashable],
        costs: ArrayLike,
        sizes: ArrayLike | None,
        capacity: int,
    ) -> _Trace:
        """Check a trace and find its intervals."""
        cost = np.asarray(costs, float)
        size = np.ones(len(keys), np.int64) if sizes is None else np.asarray(sizes)
        for name, column in (("costs", cost), ("sizes", size)):
            if column.shape != (len(keys),):
                msg = f"keys and {name} must be of one length, got {len(keys)} and {column.size}"
                raise ValueError(msg)
        if not capacity >= 0:
            msg = f"capacity must be >= 0, got {capacity!r}"
            raise ValueError(msg)
        if (wrong := ~(np.isfinite(cost) & (cost >= 0))).any():
            msg = f"costs must be numbers >= 0, got {cost[wrong][0]}"
            raise ValueError(msg)
        if (wrong := ~((size > 0) & (size == np.floor(size)))).any():
            msg = f"sizes must be positive integers, got {size[wrong][0]}"
            raise ValueError(msg)
        size = size.astype(np.int64)
        number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        key = np.fromiter(map(number.__getitem__, keys), np.int64, len(keys))
        # Sorted by key, then by time: neighbours of one key are an interval.
        order = np.argsort(key, kind="stable")
        again = key[order][1:] == key[order][:-1]
        start, end = order[:-1][again], order[1:][again]
        if (changed := size[start] != size[end]).any():
            then, now = size[start[changed][0]], size[end[changed][0]]
            msg = f"sizes of one key must be the same, got {then} and {now}"
            raise ValueError(msg)
        greatest = float(cost.max(initial=0.0)) or 1.0
        cost = cost / greatest
        worth = (cost[end] > NOTHING) & (size[end] <= capacity)
        start, end = start[worth], end[worth]
        by_end = np.argsort(end)
        start, end = start[by_end], end[by_end]
        total, saved = float(cost.sum()), cost[end]
        return cls(len(keys), greatest, total, capacity, start, end, key[end], saved, size[end])

    def cost_of(self, saved: float) -> float:
        """Total cost when so much is saved, in the unit of the user."""
        return (self.total - saved) * self.greatest

    def dual(self, paid: Floats) -> float:
        """D(λ), where a unit of capacity held up to request t has paid `paid[t]`."""
        profit = self.saved - self.size * (paid[self.end] - paid[self.start])
        return float(np.maximum(profit, 0).sum() + self.capacity * paid[-1])

    def smoothed(self, prices: Floats, *, edges: Integers) -> tuple[float, Floats]:
        """D(λ) and its gradient, the corner of each max(0, profit) a parabola.

        Args:
            prices: λ of each window, shape (w,).
            edges: First gap of each window, and the last gap + 1; shape (w + 1,).
        """
        paid = _paid(prices, edges)
        profit = self.saved - self.size * (paid[self.end] - paid[self.start])
        band = BAND * self.saved
        share = np.clip((profit / band + 1) / 2, 0, 1)
        value = np.where(share < 1, band * share**2, profit).sum() + self.capacity * paid[-1]
        held = self.size * share
        change = np.bincount(self.start, held, self.n) - np.bincount(self.end, held, self.n)
        used = np.add.reduceat(np.cumsum(change)[:-1], edges[:-1])
        return float(value), self.capacity * np.diff(edges) - used

    def sweep(self, paid: Floats) -> float:
        """Save what fits, going forward: when overfull drop the interval of least profit per size.

        At time t that is saved/size - (paid[end] - paid[t]), and paid[t] is common to all: so the
        order never changes. With paid[t] = t and equal costs it is Belady's rule.
        """
        m = self.saved.size
        order = np.argsort(self.saved / self.size - paid[self.end], kind="stable")
        rank = np.empty(m, np.int64)
        rank[order] = np.arange(m)
        starting = np.full(self.n, -1)
        starting[self.start] = np.arange(m)
        ending = np.full(self.n, -1)
        ending[self.end] = np.arange(m)
        ranks, by_rank, sizes = rank.tolist(), order.tolist(), self.size.tolist()
        held, kept = bytearray(m), bytearray(m)
        heap: list[int] = []
        used = 0
        for ends, starts in zip(ending.tolist(), starting.tolist(), strict=True):
            if ends >= 0 and held[ends]:
                held[ends], kept[ends] = 0, 1
                used -= sizes[ends]
            if starts >= 0:
                held[starts] = 1
                used += sizes[starts]
                heapq.heappush(heap, ranks[starts])
                while used > self.capacity:
                    least = by_rank[heapq.heappop(heap)]
                    if held[least]:
                        held[least] = 0
                        used -= sizes[least]
        return float(self.saved[np.frombuffer(kept, np.bool_)].sum())


def _paid(prices: Floats, edges: Integers) -> Floats:
    """Sum of the prices of all gaps before each request, shape (n,)."""
    return np.concatenate([[0.0], np.cumsum(np.repeat(prices, np.diff(edges)))])


def _minimum(
    function: Callable[[Floats], tuple[float, Floats]], start: Floats, *, stride: float
) -> Floats:
    """Minimise a smooth convex function over prices >= 0.

    Accelerated projected gradient (Beck and Teboulle 2009), its momentum dropped when the function
    rises (O'Donoghue and Candès 2015). Sums are NumPy's own, for a BLAS spreads so short products
    over threads that wait for each other.

    Args:
        function: Returns a value and its gradient.
        start: Where to begin, shape (w,).
        stride: How far the steepest price moves in the first step.
    """
    best, ahead, momentum = start, start, 1.0
    height, slope = function(ahead)
    least = height
    if not slope.any():
        return start
    step = stride / float(np.abs(slope).max())
    for _ in range(ROUND):
        moved = np.maximum(ahead - step * slope, 0)
        way = moved - ahead
        found, _slope = function(moved)
        if found > height + (slope * way).sum() + (way * way).sum() / (2 * step):
            step /= 2
            continue
        if found > least:
            momentum, ahead = 1.0, best
        else:
            following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead = np.maximum(moved + (momentum - 1) / following * (moved - best), 0)
            best, least, momentum = moved, found, following
            step *= 1.3
        height, slope = function(ahead)
    return best

"""Trace → Advice: what capacity would have been worth its price, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from typing import TYPE_CHECKING, TypeAlias
from zlib import crc32

import numpy as np

from langchain_cachemux.keep.policies import robust
from langchain_cachemux.lab.replay import Choice, following, last_cost

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_cachemux.types import Request

    Floats: TypeAlias = NDArray[np.float64]

CAPACITIES = 12
"""Tried in each pass of an advice."""
BLOCKS = 30
"""Stretches of a trace, of about as many requests each, that an advice resamples."""
RESAMPLES = 1000
AT_ONCE = 10_000
"""Requests in memory; each cache is sent through them in turn."""


@dataclass(frozen=True, slots=True)
class Point:
    """What a capacity would have cost: misses, with their 90 % range, and storage."""

    capacity: int
    misses: float
    low: float
    high: float
    storage: float

    @property
    def total(self) -> float:
        """Misses and storage."""
        return self.misses + self.storage


@dataclass(frozen=True, slots=True)
class Advice:
    """The curve of cost over capacity, and where it is least."""

    curve: tuple[Point, ...]
    """By capacity, 0 first: no cache."""
    best: Point
    low: int
    """The best capacity is between these in 90 % of resampled traces."""
    high: int


def advise(
    trace: Iterable[Request],
    *,
    storage_price: float,
    sized: bool = False,
    policy: Choice = robust,
    sample: float = 1.0,
) -> Advice:
    """Say what capacity would have been worth its price.

    Three passes: one to count, one over capacities from 1 to all there is in equal ratios, and one
    between the neighbours of the best of those. The curve is a replay's at each capacity; its range
    comes from resampling the trace's blocks in time (Künsch 1989), paired over capacities, so it says
    how far the answer hangs on when it was asked.

    Args:
        trace: The requests; iterated three times, so no generator.
        storage_price: Of one entry held as long as the trace lasts, in the unit of its costs; of one
            byte when `sized`.
        sized: Count capacity in bytes.
        policy: As for `replay`.
        sample: Share of the keys to follow, for a trace of millions: chosen by their hash, in caches
            smaller by as much, and what they cost is scaled to what all cost (SHARDS, Waldspurger et
            al. 2015). The fewer keys carry the cost the rougher, and the range does not know of it.

    Raises:
        ValueError: The price is negative or no number, the trace is empty or can be read only once,
            or `sample` is not in (0, 1] or leaves no key.
    """
    if not 0 < sample <= 1:
        msg = f"sample must be a share of the keys in (0, 1], got {sample!r}"
        raise ValueError(msg)
    if not 0 <= storage_price < math.inf:
        msg = f"storage_price must be a finite number >= 0, got {storage_price!r}"
        raise ValueError(msg)
    if iter(trace) is trace:
        msg = f"trace must be iterable more than once, got {trace!r}"
        raise ValueError(msg)
    sizes: dict[str, int] = {}
    requests = 0
    for request in trace:
        requests += 1
        if request.key in sizes or _followed(request.key, sample):
            sizes[request.key] = request.size if sized else 1
    if not requests:
        msg = "trace must have a request, got an empty one"
        raise ValueError(msg)
    if not sizes:
        msg = f"sample must be large enough to follow a key, got {sample!r}"
        raise ValueError(msg)
    whole, least = sum(sizes.values()) / sample, min(sizes.values())
    tried = {int(c) for c in np.geomspace(least, whole, CAPACITIES).round()}
    run = partial(_costs, trace, requests, sizes, policy=policy, sized=sized, sample=sample)
    costs = run(tried)
    ordered = sorted(costs)
    totals = [float(costs[c].sum()) + storage_price * c for c in ordered]
    place = int(np.argmin(totals))
    around = ordered[max(place - 1, 0)], ordered[min(place + 1, len(ordered) - 1)]
    finer = {int(c) for c in np.linspace(*around, CAPACITIES).round()} - set(ordered)
    costs |= run(finer)
    return _advice(costs, storage_price)


def _followed(key: str, share: float) -> bool:
    """Whether a key is of the sample: the same ones in every pass and every process."""
    return share == 1 or crc32(key.encode()) < share * 2**32


def _costs(
    trace: Iterable[Request],
    requests: int,
    keys: Container[str],
    capacities: Iterable[int],
    *,
    policy: Choice,
    sized: bool,
    sample: float,
) -> dict[int, Floats]:
    """Cost of the misses in each block of the trace, at each capacity, 0 among them: shape (blocks,).

    Args:
        trace: As for `advise`.
        requests: How many there are.
        keys: Those that are followed.
        capacities: To try.
        policy: As for `advise`.
        sized: As for `advise`.
        sample: Share of the keys that `keys` is, and of each capacity that they get.
    """
    caches = {}
    for capacity in capacities:
        total = max(round(capacity * sample), 1)
        caches[capacity] = following(policy, capacity=f"{total}B" if sized else total)
    blocks = min(BLOCKS, requests)
    costs = {capacity: [0.0] * blocks for capacity in (0, *caches)}
    followed = 0.0
    for block, stretch in _stretches(trace, requests, blocks):
        chosen = []
        for request in stretch:
            paid = last_cost(request)
            costs[0][block] += paid
            if request.key in keys:
                followed += paid
                chosen.append(request)
        for capacity, through in caches.items():
            for outcome in through(chosen):
                costs[capacity][block] += outcome.paid
    table = {capacity: np.array(blocks) for capacity, blocks in costs.items()}
    for capacity in caches:
        table[capacity] *= table[0].sum() / followed if followed else 1.0
    return table


def _stretches(
    trace: Iterable[Request], requests: int, blocks: int
) -> Iterator[tuple[int, list[Request]]]:
    """The requests in order, as many as are held at a time, with the number of their block."""
    numbered = groupby(enumerate(trace), lambda item: item[0] * blocks // requests)
    for block, its in numbered:
        while stretch := [request for _, request in islice(its, AT_ONCE)]:
            yield block, stretch


def _advice(costs: dict[int, Floats], storage_price: float) -> Advice:
    capacities = sorted(costs)
    table = np.array([costs[capacity] for capacity in capacities])
    blocks = table.shape[1]
    drawn = np.random.default_rng(0).integers(blocks, size=(RESAMPLES, blocks))
    resampled = table[:, drawn].sum(axis=2)
    low, high = np.quantile(resampled, (0.05, 0.95), axis=1)
    storage = storage_price * np.array(capacities)
    curve = tuple(
        Point(c, float(row.sum()), float(lo), float(hi), float(price))
        for c, row, lo, hi, price in zip(capacities, table, low, high, storage, strict=True)
    )
    bests = np.array(capacities)[np.argmin(resampled + storage[:, None], axis=0)]
    ends = np.quantile(bests, (0.05, 0.95), method="nearest")
    best = min(curve, key=lambda point: point.total)
    return Advice(curve, best, int(ends[0]), int(ends[1]))

"""Trace → Report: what a cache would have cost, driven by requests alone, without models or vectors.

The policies, the ledger, the estimators and the router are those of production, in the order of
production: a hit is `use`d; a miss is routed, its cost learned, its entry valued at the lower bound of
the next one, and offered to the ledger. `langchain_cachemux.lab.baselines` take the same trace.
Every report has a floor and a ceiling beside it: no cache, the best set in hindsight, and what no cache
can beat (`Bounds`).
"""

from __future__ import annotations

import copy
import math
from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from zlib import crc32

import numpy as np

from langchain_cachemux.keep.memory import MemoryLedger, in_bytes, measured
from langchain_cachemux.keep.policies import Policy, robust
from langchain_cachemux.lab.optimum import Bracket, bracket, static
from langchain_cachemux.route.estimators import Estimator, Mean
from langchain_cachemux.route.router import Router
from langchain_cachemux.types import Entry, Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_cachemux.lab.baselines import Baseline
    from langchain_cachemux.types import Request

Floats: TypeAlias = "NDArray[np.float64]"
Integers: TypeAlias = "NDArray[np.int64]"
Choice: TypeAlias = (
    "Policy | Sequence[Policy] | Callable[[int], Policy | Sequence[Policy] | Baseline]"
)
"""A policy or several; or what makes them from about how many entries there will be (`robust`), or a
baseline from its capacity (`SIEVE`)."""

CAPACITIES = 12
"""Tried in each pass of an advice."""
BLOCKS = 30
"""Stretches of a trace, of about as many requests each, that an advice resamples."""
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a trace costs with no cache, and the least that it can cost with one."""

    capacity: int
    requests: int
    distinct: int
    no_cache: float
    """Every request is a miss; of the last model, where there are several."""
    static: float
    """The best set in hindsight, each member paid for once. When requests are independent no policy does
    better in the long run; on a trace, one that fills idle places first may, by a little."""
    optimum: Bracket
    """Of a cache that knows the future, and which model to ask. Its `lower` is proven: Lagrange's
    dual of keeping answers in part (`langchain_cachemux.lab.optimum`); exact when all costs are one."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a replay came to; costs in the trace's unit."""

    policy: str
    capacity: int
    requests: int
    hits: int
    cost: float
    """Of the misses."""
    evictions: int
    """Answers that were stored and had to go; baselines do not count them."""
    calls: dict[str, int]
    """Answers by model; a model's answer that would not do and the next one's are two."""
    bounds: Bounds

    @property
    def share(self) -> float:
        """Cost as a share of what no cache costs."""
        return self.cost / self.bounds.no_cache if self.bounds.no_cache else 0.0


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


def replay(
    trace: Iterable[Request],
    *,
    capacity: int | str,
    policy: Choice = robust,
    router: Router | None = None,
    estimator: Estimator | None = None,
    bounds: Bounds | None = None,
) -> Report:
    """Send a trace through a cache, once.

    Args:
        trace: The requests, in order: a `Trace`, a list, a generator.
        capacity: Entries held at most, or bytes when given as text (`"64MB"`); sizes count only then.
        policy: What is worth keeping, as `LECCache` takes it, or what makes it for this capacity.
        router: Chooses among the models of `cost_<model>`, and learns what the chosen one cost. Where
            its `ok_<model>` is false the next dearer one is asked too, as by `MultiplexedLLM`.
        estimator: What a miss would cost, when there is no router; by default `Mean`, as in `LECCache`.
        bounds: What `limits` returned for this trace and capacity, to spare the work.

    Raises:
        ValueError: The capacity is no positive number or size, or the router names a model that the
            trace does not.
    """
    total, entries = measured(capacity)
    sized = in_bytes(capacity)
    log = _Log(router, sized=sized) if bounds is None else None
    cache = _cache(policy, total, entries, router or estimator or Mean())
    calls: Counter[str] = Counter()
    queries: dict[str, Query] = {}
    requests = hits = 0
    cost = 0.0
    for request in trace if log is None else log.reading(trace):
        requests += 1
        query = queries.get(request.key)
        if query is None:
            query = queries[request.key] = Query(request.key)
        if cache.hit(query):
            hits += 1
            continue
        paid = _ask(query, request, router, calls)
        cost += paid
        cache.miss(query, paid, request.size if sized else 1)
    return Report(
        policy=name_of(policy),
        capacity=total,
        requests=requests,
        hits=hits,
        cost=cost,
        evictions=cache.evictions,
        calls=dict(calls),
        bounds=bounds or log.bounds(total),  # type: ignore[union-attr]
    )


def limits(
    trace: Iterable[Request], *, capacity: int | str, router: Router | None = None
) -> Bounds:
    """Return what a trace costs at least and at most; 12 bytes a request, 20 with sizes, and its keys.

    Args:
        trace: As for `replay`.
        capacity: As for `replay`.
        router: Names the models, cheap to dear, when a miss may go to any of them.

    Raises:
        ValueError: As `replay`.
    """
    total, _ = measured(capacity)
    log = _Log(router, sized=in_bytes(capacity))
    for _ in log.reading(trace):
        pass
    return log.bounds(total)


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


def name_of(policy: Choice) -> str:
    """A policy's name for a table: GDSF(remember=True), robust, SIEVE."""
    if callable(policy):
        return getattr(policy, "__name__", repr(policy))
    if isinstance(policy, Sequence):
        return ", ".join(map(repr, policy))
    return repr(policy)


class _Production:
    """A ledger, and the estimator that says what its entries are worth."""

    def __init__(self, ledger: MemoryLedger, estimator: Estimator) -> None:
        self.ledger = ledger
        self.estimator = estimator
        self.routed = isinstance(estimator, Router)
        self.evictions = 0

    def hit(self, query: Query) -> bool:
        """As `LECCache.lookup`: with a router, what is used is worth what a miss would cost by now."""
        if not self.routed:
            return self.ledger.use(query.key)
        if self.ledger.get(query.key) is None:
            return False
        return self.ledger.use(query.key, cost=self.estimator.predict(query).lower)

    def miss(self, query: Query, paid: float, size: int) -> None:
        """As `LECCache.update`; a router passes over a cost that names no route."""
        self.estimator.learn(query, paid)
        entry = Entry(query.key, self.estimator.predict(query).lower, size)
        self.evictions += len(self.ledger.admit(entry).evicted)


class _Published:
    """A baseline, behind the same two verbs."""

    evictions = 0

    def __init__(self, baseline: Baseline) -> None:
        self.baseline = baseline

    def hit(self, query: Query) -> bool:
        return query.key in self.baseline and self.baseline.request(query.key)

    def miss(self, query: Query, paid: float, size: int) -> None:
        self.baseline.request(query.key, paid, size)


def _cache(
    policy: Choice, capacity: int, entries: int, estimator: Estimator
) -> _Production | _Published:
    kept: Any
    if isinstance(policy, type) != hasattr(policy, "request"):
        made = "the class of a policy" if isinstance(policy, type) else "a baseline that was made"
        msg = f"policy must be a policy that was made, or the class of a baseline, got {made}"
        raise ValueError(msg)
    if callable(policy):
        kept = policy(capacity if hasattr(policy, "request") else entries)
    else:
        kept = copy.deepcopy(policy)  # it may have a clock, and each cache needs its own
    if hasattr(kept, "request"):
        return _Published(kept)
    return _Production(MemoryLedger(capacity, policy=kept), estimator)


def _ask(query: Query, request: Request, router: Router | None, calls: Counter[str]) -> float:
    """What a miss costs: of the last model, or of the routed one and dearer ones until one will do."""
    if router is None:
        return list(request.costs.values())[-1] if request.costs else request.cost
    ladder = list(router.estimators)
    ladder = ladder[ladder.index(router.choose(query).model) :]
    paid: list[float] = []
    for model in ladder:
        paid.append(_cost(request, model))
        calls[model] += 1
        if request.ok.get(model, True):
            break
    for place in range(len(paid)):
        router.learn(query, sum(paid[place:]), ladder[place])
    return sum(paid)


def _cost(request: Request, model: str) -> float:
    if model not in request.costs:
        msg = f"router must choose among the trace's models {list(request.costs)}, got {model!r}"
        raise ValueError(msg)
    return request.costs[model]


def _least(request: Request, router: Router | None) -> float:
    """What a miss costs when one knows which model to ask."""
    if router is None:
        return _ask(Query(request.key), request, None, Counter())
    best, beyond = math.inf, 0.0
    for model in reversed(router.estimators):
        beyond = _cost(request, model) + (0.0 if request.ok.get(model, True) else beyond)
        best = min(best, beyond)
    return best


class _Log:
    """What the bounds need to know of a trace: key and cost of each request, and size if it counts."""

    def __init__(self, router: Router | None, *, sized: bool) -> None:
        self.router = router
        self.sized = sized
        self.no_cache = 0.0
        self._numbers: dict[str, int] = {}
        self._keys, self._costs, self._sizes = array("i"), array("d"), array("q")

    def reading(self, trace: Iterable[Request]) -> Iterator[Request]:
        """Pass the requests on, and write them down."""
        numbers, last = self._numbers, list(self.router.estimators)[-1] if self.router else ""
        for request in trace:
            self._keys.append(numbers.setdefault(request.key, len(numbers)))
            least = _least(request, self.router)
            self._costs.append(least)
            if self.sized:
                self._sizes.append(request.size)
            self.no_cache += _cost(request, last) if last else least
            yield request

    def bounds(self, capacity: int) -> Bounds:
        """Of what was read."""
        keys, costs = np.asarray(self._keys), np.asarray(self._costs)
        sizes = self._least_sizes(keys) if self.sized else None
        return Bounds(
            capacity=capacity,
            requests=len(keys),
            distinct=len(self._numbers),
            no_cache=self.no_cache,
            static=static(keys, costs, sizes=sizes, capacity=capacity),
            optimum=bracket(keys, costs, sizes=sizes, capacity=capacity),
        )

    def _least_sizes(self, keys: Integers) -> Integers:
        """An answer of several sizes counts at its least: what no cache can beat stays proven."""
        least = np.full(len(self._numbers), np.iinfo(np.int64).max)
        np.minimum.at(least, keys, np.asarray(self._sizes))
        return least[keys]


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
        entries = measured(f"{total}B" if sized else total)[1]
        caches[capacity] = _cache(policy, total, entries, Mean())
    blocks = min(BLOCKS, requests)
    costs = {capacity: np.zeros(blocks) for capacity in (0, *caches)}
    followed = 0.0
    for place, request in enumerate(trace):
        block = place * blocks // requests
        query = Query(request.key)
        paid = _ask(query, request, None, Counter())
        costs[0][block] += paid
        if request.key not in keys:
            continue
        followed += paid
        for capacity, cache in caches.items():
            if not cache.hit(query):
                cache.miss(query, paid, request.size if sized else 1)
                costs[capacity][block] += paid
    for capacity in caches:
        costs[capacity] *= costs[0].sum() / followed if followed else 1.0
    return costs


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

"""Trace → Report: what a cache would have cost, driven by requests alone, without models or vectors.

`follow` is the one loop: it sends a trace through a cache and yields what came of each request. The
policies, the ledger, the estimators and the router are those of production, in the order of production:
a hit is `use`d; a miss is routed, its cost learned, its entry valued at the lower bound of the next one,
and offered to the ledger. `langchain_cachemux.lab.baselines` take the same trace. `replay` adds up the
outcomes. Every report has a floor and a ceiling beside it: no cache, the best set in hindsight, and what
no cache can beat (`Bounds`).
"""

from __future__ import annotations

import copy
import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

import numpy as np

from langchain_cachemux.keep.books import Capacity
from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import Policy, robust
from langchain_cachemux.lab.optimum import Bracket, bracket, static
from langchain_cachemux.route.estimators import Estimator, Mean
from langchain_cachemux.types import Entry, Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_cachemux.keep.books import Ledger
    from langchain_cachemux.lab.baselines import Baseline
    from langchain_cachemux.types import Admission, Estimate, Request, Route

    Integers: TypeAlias = NDArray[np.int64]

Choice: TypeAlias = (
    "Policy | Sequence[Policy] | Callable[[int], Policy | Sequence[Policy] | Baseline]"
)
"""A policy or several; or what makes them from about how many entries there will be (`robust`), or a
baseline from its capacity (`SIEVE`)."""


class Routing(Protocol):
    """What the loop asks of a router: `Router`, or one of your own."""

    @property
    def estimators(self) -> Mapping[str, Any]:
        """By model name, from cheap to expensive."""
        ...

    def choose(self, x: Query) -> Route:
        """Name the model to ask."""
        ...

    def predict(self, x: Query) -> Estimate:
        """Estimate what a routed miss will cost."""
        ...

    def learn(self, x: Query, cost: float, route: str) -> None:
        """Learn what a miss that began with `route` cost."""
        ...


@dataclass(slots=True)
class Outcome:
    """What came of one request.

    Not frozen, as `Request` is not: there is one for each.
    """

    request: Request
    hit: bool
    paid: float = 0.0
    """What was asked of models, in the trace's unit; nothing at a hit."""
    models: tuple[str, ...] = ()
    """Those that a router had asked, the last of them gave the answer; none without a router."""
    estimate: Estimate | None = None
    """Of the next miss on this key; the answer is worth its lower bound. None where nobody estimates."""
    admission: Admission | None = None
    """What the ledger did with the new answer; None at a hit, and of a baseline."""


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


@lru_cache(maxsize=100_000)
def plain(key: str) -> Query:
    """The query of a key of which nothing else is known; made once, which takes a microsecond."""
    return Query(key)


def follow(
    trace: Iterable[Request],
    cache: Ledger | Baseline,
    *,
    estimator: Estimator | None = None,
    router: Routing | None = None,
    sized: bool = False,
    query: Callable[[str], Query] = plain,
) -> Iterator[Outcome]:
    """Send a trace through a cache; yield what came of each request before the next is sent.

    Between two requests the cache is there to be looked at. It can be sent on: the stretches of a trace,
    one after the other, come to what the whole comes to.

    Args:
        trace: The requests, in order.
        cache: A ledger, or a published policy of `langchain_cachemux.lab.baselines`.
        estimator: Learns what a miss cost, and says what the next one on its key will cost, when there
            is no router. Without either an answer is worth what it cost last.
        router: Chooses among the models of `cost_<model>`, and learns what the chosen one cost. Where
            its `ok_<model>` is false the next more expensive one is asked too, as by `MultiplexedLLM`.
            In a ledger, an answer that is used is worth what a miss on it would cost by now; a baseline
            is told what was paid.
        sized: Count `Request.size`; otherwise every answer is of size 1.
        query: Makes of a key what estimator and router read, with its vector where they need one.

    Raises:
        ValueError: The router names a model that the trace does not.
    """
    ledger = cast("Ledger", cache) if hasattr(cache, "admit") else None
    baseline = cast("Baseline", cache)
    for request in trace:
        key = request.key
        if ledger is None:
            hit = key in baseline and baseline.request(key)
        elif router is None:
            hit = ledger.use(key)
        else:
            hit = ledger.get(key) is not None
            hit = hit and ledger.use(key, cost=router.predict(query(key)).lower)
        if hit:
            yield Outcome(request, hit=True)
            continue
        models: tuple[str, ...] = ()
        estimate = None
        if router is not None:
            paid, models = _ask(query(key), request, router)
            if ledger is not None:
                estimate = router.predict(query(key))
        else:
            paid = last_cost(request)
            if estimator is not None:
                estimator.learn(query(key), paid)
                estimate = estimator.predict(query(key))
        worth = paid if estimate is None else estimate.lower
        size = request.size if sized else 1
        admission = None
        if ledger is not None:
            admission = ledger.admit(Entry(key, worth, size))
        else:
            baseline.request(key, worth, size)
        yield Outcome(request, False, paid, models, estimate, admission)  # noqa: FBT003


def replay(
    trace: Iterable[Request],
    *,
    capacity: int | str,
    policy: Choice = robust,
    router: Routing | None = None,
    estimator: Estimator | None = None,
    bounds: Bounds | None = None,
) -> Report:
    """Send a trace through a cache, once, and add up what came of it.

    Args:
        trace: The requests, in order: a `Trace`, a list, a generator.
        capacity: Entries held at most, or bytes when given as text (`"64MB"`); sizes count only then.
        policy: What is worth keeping, as `LECCache` takes it, or what makes it for this capacity.
        router: As for `follow`.
        estimator: As for `follow`; by default `Mean`, as in `LECCache`.
        bounds: What `limits` returned for this trace and capacity, to spare the work.

    Raises:
        ValueError: The capacity is no positive number or size, or the router names a model that the
            trace does not.
    """
    room = Capacity.parse(capacity)
    history = _History(router, sized=room.in_bytes) if bounds is None else None
    through = following(policy, capacity=capacity, router=router, estimator=estimator)
    calls: Counter[str] = Counter()
    requests = hits = evictions = 0
    cost = 0.0
    for outcome in through(trace if history is None else history.reading(trace)):
        requests += 1
        if outcome.hit:
            hits += 1
            continue
        cost += outcome.paid
        if outcome.models:
            calls.update(outcome.models)
        if outcome.admission is not None:
            evictions += len(outcome.admission.evicted)
    return Report(
        policy=label(policy),
        capacity=room.total,
        requests=requests,
        hits=hits,
        cost=cost,
        evictions=evictions,
        calls=dict(calls),
        bounds=bounds or history.bounds(room.total),  # type: ignore[union-attr]
    )


def limits(
    trace: Iterable[Request], *, capacity: int | str, router: Routing | None = None
) -> Bounds:
    """Return what a trace costs at least and at most; 12 bytes a request, 20 with sizes, and its keys.

    Args:
        trace: As for `replay`.
        capacity: As for `replay`.
        router: Names the models, cheap to expensive, when a miss may go to any of them.

    Raises:
        ValueError: As `replay`.
    """
    room = Capacity.parse(capacity)
    history = _History(router, sized=room.in_bytes)
    for _ in history.reading(trace):
        pass
    return history.bounds(room.total)


def following(
    policy: Choice,
    *,
    capacity: int | str,
    router: Routing | None = None,
    estimator: Estimator | None = None,
) -> Callable[[Iterable[Request]], Iterator[Outcome]]:
    """Return `follow` with a cache of its own, made of what was chosen; this is where a choice is read.

    Args:
        policy: As for `replay`.
        capacity: As for `replay`.
        router: As for `replay`.
        estimator: As for `replay`; a baseline has none unless it is given.

    Raises:
        ValueError: The capacity is no positive number or size, or `policy` is none of a `Choice`.
    """
    room = Capacity.parse(capacity)
    published = hasattr(policy, "request")
    if isinstance(policy, type) != published:
        made = "a baseline that was made" if published else "the class of a policy"
        msg = f"policy must be a policy that was made, or the class of a baseline, got {made}"
        raise ValueError(msg)
    made_for = room.total if published else room.entries
    # a policy may have a clock, and each cache needs its own
    cache: Any = policy(made_for) if callable(policy) else copy.deepcopy(policy)
    if not hasattr(cache, "request"):
        cache = MemoryLedger(room.total, policy=cache)
        estimator = estimator or Mean()
    return partial(
        follow,
        cache=cache,
        estimator=estimator,
        router=router,
        sized=room.in_bytes,
    )


def label(policy: Choice) -> str:
    """A policy's name for a table: GDSF(remember=True), robust, SIEVE."""
    if callable(policy):
        return getattr(policy, "__name__", repr(policy))
    if isinstance(policy, Sequence):
        return ", ".join(map(repr, policy))
    return repr(policy)


def _ask(x: Query, request: Request, router: Routing) -> tuple[float, tuple[str, ...]]:
    """Ask the routed model, and more expensive ones until one will do; what that cost, and of whom."""
    ladder = list(router.estimators)
    ladder = ladder[ladder.index(router.choose(x).model) :]
    paid: list[float] = []
    for model in ladder:
        paid.append(_cost_by(model, request))
        if request.ok.get(model, True):
            break
    for place in range(len(paid)):
        router.learn(x, sum(paid[place:]), ladder[place])
    return sum(paid), tuple(ladder[: len(paid)])


def last_cost(request: Request) -> float:
    """What a miss costs where nobody routes: the last model, if there are several."""
    return list(request.costs.values())[-1] if request.costs else request.cost


def _cost_by(model: str, request: Request) -> float:
    if model not in request.costs:
        msg = f"router must choose among the trace's models {list(request.costs)}, got {model!r}"
        raise ValueError(msg)
    return request.costs[model]


def _least_cost(request: Request, router: Routing | None) -> float:
    """What a miss costs when one knows which model to ask."""
    if router is None:
        return last_cost(request)
    best, beyond = math.inf, 0.0
    for model in reversed([*router.estimators]):
        beyond = _cost_by(model, request) + (0.0 if request.ok.get(model, True) else beyond)
        best = min(best, beyond)
    return best


class _History:
    """What the bounds need to know of a trace: key and cost of each request, and size if it counts."""

    def __init__(self, router: Routing | None, *, sized: bool) -> None:
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
            least = _least_cost(request, self.router)
            self._costs.append(least)
            if self.sized:
                self._sizes.append(request.size)
            self.no_cache += _cost_by(last, request) if last else least
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

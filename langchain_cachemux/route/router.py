"""Which model: the one that will cost least in all, a bad answer's cost included.

What is known of a model is either one estimator, of a cost that includes what its bad answers cost, or
`Costs`: two estimators, of the price of a call and of the chance that the answer will not do. From two
the cost of *starting* with a model follows, whatever a bad answer comes to cost and whoever judges. With
price p, chance f, the judge's price j and an error's price e, models from cheap to expensive,

    unjudged:  V_k = p_k + e·f_k
    judged:    V_k = p_k + j + f_k·min(V_k+1, …, V_K),   V_K = p_K + e·f_K

(theory.md §1, §2.4). V grows in every p and f, so the least and the largest V of an interval are those
of the intervals' ends.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, TypedDict

from langchain_cachemux.route.estimators import Mean, Ridge, Shrunk, checked
from langchain_cachemux.types import Estimate, Route

if TYPE_CHECKING:
    from typing import Unpack

    from langchain_cachemux.route.estimators import Estimator
    from langchain_cachemux.types import Query

Strategy: TypeAlias = Literal["route", "cascade", "auto"]

OUTAGES = 2.0
"""What one call that raised counts: P(outage) is 1 for a half-life after it, then halves with each."""
DOWN = 0.5
"""A model whose P(outage) is at least this is not asked for the sake of trying it."""


@dataclass(frozen=True)
class Costs:
    """What a model's next answer will cost: its price, and the chance that it will not do.

    Both learn from what is asked; neither needs to know what a bad answer costs, so that may change from
    one question to the next.

    Args:
        price: Estimates the price of a call.
        fails: Estimates the chance that the answer will not do: learns 0 (it did), 1 (it did not), or
            a share between.
    """

    price: Estimator = field(default_factory=lambda: Mean(prior=Ridge()))
    fails: Estimator = field(default_factory=lambda: Mean(prior=Shrunk(Ridge())))


class Terms(TypedDict, total=False):
    """On what terms a question is routed: the keywords of `Router.choose`."""

    among: Collection[str] | None
    judged: bool
    judge_price: float
    error_price: float
    safe: bool
    stay: str | None
    switch_price: float


class Ranked(NamedTuple):
    """A query, and how much it needs the most expensive model."""

    query: Query
    score: float


class Router:
    """Knows what each model will cost, names the one to ask, and is itself an estimator: of a routed miss.

    Models are compared by the lower bound of their total cost: a model not yet tried on such questions
    looks cheap, so it is tried, and its interval shrinks (optimism, arXiv 2306.02003 §3). `safe=True` is
    the contrary, fail-expensive: a cheaper model is asked only where it is cheaper even if it fails as
    often as it may. Safe between threads.

    A call that raised is an outage. It fades, and is no part of what is saved: it says something of the
    world, nothing of the model.

    Args:
        estimators: By model name, cheap to expensive: `Costs`, or an estimator of the cost of a miss with
            all that a bad answer costs. The order breaks ties, and says who is asked when an answer
            will not do.
        strategy: "route" gives the chosen model's answer as it is; "cascade" has every answer judged
            that can be; "auto" has it judged where that costs less than the errors it would find.
        half_life: Seconds in which an outage is half forgotten.
        clock: Seconds.

    Raises:
        ValueError: No model is named, or an argument is out of its range.
    """

    def __init__(
        self,
        estimators: Mapping[str, Estimator | Costs],
        *,
        strategy: Strategy = "auto",
        half_life: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not estimators:
            msg = "estimators must name at least one model, got none"
            raise ValueError(msg)
        if strategy not in ("route", "cascade", "auto"):
            msg = f"strategy must be 'route', 'cascade' or 'auto', got {strategy!r}"
            raise ValueError(msg)
        if not 0 < half_life < math.inf:
            msg = f"half_life must be a finite positive number of seconds, got {half_life!r}"
            raise ValueError(msg)
        self.estimators = dict(estimators)
        self.strategy = strategy
        self.half_life = half_life
        self.clock = clock
        self._outages: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def choose(
        self,
        x: Query,
        *,
        among: Collection[str] | None = None,
        judged: bool = False,
        judge_price: float = 0.0,
        error_price: float = 0.0,
        safe: bool = False,
        stay: str | None = None,
        switch_price: float = 0.0,
    ) -> Route:
        """Name the model to ask: the one with the least lower bound of its total cost.

        Where nothing is known of a model it is tried, the cheapest first; when `safe`, the most
        expensive is asked until something is known of the others. Nothing being known of the failures of
        the most expensive model alone, its answers are taken to do.

        Args:
            x: The question.
            among: The models that can do what is asked; by default all.
            judged: There is a judge: an answer can be judged, and the next model asked.
            judge_price: Cost of one judgement.
            error_price: What a bad answer costs that is given; in the unit of the prices.
            safe: Fail expensive.
            stay: The model that the conversation is with.
            switch_price: What it costs to ask another: its provider has not the turns in its cache.

        Raises:
            ValueError: No model is left, a name is unknown, or a price is no number >= 0.
        """
        names = self._among(among)
        for argument, price in (
            ("judge_price", judge_price),
            ("error_price", error_price),
            ("switch_price", switch_price),
        ):
            if not 0 <= price < math.inf:
                msg = f"{argument} must be a finite number >= 0, got {price!r}"
                raise ValueError(msg)
        if stay is not None and stay not in self.estimators:
            msg = f"stay must be one of {list(self.estimators)}, got {stay!r}"
            raise ValueError(msg)
        with self._lock:
            known = [_Known.of(self.estimators[name], x) for name in names]
            down = [self._down(name) for name in names]
        if stay is not None and switch_price:
            known = [
                k if name == stay else k.dearer(switch_price)
                for name, k in zip(names, known, strict=True)
            ]
        way = _Way(known, self.strategy if judged else "route", judge_price, error_price)
        totals = way.totals()
        bounds = way.cautious() if safe else [e.optimistic for e in totals]
        extra = _detours([e.mean for e in totals], down)
        last = len(names) - 1
        keys = []
        for k, (bound, detour) in enumerate(zip(bounds, extra, strict=True)):
            untried, out = not known[k].tried, down[k] >= DOWN
            if untried and (out or (safe and k < last)):
                keys.append((1, down[k], 0.0))
            elif untried:
                keys.append((-1, 0.0, 0.0))
            else:
                keys.append((0, bound + detour, down[k]))
        best = min(range(len(names)), key=lambda k: (keys[k], k))
        estimates = {
            name: replace(e, mean=e.mean + detour) if detour else e
            for name, e, detour in zip(names, totals, extra, strict=True)
        }
        said = [
            f"{name} {key[1]:.3g}" if key[0] == 0 else f"{name} not tried"
            for name, key in zip(names, keys, strict=True)
        ]
        return Route(
            names[best],
            _reason(
                names[best],
                keys[best][0],
                said,
                safe=safe,
                down=dict(zip(names, down, strict=True)),
            ),
            estimates,
            {name: k.fails for name, k in zip(names, known, strict=True) if k.fails is not None},
            "cascade" if way.judged[best] else "route",
            tuple(names[k] for k in way.ladder(best)),
        )

    def predict(self, x: Query, **terms: Unpack[Terms]) -> Estimate:
        """Estimate what a routed miss will cost: its `lower` is min_k max(B1_k, mean_k - width_k).

        When safe, it is the estimate of the model that would be asked.
        """
        route = self.choose(x, **terms)
        if terms.get("safe"):
            return route.estimates[route.model]
        return min(route.estimates.values(), key=lambda e: (e.lower, e.optimistic))

    def learn(
        self, x: Query, cost: float | None, route: str | None = None, *, failed: float | None = None
    ) -> None:
        """Learn what a call of `route` cost on `x`, and whether its answer would do.

        Feedback that comes late is learned with no cost. An estimator of a cost that includes failing
        learns the cost alone. A cost with no route is passed over: a cache that is valued by a router
        tells it what the multiplexer has told already.

        Args:
            x: The question.
            cost: Of this call alone for `Costs`, else of all that followed; None if it was learned.
            route: The model.
            failed: 0 when the answer did, 1 when it did not, a share between where that is all one can
                say; None when nobody knows.

        Raises:
            ValueError: The cost is negative or not finite, `failed` is no share, or no model is called
                `route`.
        """
        if route is None:
            return
        estimator = self._named(route)
        if cost is not None:
            checked(cost)
        if failed is not None and not 0 <= failed <= 1:
            msg = f"failed must be between 0 (it did) and 1 (it did not), got {failed!r}"
            raise ValueError(msg)
        with self._lock:
            if not isinstance(estimator, Costs):
                if cost is not None:
                    estimator.learn(x, cost)
                return
            if cost is not None:
                estimator.price.learn(x, cost)
            if failed is not None:
                estimator.fails.learn(x, float(failed))

    def outage(self, route: str) -> None:
        """Learn that a call of `route` raised: others are asked first, and it again after a while.

        Raises:
            ValueError: No model is called `route`.
        """
        self._named(route)
        with self._lock:
            count = self._count(route) + OUTAGES
            self._outages[route] = count, self.clock()

    def answered(self, route: str) -> None:
        """Learn that a call of `route` did not raise: what was out is no more.

        Raises:
            ValueError: No model is called `route`.
        """
        self._named(route)
        if self._outages:
            with self._lock:
                self._outages.pop(route, None)

    def rank(self, prompts: Iterable[Query]) -> list[Ranked]:
        """Return the queries, those first that need the most expensive model most.

        The score is by how much likelier the cheapest model's answer will not do than the most expensive
        one's; where failing is part of a cost, by how much the cheapest is expected to cost more.
        """
        first, *_, last = [*self.estimators.values()] * 2
        ranked = []
        for x in prompts:
            with self._lock:
                need = _need(first, x) - _need(last, x)
            ranked.append(Ranked(x, need))
        return sorted(ranked, key=lambda r: -r.score)

    def explain(self, x: Query, **terms: Unpack[Terms]) -> str:
        """Return a table of the models: price, chance of failing, cost in all, why it is not asked."""
        route = self.choose(x, **terms)
        with self._lock:
            known = {name: _Known.of(e, x) for name, e in self.estimators.items()}
            down = {name: self._down(name) for name in self.estimators}
        rows = [("model", "price", "will not do", "in all", "")]
        for name, k in known.items():
            total = route.estimates.get(name)
            notes = ["asked"] if name == route.model else []
            notes += ["cannot do what is asked"] if total is None else []
            notes += [f"out, {down[name]:.0%}"] if down[name] >= 0.01 else []  # noqa: PLR2004
            price = "" if k.fails is None else _written(k.price)
            chance = "" if k.fails is None else _written(k.fails)
            rows.append((name, price, chance, _written(total) if total else "", ", ".join(notes)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        judged = ", judged first" if route.strategy == "cascade" else ""
        return "\n".join([*lines, f"{route.model}{judged}: {route.reason}"])

    def _among(self, among: Collection[str] | None) -> list[str]:
        """The models that can, cheap to expensive."""
        if among is None:
            return list(self.estimators)
        strangers = [name for name in among if name not in self.estimators]
        if strangers:
            msg = f"among must be some of {list(self.estimators)}, got {strangers}"
            raise ValueError(msg)
        names = [name for name in self.estimators if name in among]
        if not names:
            msg = f"among must leave a model, got none of {list(self.estimators)}"
            raise ValueError(msg)
        return names

    def _named(self, route: str) -> Estimator | Costs:
        if route not in self.estimators:
            msg = f"route must be one of {list(self.estimators)}, got {route!r}"
            raise ValueError(msg)
        return self.estimators[route]

    def _down(self, name: str) -> float:
        """P(outage)."""
        return min(1.0, self._count(name)) if self._outages else 0.0

    def _count(self, name: str) -> float:
        """Outages, each `OUTAGES` when it happened and halved with each half-life."""
        count, then = self._outages.get(name, (0.0, 0.0))
        return count * 2.0 ** ((then - self.clock()) / self.half_life) if count else 0.0


class _Known(NamedTuple):
    """What is known of one model on one question; `fails` is None where the price includes it."""

    price: Estimate
    fails: Estimate | None

    @classmethod
    def of(cls, estimator: Estimator | Costs, x: Query) -> _Known:
        if not isinstance(estimator, Costs):
            return cls(estimator.predict(x), None)
        return cls(estimator.price.predict(x), _chance(estimator.fails.predict(x)))

    @property
    def tried(self) -> bool:
        return math.isfinite(self.price.width)

    def dearer(self, by: float) -> _Known:
        return self._replace(price=replace(self.price, mean=self.price.mean + by))


UNKNOWN_CHANCE = Estimate(0.5, 0.5, 0.0, 1.0)


def _chance(e: Estimate) -> Estimate:
    """An estimate of a chance, within [0, 1]; of what nothing is known, all of it."""
    if not math.isfinite(e.width):
        return UNKNOWN_CHANCE
    mean = min(max(e.mean, 0.0), 1.0)
    low, high = max(e.optimistic, 0.0), min(e.upper, 1.0)
    return Estimate(mean, max(mean - low, 0.0), 0.0, 1.0, max(high - mean, 0.0))


class _Way:
    """From what is known of each model to the cost of starting with it: the V of this module's head.

    Whether an answer is judged, and who is asked next, is settled by the expected costs; the bounds are
    those of that way. An answer is given unjudged only where that is cheaper even if it fails as often as
    it may: nothing is learned from an answer that nobody judges.
    """

    def __init__(
        self, known: Sequence[_Known], strategy: Strategy, judge_price: float, error_price: float
    ) -> None:
        self.known = known
        self.judge_price = judge_price
        self.error_price = error_price
        last = len(known) - 1
        self._prices = [k.price.mean for k in known]
        self._fails = [0.0 if k.fails is None else k.fails.mean for k in known]
        standard = known[last].fails
        if standard is UNKNOWN_CHANCE:
            self._fails[last] = 0.0
        self.judged = [False] * len(known)
        self.next = [min(k + 1, last) for k in range(len(known))]
        means = [0.0] * len(known)
        for k in range(last, -1, -1):
            fails = known[k].fails
            alone = self._prices[k] + error_price * self._fails[k]
            if k < last and fails is not None:
                later = range(k + 1, last + 1)
                self.next[k] = min(later, key=lambda j: (not known[j].tried, means[j]))
                through = self._prices[k] + judge_price + self._fails[k] * means[self.next[k]]
                sure = self._prices[k] + error_price * fails.upper
                self.judged[k] = strategy == "cascade" or (
                    strategy == "auto" and (not error_price or through <= sure)
                )
                alone = through if self.judged[k] else alone
            means[k] = alone
        self.means = means

    def totals(self) -> list[Estimate]:
        """What starting with each model costs: mean, and both ends of the interval."""
        low = self._values(
            [max(k.price.optimistic, 0.0) for k in self.known],
            [0.0 if k.fails is None else k.fails.optimistic for k in self.known],
        )
        high = self._values(
            [k.price.upper for k in self.known],
            [0.0 if k.fails is None else k.fails.upper for k in self.known],
        )
        return [
            k.price
            if k.fails is None or not k.tried
            else Estimate(mean, mean - least, k.price.floor, above=most - mean)
            for k, mean, least, most in zip(self.known, self.means, low, high, strict=True)
        ]

    def cautious(self) -> list[float]:
        """What starting with each model costs, if all but the last fail as often as they may."""
        last = len(self.known) - 1
        values = self._values(
            self._prices,
            [
                f if k == last or e.fails is None else e.fails.upper
                for k, (f, e) in enumerate(zip(self._fails, self.known, strict=True))
            ],
        )
        return [
            k.price.upper if k.fails is None and place < last else value
            for place, (k, value) in enumerate(zip(self.known, values, strict=True))
        ]

    def ladder(self, first: int) -> list[int]:
        """Whom to ask in turn, when `first` is asked first."""
        way = [first]
        while self.next[way[-1]] > way[-1]:
            way.append(self.next[way[-1]])
        return way

    def _values(self, prices: Sequence[float], fails: Sequence[float]) -> list[float]:
        """V by the way that was settled, of other prices and chances."""
        values = [0.0] * len(prices)
        for k in range(len(prices) - 1, -1, -1):
            loss = values[self.next[k]] if self.judged[k] else self.error_price
            judge = self.judge_price if self.judged[k] else 0.0
            values[k] = prices[k] + judge + (fails[k] * loss if fails[k] else 0.0)
        return values


def _detours(costs: Sequence[float], down: Sequence[float]) -> list[float]:
    """What each model's outage costs: P(outage) x the cost of the cheapest other."""
    if not any(down) or len(costs) == 1:
        return [0.0] * len(costs)
    others = [min(c for j, c in enumerate(costs) if j != k) for k in range(len(costs))]
    return [p * other if p else 0.0 for p, other in zip(down, others, strict=True)]


def _need(estimator: Estimator | Costs, x: Query) -> float:
    return (estimator.fails if isinstance(estimator, Costs) else estimator).predict(x).mean


def _reason(
    model: str, tried: int, said: Sequence[str], *, safe: bool, down: Mapping[str, float]
) -> str:
    """Why, in words."""
    if len(said) == 1:
        reason = "no other model can"
    elif tried < 0:
        reason = "not tried yet"
    elif tried > 0:
        reason = "no other model answers"
    elif safe:
        reason = f"least cost even if the cheaper fail as often as they may, of {', '.join(said)}"
    else:
        reason = f"least lower bound of {', '.join(said)}"
    out = [f"{name} {p:.0%}" for name, p in down.items() if p >= DOWN and name != model]
    return f"{reason}; out: {', '.join(out)}" if out else reason


def _written(e: Estimate) -> str:
    """An estimate in words."""
    if not math.isfinite(e.width):
        return "not tried"
    return f"{e.mean:.3g} ({e.optimistic:.3g} to {e.upper:.3g})"

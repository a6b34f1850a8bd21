"""Which model: the one that will cost least in all, a bad answer's cost included."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np

from langchain_cachemux.arguments import as_call, expect, is_made
from langchain_cachemux.locks import Lock
from langchain_cachemux.route import files
from langchain_cachemux.route.classifiers import Blend, Classifier, together
from langchain_cachemux.route.costs import Costs, Known, Outcomes, Plan, Strategy
from langchain_cachemux.route.estimators import array, check_kind, checked, kept
from langchain_cachemux.route.outages import Outages
from langchain_cachemux.types import Route

if TYPE_CHECKING:
    from typing import Self, Unpack

    from langchain_cachemux.route.estimators import Estimator
    from langchain_cachemux.types import Estimate, Query

OUT = 0.5
"""A model that raises at least as likely as this is not asked for the sake of trying it."""


class Terms(TypedDict, total=False):
    """On what terms a question is routed: the keywords of `Router.choose`."""

    among: Collection[str] | None
    judged: bool
    judge_price: float
    error_price: float
    safe: bool
    heard: bool
    stay: str | None
    switch_price: float


class Ranked(NamedTuple):
    """A query, and how much it needs the most expensive model."""

    query: Query
    score: float


class Router:
    """Names the model to ask, and is itself an estimator: of what a routed miss will cost.

    What is known of a model is either an estimator of a cost that includes what its bad answers cost or
    `Costs`: its price, and the chance that its answer will not do; `Plan` makes the cost of starting
    with it from these. Models are compared by the lower bound of that cost. This is optimism: a model
    not yet tried on such questions looks cheap, so it is tried, and its interval shrinks (arXiv
    2306.02003 §3). `safe=True` is the contrary, fail-expensive: a cheaper model is asked only where it
    costs less even if it fails as often as it may.

    What is hard for one model is mostly hard for all: the `Classifier`s in its `Costs` learn together.
    Where they do, and where answers are judged, less and less of the bound counts, the more is known
    of what became of a model's answers (`Outcomes.hope`).

    A call that raised is an outage: others are asked first until it has faded. Safe between threads.

    Args:
        estimators: By model name, from cheap to expensive. The order breaks ties, and says who comes
            next when an answer will not do.
        strategy: Of a question that has a judge. "route" gives the chosen model's answer as it is,
            "cascade" has it judged first, "auto" whichever costs less.
        half_life: Seconds in which an outage is half forgotten.
        clock: Seconds, from any zero.

    Raises:
        ValueError: No model is named, or an argument is out of its range.
    """

    VERSION = 1

    def __init__(
        self,
        estimators: Mapping[str, Estimator | Costs],
        *,
        strategy: Strategy = "auto",
        half_life: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        named = isinstance(estimators, Mapping) and len(estimators) > 0
        expect(
            named, "estimators", "at least one estimator by model: {name: Costs(), ...}", estimators
        )
        for name, estimator in estimators.items():
            made = isinstance(estimator, Costs) or is_made(estimator, "predict learn")
            expect(
                made, f"estimators[{name!r}]", "Costs() or an estimator that was made", estimator
            )
        right = strategy in ("route", "cascade", "auto")
        expect(right, "strategy", "'route', 'cascade' or 'auto'", strategy)
        self.estimators = dict(estimators)
        self.strategy = strategy
        self._outages = Outages(half_life=half_life, clock=clock)
        self._outcomes = {name: Outcomes() for name in estimators}
        self._lock = Lock()
        learned = {n: _classifiers(e)[:1] for n, e in estimators.items() if isinstance(e, Costs)}
        family = {name: one for name, found in learned.items() for one in found}
        together([*family.values()])
        self._akin = set(family) if len(family) > 1 else set()

    def __repr__(self) -> str:
        """How it was made."""
        return as_call(self, "estimators strategy")

    def choose(
        self,
        x: Query,
        *,
        among: Collection[str] | None = None,
        judged: bool = False,
        judge_price: float = 0.0,
        error_price: float = 0.0,
        safe: bool = False,
        heard: bool = True,
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
            heard: What becomes of the answer will be learned. Otherwise no model is asked for the
                sake of trying it: the least mean counts.
            stay: The model that the conversation is with.
            switch_price: What it costs to ask another: its provider has not the turns in its cache.

        Raises:
            ValueError: No model is left, a name is unknown, or a price is no number >= 0.
        """
        names = self._among(among)
        _check(stay, self.estimators, judge_price, error_price, switch_price)
        with self._lock:
            known = [self._known(name, x) for name in names]
            out = [self._outages.chance(name) for name in names]
        if stay is not None and switch_price:
            switched = [k.plus(switch_price) for k in known]
            known = [k if n == stay else s for n, k, s in zip(names, known, switched, strict=True)]
        plan = Plan(
            known,
            self.strategy if judged else "route",
            judge_price=judge_price,
            error_price=error_price,
        )
        options = _options(names, plan, out, safe=safe, heard=heard)
        best = min(range(len(names)), key=lambda k: options[k].key)
        return Route(
            names[best],
            _reason(options[best], options, safe=safe, heard=heard),
            {option.name: option.total for option in options},
            {name: k.fails for name, k in zip(names, known, strict=True) if k.fails},
            "cascade" if plan.judged[best] else "route",
            tuple(names[k] for k in plan.ladder(best)),
        )

    def predict(self, x: Query, **terms: Unpack[Terms]) -> Estimate:
        """Estimate what a routed miss will cost: its `lower` is min_k max(B1_k, mean_k - width_k).

        When safe, it is the estimate of the model that would be asked.
        """
        route = self.choose(x, **terms)
        if terms.get("safe"):
            return route.estimates[route.model]
        return min(route.estimates.values(), key=lambda e: (e.lower, e.optimistic))

    def price(self, x: Query, route: str) -> Estimate:
        """Estimate what a call of `route` costs; of an estimator that includes failing, with that.

        Raises:
            ValueError: No model is called `route`.
        """
        estimator = self._named(route)
        with self._lock:
            return (estimator.price if isinstance(estimator, Costs) else estimator).predict(x)

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
                self._outcomes[route].learn(float(failed))

    def outage(self, route: str) -> None:
        """Learn that a call of `route` raised: others are asked first, and it again after a while.

        Raises:
            ValueError: No model is called `route`.
        """
        self._named(route)
        with self._lock:
            self._outages.raised(route)

    def answered(self, route: str) -> None:
        """Learn that a call of `route` did not raise: if it was out, it is back.

        Raises:
            ValueError: No model is called `route`.
        """
        self._named(route)
        with self._lock:
            self._outages.answered(route)

    def out(self, route: str) -> bool:
        """Whether the next call of `route` will as likely as not raise, because calls did lately.

        Raises:
            ValueError: No model is called `route`.
        """
        self._named(route)
        with self._lock:
            return self._outages.chance(route) >= OUT

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
            known = {name: self._known(name, x) for name in self.estimators}
            out = {name: self._outages.chance(name) for name in self.estimators}
        rows = [("model", "price", "will not do", "in all", "")]
        for name, (price, fails, *_) in known.items():
            total = route.estimates.get(name)
            notes = ["asked"] if name == route.model else []
            notes += ["cannot do what is asked"] if total is None else []
            notes += [f"raises {out[name]:.0%}"] if out[name] >= OUT else []
            parts = (_written(price), _written(fails)) if fails else ("", "")
            rows.append((name, *parts, _written(total) if total else "", ", ".join(notes)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        judged = ", judged first" if route.strategy == "cascade" else ""
        return "\n".join([*lines, f"{route.model}{judged}: {route.reason}"])

    def dump(self) -> dict[str, Any]:
        """Return what was learned of every model as plain data: numbers, and arrays.

        Raises:
            ValueError: An estimator has no `dump`.
        """
        with self._lock:
            models = {
                name: {part: kept(e).dump() for part, e in _parts(estimator).items()}
                for name, estimator in self.estimators.items()
            }
            outcomes = {name: np.array([o.did, o.failed]) for name, o in self._outcomes.items()}
        return {
            "kind": type(self).__name__,
            "version": self.VERSION,
            "strategy": self.strategy,
            "half_life": self._outages.half_life,
            "models": models,
            "outcomes": outcomes,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the place of what was dumped, by a router of the same models and estimators.

        Raises:
            ValueError: It was dumped by another class or version, is of other models, or damaged.
        """
        check_kind(state, self)
        if list(state["models"]) != list(self.estimators):
            msg = f"state is of the models {list(state['models'])}, not {list(self.estimators)}"
            raise ValueError(msg)
        counts = state.get("outcomes", {})  # a file of before has none: each model is tried anew
        outcomes = {name: Outcomes(*array(counts, name, (2,)).tolist()) for name in counts}
        with self._lock:
            for name, estimator in self.estimators.items():
                for part, e in _parts(estimator).items():
                    kept(e).restore(state["models"][name][part])
            self._outcomes.update({n: o for n, o in outcomes.items() if n in self._outcomes})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was learned to a file: whole, or not at all.

        Raises:
            ValueError: An estimator has no `dump`.
            OSError: The file cannot be written.
        """
        files.write(path, self.dump())

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        estimators: Mapping[str, Estimator | Costs] | None = None,
    ) -> Self:
        """Return the router that was saved.

        Args:
            path: The file.
            estimators: As it was made of, and with nothing learned yet; by default `Costs()` for each.

        Raises:
            ValueError: The file is damaged, of another version, or of other models or estimators.
            OSError: The file cannot be read.
        """
        state = files.read(path)
        try:
            check_kind(state, cls.__new__(cls))
            router = cls(
                estimators or {name: Costs() for name in state["models"]},
                strategy=state["strategy"],
                half_life=state["half_life"],
            )
            router.restore(state)
        except (LookupError, TypeError, ValueError) as error:
            msg = f"{os.fspath(path)} is not of such a router: {error}"
            if estimators is None:
                msg += "; give estimators, as the router was made of"
            raise ValueError(msg) from error
        return router

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

    def _known(self, name: str, x: Query) -> Known:
        hope, akin = self._outcomes[name].hope, name in self._akin
        return Known.of(self.estimators[name], x, hope, akin=akin)

    def _named(self, route: str) -> Estimator | Costs:
        if route not in self.estimators:
            msg = f"route must be one of {list(self.estimators)}, got {route!r}"
            raise ValueError(msg)
        return self.estimators[route]


@dataclass(frozen=True, slots=True)
class _Option:
    """A model that may be asked first."""

    name: str
    place: int
    total: Estimate
    bound: float
    """What is compared: an end of the total cost or its mean, with the detour that an outage means."""
    out: float
    """P(outage)."""
    turn: int
    """-1 to be tried before any is compared, 0 compared, 1 only when all others are out."""

    @property
    def key(self) -> tuple[int, float, float, int]:
        bound = 0.0 if self.turn else self.bound
        return self.turn, bound, self.out, self.place


def _options(
    names: Sequence[str], plan: Plan, out: Sequence[float], *, safe: bool, heard: bool
) -> list[_Option]:
    totals = plan.totals()
    bounds = plan.hopeful() if heard else [e.mean for e in totals]
    bounds = plan.cautious() if safe else bounds
    options = []
    for k, (name, total, bound) in enumerate(zip(names, totals, bounds, strict=True)):
        turn, detour = 0, 0.0
        if out[k] and len(names) > 1:
            detour = out[k] * min(e.mean for e in (*totals[:k], *totals[k + 1 :]))
        if not plan.known[k].tried:
            turn = 1 if out[k] >= OUT or (safe and k < len(names) - 1) else -1
        moved = replace(total, mean=total.mean + detour) if detour else total
        options.append(_Option(name, k, moved, bound + detour, out[k], turn))
    return options


def _check(
    stay: str | None,
    names: Collection[str],
    judge_price: float,
    error_price: float,
    switch_price: float,
) -> None:
    if stay is not None and stay not in names:
        msg = f"stay must be one of {list(names)}, got {stay!r}"
        raise ValueError(msg)
    prices = {
        "judge_price": judge_price,
        "error_price": error_price,
        "switch_price": switch_price,
    }
    for name, price in prices.items():
        if not 0 <= price < math.inf:
            msg = f"{name} must be a finite number >= 0, got {price!r}"
            raise ValueError(msg)


def _reason(best: _Option, options: Sequence[_Option], *, safe: bool, heard: bool) -> str:
    """Why, in words."""
    compared = [f"{o.name} {'not tried' if o.turn else f'{o.bound:.3g}'}" for o in options]
    if len(options) == 1:
        reason = "no other model can"
    elif best.turn < 0:
        reason = "not tried yet"
    elif best.turn > 0:
        reason = "no other model answers"
    elif safe:
        reason = f"least even if the cheaper fail as often as they may: {', '.join(compared)}"
    else:
        reason = f"least {'lower bound' if heard else 'expected'} of {', '.join(compared)}"
    out = [f"{o.name} raises {o.out:.0%}" for o in options if o.out >= OUT and o is not best]
    return f"{reason}; {', '.join(out)}" if out else reason


def _parts(estimator: Estimator | Costs) -> dict[str, Estimator]:
    """The estimators that are kept of a model, by what they estimate."""
    if isinstance(estimator, Costs):
        return {"price": estimator.price, "fails": estimator.fails}
    return {"cost": estimator}


def _classifiers(estimator: object) -> list[Classifier]:
    """The classifiers in an estimator of failures."""
    if isinstance(estimator, Classifier):
        return [estimator]
    inner = [getattr(estimator, part, None) for part in ("fails", "prior", "estimator")]
    inner += estimator.estimators if isinstance(estimator, Blend) else ()
    return [one for part in inner if part is not None for one in _classifiers(part)]


def _need(estimator: Estimator | Costs, x: Query) -> float:
    return (estimator.fails if isinstance(estimator, Costs) else estimator).predict(x).mean


def _written(e: Estimate) -> str:
    """An estimate in words."""
    if not math.isfinite(e.width):
        return "not tried"
    return f"{e.mean:.3g} ({e.optimistic:.3g} to {e.upper:.3g})"

"""From the price of each model and its chance of failing to the cost of *starting* with it.

With price p, chance f, the judge's price j, an error's price e, and models from cheap to expensive,

    given unjudged:  V_k = p_k + e·f_k
    judged first:    V_k = p_k + j + f_k·min(V_k+1, …, V_K),   V_K = p_K + e·f_K

V grows in every p and f, so an interval of V goes from what the lower ends come to, to what the upper
ends come to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from langchain_cachemux.arguments import expect, is_made
from langchain_cachemux.route.classifiers import Classifier
from langchain_cachemux.route.estimators import Mean, Ridge
from langchain_cachemux.types import Estimate

if TYPE_CHECKING:
    from langchain_cachemux.route.estimators import Estimator
    from langchain_cachemux.types import Query

Strategy: TypeAlias = Literal["route", "cascade", "auto"]
"""Give the answer as it is; have it judged first; or whichever costs less."""

NINETY = 1.645
"""Deviations within which nine in ten of a normal distribution lie."""
ANYTHING = Estimate(mean=0.5, width=0.5, ceiling=1.0)
"""A chance of which nothing is known."""
ENOUGH = 60.0
"""Outcomes of the rarer kind from which on a model is tried less than its bound says."""
LATELY = 4000.0
"""Outcomes of a model after which one counts half, in saying how much is known of it."""


@dataclass(frozen=True)
class Costs:
    """What a model's next answer will cost: its price, and the chance that it will not do.

    Neither knows what a bad answer costs, so that may change from one question to the next.

    By default a price is shrunk more than `Ridge` does by itself, and only its mean is bounded: a vector
    says little about lengths, and bounds that stay wide have an expensive model asked for a price it
    never had. One whose first price was an exception is asked again all the same.

    Args:
        price: Estimates the price of a call.
        fails: Estimates the chance that the answer will not do. It learns 0 of one that did, 1 of one
            that did not, or a share between.

    Raises:
        ValueError: One of them is no estimator.
    """

    price: Estimator = field(default_factory=lambda: Mean(prior=Ridge(shrinkage=10.0, pooled=True)))
    fails: Estimator = field(default_factory=lambda: Mean(prior=Classifier()))

    def __post_init__(self) -> None:
        """Refuse what is no estimator."""
        for name in ("price", "fails"):
            given = getattr(self, name)
            made = is_made(given, "predict learn")
            expect(made, name, "an estimator that was made, such as Mean()", given)


@dataclass(slots=True)
class Outcomes:
    """How many of a model's answers did, and how many did not, lately."""

    did: float = 0.0
    failed: float = 0.0

    def learn(self, failed: float) -> None:
        """Take one more: 0 of an answer that did, 1 of one that did not, or a share between."""
        keep = 2.0 ** (-1.0 / LATELY)
        self.did = keep * self.did + 1.0 - failed
        self.failed = keep * self.failed + failed

    @property
    def hope(self) -> float:
        """How much of its bound a model is tried by: all, until something is known of it.

        A bound of nine in ten is what a user can believe of one question. To learn from a stream of them
        it is too much: whoever is asked in vain is paid, and an outcome teaches of all questions near.
        With n outcomes of the rarer kind `ENOUGH`/n of it counts; as those of long ago are forgotten,
        that is never nothing, and a model that has become better is found out.
        """
        return min(1.0, ENOUGH / max(min(self.did, self.failed), 1.0))


class Known(NamedTuple):
    """What is known of one model on one question; `fails` is None where the price includes it."""

    price: Estimate
    fails: Estimate | None
    hope: float = 1.0
    """How much of the bound of `fails` counts when it is tried and its answer is judged."""
    akin: bool = False
    """Its failures are learned together with those of others, so that counts unjudged too."""

    @classmethod
    def of(
        cls, estimator: Estimator | Costs, x: Query, hope: float = 1.0, *, akin: bool = False
    ) -> Known:
        """Ask the estimators of a model."""
        if not isinstance(estimator, Costs):
            return cls(estimator.predict(x), None)
        return cls(estimator.price.predict(x), _chance(estimator.fails.predict(x)), hope, akin)

    @property
    def hoped(self) -> float:
        """The chance to fail by which it is tried where less of the bound counts."""
        if self.fails is None:
            return 0.0
        low = self.fails.optimistic
        return low + (1 - self.hope) * (self.fails.mean - low)

    @property
    def tried(self) -> bool:
        """False when it is not even known what a call costs."""
        return math.isfinite(self.price.width)

    def plus(self, by: float) -> Known:
        """Return the same of a model whose calls cost more."""
        return self._replace(price=replace(self.price, mean=self.price.mean + by))


class Plan:
    """For each model that may be asked first: whether it is judged, who is asked next, what it costs.

    That is settled by the expected costs. But an answer is given unjudged only where that is cheaper
    even if it fails as often as it may, because nothing is learned from an answer that nobody judges. A
    model whose price includes failing costs what it says, and the next one is asked after it.

    Of the most expensive model nothing may be known but what it costs, as nobody is there to judge it:
    then its answers are taken to do.

    Args:
        known: By model, from cheap to expensive.
        strategy: "route" where there is no judge.
        judge_price: j above.
        error_price: e above. At 0 no error costs anything, and "auto" has every answer judged.
    """

    def __init__(
        self,
        known: Sequence[Known],
        strategy: Strategy,
        *,
        judge_price: float = 0.0,
        error_price: float = 0.0,
    ) -> None:
        self.known = known
        self.judge_price = judge_price
        self.error_price = error_price
        n = len(known)
        self._prices = [k.price.mean for k in known]
        self._fails = [k.fails.mean if k.fails else 0.0 for k in known]
        if _vacuous(known[-1].fails):
            self._fails[-1] = 0.0
        self.judged = [False] * n
        self.next = list(range(1, n + 1))
        """Of each model, the next to ask; of the last, one that is not there."""
        self.means = [0.0] * n
        for k in reversed(range(n)):
            fails = known[k].fails
            if fails is not None and k < n - 1:
                later = range(k + 1, n)
                self.next[k] = min(later, key=lambda j: (not known[j].tried, self.means[j]))
                if strategy != "route":
                    self.judged[k] = strategy == "cascade" or self._worth_judging(k, fails.upper)
            self.means[k] = self._value(k, self.means, self._prices, self._fails)

    def totals(self) -> list[Estimate]:
        """Return what starting with each model costs: the mean, and both ends of the interval."""
        low = self._values(
            [max(k.price.optimistic, 0.0) for k in self.known],
            [k.fails.optimistic if k.fails else 0.0 for k in self.known],
        )
        high = self._values(
            [k.price.upper for k in self.known],
            [k.fails.upper if k.fails else 0.0 for k in self.known],
        )
        return [
            Estimate(mean, mean - least, k.price.floor, above=most - mean)
            if k.fails and k.tried
            else k.price
            for k, mean, least, most in zip(self.known, self.means, low, high, strict=True)
        ]

    def hopeful(self) -> list[float]:
        """Return what starting with each model costs by the ends that it is compared by to be tried.

        Whoever's answer is judged is tried by what is `hoped`. Where answers are given as they are, the
        most expensive model is known from the questions it was asked alone, as all are: unless they
        learn together, its whole bound counts as well as theirs, or an order of a stream locks.
        """
        fails = [
            k.hoped if judged or k.akin else k.fails.optimistic if k.fails else 0.0
            for k, judged in zip(self.known, self.judged, strict=True)
        ]
        values = self._values([max(k.price.optimistic, 0.0) for k in self.known], fails)
        return [
            value if k.fails and k.tried else k.price.optimistic
            for k, value in zip(self.known, values, strict=True)
        ]

    def cautious(self) -> list[float]:
        """Return what starting with each model costs if all but the last fail as often as they may."""
        fails = [k.fails.upper if k.fails else 0.0 for k in self.known[:-1]]
        values = self._values(self._prices, [*fails, self._fails[-1]])
        whole = [None if k.fails else k.price.upper for k in self.known[:-1]]
        return [v if w is None else w for v, w in zip(values, [*whole, None], strict=True)]

    def ladder(self, first: int) -> list[int]:
        """Return whom to ask in turn when `first` is asked first."""
        ladder = [first]
        while self.next[ladder[-1]] < len(self.known):
            ladder.append(self.next[ladder[-1]])
        return ladder

    def _worth_judging(self, k: int, upper: float) -> bool:
        judged = self.judge_price + self._fails[k] * self.means[self.next[k]]
        return not self.error_price or judged <= self.error_price * upper

    def _values(self, prices: Sequence[float], fails: Sequence[float]) -> list[float]:
        """V by this plan, of other prices and chances."""
        values = [0.0] * len(prices)
        for k in reversed(range(len(prices))):
            values[k] = self._value(k, values, prices, fails)
        return values

    def _value(
        self, k: int, values: Sequence[float], prices: Sequence[float], fails: Sequence[float]
    ) -> float:
        if not fails[k]:
            return prices[k] + (self.judge_price if self.judged[k] else 0.0)
        if self.judged[k]:
            return prices[k] + self.judge_price + fails[k] * values[self.next[k]]
        return prices[k] + self.error_price * fails[k]


def at_stake(cost: Estimate, other: float) -> float:
    """What is lost, on average, by asking whichever of two is expected to cost less.

    The one costs m more than the other, with a deviation of s, its interval being one of nine in ten.
    To know which is cheaper would save s·(φ(z) - z·Φ(-z)), z = |m|/s: the expected value of perfect
    information (Raiffa and Schlaifer 1961).
    """
    deviation = (cost.upper - cost.optimistic) / (2 * NINETY)
    if not 0 < deviation < math.inf:
        return deviation
    z = abs(cost.mean - other) / deviation
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return deviation * (density - z * math.erfc(z / math.sqrt(2)) / 2)


def _chance(e: Estimate) -> Estimate:
    """An estimate of a chance, within [0, 1]; of what nothing is known, all of it."""
    if not math.isfinite(e.width):
        return ANYTHING
    mean = min(max(e.mean, 0.0), 1.0)
    low, high = min(max(e.optimistic, 0.0), mean), max(min(e.upper, 1.0), mean)
    return Estimate(mean, mean - low, ceiling=1.0, above=high - mean)


def _vacuous(chance: Estimate | None) -> bool:
    return chance is not None and chance.optimistic <= 0 and chance.upper >= 1

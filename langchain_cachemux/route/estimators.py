"""What the next answer will cost: a mean and a width that scale themselves to the data.

Estimators are not locked; whoever owns one (the cache, the router) is.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from langchain_cachemux.arguments import expect, is_made, is_number, is_whole, number_of
from langchain_cachemux.route.symmetric import add, times, whole
from langchain_cachemux.types import LARGEST_COST, Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_cachemux.types import Query

UNKNOWN = Estimate(mean=0.0, width=math.inf)
"""Nothing was learned yet: routing tries it, caching values it at its floor."""


class Estimator(Protocol):
    """Predicts a cost and learns from what was paid."""

    def predict(self, x: Query) -> Estimate:
        """Estimate the cost of the next miss on `x`."""
        ...

    def learn(self, x: Query, cost: float) -> None:
        """Learn that a miss on `x` cost `cost`, in the user's unit."""
        ...


@runtime_checkable
class Kept(Estimator, Protocol):
    """An estimator that can be kept: what it learned is plain data, and comes back from it."""

    def dump(self) -> dict[str, Any]:
        """Return what was learned: numbers, strings, lists, arrays, and mappings of these."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the place of what was dumped.

        Raises:
            ValueError: It was dumped by another class or version, or is damaged.
        """
        ...


def kept(estimator: Estimator) -> Kept:
    """Return the estimator, which can be kept.

    Raises:
        ValueError: It cannot.
    """
    if not isinstance(estimator, Kept):
        msg = f"an estimator must have dump() and restore() to be kept, got {estimator!r}"
        raise ValueError(msg)  # noqa: TRY004
    return estimator


def check_kind(state: Mapping[str, Any], estimator: Any) -> None:
    """Refuse what another class or version has dumped.

    Raises:
        ValueError: It is not this estimator's.
    """
    wanted = (type(estimator).__name__, estimator.VERSION)
    found = (state.get("kind"), state.get("version"))
    if found != wanted:
        msg = f"state is of {found[0]} version {found[1]}, expected {wanted[0]} version {wanted[1]}"
        raise ValueError(msg)


def array(state: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a copy of an array that was dumped.

    Raises:
        ValueError: It is missing, has another shape, or something in it is not finite.
    """
    found = np.array(state.get(name, np.nan), dtype=np.float64)
    if found.shape != shape or not np.isfinite(found).all():
        msg = f"state is damaged: {name} must be finite and of shape {shape}, got {found.shape}"
        raise ValueError(msg)
    return found


def checked(cost: float) -> float:
    """Return `cost`, or raise `ValueError` when it is no number >= 0 or too large (`LARGEST_COST`)."""
    if not 0 <= cost < LARGEST_COST:
        msg = f"cost must be a number >= 0 and below {LARGEST_COST:g}, got {cost!r}"
        raise ValueError(msg)
    return cost


class Floor:
    """B1 of the paper, from the data: the least positive cost seen, 0 before there was one."""

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, cost: float) -> None:
        """Take one more cost."""
        if cost > 0:
            self.value = min(self.value or cost, cost)


class Spread:
    """Running count, mean and variance of a sequence (Welford)."""

    def __init__(self) -> None:
        self.n = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        """Take one more value."""
        self.n += 1
        step = value - self.mean
        self.mean += step / self.n
        self._squares += step * (value - self.mean)

    @property
    def variance(self) -> float:
        """Unbiased; before a second value, the mean squared: a spread as wide as the value."""
        return self._squares / (self.n - 1) if self.n > 1 else self.mean**2

    @property
    def parts(self) -> tuple[float, float, float]:
        """All that it remembers."""
        return self.n, self.mean, self._squares

    @parts.setter
    def parts(self, parts: tuple[float, float, float]) -> None:
        self.n, self.mean, self._squares = int(parts[0]), parts[1], parts[2]


class Noise:
    """How much the costs of one query vary, pooled over all: in their unit, and in proportion to them.

    Rounding adds as much to every cost, the length of an answer multiplies it. Where noise adds, a
    pooled coefficient of variation is too wide for expensive queries; where it multiplies, a pooled
    variance is too wide for cheap ones. The lesser of the two widths is too wide for neither.
    """

    def __init__(self) -> None:
        self._n = 0
        self._absolute = 0.0
        self._relative = 0.0

    def add(self, deviation: float, n: int, after: float) -> None:
        """Take a cost's deviation from the mean of the n before it, and the mean of them and it."""
        share = n / (n + 1)
        self._n += 1
        self._absolute += deviation**2 * share
        self._relative += (deviation / after) ** 2 * share if after else 0.0

    @property
    def parts(self) -> tuple[float, float, float]:
        """All that it remembers."""
        return self._n, self._absolute, self._relative

    @parts.setter
    def parts(self, parts: tuple[float, float, float]) -> None:
        self._n, self._absolute, self._relative = int(parts[0]), parts[1], parts[2]

    @property
    def variance(self) -> float:
        """σ², in the unit of the costs, squared; 0 before a query was seen twice."""
        return self._absolute / self._n if self._n else 0.0

    def mixed(self, variance: float) -> float:
        """σ² with one deviation more, of the given variance."""
        return (self._absolute + variance) / (self._n + 1)

    def width(self, mean: float, n: float, *, z: float) -> float:
        """Z standard errors of the mean of `n` costs, and always less than that mean."""
        relative = z * math.sqrt(self._relative / self._n / n) if self._n else 0.0
        return min(z * math.sqrt(self.variance / n), mean * relative / (1 + relative))


class Mean:
    """The mean of each query's own costs, shrunk to a prior while they are few.

    Empirical Bayes: with n costs of mean m for this query, variance σ² within a query and τ² between
    queries around the prior p, itself known from M queries only,

        κ = σ² / (τ² + (σ² + τ²)/M)
        mean = (n·m + κ·p) / (n + κ)
        width = min(z·σ/sqrt(n + κ), mean·x/(1 + x)),   x = z·v/sqrt(n + κ)

    with v the root mean square of the deviations within a query, each in proportion to the query's mean
    so far (`Noise`). So the width scales itself to the costs, shrinks as 1/sqrt(n), and does not reach
    the mean: cost is seen whatever its unit. For costs that do not vary it is 0 and the mean exact. A
    query not seen before gets the prior's own estimate.

    Under a prior with a ceiling, a classifier, costs are chances: their least is 0, and the second term
    of the width, which is for costs whose spread grows with them, does not apply.

    Args:
        width: z above, in standard errors.
        prior: What to expect of a query before it was seen; by default the mean of all first costs.
        keys: Queries remembered; the one learned or predicted longest ago is forgotten first.
    """

    VERSION = 1

    def __init__(
        self, *, width: float = 1.0, prior: Estimator | None = None, keys: int = 100_000
    ) -> None:
        right = is_number(width) and 0 <= width < math.inf
        expect(right, "width", "a finite number of standard errors >= 0", width)
        expect(is_whole(keys) and keys >= 1, "keys", "a whole number, at least 1", keys)
        made = prior is None or is_made(prior, "predict learn")
        expect(made, "prior", "an estimator that was made, such as Ridge()", prior)
        self.width = number_of(width)
        self.prior = prior
        self.keys = number_of(keys)
        self._own: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._noise = Noise()
        self._firsts = Spread()
        self._surprise = 0.0
        self._floor = Floor()

    def __repr__(self) -> str:
        """How it was made."""
        return f"Mean(width={self.width!r}, prior={self.prior!r}, keys={self.keys!r})"

    def predict(self, x: Query) -> Estimate:
        """Estimate the cost of a miss on `x`; infinitely wide before anything was learned."""
        if not self._firsts.n:
            return self.prior.predict(x) if self.prior else UNKNOWN
        expected = self._expected(x)
        within = self._within(expected)
        n, own = self._own.get(x.key, (0, 0.0))
        if n:
            self._own.move_to_end(x.key)
        if n and not within:
            return self._estimate(own, 0.0, expected)
        between = self._between(within)
        if not n:
            if self.prior:
                return self._estimate(expected.mean, expected.width, expected, expected.above)
            return self._estimate(expected.mean, self.width * math.sqrt(between), expected)
        queries = self._firsts.n
        kappa = queries * within / (queries * between + within + between)
        mean = (n * own + kappa * expected.mean) / (n + kappa)
        if math.isfinite(expected.ceiling):
            width = self.width * math.sqrt(within / (n + kappa))
        else:
            width = self._noise.width(mean, n + kappa, z=self.width)
        return self._estimate(mean, width, expected)

    def learn(self, x: Query, cost: float) -> None:
        """Add one cost of `x`.

        Raises:
            ValueError: `cost` is negative or not finite, or refused by the prior.
        """
        checked(cost)
        expected = self._expected(x)
        if self.prior:
            self.prior.learn(x, cost)
        n, own = self._own.pop(x.key, (0, 0.0))
        mean = own + (cost - own) / (n + 1)
        if n:
            self._noise.add(cost - own, n, mean)
        else:
            if math.isfinite(expected.width):
                self._surprise += (cost - expected.mean) ** 2
            self._firsts.add(cost)
        self._own[x.key] = (n + 1, mean)
        if len(self._own) > self.keys:
            self._own.popitem(last=False)
        self._floor.add(cost)

    def dump(self) -> dict[str, Any]:
        """Return what was learned as plain data.

        Raises:
            ValueError: The prior is no estimator that can be kept.
        """
        state: dict[str, Any] = {
            "kind": type(self).__name__,
            "version": self.VERSION,
            "keys": list(self._own),
            "counts": np.array([n for n, _ in self._own.values()], dtype=np.float64),
            "means": np.array([mean for _, mean in self._own.values()]),
            "noise": np.array(self._noise.parts),
            "firsts": np.array(self._firsts.parts),
            "surprise": self._surprise,
            "floor": self._floor.value,
        }
        if isinstance(self.prior, Kept):
            state["prior"] = self.prior.dump()
        elif self.prior is not None:
            msg = f"prior must have dump and restore to be kept, got {self.prior!r}"
            raise ValueError(msg)
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the place of what was dumped, into an estimator with the same prior.

        Raises:
            ValueError: It was dumped by another class or version, with another prior, or is damaged.
        """
        check_kind(state, self)
        if ("prior" in state) != isinstance(self.prior, Kept):
            msg = f"state was kept with prior {state.get('prior', {}).get('kind')}, got {self.prior!r}"
            raise ValueError(msg)
        keys = [str(key) for key in state["keys"]]
        shape = (len(keys),)
        counts, means = array(state, "counts", shape), array(state, "means", shape)
        noise, firsts = array(state, "noise", (3,)), array(state, "firsts", (3,))
        floor, surprise = array(state, "floor", ()), array(state, "surprise", ())
        if isinstance(self.prior, Kept):
            self.prior.restore(state["prior"])
        self._own = OrderedDict(
            (key, (int(n), float(mean))) for key, n, mean in zip(keys, counts, means, strict=True)
        )
        self._noise.parts = tuple(noise.tolist())
        self._firsts.parts = tuple(firsts.tolist())
        self._floor.value, self._surprise = float(floor), float(surprise)

    def _estimate(
        self, mean: float, width: float, expected: Estimate, above: float | None = None
    ) -> Estimate:
        """With the floor, or the mean when that is below it: some costs are 0; a chance has no floor."""
        if math.isfinite(expected.ceiling):
            return Estimate(mean, width, 0.0, expected.ceiling, above)
        return Estimate(mean, width, min(self._floor.value, mean), above=above)

    def _expected(self, x: Query) -> Estimate:
        return self.prior.predict(x) if self.prior else Estimate(self._firsts.mean, 0.0)

    def _within(self, expected: Estimate) -> float:
        """σ²; of chances with one tossed coin more, for two equal outcomes do not prove the third."""
        if math.isfinite(expected.ceiling):
            return self._noise.mixed((expected.ceiling / 2) ** 2)
        return self._noise.variance

    def _between(self, within: float) -> float:
        """τ²: the spread of first costs around the prior, less what one query alone varies."""
        total = self._surprise / self._firsts.n if self.prior else self._firsts.variance
        return max(total - within, 0.0)


class Ridge:
    """Linear in the query's vector: mean = wᵀx, width = β·σ·sqrt(xᵀA⁻¹x), A = λI + Σxxᵀ (LinUCB).

    σ² is the mean square of the errors of its own predictions, each made before its cost was seen, so
    the width is in the unit of the costs. The first prediction, of nothing, errs by the whole cost: a
    prior that fades as 1/n, and keeps a model whose first answers failed alike from being written off.
    O(d²) a step. A query with no vector is predicted by the intercept alone.

    Args:
        width: β above.
        shrinkage: λ above.
        pooled: Bound the mean over all queries instead, width = β·σ/sqrt(n). Where many bounds are
            compared, the least would be so low because the vector leaves it in doubt.
    """

    VERSION = 1
    INTERCEPT = 10.0
    """Value of the constant feature; large, so that the intercept is hardly shrunk."""

    def __init__(self, *, width: float = 1.0, shrinkage: float = 1.0, pooled: bool = False) -> None:
        right = is_number(width) and 0 <= width < math.inf
        expect(right, "width", "a finite number >= 0", width)
        expect(isinstance(pooled, bool), "pooled", "True or False", pooled)
        right = is_number(shrinkage) and 0 < shrinkage < math.inf
        expect(right, "shrinkage", "a finite positive number", shrinkage)
        self.width = number_of(width)
        self.shrinkage = number_of(shrinkage)
        self.pooled = pooled
        self._inverse: NDArray[np.float64] = np.eye(1, order="F") / shrinkage
        self._weights: NDArray[np.float64] = np.zeros(1)
        self._n = 0
        self._squared_errors = 0.0
        self._floor = Floor()

    def __repr__(self) -> str:
        """How it was made."""
        pooled = ", pooled=True" if self.pooled else ""
        return f"Ridge(width={self.width!r}, shrinkage={self.shrinkage!r}{pooled})"

    def predict(self, x: Query) -> Estimate:
        """Estimate the cost of a miss on `x`; infinitely wide before anything was learned."""
        if not self._n:
            return UNKNOWN
        features = self._features(x)
        sigma = math.sqrt(self._squared_errors / self._n)
        leverage = 1 / self._n if self.pooled else self._leverage(features)
        width = self.width * sigma * math.sqrt(leverage)
        mean = max(float(self._weights @ features), self._floor.value)
        return Estimate(mean, width, self._floor.value)

    def learn(self, x: Query, cost: float) -> None:
        """Update by Sherman-Morrison.

        Raises:
            ValueError: `cost` is negative or not finite, or the vector has another length.
        """
        checked(cost)
        features = self._features(x)
        error = cost - float(self._weights @ features)
        gain = times(self._inverse, features)
        add(self._inverse, -1.0 / (1.0 + float(features @ gain)), gain)
        self._weights += times(self._inverse, features) * error
        self._n += 1
        self._squared_errors += error**2
        self._floor.add(cost)

    def dump(self) -> dict[str, Any]:
        """Return what was learned as plain data."""
        return {
            "kind": type(self).__name__,
            "version": self.VERSION,
            "inverse": whole(self._inverse),
            "weights": self._weights.copy(),
            "n": self._n,
            "squared_errors": self._squared_errors,
            "floor": self._floor.value,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the place of what was dumped.

        Raises:
            ValueError: It was dumped by another class or version, or is damaged.
        """
        check_kind(state, self)
        size = len(np.atleast_1d(state.get("weights", 0.0)))
        weights, inverse = array(state, "weights", (size,)), array(state, "inverse", (size, size))
        n, squared_errors, floor = (
            float(array(state, name, ())) for name in ("n", "squared_errors", "floor")
        )
        self._weights, self._inverse = weights, np.asfortranarray(inverse)
        self._n, self._squared_errors, self._floor.value = int(n), squared_errors, floor

    def _leverage(self, features: NDArray[np.float64]) -> float:
        """Of a query, xᵀA⁻¹x."""
        return max(float(features @ times(self._inverse, features)), 0.0)

    def _features(self, x: Query) -> NDArray[np.float64]:
        """(intercept, vector); the model grows when the first vector comes."""
        have = len(self._weights)
        if x.vector is not None and have == 1:
            inverse = np.eye(len(x.vector) + 1, order="F") / self.shrinkage
            inverse[0, 0] = self._inverse[0, 0]
            self._inverse = inverse
            self._weights = np.append(self._weights, np.zeros(len(x.vector)))
        features = np.zeros(len(self._weights))
        features[0] = self.INTERCEPT
        if x.vector is not None:
            if len(x.vector) + 1 != len(features):
                msg = f"vector has length {len(x.vector)}, {have - 1} was learned from"
                raise ValueError(msg)
            features[1:] = x.vector
        return features

"""What the next answer will cost, learned by somebody else's model; heavy imports only here."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_cachemux.route.estimators import UNKNOWN, Floor, Spread, checked
from langchain_cachemux.types import Estimate

if TYPE_CHECKING:
    from langchain_cachemux.types import Query, Vector


class SklearnEstimator:
    """Any scikit-learn regressor on the query's vector, with a width from its own mistakes.

    Every cost is predicted before it is learned, and the width is the (1 - δ) quantile of the recent
    absolute errors: a split-conformal interval whose held-out set is what came next (theory.md §5).
    A regressor with `partial_fit` learns each cost as it comes; another is fitted again on the
    examples kept, each time a quarter of them has come anew.

    Args:
        regressor: An unfitted regressor; by default `SGDRegressor`.
        delta: δ above, in (0, 1).
        examples: Recent (vector, cost) pairs kept for fitting, and errors kept for the width.
    """

    def __init__(self, regressor: Any = None, *, delta: float = 0.1, examples: int = 2000) -> None:
        if not 0 < delta < 1:
            msg = f"delta must be in (0, 1), got {delta!r}"
            raise ValueError(msg)
        if examples < 1:
            msg = f"examples must be at least 1, got {examples!r}"
            raise ValueError(msg)
        from sklearn.base import clone, is_regressor
        from sklearn.linear_model import SGDRegressor

        instance = hasattr(regressor, "fit") and not isinstance(regressor, type)
        if regressor is not None and not (instance and is_regressor(regressor)):
            msg = f"regressor must be a scikit-learn regressor, got {regressor!r}"
            raise ValueError(msg)
        self.delta = delta
        self._regressor = (
            SGDRegressor(eta0=0.1, random_state=0) if regressor is None else clone(regressor)
        )
        self._examples: deque[tuple[Vector, float]] = deque(maxlen=examples)
        self._errors: deque[float] = deque(maxlen=examples)
        self._next_fit = 1
        self._scale = 0.0
        self._floor = Floor()
        self._all = Spread()

    def predict(self, x: Query) -> Estimate:
        """Estimate the cost of a miss on `x`; infinitely wide before anything was learned.

        A query with no vector is expected to cost what all did, give or take their spread.
        """
        if not self._all.n:
            return UNKNOWN
        if x.vector is None or not self._errors:
            return Estimate(self._all.mean, math.sqrt(self._all.variance), self._floor.value)
        mean = max(self._mean(x.vector), self._floor.value)
        n = len(self._errors)
        level = min(1.0, (1 - self.delta) * (n + 1) / n)
        return Estimate(mean, float(np.quantile(self._errors, level)), self._floor.value)

    def learn(self, x: Query, cost: float) -> None:
        """Take the error of the prediction into the width, then learn the cost.

        Raises:
            ValueError: The cost is negative or not finite.
        """
        self._all.add(checked(cost))
        self._floor.add(cost)
        if x.vector is None:
            return
        vector = x.vector
        self._scale = self._scale or cost
        unit = self._scale or 1.0
        self._errors.append(abs(cost - self._mean(vector)) if self._examples else cost)
        self._examples.append((vector, cost))
        if hasattr(self._regressor, "partial_fit"):
            self._regressor.partial_fit(vector[np.newaxis], [cost / unit])
        elif self._all.n >= self._next_fit:
            vectors, costs = zip(*self._examples, strict=True)
            self._regressor.fit(np.stack(vectors), np.array(costs) / unit)
            self._next_fit = self._all.n + max(1, len(self._examples) // 4)

    def _mean(self, vector: Vector) -> float:
        """The prediction, in the cost's unit: the regressor sees costs of about 1.

        A regressor that needs more examples than there are (five neighbours, of three) is spared.
        """
        try:
            return float(self._regressor.predict(vector[np.newaxis])[0]) * self._scale
        except ValueError:
            return self._all.mean

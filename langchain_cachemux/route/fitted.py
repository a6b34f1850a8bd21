"""What the next answer will cost, learned by somebody else's model; heavy imports only here."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from langchain_cachemux.arguments import as_call
from langchain_cachemux.route.bag import Bag
from langchain_cachemux.route.estimators import UNKNOWN, Floor, Spread, checked
from langchain_cachemux.types import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_cachemux.types import Query, Vector

    Floats = NDArray[np.float64]


class SklearnClassifier(Bag):
    """Any scikit-learn classifier with `predict_proba`, bagged and calibrated (see `Bag`).

    It reads the numbers of the text, in tenths of their spread, and the query's vector.

    Args:
        classifier: An unfitted classifier; by default `LogisticRegression`.
        width: "bag": the members' spread; "conformal": the quantile of their errors.
        z: Spreads below and above the mean, of a bag.
        delta: δ, the share of single outcomes that a conformal interval may miss, in (0, 1).
        members: Fits, each to a resample.
        examples: Outcomes kept for fitting, the last ones.
        seed: Of the resampling.
    """

    def __init__(
        self,
        classifier: Any = None,
        *,
        width: Literal["bag", "conformal"] = "bag",
        z: float = 1.0,
        delta: float = 0.1,
        members: int = 10,
        examples: int = 5000,
        seed: int = 0,
    ) -> None:
        from sklearn.base import clone, is_classifier
        from sklearn.linear_model import LogisticRegression

        instance = hasattr(classifier, "fit") and not isinstance(classifier, type)
        if classifier is not None and not (instance and is_classifier(classifier)):
            msg = f"classifier must be an instance of a scikit-learn classifier, got {classifier!r}"
            raise ValueError(msg)
        if classifier is not None and not hasattr(classifier, "predict_proba"):
            msg = f"classifier must have predict_proba (CalibratedClassifierCV), got {classifier!r}"
            raise ValueError(msg)
        super().__init__(
            width=width, z=z, delta=delta, members=members, examples=examples, seed=seed
        )
        self._classifier = LogisticRegression() if classifier is None else clone(classifier)

    def __repr__(self) -> str:
        """How it was made."""
        made = as_call(self, "width z delta members seed")
        return f"{made[:-1]}, classifier={self._classifier!r})"

    def fit_members(self, rows: Floats, labels: Floats, draws: NDArray[np.int64]) -> list[Any]:
        """Fit a clone to each resample."""
        from sklearn.base import clone

        fitted = []
        for label, drawn in zip(labels, draws, strict=True):
            taken = np.repeat(np.arange(len(rows)), drawn)
            fitted.append(clone(self._classifier).fit(rows[taken], label[taken]))
        return fitted

    def member_chances(self, fitted: Any, rows: Floats) -> Floats:
        """The probability of the label 1, by each."""
        return np.array([member.predict_proba(rows)[:, 1] for member in fitted])


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

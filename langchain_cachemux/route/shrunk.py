"""The winner's curse, and its cure: an estimator is believed as far as it has been right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_cachemux.arguments import number_of
from langchain_cachemux.route.estimators import array, check_kind, kept

if TYPE_CHECKING:
    from langchain_cachemux.route.estimators import Estimator
    from langchain_cachemux.types import Estimate, Query


class Shrunk:
    """An estimator's means, shrunk towards the mean of all costs by as much as they have been wrong.

    The least of many noisy means is low because it is noisy: whoever picks it pays more than he was told
    (the winner's curse). Each cost y is predicted, as m, before it is learned; the next m becomes

        ȳ + b·(m - m̄),   b = Σ(m - m̄)(y - ȳ) / (Σ(m - m̄)² + var(y)),  clipped to [0, 1]

    which is Bayesian regression of what came on what was said, with a slope of 0 ± 1 before anything
    was said: a prediction that has told nothing counts for nothing. The width is the estimator's own.

    Args:
        estimator: Whose means are shrunk.
        half_life: Costs after which one counts half: an estimator is judged by what it says now.
    """

    VERSION = 1
    _SUMS = ("_n", "_said", "_came", "_squares", "_products", "_spread")

    def __init__(self, estimator: Estimator, *, half_life: float = 1000.0) -> None:
        if not half_life > 0:
            msg = f"half_life must be a positive number of costs, got {half_life!r}"
            raise ValueError(msg)
        self.estimator = estimator
        self.half_life = number_of(half_life)
        self._n = 0.0
        self._said = 0.0
        self._came = 0.0
        self._squares = 0.0
        self._products = 0.0
        self._spread = 0.0

    def predict(self, x: Query) -> Estimate:
        """Estimate the cost of a miss on `x`, as the estimator does but nearer to the mean."""
        said = self.estimator.predict(x)
        if not self._n or not math.isfinite(said.width):
            return said
        mean = self._came + self.slope * (said.mean - self._said)
        return replace(said, mean=min(max(mean, said.floor), said.ceiling))

    def learn(self, x: Query, cost: float) -> None:
        """Take what the estimator says of `x` into the slope, then have it learn the cost.

        Raises:
            ValueError: `cost` is negative or not finite, or the estimator refuses it.
        """
        said = self.estimator.predict(x)
        self.estimator.learn(x, cost)
        if not math.isfinite(said.width):
            return
        keep = 2.0 ** (-1.0 / self.half_life)
        n = keep * self._n + 1.0
        told, came = said.mean - self._said, cost - self._came
        share = keep * self._n / n
        self._squares = keep * self._squares + share * told * told
        self._products = keep * self._products + share * told * came
        self._spread = keep * self._spread + share * came * came
        self._said += told / n
        self._came += came / n
        self._n = n

    @property
    def slope(self) -> float:
        """The b above: 1 for means that were right, 0 for means that told nothing."""
        variance = self._spread / self._n if self._n else 0.0
        below = self._squares + variance
        return min(max(self._products / below, 0.0), 1.0) if below else 0.0

    def dump(self) -> dict[str, Any]:
        """Return what was learned as plain data: numbers, and arrays."""
        return {
            "kind": type(self).__name__,
            "version": self.VERSION,
            "sums": np.array([getattr(self, name) for name in self._SUMS]),
            "estimator": kept(self.estimator).dump(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the place of what was dumped.

        Raises:
            ValueError: It was dumped by another class or version, or is damaged.
        """
        check_kind(state, self)
        sums = array(state, "sums", (len(self._SUMS),))
        kept(self.estimator).restore(state["estimator"])
        for name, value in zip(self._SUMS, sums.tolist(), strict=True):
            setattr(self, name, value)

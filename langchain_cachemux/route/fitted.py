"""The chance that an answer will not do, learned by any classifier of scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from langchain_cachemux.arguments import as_call
from langchain_cachemux.route.bag import Bag

if TYPE_CHECKING:
    from numpy.typing import NDArray

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

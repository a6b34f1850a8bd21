"""The chance that a model's answer will not do: the default classifier, and blends.

A classifier is an estimator whose costs are chances. What it learns of an answer is 1 when it would not
do, 0 when it did, or a score between; what it predicts is the chance of that, with a bound on either
side. What follows from a bad answer, and so the cost, is the router's business.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_cachemux.arguments import expect, is_made, is_number, number_of
from langchain_cachemux.route import curves
from langchain_cachemux.route.curves import Seen, logistic
from langchain_cachemux.route.estimators import Kept, array, check_kind
from langchain_cachemux.route.examples import Examples
from langchain_cachemux.route.features import BUCKETS, NUMBERS, features
from langchain_cachemux.route.symmetric import add, times, whole
from langchain_cachemux.types import Estimate, Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_cachemux.route.estimators import Estimator
    from langchain_cachemux.types import Vector

    Floats = NDArray[np.float64]

UNTRIED = Estimate(mean=0.5, width=0.5, ceiling=1.0)
"""Nothing was learned of this model yet: anything between 0 and 1."""


class Classifier:
    """Logistic regression on what the text shows, its hashed words and its vector; the default.

    With x = (intercept, numbers, vector) and h the hashed words, P(will not do) = σ(η), η = wᵀx + uᵀh,
    under a Gaussian prior on w and u. The bound is Laplace's, on the logit:

        lower = σ(η - z·s),  upper = σ(η + z·s),  s² = a²·xᵀH⁻¹x,  H = λI + Σ p(1 - p)xxᵀ

    with each column of x scaled by its prior's deviation. Words enter the mean only: there are too many
    of them for their part of H. At the default z, nine times in ten a question's chance lies between
    the bounds, as far as a logistic curve describes it; the mean chance of many questions lies there
    more often. A router that is surer locks: a model that was asked hard questions alone looks bad on
    all.

    The prior is strict, because few examples say little about hundreds of columns. That ranks questions
    well, but shrinks every chance towards the mean, by a factor that depends on the data; so after each
    fit the logits are stretched, a·η + b, by what best explains each outcome from all the *others*. To
    leave one out takes no second fit (Pregibon 1981): η₋ᵢ = ηᵢ - sᵢ²(yᵢ - pᵢ)/(1 - pᵢ(1 - pᵢ)sᵢ²). The
    deviation s is stretched too: without it, what a strict prior hides would not be in the bound. How
    strict it is, λ, is found in the same way: it is loosened where logits had to be stretched, if that
    explains each outcome better.

    In a `Router` the classifiers of all models are fitted together, because only the model that was
    asked is heard of, and what is hard for one is mostly hard for all; where that explains each outcome
    better from all the others than each classifier alone does. It counts only of questions that one
    model alone was asked: of others it is known already how hard they were.

    Until there were some twenty outcomes of both kinds each is learned in one pass (a step of
    Newton's method on that one example, O(d²)); a fit to a handful would be sure of too much, and a
    router that trusts it locks. From then on all examples kept are fitted again whenever a fifth of
    them is new, and learned in one pass meanwhile. Until there were some sixty the bound is wider:
    two failures at the start must not be the end of a good model, and few outcomes cannot tell how
    strict the prior should be. With 400 dimensions a step takes a fraction of a millisecond; a fit
    to 8,000 examples a second or two, of two models five; of more than 16,000 in all each is fitted
    alone.

    Args:
        width: z above, in deviations.
        examples: Outcomes kept for fitting, the last ones; 3 kB each.
    """

    VERSION = 2
    INTERCEPT = 2.0
    """Prior deviation of the intercept."""
    DEVIATIONS = (0.09, 0.9, 0.9)
    """Prior deviations of the weights of a number, of a vector's component and of a word."""
    STRICT = (9.0, 3.0, 1.0)
    """By what the prior's variances are divided, λ: the strictest first."""
    EARLY = 1.2
    """How many times wider the bound is before the first fit."""
    KINSHIP = 0.95
    """Correlation of the weights of models that are fitted together."""
    TOGETHER = 16_000
    """Examples of all models up to which they are fitted together, which takes some seconds."""
    FEW = 60.0
    """Of fewer outcomes of the rarer kind, n, the bound of a fit is FEW/n times as wide."""
    IMAGINED = 20.0
    """Texts of all kinds that the numbers' mean and spread are mixed with."""
    EXTREME = 4.0
    """Spreads from the mean at which a number is cut off."""

    def __init__(self, *, width: float = 1.645, examples: int = 8000) -> None:
        right = is_number(width) and 0 <= width < math.inf
        expect(right, "width", "a finite number of deviations >= 0", width)
        self.width = number_of(width)
        self._examples = Examples(examples)
        self._centre: Floats = np.zeros(len(NUMBERS))
        self._spread: Floats = np.ones(len(NUMBERS))
        self._weights: Floats = np.zeros(1 + len(NUMBERS))
        self._covariance: Floats = np.eye(1 + len(NUMBERS), order="F")
        self._words: Floats = np.zeros(BUCKETS)
        self._slope = 1.0
        self._family = [self]

    def __repr__(self) -> str:
        """How it was made."""
        return f"Classifier(width={self.width!r}, examples={self._examples.limit!r})"

    def predict(self, x: Query) -> Estimate:
        """Estimate the chance that the answer will not do; anything, before one was learned.

        Raises:
            ValueError: The vector is not like those learned from.
        """
        self._examples.check(x)
        if not self._examples.seen:
            return UNTRIED
        row = self._row(features(x.text).numbers, x.vector)
        logit = self._logit(x, row)
        variance = float(row @ times(self._covariance, row))
        deviation = self.width * self._doubt * math.sqrt(max(variance, 0.0))
        mean, low, high = (logistic(logit + step) for step in (0.0, -deviation, deviation))
        return Estimate(mean, mean - low, ceiling=1.0, above=high - mean)

    def learn(self, x: Query, cost: float) -> None:
        """Learn how far an answer would not do: 1 not at all, 0 well, or a score between.

        Raises:
            ValueError: It is not in [0, 1], or the vector is not like those learned from.
        """
        example = self._examples.add(x, cost)
        self._grow()
        row = self._row(example.features.numbers, x.vector)
        chance = logistic(self._logit(x, row))
        variance = chance * (1 - chance)
        gain = times(self._covariance, row)
        shrink = 1.0 + variance * float(gain @ row)
        self._weights += gain * ((cost - chance) / shrink)
        add(self._covariance, -variance / shrink, gain)
        if self._examples.due:
            self.fit()

    def fit(self) -> None:
        """Fit all examples kept, now; `learn` does it by itself when it is time."""
        if not len(self._examples):
            return
        from threadpoolctl import threadpool_limits  # scikit-learn's, and always there with it

        d = self._examples.dimensions
        members = [
            one
            for one in self._family
            if one is self or (one._examples.fitted and one._examples.dimensions == d)
        ]
        if sum(len(one._examples) for one in members) > self.TOGETHER:
            members = [self]
        with threadpool_limits(1, "blas"):  # on a busy machine threads that wait spin
            _fit(members)

    def dump(self) -> dict[str, Any]:
        """Return what was learned as plain data: numbers, and arrays."""
        used = np.flatnonzero(self._words)
        return {
            "kind": type(self).__name__,
            "version": self.VERSION,
            "centre": self._centre,
            "spread": self._spread,
            "weights": self._weights,
            "covariance": whole(self._covariance),
            "slope": self._slope,
            "words": self._words[used],
            "words_at": used,
            "examples": self._examples.dump(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the place of what was dumped.

        Raises:
            ValueError: It was dumped by another class or version, or is damaged.
        """
        check_kind(state, self)
        examples = Examples(self._examples.limit)
        examples.restore(state["examples"])
        dense = 1 + len(NUMBERS) + examples.dimensions
        shapes = {
            "centre": (len(NUMBERS),),
            "spread": (len(NUMBERS),),
            "weights": (dense,),
            "covariance": (dense, dense),
            "slope": (),
            "words": np.shape(state["words_at"]),
        }
        arrays = {name: array(state, name, shape) for name, shape in shapes.items()}
        self._examples = examples
        self._centre, self._spread = arrays["centre"], arrays["spread"]
        self._weights = arrays["weights"]
        self._covariance = np.asfortranarray(arrays["covariance"])
        self._slope = float(arrays["slope"])
        self._words = np.zeros(BUCKETS)
        self._words[np.asarray(state["words_at"], dtype=np.int64)] = arrays["words"]

    @property
    def _doubt(self) -> float:
        """How many times wider the bound is than Laplace's, because there are few outcomes."""
        if not self._examples.fitted:
            return self.EARLY
        return max(1.0, self.FEW / max(self._examples.rare, 1.0))

    def _row(self, numbers: Floats, vector: Vector | None) -> Floats:
        """The dense part of x, each column scaled by its prior's deviation."""
        row = np.zeros(len(self._weights))
        row[0] = self.INTERCEPT
        ends = 1 + len(NUMBERS)
        of_number, of_vector, _ = self.DEVIATIONS
        scaled = (numbers - self._centre) / self._spread
        scaled = np.minimum(np.maximum(scaled, -self.EXTREME), self.EXTREME)  # np.clip is slow
        row[1:ends] = scaled * of_number
        if vector is not None and len(row) > ends:
            row[ends:] = vector
            row[ends:] *= of_vector
        return row

    def _logit(self, x: Query, row: Floats) -> float:
        shown = features(x.text)
        words = float(self._words[shown.buckets] @ shown.weights)
        return float(self._weights @ row) + self.DEVIATIONS[2] * words

    def _grow(self) -> None:
        """Make room for the vector when the first comes."""
        missing = 1 + len(NUMBERS) + self._examples.dimensions - len(self._weights)
        if missing:
            covariance = np.eye(len(self._weights) + missing)
            covariance[:-missing, :-missing] = self._covariance
            self._covariance = np.asfortranarray(covariance)
            self._weights = np.append(self._weights, np.zeros(missing))


class Blend:
    """The mean of several estimators, each of which learns everything.

    Its bounds are the means of theirs: they read the same questions and learned from the same outcomes,
    so their errors go together, and agreement is no proof.

    Args:
        estimators: At least two; all of chances, or all of amounts.
    """

    VERSION = 1

    def __init__(self, *estimators: Estimator) -> None:
        bad = [e for e in estimators if not is_made(e, "predict learn")]
        if len(estimators) < 2 or bad:  # noqa: PLR2004
            msg = f"estimators must be two or more, that were made, got {bad or estimators!r}"
            raise ValueError(msg)
        ceilings = [e.predict(Query("")).ceiling for e in estimators]
        if min(ceilings) != max(ceilings):
            msg = f"estimators must be all of chances or all of amounts, their ceilings are {ceilings}"
            raise ValueError(msg)
        self.estimators = estimators

    def __repr__(self) -> str:
        """How it was made."""
        return f"Blend({', '.join(map(repr, self.estimators))})"

    def predict(self, x: Query) -> Estimate:
        """Return the mean of the means, between the means of the bounds."""
        told = [estimator.predict(x) for estimator in self.estimators]
        n = len(told)
        mean, floor = sum(e.mean for e in told) / n, min(e.floor for e in told)
        above = sum(e.upper for e in told) / n - mean
        width = sum(e.width for e in told) / n
        return Estimate(mean, width, floor, told[0].ceiling, above)

    def learn(self, x: Query, cost: float) -> None:
        """Tell each.

        Raises:
            ValueError: One of them refuses it; those before it have learned it.
        """
        for estimator in self.estimators:
            estimator.learn(x, cost)

    def dump(self) -> dict[str, Any]:
        """Return what each has learned.

        Raises:
            ValueError: One of them cannot be kept.
        """
        bad = [estimator for estimator in self.estimators if not isinstance(estimator, Kept)]
        if bad:
            msg = f"estimators must have dump and restore to be kept, got {bad!r}"
            raise ValueError(msg)
        parts = {str(i): e.dump() for i, e in enumerate(self.estimators) if isinstance(e, Kept)}
        return {"kind": type(self).__name__, "version": self.VERSION, "parts": parts}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the place of what was dumped, into a blend of the same estimators.

        Raises:
            ValueError: It was dumped by another class or version, or by a blend of others.
        """
        check_kind(state, self)
        parts = state["parts"]
        if len(parts) != len(self.estimators):
            msg = f"state is of {len(parts)} estimators, got {len(self.estimators)}"
            raise ValueError(msg)
        for i, estimator in enumerate(self.estimators):
            if isinstance(estimator, Kept):
                estimator.restore(parts[str(i)])


def together(classifiers: Sequence[Classifier]) -> None:
    """Have classifiers of several models learn together.

    Each is fitted with all those that were ever fitted, whenever one of them is due, so that it knows of
    questions that only another model was asked. One lock must guard all of them, as that of a `Router`.
    """
    for one in classifiers:
        one._family = list(classifiers)


def _fit(members: Sequence[Classifier]) -> None:
    """Fit the examples of all: together, or each alone where that foretells left-out ones better."""
    examples = [one._examples for one in members]
    numbers = np.concatenate([kept.numbers for kept in examples])
    n = len(numbers)
    share = n / (n + Classifier.IMAGINED)
    centre = share * numbers.mean(axis=0)
    spread = np.sqrt(share * (numbers**2).mean(axis=0) + (1 - share) - centre**2)
    all_words = [kept.words for kept in examples]
    used = np.unique(np.concatenate([words.indices for words in all_words]))
    seen = [
        Seen(_rows(kept, centre, spread), words[:, used] * Classifier.DEVIATIONS[2], kept.chances)
        for kept, words in zip(examples, all_words, strict=True)
    ]
    start = [np.append(one._weights, one._words[used]) / (one._slope or 1.0) for one in members]
    alone = [_best([s], w[np.newaxis], 0.0) for s, w in zip(seen, start, strict=True)]
    found = [curve for one in alone for curve in one.curves]
    lone = _lone(examples)
    if len(members) > 1 and any(told.any() for told in lone):
        akin = _best(seen, np.vstack([one.weights for one in alone]), Classifier.KINSHIP).curves
        gains = [a.surprises - b.surprises for a, b in zip(found, akin, strict=True)]
        if sum(gain[told].sum() for gain, told in zip(gains, lone, strict=True)) > 0:
            found = akin
    for one, curve in zip(members, found, strict=True):
        one._examples.fitted = one._examples.seen
        one._centre, one._spread = centre, spread
        one._slope = curve.slope
        one._weights = curve.slope * curve.dense
        one._weights[0] += curve.shift / Classifier.INTERCEPT
        one._covariance = np.asfortranarray(max(curve.slope, 1.0) ** 2 * curve.covariance)
        one._words[:] = 0.0
        one._words[used] = curve.slope * curve.words


def _lone(examples: Sequence[Examples]) -> list[NDArray[np.bool_]]:
    """Which outcomes of each are of questions that no other model was asked, each of shape (n,).

    Left out, another is not foretold by hardness in general: what became of that very question is there.
    """
    asked = [
        [
            (one.features.numbers.tobytes(), one.vector is None or one.vector.tobytes())
            for one in kept
        ]
        for kept in examples
    ]
    models = Counter(question for kept in asked for question in set(kept))
    return [np.array([models[question] == 1 for question in kept]) for kept in asked]


def _rows(examples: Examples, centre: Floats, spread: Floats) -> Floats:
    """The dense part of each example, shape (n, d), each column scaled by its prior's deviation."""
    of_number, of_vector, _ = Classifier.DEVIATIONS
    extreme = Classifier.EXTREME
    scaled = np.clip((examples.numbers - centre) / spread, -extreme, extreme)
    return np.hstack(
        [
            np.full((len(examples), 1), Classifier.INTERCEPT),
            scaled * of_number,
            examples.vectors.astype(np.float64) * of_vector,
        ]
    )


def _best(seen: Sequence[Seen], start: Floats, kinship: float) -> curves.Fit:
    """The fit that explains each outcome best from the others: how strict the prior is."""
    strictest, *others = Classifier.STRICT
    best = curves.fit(seen, start, strictest, kinship)
    for strict in others:
        if all(curve.slope <= 1 for curve in best.curves):
            break
        looser = curves.fit(seen, best.weights, strict, kinship)
        if looser.surprise >= best.surprise:
            break
        best = looser
    return best

"""A classifier made of several, each fitted to a resample of the examples: their spread is its width."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from langchain_cachemux.arguments import expect, is_number, is_whole, number_of
from langchain_cachemux.discreet import loggable
from langchain_cachemux.route.curves import chances, logistic, stretch
from langchain_cachemux.route.estimators import array, check_kind
from langchain_cachemux.route.examples import Examples
from langchain_cachemux.route.features import features
from langchain_cachemux.types import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_cachemux.types import Query

    Floats = NDArray[np.float64]

log = logging.getLogger(__name__)

NUMBER = 0.1
"""Scale of a number beside a unit vector, for members that measure distances."""
SURE = 1e-3
"""No member's chance counts as nearer to 0 or 1 than this: its logit must stay finite."""


class Bag(ABC):
    """Members fitted to resamples of the examples (bagging, Breiman 1996), calibrated by those left out.

    Each member is fitted to n examples drawn from the n with replacement; a score between 0 and 1 is
    drawn as an outcome, for each member anew. A third of the examples is not drawn by a member: what
    the members say of examples they have not seen is as good as what they will say of new ones. So with
    η the mean of the members' logits, a and b are fitted on those (Platt 1999), and

        mean = σ(a·η + b),  bounds σ(a·η + b ± z·sqrt(a²s² + v))

    where s is the members' spread and v the variance of b (`width="bag"`); or mean ± the (1 - δ)
    quantile of |outcome - mean|, honest for a single outcome and so nearly constant, of no use for
    choosing (`width="conformal"`). Reseeding in place of resampling would leave the members alike where
    they are wrong alike.

    Until there are five outcomes of either kind, the estimate is their rate, with its standard error;
    for a single outcome it is anything.
    """

    VERSION = 1
    BOTH = 5.0
    """Outcomes of either kind that a first fit takes."""
    WIDTHS: ClassVar = ("bag", "conformal")

    def __init__(
        self,
        *,
        width: Literal["bag", "conformal"] = "bag",
        z: float = 1.0,
        delta: float = 0.1,
        members: int = 10,
        examples: int = 5000,
        seed: int = 0,
    ) -> None:
        if width not in self.WIDTHS:
            msg = f"width must be one of {self.WIDTHS}, got {width!r}"
            raise ValueError(msg)
        right = is_number(z) and 0 <= z < math.inf
        expect(right, "z", "a finite number of deviations >= 0", z)
        expect(is_number(delta) and 0 < delta < 1, "delta", "in (0, 1)", delta)
        several = is_whole(members) and members >= 2  # noqa: PLR2004
        expect(several, "members", "at least 2, or they have no spread", members)
        expect(is_whole(seed) and seed >= 0, "seed", "a whole number >= 0", seed)
        self.width = width
        self.z = number_of(z)
        self.delta = number_of(delta)
        self.members = number_of(members)
        self.seed = number_of(seed)
        self._examples = Examples(examples, both=self.BOTH)
        self._fitted: Any = None
        self._slope, self._shift, self._margin, self._doubt = 1.0, 0.0, 1.0, 4.0

    @abstractmethod
    def fit_members(self, rows: Floats, labels: Floats, draws: NDArray[np.int64]) -> Any:
        """Fit each member; what is returned is passed to `member_chances`.

        Args:
            rows: Shape (n, d).
            labels: 0 or 1, shape (members, n).
            draws: How often each example was drawn, shape (members, n); both labels are among them.
        """

    @abstractmethod
    def member_chances(self, fitted: Any, rows: Floats) -> Floats:
        """Return what each member says of each row, shape (members, n)."""

    def predict(self, x: Query) -> Estimate:
        """Estimate the chance that the answer will not do; anything, before one was learned.

        Raises:
            ValueError: The vector is not like those learned from.
        """
        self._examples.check(x)
        if self._fitted is None:
            n = self._examples.seen + 1
            rate = (self._examples.bad + 0.5) / n
            width = math.sqrt(rate * (1 - rate) / n) if self.width == "bag" else 1.0
            return Estimate(rate, min(width, rate), ceiling=1.0, above=min(width, 1 - rate))
        numbers = (features(x.text).numbers - self._centre) / self._spread * NUMBER
        vector = np.zeros(self._length) if x.vector is None else x.vector[: self._length]
        said = _logits(self.member_chances(self._fitted, np.append(numbers, vector)[np.newaxis]))
        logit = self._slope * float(said.mean()) + self._shift
        mean = logistic(logit)
        if self.width == "conformal":
            below, above = min(self._margin, mean), min(self._margin, 1 - mean)
            return Estimate(mean, below, ceiling=1.0, above=above)
        variance = (self._slope * float(said.std(ddof=1))) ** 2 + self._doubt
        spread = self.z * math.sqrt(variance)
        low, high = logistic(logit - spread), logistic(logit + spread)
        return Estimate(mean, mean - low, ceiling=1.0, above=high - mean)

    def learn(self, x: Query, cost: float) -> None:
        """Learn how far an answer would not do: 1 not at all, 0 well, or a score between.

        Members that cannot be fitted to so few examples (40 neighbours of 30) stay as they were until
        there are more.

        Raises:
            ValueError: It is not in [0, 1], or the vector is not like those learned from.
        """
        self._examples.add(x, cost)
        if self._examples.due:
            try:
                self.fit()
            except ValueError as error:
                why = loggable(error)
                log.info("%r is not fitted to %d examples: %s", self, len(self._examples), why)

    def fit(self) -> None:
        """Fit all examples kept, now; `learn` does it by itself when a fifth of them is new."""
        self._examples.fitted = self._examples.seen
        self._fit(len(self._examples))

    def dump(self) -> dict[str, Any]:
        """Return the examples and how far they were fitted: the members are fitted to them again."""
        return {
            "kind": type(self).__name__,
            "version": self.VERSION,
            "fitted": float(self._fitted is not None),
            "examples": self._examples.dump(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the place of what was dumped: fits again, as the last fit was.

        Raises:
            ValueError: It was dumped by another class or version, or is damaged.
        """
        check_kind(state, self)
        fitted = float(array(state, "fitted", ()))
        self._examples.restore(state["examples"])
        self._fitted = None
        if fitted:
            self._fit(max(1, len(self._examples) - self._examples.seen + self._examples.fitted))

    def _fit(self, n: int) -> None:
        """Fit the oldest n of the examples."""
        examples, rng = self._examples, np.random.default_rng(self.seed)
        y, numbers = examples.chances[:n], examples.numbers[:n]
        if not 0 < y.sum() < n:
            return
        self._centre, self._spread = numbers.mean(axis=0), numbers.std(axis=0) + 0.1
        vectors = examples.vectors[:n]
        self._length = vectors.shape[1]
        rows = np.hstack([(numbers - self._centre) / self._spread * NUMBER, vectors])
        labels = (rng.random((self.members, n)) < y).astype(np.float64)
        draws = rng.multinomial(n, np.full(n, 1 / n), size=self.members)
        labels[:, [np.argmin(y), np.argmax(y)]] = (0.0, 1.0)
        draws[:, [np.argmin(y), np.argmax(y)]] += draws[:, [np.argmin(y), np.argmax(y)]] == 0
        fitted = self.fit_members(rows, labels, draws)
        said = np.ma.array(_logits(self.member_chances(fitted, rows)), mask=draws > 0)
        self._fitted = fitted
        unseen = said.mean(axis=0)
        told = ~np.ma.getmaskarray(unseen)
        if told.any():
            left_out = np.asarray(unseen[told].data)
            (self._slope,), (self._shift,) = stretch([left_out], [y[told]])
            said_of_them = chances(self._slope * left_out + self._shift)
            self._doubt = 1 / (0.25 + float((said_of_them * (1 - said_of_them)).sum()))
            errors = np.abs(y[told] - said_of_them)
            level = min(1.0, (1 - self.delta) * (len(errors) + 1) / len(errors))
            self._margin = float(np.quantile(errors, level))


def _logits(said: Floats) -> Floats:
    clipped = np.clip(said, SURE, 1 - SURE)
    return np.asarray(np.log(clipped / (1 - clipped)))

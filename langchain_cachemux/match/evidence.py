"""What labelled pairs tell of the next one: the chance that it is another question, and a bound on it.

A label says of a new wording beside a stored one whether they ask the same. All labels of a cache are
pooled: one curve for all its entries, from which an entry deviates as its own labels say.

With x what was seen of a pair (`seen`), u the deviation of its entry and w the weights,

    P(another question | x) = σ(w·x + u),

w by the posterior mode given the last labels, aged, and a Gaussian prior. What is claimed at most lies
two standard deviations above, and the prior is placed so that before labels this is the share of errors
allowed just where the shipped threshold lies. So what is served at first is what that threshold serves,
and every label moves all claims that resemble it.

A claim is held within what became of earlier claims of its size. Each
label is counted under the claim made before it was known. Of the n labels so counted k were wrong, and

    {q: B(a + k, b + n - k) / B(a, b) >= α · q^k (1 - q)^(n - k)}      complement: evidence against q

is a confidence sequence for their chance to be wrong (a mixture of likelihood ratios is a martingale;
Ville's inequality), valid however often it is looked at. A curve of the wrong shape, or a prior that is
wrong for this traffic, is corrected by it in both directions.

A prior is no evidence. So whether a claim may be served by yet is asked of labels alone
(`Evidence.backed`): a new cache serves its first two hits, for two wrong ones refute nothing, and then
as many as its labels would bear out even if the next were wrong. Where no label comes of what is held
back, since nobody stores fresh answers or they tell nothing, the prior is all there is, and is believed.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from langchain_cachemux.certificate import refutes
from langchain_cachemux.locks import Lock

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_cachemux.match.surface import Verdict

    Row = NDArray[np.float64]

VERSION = 2
"""Of what `Evidence.dump` returns."""
KINDS: tuple[Verdict, ...] = ("same", "reworded", "unsure", "another")
"""What a surface says of a pair."""
STEP = 0.05
"""Similarities are told in steps of this size."""
FEWEST, MOST = -10.0, 4.0
"""Steps from the shipped threshold, at most."""
DEVIATION = 2.0
"""Prior variance of an entry's deviation, on the logit."""
ENTRIES = 10_000
"""Entries whose deviations are remembered; the one labelled longest ago is forgotten first."""
DOUBT = 2.0
"""Standard deviations from what is likeliest to what is claimed at most."""
REFITS = 50
"""The curve is fitted again when this share of the labels, 1 in so many, is new."""
LIMIT = math.log(2 / 0.05)
"""Evidence at which a share is out: 95 % confidence, half of the doubt on each side."""
UNTOLD = 3
"""Answers held back in a row of which no label came, after which none is waited for."""
SIZES = 12
"""Claims are compared with labels by size: from 1 down to 2^-11, by halves."""


class Claim(NamedTuple):
    """The chance that a pair is another question."""

    mean: float
    upper: float


def seen(
    kind: Verdict,
    similarity: float,
    *,
    least: float,
    rivals: float,
    fellows: int,
) -> Row:
    """Return x, what was seen of a pair: where nothing differs, no more than that.

    Args:
        kind: What the surface says.
        similarity: Cosine of the two wordings.
        least: The shipped threshold on it.
        rivals: Share of the near wordings, the nearer counting more, that lead to other answers.
        fellows: Near wordings, this one included, that lead to the same answer.
    """
    of_kind = [float(kind == one) for one in KINDS]
    if kind == "same":
        return np.array([*of_kind, 0.0, 0.0, 0.0])
    steps = min(max((similarity - least) / STEP, FEWEST), MOST)
    return np.array([*of_kind, steps, 2 * rivals, math.log2(max(fellows, 1))])


class Evidence:
    """The labels of one cache, and what follows from them. Safe between threads.

    Args:
        max_error: The share of errors allowed, at which the prior places the shipped threshold.
        half_life: Labels after which one counts half; drift makes old ones wrong.
        memory: Labels remembered.
    """

    def __init__(self, max_error: float, *, half_life: float = 4000.0, memory: int = 4000) -> None:
        self._max_error = max_error
        self._fade = 2.0 ** (-1 / half_life)
        limit = math.log(max_error / (1 - max_error))
        self._prior = np.array([limit - 1.0, limit, 0.0, 2.0, -0.6, 1.0, -0.3])
        deviations = np.array([2.5, 2.5, 2.5, 2.5, 0.4, 1.0, 0.3])
        self._prior[:2] -= DOUBT * deviations[:2] + 1e-6
        self._precision = np.diag(deviations**-2.0)
        self._rows: deque[tuple[Row, float]] = deque(maxlen=memory)
        """What was seen, and whether it was wrong."""
        self._entries: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By entry: the sum of what its labels were above their chances, and the information in them."""
        self._wrong = np.zeros((2, SIZES))
        self._labels = np.zeros((2, SIZES))
        self._served = np.zeros((2, SIZES))
        """Answers served by claims of each size: where something differs, and where nothing does."""
        self._untold = 0
        """Answers held back since the last label."""
        self._found: list[tuple[float, float]] = []
        self._w = self._prior
        self._news = 0.0
        """Labels since the last fit; one that surprises counts for many."""
        self._lock = Lock()
        self._fit()

    def __len__(self) -> int:
        """Labels remembered."""
        return len(self._rows)

    def claim(self, x: Row, entry: str = "") -> Claim:
        """Return the chance that a pair is another question, and the bound that is served by."""
        with self._lock:
            score, width = self._score(x, entry)
            upper = _sigmoid(score + DOUBT * width)
            low, high = self._found[_size(upper)]
            upper = min(max(upper, low), high)
            return Claim(min(_sigmoid(score), upper), upper)

    def backed(
        self, x: Row | None = None, entry: str = "", *, judged: tuple[float, float] = (0.0, 1.0)
    ) -> bool:
        """Whether one more answer may be served by this claim, for all that labels alone tell.

        Not when a record would be expected to refute the promise in which every answer served so far,
        and this one, was wrong with the chance of `_alone`; unless labels have stopped to come.

        Args:
            x: What was seen of the pair; None where it is one more on a judge's word.
            entry: Whose answer it is.
            judged: Answers that were served on a judge's word, this one included, and how often one is
                wrong for all that labels tell.
        """
        with self._lock:
            if self._untold >= UNTOLD:
                return True
            served = self._served.copy()
            if x is not None:
                served[self._place(x, entry)] += 1
            told = zip(self._wrong, self._labels, strict=True)
            alone = np.concatenate([_alone(wrong, labels) for wrong, labels in told])
        bets, chances = np.append(served, judged[0]), np.append(alone, judged[1])
        records = [(bets, chances)] if x is None else [(bets, chances), (bets[:-1], chances[:-1])]
        return not any(refutes(self._max_error, *record) for record in records)

    def gave(self, x: Row, entry: str = "") -> None:
        """Take note of an answer that was served by a claim, and of which no label will come."""
        with self._lock:
            if self._untold < UNTOLD:
                self._served[self._place(x, entry)] += 1

    def held_back(self) -> None:
        """Take note of an answer that was not served for want of labels: the fresh one may be one."""
        with self._lock:
            self._untold += 1

    def learn(self, x: Row, entry: str, *, wrong: float) -> None:
        """Take a label: 1 when the pair was another question, 0 when it was the same."""
        with self._lock:
            score, _ = self._score(x, entry)
            place = self._place(x, entry)
            self._wrong *= self._fade
            self._labels *= self._fade
            self._served *= self._fade
            self._labels[place] += 1
            self._wrong[place] += wrong
            self._untold = 0
            above, information = self._entries.pop(entry, (0.0, 0.0))
            pooled = _sigmoid(float(self._w @ x))
            self._entries[entry] = (above + wrong - pooled, information + pooled * (1 - pooled))
            if len(self._entries) > ENTRIES:
                self._entries.popitem(last=False)
            self._rows.append((x, wrong))
            self._news += 1 + REFITS * max(wrong - _sigmoid(score), 0.0)
            if self._news * REFITS >= len(self._rows):
                self._fit()

    def dump(self) -> dict[str, Any]:
        """Return the labels and what was found of claims, as plain data."""
        with self._lock:
            return {
                "version": VERSION,
                "rows": [[x.tolist(), wrong] for x, wrong in self._rows],
                "entries": [[key, *told] for key, told in self._entries.items()],
                "wrong": self._wrong.tolist(),
                "labels": self._labels.tolist(),
                "served": self._served.tolist(),
            }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `dump` returned.

        Raises:
            ValueError: It is of another version, or does not fit.
        """
        if state["version"] != VERSION:
            msg = f"state must be of version {VERSION}, got {state['version']!r}"
            raise ValueError(msg)
        rows = [(np.array(x, dtype=float), float(wrong)) for x, wrong in state["rows"]]
        counted = [np.array(state[name], dtype=float) for name in ("wrong", "labels", "served")]
        right = all(x.shape == self._prior.shape for x, _ in rows)
        if not right or any(each.shape != self._labels.shape for each in counted):
            msg = f"state must have rows of {len(self._prior)} numbers and {SIZES} sizes of claims"
            raise ValueError(msg)
        with self._lock:
            self._rows = deque(rows, maxlen=self._rows.maxlen)
            self._entries = OrderedDict((k, (float(a), float(i))) for k, a, i in state["entries"])
            self._wrong, self._labels, self._served = counted
            self._fit(steps=20)

    def _score(self, x: Row, entry: str) -> tuple[float, float]:
        """w·x + u, and its standard deviation."""
        variance = float(x @ self._covariance @ x)
        return float(self._w @ x) + self._deviation(entry), math.sqrt(variance)

    def _place(self, x: Row, entry: str) -> tuple[int, int]:
        """Whether nothing differs, and how large a claim is before it is held by what became of such."""
        score, width = self._score(x, entry)
        return int(x[0]), _size(_sigmoid(score + DOUBT * width))

    def _deviation(self, entry: str) -> float:
        """One Newton step of an entry's posterior from 0, the mode where its labels are few."""
        above, information = self._entries.get(entry, (0.0, 0.0))
        return above / (1 / DEVIATION + information)

    def _fit(self, steps: int = 3) -> None:
        """Newton steps to the posterior mode, from where it was."""
        w = self._w.copy()
        if self._rows:
            x = np.array([row for row, _ in self._rows])
            y = np.array([wrong for _, wrong in self._rows])
            age = self._fade ** np.arange(len(y) - 1, -1, -1)
        for _ in range(steps):
            gradient = -self._precision @ (w - self._prior)
            curvature = self._precision.copy()
            if self._rows:
                p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
                gradient += x.T @ (age * (y - p))
                curvature += (x.T * (age * p * (1 - p))) @ x
            step = np.linalg.solve(curvature, gradient)
            w += step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        self._w, self._covariance, self._news = w, np.linalg.inv(curvature), 0.0
        self._found = _held(self._wrong.sum(axis=0), self._labels.sum(axis=0), self._max_error)


def _size(claim: float) -> int:
    return min(int(-math.log2(max(claim, 1e-9))), SIZES - 1)


def _sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-min(max(score, -30.0), 30.0)))


def _held(wrong: Row, labels: Row, typical: float) -> list[tuple[float, float]]:
    """By size of claim, the ends between which its chance to be wrong lies.

    A smaller claim is not worse: an upper end also holds for all smaller claims, a lower one for all
    larger; and neighbouring sizes are taken together where that is sharper.
    """
    above, n = np.cumsum([0.0, *wrong]), np.cumsum([0.0, *labels])
    start, end = np.triu_indices(SIZES)
    k, n = above[end + 1] - above[start], n[end + 1] - n[start]
    low, high = (np.zeros((SIZES, SIZES)) for _ in range(2))
    low[start, end], high[start, end] = _ends(k, n, typical)
    high[np.tril_indices(SIZES, -1)] = 1.0
    highs, lows = high.min(axis=0), low.max(axis=1)
    return list(zip(np.minimum(lows, highs).tolist(), highs.tolist(), strict=True))


def _alone(wrong: Row, labels: Row) -> Row:
    """By size of one kind's claims, their chance to be wrong as far as labels tell; at first 1.

    (k + 1)/(n + 1), as if one more had come and were wrong. As in `_held`, a smaller claim is not worse.
    """
    above, n = np.cumsum([0.0, *wrong]), np.cumsum([0.0, *labels])
    k, n = (np.tril(each[1:, None] - each[:-1]) for each in (above, n))
    alone: Row = np.where(np.tri(SIZES, dtype=bool), (k + 1) / (n + 1), 1.0).min(axis=1)
    return alone


def _ends(wrong: Row, labels: Row, typical: float) -> tuple[Row, Row]:
    """Both ends of the confidence sequence of each share, by bisection; shapes (m,)."""
    a, b = 1.0, 1.0 / typical
    mixture = _log_beta(a + wrong, b + labels - wrong) - _log_beta(np.array(a), np.array(b))
    mean = wrong / np.maximum(labels, 1e-9)
    ends = []
    for limit in (np.zeros_like(mean), np.ones_like(mean)):
        inner, outer = mean, limit
        for _ in range(20):
            middle = (inner + outer) / 2
            q = np.clip(middle, 1e-12, 1 - 1e-12)
            against = mixture - wrong * np.log(q) - (labels - wrong) * np.log1p(-q)
            inside = against < LIMIT
            inner, outer = np.where(inside, middle, inner), np.where(inside, outer, middle)
        ends.append(outer)
    return ends[0], ends[1]


def _log_beta(a: Row, b: Row) -> Row:
    gamma = np.vectorize(math.lgamma, otypes=[float])
    total: Row = gamma(a) + gamma(b) - gamma(a + b)
    return total

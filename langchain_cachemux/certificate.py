"""What audits prove: a bound of the share of bets lost that holds at every moment at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Certificate:
    """A confidence sequence for the mean chance of loss over all bets, audited at random.

    Bet t is lost with chance μ_t given all before it, is audited with a probability q_t chosen before,
    and then its loss L_t in [0, 1] becomes known. X_t = L_t/q_t when audited, else 0, has mean μ_t. For
    every fixed η > 0, with M = Σμ_t,

        Π(1 + η·X_t)·exp(-η·M)     and, as long as η < q_t,     Π(1 - η·X_t)·exp(η·M)

    are nonnegative supermartingales that start at 1, since (1 ± η·μ)·exp(∓η·μ) <= 1. So is their mean
    over a grid of η, which by Ville's inequality ever reaches 1/α with probability at most α: the M at
    which it is below 1/α are a confidence sequence (betting, Waudby-Smith and Ramdas 2024, with fixed
    bets as in Howard et al. 2021, so that the chances μ_t may change as they like). For a constant q and
    losses of 0 or 1 it is the test of a Poisson rate.

    An audit that is not settled counts as won below and as lost above, so the sequence holds however
    late an audit is settled, in whatever order, or never.

    Args:
        confidence: 1 - α, half of α on each side.
        least: The least q_t.
    """

    def __init__(self, *, confidence: float, least: float) -> None:
        self.bets = 0
        self._weight = self._weight_lost = 0.0
        self._limit = math.log(2 / (1 - confidence))
        self._eta = _grid(least)
        self._above = np.zeros(len(self._eta))
        """Σ log(1 + η·X), by η: evidence that more was lost."""
        self._below = np.zeros(len(self._eta))
        """Σ log(1 - η·X), by η, and -inf from when η >= q: evidence that less was lost."""

    def placed(self, chance: float, *, audited: bool) -> None:
        """Count a bet that is audited with this probability."""
        self.bets += 1
        self._below[self._eta >= chance] = -np.inf
        if audited:
            self._below += self._lost(chance, 1.0)

    def settled(self, chance: float, lost: float) -> None:
        """Replace, for an audited bet, what was assumed of it by its loss."""
        self._weight += 1 / chance
        self._weight_lost += lost / chance
        self._above += np.log1p(self._eta * (lost / chance))
        alive = np.isfinite(self._below)
        change = self._lost(chance, lost) - self._lost(chance, 1.0)
        self._below[alive] += change[alive]

    @property
    def estimate(self) -> float | None:
        """The share lost, of the audits settled, each weighted by 1/q; None when there is none."""
        return self._weight_lost / self._weight if self._weight else None

    def exceeds(self, share: float) -> bool:
        """Is the lower end above `share`?"""
        return self._evidence_above(share) >= self._limit

    def within(self, share: float) -> bool:
        """Is the upper end at or below `share`?"""
        return self._evidence_below(share) >= self._limit

    def interval(self) -> tuple[float, float]:
        """Return the ends for the mean chance of loss; (0, 1) before there was a bet."""
        if not self.bets:
            return 0.0, 1.0
        low = _crossing(lambda share: self._evidence_above(share) < self._limit)
        high = _crossing(lambda share: self._evidence_below(share) >= self._limit)
        return low, high

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data."""
        below = [None if math.isinf(b) else b for b in self._below.tolist()]
        return {
            "bets": self.bets,
            "weight": self._weight,
            "weight_lost": self._weight_lost,
            "above": self._above.tolist(),
            "below": below,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `dump` returned."""
        self.bets = int(state["bets"])
        self._weight, self._weight_lost = float(state["weight"]), float(state["weight_lost"])
        self._above = np.array(state["above"], dtype=float)
        self._below = np.array([-np.inf if b is None else b for b in state["below"]], dtype=float)

    def _lost(self, chance: float, lost: float) -> NDArray[np.float64]:
        """log(1 - η·X), of the η below q; the others are out already."""
        return np.log1p(-np.minimum(self._eta * (lost / chance), 1 - 1e-9))

    def _evidence_above(self, share: float) -> float:
        return _log_mean(self._above - self._eta * (share * self.bets))

    def _evidence_below(self, share: float) -> float:
        return _log_mean(self._below + self._eta * (share * self.bets))


def _grid(least: float) -> NDArray[np.float64]:
    """The η of a record whose bets are audited with this probability at least."""
    steps = math.ceil(2 * math.log2(256 / least))
    # the fifth of the grid is 0.95 times the least q, near its best when nothing was lost
    grid: NDArray[np.float64] = 0.95 * least * 2 ** (np.arange(-8, steps - 7) / 2)
    return grid


def refutes(
    share: float,
    bets: NDArray[np.float64],
    chances: NDArray[np.float64],
    *,
    confidence: float = 0.95,
) -> bool:
    """Whether a record of bets is expected to refute that at most a share of them was lost.

    W⁺ at M = share·n of whoever saw all of them, with its mean Π(1 + η·r) in place of Π(1 + η·X).

    Args:
        share: What may be lost.
        bets: How many there are of each kind, shape (k,).
        chances: r, with which each of a kind is lost, shape (k,).
        confidence: Of whoever looks.
    """
    mean = np.log1p(np.outer(_ALL, chances)) @ bets - _ALL * (share * bets.sum())
    return _log_mean(mean) >= math.log(2 / (1 - confidence))


def _log_mean(logs: NDArray[np.float64]) -> float:
    """The logarithm of the mean of exp(logs), without overflow; some of them are finite."""
    most = float(logs.max())
    return most + math.log(float(np.exp(logs - most).mean()))


def _crossing(above: Callable[[float], bool]) -> float:
    """The share at which `above` turns true, or 1: by bisection, to 1e-9."""
    low, high = 0.0, 1.0
    while high - low > 1e-9:  # noqa: PLR2004
        middle = (low + high) / 2
        low, high = (low, middle) if above(middle) else (middle, high)
    return high


_ALL = _grid(1.0)

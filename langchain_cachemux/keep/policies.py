"""What is worth keeping: a policy says what an entry is worth, the least worth is forgotten.

A worth is frozen when its entry is used, so a heap, a database column and a replay can all hold
it. A policy that ages does it without touching the others: by forward decay (`LEC`: the aged count
enters as a logarithm, and the logarithms of all entries fall at one rate, so their order stays), or
by a clock that only rises (`GDSF`, `GreedyDual`).

No policy is best everywhere: counts that never age are right when popularity stands still, and far off
when it moves. A ledger given several policies keeps a shadow of each, the keys alone that it would hold,
and follows the one whose misses have cost least lately (`leader`). `robust` is the default set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from langchain_cachemux.arguments import expect, is_number, is_whole, number_of

if TYPE_CHECKING:
    from langchain_cachemux.types import Standing


FLOOR = 1e-300
"""Stands for a cost of zero where its logarithm is taken."""


class Policy(Protocol):
    """What an entry is worth. Larger is better; only the order counts. One object serves one ledger.

    A policy of your own has these three members. It reads a `Standing` and does not write to it;
    `langchain_cachemux.testing.check_policy` says whether a ledger can rely on it.
    """

    half_life: float
    """Requests after which a request counts half; `math.inf` never forgets."""

    def worth(self, standing: Standing) -> float:
        """Worth of an entry just requested, read from its count, uses, last, cost and size."""
        ...

    def evicted(self, standing: Standing) -> None:
        """Learn that `standing` was the least worth keeping, the newcomer itself perhaps.

        Of a victim of an earlier run only the worth is known.
        """
        ...


@dataclass(kw_only=True, eq=False)
class LEC:
    """Least Expected Cost: aged count x lower bound of a miss's cost / size (arXiv 2306.02003).

    The paper's policy is `LEC()`, with no ageing; the bound comes with the entry, from the cache's
    estimator.

    Args:
        half_life: Requests after which an earlier request counts half.
        prior: Requests a query is believed to have had before it was first seen. With a Gamma prior of
            this shape on the rates, F + prior is in proportion to the posterior's mean; with a half-life
            it ages as F does. 0 in the paper.
    """

    half_life: float = math.inf
    prior: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a half-life that is no positive number, and a prior that is negative."""
        half_life, prior = self.half_life, self.prior
        right = is_number(half_life) and half_life > 0
        expect(right, "half_life", "a positive number of requests", half_life)
        right = is_number(prior) and 0 <= prior < math.inf
        expect(right, "prior", "a finite number of requests >= 0", prior)
        self.half_life, self.prior = number_of(half_life), number_of(prior)

    def worth(self, standing: Standing) -> float:
        """log2((F + prior)·c/s) + t/H: the logarithm of the aged expected cost per unit of capacity."""
        expected = (standing.count + self.prior) * standing.cost / standing.size
        return math.log2(max(expected, FLOOR)) + standing.last / self.half_life

    def evicted(self, standing: Standing) -> None:
        """Nothing to learn."""


@dataclass(kw_only=True, eq=False)
class GDSF:
    """Greedy-Dual-Size-Frequency: clock + count·cost/size; the clock is the last victim's worth.

    Cherkasova 1998, who counts the requests since admission.

    Args:
        remember: Count the requests before an eviction too.
    """

    remember: bool = False
    clock: float = field(default=0.0, init=False, repr=False)
    half_life = math.inf

    def __post_init__(self) -> None:
        """Refuse what is no truth value."""
        expect(isinstance(self.remember, bool), "remember", "True or False", self.remember)

    def worth(self, standing: Standing) -> float:
        """H = L + f·c/s."""
        frequency = standing.count if self.remember else standing.uses
        return self.clock + frequency * standing.cost / standing.size

    def evicted(self, standing: Standing) -> None:
        """Advance the clock to the victim's worth; it never falls."""
        self.clock = max(self.clock, standing.worth)


@dataclass(kw_only=True, eq=False)
class GreedyDual:
    """Greedy-Dual-Size: clock + cost/size; LRU when all cost and size the same.

    Young 1994; Cao and Irani 1997.
    """

    clock: float = field(default=0.0, init=False, repr=False)
    half_life = math.inf

    def worth(self, standing: Standing) -> float:
        """H = L + c/s."""
        return self.clock + standing.cost / standing.size

    def evicted(self, standing: Standing) -> None:
        """Advance the clock to the victim's worth; it never falls."""
        self.clock = max(self.clock, standing.worth)


@dataclass(kw_only=True, eq=False)
class LFU:
    """Least Frequently Used: all requests, those before an eviction too, blind to cost.

    The baseline of arXiv 2306.02003.
    """

    half_life = math.inf

    def worth(self, standing: Standing) -> float:
        """The number of requests, as far as they are remembered."""
        return standing.count

    def evicted(self, standing: Standing) -> None:
        """Nothing to learn."""


@dataclass(kw_only=True, eq=False)
class LRU:
    """Least Recently Used, blind to cost."""

    half_life = math.inf

    def worth(self, standing: Standing) -> float:
        """The time of the last request."""
        return float(standing.last)

    def evicted(self, standing: Standing) -> None:
        """Nothing to learn."""


def robust(entries: int) -> tuple[Policy, ...]:
    """Return the default policies for a capacity of about `entries`: near the best of all, everywhere.

    The paper's LEC for what stands still, and with a prior for a cache that holds much of it; LEC with
    a half-life of twenty capacities for what drifts; and three greedy-dual rules for what comes in
    bursts (benchmarks/results/robustness.json).

    Raises:
        ValueError: `entries` is no whole number from 1 on.
    """
    expect(is_whole(entries) and entries >= 1, "entries", "a whole number, at least 1", entries)
    return (
        LEC(),
        LEC(prior=1.0),
        LEC(half_life=20 * entries),
        GDSF(remember=True),
        GDSF(),
        GreedyDual(),
    )

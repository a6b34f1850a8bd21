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

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_cachemux.types import Entry


FLOOR = 1e-300
"""Stands for a cost of zero where its logarithm is taken."""
FADE = 2.0 ** (-1 / 30_000)
"""What a shadow's miss is worth one request later in the choice of the leader: half after 30,000."""


class Policy(Protocol):
    """What an entry is worth. Larger is better; only the order counts. One object serves one ledger."""

    half_life: float
    """Requests after which a request counts half; `math.inf` never forgets."""

    def worth(self, entry: Entry) -> float:
        """Worth of an entry just requested, read from its count, uses, last, cost and size."""
        ...

    def evicted(self, entry: Entry) -> None:
        """Learn that `entry` was the least worth keeping, the newcomer itself perhaps."""
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
        if not self.half_life > 0:
            msg = f"half_life must be a positive number of requests, got {self.half_life!r}"
            raise ValueError(msg)
        if not 0 <= self.prior < math.inf:
            msg = f"prior must be a finite number of requests >= 0, got {self.prior!r}"
            raise ValueError(msg)

    def worth(self, entry: Entry) -> float:
        """log2((F + prior)·c/s) + t/H: the logarithm of the aged expected cost per unit of capacity."""
        expected = (entry.count + self.prior) * entry.cost / entry.size
        return math.log2(max(expected, FLOOR)) + entry.last / self.half_life

    def evicted(self, entry: Entry) -> None:
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

    def worth(self, entry: Entry) -> float:
        """H = L + f·c/s."""
        frequency = entry.count if self.remember else entry.uses
        return self.clock + frequency * entry.cost / entry.size

    def evicted(self, entry: Entry) -> None:
        """Advance the clock to the victim's worth; it never falls."""
        self.clock = max(self.clock, entry.worth)


@dataclass(kw_only=True, eq=False)
class GreedyDual:
    """Greedy-Dual-Size: clock + cost/size; LRU when all cost and size the same.

    Young 1994; Cao and Irani 1997.
    """

    clock: float = field(default=0.0, init=False, repr=False)
    half_life = math.inf

    def worth(self, entry: Entry) -> float:
        """H = L + c/s."""
        return self.clock + entry.cost / entry.size

    def evicted(self, entry: Entry) -> None:
        """Advance the clock to the victim's worth; it never falls."""
        self.clock = max(self.clock, entry.worth)


@dataclass(kw_only=True, eq=False)
class LFU:
    """Least Frequently Used: all requests, those before an eviction too, blind to cost.

    The baseline of arXiv 2306.02003.
    """

    half_life = math.inf

    def worth(self, entry: Entry) -> float:
        """The number of requests, as far as they are remembered."""
        return entry.count

    def evicted(self, entry: Entry) -> None:
        """Nothing to learn."""


@dataclass(kw_only=True, eq=False)
class LRU:
    """Least Recently Used, blind to cost."""

    half_life = math.inf

    def worth(self, entry: Entry) -> float:
        """The time of the last request."""
        return float(entry.last)

    def evicted(self, entry: Entry) -> None:
        """Nothing to learn."""


def robust(entries: int) -> tuple[Policy, ...]:
    """Return the default policies for a capacity of about `entries`: near the best of all, everywhere.

    The paper's LEC for what stands still, and with a prior for a cache that holds much of it; LEC with
    a half-life of twenty capacities for what drifts; and three greedy-dual rules for what comes in
    bursts (benchmarks/results/robustness.json).
    """
    return (
        LEC(),
        LEC(prior=1.0),
        LEC(half_life=20 * entries),
        GDSF(remember=True),
        GDSF(),
        GreedyDual(),
    )


def victims(newcomer: Entry, excess: int, least: Iterable[Entry]) -> list[Entry] | None:
    """Choose who leaves so that `newcomer` fits: admission and eviction are this one decision.

    Args:
        newcomer: The entry just requested, its worth already set.
        excess: Size that must be freed; none when 0 or less.
        least: The residents, least (worth, last) first.

    Returns:
        The residents to evict, least first; None when the newcomer is itself the least.
    """
    if excess <= 0:
        return []
    leaving: list[Entry] = []
    for entry in least:
        if (newcomer.worth, newcomer.last) < (entry.worth, entry.last):
            break
        leaving.append(entry)
        excess -= entry.size
        if excess <= 0:
            return leaving
    return None


def remembered(entries: int) -> int:
    """Return how many forgotten queries to remember when at most `entries` were ever held.

    Ten capacities are enough for a large cache; a small one needs a longer memory, and a ghost takes
    some 250 bytes.
    """
    return max(10_000, 10 * entries)


def leader(losses: Sequence[float], followed: int) -> int:
    """Return the place of the least loss; the policy followed so far, when none is below its own."""
    least = min(losses)
    return followed if losses[followed] <= least else losses.index(least)


def limited(capacity: int, ghosts: int | None) -> None:
    """Check what a ledger may hold and remember.

    Raises:
        ValueError: The capacity is not positive, or the number of ghosts is negative.
    """
    if not capacity > 0:
        msg = f"capacity must be positive, got {capacity!r}"
        raise ValueError(msg)
    if ghosts is not None and ghosts < 0:
        msg = f"ghosts must be >= 0, got {ghosts!r}"
        raise ValueError(msg)


def ageing(policies: Sequence[Policy]) -> tuple[tuple[float, ...], list[int]]:
    """Return the half-lives that policies count by, each once, and the place of each policy's own."""
    half_lives = tuple(dict.fromkeys(policy.half_life for policy in policies))
    return half_lives, [half_lives.index(policy.half_life) for policy in policies]


def named(policies: Policy | Sequence[Policy]) -> tuple[Policy, ...]:
    """Return one policy or several as a tuple.

    Raises:
        ValueError: There is none, or something in it is no policy.
    """
    several = tuple(policies) if isinstance(policies, list | tuple) else (policies,)
    bad = [p for p in several if isinstance(p, type) or not hasattr(p, "half_life")]
    bad += [p for p in several if not callable(getattr(p, "worth", None))]
    if bad or not several:
        msg = f"policy must be a policy or several, got {policies!r}"
        raise ValueError(msg)
    return several

"""What is worth keeping: a policy says what an entry is worth, the least worth is forgotten.

A worth is frozen when its entry is used, so a heap, a database column and a replay can all hold
it. A policy that ages does it without touching the others: by forward decay (`LEC`: the aged count
enters as a logarithm, and the logarithms of all entries fall at one rate, so their order stays), or
by a clock that only rises (`GDSF`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_cachemux.types import Entry


FLOOR = 1e-300
"""Stands for a cost of zero where its logarithm is taken."""


class Policy(Protocol):
    """What an entry is worth. Larger is better; only the order counts."""

    half_life: float
    """Requests after which a request counts half; `math.inf` never forgets."""

    def worth(self, entry: Entry) -> float:
        """Worth of an entry just requested, read from its count, uses, last, cost and size."""
        ...

    def evicted(self, entry: Entry) -> None:
        """Learn that `entry` was the least worth keeping, the newcomer itself perhaps."""
        ...


class LEC:
    """Least Expected Cost: aged count x lower bound of a miss's cost / size (arXiv 2306.02003).

    The paper's policy is `LEC()`, with no ageing; the bound comes with the entry, from the cache's
    estimator.

    Args:
        half_life: Requests after which an earlier request counts half.
    """

    def __init__(self, *, half_life: float = math.inf) -> None:
        if not half_life > 0:
            msg = f"half_life must be a positive number of requests, got {half_life!r}"
            raise ValueError(msg)
        self.half_life = half_life

    def worth(self, entry: Entry) -> float:
        """log2(F·c/s) + t/H: the logarithm of the aged expected cost per unit of capacity."""
        expected = entry.count * entry.cost / entry.size
        return math.log2(max(expected, FLOOR)) + entry.last / self.half_life

    def evicted(self, entry: Entry) -> None:
        """Nothing to learn."""


class GDSF:
    """Greedy-Dual-Size-Frequency: clock + uses·cost/size; the clock is the last victim's worth.

    Cherkasova 1998.
    """

    half_life = math.inf

    def __init__(self) -> None:
        self.clock = 0.0

    def worth(self, entry: Entry) -> float:
        """H = L + f·c/s, with f counted since admission."""
        return self.clock + entry.uses * entry.cost / entry.size

    def evicted(self, entry: Entry) -> None:
        """Advance the clock to the victim's worth; it never falls."""
        self.clock = max(self.clock, entry.worth)


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


class LRU:
    """Least Recently Used, blind to cost."""

    half_life = math.inf

    def worth(self, entry: Entry) -> float:
        """The time of the last request."""
        return float(entry.last)

    def evicted(self, entry: Entry) -> None:
        """Nothing to learn."""


def victims(newcomer: Entry, excess: int, least: Iterable[Entry]) -> list[Entry] | None:
    """Choose who leaves so that `newcomer` fits: admission and eviction are this one decision.

    Args:
        newcomer: The entry just requested, its worth already set.
        excess: Size that must be freed; none when 0 or less.
        least: The residents, least (worth, last) first.

    Returns:
        The residents to evict, least first; None when the newcomer is itself the least.
    """
    leaving: list[Entry] = []
    for entry in least:
        if excess <= 0:
            break
        if (newcomer.worth, newcomer.last) < (entry.worth, entry.last):
            return None
        leaving.append(entry)
        excess -= entry.size
    return leaving if excess <= 0 else None

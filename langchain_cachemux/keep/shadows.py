"""What each of several policies alone would hold: keys, not answers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from langchain_cachemux.types import Standing

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from langchain_cachemux.keep.books import Account
    from langchain_cachemux.keep.policies import Policy

FADE = 2.0 ** (-1 / 30_000)
"""What a shadow's miss is worth one request later in the choice of the leader: half after 30,000."""


class Shadow(ABC):
    """The keys that one policy alone would hold.

    Args:
        policy: Whose.
        capacity: Sum of sizes that it may hold.
        age: Place among `Account.counts` of the count that the policy reads.
    """

    def __init__(self, policy: Policy, *, capacity: int, age: int) -> None:
        self.policy = policy
        self.capacity = capacity
        self.age = age
        self.size = 0
        self.loss = 0.0
        """Cost of its misses, each fading by `FADE` a request."""
        self.clock = -math.inf
        """The greatest worth that was ever the least worth keeping: what a clock stands at."""
        self.held: dict[str, Standing] = {}
        """By key; a store that cannot have them all has those that it was asked for."""

    def request(self, asked: Account, credit: float) -> None:
        """Count a request, value it, and decide who is held from now on."""
        key, old = asked.key, self.held.get(asked.key)
        self.loss = self.loss * FADE + (asked.cost * credit if old is None else 0.0)
        if old is not None and old.size == asked.size:
            standing = old
            standing.cost = asked.cost
        else:
            standing = Standing(key, asked.cost, asked.size)
            if old is not None:
                standing.uses = old.uses
                self.drop(old)
        standing.count = asked.counts[self.age]
        standing.uses += credit
        standing.last = asked.last
        standing.worth = self.policy.worth(standing)
        if standing is old:
            self.renew(standing)
        elif standing.size <= self.capacity:
            self._enter(standing, stored=asked.slot >= 0)

    def evict(self, victim: Standing) -> None:
        """Let the least go; if its answer is stored, it is a stray from now on."""
        self.drop(victim)
        self.evicted(victim)
        self.stray(victim.key)

    def evicted(self, victim: Standing) -> None:
        """Tell the policy who was the least worth keeping."""
        self.clock = max(self.clock, victim.worth)
        self.policy.evicted(victim)

    def wind(self, clock: float) -> None:
        """Go on from a clock of before."""
        if clock > self.clock:
            self.evicted(Standing("", worth=clock))

    def keeps(self, key: str, more: int) -> bool:
        """Whether it would rather evict others than a key that takes `more` room than before."""
        known = self.held.get(key)
        if known is None:
            return False
        least = self.least()
        others = (standing for standing in least if standing.key != key)
        leaving = victims(known, self.size + more - self.capacity, others)
        least.close()
        return leaving is not None

    def resize(self, key: str, size: int) -> None:
        """Let a key, if it is held, take more or less room; its worth stays until it is requested."""
        standing = self.held.get(key)
        if standing is None:
            return
        self.size += size - standing.size
        standing.size = size
        self.resized(standing)
        self.shrink()

    def shrink(self) -> None:
        """Let the least go until the others fit."""
        while self.size > self.capacity:
            least = self.least()
            victim = next(least)
            least.close()
            self.evict(victim)

    def check(self, stored: Mapping[str, int]) -> list[str]:
        """What does not hold of it, when these answers are stored and take so much room."""
        sizes, strays = self.sizes(), self.strays()
        other = any(sizes.get(key, size) != size for key, size in stored.items())
        problems = {
            "an answer stored is held at another size": other,
            f"size {self.size} is not the sum of sizes": sum(sizes.values()) != self.size,
            f"size {self.size} exceeds capacity {self.capacity}": self.size > self.capacity,
            "a stray is no stray": set(strays) != stored.keys() - sizes.keys(),
        }
        return [problem for problem, found in problems.items() if found]

    def _enter(self, newcomer: Standing, *, stored: bool) -> None:
        """Hold a newcomer, unless it is itself the least."""
        excess = self.size + newcomer.size - self.capacity
        if excess > 0:
            least = self.least()
            leaving = victims(newcomer, excess, least)
            least.close()
            if leaving is None:
                self.evicted(newcomer)
                return
            for victim in leaving:
                self.evict(victim)
        self.hold(newcomer)
        if stored:
            self.unstray(newcomer.key)

    @abstractmethod
    def least(self) -> Generator[Standing]:
        """Those held, least (worth, last) first; it is closed before anybody leaves."""

    @abstractmethod
    def hold(self, standing: Standing) -> None:
        """Hold a key more."""

    @abstractmethod
    def renew(self, standing: Standing) -> None:
        """Write down what became of one that is held."""

    @abstractmethod
    def resized(self, standing: Standing) -> None:
        """Write down the size of one that is held."""

    @abstractmethod
    def drop(self, standing: Standing) -> None:
        """Hold it no longer."""

    @abstractmethod
    def stray(self, key: str) -> None:
        """Call a key a stray, the last of them, if its answer is stored."""

    @abstractmethod
    def unstray(self, key: str) -> None:
        """Call a key a stray no more."""

    @abstractmethod
    def first_stray(self) -> str:
        """The stray that became one first."""

    @abstractmethod
    def sizes(self) -> Mapping[str, int]:
        """The size of every key held."""

    @abstractmethod
    def strays(self) -> Sequence[str]:
        """The keys stored that it does not hold, by its own account, the first of them first."""


def victims(newcomer: Standing, excess: int, least: Iterable[Standing]) -> list[Standing] | None:
    """Choose who leaves so that `newcomer` fits: admission and eviction are this one decision.

    Args:
        newcomer: Of the key just requested, its worth already set.
        excess: Size that must be freed; none when 0 or less.
        least: Those held, least (worth, last) first.

    Returns:
        Who is evicted, least first; None when the newcomer is itself the least.
    """
    if excess <= 0:
        return []
    leaving: list[Standing] = []
    for standing in least:
        if (newcomer.worth, newcomer.last) < (standing.worth, standing.last):
            break
        leaving.append(standing)
        excess -= standing.size
        if excess <= 0:
            return leaving
    return None

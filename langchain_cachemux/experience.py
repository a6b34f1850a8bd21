"""What a multiplexer has been through, beside what its router learned; shared by all its copies.

The answers that feedback may still concern, the limits of the models, how often a stored answer was
wrong, what judging costs, what was asked in the background, and the counts that `stats()` shows.
"""

from __future__ import annotations

import math
import random
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_cachemux.arguments import number_of
from langchain_cachemux.flight import Flights
from langchain_cachemux.locks import Lock
from langchain_cachemux.route.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from langchain_cachemux.budget import ErrorBudget
    from langchain_cachemux.types import Query

REMEMBERED = 10_000
"""Answers that feedback may concern; the oldest is forgotten first."""
VERSION = 1
"""Of what `Experience.dump` returns."""
BELIEF = 50.0
"""How many outcomes a share of losses that was believed beforehand counts for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer that was given: to what question, by which model, and as what bet."""

    query: Query
    """With no vector where it was not embedded: a hit by an equal question."""
    model: str | None
    """None where nobody knows, and where it was given to another question."""
    bet: str = ""
    """The kind of the bet; empty when it was none."""


@dataclass(slots=True)
class Attempt:
    """A model that was asked, and what came of it."""

    model: str
    cost: float = 0.0
    judging: float = 0.0
    """What judging its answer cost."""
    failed: float | None = None
    """1 when its answer would not do, 0 when a judge accepted it; None when nobody judged."""
    reason: str = ""
    """What the judge said."""
    raised: bool = False
    unparsed: bool = False
    draft: bool = False
    """Whether its answer was asked for only to be judged."""

    @property
    def paid(self) -> float:
        """All that it cost."""
        return self.cost + self.judging


@dataclass(frozen=True, slots=True)
class MultiplexerStats:
    """What a multiplexer did since it was made, in earlier runs too where it is kept in a folder.

    Costs are in the user's unit.
    """

    hits: int
    """Answers from the cache."""
    answers: Mapping[str, int]
    """Answers given, by the model that gave them."""
    calls: Mapping[str, int]
    """Calls that answered, by model, those that were turned down among them; audits are not."""
    errors: Mapping[str, int]
    """Calls that raised, by model."""
    turned_down: int
    """Answers that the judge did not accept."""
    audits: int
    """Questions asked of another model in the background, to compare the answers."""
    feedback: int
    """Answers that somebody said something about."""
    cost: float
    """Of everything; of streams that broke off, or were not read to the end, what had come."""
    cost_of_judging: float
    cost_of_audits: float
    bets: int
    """Answers given without the most expensive model, under an error budget."""
    error: float | None
    """Share of the bets that were lost, by the audits; None without one."""
    error_interval: tuple[float, float] | None
    """Where that share lies at every moment at once, by the budget's confidence sequence."""


class Share:
    """How often something fails: what was believed, and more and more what was seen.

    Args:
        belief: The share believed, worth `BELIEF` outcomes.
    """

    def __init__(self, belief: float) -> None:
        self._bad = belief * BELIEF
        self._all = BELIEF

    @classmethod
    def of(cls, bad: float, outcomes: float) -> Share:
        """Go on from what `dump` returned.

        Raises:
            ValueError: It is no share.
        """
        if not 0 <= bad <= outcomes or not 0 < outcomes < math.inf:
            msg = (
                f"a share must be of some outcomes those that are bad, got {bad!r} of {outcomes!r}"
            )
            raise ValueError(msg)
        share = cls(0.0)
        share._bad, share._all = float(bad), float(outcomes)
        return share

    def dump(self) -> tuple[float, float]:
        """Return the outcomes that were bad, and all, what was believed among them."""
        return self._bad, self._all

    @property
    def mean(self) -> float:
        """Mean of the Beta posterior."""
        return self._bad / self._all

    def add(self, bad: float) -> None:
        """Take one more outcome, in [0, 1]."""
        self._bad += bad
        self._all += 1


class Experience:
    """The books of one multiplexer and its copies. Safe between threads.

    Args:
        budget: The error budget. Until audits tell, stored answers and judged ones are believed to be
            lost as often as it allows: their matcher and their judge were chosen for it.
        seed: Of what is drawn; by default the operating system's.
    """

    def __init__(self, budget: ErrorBudget | None = None, *, seed: int | None = None) -> None:
        self.limits = Limits()
        self.flights = Flights()
        """Questions under way to a cache that lets nobody wait itself."""
        self._random = random.Random(None if seed is None else number_of(seed))  # noqa: S311
        belief = budget.max_error if budget else 0.0
        self._wrong = {kind: Share(belief) for kind in ("cache", "judged")}
        self._recent: OrderedDict[str, Asked] = OrderedDict()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._costs: defaultdict[str, float] = defaultdict(float)
        self._lock = Lock()

    def draw(self, chance: float) -> bool:
        """Draw something that happens with this chance."""
        with self._lock:
            return self._random.random() < chance

    def count(self, what: str, of: str = "", *, cost: float = 0.0) -> None:
        """Count one more, and what it cost."""
        with self._lock:
            self._counts[what, of] += 1
            self._costs[what] += cost

    def counted(self, what: str) -> dict[str, int]:
        """What was counted, by whose it was."""
        with self._lock:
            return {of: n for (name, of), n in self._counts.items() if name == what}

    def cost(self, *what: str) -> float:
        """What these cost together."""
        with self._lock:
            return sum(self._costs[name] for name in what)

    def mean_cost(self, what: str) -> float:
        """What one cost, on average; 0 before there was one."""
        with self._lock:
            n = sum(count for (name, _), count in self._counts.items() if name == what)
            return self._costs[what] / n if n else 0.0

    def risk(self, kind: str) -> float:
        """How often such a bet is lost."""
        with self._lock:
            return self._wrong[kind].mean

    def lost(self, kind: str, share: float) -> None:
        """Learn what became of a bet, if it is of a kind whose risk is kept here."""
        with self._lock:
            if kind in self._wrong:
                self._wrong[kind].add(share)

    def remember(self, name: str, asked: Asked) -> None:
        """Remember an answer by the name it goes by."""
        with self._lock:
            self._recent[name] = asked
            if len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)

    def recall(self, name: str) -> Asked | None:
        """Return what was answered under a name, while it is remembered."""
        with self._lock:
            return self._recent.get(name)

    def stats(self, budget: ErrorBudget | None) -> MultiplexerStats:
        """Return what was counted, and what a budget says of its bets."""
        counted, cost = self.counted, self.cost
        return MultiplexerStats(
            hits=sum(counted("hits").values()),
            answers=counted("answers"),
            calls=counted("calls"),
            errors=counted("errors"),
            turned_down=sum(counted("turned down").values()),
            audits=sum(counted("audits").values()),
            feedback=sum(counted("feedback").values()),
            cost=cost("calls", "cut off", "judging", "audits"),
            cost_of_judging=cost("judging"),
            cost_of_audits=cost("audits"),
            bets=sum(c.placed for c in budget.counts.values()) if budget else 0,
            error=budget.estimate if budget else None,
            error_interval=budget.interval() if budget else None,
        )

    def dump(self) -> dict[str, Any]:
        """Return the counts, the costs and the shares as plain data.

        The answers that feedback may concern, and the limits, do not outlive a process.
        """
        with self._lock:
            return {
                "version": VERSION,
                "counts": [[what, of, n] for (what, of), n in self._counts.items()],
                "costs": dict(self._costs),
                "wrong": {kind: share.dump() for kind, share in self._wrong.items()},
            }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `dump` returned.

        Raises:
            ValueError: It is of another version.
        """
        if state["version"] != VERSION:
            msg = f"state must be of version {VERSION}, got {state['version']!r}"
            raise ValueError(msg)
        counts = Counter({(str(what), str(of)): int(n) for what, of, n in state["counts"]})
        costs = {str(name): float(cost) for name, cost in state["costs"].items()}
        wrong = {kind: Share.of(*state["wrong"][kind]) for kind in self._wrong}
        with self._lock:
            self._counts, self._wrong = counts, wrong
            self._costs = defaultdict(float, costs)

"""Whether to ask a judge about a pair of questions: first, afterwards, or not at all.

With p the chance that both ask the same, v the judge's price and c what the miss costs, asking first
costs v + (1 - p)·c in place of c, so it pays where v < p·c. Asking afterwards saves p·c for each of the
F requests for that wording that are still expected: it pays where v < p·c·F (docs/theory.md).

A judge errs too. Of pairs whose truth became known, Beta posteriors count how often it called different
ones the same (e) and same ones different (m). With r the chance before it was asked, what it calls the
same is another question with a chance of at most

    r·e / (r·e + (1 - r)·(1 - m))

at the upper ends of e and m, and that is what is bet.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from langchain_cachemux.arguments import as_call, expect, is_number
from langchain_cachemux.background import Background
from langchain_cachemux.discreet import loggable
from langchain_cachemux.locks import Lock
from langchain_cachemux.types import Usage

if TYPE_CHECKING:
    from langchain_cachemux.match.judges import Opinion, Pair, PairJudge
    from langchain_cachemux.route.prices import Price
    from langchain_cachemux.types import Compared

When = Literal["auto", "before", "after"]

DEADLINE = 2.0
"""Seconds that a question waits for its judge."""
ASSUMED = 0.05
"""Price of an opinion, as a share of the miss, before there was one."""
BELIEF = (0.5, 9.5)
"""Prior of both errors: one in twenty, worth ten opinions."""
TOLD = 1.92
"""Opinions, times the error that a judge says is its greatest, that its word is worth.

The 95 % quantile of Beta(0.5, n) is that error then.
"""
TRIED = 5
"""Answers that a judge passed whose truth is to be known before its own word counts."""
UNDECIDED = 0.5
"""What a judge says that cannot tell."""
MOST_SKIPPED = 256
"""Pairs that are not shown to a judge that has failed, at most: 1 at first, then twice as many."""
VERSION = 3
"""Of what `Referee.dump` returns."""

log = logging.getLogger(__name__)


class Judged(NamedTuple):
    """An opinion, and what it cost in the user's unit."""

    same: bool
    reason: str
    cost: float


class Rate:
    """How often something happens, and at most: a Beta posterior.

    Args:
        most: How often it happens at most, where that is told; by default one in twenty is believed.
    """

    def __init__(self, most: float | None = None) -> None:
        self.yes, self.no = 0.0, 0.0
        self._most = most

    def add(self, *, happened: bool) -> None:
        """Count one more."""
        self.yes += happened
        self.no += not happened

    @property
    def told(self) -> float:
        """Opinions that what was told is worth: none once what happened refutes it."""
        if self._most is None or _refuted(self._most, self.yes, self.no):
            return 0.0
        return TOLD / self._most

    @property
    def upper(self) -> float:
        """The 95 % quantile."""
        from scipy.special import betaincinv

        yes, no = BELIEF[0], self.told or BELIEF[1]
        return float(betaincinv(yes + self.yes, no + self.no, 0.95))


class Referee:
    """Asks the judge of a cache where that pays, and knows how far to believe it.

    A judge that raises, or is slower than the deadline, is no opinion and is skipped for a while; when
    more ask at once than it has threads for, or more waits than fits, it is skipped too. Safe between
    threads, and no lock is held while it is asked.

    Args:
        judge: Who is asked.
        when: "before" and "after" allow but one of the two.
        price: Of what it consumed.
        trials: Opinions on different questions after which it is trusted or not: until then it is
            asked afterwards, where that tells how often it errs.
        deadline: Seconds that a question waits for it.
        seed: Of draws; by default the operating system's.
    """

    def __init__(
        self,
        judge: PairJudge,
        *,
        when: When = "auto",
        price: Price,
        trials: float,
        deadline: float = DEADLINE,
        seed: int | None = None,
    ) -> None:
        self.judge = judge
        self.when = when
        self.deadline = deadline
        error = getattr(judge, "error", None)
        right = error is None or (is_number(error) and 0 < error < 1)
        expect(right, "judge", "one whose error is in (0, 1), or None where it is unknown", error)
        self.trials = trials if error is None else 0.0
        self.spent = 0.0
        """On opinions, in the user's unit."""
        self.asked = {"before": 0, "after": 0}
        """Opinions given, by when."""
        self.passes_wrong, self.stops_right = Rate(error), Rate(error)
        self.passed = Rate()
        """Whether what it passed was another question."""
        self.served = 0
        """Answers served on its word."""
        self._claimed = 0.0
        """The sum of the chances that they were wrong, as claimed when they were served."""
        self._price = price
        self._random = random.Random(seed)  # noqa: S311
        self._now = Background(threads=4, waiting=4)
        self._later = Background(threads=1, waiting=256)
        self._costs = 0
        self._failed = self._skip = 0
        self._lock = Lock()

    def __repr__(self) -> str:
        """Who is asked, and when."""
        return as_call(self, "judge when")

    def price(self, saved: float) -> float:
        """Return v, what an opinion costs on average; before there was one, a share of a miss."""
        with self._lock:
            return self.spent / self._costs if self._costs else ASSUMED * saved

    def risk(self, compared: Compared) -> float:
        """Bound the chance that what it calls the same is another question."""
        r, e, m = 1 - compared.p, self.passes_wrong.upper, self.stops_right.upper
        return r * e / (r * e + (1 - r) * (1 - m)) if r < 1 else 1.0

    def first(self, compared: Compared, pays: Callable[[float, float, str], bool]) -> bool:
        """Whether to ask before a pair is served: v < p·c, and what it passes fits the budget."""
        saved = compared.match.entry.cost
        if self.when == "after" or self.price(saved) >= compared.p * saved:
            return False
        return pays(self.risk(compared), saved - self.price(saved), "judge") and self._ready()

    def afterwards(self, compared: Compared, p: float, expected: float) -> bool:
        """Whether to ask about a pair that was not served: v < p·c·F, or to learn how it errs.

        Args:
            compared: The pair.
            p: The chance that it is the same by now.
            expected: F, requests for that wording to come.
        """
        saved = compared.match.entry.cost
        v = self.price(saved)
        worth = self.when != "before" and v < p * saved * expected
        trial = self.passes_wrong.yes + self.passes_wrong.no < self.trials
        return (worth or (trial and v < compared.p * saved)) and self._ready()

    def ask(self, pair: Pair) -> Judged | None:
        """Ask now; None when it did not say within the deadline."""
        answered, found = threading.Event(), list[Judged | None]()

        def job() -> None:
            try:
                found.append(self._opinion(pair))
            finally:
                answered.set()

        if not self._now.do(job):
            return None
        if not answered.wait(self.deadline):
            self._raised(f"no word within {self.deadline:g} s")
            return None
        return self._said(found[0] if found else None, "before")

    def ask_later(self, pair: Pair, told: Callable[[Judged], None]) -> bool:
        """Ask in the background, and tell what was said; False when too many wait already."""

        def job() -> None:
            judged = self._said(self._opinion(pair), "after")
            if judged is not None:
                told(judged)

        return self._later.do(job)

    def learn(self, *, said_same: bool, same: bool, chance: float = 1.0) -> None:
        """Take the truth about a pair that it has judged.

        What it passed is compared with a fresh answer only when audited. So that both verdicts count
        alike, one that it stopped counts with the chance of an audit too.

        Args:
            said_same: What it said.
            same: What is true.
            chance: With which the truth would have become known had it said the same.
        """
        with self._lock:
            if said_same:
                self.passed.add(happened=not same)
            elif self._random.random() >= chance:
                return
            if same:
                self.stops_right.add(happened=not said_same)
            else:
                self.passes_wrong.add(happened=said_same)

    def gave(self, risk: float) -> None:
        """Take note of an answer that was served on its word, at this chance to be wrong."""
        with self._lock:
            self.served += 1
            self._claimed += risk

    def record(self, *risks: float) -> tuple[float, float]:
        """How many answers were served on its word, and these too, and how often one is wrong at most.

        As labels alone tell, as if two more had come and were wrong: its mistakes come together. Of a
        judge that tells how often it errs the chances claimed are evidence too, worth as many labels as
        its word, once `TRIED` labels have come and as long as they do not refute it.
        """
        with self._lock:
            served, claimed = self.served + len(risks), self._claimed + sum(risks)
            wrong, right = self.passed.yes, self.passed.no
            word = self.passes_wrong.told if served and wrong + right >= TRIED else 0.0
        mean = claimed / max(served, 1)
        if not word or _refuted(mean, wrong, right):
            mean, word = 1.0, 2.0
        return float(served), (wrong + word * mean) / (wrong + right + word)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nobody waits for an opinion; False when `timeout` seconds were not enough."""
        return self._later.wait(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Ask what waits as far as the seconds reach, and no more after that."""
        self._later.wait(timeout)
        self._later.close(0.0)
        self._now.close(0.0)

    def dump(self) -> dict[str, Any]:
        """Return what was learned of the judge, as plain data."""
        with self._lock:
            return {
                "version": VERSION,
                "spent": self.spent,
                "costs": self._costs,
                "wrong": [self.passes_wrong.yes, self.passes_wrong.no],
                "right": [self.stops_right.yes, self.stops_right.no],
                "passed": [self.passed.yes, self.passed.no],
                "served": self.served,
                "claimed": self._claimed,
            }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `dump` returned.

        Raises:
            ValueError: It is of another version.
        """
        if state["version"] != VERSION:
            msg = f"state must be of version {VERSION}, got {state['version']!r}"
            raise ValueError(msg)
        with self._lock:
            self.spent, self._costs = float(state["spent"]), int(state["costs"])
            rates = self.passes_wrong, self.stops_right, self.passed
            for rate, name in zip(rates, ("wrong", "right", "passed"), strict=True):
                rate.yes, rate.no = map(float, state[name])
            self.served, self._claimed = int(state["served"]), float(state["claimed"])

    def _ready(self) -> bool:
        """Whether it is not being skipped for having failed."""
        with self._lock:
            self._skip = max(self._skip - 1, 0)
            return not self._skip

    def _opinion(self, pair: Pair) -> Judged | None:
        started = time.perf_counter()
        try:
            return self._paid(self.judge.judge(pair), time.perf_counter() - started)
        except Exception as error:  # noqa: BLE001
            self._raised(loggable(error))
            return None

    def _paid(self, opinion: Opinion, elapsed: float) -> Judged | None:
        """What an opinion says and costs; one that reports no usage took its time, and no more.

        Even chances are no opinion, and are paid for.
        """
        if not 0 <= opinion.same <= 1:
            msg = f"a judge must say a probability in [0, 1], got {opinion.same!r}"
            raise ValueError(msg)
        cost = 0.0
        for usage in opinion.usages or (Usage(seconds=elapsed),):
            try:
                cost += self._price(usage)
            except (ValueError, LookupError) as error:
                log.debug("an opinion is taken to cost nothing: %s", loggable(error))
        with self._lock:
            self.spent += cost if 0 <= cost < math.inf else 0.0
            self._costs += 1
        if opinion.same == UNDECIDED:
            return None
        return Judged(opinion.same > UNDECIDED, opinion.reason, cost)

    def _said(self, judged: Judged | None, when: Literal["before", "after"]) -> Judged | None:
        if judged is not None:
            with self._lock:
                self.asked[when] += 1
                self._failed = 0
        return judged

    def _raised(self, why: str) -> None:
        with self._lock:
            self._failed += 1
            self._skip = min(2**self._failed, MOST_SKIPPED)
            skipped = self._skip - 1
        log.warning("the judge gave no opinion, and is spared the next %d: %s", skipped, why)


def _refuted(share: float, wrong: float, right: float) -> bool:
    """Whether it is out that no more than a share was wrong: at 95 %, however often that is asked.

    The mixture of all shares has so many times the likelihood of this one (Ville's inequality).
    """
    from scipy.special import betaln, xlog1py, xlogy

    mixture = betaln(1 + wrong, 1 + right)
    likely = xlogy(wrong, share) + xlog1py(right, -share)
    more = wrong > share * (wrong + right)
    return bool(more and mixture - likely >= math.log(1 / 0.05))

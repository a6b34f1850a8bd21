"""`Verified`: serve a stored answer to a rewording while at most a given share of such answers is wrong.

No similarity is safe by itself: what it means differs from cache to cache. So the chance that a near
wording asks something else is learned here from labels (`Evidence`), bounded, and each answer served is
a bet under an `ErrorBudget` (docs/theory.md): its claims add up to at most δ a bet, and audits drawn at
random say whether they were right. Before there are labels the shipped threshold is believed, as far as
errors that it could make would not refute the promise.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from langchain_cachemux.arguments import as_call, expect, is_made, is_number, number_of
from langchain_cachemux.budget import ErrorBudget, OverdrawnError
from langchain_cachemux.locks import Lock
from langchain_cachemux.match.evidence import Evidence, seen
from langchain_cachemux.match.surface import compare
from langchain_cachemux.match.threshold import Threshold
from langchain_cachemux.types import Compared, Hit, Match, Miss, Query

if TYPE_CHECKING:
    from langchain_cachemux.budget import Bet
    from langchain_cachemux.match.threshold import Matcher

MAX_ERROR = 0.02
"""Of the answers served from a match by meaning, the share that may be wrong."""
SIMILARITY = 0.8
"""The shipped threshold, for wordings that share no frame."""
AUDIT = 0.01
"""The least share of hits audited."""
FIRST = 0.03
"""The greatest share of hits audited: what an audit costs a cache is the hit."""
SPARED = 20
"""Hits before the first may be audited: of a new cache some are held back, which tells enough."""
CLOSE = 0.3
"""How far below the shipped threshold a wording may be in which something differs, but for a judge."""
EVEN = 0.5
"""What may be likelier another question than the same is never served, whatever is left to spend."""
ENTRIES = 5
"""Entries that are compared with a question at most, and two where one of them may be served."""
BREADTH = 0.04
"""How much less similar a wording counts e times less among those that are near."""
ELSEWHERE = "the turns before differ in greetings or thanks"
"""The difference of what is asked in the same words after other turns."""
VERSION = 1
"""Of what `Verified.dump` returns."""


class Verified:
    """Serves matches by meaning of which at most a share is wrong, all along the stream.

    The surface of two texts comes first (`surface.compare`). What it finds to be another question is
    never served, but on a judge's word. Of the rest the chance to be another question is a curve of what
    the surface says, of the similarity, and of how contested the neighbourhood is: learned from this
    cache's own labels. A match is served while its upper bound can be paid for out of the budget and
    labels back it: a new cache serves two hits by meaning, and makes misses of others until fresh
    answers have borne out what it would have served. Where no such answers come it believes the shipped
    threshold after three misses.

    Args:
        max_error: Of the answers so served, the share that may be wrong by the user's own judgement;
            by default 0.02.
        quality: 1 - `max_error`, for those who would rather say that.
        budget: The `ErrorBudget` to bet under, for instance one that is shared. By default the cache
            has its own, or that of the multiplexer it is used in.
        similarity: Where the shipped threshold lies, in (0, 1): a match by meaning that is nearer is
            believed at first.
        audit: The least share of its hits that is turned into a miss, so that the fresh answer shows
            whether the stored one was right: 0.03 at first, falling as 1/sqrt(n), and none of the
            first 20.
        half_life: Labels after which one counts half.
        seed: Of the draw of audits; by default the operating system's.

    Raises:
        ValueError: An argument is out of its range, or two of the first three are given.
    """

    def __init__(
        self,
        max_error: float | None = None,
        *,
        quality: float | None = None,
        budget: ErrorBudget | None = None,
        similarity: float = SIMILARITY,
        audit: float = AUDIT,
        half_life: float = 4000.0,
        seed: int | None = None,
    ) -> None:
        right = budget is None or isinstance(budget, ErrorBudget)
        expect(right, "budget", "an ErrorBudget, such as ErrorBudget(0.02)", budget)
        if budget is not None and (max_error is not None or quality is not None):
            msg = f"budget was given, so max_error and quality must not be; got {budget!r}"
            raise ValueError(msg)
        right = is_number(similarity) and 0 < similarity < 1
        expect(right, "similarity", "in (0, 1), such as 0.8", similarity)
        right = is_number(half_life) and 0 < half_life < math.inf
        expect(right, "half_life", "a finite positive number of labels, such as 4000", half_life)
        self.own = budget is None
        """Whether nobody gave a budget, so that a multiplexer may lend its own."""
        if budget is None:
            delta = MAX_ERROR if max_error is None and quality is None else max_error
            most = max(audit, FIRST) if is_number(audit) else FIRST
            budget = ErrorBudget(delta, quality=quality, audit=audit, first=most, seed=seed)
        self.budget = budget
        self.similarity = number_of(similarity)
        self.half_life = number_of(half_life)
        self.evidence = Evidence(budget.max_error, half_life=self.half_life)
        self.lent = False
        """Whether somebody else places the bets: the multiplexer whose budget it is."""
        self._spared = SPARED
        self._lock = Lock()
        self.on_a_word: Callable[[], tuple[float, float]] = lambda: (0.0, 1.0)
        """How many answers were served on a judge's word, and how often one is wrong at most."""
        self.judged = False
        """Whether a judge may be asked about any pair, even one that nothing else may serve."""

    def __repr__(self) -> str:
        """How it was made."""
        return as_call(self, "budget similarity half_life")

    def judge(self, query: Query, matches: Iterable[Match]) -> Hit | Miss:
        """Return the match of least risk if the budget can pay for it; nothing is bet yet.

        The credit is that of `Threshold.judge`: none where another entry would serve as well.
        """
        near = list(matches)
        if not near:
            return Miss(query, "nothing near is stored")
        compared, objection = self._compared(query, near)
        if not compared:
            reason = objection or f"the nearest is only {near[0].similarity:.2f} similar"
            return Miss(query, reason, near[0])
        best, *others = compared
        reason = best.difference or objection or f"{best.match.similarity:.2f} similar"
        if self.pays(best.risk, best.match.entry.cost):
            if self.evidence.backed(best.seen, best.match.entry.key, judged=self.on_a_word()):
                return served(query, best, credit=0.0 if self._payable(others) else 1.0)
            reason = f"{reason}; a fresh answer is to show first whether such are right"
        else:
            reason = f"{reason}; wrong with a chance of {1 - best.p:.2g}, at most {best.risk:.2g}"
        return Miss(query, reason, best.match, tuple(compared))

    def pays(self, risk: float, saved: float, kind: str = "cache") -> bool:
        """Whether a bet of this risk may be placed, and is worth what it saves."""
        return risk <= EVEN and self.budget.charge(risk, kind) <= saved

    def bet(self, risk: float, kind: str = "cache") -> Bet | None:
        """Place a bet on a hit; None of the first few, and where the multiplexer places it.

        Raises:
            OverdrawnError: It cannot be paid for any more.
        """
        if self.lent:
            return None
        with self._lock:
            self._spared -= 1
            if self._spared >= 0 and self.budget.open:
                return None
        bet = self.budget.bet(kind, risk)
        if bet is None:
            msg = "other answers were served meanwhile on what might be lost"
            raise OverdrawnError(msg)
        return bet

    def gave(self, compared: Compared) -> None:
        """Take note of a stored answer that was served."""
        self.evidence.gave(compared.seen, compared.match.entry.key)

    def learn(self, compared: Compared, *, wrong: float) -> None:
        """Take a label of a pair: 1 when it is another question, 0 when it is the same, or between."""
        self.evidence.learn(compared.seen, compared.match.entry.key, wrong=wrong)

    def missed(self, cost: float) -> None:
        """Learn what a miss cost; a multiplexer has told its own budget already."""
        if not self.lent:
            self.budget.missed(cost)

    def lend(self, budget: ErrorBudget) -> None:
        """Bet under a multiplexer's budget from now on, unless one was given at construction."""
        if self.own or budget is self.budget:
            self.budget, self.lent = budget, True

    def dump(self) -> dict[str, Any]:
        """Return what was learned as plain data; a budget that is not its own is not in it."""
        own = self.budget.dump() if self.own and not self.lent else None
        return {
            "version": VERSION,
            "similarity": self.similarity,
            "spared": self._spared,
            "evidence": self.evidence.dump(),
            "budget": own,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `dump` returned.

        Raises:
            ValueError: It is of another version, similarity or promise.
        """
        told = (state["version"], state["similarity"])
        if told != (VERSION, self.similarity):
            msg = f"state must be of version {VERSION} and similarity {self.similarity}, got {told}"
            raise ValueError(msg)
        self.evidence.restore(state["evidence"])
        self._spared = int(state["spared"])
        if state["budget"] is not None and self.own and not self.lent:
            self.budget.restore(state["budget"])

    def _compared(self, query: Query, near: list[Match]) -> tuple[list[Compared], str]:
        """One pair of each entry that may be the same question, and why the first other is none."""
        compared: list[Compared] = []
        objection, payable = "", False
        for place, (match, rivals, fellows) in enumerate(_by_entry(near)[:ENTRIES]):
            if place > 1 and payable and not self.judged:
                break
            surface = compare(query.text, match.text)
            far = surface.verdict != "same" and match.similarity < self.similarity - CLOSE
            if surface.verdict == "another" and not far:
                objection = objection or surface.reason
            barred = far or surface.verdict == "another" or match.elsewhere
            if barred and not self.judged:
                continue
            elsewhere = match.elsewhere and surface.verdict == "same"
            x = seen(
                "unsure" if elsewhere else surface.verdict,
                match.similarity,
                least=self.similarity,
                rivals=rivals,
                fellows=fellows,
            )
            claim = self.evidence.claim(x, match.entry.key)
            one = Compared(
                match,
                "another" if match.elsewhere else surface.verdict,
                p=1 - claim.mean,
                risk=1.0 if barred else claim.upper,
                seen=x,
                difference=ELSEWHERE if elsewhere else surface.reason,
            )
            compared.append(one)
            payable = payable or self._payable([one])
        return sorted(compared, key=lambda one: (one.risk, -one.p)), objection

    def _payable(self, compared: list[Compared]) -> bool:
        return any(self.pays(one.risk, one.match.entry.cost) for one in compared)


def _by_entry(near: list[Match]) -> list[tuple[Match, float, int]]:
    """Of each entry the nearest wording, the share of weight that is others', and how many are near."""
    weights: dict[str, float] = {}
    nearest: dict[str, Match] = {}
    fellows = Counter(match.entry.key for match in near)
    for match in near:
        weight = math.exp((match.similarity - near[0].similarity) / BREADTH)
        weights[match.entry.key] = weights.get(match.entry.key, 0.0) + weight
        nearest.setdefault(match.entry.key, match)
    total = sum(weights.values())
    return [(match, 1 - weights[key] / total, fellows[key]) for key, match in nearest.items()]


def served(query: Query, one: Compared, *, credit: float = 1.0, judged: bool = False) -> Hit:
    """The hit that serves a pair's stored answer."""
    return Hit(
        query,
        one.match.entry,
        "semantic",
        one.match.similarity,
        credit=credit,
        p=one.p,
        risk=one.risk,
        judged=judged,
        compared=one,
    )


def explained(matcher: Matcher, query: Query, matches: Iterable[Match]) -> str:
    """Say in words what a matcher makes of a query, and of each wording near it."""
    near = list(matches)
    verdict = matcher.judge(query, near)
    if isinstance(verdict, Hit):
        lines = [f"The answer to {verdict.entry.text!r} is served."]
    else:
        lines = [f"A miss: {verdict.reason}."]
    if isinstance(matcher, Verified):
        limit = matcher.budget.max_error
        lines.append(f"Of the answers so served at most {limit:.2%} may be wrong.")
    for match in near:
        surface = compare(query.text, match.text)
        told = f"{match.similarity:.3f} similar, {surface.verdict}: {surface.reason}"
        told += f", but {ELSEWHERE}" * match.elsewhere
        same = matcher.judge(query, [match]) if isinstance(matcher, Verified) else None
        one = None
        if isinstance(same, Hit):
            one = same.compared
        elif same is not None:
            one = next(iter(same.compared), None)
        if one is not None:
            told += f"; the same with a chance of {one.p:.1%}, another with at most {one.risk:.2%}"
        lines.append(f"  {match.text!r}: {told}")
    return "\n".join(lines)


def matcher_of(
    match: Matcher | float | None, *, max_error: float | None = None, audit: float | None = None
) -> Matcher:
    """Return a matcher itself; of a number, the `Threshold`; of None, `Verified(max_error)`.

    Raises:
        ValueError: It is none of these, the number is not in (0, 1], or a matcher was given and what
            only the default one takes.
    """
    if match is None:
        return Verified(max_error, audit=AUDIT if audit is None else audit)
    for name, value in (("max_error", max_error), ("audit", audit)):
        if value is not None:
            msg = f"{name} is for the default matcher, but match was given: {match!r}; give it that"
            raise ValueError(msg)
    given: Any = match
    right = 0 < given <= 1 if is_number(given) else is_made(given, "judge")
    what = "a similarity in (0, 1], or a matcher such as Verified(0.02) or Threshold(0.85)"
    expect(right, "match", what, match)
    return Threshold(float(given)) if is_number(given) else given

"""What a cache learns of pairs of questions: from fresh answers, audits, its judge and its user.

A miss beside a near wording brings a label for nothing: its fresh answer says the same as the stored
one, or not. So does a hit that was drawn for an audit and turned into a miss, and such labels alone
settle bets. Equal answers do not prove equal questions, and different ones no difference: "yes" answers
many, and a model words one answer in many ways. A label therefore says what serving the stored answer
would have come to, which is what is promised, and nothing about answers given later.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_cachemux.agree import Agree, Agreement, numbers, plain
from langchain_cachemux.arguments import expect, takes
from langchain_cachemux.background import Background
from langchain_cachemux.budget import OverdrawnError
from langchain_cachemux.discreet import loggable
from langchain_cachemux.locks import Lock
from langchain_cachemux.match.surface import compare
from langchain_cachemux.match.verified import Verified, served
from langchain_cachemux.patience import level
from langchain_cachemux.read import answers
from langchain_cachemux.types import Compared, Hit, Miss

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_cachemux.agree import Same
    from langchain_cachemux.budget import Bet
    from langchain_cachemux.keep.shared.notes import Notes
    from langchain_cachemux.match.judges import Judging, Pair
    from langchain_cachemux.match.threshold import Matcher
    from langchain_cachemux.read.prompts import Reader
    from langchain_cachemux.referee import Judged, Referee, When
    from langchain_cachemux.route.prices import Price
    from langchain_cachemux.saved import Saved
    from langchain_cachemux.shelf import Shelf
    from langchain_cachemux.types import Query

REMEMBERED = 10_000
"""Misses whose answers are awaited, and hits that feedback may concern; the oldest is forgotten."""
JUDGE: Judging | None = None
"""Who is asked where nobody is named: with "local" the model that comes with the package."""
TRIALS = 4.0
"""Opinions on different questions after which a judge is trusted or not, over the error allowed."""
DOUBTED = 0.5
"""From this similarity on, two long answers that no other thing tells apart may say the same."""
SENTENCE = range(4, 16)
"""Words of an answer that is a sentence, to be laid beside another."""
ALIKE = 0.8
"""From this similarity on, two such sentences that are worded differently may say the same."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Awaited:
    """A miss whose fresh answer will tell something."""

    compared: tuple[Compared, ...]
    bet: Bet | None = None
    judged: dict[str, bool] = field(default_factory=dict)
    """What the judge called the same, by entry."""


class Lesson(NamedTuple):
    """What a fresh answer came to."""

    same: Compared | None = None
    """The entry that it may be stored with, as another wording of it."""
    different: tuple[Compared, ...] = ()
    doubtful: tuple[Compared, ...] = ()
    """Those of which the answers do not tell."""
    unjudged: bool = False
    """Whether the judge has not been asked about any of them."""
    given: int = 0
    """When, as the shelf counts moments (`Forgotten`)."""


class Lessons:
    """What a cache with a `Verified` matcher waits for, and what it makes of it. Safe between threads.

    Args:
        matcher: Who learns.
        same: Whether two answers say the same. `Agree` may also be in doubt: about long texts that are
            neither near nor far from each other, and then nothing is learned.
        referee: Who asks the judge, if there is one.
    """

    def __init__(self, matcher: Verified, same: Same, referee: Referee | None = None) -> None:
        self.matcher = matcher
        self.same = same
        self.referee = referee
        self.labels: Counter[str] = Counter()
        """Labels by where they came from: "miss", "audit", "judge", "feedback"."""
        if referee is not None:
            matcher.on_a_word = referee.record
        matcher.judged = referee is not None and not getattr(referee.judge, "narrow", False)
        self._awaited: OrderedDict[str, Awaited] = OrderedDict()
        self._served: OrderedDict[str, Hit] = OrderedDict()
        self._chance = self.matcher.budget.first
        """With which the latest bet on a judge's word was audited."""
        self._shelf: Shelf | None = None
        self._saved: Saved | None = None
        self._background = Background(threads=1)
        self._lock = Lock()

    def pair(self, query: Query, compared: Compared) -> Pair:
        """What the judge is shown: the question that was answered, not an alias that it passed before.

        A wrong alias would make each later opinion on it wrong, however right that is. Only a judge that
        knows nothing but small differences is shown the wording that is near.
        """
        from langchain_cachemux.match.judges import Pair

        match = compared.match
        stored = said(match.entry.answer)
        if self.matcher.judged and match.key != match.entry.key:
            return Pair(query.text, match.entry.text, stored)
        return Pair(query.text, match.text, stored, compared.difference)

    def rule(self, verdict: Hit | Miss) -> Hit | Miss:
        """Ask the judge first where that pays, then bet on the hit or remember the miss."""
        asked = verdict
        while (one := self._to_ask(verdict)) is not None and self.referee is not None:
            judged = self.referee.ask(self.pair(verdict.query, one))
            if judged is None:
                break
            asked, verdict = verdict, self._ruled(verdict, one, judged)
        given = self._bet(verdict)
        if isinstance(given, Hit) and isinstance(asked, Miss):
            self._heard(asked, given)
        return given

    def _heard(self, miss: Miss, hit: Hit) -> None:
        """Learn what a judge said of the pair that would have been served without one.

        Only where it passed a pair, this one or another: else a fresh answer comes, which tells more.
        """
        first, key = miss.compared[0], hit.entry.key
        if first.match.entry.key == key:
            self._learn(first, wrong=hit.risk or 0.0, of="judge")
        elif first.match.entry.key in dict(miss.judged):
            self._learn(first, wrong=1.0, of="judge")

    def _to_ask(self, verdict: Hit | Miss) -> Compared | None:
        """The pair that the judge is to be asked about before a miss is paid for, if any."""
        if self.referee is None or isinstance(verdict, Hit):
            return None
        pays, judged = self.matcher.pays, dict(verdict.judged)
        left = [one for one in verdict.compared if one.match.entry.key not in judged]
        return next((one for one in left if self.referee.first(one, pays)), None)

    def _ruled(self, verdict: Hit | Miss, compared: Compared, judged: Judged) -> Hit | Miss:
        """What a miss has become, now that the judge was asked about one of its pairs."""
        if isinstance(verdict, Hit) or self.referee is None:
            return verdict
        if judged.same:
            risk = self.referee.risk(compared)
            passed = replace(compared, risk=risk, p=max(compared.p, 1 - risk))
            if self.matcher.evidence.backed(judged=self.referee.record(risk)):
                return served(verdict.query, passed, judged=True)
            self._chance = 1.0  # whatever it says now, a fresh answer comes
            said_so = (*verdict.judged, (compared.match.entry.key, True))
            reason = "a fresh answer is to show first whether what the judge passes is right"
            return Miss(verdict.query, reason, compared.match, (passed,), said_so)
        said_so = (*verdict.judged, (compared.match.entry.key, False))
        told = judged.reason or "another question"
        return replace(verdict, reason=f"the judge: {told}", judged=said_so)

    def _bet(self, verdict: Hit | Miss) -> Hit | Miss:
        """Bet on a hit, and remember what is awaited: an audited hit is a miss."""
        if isinstance(verdict, Miss):
            if verdict.compared:
                first = verdict.compared[0]
                if self.matcher.pays(first.risk, first.match.entry.cost):
                    self.matcher.evidence.held_back()
                self._await(verdict, Awaited(verdict.compared, judged=dict(verdict.judged)))
            return verdict
        if verdict.risk is None or verdict.compared is None:
            return verdict
        one, bet = verdict.compared, None
        try:
            bet = self.matcher.bet(verdict.risk, "judge" if verdict.judged else "cache")
        except OverdrawnError as error:
            return self._held_back(verdict, one, str(error))
        if bet is not None and verdict.judged:
            self._chance = bet.chance
        if bet is None or (bet.served and not bet.audit):
            self._gave(verdict, one)
            return verdict
        reason = "an audit: a fresh answer shows whether the stored one is right"
        if not bet.served:
            reason = "too many of the answers served were wrong: matches by meaning are only tried"
        return self._held_back(verdict, one, reason, bet if bet.audit else None)

    def _gave(self, hit: Hit, one: Compared) -> None:
        """Remember a hit that is served, as feedback may concern it."""
        with self._lock:
            self._served[hit.query.key] = hit
            if len(self._served) > REMEMBERED:
                self._served.popitem(last=False)
        if hit.judged and self.referee is not None:
            self.referee.gave(0.0 if hit.risk is None else hit.risk)
            self._settle(hit.query, one, same=True)
        else:
            self.matcher.gave(one)

    def _held_back(self, hit: Hit, one: Compared, reason: str, bet: Bet | None = None) -> Miss:
        """Make a miss of a hit, and remember that its fresh answer will tell something."""
        judged = {one.match.entry.key: True} if hit.judged else {}
        miss = Miss(hit.query, reason, one.match, (one,))
        self._await(miss, Awaited((one,), bet, judged))
        return miss

    def fresh(self, query: Query, answer: str, cost: float | None) -> Lesson:
        """Learn from the fresh answer to a miss, as it is stored, and from what it cost.

        The pair that would have been served teaches the matcher; the others only say whose wording the
        question may be.
        """
        given = 0 if self._shelf is None else self._shelf.forgotten.now
        if cost is not None:
            self.matcher.missed(cost)
        with self._lock:
            awaited = self._awaited.pop(query.key, None)
        if awaited is None:
            return Lesson()
        fresh, found, different, doubtful = said(answer), None, [], []
        for place, one in enumerate(awaited.compared):
            same = self._same(said(one.match.entry.answer), fresh)
            if place == 0 and same is not None:
                self._learn(one, wrong=float(not same), of="audit" if awaited.bet else "miss")
                if awaited.bet is not None:
                    awaited.bet.settle(float(not same))
            told = awaited.judged.get(one.match.entry.key)
            if told is not None and same is not None and self.referee is not None:
                self.referee.learn(said_same=told, same=same, chance=self._chance)
            if same:
                found = found or (one if one.kind != "another" or told else None)
            elif same is None and told is None:
                doubtful.append(one)
            else:
                different.append(one)
                self._settle(query, one, same=False)
        if self._saved is not None:
            self._saved.changed()
        unjudged = not awaited.judged
        return Lesson(found, tuple(different), tuple(doubtful), unjudged=unjudged, given=given)

    def ask_later(self, query: Query, lesson: Lesson, rate: float) -> None:
        """Have the judge asked in the background, about what is in doubt or to learn how it errs.

        Args:
            query: What was asked.
            lesson: What its fresh answer came to.
            rate: Hits for each answer stored so far: with the count of a question, what is still
                expected of it.
        """
        referee, shelf = self.referee, self._shelf
        if referee is None or shelf is None:
            return
        if lesson.doubtful and not lesson.same:
            one, standing = lesson.doubtful[0], shelf.ledger.standing(query.key)
            count = standing.count if standing is not None else 1.0
            if referee.afterwards(one, one.p, count * rate):
                settle = partial(self._settle, query, one, given=lesson.given)
                referee.ask_later(self.pair(query, one), lambda said: settle(same=said.same))
                return
        known = lesson.same or next(iter(lesson.different), None)
        if known is not None and lesson.unjudged and referee.afterwards(known, 0.0, 0.0):
            same = known is lesson.same
            referee.ask_later(
                self.pair(query, known),
                lambda said: referee.learn(said_same=said.same, same=same),
            )

    def feedback(self, key: str, *, ok: bool) -> bool:
        """Learn what somebody says of the hit by meaning that a question got; True when it is known."""
        with self._lock:
            hit = self._served.pop(key, None)
        if hit is None or hit.compared is None:
            return False
        self._learn(hit.compared, wrong=float(not ok), of="feedback")
        self._settle(hit.query, hit.compared, same=ok)
        if self._saved is not None:
            self._saved.changed()
        return True

    def open(
        self, shelf: Shelf, folder: Path | Notes | None, *, read_only: bool = False
    ) -> Callable[[], object]:
        """Begin to learn for a cache; return what ends it.

        Args:
            shelf: Where its answers are.
            folder: Where what was learned is kept, if anywhere; it goes on from that.
            read_only: Whether it is only read there.
        """
        self._shelf = shelf
        if folder is not None:
            from langchain_cachemux.saved import Saved, recall

            path, kept = folder / "matching.zip", {"matching": self}
            if read_only:
                recall(path, kept)
            else:
                self._saved = Saved(path, kept, background=self._background)
        return self.close

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nobody waits for the judge; False when `timeout` seconds were not enough."""
        return self.referee is None or self.referee.wait(timeout)

    def close(self) -> None:
        """Hear what the judge still has to say, for some seconds, and save what was learned."""
        if self.referee is not None:
            self.referee.close()
        self._background.close()
        if self._saved is not None:
            self._saved.save()

    def stats(self) -> dict[str, Any]:
        """What `Stats` says of matching."""
        budget, referee = self.matcher.budget, self.referee
        return {
            "judged_before": referee.asked["before"] if referee else 0,
            "judged_after": referee.asked["after"] if referee else 0,
            "judging": referee.spent if referee else 0.0,
            "labels": sum(self.labels.values()),
            "audits": self.labels["audit"],
            "error": budget.estimate,
            "error_interval": budget.interval(),
        }

    def clear(self) -> None:
        """Await nothing more."""
        with self._lock:
            self._awaited.clear()
            self._served.clear()

    def dump(self) -> dict[str, Any]:
        """Return what was learned as plain data; what is awaited is forgotten."""
        referee = self.referee.dump() if self.referee else None
        return {"matcher": self.matcher.dump(), "referee": referee, "labels": dict(self.labels)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `dump` returned.

        Raises:
            ValueError: It is of another version.
        """
        self.matcher.restore(state["matcher"])
        if self.referee is not None and state["referee"] is not None:
            self.referee.restore(state["referee"])
        self.labels = Counter(state["labels"])

    def _await(self, miss: Miss, awaited: Awaited) -> None:
        with self._lock:
            before = self._awaited.pop(miss.query.key, None)
            if before is not None and awaited.bet is None:
                awaited.bet = before.bet
            self._awaited[miss.query.key] = awaited
            if len(self._awaited) > REMEMBERED:
                self._awaited.popitem(last=False)

    def _settle(
        self, query: Query, like: Compared, *, same: bool, given: int | None = None
    ) -> None:
        """Take the word of a judge or a user about a question: another wording, or another question.

        What cannot be written is learned another time: nobody goes without an answer for it. Nor are
        words stored again that were forgotten after the question had its answer, at `given`.
        """
        if self._shelf is None:
            return
        shelf, entry = self._shelf, like.match.entry

        def settle() -> None:
            if not same:
                for key in {like.match.key, entry.key}:
                    shelf.ledger.differ(query.key, key)
            elif given is None or not shelf.forgotten.since(given, query.key):
                shelf.reword(query, entry.key, answer=entry.answer)

        try:
            shelf.change(settle)
        except Exception as error:  # noqa: BLE001
            log.log(
                level(error), "what was said of two questions was not written: %s", loggable(error)
            )

    def _learn(self, compared: Compared, *, wrong: float, of: str) -> None:
        with self._lock:
            self.labels[of] += 1
        if (
            not compared.match.elsewhere
        ):  # such pairs are a judge's alone, and tell nothing of others
            self.matcher.learn(compared, wrong=wrong)

    def _same(self, stored: str, fresh: str) -> bool | None:
        """Whether two answers say the same; None when that cannot be said."""
        if not isinstance(self.same, Agree):
            return bool(self.same(stored, fresh))
        found = self.same.explain(stored, fresh)
        if all(len(text.split()) in SENTENCE for text in (stored, fresh)):
            return _say_the_same(self.same, stored, fresh, found)
        if found.same or found.cosine is None or found.cosine < DOUBTED:
            return found.same
        return None


def _say_the_same(agree: Agree, stored: str, fresh: str, found: Agreement) -> bool | None:
    """Whether two sentences say the same, read side by side as questions are; None in doubt.

    Vectors hardly see who does what to whom, nor numbers what they count; and words that `Agree`
    finds to be others may be the same in another order.
    """
    if plain(stored) == plain(fresh) or sorted(numbers(stored)) != sorted(numbers(fresh)):
        return found.same
    surface = compare(fresh, stored)
    if surface.in_frame and surface.verdict == "another":
        return False
    if surface.in_frame and any(new and old for new, old in surface.differing):
        return None if found.same else False
    if found.same or surface.verdict == "same" or agree.embed is None:
        return found.same or surface.verdict == "same"
    return None if float(agree.embed(stored) @ agree.embed(fresh)) >= ALIKE else False


def lessons_of(
    match: Matcher,
    *,
    judge: Judging | None,
    when: When,
    same: Same | None,
    price: Price,
    reader: Reader,
) -> Lessons | None:
    """Return what a cache learns with, as its user described it; None where the matcher learns nothing.

    Raises:
        ValueError: The judge, `judge_when` or `same` is of the wrong kind, or the matcher has no use
            for it.
    """
    whens = ("auto", "before", "after")
    expect(when in whens, "judge_when", '"auto", "before" or "after"', when)
    what = "a plain function (answer, answer) -> bool, such as Agree()"
    expect(same is None or takes(same, 2), "same", what, same)
    if not isinstance(match, Verified):
        if judge is not None or same is not None:
            msg = f"judge and same are for match=Verified(), which learns; match is {match!r}"
            raise ValueError(msg)
        return None
    referee, judge = None, JUDGE if judge is None else judge
    if judge is not None:
        from langchain_cachemux.match.judges import pair_judge_of
        from langchain_cachemux.referee import Referee

        trials = TRIALS / match.budget.max_error
        referee = Referee(pair_judge_of(judge), when=when, price=price, trials=trials)
    return Lessons(match, Agree(reader.vector) if same is None else same, referee)


@lru_cache(maxsize=1024)
def said(answer: str) -> str:
    """What a stored answer says, to be compared; nothing when it cannot be read."""
    try:
        return answers.stated(answers.read(answer)[0])
    except ValueError:
        return ""

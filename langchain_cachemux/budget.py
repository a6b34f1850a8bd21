"""One error budget for every saved call: what an error may cost, and whether the promise holds.

A bet is a request answered without the large model: by a stored answer to a question that seems the
same, or by a cheaper model. It is lost when the large model's own answer would have been better. The
promise is about bets alone: of those placed, at most a share δ is lost.

Three parts keep it, each for what the others cannot see (docs/theory.md derives them).

1. *The account* holds Σ(δ - r) over the bets placed, r being the risk claimed of each, and is never
   overdrawn. So the claims add up to at most δ a bet, after every bet and not only in the long run. A
   claim is corrected by what audits found of claims of its kind.
2. *The price of an error*, λ, falls as the account fills. A face takes the option of least
   c + λ·(r - δ): the slack that safe bets leave goes to the bets that save most for their risk,
   whether the cache or the router proposes them.
3. *The certificate* believes no claim. Bets drawn at random are audited, and a confidence sequence,
   valid however often one looks at it, bounds the share lost. When the promise is broken beyond doubt,
   bets are only tried, not served, until it is kept beyond doubt.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from langchain_cachemux.arguments import expect, is_number, is_whole, number_of, takes
from langchain_cachemux.certificate import Certificate
from langchain_cachemux.locks import Lock
from langchain_cachemux.types import LARGEST_COST

log = logging.getLogger(__name__)

VERSION = 1
"""Of what `ErrorBudget.dump` returns."""
DOUBT = 2.0
"""Prior precision of the shift between what is claimed and what is lost: a deviation of 0.7."""
LEAST = 1e-3
"""A claim of less risk counts as this much once claims of its kind have proved too low."""
MEMORY = 1000
"""Costs of misses that their mean reaches back to."""
FULLEST = 10.0
"""The account, times `step`, is capped here: λ is then e^-10 of what it was at first."""


@dataclass(slots=True)
class Count:
    """What became of the bets of one kind."""

    placed: int = 0
    """Bets, tried ones included."""
    risk: float = 0.0
    """Sum of what they were charged for: the risks claimed, corrected by the audits before."""
    tried: int = 0
    """Placed while the budget was closed: the large model answered, nothing could be lost."""
    audited: int = 0
    settled: int = 0
    lost: float = 0.0
    """Among the audited ones."""
    shift: float = 0.0
    """What the audits add to the claimed risk, on the logit."""
    precision: float = DOUBT
    """Of that shift."""

    def corrected(self, risk: float) -> float:
        """Return a claimed risk as the audits of its kind have found such claims to be.

        It is raised at once, and lowered by what is left of the shift less one deviation.
        """
        shift = max(self.shift, min(0.0, self.shift + self.precision**-0.5))
        if shift > 0:
            risk = max(risk, LEAST)
        return _shifted(risk, shift) if 0 < risk < 1 else risk

    def learn(self, risk: float, lost: float) -> None:
        """Move the shift by a Newton step of the logistic likelihood of one audited claim."""
        chance = _shifted(min(max(risk, LEAST), 1 - LEAST), self.shift)
        self.precision += chance * (1 - chance)
        self.shift += (lost - chance) / self.precision


@dataclass(slots=True, eq=False)
class Bet:
    """A request answered, or while the budget is closed only tried, without the large model."""

    kind: str
    risk: float
    """The chance to lose it, as claimed."""
    chance: float
    """The probability with which it was to be audited, fixed before the draw."""
    audit: bool
    """Whether the large model is to be asked too, and `settle` told."""
    served: bool
    """False while the budget is closed: the large model's answer goes to the user, this is compared."""
    _budget: ErrorBudget = field(repr=False)
    _certificate: Certificate = field(repr=False)
    _settled: bool = field(default=False, repr=False)

    def settle(self, lost: float) -> None:
        """Say whether the large model's answer was better: 1 or 0, or how much better between.

        It may come late, in any order, or never. Only the first word counts, and only of a bet that is
        to be audited: a label that came otherwise is selected, and no evidence for a share.

        Raises:
            ValueError: `lost` is not in [0, 1].
        """
        self._budget._settle(self, lost)


class OverdrawnError(RuntimeError):
    """What a bet was to be paid out of was spent by others meanwhile."""


class ErrorBudget:
    """Of the bets placed, at most a share `max_error` is lost: an account, a price, a certificate.

    The account B = Σ(δ - r) begins at 0; a bet of risk r that it cannot pay for may not be placed.
    With c the mean cost of a miss,

        λ = (c/δ)·exp(-step·B)

    is the price of an error (exponentiated gradient on the dual of the promise; docs/theory.md). At
    first only bets of risk δ or less are placed; each lost bet saved up makes errors cheaper.

    Here r is the claimed risk shifted on the logit by s, one number for each kind of bet, learned by
    one Newton step of the logistic likelihood an audit: with p the shifted claim and L the loss,

        h <- h + p·(1 - p),    s <- s + (L - p)/h,    from h = 2, s = 0,

    and it lowers no claim until it is one deviation, 1/sqrt(h), below 0.

    One budget serves every cache and router that shares it. Safe between threads.

    Args:
        max_error: δ, in (0, 1).
        quality: 1 - δ, for those who would rather say that.
        audit: The least share of bets audited, in (0, 1]. The n-th is with probability
            max(audit, min(first, 1/sqrt(4·δ·n))): ever fewer as evidence comes in.
        first: The greatest share, in (0, 1]; by default all are audited at first.
        confidence: Of the interval, in (0, 1).
        step: How fast λ falls: by the factor exp(-step) for each lost bet saved up.
        seed: Of the draw of audits; by default the operating system's.

    Raises:
        ValueError: An argument is out of its range, or neither or both of δ and 1 - δ are given.
    """

    def __init__(
        self,
        max_error: float | None = None,
        *,
        quality: float | None = None,
        audit: float = 0.02,
        first: float = 1.0,
        confidence: float = 0.95,
        step: float = 1.0,
        seed: int | None = None,
    ) -> None:
        if max_error is not None and quality is None:
            self.max_error = _within("max_error", max_error, "0.02: at most 2 % of bets are lost")
        elif quality is not None and max_error is None:
            complement = 1 - _within("quality", quality, "0.98: at most 2 % of bets are lost")
            self.max_error = round(complement, 12)  # quality 0.98 is max_error 0.02
        else:
            msg = f"give max_error or quality, its complement; got {max_error!r} and {quality!r}"
            raise ValueError(msg)
        self.audit = _within("audit", audit, "0.02, or 1 to audit all", whole=True)
        self.first = _within("first", first, "0.05, or 1 to begin with all", whole=True)
        self.confidence = _within("confidence", confidence, "0.95")
        right = is_number(step) and 0 < step < math.inf
        expect(right, "step", "a finite positive number, such as 1", step)
        expect(seed is None or is_whole(seed), "seed", "a whole number or None", seed)
        self.step = number_of(step)
        self._random = random.Random(None if seed is None else number_of(seed))  # noqa: S311
        self._lock = Lock()
        self._certificate = self._record()
        self._counts: dict[str, Count] = {}
        self._account = 0.0
        self._cost, self._costs = 0.0, 0
        self._closed = False

    def __repr__(self) -> str:
        """The arguments, the seed apart."""
        return (
            f"ErrorBudget({self.max_error:g}, audit={self.audit:g},"
            f" confidence={self.confidence:g}, step={self.step:g})"
        )

    @property
    def open(self) -> bool:
        """May bets be served? False from when the interval is above δ until it is below."""
        return not self._closed

    @property
    def error_price(self) -> float:
        """λ, what an error costs in the user's unit; infinite before a miss was paid for."""
        with self._lock:
            if not self._costs:
                return math.inf
            return self._cost / self.max_error * math.exp(-self.step * self._account)

    @property
    def counts(self) -> dict[str, Count]:
        """What became of the bets, by kind."""
        with self._lock:
            return {kind: Count(**asdict(count)) for kind, count in self._counts.items()}

    @property
    def estimate(self) -> float | None:
        """The share lost, estimated from the audits settled; None when there is none."""
        with self._lock:
            return self._certificate.estimate

    def interval(self) -> tuple[float, float]:
        """Return the ends between which the mean chance to lose a bet lies, at every moment at once.

        Of the bets since the budget last closed, else of all.
        """
        with self._lock:
            return self._certificate.interval()

    def missed(self, cost: float) -> None:
        """Learn what a miss cost, in the user's unit: it scales the price of an error.

        Raises:
            ValueError: The cost is negative or too large.
        """
        _cost(cost)
        with self._lock:
            self._costs = min(self._costs + 1, MEMORY)
            self._cost += (cost - self._cost) / self._costs

    def charge(self, risk: float, kind: str = "") -> float:
        """Return λ·(r - δ), what a bet costs beyond its own price; infinite when it may not be placed.

        Negative for a bet that is safer than promised: it pays into the account.

        Args:
            risk: The chance that it is lost, or an upper bound of it.
            kind: What is bet on, so that the claim is corrected as `placed` will correct it.

        Raises:
            ValueError: `risk` is not in [0, 1].
        """
        _share("risk", risk)
        with self._lock:
            risk = self._corrected(kind, risk)
            if self._account + self.max_error - risk < 0:
                return math.inf
            if not self._costs:  # what an error costs is not known yet
                return math.inf if risk > self.max_error else 0.0
            return self.error_price * (risk - self.max_error)

    def bet(self, kind: str, risk: float, *, saves: float = math.inf) -> Bet | None:
        """Place a bet if the account can pay for it and it is worth what it saves; else None.

        It is `charge` and `placed` in one: of two that come at once, the second finds what the first
        has left.

        Args:
            kind: As of `placed`.
            risk: As of `placed`.
            saves: In the user's unit.

        Raises:
            ValueError: `risk` is not in [0, 1].
        """
        with self._lock:
            charge = self.charge(risk, kind)
            return self.placed(kind, risk) if charge <= saves and charge < math.inf else None

    def placed(self, kind: str, risk: float) -> Bet:
        """Register a bet, whether it can be paid for or not, and draw whether it is audited.

        Args:
            kind: What was bet on ("cache", a model's name): the counts are by kind.
            risk: The chance that it is lost, or an upper bound of it.

        Raises:
            ValueError: `risk` is not in [0, 1].
        """
        _share("risk", risk)
        with self._lock:
            n = self._certificate.bets + 1
            q = max(self.audit, min(self.first, 1 / math.sqrt(4 * self.max_error * n)))
            chance = 1.0 if self._closed else q
            audit = self._random.random() < chance
            self._certificate.placed(chance, audited=audit)
            count = self._counts.setdefault(kind, Count())
            charged = count.corrected(risk)
            gain = self.max_error - charged
            self._account = min(self._account + gain, FULLEST / self.step)
            count.placed += 1
            count.risk += charged
            count.tried += self._closed
            count.audited += audit
            bet = Bet(kind, risk, chance, audit, not self._closed, self, self._certificate)
            if self._closed:  # one more bet can only lower both ends
                self._judge()
            return bet

    def dump(self) -> dict[str, Any]:
        """Return what was learned, as plain JSON data; audits under way stay unsettled in it."""
        with self._lock:
            return {
                "version": VERSION,
                "max_error": self.max_error,
                "audit": self.audit,
                "account": self._account,
                "cost": self._cost,
                "costs": self._costs,
                "closed": self._closed,
                "counts": {kind: asdict(count) for kind, count in self._counts.items()},
                "certificate": self._certificate.dump(),
            }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `dump` returned, of a budget with the same δ and least audit.

        Raises:
            ValueError: The state is of another version, or of a budget that promised something else.
        """
        _same(state, version=VERSION, max_error=self.max_error, audit=self.audit)
        with self._lock:
            self._certificate.restore(state["certificate"])
            self._counts = {kind: Count(**count) for kind, count in state["counts"].items()}
            self._account, self._cost = float(state["account"]), float(state["cost"])
            self._costs, self._closed = int(state["costs"]), bool(state["closed"])

    def _corrected(self, kind: str, risk: float) -> float:
        count = self._counts.get(kind)
        return count.corrected(risk) if count else risk

    def _settle(self, bet: Bet, lost: float) -> None:
        _share("lost", lost)
        with self._lock:
            if not bet.audit or bet._settled:
                return
            bet._settled = True
            bet._certificate.settled(bet.chance, lost)
            count = self._counts[bet.kind]
            count.settled += 1
            count.lost += lost
            count.learn(bet.risk, lost)
            self._judge()

    def _record(self) -> Certificate:
        return Certificate(confidence=self.confidence, least=self.audit)

    def _judge(self) -> None:
        """Close when the promise is broken beyond doubt, open when it is kept beyond doubt.

        No bet is served meanwhile, so nothing that is known of those before can change: whether the
        promise would be kept is for those tried since to say, and they begin a record of their own.
        """
        breaks = not self._closed and self._certificate.exceeds(self.max_error)
        keeps = self._closed and self._certificate.within(self.max_error)
        if not breaks and not keeps:
            return
        low, high = self._certificate.interval()
        log.warning(
            "the promise to lose at most %.3g %% of the bets is %s: of %d bets, %.3g %% to %.3g %% were"
            " lost (%g %% confidence); %s",
            *(100 * self.max_error, "broken" if breaks else "kept again", self._certificate.bets),
            *(100 * low, 100 * high, 100 * self.confidence),
            "only exact repeats are served until it is kept" if breaks else "bets are served",
        )
        self._closed = breaks
        if breaks:
            self._certificate, self._account = self._record(), 0.0


class Spending:
    """A limit on what is spent in any window of time, as a price of money that rises towards it.

    With S spent in the last `per` seconds, a unit of cost counts as

        m = (limit/(limit - S))^(1/4)

    units: 1 when nothing was spent, 1.2 at half the limit, 2 at fifteen sixteenths, without end at the
    limit. A face takes the option of least m·c + λ·(r - δ). So scarce money does what a lower price of
    errors does, and goes where it buys most. A sharper price leaves less of the limit unspent and has
    less left when what matters comes late; this power was the best over three spreads of worth.
    The account of the `ErrorBudget` is not overdrawn for it: of two limits that cannot both be kept,
    the promise is.

    Safe between threads.

    Args:
        limit: In the user's unit of cost.
        per: The window, in seconds; by default a day.
        clock: Seconds since any fixed moment.

    Raises:
        ValueError: `limit` or `per` is not a finite positive number.
    """

    SLOTS = 100
    """Parts of the window; what was spent in one is forgotten when all of it is past."""
    MOST = 1e6
    """Of m, at the limit: a number, but money alone decides."""

    def __init__(
        self, limit: float, *, per: float = 86_400.0, clock: Callable[[], float] = time.time
    ) -> None:
        for name, value in (("limit", limit), ("per", per)):
            right = is_number(value) and 0 < value < LARGEST_COST
            expect(right, name, "a finite positive number", value)
        expect(takes(clock, 0), "clock", "a function that tells seconds, such as time.time", clock)
        self.limit = number_of(limit)
        self.per = number_of(per)
        self._clock = clock
        self._lock = Lock()
        self._slots: deque[tuple[int, float]] = deque()

    def __repr__(self) -> str:
        """The limit and the window."""
        return f"Spending({self.limit:g}, per={self.per:g})"

    @property
    def spent(self) -> float:
        """What the window holds."""
        with self._lock:
            now = self._slot()
            while self._slots and self._slots[0][0] < now - self.SLOTS:
                self._slots.popleft()
            return math.fsum(cost for _, cost in self._slots)

    @property
    def left(self) -> float:
        """What may still be spent now, at least 0."""
        return max(0.0, self.limit - self.spent)

    @property
    def price(self) -> float:
        """M, what a unit of cost counts as."""
        left = self.left
        return min((self.limit / left) ** 0.25, self.MOST) if left else self.MOST

    def pay(self, cost: float) -> None:
        """Count a cost.

        Raises:
            ValueError: The cost is negative or too large.
        """
        cost = _cost(cost)
        with self._lock:
            now = self._slot()
            if self._slots and self._slots[-1][0] >= now:
                slot, before = self._slots.pop()
                self._slots.append((slot, before + cost))
            else:
                self._slots.append((now, cost))

    def dump(self) -> dict[str, Any]:
        """Return what was spent when, as plain JSON data."""
        with self._lock:
            return {"version": VERSION, "per": self.per, "slots": [list(s) for s in self._slots]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `dump` returned, by the same clock and of the same window.

        Raises:
            ValueError: The state is of another version or window.
        """
        _same(state, version=VERSION, per=self.per)
        with self._lock:
            self._slots = deque((int(slot), float(cost)) for slot, cost in state["slots"])

    def _slot(self) -> int:
        return math.floor(self._clock() / self.per * self.SLOTS)


def _within(name: str, value: float, example: str, *, whole: bool = False) -> float:
    """Return `value`, or raise `ValueError` when it is not in (0, 1); `whole` lets 1 pass too."""
    right = is_number(value) and (0 < value < 1 or (whole and value == 1))
    expect(right, name, f"in (0, 1), such as {example}", value)
    return number_of(value)


def _shifted(risk: float, shift: float) -> float:
    """σ(logit(risk) + shift), of a risk in (0, 1)."""
    return 1 / (1 + (1 - risk) / risk * math.exp(-shift))


def _share(name: str, value: float) -> None:
    expect(0 <= value <= 1, name, "a number in [0, 1]", value)


def _cost(cost: float) -> float:
    expect(0 <= cost < LARGEST_COST, "cost", f"a number >= 0 and below {LARGEST_COST:g}", cost)
    return cost


def _same(state: Mapping[str, Any], **mine: float) -> None:
    for name, value in mine.items():
        if state.get(name) != value:
            msg = f"state must have {name} {value!r}, got {state.get(name)!r}; begin a new one"
            raise ValueError(msg)

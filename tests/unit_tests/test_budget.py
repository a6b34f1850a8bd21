"""One error budget: what an error may cost, whether the promise holds, and when bets are served."""

import json
import logging
import math
import random
import re
import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.budget import ErrorBudget, Spending
from langchain_cachemux.certificate import Certificate, refutes

shares = st.floats(0, 1)


def told(max_error=0.02, *, cost=1.0, **arguments):
    """A budget that knows what a miss costs."""
    budget = ErrorBudget(max_error, seed=0, **arguments)
    budget.missed(cost)
    return budget


def stream(budget, losses, *, risk=0.0):
    """Place and settle a bet for each loss; stop when the budget closes."""
    for lost in losses:
        bet = budget.placed("cache", risk)
        bet.settle(float(lost))
        if not budget.open:
            return False
    return True


class Oracle:
    """The certificate as one would explain it: every bet kept, every wealth multiplied out."""

    def __init__(self, *, confidence, least):
        self.bets, self.alpha = [], 1 - confidence
        self.grid = [0.95 * least * 2 ** (k / 2) for k in range(-8, 60)]
        self.grid = [eta for eta in self.grid if eta <= 0.95 * 16 * 2**0.5]

    def placed(self, chance, *, audited):
        self.bets.append([chance, audited, None])

    def settled(self, place, lost):
        self.bets[place][2] = lost

    def wealth(self, share, sign):
        """Mean over the grid of Π(1 ± η·X)·exp(∓η·M); an audit under way counts against the verdict."""
        mean = 0.0
        for eta in self.grid:
            if sign < 0 and any(eta >= chance for chance, _, _ in self.bets):
                continue
            value = math.exp(-sign * eta * share * len(self.bets))
            for chance, audited, lost in self.bets:
                if audited:
                    assumed = (0.0 if sign > 0 else 1.0) if lost is None else lost
                    value *= 1 + sign * eta * assumed / chance
            mean += value / len(self.grid)
        return mean

    def covers(self, share):
        return max(self.wealth(share, 1), self.wealth(share, -1)) < 2 / self.alpha


bets = st.lists(
    st.tuples(
        st.sampled_from([1.0, 0.5, 0.25, 0.1]), st.booleans(), st.sampled_from([0, 0.5, 1, None])
    ),
    max_size=40,
)


@given(bets, st.sampled_from([0.8, 0.95]))
def test_the_interval_is_every_share_under_which_no_wealth_reaches_the_limit(history, confidence):
    certificate = Certificate(confidence=confidence, least=0.1)
    oracle = Oracle(confidence=confidence, least=0.1)
    assert len(certificate._eta) == len(oracle.grid)
    for place, (chance, audited, lost) in enumerate(history):
        certificate.placed(chance, audited=audited)
        oracle.placed(chance, audited=audited)
        if audited and lost is not None:
            certificate.settled(chance, lost)
            oracle.settled(place, lost)
    low, high = certificate.interval()
    assert 0 <= low <= high <= 1
    for share in np.linspace(0, 1, 23):
        near = min(abs(share - low), abs(share - high)) < 1e-6
        assert near or oracle.covers(share) == (low <= share <= high)
        assert near or certificate.exceeds(share) == (share < low)
        assert near or certificate.within(share) == (share > high)


@given(st.integers(0, 60), st.integers(0, 12), st.sampled_from([0.005, 0.02, 0.05]))
def test_bets_that_are_surely_lost_refute_a_promise_when_the_record_of_them_does(n, k, share):
    record = Certificate(confidence=0.95, least=1.0)
    for place in range(n + k):
        record.placed(1.0, audited=True)
        record.settled(1.0, float(place < k))
    assert refutes(share, np.array([k, n]), np.array([1.0, 0.0])) == record.exceeds(share)


@given(bets, st.randoms())
def test_the_order_in_which_audits_are_settled_does_not_matter(history, chance):
    ends = []
    for _ in range(2):
        certificate = Certificate(confidence=0.95, least=0.1)
        for q, audited, _ in history:
            certificate.placed(q, audited=audited)
        settled = [(q, lost) for q, audited, lost in history if audited and lost is not None]
        chance.shuffle(settled)
        for q, lost in settled:
            certificate.settled(q, lost)
        ends.append((*certificate.interval(), certificate.estimate or 0.0))
    assert ends[0] == pytest.approx(ends[1], abs=1e-6)


@given(bets)
def test_an_audit_under_way_only_widens_the_interval(history):
    certificate = Certificate(confidence=0.95, least=0.1)
    audits = [(q, lost or 0.0) for q, audited, lost in history if audited]
    for q, audited, _ in history:
        certificate.placed(q, audited=audited)
    ends = [certificate.interval()]
    for q, lost in audits:
        certificate.settled(q, lost)
        ends.append(certificate.interval())
    for before, after in pairwise(ends):
        assert before[0] <= after[0] + 1e-6
        assert after[1] <= before[1] + 1e-6


@pytest.mark.parametrize("error", [0.02, 0.05])
def test_of_streams_that_lose_just_what_was_promised_at_most_a_twentieth_is_ever_rejected(error):
    rng = np.random.default_rng(1)
    held = [stream(ErrorBudget(error, seed=n), rng.random(1500) < error) for n in range(100)]
    assert held.count(False) <= 5


def test_a_share_that_wanders_is_covered_by_both_ends_at_every_moment():
    rng, missed = np.random.default_rng(2), 0
    for _ in range(100):
        certificate, total, outside = Certificate(confidence=0.95, least=0.05), 0.0, False
        for n in range(1, 600):
            chance_to_lose = 0.05 + 0.05 * math.sin(n / 50)
            q = max(0.05, 1 / math.sqrt(n))
            audited = rng.random() < q
            certificate.placed(q, audited=audited)
            if audited:
                certificate.settled(q, float(rng.random() < chance_to_lose))
            total += chance_to_lose
            share = total / n
            outside |= certificate.exceeds(share) or certificate.within(share)
        missed += outside
    assert missed <= 5


def test_of_streams_that_lose_three_times_the_promise_nearly_all_are_rejected():
    rng = np.random.default_rng(3)
    held = [stream(ErrorBudget(0.05, seed=n), rng.random(3000) < 0.15) for n in range(40)]
    assert held.count(True) <= 3


def test_with_every_bet_audited_twice_the_promise_is_rejected_within_700_bets():
    rng = np.random.default_rng(4)
    budgets = [ErrorBudget(0.05, audit=1, seed=n) for n in range(40)]
    held = [stream(budget, rng.random(700) < 0.1) for budget in budgets]
    assert held.count(True) <= 2


def test_the_estimate_is_of_all_bets_though_early_ones_are_audited_more_often():
    rng, found = np.random.default_rng(5), []
    for seed in range(60):
        budget = ErrorBudget(0.3, audit=0.1, seed=seed)
        for n in range(600):  # the first third is lost one time in two
            bet = budget.placed("cache", 0.3)
            bet.settle(float(rng.random() < (0.5 if n < 200 else 0.05)))
        found.append(budget.estimate)
    assert np.mean(found) == pytest.approx(0.2, abs=0.02)


def test_nothing_is_estimated_before_there_was_evidence():
    budget = ErrorBudget(0.02)
    assert (budget.open, budget.interval(), budget.estimate) == (True, (0.0, 1.0), None)
    assert budget.counts == {}


def test_before_a_miss_was_paid_for_an_error_has_no_price_and_only_safe_bets_may_be_placed():
    budget = ErrorBudget(0.02)
    assert budget.error_price == math.inf
    assert budget.charge(0.0, "cache") == budget.charge(0.02, "cache") == 0
    assert budget.charge(0.021, "cache") == math.inf


def test_at_first_an_error_costs_one_miss_in_the_share_promised_and_only_safe_bets_may_be_placed():
    budget = told(0.02, cost=3.0)
    assert budget.error_price == pytest.approx(150)
    assert budget.charge(0.02, "cache") == 0
    assert budget.charge(0.005, "cache") == pytest.approx(150 * -0.015)
    assert budget.charge(0.021, "cache") == math.inf


def test_safe_bets_pay_for_a_risky_one_and_errors_become_cheaper_meanwhile():
    budget, prices = told(0.02), []
    for _ in range(20):
        prices.append(budget.error_price)
        budget.placed("cache", 0.0)
    assert all(high > low for high, low in pairwise(prices))
    assert budget.error_price == pytest.approx(50 * math.exp(-0.4))
    assert budget.charge(0.43, "cache") == math.inf
    assert budget.charge(0.41, "cache") == pytest.approx(budget.error_price * 0.39)


@given(st.lists(shares, max_size=300), st.sampled_from([0.01, 0.05, 0.3]))
def test_the_risks_of_the_bets_that_could_be_paid_for_add_up_to_no_more_than_was_promised(
    risks, error
):
    budget, placed = told(error), []
    for risk in risks:
        if math.isfinite(budget.charge(risk, "cache")):
            budget.placed("cache", risk)
            placed.append(risk)
        assert sum(placed) <= error * len(placed) + 1e-9
        assert 0 < budget.error_price <= 1 / error * (1 + 1e-9)


@given(st.lists(st.tuples(shares, shares), max_size=60))
def test_the_price_of_an_error_is_a_finite_number_of_at_least_0_whatever_is_placed(history):
    budget = told(0.02, audit=1)
    for risk, lost in history:
        budget.placed("cache", risk).settle(lost)
        assert 0 <= budget.error_price < math.inf


def test_the_price_of_an_error_is_in_the_unit_of_the_costs_and_follows_them():
    budget = told(0.1, cost=1.0)
    for _ in range(5000):
        budget.missed(1000.0)
    assert budget.error_price == pytest.approx(10_000, rel=0.02)


def test_a_long_safe_past_does_not_make_errors_free():
    budget = told(0.02)
    for _ in range(20_000):
        budget.placed("cache", 0.0)
    assert budget.error_price == pytest.approx(50 * math.exp(-10))


def audited(claim, truth, *, n=2000, error=0.05, budget=None, seed=0):
    """A stream of claims; returns the budget, the share of bets lost, and what was charged a bet."""
    budget, rng, lost = budget or told(error), np.random.default_rng(seed), []
    for _ in range(n):
        if budget.charge(claim, "small") < 1:
            bet = budget.placed("small", claim)
            lost.append(float(rng.random() < truth))
            bet.settle(lost[-1])
        else:
            budget.placed("cache", 0.0)
    return budget, float(np.mean(lost)), len(lost)


def test_a_claim_that_audits_find_too_low_is_corrected_before_the_promise_is_broken():
    budget, _, _ = audited(0.01, 0.15)
    assert budget.open
    assert 0.07 < budget._corrected("small", 0.01) < 0.25
    assert budget._corrected("cache", 0.01) <= 0.01
    cache, small = (budget.counts[kind] for kind in ("cache", "small"))
    assert cache.risk + small.risk <= 0.05 * (cache.placed + small.placed)


def test_a_claim_of_no_risk_at_all_is_corrected_too():
    budget = told(0.05, audit=1)
    assert budget.charge(0.0, "small") < 0
    for _ in range(3):
        budget.placed("small", 0.0).settle(1.0)
    assert budget._corrected("small", 0.0) > 1e-3
    assert budget._corrected("cache", 0.0) == 0


def test_a_claim_that_audits_find_too_high_is_corrected_and_more_is_bet():
    budget = told(0.05, audit=0.2)
    _, share, honest = audited(0.2, 0.2, budget=budget)
    _, lower, more = audited(0.2, 0.04, budget=told(0.05, audit=0.2))
    assert more > 1.5 * honest
    assert lower < share


@given(st.lists(st.tuples(shares, shares), max_size=50), shares, shares)
def test_correction_keeps_the_order_of_claims_and_what_is_certain_stays_certain(
    history, one, other
):
    budget = told(0.5, audit=1)
    for risk, lost in history:
        budget.placed("small", risk).settle(lost)
    low, high = (budget._corrected("small", risk) for risk in sorted((one, other)))
    assert 0 <= low <= high <= 1
    assert budget._corrected("small", 1.0) == 1


def hindsight(large, options, error):
    """The most that one price for all requests saves while the risks taken keep the promise."""
    best = 0.0
    for price in np.exp(np.linspace(-6, 8, 200)):
        costs = np.stack([large, *(cost + price * (risk - error) for cost, risk in options)])
        chosen = costs.argmin(0)
        risk = sum(risk[chosen == k].sum() for k, (_, risk) in enumerate(options, 1))
        if risk <= error * (chosen > 0).sum():
            cost = sum(cost[chosen == k].sum() for k, (cost, _) in enumerate(options, 1))
            best = max(best, large[chosen > 0].sum() - cost)
    return best


@pytest.mark.parametrize("error", [0.01, 0.02, 0.05])
def test_the_price_found_online_saves_nearly_what_the_best_price_in_hindsight_saves(error):
    rng, n = np.random.default_rng(0), 4000
    large = rng.lognormal(0, 0.8, n)
    similar = np.where(rng.random(n) < 0.85, rng.beta(1, 200, n), rng.beta(1, 3, n))
    stored = (np.zeros(n), np.where(rng.random(n) < 0.3, similar, 1.0))
    small = (0.03 * large, rng.beta(0.7, 3.5, n))
    budget, saved = told(error), 0.0
    for t in range(n):
        ways = [
            (cost[t] + budget.charge(risk[t], "bet"), cost[t], risk[t])
            for cost, risk in (stored, small)
        ]
        total, cost, risk = min(ways)
        if total < large[t]:
            budget.placed("bet", risk)
            saved += large[t] - cost
        else:
            budget.missed(large[t])
    assert 0.93 < saved / hindsight(large, [stored, small], error) < 1.01


def test_the_first_bets_are_all_audited_and_ever_fewer_but_never_none():
    budget = ErrorBudget(0.02, audit=0.03, seed=0)
    chances = [budget.placed("cache", 0.0).chance for _ in range(20_000)]
    assert chances[:12] == [1.0] * 12
    assert all(first >= second for first, second in pairwise(chances))
    assert chances[-1] == 0.03
    expected, drawn = sum(chances), budget.counts["cache"].audited
    assert drawn == pytest.approx(expected, abs=4 * math.sqrt(expected))


def test_only_audited_bets_are_evidence_and_only_their_first_word_counts():
    budget = ErrorBudget(0.02, audit=0.02, seed=0)
    bets = [budget.placed("cache", 0.0) for _ in range(200)]
    unaudited = [bet for bet in bets if not bet.audit]
    before = budget.interval()
    for bet in unaudited:
        bet.settle(1.0)
    assert unaudited
    assert budget.interval() == before
    audited = next(bet for bet in bets if bet.audit)
    audited.settle(0.0)
    after = budget.interval()
    audited.settle(1.0)
    assert budget.interval() == after
    assert budget.counts["cache"].settled == 1


def broken(caplog, **arguments):
    """A budget that lost its first thirty bets."""
    budget = told(0.05, audit=1, **arguments)
    with caplog.at_level(logging.WARNING):
        assert not stream(budget, [1] * 30)
    return budget


def test_a_broken_promise_closes_the_budget_and_is_said_once_in_words(caplog):
    budget = broken(caplog)
    for _ in range(10):
        budget.placed("cache", 0.0).settle(1.0)
    assert not budget.open
    (record,) = caplog.records
    assert "at most 5 % of the bets is broken" in record.getMessage()
    assert "only exact repeats are served until it is kept" in record.getMessage()


def test_while_closed_every_bet_is_tried_and_none_served(caplog):
    budget = broken(caplog)
    bets = [budget.placed("small", 0.0) for _ in range(20)]
    assert not any(bet.served for bet in bets)
    assert all(bet.audit and bet.chance == 1 for bet in bets)
    assert budget.counts["small"].tried == 20


def test_it_opens_again_when_the_upper_end_of_what_was_tried_is_below_the_promise(caplog):
    budget = broken(caplog)
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            bet = budget.placed("cache", 0.0)
            high = budget.interval()[1]
            bet.settle(0.0)
            if budget.open:
                break
            assert budget.interval()[1] > 0.05
    assert budget.open
    assert high > 0.05 >= budget.interval()[1]
    assert budget.placed("cache", 0.0).served
    assert [("kept again" in record.getMessage()) for record in caplog.records] == [False, True]


def test_what_was_saved_up_by_claims_that_proved_false_is_void(caplog):
    budget = told(0.05, audit=1)
    for _ in range(10):
        budget.placed("cache", 0.0)
    with caplog.at_level(logging.WARNING):
        stream(budget, [1] * 100)
    assert not budget.open
    assert budget.error_price == pytest.approx(20)


def test_a_bet_from_before_the_closing_says_nothing_of_those_tried_since(caplog):
    budget = told(0.05, audit=1)
    late = budget.placed("cache", 0.0)
    with caplog.at_level(logging.WARNING):
        stream(budget, [1] * 40)
    before = budget.interval()
    late.settle(1.0)
    assert budget.interval() == before


@given(st.lists(st.tuples(st.sampled_from(["cache", "small"]), shares, shares), max_size=40))
def test_what_was_dumped_is_json_and_goes_on_where_it_was(history):
    budget = told(0.1, audit=0.2)
    for kind, risk, lost in history:
        budget.placed(kind, risk).settle(lost)
    again = ErrorBudget(0.1, audit=0.2)
    again.restore(json.loads(json.dumps(budget.dump(), allow_nan=False)))
    for name in ("open", "counts", "estimate", "error_price"):
        assert getattr(again, name) == getattr(budget, name)
    assert again.interval() == budget.interval()
    assert again.dump() == budget.dump()


@pytest.mark.parametrize(
    ("name", "value"), [("version", 0), ("max_error", 0.01), ("audit", 0.5), ("version", None)]
)
def test_the_state_of_another_promise_is_refused_by_name_and_value(name, value):
    state = ErrorBudget(0.02).dump() | {name: value}
    with pytest.raises(
        ValueError, match=f"state must have {name} .*, got {value}; begin a new one"
    ):
        ErrorBudget(0.02).restore(state)


WRONG = [0, 1, -0.1, 1.5, math.nan, math.inf]


@pytest.mark.parametrize(
    ("name", "bad"),
    [(name, bad) for name in ("max_error", "quality", "confidence") for bad in WRONG]
    + [("audit", bad) for bad in WRONG if bad != 1]
    + [("step", bad) for bad in (0, -0.1, math.nan, math.inf)],
)
def test_a_wrong_argument_is_refused_by_name_and_value(name, bad):
    arguments = {name: bad} if name == "quality" else {"max_error": 0.02, name: bad}
    with pytest.raises(ValueError, match=f"{name} must be .* got {re.escape(repr(bad))}"):
        ErrorBudget(**arguments)


@pytest.mark.parametrize("both", [{}, {"max_error": 0.02, "quality": 0.98}])
def test_the_promise_is_given_once(both):
    with pytest.raises(ValueError, match="give max_error or quality, its complement"):
        ErrorBudget(**both)


def test_quality_is_the_complement_of_the_error():
    assert ErrorBudget(quality=0.98).max_error == 0.02


def test_a_budget_says_what_it_promises():
    assert repr(ErrorBudget(0.02)) == "ErrorBudget(0.02, audit=0.02, confidence=0.95, step=1)"
    assert repr(Spending(5)) == "Spending(5, per=86400)"


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_what_is_no_share_is_refused(bad):
    budget = told()
    for call in (budget.charge, lambda risk: budget.placed("cache", risk)):
        with pytest.raises(ValueError, match=f"risk must be .* got {bad!r}"):
            call(bad)
    with pytest.raises(ValueError, match=f"lost must be .* got {bad!r}"):
        budget.placed("cache", 0.0).settle(bad)
    assert budget.counts["cache"].settled == 0


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf, 1e36])
def test_a_cost_that_is_no_finite_number_is_refused(bad):
    for call in (ErrorBudget(0.02).missed, Spending(1).pay):
        with pytest.raises(ValueError, match=f"cost must be .* got {re.escape(repr(bad))}"):
            call(bad)


def test_of_bets_that_come_at_once_those_are_placed_that_the_account_can_pay_for():
    budget, together = told(0.02), threading.Barrier(8)
    for _ in range(25):
        budget.placed("cache", 0.0)
    placed = []

    def work():
        together.wait(30)
        placed.append(budget.bet("cache", 0.3))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(bet is not None for bet in placed) == 1
    assert budget.counts["cache"].placed == 26


def test_a_bet_is_placed_where_it_is_worth_what_it_saves():
    budget = told(0.02, cost=3.0)
    for _ in range(50):
        budget.placed("cache", 0.0)
    charge = budget.charge(0.5, "cache")
    assert budget.bet("cache", 0.5, saves=charge / 2) is None
    assert budget.bet("cache", 0.5, saves=charge).risk == 0.5


def test_threads_lose_no_bet():
    budget = told(0.5, audit=0.3)

    def work():
        for _ in range(500):
            budget.missed(1.0)
            budget.placed("cache", 0.5).settle(0.0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    count = budget.counts["cache"]
    assert count.placed == 4000
    assert count.audited == count.settled
    assert budget._certificate.bets == 4000


class Clock:
    """Seconds that pass when told."""

    now = 0.0

    def __call__(self):
        return self.now


def test_money_counts_more_the_less_is_left_and_never_infinitely():
    spending, prices = Spending(10, per=100, clock=Clock()), []
    for _ in range(12):
        prices.append(spending.price)
        spending.pay(1.0)
    assert prices[:10] == pytest.approx([(10 / (10 - n)) ** 0.25 for n in range(10)])
    assert prices[10:] == [Spending.MOST] * 2
    assert spending.left == 0


@given(st.lists(st.tuples(st.floats(0, 40), st.floats(0, 5)), max_size=60))
def test_what_was_spent_is_counted_for_one_window_and_at_most_a_slot_more(payments):
    clock = Clock()
    spending, paid = Spending(10, per=100, clock=clock), []
    for wait, cost in payments:
        clock.now += wait
        spending.pay(cost)
        paid.append((clock.now, cost))
        least = sum(cost for at, cost in paid if at > clock.now - 100)
        most = sum(cost for at, cost in paid if at > clock.now - 102)
        assert least - 1e-9 <= spending.spent <= most + 1e-9
    assert len(spending._slots) <= Spending.SLOTS + 1


def test_a_face_that_weighs_money_by_its_price_stays_within_the_limit_and_uses_most_of_it():
    # Of each second's request the large model costs 1 and never errs, the small one 0 and 1 in 4.
    clock, chance = Clock(), random.Random(0)
    spending, spent = Spending(200, per=1000, clock=clock), []
    for _ in range(10_000):
        clock.now += 1
        error = chance.uniform(0, 10)  # what one would cost on this request
        cost = 1.0 if spending.price <= error / 4 else 0.0
        spending.pay(cost)
        spent.append(cost)
        assert spending.spent <= 201  # the limit and one request
    assert sum(spent) > 0.9 * 2000


def test_a_clock_that_was_set_back_loses_no_cost():
    clock = Clock()
    spending = Spending(10, per=100, clock=clock)
    clock.now = 50.0
    spending.pay(1.0)
    clock.now = 20.0
    spending.pay(2.0)
    assert spending.spent == 3.0


def test_spending_goes_on_after_a_restart():
    clock = Clock()
    spending, again = Spending(10, per=100, clock=clock), Spending(20, per=100, clock=clock)
    spending.pay(4.0)
    again.restore(json.loads(json.dumps(spending.dump())))
    assert again.spent == 4.0
    with pytest.raises(ValueError, match=r"state must have per 50, got 100; begin a new one"):
        Spending(10, per=50).restore(spending.dump())


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf])
@pytest.mark.parametrize("name", ["limit", "per"])
def test_a_limit_that_is_no_positive_number_is_refused(name, bad):
    with pytest.raises(ValueError, match=f"{name} must be .* got {re.escape(repr(bad))}"):
        Spending(**{"limit": 1, name: bad})

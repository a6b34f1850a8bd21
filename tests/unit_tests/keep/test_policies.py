"""Each policy on one worked example, the contract of all, and who leaves when one comes."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import (
    GDSF,
    LEC,
    LFU,
    LRU,
    GreedyDual,
    robust,
)
from langchain_cachemux.route.estimators import Mean
from langchain_cachemux.testing import check_policy
from langchain_cachemux.types import Entry, Estimate, Query, Standing

POLICIES = {
    "LEC": LEC,
    "LEC of half-life 3": lambda: LEC(half_life=3),
    "LEC of half-life 100000": lambda: LEC(half_life=1e5),
    "LEC with a prior": lambda: LEC(prior=0.7, half_life=50),
    "GDSF": GDSF,
    "GDSF that remembers": lambda: GDSF(remember=True),
    "GreedyDual": GreedyDual,
    "LFU": LFU,
    "LRU": LRU,
}


def play(policy, requests, *, capacity=2, costs=None, sizes=None, ghosts=None):
    """Request keys in turn; a hit is a use, a miss is admitted. The ledger, and what happened."""
    ledger, events = MemoryLedger(capacity, policy=policy, ghosts=ghosts), []
    for key in requests.split():
        if ledger.use(key):
            events.append(f"{key} hit")
            continue
        entry = Entry(key, cost=(costs or {}).get(key, 1.0), size=(sizes or {}).get(key, 1))
        admission = ledger.admit(entry)
        if admission.slot is None:
            events.append(f"{key} stays out")
        events.extend(f"{gone} out" for gone in admission.evicted)
    return ledger, events


def keys(ledger):
    return {entry.key for entry in ledger}


@pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES)
def test_policy_keeps_the_contract(make):
    check_policy(make)


def test_lru_evicts_what_was_used_longest_ago():
    # A B C A B at size 2. C finds A oldest: A out. A finds B oldest: B out. B finds C oldest: C out.
    ledger, events = play(LRU(), "A B C A B")
    assert events == ["A out", "B out", "C out"]
    assert keys(ledger) == {"A", "B"}
    # With A used again before C comes, B is the oldest.
    assert play(LRU(), "A B A C")[1] == ["A hit", "B out"]


def test_lfu_evicts_what_was_asked_least_and_the_older_of_two():
    # A A B C C B B: A has 2. C ties with B at 1 and is the younger: B out. C is used again, 2.
    # B comes back with what it had, 2, and is the younger of A and C at 2: A out. B is used, 3.
    ledger, events = play(LFU(), "A A B C C B B")
    assert events == ["A hit", "B out", "C hit", "A out", "B hit"]
    assert keys(ledger) == {"B", "C"}


def test_lfu_and_lru_are_blind_to_cost():
    for policy in (LFU, LRU):
        plain = play(policy(), "A B C A B A")[1]
        assert play(policy(), "A B C A B A", costs={"A": 1e6, "B": 1e-6})[1] == plain


def test_gdsf_ages_by_its_clock():
    # Cost 3 for A, 1 for the rest, size 2. A = 0+3, B = 0+1; C = 0+1 ties with B and is younger:
    # B out, clock 1. D = 1+1: C (1) out, clock 1. E = 1+1: D (2, older) out, clock 2.
    # F = 2+1 = 3: E (2) out, clock 2. G = 2+1 = 3: A (3, older than F) out at last, clock 3.
    ledger, events = play(GDSF(), "A B C D E F G", costs={"A": 3.0})
    assert events == ["B out", "C out", "D out", "E out", "A out"]
    assert ledger.policy.clock == 3.0


def test_gdsf_worth_is_clock_plus_uses_times_cost_per_size():
    policy = GDSF()
    standing = Standing("A", cost=6.0, size=4, uses=2)
    assert policy.worth(standing) == 3.0
    policy.evicted(Standing("B", worth=10.0))
    assert policy.worth(standing) == 13.0
    policy.evicted(Standing("C", worth=5.0))  # a lesser victim does not turn the clock back
    assert policy.worth(standing) == 13.0


def test_gdsf_may_remember_the_requests_before_an_eviction():
    # A B A B A at size 1, all of cost 1. A = 0+1. B = 0+1 ties and is the younger: A out, clock 1.
    # A has 2 requests, 1+2 = 3: B (1) out, clock 1. B has 2, 1+2 = 3, ties: A (3) out, clock 3.
    # A has 3, 3+3 = 6: B (3) out. Who does not remember counts one each time: A ends at 2+1 = 3.
    ledger, events = play(GDSF(remember=True), "A B A B A", capacity=1)
    assert events == ["A out", "B out", "A out", "B out"]
    assert (ledger.policy.clock, ledger.standing("A").worth) == (3.0, 6.0)
    assert play(GDSF(), "A B A B A", capacity=1)[0].standing("A").worth == 3.0


def test_greedy_dual_evicts_the_cheap_first_and_the_expensive_when_the_clock_has_passed_it():
    # A costs 3, B and C cost 1, size 2. A = 0+3, B = 0+1. C = 0+1 ties and is the younger: B out,
    # clock 1. B = 1+1: C (1) out, clock 1. C = 1+1 ties, younger: B (2) out, clock 2. B = 2+1 = 3:
    # C (2) out, clock 2. C = 2+1 = 3: of A and B at 3, A is the oldest: A out, clock 3.
    ledger, events = play(GreedyDual(), "A B C B C B C", costs={"A": 3.0})
    assert events == ["B out", "C out", "B out", "C out", "A out"]
    assert ledger.policy.clock == 3.0


def test_greedy_dual_counts_no_uses_and_divides_by_size():
    # A A A B C at size 2: A was used three times and is the oldest use: A out.
    assert play(GreedyDual(), "A A A B C")[1] == ["A hit", "A hit", "A out"]
    # At 4 bytes A = 6/3 = 2, B = 1/1; C = 3/1: B out first, and A too, for room: 3+1+1 = 5.
    sizes, costs = {"A": 3}, {"A": 6.0, "C": 3.0}
    events = play(GreedyDual(), "A B C", capacity=4, sizes=sizes, costs=costs)[1]
    assert events == ["B out"]


@given(st.text("ABCDEF", max_size=60), st.integers(1, 5))
def test_greedy_dual_is_lru_when_all_cost_and_size_the_same(requests, capacity):
    requests = " ".join(requests)
    expected = play(LRU(), requests, capacity=capacity)[1]
    assert play(GreedyDual(), requests, capacity=capacity)[1] == expected


CLOCKED = {"GDSF": GDSF, "remember": lambda: GDSF(remember=True), "GreedyDual": GreedyDual}


@pytest.mark.parametrize("make", CLOCKED.values(), ids=CLOCKED)
@given(
    st.lists(st.tuples(st.sampled_from("ABCDEF"), st.floats(0, 100)), max_size=60),
    st.integers(1, 9),
)
def test_a_clock_never_falls_and_whoever_is_asked_is_worth_it_at_least(make, requests, capacity):
    policy = make()
    ledger, clock = MemoryLedger(capacity, policy=policy), 0.0
    for key, cost in requests:
        if not ledger.use(key):
            ledger.admit(Entry(key, cost=cost, size=1 + ord(key) % 3))
        held = ledger.standing(key)
        assert held is None or held.worth >= clock
        assert policy.clock >= clock
        assert ledger.size <= capacity
        clock = policy.clock


def test_lec_keeps_what_is_expected_to_cost_most():
    # A costs 4, B and C cost 1, size 2. A = 1·4; B = 1·1; C = 1·1 ties and is the younger: B out.
    # B is remembered: 2·1 beats C: C out. C is remembered: 2·1 ties with B, younger: B out.
    # B has then 3·1: C out. A has 4 and stays, seen only once.
    ledger, events = play(LEC(), "A B C B C B", costs={"A": 4.0})
    assert events == ["B out", "C out", "B out", "C out"]
    assert keys(ledger) == {"A", "B"}


def test_lec_leaves_out_a_newcomer_worth_less_than_all_and_counts_it():
    # A and B cost 3, C costs 1. C is worth 1, then 2 of the 3 it needs: it stays out. At 3 it ties
    # with A and is the younger.
    ledger, events = play(LEC(), "A B C C C", costs={"A": 3.0, "B": 3.0})
    assert events == ["C stays out", "C stays out", "A out"]
    assert keys(ledger) == {"B", "C"}


def test_lec_without_ageing_never_forgets_and_with_ageing_does():
    # A is asked 8 times, then B, C, D, E in turn at size 1. By counts alone A's 8 is never reached
    # before each of them was asked 8 times; with half-life 2, A is worth 2 after 4 requests.
    assert keys(play(LEC(), "A " * 8 + "B C D E " * 2, capacity=1)[0]) == {"A"}
    assert keys(play(LEC(half_life=2), "A " * 8 + "B C D E " * 2, capacity=1)[0]) != {"A"}


def test_a_prior_believes_an_expensive_newcomer_before_it_was_seen_as_often():
    # A costs 1 and is asked twice, B costs 1.6, size 1. By counts alone A = 2 and B = 1.6: B stays out.
    # With one request believed beforehand A = 3 and B = 2·1.6 = 3.2: A leaves.
    costs = {"B": 1.6}
    assert play(LEC(), "A A B", capacity=1, costs=costs)[1] == ["A hit", "B stays out"]
    assert play(LEC(prior=1), "A A B", capacity=1, costs=costs)[1] == ["A hit", "A out"]


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.integers(0, 50), st.integers(0, 50))
def test_a_prior_is_the_shape_of_a_gamma_distribution_of_rates(prior, scale, n, m):
    # The posterior of a rate after n requests in time t is Gamma(prior + n, 1/(1/scale + t)).
    t = 7.0
    one, two = (Standing("k", cost=2.0, count=float(count)) for count in (n, m))
    worths = [2 ** LEC(prior=prior).worth(standing) for standing in (one, two)]
    means = [(prior + count) / (1 / scale + t) for count in (n, m)]
    assert worths[0] / worths[1] == pytest.approx(means[0] / means[1])


@given(
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.integers(0, 200),
    st.sampled_from([2.0, 20.0, math.inf]),
)
def test_lec_orders_entries_at_any_later_time_by_aged_count_times_cost_per_size(
    times, costs, sizes, wait, half_life
):
    one, two = (Standing("k", cost=c, size=s) for c, s in zip(costs, sizes, strict=True))
    for standing, last in zip((one, two), times, strict=True):
        standing.requested(last, half_life)
        standing.worth = LEC(half_life=half_life).worth(standing)
    now = max(times) + wait
    expected = [0.5 ** ((now - e.last) / half_life) * e.count * e.cost / e.size for e in (one, two)]
    if not math.isclose(*expected, rel_tol=1e-9):
        assert (one.worth < two.worth) == (expected[0] < expected[1])


def test_lec_values_a_free_answer_below_any_other_and_does_not_fail():
    free, cheap = Standing("a", cost=0.0, count=1e6), Standing("b", cost=1e-12, count=1.0)
    assert LEC().worth(free) < LEC().worth(cheap)


@pytest.mark.parametrize("half_life", [0, -1.0, math.nan])
def test_lec_refuses_a_half_life_that_is_no_number_of_requests(half_life):
    with pytest.raises(ValueError, match=rf"half_life .* got {half_life!r}"):
        LEC(half_life=half_life)


@pytest.mark.parametrize("prior", [-1.0, math.nan, math.inf])
def test_lec_refuses_a_prior_that_is_no_number_of_requests(prior):
    with pytest.raises(ValueError, match=rf"prior .* got {prior!r}"):
        LEC(prior=prior)


class Fixed:
    """An estimator that knows no unit: the width is 1, and the floor is fixed too."""

    def __init__(self, floor):
        self.floor, self.inner = floor, Mean()

    def predict(self, x):
        return Estimate(self.inner.predict(x).mean, 1.0, self.floor)

    def learn(self, x, cost):
        self.inner.learn(x, cost)


def misses(policy, estimator, *, unit, ghosts=None):
    """Run 4000 requests through a ledger of 10 places; what was missed, and what that cost.

    50 queries: query i is asked in proportion to 1/(i+1), and every other one costs 50 times more.
    """
    state, ledger, missed, paid = 1, MemoryLedger(10, policy=policy, ghosts=ghosts), [], 0.0
    weights = [1 / (i + 1) for i in range(50)]
    for _ in range(4000):
        state = state * 6364136223846793005 % 2**64 + 1442695040888963407
        point, i = (state >> 33) % 2**31 / 2**31 * sum(weights), 0
        while point > weights[i]:
            point, i = point - weights[i], i + 1
        if ledger.use(str(i)):
            continue
        noise = 0.8 + 0.4 * ((state >> 20) % 1000) / 1000
        cost = unit * (50.0 if i % 2 else 1.0) * noise
        missed.append(i)
        paid += cost
        query = Query(str(i))
        estimator.learn(query, cost)
        ledger.admit(Entry(str(i), cost=estimator.predict(query).lower))
    return missed, paid / unit


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_a_width_in_the_unit_of_the_costs_keeps_lec_from_becoming_lfu_or_lru(unit):
    _, lec = misses(LEC(), Mean(), unit=unit)
    _, lfu = misses(LFU(), Mean(), unit=unit)
    _, lru = misses(LRU(), Mean(), unit=unit)
    assert lec < 0.7 * min(lfu, lru)


def test_lec_misses_the_same_whatever_the_unit():
    cents, _ = misses(LEC(), Mean(), unit=1.0)
    dollars, _ = misses(LEC(), Mean(), unit=2.0**-7)  # a power of two: no rounding between them
    assert cents == dollars


def test_a_width_in_the_wrong_unit_makes_lec_lfu_over_a_floor_and_lru_over_none():
    # Every bound sits on its floor, so cost is no longer seen at all.
    over, _ = misses(LEC(), Fixed(floor=1e-9), unit=1e-6, ghosts=0)
    assert over == misses(LFU(), Mean(), unit=1e-6, ghosts=0)[0]
    none, _ = misses(LEC(), Fixed(floor=0.0), unit=1e-6)
    assert none == misses(LRU(), Mean(), unit=1e-6)[0]
    assert over != misses(LEC(), Mean(), unit=1e-6, ghosts=0)[0]


def test_the_default_policies_are_six_and_one_of_them_ages_over_twenty_capacities():
    assert repr(robust(50)) == (
        "(LEC(half_life=inf, prior=0.0), LEC(half_life=inf, prior=1.0), "
        "LEC(half_life=1000, prior=0.0), GDSF(remember=True), GDSF(remember=False), GreedyDual())"
    )
    assert robust(50)[3] is not robust(50)[3]


@pytest.mark.parametrize("make", range(6))
def test_each_default_policy_keeps_the_contract(make):
    check_policy(lambda: robust(10)[make])


def test_of_several_policies_the_one_is_followed_whose_misses_have_cost_least():
    # LRU, followed first, and LFU at size 1; all cost 1. A: both miss. A: both hit. B: both miss, 2 and
    # 2; LRU takes B for A, LFU keeps A. A: LRU misses, 3, and LFU hits, 2, so LFU is followed and
    # A comes back in place of B. C: LFU keeps A (3 requests) and C stays out. A is a hit.
    ledger, events = play([LRU(), LFU()], "A A B A C A", capacity=1)
    assert events == ["A hit", "A out", "B out", "C stays out", "A hit"]
    assert ledger.policy is ledger.policies[1]
    # Alone, LRU would have hit once, LFU three times.
    assert play(LRU(), "A A B A C A", capacity=1)[1].count("A hit") == 1
    assert play(LFU(), "A A B A C A", capacity=1)[1].count("A hit") == 3


def test_an_expensive_miss_weighs_more_than_many_cheap_ones():
    # LFU, followed first, and LRU at size 1; B costs 10, the rest 1. A A A A B B: LFU keeps A, so it
    # misses B twice and has lost 21, LRU once, 11. A C A C A C: LRU misses all six, 17 in the end, and
    # LFU three, 24. LRU has missed eight times, LFU six; LRU is followed.
    ledger, _ = play([LFU(), LRU()], "A A A A B B A C A C A C", capacity=1, costs={"B": 10.0})
    assert ledger.policy is ledger.policies[1]
    assert keys(ledger) == {"C"}


def test_a_policy_twice_is_that_policy_once():
    chance = random.Random(0)
    requests = " ".join(chance.choices("ABCDEFG", weights=range(7, 0, -1), k=200))
    costs = {"C": 5.0, "F": 20.0}
    for make in (LEC, GDSF, GreedyDual, LFU, LRU):
        once = play(make(), requests, capacity=3, costs=costs)
        twice = play([make(), make()], requests, capacity=3, costs=costs)
        assert twice[1] == once[1]
        assert keys(twice[0]) == keys(once[0])


def stream(n, *, drift, seed=0):
    """Keys, favourites first; with drift the favourites are others every 500 requests."""
    chance = random.Random(seed)
    for i in range(n):
        key = min(int(chance.paretovariate(0.7)), 60)
        yield f"{key + i // 500 * 20 * drift}"


@pytest.mark.parametrize("drift", [False, True])
def test_the_default_is_near_the_best_of_its_own_whether_favourites_change_or_not(drift):
    def paid(policy):
        ledger, total = MemoryLedger(8, policy=policy), 0.0
        for key in stream(6000, drift=drift):
            cost = 1.0 + int(key) * 7 % 11
            if not ledger.use(key):
                total += cost
                ledger.admit(Entry(key, cost=cost))
        return total

    alone = [paid(policy) for policy in robust(8)]
    assert paid(robust(8)) < 1.05 * min(alone)
    assert min(alone) < 0.9 * max(alone)

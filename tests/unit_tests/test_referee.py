"""`Referee`: when a judge is asked, how far it is believed, and what its faults cost."""

import math
import threading
import time

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from langchain_cachemux.match.judges import Opinion, Pair, pair_judge_of
from langchain_cachemux.referee import TOLD, TRIED, Rate, Referee, _refuted
from langchain_cachemux.types import Compared, Entry, Match, Usage

PAIR = Pair("new", "stored")


def compared(p=0.5, cost=1.0):
    entry = Entry("e", cost, text="stored")
    return Compared(Match(entry, 0.9), "unsure", p, min(1.0, 1.5 * (1 - p)), np.zeros(6))


def referee(judge=lambda new, stored: True, *, when="auto", v=0.05, trials=0.0, **more):
    def priced(new, stored):
        return Opinion(float(judge(new, stored)), usages=(Usage(seconds=v),))

    made = pair_judge_of(priced)
    return Referee(made, when=when, price=lambda usage: usage.seconds, trials=trials, **more)


def always(*_):
    return True


def never(*_):
    return False


@pytest.mark.parametrize("p", [0.01, 0.04, 0.06, 0.5, 0.99])
@pytest.mark.parametrize("cost", [0.1, 1.0, 10.0])
def test_it_is_asked_first_where_its_price_is_below_what_it_may_save_and_its_word_is_worth_a_bet(
    p, cost
):
    asks = referee(v=0.05)
    asks.ask(PAIR)
    assert asks.first(compared(p, cost), always) == (p * cost > 0.05)
    assert not asks.first(compared(p, cost), never)
    assert not referee(when="after").first(compared(p, cost), always)


@pytest.mark.parametrize("expected", [0.05, 0.2, 3.0])
def test_it_is_asked_afterwards_where_the_requests_to_come_are_worth_its_price(expected):
    asks = referee(v=0.05)
    asks.ask(PAIR)
    assert asks.afterwards(compared(), 0.5, expected) == (0.5 * expected > 0.05)
    assert not referee(when="before").afterwards(compared(), 0.5, 100.0)


def test_until_it_is_known_it_is_asked_afterwards_to_learn_how_it_errs():
    asks = referee(trials=3)
    for _ in range(3):
        assert asks.afterwards(compared(), 0.0, 0.0)
        asks.learn(said_same=False, same=False)
    assert not asks.afterwards(compared(), 0.0, 0.0)


def test_one_that_says_how_often_it_is_wrong_is_trusted_so_far_at_once_and_corrected_later():
    def says(new, stored):
        return True

    says.error = 0.002
    told = Referee(pair_judge_of(says), price=lambda usage: 0.05, trials=200)
    assert told.passes_wrong.upper == pytest.approx(0.002, rel=0.05)
    assert not told.afterwards(compared(), 0.0, 0.0)
    for _ in range(20):
        told.learn(said_same=True, same=False)
    assert told.passes_wrong.upper > 0.015


def saying(error):
    """A referee whose judge says how often it errs."""

    def says(new, stored):
        return True

    says.error = error
    return Referee(pair_judge_of(says), price=lambda usage: 0.05, trials=200)


def test_what_a_judge_says_of_itself_is_believed_no_more_once_labels_refute_it():
    told, untold = saying(0.001), referee()
    for asks in (told, untold):
        for place in range(40):
            asks.learn(said_same=place % 4 == 0, same=False)
    assert told.passes_wrong.told == 0.0
    assert told.passes_wrong.upper == untold.passes_wrong.upper > 0.2


def test_the_answers_on_its_word_are_wrong_as_labels_tell_and_its_word_once_it_was_tried():
    told, untold = saying(0.01), referee()
    for tried in range(TRIED + 1):
        for asks in (told, untold):
            served, chance = asks.record(0.004, 0.006)
            assert served == 2.0
            if asks is untold or tried < TRIED:
                assert chance == pytest.approx(2 / (tried + 2))
            asks.learn(said_same=True, same=True)
    word = TOLD / 0.01
    assert told.record(0.004, 0.006)[1] == pytest.approx(word * 0.005 / (word + TRIED + 1))
    told.gave(0.02)
    assert told.record(0.0)[1] == pytest.approx(word * 0.01 / (word + TRIED + 1))
    for _ in range(3):
        told.learn(said_same=True, same=False)
    assert told.record()[1] == pytest.approx((3 + 2) / (TRIED + 4 + 2))


@given(st.lists(st.booleans(), min_size=1, max_size=300), st.floats(0.001, 0.9))
def test_a_share_is_refuted_where_the_mixture_of_all_shares_is_twenty_times_likelier(wrong, share):
    k, n = sum(wrong), len(wrong)
    shares = np.linspace(0, 1, 20_001)[1:-1]
    log = k * np.log(shares / share) + (n - k) * np.log((1 - shares) / (1 - share))
    most = log.max()
    mixture = most + math.log(np.exp(log - most).mean())
    assume(abs(mixture - math.log(20)) > 0.01)
    assert _refuted(share, k, n - k) == (k > share * n and mixture > math.log(20))


def test_a_share_that_is_true_is_refuted_in_one_run_of_twenty_at_most():
    rng, refuted = np.random.default_rng(0), 0
    for _ in range(400):
        wrong = np.cumsum(rng.random(300) < 0.05)
        refuted += any(_refuted(0.05, k, n - k) for n, k in enumerate(wrong, 1))
    assert refuted / 400 <= 0.05


@pytest.mark.parametrize("error", [0, 1, -0.1, "low", True])
def test_a_judge_that_says_no_share_of_errors_is_refused(error):
    def says(new, stored):
        return True

    says.error = error
    with pytest.raises(ValueError, match="error"):
        Referee(pair_judge_of(says), price=lambda usage: 0.05, trials=200)


def test_what_it_passes_is_wrong_at_most_as_bayes_says_with_the_upper_ends_of_its_errors():
    asks = referee()
    first = asks.risk(compared(0.5))
    for _ in range(500):
        asks.learn(said_same=False, same=False)
        asks.learn(said_same=True, same=True)
    e, m = asks.passes_wrong.upper, asks.stops_right.upper
    for p in (0.1, 0.5, 0.9):
        assert asks.risk(compared(p)) == pytest.approx((1 - p) * e / ((1 - p) * e + p * (1 - m)))
    assert asks.risk(compared(0.5)) < first / 10
    assert asks.risk(compared(0.0)) == 1.0


def test_the_upper_end_of_an_error_holds_what_is_true_in_nineteen_runs_of_twenty():
    rng, below = np.random.default_rng(0), 0
    for _ in range(400):
        rate = Rate()
        for happened in rng.random(200) < 0.05:
            rate.add(happened=bool(happened))
        below += rate.upper < 0.05
    assert below / 400 <= 0.07


def test_both_verdicts_count_alike_though_what_it_passes_is_seldom_looked_at():
    asks, rng = referee(seed=0), np.random.default_rng(0)
    for wrong in rng.random(20_000) < 0.1:
        if not wrong:
            asks.learn(said_same=False, same=False, chance=0.05)
        elif rng.random() < 0.05:
            asks.learn(said_same=True, same=False, chance=0.05)
    rate = asks.passes_wrong
    assert rate.yes / (rate.yes + rate.no) == pytest.approx(0.1, abs=0.03)


def test_a_judge_that_raises_is_no_opinion_and_is_spared_for_a_while_then_asked_again():
    faults, calls = [True] * 3, []

    def judge(new, stored):
        calls.append(new)
        if faults and faults.pop():
            raise RuntimeError
        return True

    asks, asked = referee(judge), 0
    for _ in range(60):
        if asks.first(compared(), always):
            asked += 1
            asks.ask(PAIR)
    assert asked == len(calls)
    assert 30 < asked < 60 - 3


def test_a_judge_that_hangs_holds_a_question_up_no_longer_than_the_deadline():
    go = threading.Event()
    asks = referee(lambda new, stored: go.wait(30), deadline=0.1)
    began = time.perf_counter()
    assert asks.ask(PAIR) is None
    assert time.perf_counter() - began < 15
    go.set()


def test_a_flood_is_not_queued_without_end_and_nobody_waits_for_it():
    go, told = threading.Event(), []
    asks = referee(lambda new, stored: go.wait(10))
    taken = sum(asks.ask_later(PAIR, told.append) for _ in range(1000))
    assert taken < 300
    go.set()
    assert asks.wait(20)
    assert len(told) == taken


def test_even_chances_are_no_opinion_and_no_fault():
    asks = Referee(pair_judge_of(lambda new, stored: 0.5), price=lambda usage: 1.0, trials=0.0)
    assert asks.ask(PAIR) is None
    assert asks.spent == 1.0
    assert asks._ready()


@pytest.mark.parametrize("said", [2.0, -1.0, float("nan")])
def test_what_is_no_probability_is_no_opinion(said):
    class Odd:
        def judge(self, pair):
            return Opinion(said)

        async def ajudge(self, pair):
            return Opinion(said)

    asks = Referee(Odd(), price=lambda usage: usage.seconds, trials=0.0)
    assert asks.ask(PAIR) is None


def test_what_it_costs_is_summed_and_a_price_that_fails_is_none():
    asks = referee(v=0.25)
    for _ in range(4):
        asks.ask(PAIR)
    assert (asks.spent, asks.price(1.0), asks.asked["before"]) == (1.0, 0.25, 4)

    def unknown(usage):
        raise LookupError(usage)

    free = Referee(pair_judge_of(lambda new, stored: True), price=unknown, trials=0.0)
    assert free.ask(PAIR).same
    assert free.price(1.0) == 0.0


def test_what_was_learned_goes_on_after_a_restart():
    asks, twin = referee(), referee()
    asks.ask(PAIR)
    for same in (True, False, False):
        asks.learn(said_same=True, same=same)
    twin.restore(asks.dump())
    assert twin.dump() == asks.dump()
    with pytest.raises(ValueError, match="version"):
        twin.restore({**asks.dump(), "version": 0})


def test_at_the_end_what_waits_is_still_heard():
    told = []
    asks = referee(lambda new, stored: time.sleep(0.05) or True)
    for _ in range(5):
        asks.ask_later(PAIR, told.append)
    asks.close()
    assert len(told) == 5
    assert not asks.ask_later(PAIR, told.append)

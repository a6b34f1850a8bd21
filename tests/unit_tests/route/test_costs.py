"""The cost of starting with a model, against what happens when it is played out."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.route.costs import (
    ANYTHING,
    ENOUGH,
    LATELY,
    Costs,
    Known,
    Outcomes,
    Plan,
    at_stake,
)
from langchain_cachemux.route.estimators import UNKNOWN
from langchain_cachemux.types import Estimate, Query

prices = st.floats(0.0, 10.0)


@st.composite
def chances(draw):
    low, mean, high = sorted(draw(st.floats(0.0, 1.0)) for _ in range(3))
    return Estimate(mean, mean - low, ceiling=1.0, above=high - mean)


@st.composite
def models(draw, least=1, most=4):
    """What is known of some models, each tried."""
    size = draw(st.integers(least, most))
    known = [Known(Estimate(draw(prices), draw(prices)), draw(chances())) for _ in range(size)]
    last = known[-1].fails
    if last.optimistic <= 0 and last.upper >= 1:
        known[-1] = known[-1]._replace(fails=Estimate(last.mean, 0.0, ceiling=1.0))
    return known


def played(plan, first, known, judge_price, error_price):
    """Every course that events can take from asking `first`: its chance times what it costs."""
    total, ladder = 0.0, plan.ladder(first)
    for outcomes in product((False, True), repeat=len(ladder)):
        chance, cost, over = 1.0, 0.0, False
        for k, failed in zip(ladder, outcomes, strict=True):
            f = known[k].fails.mean
            chance *= f if failed else 1.0 - f
            if over:
                continue
            cost += known[k].price.mean
            if plan.judged[k]:
                cost += judge_price
                over = not failed
            else:
                cost += error_price * failed
                over = True
        total += chance * cost
    return total


@given(models(), st.sampled_from(["route", "cascade", "auto"]), prices, prices)
def test_a_cost_is_what_all_courses_of_events_come_to(known, strategy, judge_price, error_price):
    plan = Plan(known, strategy, judge_price=judge_price, error_price=error_price)
    for first, total in enumerate(plan.totals()):
        expected = played(plan, first, known, judge_price, error_price)
        assert total.mean == pytest.approx(expected, abs=1e-9)


@given(models(), st.sampled_from(["route", "cascade", "auto"]), prices, prices)
def test_an_interval_holds_the_cost_whatever_within_theirs_the_prices_and_chances_are(
    known, strategy, judge_price, error_price
):
    plan = Plan(known, strategy, judge_price=judge_price, error_price=error_price)
    totals = plan.totals()
    for pick in ("optimistic", "mean", "upper"):
        moved = [
            Known(Estimate(max(getattr(p, pick), 0.0), 0.0), Estimate(getattr(f, pick), 0.0))
            for p, f, *_ in known
        ]
        for first, total in enumerate(totals):
            cost = played(plan, first, moved, judge_price, error_price)
            assert total.optimistic - 1e-9 <= cost <= total.upper + 1e-9


@given(models(least=2), prices, prices)
def test_auto_is_expected_to_cost_no_more_than_always_judging(known, judge_price, error_price):
    auto, cascade = (
        Plan(known, strategy, judge_price=judge_price, error_price=error_price)
        for strategy in ("auto", "cascade")
    )
    if error_price:
        assert all(a <= c + 1e-9 for a, c in zip(auto.means, cascade.means, strict=True))


@given(models(least=2), prices)
def test_of_the_models_above_the_one_that_costs_least_is_asked_next(known, judge_price):
    plan = Plan(known, "cascade", judge_price=judge_price)
    for k in range(len(known) - 1):
        assert plan.means[plan.next[k]] == min(plan.means[k + 1 :])


@given(models(least=2), prices)
def test_failing_as_often_as_it_may_no_model_but_the_last_costs_less_than_expected(
    known, error_price
):
    plan = Plan(known, "route", error_price=error_price)
    cautious = plan.cautious()
    assert all(c >= mean - 1e-9 for c, mean in zip(cautious, plan.means, strict=True))
    assert cautious[-1] == plan.means[-1]


def test_the_most_expensive_of_whose_failures_nothing_is_known_is_taken_to_do():
    known = [Known(Estimate(1.0, 0.0), ANYTHING), Known(Estimate(4.0, 0.0), ANYTHING)]
    plan = Plan(known, "route", error_price=10.0)
    assert plan.means == [1.0 + 10.0 * 0.5, 4.0]
    assert plan.cautious() == [1.0 + 10.0, 4.0]


def test_a_cost_that_includes_failing_is_left_as_it_is():
    whole = Estimate(5.0, 9.0, 1.0)
    known = [Known(whole, None), Known(Estimate(6.0, 1.0), None)]
    plan = Plan(known, "cascade", judge_price=3.0, error_price=7.0)
    assert plan.totals() == [whole, Estimate(6.0, 1.0)]
    assert (plan.judged, plan.cautious(), plan.ladder(0)) == ([False, False], [14.0, 6.0], [0, 1])


def test_a_model_that_was_never_tried_is_not_asked_next_while_another_was():
    tried = Known(Estimate(9.0, 0.0), Estimate(0.1, 0.0))
    plan = Plan([tried, Known(UNKNOWN, ANYTHING), tried], "cascade")
    assert plan.ladder(0) == [0, 2]
    assert plan.totals()[1] is UNKNOWN


class Says:
    def __init__(self, estimate):
        self.estimate = estimate

    def predict(self, x):
        return self.estimate

    def learn(self, x, cost):
        self.estimate = cost


@pytest.mark.parametrize(
    ("said", "low", "mean", "high"),
    [
        (Estimate(0.3, 0.1), 0.2, 0.3, 0.4),
        (Estimate(0.3, 0.5), 0.0, 0.3, 0.8),
        (Estimate(1.5, 0.1), 1.0, 1.0, 1.0),
        (Estimate(-0.5, 0.1), 0.0, 0.0, 0.0),
        (UNKNOWN, 0.0, 0.5, 1.0),
    ],
)
def test_a_chance_is_within_0_and_1_whatever_an_estimator_says(said, low, mean, high):
    fails = Known.of(Costs(Says(Estimate(1.0, 0.0)), Says(said)), Query("x")).fails
    assert (fails.optimistic, fails.mean, fails.upper) == pytest.approx((low, mean, high))


def test_a_model_is_tried_when_it_is_known_what_it_costs():
    assert Known(Estimate(1.0, 0.0), ANYTHING).tried
    assert not Known(UNKNOWN, Estimate(0.1, 0.0)).tried
    assert Known(Estimate(1.0, 0.5, 0.5), None).plus(2.0).price == Estimate(3.0, 0.5, 0.5)
    assert math.isinf(Known(UNKNOWN, None).plus(2.0).price.width)


@pytest.mark.parametrize(("mean", "width"), [(1.0, 2.0), (3.0, 0.5), (2.0, 1.0)])
def test_what_is_at_stake_is_what_knowing_the_cheaper_one_would_save(mean, width):
    costs = np.random.default_rng(0).normal(mean, width / 1.645, 200_000)
    blind, knowing = min(mean, 2.0), np.minimum(costs, 2.0).mean()
    assert at_stake(Estimate(mean, width), 2.0) == pytest.approx(blind - knowing, abs=0.01)


def test_nothing_is_at_stake_where_all_is_known_and_anything_where_nothing_is():
    assert at_stake(Estimate(1.0, 0.0), 2.0) == 0.0
    assert at_stake(Estimate(0.0, math.inf), 2.0) == math.inf


@given(
    models(),
    st.sampled_from(["route", "cascade", "auto"]),
    prices,
    st.floats(0.0, 1.0),
    st.booleans(),
)
def test_what_a_model_is_tried_by_lies_between_its_least_cost_and_what_the_means_come_to(
    known, strategy, error_price, hope, akin
):
    def hopeful(hope):
        told = [one._replace(hope=hope, akin=akin) for one in known]
        return Plan(told, strategy, judge_price=1.0, error_price=error_price).hopeful()

    least = [
        total.optimistic
        for total in Plan(known, strategy, judge_price=1.0, error_price=error_price).totals()
    ]
    assert hopeful(1.0) == pytest.approx(least, abs=1e-9)
    for all_, part, none in zip(hopeful(1.0), hopeful(hope), hopeful(0.0), strict=True):
        assert all_ - 1e-9 <= part <= none + 1e-9
    if strategy == "route" and not akin:
        assert hopeful(hope) == hopeful(1.0)  # nobody judges


def lived(*outcomes):
    made = Outcomes()
    for outcome in outcomes:
        made.learn(outcome)
    return made


def test_a_model_is_tried_by_its_whole_bound_until_enough_of_the_rarer_outcome_came():
    assert Outcomes().hope == 1.0
    assert lived(*[0.0] * 5000).hope == 1.0
    assert lived(*[0.0, 1.0] * 50).hope == 1.0
    assert lived(*[0.0, 1.0] * 120).hope == pytest.approx(ENOUGH / 120, rel=0.1)
    assert lived(*[0.25] * 400).hope == pytest.approx(ENOUGH / 100, rel=0.1)


def test_what_was_long_ago_is_forgotten_so_that_a_model_is_never_given_up():
    half, long = LATELY / math.log(2) / 2, round(LATELY)
    assert lived(*[0.0, 1.0] * 5 * long).hope == pytest.approx(ENOUGH / half, rel=0.01)
    assert lived(*[1.0, 0.0] * long, *[1.0] * 8 * long).hope == 1.0

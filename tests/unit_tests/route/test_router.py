"""Which model: the least optimistic bound; and the router as an estimator."""

import math
import random
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.route.estimators import UNKNOWN, Mean, Ridge
from langchain_cachemux.route.router import Router
from langchain_cachemux.testing import check_estimator
from langchain_cachemux.types import Estimate, Query

X = Query("x")
estimates = st.builds(Estimate, st.floats(-10, 10), st.floats(0, 10), st.floats(0, 5))


class Says:
    """An estimator that says one thing and remembers what it was told."""

    def __init__(self, estimate):
        self.estimate, self.told = estimate, []

    def predict(self, x):
        return self.estimate

    def learn(self, x, cost):
        self.told.append((x, cost))


def router(**said):
    return Router({name: Says(estimate) for name, estimate in said.items()})


@given(st.lists(estimates, min_size=1, max_size=6))
def test_the_model_of_the_least_mean_minus_width_is_chosen_and_the_first_of_equals(said):
    route = router(**{f"m{i}": estimate for i, estimate in enumerate(said)}).choose(X)
    bounds = [estimate.mean - estimate.width for estimate in said]
    assert route.model == f"m{bounds.index(min(bounds))}"
    assert list(route.estimates.values()) == said


@given(st.lists(estimates, min_size=1, max_size=6))
def test_a_router_predicts_the_least_lower_bound_of_its_models(said):
    prediction = router(**{f"m{i}": estimate for i, estimate in enumerate(said)}).predict(X)
    assert prediction.lower == min(max(e.floor, e.mean - e.width) for e in said)
    assert prediction in said


def test_bounds_are_not_clipped_at_the_floor_for_routing():
    # Both lower bounds are the floor, 1; the second model's unclipped bound is the lower one.
    assert router(a=Estimate(3.0, 2.5, 1.0), b=Estimate(5.0, 9.0, 1.0)).choose(X).model == "b"


def test_models_not_tried_yet_are_tried_first_and_cheap_to_dear():
    tried = Estimate(0.001, 0.0)
    assert router(small=tried, middle=UNKNOWN, large=UNKNOWN).choose(X).model == "middle"


def test_a_route_says_why_with_the_bound_of_every_model():
    route = router(small=Estimate(2.0, 0.5), large=Estimate(3.0, 2.0)).choose(X)
    assert route.model == "large"
    assert route.reason == "least lower bound of small 1.5, large 1"
    assert router(small=Estimate(2.0, 0.5), large=UNKNOWN).choose(X).reason == "not tried yet"


def test_only_the_model_that_answered_learns():
    routes = router(small=UNKNOWN, large=UNKNOWN)
    routes.learn(X, 2.0, "large")
    assert routes.estimators["large"].told == [(X, 2.0)]
    assert routes.estimators["small"].told == []


def test_a_cost_with_no_route_is_passed_over():
    routes = router(small=UNKNOWN)
    routes.learn(X, 2.0)
    assert routes.estimators["small"].told == []


def test_an_unknown_route_is_refused_by_name_and_value():
    with pytest.raises(ValueError, match=r"route must be one of \['small'\], got 'huge'"):
        router(small=UNKNOWN).learn(X, 1.0, "huge")


@pytest.mark.parametrize("cost", [-1.0, math.nan, math.inf])
def test_a_cost_that_is_no_finite_number_is_refused(cost):
    with pytest.raises(ValueError, match=f"cost must be .* got {cost!r}"):
        Router({"small": Mean()}).learn(X, cost, "small")


def test_a_router_of_nothing_is_refused():
    with pytest.raises(ValueError, match="estimators must name at least one model, got none"):
        Router({})


def test_the_mapping_given_may_change_afterwards():
    given_mapping = {"small": Says(Estimate(2.0, 0.0))}
    routes = Router(given_mapping)
    given_mapping["free"] = Says(Estimate(0.0, 0.0))
    assert routes.choose(X).model == "small"


def test_a_router_whose_every_cost_is_told_with_its_route_is_an_estimator():
    class Routed(Router):
        def learn(self, x, cost, route=None):
            super().learn(x, cost, route or self.choose(x).model)

    check_estimator(lambda: Routed({"only": Mean()}))


def test_every_model_is_tried_and_the_cheapest_for_each_query_wins():
    # Small answers a for 1 and fails on b for 9; large costs 4. Each draw varies by 10 %.
    chance = random.Random(0)
    costs = {("small", "a"): 1.0, ("small", "b"): 9.0, ("large", "a"): 4.0, ("large", "b"): 4.0}
    routes, chosen = Router({"small": Mean(), "large": Mean()}), []
    for turn in range(400):
        x = Query("ab"[turn % 2])
        model = routes.choose(x).model
        routes.learn(x, costs[model, x.key] * chance.uniform(0.9, 1.1), model)
        chosen.append((model, x.key))
    assert {model for model, _ in chosen[:4]} == {"small", "large"}
    assert set(chosen[-200:]) == {("small", "a"), ("large", "b")}


def test_threads_lose_no_cost():
    class Counts(Says):
        """Learns as `n = n + 1` in two steps, which only a lock makes one."""

        n = 0

        def learn(self, x, cost):
            n = self.n
            pause.wait(1e-6)
            self.n = n + 1

    pause, counts = threading.Event(), Counts(UNKNOWN)
    routes = Router({"m": counts})
    threads = [
        threading.Thread(target=lambda: [routes.learn(X, 1.0, "m") for _ in range(50)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts.n == 400


def test_a_model_whose_first_answers_failed_alike_is_tried_again():
    router = Router({"small": Ridge(), "large": Ridge()})
    rng = np.random.default_rng(0)
    queries = [
        Query(str(n), vector=v / np.linalg.norm(v)) for n, v in enumerate(rng.normal(size=(60, 32)))
    ]
    for query in queries[:2]:
        router.learn(query, 11.0, "small")
        router.learn(query, 10.0, "large")

    for query in queries[2:]:
        route = router.choose(query).model
        router.learn(query, 1.0 if route == "small" else 10.0, route)

    assert router.choose(queries[-1]).model == "small"


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_of_equal_lower_bounds_the_prediction_is_of_the_model_that_is_chosen(names):
    # Both lower bounds are the floor, 1; the less width leaves a at 0.5, b is at -4.
    said = {"a": Estimate(3.0, 2.5, 1.0), "b": Estimate(5.0, 9.0, 1.0)}
    routes = router(**{name: said[name] for name in names})
    assert routes.choose(X).model == "b"
    assert routes.predict(X) == said["b"]

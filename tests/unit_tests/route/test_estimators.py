"""Each estimator against an oracle that recomputes everything from the whole history."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.route.estimators import UNKNOWN, Floor, Mean, Ridge, Spread, checked
from langchain_cachemux.testing import check_estimator
from langchain_cachemux.types import Query

costs = st.floats(1e-3, 1e3)
histories = st.lists(st.tuples(st.sampled_from("abcd"), costs), min_size=1, max_size=40)
vectors = st.none() | st.tuples(*[st.integers(-4, 4)] * 3)
rows = st.lists(st.tuples(vectors, costs), min_size=1, max_size=25)


def query(vector, key="q"):
    return Query(key, vector=None if vector is None else np.array(vector, dtype=np.float32))


def mean_oracle(history, key, z=1.0):
    """Mean's docstring, from the full history: (mean, width², floor)."""
    groups = {}
    for name, cost in history:
        groups.setdefault(name, []).append(cost)
    repeats = sum(len(group) - 1 for group in groups.values())
    squares = sum(np.var(group) * len(group) for group in groups.values())
    within = squares / repeats if repeats else 0.0
    relative = sum(
        (np.var(group[:n]) * n - np.var(group[: n - 1]) * (n - 1)) / np.mean(group[:n]) ** 2
        for group in groups.values()
        for n in range(2, len(group) + 1)
    )
    firsts = [group[0] for group in groups.values()]
    among = np.var(firsts, ddof=1) if len(firsts) > 1 else firsts[0] ** 2
    between = max(among - within, 0.0)
    own, floor = groups.get(key, []), min(cost for _, cost in history)
    if not own:
        return np.mean(firsts), z**2 * between, floor
    if all(len(set(group)) == 1 for group in groups.values()):
        return np.mean(own), 0.0, floor
    kappa = within / (between + (within + between) / len(firsts))
    total = len(own) + kappa
    mean = (sum(own) + kappa * np.mean(firsts)) / total
    x = z * math.sqrt(max(relative, 0.0) / repeats / total)
    return mean, min(z**2 * within / total, (mean * x / (1 + x)) ** 2), floor


def ridge_oracle(history, shrinkage):
    """(A, w) of the closed form over features (10, vector), a missing vector being all zero."""
    X = np.array([features(v) for v, _ in history]).reshape(-1, 4)  # noqa: N806
    A = shrinkage * np.eye(4) + X.T @ X  # noqa: N806
    return A, np.linalg.solve(A, X.T @ np.array([cost for _, cost in history]))


def features(vector):
    return np.array([10.0, *(vector or (0, 0, 0))])


@pytest.mark.parametrize(
    "make",
    [
        Mean,
        lambda: Mean(width=3.0),
        lambda: Mean(prior=Ridge()),
        lambda: Mean(prior=Mean()),
        Ridge,
        lambda: Ridge(width=2.0, shrinkage=0.1),
        lambda: Ridge(pooled=True),
    ],
    ids=[
        "Mean",
        "wide Mean",
        "Mean over Ridge",
        "Mean over Mean",
        "Ridge",
        "wide Ridge",
        "pooled Ridge",
    ],
)
def test_estimator_keeps_the_contract(make):
    check_estimator(make)


@pytest.mark.parametrize("make", [Mean, Ridge, lambda: Mean(prior=Ridge())])
def test_before_learning_everything_is_unknown(make):
    assert make().predict(query((1, 0, 0))) == UNKNOWN


@given(histories, st.sampled_from("abcdz"), st.sampled_from([0.0, 1.0, 2.5]))
def test_mean_is_the_formula_of_its_docstring_on_the_whole_history(history, key, z):
    estimator = Mean(width=z)
    for name, cost in history:
        estimator.learn(Query(name), cost)
    estimate = estimator.predict(Query(key))
    found = (estimate.mean, estimate.width**2, estimate.floor)
    assert found == pytest.approx(mean_oracle(history, key, z), rel=1e-6, abs=1e-6)


def test_mean_worked_by_hand():
    # a cost 1, 3; b cost 8. Within: a's squares about 2 are 1 + 1, one repeat: σ² = 2.
    # Firsts 1 and 8: p = 4.5, variance 24.5, τ² = 22.5. κ = 2 / (22.5 + 24.5/2) = 0.05755…
    # In proportion to the mean 2 the squares are half: v² = 0.5, and that is the lesser width.
    estimator = Mean()
    for key, cost in (("a", 1.0), ("a", 3.0), ("b", 8.0)):
        estimator.learn(Query(key), cost)
    kappa = 2 / 34.75
    a, new = estimator.predict(Query("a")), estimator.predict(Query("new"))
    assert a.mean == pytest.approx((4 + 4.5 * kappa) / (2 + kappa))
    x = math.sqrt(0.5 / (2 + kappa))
    assert a.width == pytest.approx(a.mean * x / (1 + x))
    assert a.width < math.sqrt(2 / (2 + kappa))
    assert (new.mean, new.width) == (4.5, pytest.approx(math.sqrt(22.5)))
    assert a.floor == new.floor == 1.0


def test_costs_that_do_not_vary_are_known_exactly():
    estimator = Mean()
    for _ in range(3):
        for key, cost in (("a", 2.0), ("b", 5.0)):
            estimator.learn(Query(key), cost)
    estimate = estimator.predict(Query("b"))
    assert (estimate.mean, estimate.width) == (5.0, 0.0)


@pytest.mark.parametrize("others", [0, 1, 5])
def test_a_query_asked_often_is_believed_even_if_its_first_cost_misled(others):
    # Its first cost is 0.1, all others 0.5 or 1.5 in turn: after 1000 of them the mean is 1.
    # τ² is estimated at 0 here, and few first costs must not outweigh a thousand others.
    estimator = Mean()
    for key in range(others):
        estimator.learn(Query(f"other {key}"), 0.1)
    estimator.learn(Query("hot"), 0.1)
    for turn in range(1000):
        estimator.learn(Query("hot"), 0.5 + turn % 2)
    assert estimator.predict(Query("hot")).mean == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("multiplies", [False, True])
def test_noise_that_adds_is_as_wide_for_all_and_noise_that_multiplies_in_proportion(multiplies):
    # Two hundred queries, costs 2 to 200; two costs each, 1 off their middle, or a half of it.
    estimator, middles = Mean(), np.linspace(2.0, 200.0, 200)
    for place, middle in enumerate(middles):
        off = middle / 2 if multiplies else 1.0
        for cost in (middle - off, middle + off):
            estimator.learn(Query(str(place)), cost)
    cheap, costly = (estimator.predict(Query(str(place))) for place in (5, 195))
    assert 0 < cheap.lower < cheap.mean
    assert 0 < costly.lower < costly.mean
    if multiplies:
        assert cheap.width / cheap.mean == pytest.approx(costly.width / costly.mean, rel=0.05)
    else:
        assert costly.width == pytest.approx(1.0, rel=0.05)
        assert cheap.width < 1.0


@given(histories, st.sampled_from("abcd"), st.floats(0.0, 10.0))
def test_no_bound_of_a_query_seen_before_sits_on_nothing(history, key, z):
    # Whatever the unit, cost is still seen.
    estimator = Mean(width=z)
    for name, cost in [*history, (key, 1.0)]:
        estimator.learn(Query(name), cost)
    estimate = estimator.predict(Query(key))
    assert estimate.optimistic > 0
    assert estimate.lower >= estimate.optimistic


def test_width_of_a_repeated_query_shrinks_as_one_over_root_n():
    estimator, widths = Mean(), {}
    for n in range(1, 1601):
        estimator.learn(Query("a"), 10.0 + (-1) ** n)
        widths[n] = estimator.predict(Query("a")).width
    assert widths[400] / widths[100] == pytest.approx(0.5, rel=0.05)
    assert widths[1600] / widths[400] == pytest.approx(0.5, rel=0.05)


def test_few_costs_of_a_noisy_query_lie_between_its_own_and_the_prior():
    estimator = Mean()
    for key, pair in {"a": (1.0, 5.0), "b": (9.0, 11.0), "c": (3.0, 9.0)}.items():
        for cost in pair:
            estimator.learn(Query(key), cost)
    prior = (1.0 + 9.0 + 3.0) / 3
    assert 3.0 < estimator.predict(Query("a")).mean < prior
    assert prior < estimator.predict(Query("b")).mean < 10.0


def test_a_prior_speaks_for_queries_never_seen_and_learns_every_cost():
    prior, twin = Ridge(), Ridge()
    estimator = Mean(prior=prior)
    for i in range(20):
        x = query((i % 3, 1, 0), key=str(i % 5))
        estimator.learn(x, 1.0 + i % 3)
        twin.learn(x, 1.0 + i % 3)
    new = query((2, 1, 0), key="new")
    assert prior.predict(new) == twin.predict(new)
    estimate = estimator.predict(new)
    assert (estimate.mean, estimate.width) == (prior.predict(new).mean, prior.predict(new).width)


def test_a_prior_that_knows_something_is_asked_before_anything_was_learned():
    prior = Mean()
    prior.learn(Query("elsewhere"), 4.0)
    assert Mean(prior=prior).predict(Query("a")).mean == 4.0


def test_a_good_prior_weighs_more_than_a_bad_one():
    # Costs depend on the vector alone, plus noise; the prior is right in one, constant in the other.
    rng = np.random.default_rng(0)
    good, bad = Mean(prior=Ridge()), Mean(prior=Mean())
    questions = [query(v, key=str(i)) for i, v in enumerate(rng.choice([-1.0, 1.0], (300, 3)))]
    for x in questions + questions:
        cost = 20 + 3 * x.vector[0] + rng.normal()
        for estimator in (good, bad):
            estimator.learn(x, cost)
    x, truth = query((1, 1, 1), key="rare"), 23.0
    for estimator in (good, bad):
        estimator.learn(x, 19.0)
    assert abs(good.predict(x).mean - truth) < 0.5 * abs(bad.predict(x).mean - truth)


def test_the_query_learned_longest_ago_is_forgotten_first():
    estimator = Mean(keys=2)
    for key in ("a", "b", "a", "c"):
        estimator.learn(Query(key), {"a": 1.0, "b": 2.0, "c": 3.0}[key])
    assert estimator.predict(Query("a")).mean == 1.0
    assert estimator.predict(Query("b")) == estimator.predict(Query("never seen"))


@given(rows, vectors, st.sampled_from([0.1, 1.0, 10.0]))
def test_ridge_is_the_closed_form_with_the_error_of_its_own_predictions(history, at, shrinkage):
    estimator = Ridge(width=2.0, shrinkage=shrinkage)
    for vector, cost in history:
        estimator.learn(query(vector), cost)
    errors = []
    for i, (vector, cost) in enumerate(history):
        _, before = ridge_oracle(history[:i], shrinkage)
        errors.append(cost - before @ features(vector))
    A, weights = ridge_oracle(history, shrinkage)  # noqa: N806
    x, floor = features(at), min(cost for _, cost in history)
    width = 2.0 * math.sqrt(np.mean(np.square(errors)) * (x @ np.linalg.solve(A, x)))
    estimate = estimator.predict(query(at))
    expected = (max(weights @ x, floor), width, floor)
    scale = max(cost for _, cost in history)
    found = (estimate.mean, estimate.width, estimate.floor)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6 * scale)


def test_ridge_stays_the_closed_form_over_thousands_of_costs():
    rng = np.random.default_rng(1)
    history = [(tuple(rng.normal(size=3).astype(np.float32)), c) for c in rng.gamma(2, size=5000)]
    estimator = Ridge()
    for vector, cost in history:
        estimator.learn(query(vector), cost)
    A, weights = ridge_oracle(history, 1.0)  # noqa: N806
    x = features((0.5, -0.5, 1.0))
    estimate = estimator.predict(query((0.5, -0.5, 1.0)))
    assert estimate.mean == pytest.approx(weights @ x, rel=1e-9)
    sigma = math.sqrt(estimator._squared_errors / 5000)
    assert estimate.width == pytest.approx(sigma * math.sqrt(x @ np.linalg.solve(A, x)), rel=1e-9)


def test_ridge_learns_a_linear_cost():
    rng = np.random.default_rng(2)
    estimator = Ridge(shrinkage=1e-3)
    for x in rng.normal(size=(200, 3)).astype(np.float32):
        estimator.learn(query(x), float(20 + x @ [1, -2, 3]))
    assert estimator.predict(query((1, 1, 1))).mean == pytest.approx(22, rel=1e-3)
    assert estimator.predict(query(None)).mean == pytest.approx(20, rel=1e-3)


def test_ridge_is_surest_where_it_has_looked():
    estimator = Ridge()
    for turn in range(50):
        estimator.learn(query((1, 0, 0)), 2.0 + turn % 2)
    seen, unseen = (estimator.predict(query(v)).width for v in ((1, 0, 0), (0, 1, 0)))
    assert seen < unseen


def test_ridge_refuses_a_vector_of_another_length_and_is_not_changed_by_it():
    estimator = Ridge()
    estimator.learn(query((1, 0, 0)), 1.0)
    before = estimator.predict(query((1, 0, 0)))
    with pytest.raises(ValueError, match="vector has length 2, 3 was learned from"):
        estimator.learn(query((1, 0)), 1.0)
    assert estimator.predict(query((1, 0, 0))) == before


def test_an_answer_that_costs_nothing_is_not_bounded_above_its_mean():
    estimator = Mean()
    estimator.learn(Query("free"), 0.0)
    estimator.learn(Query("costly"), 5.0)
    estimate = estimator.predict(Query("free"))
    assert estimate.lower <= estimate.mean


@given(st.lists(st.floats(0, 1e6)))
def test_floor_is_the_least_positive_cost(values):
    floor = Floor()
    for value in values:
        floor.add(value)
    assert floor.value == min((v for v in values if v > 0), default=0.0)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1))
def test_spread_is_mean_and_unbiased_variance(values):
    spread = Spread()
    for value in values:
        spread.add(value)
    assert spread.n == len(values)
    assert spread.mean == pytest.approx(np.mean(values), abs=1e-6)
    expected = np.var(values, ddof=1) if len(values) > 1 else values[0] ** 2
    assert spread.variance == pytest.approx(expected, rel=1e-6, abs=1e-6)


extremes = st.sampled_from([0.0, 5e-324, 1e-200, 1e-170, 2e-162, 1.0, 1e18, 9e35])


@pytest.mark.parametrize("make", [Mean, lambda: Mean(prior=Ridge()), Ridge])
@given(history=st.lists(st.tuples(st.sampled_from("ab"), extremes), min_size=1, max_size=8))
def test_the_least_and_the_largest_costs_are_learned_without_a_fault(make, history):
    estimator = make()
    for key, cost in history:
        estimator.learn(Query(key), cost)
    for key in "abc":
        estimate = estimator.predict(Query(key))
        assert math.isfinite(estimate.mean)
        assert 0 <= estimate.lower <= estimate.upper


@pytest.mark.parametrize("cost", [-1e-9, 1e36, 1e200, math.nan, math.inf, -math.inf])
def test_a_cost_that_is_no_finite_number_is_refused_by_name_and_value(cost):
    with pytest.raises(ValueError, match=f"cost must be .* got {re.escape(repr(cost))}"):
        checked(cost)


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (lambda v: Mean(width=v), "width", -1.0),
        (lambda v: Mean(width=v), "width", math.inf),
        (lambda v: Mean(width=v), "width", math.nan),
        (lambda v: Mean(keys=v), "keys", 0),
        (lambda v: Ridge(width=v), "width", -0.5),
        (lambda v: Ridge(width=v), "width", math.nan),
        (lambda v: Ridge(shrinkage=v), "shrinkage", 0),
        (lambda v: Ridge(pooled=v), "pooled", 1),
        (lambda v: Ridge(shrinkage=v), "shrinkage", math.inf),
    ],
)
def test_a_wrong_argument_is_refused_by_name_and_value(make, name, value):
    with pytest.raises(ValueError, match=f"{name} must be .* got {value!r}"):
        make(value)


def test_each_cost_of_one_query_moves_the_mean_towards_it():
    estimator, means = Mean(), []
    for cost in (1.0, 2.0, 8.0, 8.0, 8.0, 8.0):
        estimator.learn(Query("a"), cost)
        means.append(estimator.predict(Query("a")).mean)
    assert all(low < high for low, high in pairwise(means))


def test_the_query_predicted_of_late_is_not_the_one_forgotten():
    estimator = Mean(keys=2)
    for key, cost in (("a", 1.0), ("b", 2.0)):
        estimator.learn(Query(key), cost)
    estimator.predict(Query("a"))
    estimator.learn(Query("c"), 3.0)
    assert estimator.predict(Query("a")).mean == 1.0
    assert estimator.predict(Query("b")) == estimator.predict(Query("never seen"))

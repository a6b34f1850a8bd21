"""Any scikit-learn regressor: the contract, an oracle for its mean and width, and what it promises."""

import math

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.linear_model import Ridge, SGDRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from langchain_cachemux.route.estimators import UNKNOWN
from langchain_cachemux.route.fitted import SklearnEstimator
from langchain_cachemux.testing import check_estimator
from langchain_cachemux.types import Query

REGRESSORS = {
    "default": lambda: None,
    "SGD": lambda: SGDRegressor(random_state=0),
    "Ridge": Ridge,
    "tree": lambda: DecisionTreeRegressor(max_depth=3, random_state=0),
    "pipeline": lambda: make_pipeline(StandardScaler(), Ridge()),
    "nearest neighbour": lambda: KNeighborsRegressor(n_neighbors=1),
}


def query(vector=None):
    return Query("q", vector=None if vector is None else np.array(vector, dtype=np.float32))


def stream(n, *, seed=0, noise=0.2, d=4):
    """Vectors, and costs that are linear in them and noisy, all above 1."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n, d)).astype(np.float32)  # noqa: N806
    return [(query(x), float(10 + 2 * x[0] - 3 * x[1] + noise * rng.normal())) for x in X]


def learned(regressor, history, **options):
    estimator = SklearnEstimator(regressor, **options)
    for x, cost in history:
        estimator.learn(x, cost)
    return estimator


@pytest.mark.parametrize("make", REGRESSORS.values(), ids=REGRESSORS)
def test_estimator_keeps_the_contract(make):
    check_estimator(lambda: SklearnEstimator(make()))


def test_a_regressor_that_needs_several_examples_is_not_asked_before_it_has_them():
    learned(KNeighborsRegressor(n_neighbors=5), stream(3)).predict(query((0, 0, 0, 0)))


def test_before_learning_everything_is_unknown():
    assert SklearnEstimator().predict(query((1, 0, 0, 0))) == UNKNOWN


def test_a_regressor_with_partial_fit_sees_each_cost_once_in_units_of_the_first():
    history = stream(60)
    estimator = learned(SGDRegressor(random_state=3), history)
    twin, errors, unit = SGDRegressor(random_state=3), [], history[0][1]
    for i, (x, cost) in enumerate(history):
        guess = twin.predict([x.vector])[0] * unit if i else 0.0
        errors.append(abs(cost - guess))
        twin.partial_fit([x.vector], [cost / unit])
    at = query((0.5, 0.5, 0, 0))
    estimate, floor = estimator.predict(at), min(cost for _, cost in history)
    assert estimate.mean == pytest.approx(max(twin.predict([at.vector])[0] * unit, floor))
    assert estimate.width == pytest.approx(np.quantile(errors, 0.9 * 61 / 60))
    assert estimate.floor == floor


@pytest.mark.parametrize("make", [Ridge, lambda: DecisionTreeRegressor(random_state=0)])
def test_another_regressor_is_fitted_again_when_a_quarter_of_what_is_kept_is_new(make):
    history, kept = stream(60), 20
    estimator = learned(make(), history, examples=kept, delta=0.2)
    twin, errors, next_fit, unit = make(), [], 1, history[0][1]
    for n, (x, cost) in enumerate(history, start=1):
        guess = twin.predict([x.vector])[0] * unit if n > 1 else 0.0
        errors.append(abs(cost - guess))
        if n >= next_fit:
            recent = history[max(0, n - kept) : n]
            twin.fit([y.vector for y, _ in recent], [c / unit for _, c in recent])
            next_fit = n + max(1, len(recent) // 4)
    at = query((0.5, 0.5, 0, 0))
    estimate = estimator.predict(at)
    assert estimate.mean == pytest.approx(twin.predict([at.vector])[0] * unit)
    level = min(1.0, 0.8 * (kept + 1) / kept)
    assert estimate.width == pytest.approx(np.quantile(errors[-kept:], level))


@pytest.mark.parametrize("make", [Ridge, lambda: SGDRegressor(eta0=0.1, random_state=0)])
def test_a_change_of_costs_is_learned_after_the_memory_is_full(make):
    estimator = learned(make(), stream(300), examples=50)
    for x, cost in stream(300, seed=1):
        estimator.learn(x, 5 * cost)
    assert estimator.predict(query((0, 0, 0, 0))).mean == pytest.approx(50, rel=0.1)


@pytest.mark.parametrize("delta", [0.05, 0.2])
def test_of_the_costs_that_come_next_all_but_delta_lie_in_the_interval(delta):
    history = stream(1500, noise=1.0)
    estimator, inside = learned(Ridge(), history[:500], delta=delta), []
    for x, cost in history[500:]:
        estimate = estimator.predict(x)
        inside.append(estimate.mean - estimate.width <= cost <= estimate.upper)
        estimator.learn(x, cost)
    error = 3 * math.sqrt(delta * (1 - delta) / len(inside))
    assert np.mean(inside) == pytest.approx(1 - delta, abs=error)


@pytest.mark.parametrize(
    "make", [Ridge, lambda: SGDRegressor(eta0=0.1, random_state=0)], ids=["Ridge", "SGD"]
)
def test_what_depends_on_the_vector_is_learned(make):
    estimator = learned(make(), stream(1000))
    assert estimator.predict(query((1, -1, 0, 0))).mean == pytest.approx(15, rel=0.05)
    assert estimator.predict(query((-1, 1, 0, 0))).mean == pytest.approx(5, rel=0.05)


def test_by_default_a_thousand_costs_teach_more_than_their_mean_does():
    history = stream(1000)
    estimator, average = learned(None, history), np.mean([cost for _, cost in history])
    fresh = stream(200, seed=1)
    errors = [abs(estimator.predict(x).mean - cost) for x, cost in fresh]
    assert np.mean(errors) < np.mean([abs(average - cost) for _, cost in fresh])


def test_a_query_without_a_vector_is_expected_to_cost_what_all_did():
    history = [*stream(20), (query(), 30.0), (query(), 40.0)]
    estimate = learned(Ridge(), history).predict(query())
    values = [cost for _, cost in history]
    assert estimate.mean == pytest.approx(np.mean(values))
    assert estimate.width == pytest.approx(np.std(values, ddof=1))


def test_without_any_vector_every_query_is_expected_to_cost_what_all_did():
    estimator = learned(Ridge(), [(query(), 1.0), (query(), 3.0)])
    assert estimator.predict(query((1, 0, 0, 0))).mean == 2.0


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**20])
def test_a_first_cost_of_zero_does_not_fix_the_unit(factor):
    history = [(query((1, 0, 0, 0)), 0.0), *stream(50)]
    at = query((0, 0, 0, 0))
    plain = learned(None, history).predict(at)
    scaled = learned(None, [(x, factor * cost) for x, cost in history]).predict(at)
    assert scaled.mean == pytest.approx(factor * plain.mean)
    assert scaled.width == pytest.approx(factor * plain.width)


def test_the_regressor_given_is_not_touched():
    regressor = Ridge()
    learned(regressor, stream(5))
    assert not hasattr(regressor, "coef_")


def test_the_nearest_neighbour_remembers_only_the_examples_kept():
    estimator = learned(KNeighborsRegressor(n_neighbors=1), stream(40), examples=8)
    last_fits = stream(40)[-10:]
    means = {round(estimator.predict(x).mean, 6) for x, _ in stream(40)}
    assert means <= {round(cost, 6) for _, cost in last_fits}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": 0}, r"delta must be in \(0, 1\), got 0"),
        ({"delta": 1.0}, r"delta must be in \(0, 1\), got 1.0"),
        ({"delta": math.nan}, r"delta must be in \(0, 1\), got nan"),
        ({"examples": 0}, "examples must be at least 1, got 0"),
        ({"regressor": KMeans()}, r"regressor must be .* got KMeans\(\)"),
        ({"regressor": "ridge"}, "regressor must be .* got 'ridge'"),
        ({"regressor": Ridge}, "regressor must be .* got <class .*Ridge'>"),
    ],
)
def test_a_wrong_argument_is_refused_by_name_and_value(options, message):
    with pytest.raises(ValueError, match=message):
        SklearnEstimator(**options)

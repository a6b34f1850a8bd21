"""The winner's curse, and how far an estimator is believed."""

import numpy as np
import pytest

from langchain_cachemux.route.estimators import UNKNOWN, Mean, Ridge
from langchain_cachemux.route.shrunk import Shrunk
from langchain_cachemux.testing import check_estimator
from langchain_cachemux.types import Estimate, Query


class Reads:
    """Says of a query the number that is its key."""

    def predict(self, x):
        return Estimate(float(x.key), 0.25, 0.0, 1.0)

    def learn(self, x, cost):
        pass


def taught(pairs, **settings):
    shrunk = Shrunk(Reads(), **settings)
    for said, came in pairs:
        shrunk.learn(Query(repr(said)), came)
    return shrunk


@pytest.mark.parametrize("make", [Ridge, Mean, lambda: Mean(prior=Ridge())])
def test_it_keeps_the_contract_of_what_it_shrinks(make):
    check_estimator(lambda: Shrunk(make()))


def test_before_it_has_learned_it_says_what_the_estimator_says():
    assert Shrunk(Ridge()).predict(Query("x")) == UNKNOWN
    assert Shrunk(Reads()).predict(Query("0.75")) == Reads().predict(Query("0.75"))


def test_what_came_true_is_believed():
    rng = np.random.default_rng(0)
    chances = rng.random(2000)
    shrunk = taught(zip(chances.tolist(), (rng.random(2000) < chances).astype(float), strict=True))
    assert shrunk.slope > 0.9
    assert shrunk.predict(Query("0.9")).mean == pytest.approx(0.9, abs=0.05)


def test_what_told_nothing_is_replaced_by_the_mean_of_what_came_and_keeps_its_width():
    rng = np.random.default_rng(0)
    came = (rng.random(2000) < 0.3).astype(float)
    shrunk = taught(zip(rng.random(2000).tolist(), came, strict=True))
    assert shrunk.slope < 0.1
    said = shrunk.predict(Query("0.9"))
    assert said.mean == pytest.approx(0.3, abs=0.05)
    assert (said.width, said.ceiling) == (0.25, 1.0)


def test_what_came_out_the_other_way_round_counts_for_nothing():
    assert taught([(0.9, 0.0), (0.1, 1.0)] * 50).slope == 0.0


def test_the_slope_is_that_of_ridge_regression_with_the_variance_as_its_penalty():
    # An estimator is judged by all it said, each weighted 2^(-age/half-life): the slow way.
    rng = np.random.default_rng(1)
    said, came = rng.random(60), rng.random(60)
    weights = 0.5 ** (np.arange(60)[::-1] / 20.0)
    m, y = (v - np.average(v, weights=weights) for v in (said, came))
    variance = np.average(y * y, weights=weights)
    slope = (weights * m * y).sum() / ((weights * m * m).sum() + variance)
    shrunk = taught(zip(said.tolist(), came.tolist(), strict=True), half_life=20.0)
    assert shrunk.slope == pytest.approx(max(slope, 0.0))


def test_picking_the_least_of_many_noisy_means_costs_less_when_they_are_shrunk():
    # Thirty models alike in all but one: each said to cost 1 + noise, all but model 0 cost 1, it 0.8.
    rng = np.random.default_rng(0)
    models = [Shrunk(Reads()) for _ in range(30)]
    for _ in range(200):
        for k, model in enumerate(models):
            cost = float((0.8 if k == 0 else 1.0) + rng.normal(0, 0.1))
            model.learn(Query(repr(float(cost + rng.normal(0, 0.5)))), abs(cost))
    said = [Query(repr(float(1.0 + rng.normal(0, 0.5)))) for _ in models]
    shrunk = [m.predict(x).mean for m, x in zip(models, said, strict=True)]
    assert int(np.argmin(shrunk)) == 0
    assert int(np.argmin([float(x.key) for x in said])) != 0


@pytest.mark.parametrize("half_life", [0.0, -1.0])
def test_a_half_life_that_is_not_positive_is_refused(half_life):
    with pytest.raises(ValueError, match=f"half_life must be .* got {half_life}"):
        Shrunk(Mean(), half_life=half_life)


def test_what_the_estimator_refuses_is_not_learned():
    shrunk = taught([(0.5, 1.0), (0.25, 0.5)])
    before = shrunk.slope
    shrunk.estimator = Mean()
    with pytest.raises(ValueError, match="cost must be"):
        shrunk.learn(Query("x"), -1.0)
    assert shrunk.slope == before


def test_one_that_cannot_be_kept_is_named():
    with pytest.raises(
        ValueError, match=r"must have dump\(\) and restore\(\) to be kept, got .*Reads"
    ):
        Shrunk(Reads()).dump()

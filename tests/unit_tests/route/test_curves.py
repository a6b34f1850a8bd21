"""Curves fitted together: the posterior they are said to be of, and what leaving an example out is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from langchain_cachemux.route.curves import Seen, chances, fit, logistic, stretch

D, W = 4, 3
"""Dense columns, the first being the intercept, and words."""


def outcomes(models, n, *, seed=0, alike=0.0):
    """Examples of several models, whose true weights are `alike` of one and the rest their own."""
    rng = np.random.default_rng(seed)
    one, seen = rng.normal(size=D + W), []
    for _ in range(models):
        true = alike * one + (1 - alike) * rng.normal(size=D + W)
        rows = np.hstack([np.full((n, 1), 2.0), rng.normal(size=(n, D - 1))])
        words = rng.normal(size=(n, W)) * (rng.random((n, W)) < 0.5)
        y = (rng.random(n) < chances(np.hstack([rows, words]) @ true)).astype(float)
        seen.append(Seen(rows, csr_matrix(words), y))
    return seen


def posterior(seen, strict, kinship):
    """The slow way: one logistic regression under the whole prior, as a Kronecker product."""
    models, columns = len(seen), D + W
    alike = (1 - kinship) * np.eye(models) + kinship * np.ones((models, models))
    prior = np.kron(alike, np.diag([0.0] + [1 / strict] * (columns - 1)))
    prior += np.kron(np.eye(models), np.diag([1.0] + [0.0] * (columns - 1)))
    precision = np.linalg.inv(prior)
    design = np.zeros((0, models * columns))
    for k, s in enumerate(seen):
        block = np.zeros((len(s.y), models * columns))
        block[:, k * columns : (k + 1) * columns] = np.hstack([s.rows, s.words.toarray()])
        design = np.vstack([design, block])
    y = np.concatenate([s.y for s in seen])

    def loss(w):
        logits = design @ w
        return np.logaddexp(0, logits).sum() - y @ logits + 0.5 * w @ precision @ w

    def slope(w):
        return design.T @ (chances(design @ w) - y) + precision @ w

    best = minimize(loss, np.zeros(len(precision)), jac=slope, method="BFGS", tol=1e-9).x
    p = chances(design @ best)
    dense = np.concatenate([k * columns + np.arange(D) for k in range(models)])
    information = ((design.T * (p * (1 - p))) @ design)[np.ix_(dense, dense)]
    whole = np.linalg.inv(information + np.linalg.inv(prior[np.ix_(dense, dense)]))
    blocks = [whole[k * D : (k + 1) * D, k * D : (k + 1) * D] for k in range(models)]
    return best.reshape(models, columns), blocks


@settings(max_examples=20)
@given(
    st.integers(1, 4), st.sampled_from([0.0, 0.5, 0.95]), st.floats(0.5, 9.0), st.integers(0, 99)
)
def test_a_fit_is_at_the_maximum_of_the_joint_posterior_with_laplaces_covariance(
    models, kinship, strict, seed
):
    seen = outcomes(models, 60, seed=seed, alike=0.5)
    found = fit(seen, np.zeros((models, D + W)), strict, kinship)
    weights, covariances = posterior(seen, strict, kinship)
    assert found.weights == pytest.approx(weights, abs=0.02)
    for curve, covariance in zip(found.curves, covariances, strict=True):
        assert curve.covariance == pytest.approx(covariance, rel=0.05, abs=0.005)


def test_where_a_fit_begins_makes_no_difference():
    seen, rng = outcomes(3, 80), np.random.default_rng(1)
    one, other = (
        fit(seen, start, 1.0, 0.8) for start in (np.zeros((3, 7)), rng.normal(size=(3, 7)))
    )
    assert one.weights == pytest.approx(other.weights, abs=0.02)


def test_models_that_are_not_akin_are_fitted_as_each_is_alone():
    seen = outcomes(3, 80)
    for one, curve in zip(seen, fit(seen, np.zeros((3, 7)), 3.0, 0.0).curves, strict=True):
        alone = fit([one], np.zeros((1, 7)), 3.0, 0.0).curves[0]
        assert curve.dense == pytest.approx(alone.dense, abs=0.02)
        assert curve.surprise == pytest.approx(alone.surprise, rel=0.01)


def test_the_surprise_is_that_of_outcomes_that_were_truly_left_out():
    seen = outcomes(2, 40, alike=1.0)
    found = fit(seen, np.zeros((2, 7)), 3.0, 0.8)
    for k, curve in enumerate(found.curves):
        rows, words, y = seen[k]
        logits = []
        for i in range(len(y)):
            others = np.arange(len(y)) != i
            less = [*seen]
            less[k] = Seen(rows[others], words[others], y[others])
            w = fit(less, found.weights, 3.0, 0.8).weights[k]
            logits.append(float(rows[i] @ w[:D] + words[i].toarray()[0] @ w[D:]))
        slope, shift = curve.slope, curve.shift
        stretched = slope * np.array(logits) + shift
        surprise = np.logaddexp(0, stretched).sum() - y @ stretched
        assert curve.surprise == pytest.approx(surprise, rel=0.05)


def surprise(alike, kinship):
    """Of outcomes of three models, whose weights are `alike`; the mean of some draws."""
    drawn = [outcomes(3, 60, seed=seed, alike=alike) for seed in range(8)]
    return np.mean([fit(seen, np.zeros((3, D + W)), 1.0, kinship).surprise for seen in drawn])


def test_outcomes_foretell_those_of_a_model_that_is_akin_and_of_no_other():
    assert surprise(1.0, 0.95) < surprise(1.0, 0.0) - 3
    assert surprise(0.0, 0.95) > surprise(0.0, 0.0) + 3


@given(st.floats(-1e300, 1e300))
def test_the_logistic_function_is_finite_and_symmetric(logit):
    assert 0 <= logistic(logit) <= 1
    assert logistic(-logit) == pytest.approx(1 - logistic(logit))


def test_logits_that_are_half_what_they_should_be_are_stretched_by_two():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=20_000)
    y = (rng.random(20_000) < 1 / (1 + np.exp(-(2 * logits + 0.5)))).astype(float)
    (slope,), (shift,) = stretch([logits], [y])
    assert (slope, shift) == pytest.approx((2.0, 0.5), abs=0.1)

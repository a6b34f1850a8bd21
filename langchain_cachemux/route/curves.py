"""Logistic curves, one a model, fitted together: what is hard for one model is mostly hard for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float64]

INTERCEPT_PRECISION = 1.0
"""Of the prior of each model's first column, which is its own: models differ in how often they fail."""


class Seen(NamedTuple):
    """What one model's curve is fitted to."""

    rows: Floats
    """Shape (n, d); the first column is the intercept."""
    words: csr_matrix
    """Shape (n, w), sparse; the same columns for all models."""
    y: Floats
    """Outcomes in [0, 1], shape (n,)."""


class Curve(NamedTuple):
    """What a fit found of one model, and how it foretells each outcome from all the others."""

    dense: Floats
    """Weights w, before they are stretched, shape (d,)."""
    words: Floats
    """Weights u, shape (w,)."""
    covariance: Floats
    """Of the posterior of w, shape (d, d)."""
    slope: float
    shift: float
    surprises: Floats
    """-log of the likelihood of each outcome, left out and stretched; shape (n,)."""

    @property
    def surprise(self) -> float:
        """Of all outcomes."""
        return float(self.surprises.sum())


class Fit(NamedTuple):
    """Curves of several models."""

    curves: list[Curve]

    @property
    def surprise(self) -> float:
        """Of all outcomes."""
        return sum(curve.surprise for curve in self.curves)

    @property
    def weights(self) -> Floats:
        """Shape (models, d + w)."""
        return np.array([np.concatenate([curve.dense, curve.words]) for curve in self.curves])


def logistic(logit: float) -> float:
    """σ(η) = 1/(1 + e^(-η))."""
    return 0.5 * (1.0 + math.tanh(0.5 * logit))


def chances(logits: Floats) -> Floats:
    """σ of each logit."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))


def fit(seen: Sequence[Seen], start: Floats, strict: float, kinship: float) -> Fit:
    """Maximise the posterior of all curves at once, and leave each example out of it.

    The weights of model m are √ρ·s + √(1 - ρ)·v_m, where s is shared by all and v_m its own, each
    N(0, 1/λ): two models' weights correlate by ρ, the kinship, and each alone has the prior that it
    would have by itself (multi-task learning, Evgeniou and Pontil 2004; docs/theory.md, "What is hard
    for one model is mostly hard for all"). The intercepts are the models' own. The
    slopes by which they are stretched correlate alike: one that was asked few kinds of questions
    cannot tell its own.

    Args:
        seen: Of each model.
        start: Weights to begin at, shape (models, d + w).
        strict: λ.
        kinship: ρ, in [0, 1).
    """
    weights = _likeliest(seen, start, _prior(seen, strict), kinship)
    d = seen[0].rows.shape[1]
    logits = [s.rows @ w[:d] + s.words @ w[d:] for s, w in zip(seen, weights, strict=True)]
    curvatures = [p * (1 - p) for p in map(chances, logits)]
    prior, (shared, own) = _prior(seen, strict), _loads(weights.shape[1], kinship)
    informations = [
        (s.rows.T * curvature) @ s.rows for s, curvature in zip(seen, curvatures, strict=True)
    ]
    covariances = _covariances(informations, prior[:d], shared[:d], own[:d])
    squares = [s.words.multiply(s.words).tocsr() for s in seen]
    of_words = _variances(
        np.array([square.T @ c for square, c in zip(squares, curvatures, strict=True)]),
        prior[d:], shared[d:], own[d:],
    )  # fmt: skip
    left_out = []
    for k, (rows, _, y) in enumerate(seen):
        leverage = np.einsum("ij,ij->i", rows @ covariances[k], rows) + squares[k] @ of_words[k]
        residual = (y - chances(logits[k])) / np.maximum(1 - curvatures[k] * leverage, 0.1)
        left_out.append(logits[k] - leverage * residual)
    slopes, shifts = stretch(left_out, [s.y for s in seen], kinship)
    curves = []
    for k, (slope, shift) in enumerate(zip(slopes, shifts, strict=True)):
        stretched, w = slope * left_out[k] + shift, weights[k]
        surprises = np.logaddexp(0, stretched) - seen[k].y * stretched
        curves.append(Curve(w[:d], w[d:], covariances[k], slope, shift, surprises))
    return Fit(curves)


def stretch(
    logits: Sequence[Floats], y: Sequence[Floats], kinship: float = 0.0
) -> tuple[list[float], list[float]]:
    """Return a >= 0 and b of each model such that σ(a·η + b) explains its outcomes best (Platt 1999).

    a has the prior N(1, 1/4) and b N(0, 4): with few outcomes, things stay as they are. The a of two
    models correlate by their kinship, as their weights do.
    """
    from scipy.optimize import minimize

    models = len(y)
    alike = (1 - kinship) * np.eye(models) + kinship
    precision = 4 * np.linalg.inv(alike)

    def loss(lines: Floats) -> tuple[float, Floats]:
        slopes, shifts = lines.reshape(2, models)
        pull = precision @ (slopes - 1)
        value = 0.5 * (slopes - 1) @ pull + shifts @ shifts / 8
        gradient = np.array([pull, shifts / 4])
        for k, (logit, came) in enumerate(zip(logits, y, strict=True)):
            stretched = slopes[k] * logit + shifts[k]
            error = chances(stretched) - came
            value += np.logaddexp(0, stretched).sum() - came @ stretched
            gradient[:, k] += error @ logit, error.sum()
        return float(value), gradient.ravel()

    start = np.repeat([1.0, 0.0], models)
    bounds = [(0.0, None)] * models + [(None, None)] * models
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    slopes, shifts = found.reshape(2, models).tolist()
    return slopes, shifts


def _prior(seen: Sequence[Seen], strict: float) -> Floats:
    """Precision of each weight, shape (d + w,)."""
    prior = np.full(seen[0].rows.shape[1] + seen[0].words.shape[1], strict)
    prior[0] = INTERCEPT_PRECISION
    return prior


def _loads(columns: int, kinship: float) -> tuple[Floats, Floats]:
    """How much of each weight is shared, and how much is a model's own; each of shape (columns,)."""
    shared = np.full(columns, math.sqrt(kinship))
    own = np.full(columns, math.sqrt(1 - kinship))
    shared[0], own[0] = 0.0, 1.0
    return shared, own


def _likeliest(seen: Sequence[Seen], start: Floats, prior: Floats, kinship: float) -> Floats:
    """Weights of each model, shape (models, d + w), by L-BFGS over what is shared and what is not."""
    from scipy.optimize import minimize

    models, columns = start.shape
    d = seen[0].rows.shape[1]
    shared, own = _loads(columns, kinship)
    turned = [s.words.T.tocsr() for s in seen]

    def loss(flat: Floats) -> tuple[float, Floats]:
        parts = flat.reshape(1 + models, columns)
        pull = prior * parts
        value, gradient = 0.5 * float((parts * pull).sum()), pull
        for k, (rows, words, y) in enumerate(seen):
            w = shared * parts[0] + own * parts[1 + k]
            logits = rows @ w[:d] + words @ w[d:]
            error = chances(logits) - y
            slopes = np.concatenate([error @ rows, turned[k] @ error])
            value += float(np.logaddexp(0, logits).sum() - y @ logits)
            gradient[0] += shared * slopes
            gradient[1 + k] += own * slopes
        return value, gradient.ravel()

    # What of the weights to begin at is shared: the likeliest by the prior.
    common = shared * start.sum(axis=0) / (own**2 + models * shared**2)
    begin = np.vstack([common, (start - shared * common) / own])
    tolerance = 1e-3 * math.sqrt(sum(len(s.y) for s in seen))
    options = {"maxiter": 100, "gtol": tolerance}
    found = minimize(loss, begin.ravel(), jac=True, method="L-BFGS-B", options=options).x
    parts = found.reshape(1 + models, columns)
    return np.asarray(shared * parts[0] + own * parts[1:])


def _covariances(
    informations: Sequence[Floats], prior: Floats, shared: Floats, own: Floats
) -> list[Floats]:
    """Posterior covariance of each model's dense weights, by Schur's complement of what is its own.

    With A its information and G = (A + P/own²)⁻¹ it is G + T·C·Tᵀ, where T = G·(P/own²)·shared and
    C = (P + Σ shared·A·T)⁻¹, over all models: of K models K + 1 inverses, none larger than one alone.
    """
    held = prior / own**2
    alone = [np.asarray(np.linalg.inv(a + np.diag(held))) for a in informations]
    if not shared.any():
        return alone
    turns = [g * (held * shared) for g in alone]
    known = sum(shared[:, np.newaxis] * (a @ t) for a, t in zip(informations, turns, strict=True))
    common = np.linalg.inv(np.diag(prior) + known)
    return [g + t @ common @ t.T for g, t in zip(alone, turns, strict=True)]


def _variances(informations: Floats, prior: Floats, shared: Floats, own: Floats) -> Floats:
    """The same of words, as if each stood alone; shape (models, w)."""
    held = prior / own**2
    alone = 1 / (informations + held)
    turns = alone * held * shared
    common = 1 / (prior + (shared * informations * turns).sum(axis=0))
    return np.asarray(alone + turns**2 * common)

"""What each setting does to the cost, with the value that breaks it on purpose.

python benchmarks/sensitivity.py [JOBS]    # about 2 minutes, one job to a core by default

Writes results/sensitivity.json and one figure per study. Every stream is drawn anew for each seed, and
all lines of one seed see the same stream, so compare lines, not seeds. The band is from the least seed
to the largest. Requests are served as the cache serves them (`serve`). A miss counts with the expected
cost of its query, not with the cost drawn: noise may mislead an estimator, and nothing else, and the
two ceilings know no more than the expected costs either.
"""

from __future__ import annotations

import math
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import results
from rich.progress import track
from scipy.special import ndtr

from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import LEC, LFU, LRU, robust
from langchain_cachemux.lab import charts
from langchain_cachemux.lab.optimum import bracket, static
from langchain_cachemux.lab.paper import TheoremBound
from langchain_cachemux.lab.replay import follow
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.route.estimators import Mean
from langchain_cachemux.types import Estimate, Query, Request

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.route.estimators import Estimator

    Floats = NDArray[np.float64]
    Lines = dict[str, list[float]]

REQUESTS, KEYS, CAPACITY = 10_000, 1_000, 50
SKEW, SPREAD, NOISE = 0.9, 1.2, 0.8
"""Exponent of the popularity; standard deviation of the logarithm of a query's expected cost, and of the
noise that multiplies it at each request."""

DEFAULT, STATIC, CLAIRVOYANT = "default (robust)", "best static set", "clairvoyant bound"
PLAIN, SHRUNK = "LEC, own averages", "LEC, default estimator"
BOUND, KNOWING = "LEC, theorem's bound", "LEC, noise known before"
RARE = 10_000
"""Queries that share half of the requests of the long tail."""
TURNOVER, REGRET = "evictions per 1000 requests", "regret per request"
TOLD, KNOWN = "LEC, told c", "LFU, told P"
DELTAS = (1e-6, 1e-3, 0.05, 1.0, 1e3, 1e6, 6.0 * REQUESTS * KEYS)
WIDTHS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0)
HALF_LIVES = (0.1, 0.3, 1.0, 3.0, 10.0, 20.0, 50.0, 200.0, math.inf)
GHOSTS = (0, 1, 3, 10, 100)
SIGMAS = (0.0, 0.4, 0.8, 1.2, 1.6, 2.0)
SKEWS = (0.0, 0.3, 0.6, 0.9, 1.2, 1.4)
TIMES = tuple(range(200, 10_001, 200))
LEANS = (-5.0, -2.0, -1.0, 0.0, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """What was asked, and what a miss costs."""

    keys: NDArray[np.int64]
    """Number of the query of each request, shape (n,)."""
    means: Floats
    """Expected cost of each query, shape (queries,)."""
    paid: Floats
    """Cost drawn for each request, shape (n,)."""
    odds: Floats
    """P(q), shape (queries,); nan where popularity moves."""

    @property
    def expected(self) -> Floats:
        """Expected cost of each request, shape (n,)."""
        return self.means[self.keys]


@lru_cache(maxsize=16)
def zipf(seed: int, *, skew: float = SKEW, noise: float = NOISE, spread: float = SPREAD) -> Stream:
    """A stream whose popularity stands still; one seed draws alike whatever the settings."""
    rng = np.random.default_rng(seed)
    odds = np.arange(1.0, KEYS + 1) ** -skew
    odds /= odds.sum()
    keys = np.minimum(np.searchsorted(np.cumsum(odds), rng.random(REQUESTS)), KEYS - 1)
    means = np.exp(spread * rng.normal(size=KEYS))
    errors = np.exp(noise * rng.normal(size=REQUESTS) - noise**2 / 2)
    return Stream(keys, means, means[keys] * errors, odds.astype(float))


def two_prices(seed: int) -> Stream:
    """The kindest to the theorem's bound: a query costs 1 or 10, always the same."""
    base = zipf(seed)
    means = np.where(base.means > 1, 10.0, 1.0)
    return Stream(base.keys, means, means[base.keys], base.odds)


def drifting(seed: int) -> Stream:
    """In each of ten epochs a fifth of the ranks change places."""
    base, rng = zipf(seed), np.random.default_rng([seed, 1])
    identity, epochs = np.arange(KEYS), []
    for epoch in np.array_split(base.keys, 10):
        epochs.append(identity[epoch])
        moved = rng.choice(KEYS, KEYS // 5, replace=False)
        identity[moved] = identity[rng.permutation(moved)]
    keys = np.concatenate(epochs)
    errors = base.paid / base.expected
    return Stream(keys, base.means, base.means[keys] * errors, np.full(KEYS, math.nan))


def long_tail(seed: int) -> Stream:
    """Half of the requests are for queries asked once in two such streams; noise drowns the costs."""
    rng = np.random.default_rng(seed)
    popular = np.arange(1, KEYS + 1) ** -SKEW
    odds = np.concatenate([popular / popular.sum(), np.full(RARE, 1 / RARE)]) / 2
    keys = np.minimum(np.searchsorted(np.cumsum(odds), rng.random(REQUESTS)), odds.size - 1)
    means = np.exp(0.5 * rng.normal(size=odds.size))
    return Stream(keys, means, means[keys] * np.exp(1.5 * rng.normal(size=keys.size) - 1.125), odds)


def paper(seed: int, *, queries: int, ratio: float, alpha: float = 0.8) -> Stream:
    """The synthetic stream of arXiv 2306.02003 §5: costs 1 or 1 + ratio, plus N(0, 1), at least 0.1."""
    rng = np.random.default_rng(seed)
    keys = (rng.power(alpha, TIMES[-1]) * queries).astype(np.int64)
    raw = 1.0 + ratio * (rng.random(queries) < 0.5)
    paid = np.maximum(raw[keys] + rng.normal(size=keys.size), 0.1)
    above = raw - 0.1
    density = np.exp(-(above**2) / 2) / math.sqrt(2 * math.pi)
    return Stream(
        keys,
        0.1 + above * ndtr(above) + density,
        paid,
        np.diff((np.arange(queries + 1) / queries) ** alpha),
    )


def theorem(stream: Stream, *, delta: float) -> TheoremBound:
    """The theorem's bound, told in advance how much will be asked and the range of the costs drawn."""
    return TheoremBound(
        least=float(stream.paid.min()),
        most=float(stream.paid.max()),
        requests=stream.keys.size,
        queries=stream.means.size,
        delta=delta,
    )


class Average:
    """A query's own average and its standard error, the noise that of all queries together.

    Before the first repeat the noise is taken to be as large as the value.
    """

    def __init__(self) -> None:
        self.own: dict[str, tuple[int, float]] = {}
        self.squares, self.repeats, self.floor = 0.0, 0, math.inf

    def predict(self, x: Query) -> Estimate:
        """Mean and standard error of `x`, which was learned before."""
        n, mean = self.own[x.key]
        noise = math.sqrt(self.squares / self.repeats) if self.repeats else mean
        return Estimate(mean, noise / math.sqrt(n), self.floor)

    def learn(self, x: Query, cost: float) -> None:
        """Add one cost of `x`."""
        n, mean = self.own.get(x.key, (0, 0.0))
        self.floor = min(self.floor, cost)
        if n:
            self.squares += (cost - mean) ** 2 * n / (n + 1)
            self.repeats += 1
        self.own[x.key] = (n + 1, mean + (cost - mean) / (n + 1))


@dataclass(frozen=True, slots=True)
class Leaning:
    """Another estimator's mean plus `lean` of its widths: below 0 pessimism, above 0 optimism."""

    estimator: Estimator
    lean: float

    def predict(self, x: Query) -> Estimate:
        """The tilted mean, taken for certain; never below the floor."""
        seen = self.estimator.predict(x)
        return Estimate(seen.mean + self.lean * seen.width, 0.0, seen.floor)

    def learn(self, x: Query, cost: float) -> None:
        """Hand the cost on."""
        self.estimator.learn(x, cost)


@dataclass(frozen=True, slots=True)
class Told:
    """Knows the expected costs."""

    means: Floats

    def predict(self, x: Query) -> Estimate:
        """The truth."""
        return Estimate(float(self.means[int(x.key)]), 0.0)

    def learn(self, x: Query, cost: float) -> None:
        """Nothing to learn."""


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """What came of a stream."""

    cost: float
    """Expected cost of the misses, as a share of that of all requests."""
    turnover: float
    """Evictions per 1000 requests."""
    floored: float
    """Share of the misses valued at the floor of the estimate, B1."""
    regret: Floats
    """Expected cost beyond that of the best static set, summed up to each request, in units of the
    expected cost of one request with no cache; shape (n,), nan where popularity moves."""


def serve(
    stream: Stream,
    policy: Policy | Sequence[Policy],
    *,
    estimator: Estimator | None = None,
    capacity: int = CAPACITY,
    ghosts: int | None = None,
) -> Served:
    """Serve a stream as the cache does: look up; on a miss learn the cost, then offer the answer."""
    ledger = MemoryLedger(capacity, policy=policy, ghosts=ghosts)
    means, worth = stream.means.tolist(), (stream.odds * stream.means).tolist()
    paid, evicted, misses, floored, held = 0.0, 0, 0, 0, 0.0
    saved = []
    numbers = stream.keys.tolist()
    trace = map(Request, map(str, numbers), stream.paid.tolist())
    outcomes = follow(trace, ledger, estimator=estimator or Mean())
    for number, outcome in zip(numbers, outcomes, strict=True):
        saved.append(held)
        estimate, admission = outcome.estimate, outcome.admission
        if estimate is None or admission is None:  # a hit
            continue
        misses += 1
        paid += means[number]
        floored += estimate.optimistic <= estimate.floor
        if admission.slot is not None:
            held += worth[number]
        for gone in admission.evicted:
            held -= worth[int(gone)]
            evicted += 1
    best, whole = sum(sorted(worth)[-capacity:]), sum(worth)
    return Served(
        paid / float(stream.expected.sum()),
        1000 * evicted / len(saved),
        floored / misses,
        np.cumsum(best - np.array(saved)) / whole,
    )


@lru_cache(maxsize=16)
def bounds(stream: Stream) -> dict[str, float]:
    """Floor and ceilings of a chart: two policies blind to cost, and two that know the future."""
    total = float(stream.expected.sum())
    clairvoyant = bracket(stream.keys, stream.expected, capacity=CAPACITY, tolerance=0.01)
    return {
        "LRU": serve(stream, LRU()).cost,
        "LFU": serve(stream, LFU()).cost,
        STATIC: static(stream.keys, stream.expected, capacity=CAPACITY) / total,
        CLAIRVOYANT: clairvoyant.lower / total,
    }


def flat(values: dict[str, float], settings: Sequence[float]) -> Lines:
    """Lines on which the setting has no effect."""
    return {name: [value] * len(settings) for name, value in values.items()}


def delta(seed: int) -> dict[str, Lines]:
    """δ of the theorem's bound."""
    panels: dict[str, Lines] = {}
    floored: Lines = {}
    for name, stream in (("log-normal costs", zipf(seed)), ("costs 1 or 10", two_prices(seed))):
        runs = [serve(stream, LEC(), estimator=theorem(stream, delta=d)) for d in DELTAS]
        own = {"LEC": serve(stream, LEC()).cost}
        panels[name] = {
            BOUND: [run.cost for run in runs],
            **flat(own | bounds(stream), DELTAS),
        }
        floored[name] = [run.floored for run in runs]
    return panels | {"misses valued at B1": floored}


def width(seed: int) -> dict[str, Lines]:
    """Standard errors below the mean."""
    stream, before = zipf(seed), zipf(seed + 1000)

    def knowing(z: float) -> Mean:
        estimator = Mean(width=z)
        for number, cost in zip(before.keys[:1000], before.paid[:1000], strict=True):
            estimator.learn(Query(f"before {number}"), float(cost))
        return estimator

    runs = {
        "LEC": [serve(stream, LEC(), estimator=Mean(width=z)).cost for z in WIDTHS],
        KNOWING: [serve(stream, LEC(), estimator=knowing(z)).cost for z in WIDTHS],
        DEFAULT: [serve(stream, robust(CAPACITY), estimator=Mean(width=z)).cost for z in WIDTHS],
    }
    return {"": runs | flat(bounds(stream), WIDTHS)}


def half_life(seed: int) -> dict[str, Lines]:
    """Ageing of LEC."""
    panels = {}
    for name, stream in (("popularity stands still", zipf(seed)), ("it drifts", drifting(seed))):
        own = {DEFAULT: serve(stream, robust(CAPACITY)).cost}
        panels[name] = {
            "LEC": [serve(stream, LEC(half_life=h * CAPACITY)).cost for h in HALF_LIVES],
            **flat(own | bounds(stream), HALF_LIVES),
        }
    return panels


def ghosts(seed: int) -> dict[str, Lines]:
    """How many of the forgotten are counted."""
    stream = zipf(seed)
    policies: dict[str, tuple[Policy, ...]] = {"LEC": (LEC(),), DEFAULT: robust(CAPACITY)}
    runs = {
        name: [serve(stream, policy, ghosts=g * CAPACITY).cost for g in GHOSTS]
        for name, policy in (policies | {"LFU": (LFU(),)}).items()
    }
    return {"": flat(bounds(stream), GHOSTS) | runs}


def noise(seed: int) -> dict[str, Lines]:
    """Noise of the costs; the bounds are blind to it."""
    lines: Lines = {}
    for sigma in SIGMAS:
        stream = zipf(seed, noise=sigma)
        found = {
            "LEC": serve(stream, LEC()).cost,
            "LEC of the plain average": serve(stream, LEC(), estimator=Average()).cost,
            DEFAULT: serve(stream, robust(CAPACITY)).cost,
        }
        for name, value in found.items():
            lines.setdefault(name, []).append(value)
    return {"": lines | flat(bounds(zipf(seed)), SIGMAS)}


def skew(seed: int) -> dict[str, Lines]:
    """Skew of the popularity."""
    lines: Lines = {}
    for exponent in SKEWS:
        stream = zipf(seed, skew=exponent)
        found = {
            "LEC": serve(stream, LEC()).cost,
            DEFAULT: serve(stream, robust(CAPACITY)).cost,
        }
        for name, value in (found | bounds(stream)).items():
            lines.setdefault(name, []).append(value)
    return {"": lines}


def basic(seed: int) -> dict[str, Lines]:
    """The paper's experiment: P and c are known to the accountant, who counts the regret."""
    panels = {}
    for queries, capacity, ratio in ((20, 8, 1.5), (100, 40, 10.0)):
        stream = paper(seed, queries=queries, ratio=ratio)
        worth = stream.odds * stream.means
        popular = float(worth[np.argsort(-stream.odds, kind="stable")[:capacity]].sum())
        wasted = (float(np.sort(worth)[-capacity:].sum()) - popular) / float(worth.sum())
        runs = {
            "LRU": serve(stream, LRU(), capacity=capacity),
            "LFU": serve(stream, LFU(), capacity=capacity),
            "LEC": serve(stream, LEC(), capacity=capacity),
            TOLD: serve(stream, LEC(), capacity=capacity, estimator=Told(stream.means)),
        }
        panels[f"{queries} queries, cache of {capacity}, cost 1 or {1 + ratio:g}"] = {
            **{name: [float(run.regret[t - 1]) for t in TIMES] for name, run in runs.items()},
            KNOWN: [wasted * t for t in TIMES],
        }
    return panels


def pessimism(seed: int) -> dict[str, Lines]:
    """The ablation: from pessimism to optimism on a long tail of queries whose costs are noise."""
    stream = long_tail(seed)
    runs = {
        name: [serve(stream, LEC(), estimator=Leaning(make(), lean)) for lean in LEANS]
        for name, make in ((SHRUNK, Mean), (PLAIN, Average))
    }
    same = {
        BOUND: serve(stream, LEC(), estimator=theorem(stream, delta=0.05)),
        "LFU": serve(stream, LFU()),
        "LRU": serve(stream, LRU()),
    }
    lines = runs | {name: [run] * len(LEANS) for name, run in same.items()}
    return {
        TURNOVER: {name: [run.turnover for run in line] for name, line in lines.items()},
        REGRET: {
            name: [float(run.regret[-1]) / REQUESTS for run in line] for name, line in lines.items()
        },
    }


Panels = dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Study:
    """One setting, swept; `numbers` says in figures, from the means, what the title says in words."""

    run: Callable[[int], dict[str, Lines]]
    title: str
    label: str
    settings: Sequence[float]
    base: str
    """The line that the others are compared with, seed by seed."""
    numbers: Callable[[Panels], str]
    seeds: int = 5

    @property
    def name(self) -> str:
        """As in the results."""
        return self.run.__name__


def mean(panels: Panels, line: str, place: int = 0, *, panel: int = 0) -> float:
    """Mean over the seeds of one point."""
    value: float = list(panels.values())[panel][line]["mean"][place]
    return value


def of_delta(panels: Panels) -> str:
    """The theorem's bound against LFU."""
    some, last = slice(0, DELTAS.index(1.0) + 1), len(DELTAS) - 1
    parts = []
    for panel, name in ((0, "log-normal costs"), (1, "costs of 1 or 10 without noise")):
        bound = list(panels.values())[panel][BOUND]["mean"][some]
        floored = panels["misses valued at B1"][list(panels)[panel]]["mean"][some]
        parts.append(
            f"{name}: {min(bound):.3f} to {max(bound):.3f} for every δ from 1e-6 to 1, LFU"
            f" {mean(panels, 'LFU', panel=panel):.3f}, the default estimator"
            f" {mean(panels, 'LEC', panel=panel):.3f};"
            f" at least {math.floor(1000 * min(floored)) / 10}% of the misses are"
            f" valued at B1; at δ = 6TN, where the bound is the mean,"
            f" {mean(panels, BOUND, last, panel=panel):.3f}"
        )
    return ". ".join(part[0].upper() + part[1:] for part in parts) + "."


def of_width(panels: Panels) -> str:
    """Cost at a few widths."""
    places = [WIDTHS.index(z) for z in (0.0, 1.0, 5.0, 100.0)]
    told = "; ".join(
        f"{name} " + ", ".join(f"{mean(panels, name, p):.4f}" for p in places)
        for name in ("LEC", KNOWING, DEFAULT)
    )
    return f"At z = 0, 1, 5, 100: {told}. LFU {mean(panels, 'LFU'):.4f}."


def of_half_life(panels: Panels) -> str:
    """The best half-life of each stream, and the ends."""
    parts = []
    for panel, lines in enumerate(panels.values()):
        costs = lines["LEC"]["mean"]
        best = costs.index(min(costs))
        parts.append(
            f"{list(panels)[panel]}: {costs[0]:.3f} at L/10, {costs[best]:.3f} at"
            f" {HALF_LIVES[best]:g} L, {costs[-1]:.3f} without ageing,"
            f" default {mean(panels, DEFAULT, panel=panel):.3f}, LFU"
            f" {mean(panels, 'LFU', panel=panel):.3f}"
        )
    return ". ".join(part[0].upper() + part[1:] for part in parts) + "."


def of_ghosts(panels: Panels) -> str:
    """Cost at each bound."""
    told = "; ".join(
        f"{name} " + ", ".join(f"{mean(panels, name, p):.4f}" for p in range(len(GHOSTS)))
        for name in ("LEC", DEFAULT, "LFU")
    )
    return f"With 0, L, 3 L, 10 L, 100 L ghosts: {told}."


def of_noise(panels: Panels) -> str:
    """What is left of LEC's gain over LFU."""
    gains = [1 - mean(panels, "LEC", p) / mean(panels, "LFU", p) for p in range(len(SIGMAS))]
    told = ", ".join(f"{gain:.1%} at σ = {s:g}" for gain, s in zip(gains, SIGMAS, strict=True))
    return f"LEC costs less than LFU by {told}."


def of_skew(panels: Panels) -> str:
    """Gains over LFU and LRU."""
    told = "; ".join(
        f"{s:g}: {mean(panels, 'LEC', p):.3f}, {mean(panels, DEFAULT, p):.3f},"
        f" {mean(panels, 'LFU', p):.3f}, {mean(panels, 'LRU', p):.3f}, {mean(panels, STATIC, p):.3f}"
        for p, s in enumerate(SKEWS)
    )
    return f"Skew: LEC, default, LFU, LRU, best static set. {told}."


def of_basic(panels: Panels) -> str:
    """Regret at the end, and its power of the time over the second half."""
    parts, half = [], TIMES.index(TIMES[-1] // 2)
    for panel, setup in enumerate(panels):
        told = []
        for name in ("LRU", "LFU", KNOWN, "LEC", TOLD):
            end, before = mean(panels, name, -1, panel=panel), mean(panels, name, half, panel=panel)
            told.append(f"{name} {end:.0f} (T^{math.log2(end / before):.2f})")
        parts.append(f"{setup}: {'; '.join(told)}")
    return f"Regret after {TIMES[-1]} requests, as T^x over the second half. {'. '.join(parts)}."


def of_pessimism(panels: Panels) -> str:
    """Turnover and regret from pessimism to optimism."""
    places = [LEANS.index(lean) for lean in (-5.0, -1.0, 0.0, 1.0, 5.0)]
    parts = []
    for panel, (unit, form) in enumerate(((TURNOVER, ".1f"), (REGRET, ".4f"))):
        told = "; ".join(
            f"{name} " + ", ".join(f"{mean(panels, name, p, panel=panel):{form}}" for p in places)
            for name in (PLAIN, SHRUNK)
        )
        flats = "; ".join(
            f"{n} {mean(panels, n, panel=panel):{form}}" for n in (BOUND, "LFU", "LRU")
        )
        parts.append(f"{unit} at mean -5, -1, 0, +1, +5 standard errors: {told}; {flats}")
    return ". ".join(part[0].upper() + part[1:] for part in parts) + "."


STUDIES = (
    Study(
        delta,
        "The theorem's bound, at any δ that is a probability, is LFU or nearly",
        "δ; the last is 6TN, where the bound is the mean",
        DELTAS,
        STATIC,
        of_delta,
    ),
    Study(
        width,
        "Wider bounds only cost, but none breaks LEC: the width never reaches the mean",
        "width, standard errors",
        WIDTHS,
        STATIC,
        of_width,
    ),
    Study(
        half_life,
        "A half-life far below the capacity breaks LEC;"
        " which is best depends on drift, and the default is near the best of both",
        "half-life of LEC, capacities",
        HALF_LIVES,
        STATIC,
        of_half_life,
    ),
    Study(
        ghosts,
        "No memory of the evicted costs LEC a few percent; ten capacities are enough",
        "forgotten queries remembered, capacities",
        GHOSTS,
        STATIC,
        of_ghosts,
    ),
    Study(
        noise,
        "Noise eats what LEC gains over LFU: at σ = 2 little is left",
        "σ of the noise of the costs",
        SIGMAS,
        STATIC,
        of_noise,
    ),
    Study(
        skew,
        "LEC costs less than LFU at every skew, least so where popularity is steep",
        "exponent of the popularity",
        SKEWS,
        STATIC,
        of_skew,
    ),
    Study(
        basic,
        "LFU's regret grows in proportion to time, LEC's more slowly: less than a quarter of it",
        "requests",
        TIMES,
        "LFU",
        of_basic,
        seeds=20,
    ),
    Study(
        pessimism,
        "Noisy costs on a long tail: pessimism turns less over, yet regrets more;"
        " the theorem's bound regrets least, for it is LFU",
        "standard errors added to the mean",
        LEANS,
        BOUND,
        of_pessimism,
    ),
)


def summary(study: Study, runs: Sequence[dict[str, Lines]]) -> dict[str, Any]:
    """Mean and extremes over the seeds of each point, and its ratio to the base, seed by seed."""
    panels: Panels = {}
    for panel, lines in runs[0].items():
        panels[panel] = {}
        base = np.array([run[panel].get(study.base, []) for run in runs])
        for name in lines:
            values = np.array([run[panel][name] for run in runs])
            told = {"mean": values.mean(0), "low": values.min(0), "high": values.max(0)}
            if base.size:
                told["ratio"] = (values / base).mean(0)
                told["sd of ratio"] = (values / base).std(0, ddof=1)
            panels[panel][name] = {key: [float(f"{v:.5g}") for v in told[key]] for key in told}
    return {
        "seen": study.title,
        "numbers": study.numbers(panels),
        "setting": study.label,
        "settings": [str(s) if s == math.inf else s for s in study.settings],
        "seeds": len(runs),
        "ratio to": study.base,
        "panels": panels,
    }


COLOURS = {
    "LEC": charts.GREEN,
    SHRUNK: charts.GREEN,
    "log-normal costs": charts.ORANGE,
    "costs 1 or 10": charts.BLUE,
    DEFAULT: charts.BLUE,
    BOUND: charts.ORANGE,
    KNOWING: charts.PURPLE,
    "LEC of the plain average": charts.PURPLE,
    TOLD: charts.PURPLE,
    PLAIN: charts.PURPLE,
    "LFU": charts.RED,
    KNOWN: charts.GOLD,
    "LRU": charts.TEAL,
    STATIC: charts.INK,
    CLAIRVOYANT: charts.INK,
}
DASHES = {"LRU": ":", "LFU": "--", STATIC: ":", CLAIRVOYANT: "--"}


def draw_chart(result: dict[str, Any], path: Path) -> None:
    """One chart: a panel each, the title above."""
    found = result["panels"]
    size = 1 + 4.2 * len(found), 3.8
    with charts.drawing(path, 1, len(found), size=size) as panels:
        title = "\n".join(textwrap.wrap(result["seen"], 40 * len(found) + 20))
        panels[0, 0].figure.suptitle(title, fontsize=11)
        for axes, (name, lines) in zip(panels[0], found.items(), strict=True):
            panel(axes, lines, result)
            if name:
                axes.set_title(name, fontsize=9)
            if CLAIRVOYANT in lines:
                axes.axhline(1, **charts.NO_CACHE)
                axes.annotate("no cache", (0, 1), fontsize=8, va="bottom")
                axes.set(ylabel="cost of misses / of all requests", ylim=(0, 1.05))
            elif name == TURNOVER:
                axes.set(yscale="log")
            else:
                axes.set(ylim=(0, None))


def panel(axes: Axes, lines: dict[str, dict[str, list[float]]], result: dict[str, Any]) -> None:
    """Lines with their bands; settings in even steps, unless they are times."""
    ticks = [f"{float(s):.3g}".replace("inf", "∞") for s in result["settings"]]
    timed = len(ticks) > 20
    x = np.array(result["settings"], float) if timed else np.arange(len(ticks))
    for name, line in lines.items():
        colour = COLOURS[name]
        axes.plot(x, line["mean"], color=colour, ls=DASHES.get(name, "-"), lw=2, label=name)
        axes.fill_between(x, line["low"], line["high"], color=colour, alpha=0.12, lw=0)
    if not timed:
        axes.set_xticks(x, ticks, fontsize=8)
    axes.set_xlabel(result["setting"], fontsize=9)
    place: Literal["lower left", "best"] = "lower left" if CLAIRVOYANT in lines else "best"
    axes.legend(fontsize=7, ncols=2, loc=place)


def one(job: tuple[int, int]) -> dict[str, Lines]:
    """One seed of one study."""
    place, seed = job
    return STUDIES[place].run(seed)


def main() -> None:
    """Run every seed of every study."""
    jobs = [(place, seed) for place, study in enumerate(STUDIES) for seed in range(study.seeds)]
    workers = int(sys.argv[1]) if sys.argv[1:] else os.cpu_count()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        runs = list(track(pool.map(one, jobs), "studies", total=len(jobs)))
    report(jobs, runs)


def report(jobs: Sequence[tuple[int, int]], runs: Sequence[dict[str, Lines]]) -> None:
    """Write the results and the figures, and say what is seen."""
    studies = {
        study.name: summary(
            study, [run for (at, _), run in zip(jobs, runs, strict=True) if at == place]
        )
        for place, study in enumerate(STUDIES)
    }
    result = {
        **stamp("python benchmarks/sensitivity.py", "numpy", "scipy", "matplotlib"),
        "streams": {
            "requests": REQUESTS,
            "queries": KEYS,
            "capacity": CAPACITY,
            "skew": SKEW,
            "spread": SPREAD,
            "noise": NOISE,
        },
        "studies": studies,
    }
    results.write(results.FOLDER / "sensitivity.json", result)
    for name, study in studies.items():
        draw_chart(study, results.FOLDER / f"sensitivity_{name}.png")
        print(f"{name}: {study['seen']}\n  {study['numbers']}")


if __name__ == "__main__":
    main()

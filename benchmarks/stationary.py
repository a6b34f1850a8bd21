"""How near the best fixed set one can come when nothing moves, and how near we do.

    python benchmarks/stationary.py [--seeds 3] [--processes 2]    # about 8 minutes

Streams as in `workloads.py`: 200,000 independent requests for 10,000 keys by Zipf's law, log-normal
costs of the keys, and in the last stream log-normal noise on each cost (sigma 0.8). Capacities are 1, 5,
10 and 20 % of the keys. A measure is the cost of the misses over that of the static optimum: the fixed
set that is best in hindsight, its members paying once. It is chosen by the costs and counts that were
drawn, luck included; so beside our default and the paper's LEC there are some who know more, and learn
the rest:

told c: our default, told every mean cost beforehand.
told c and the law: told every mean cost, and what shares of the requests there are, but not which key
    has which: holds the largest posterior mean of the share (Bayes) times cost, all of them estimated
    again every 500 requests.
told c and P: told every mean cost and every share, holds the largest products.

What lies between the first and the second is the price of not knowing the costs, between the second and
the third of our simple estimate of popularity, and from there on of having to learn it at all.
"""

from __future__ import annotations

import argparse
import heapq
import math
import os
import statistics
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import results
import workloads
from rich.console import Console
from rich.progress import track
from rich.table import Table

from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import LEC, robust
from langchain_cachemux.lab import charts
from langchain_cachemux.lab.optimum import static
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.route.estimators import Mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STREAMS = ((0.6, 0.0), (0.8, 0.0), (1.0, 0.0), (0.9, 0.8))
"""(Zipf's exponent, sigma of the noise on a cost's logarithm)."""
SHARES = (0.01, 0.05, 0.1, 0.2)
GOALS = {0.0: 1.05, 0.8: 1.08}
ARMS = ("default", "LEC", "told c", "told c and the law", "told c and P")
COLOURS = (charts.MAIN, charts.BLUE, charts.ORANGE, charts.PURPLE, charts.INK)
RENEWED = 500
"""Requests after which Bayes estimates all again."""


class Job(NamedTuple):
    """One stream under one seed, at one capacity."""

    skew: float
    noise: float
    share: float
    seed: int


def draw(
    skew: float, noise: float, seed: int, *, requests: int = workloads.REQUESTS
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """What is asked for (n,), what each miss costs (n,), and each key's mean cost (keys,)."""
    rng = np.random.default_rng([seed, int(10 * skew), int(10 * noise)])
    keys = workloads.zipf(rng, skew, requests)
    means = rng.lognormal(0.0, workloads.SIGMA, workloads.KEYS)
    luck = rng.lognormal(-(noise**2) / 2, noise, requests)
    return keys, means[keys] * luck, means


def told(
    keys: Sequence[int], costs: Sequence[float], worth: Sequence[float], entries: int
) -> float:
    """Cost of the misses when of all that was asked for so far the entries of most worth are held."""
    held: set[int] = set()
    heap: list[tuple[float, int]] = []
    paid = 0.0
    for key, cost in zip(keys, costs, strict=True):
        if key not in held:
            paid += cost
            held.add(key)
            heapq.heappush(heap, (worth[key], key))
            if len(heap) > entries:
                held.remove(heapq.heappop(heap)[1])
    return paid


def bayes(
    keys: Sequence[int],
    costs: Sequence[float],
    shares: NDArray[np.floating[Any]],
    means: Sequence[float],
    entries: int,
) -> float:
    """Cost of the misses by the posterior mean of each share, its requests being Poisson's.

    Args:
        keys: What is asked for.
        costs: What each miss costs.
        shares: Of the requests, one a key in any order: which key has which is not told.
        means: Each key's mean cost.
        entries: Capacity.
    """
    logarithms = np.log(shares)

    @cache
    def share(count: int, twelfths: int) -> float:
        """E[P | count in t] = Σ P^(n+1)·e^(-P·t) / Σ P^n·e^(-P·t), with t = e^(twelfths/12)."""
        weights = count * logarithms - shares * math.exp(twelfths / 12)
        weights = np.exp(weights - weights.max())
        return float(weights @ shares / weights.sum())

    counts: Counter[int] = Counter()
    held: dict[int, float] = {}
    heap: list[tuple[float, int]] = []
    paid = 0.0
    for now, (key, cost) in enumerate(zip(keys, costs, strict=True), 1):
        counts[key] += 1
        twelfths = round(12 * math.log(now))
        missed = key not in held
        held[key] = share(counts[key], twelfths) * means[key]
        heapq.heappush(heap, (held[key], key))
        if missed:
            paid += cost
            while len(held) > entries:
                worth, least = heapq.heappop(heap)
                if held.get(least) == worth:
                    del held[least]
        if not now % RENEWED:
            held = {k: share(counts[k], twelfths) * means[k] for k in held}
            heap = [(worth, k) for k, worth in held.items()]
            heapq.heapify(heap)
    return paid


def measure(job: Job, *, requests: int = workloads.REQUESTS) -> dict[str, float]:
    """Each arm's cost over the static optimum's, and that as a share of all-miss."""
    keys, costs, means = draw(job.skew, job.noise, job.seed, requests=requests)
    entries = round(len(np.unique(keys)) * job.share)
    names = list(map(str, keys.tolist()))
    least = static(names, costs, capacity=entries)
    found = {"static": least / float(costs.sum())}
    # To a replay whose costs are the means, every mean is known from the first miss on.
    for arm, policy, seen in (
        ("default", robust(entries), costs),
        ("LEC", LEC(), costs),
        ("told c", robust(entries), means[keys]),
    ):
        ledger = MemoryLedger(entries, policy=policy)
        missed = workloads.missed(names, seen, ledger, estimator=Mean())
        found[arm] = float(costs[missed].sum()) / least
    shares = np.arange(1.0, len(means) + 1) ** -job.skew
    shares = shares / shares.sum()
    plain = keys.tolist(), costs.tolist()
    found["told c and the law"] = bayes(*plain, shares, means.tolist(), entries) / least
    found["told c and P"] = told(*plain, (shares * means).tolist(), entries) / least
    return found


def cells(seeds: int, processes: int) -> list[dict[str, Any]]:
    """Every stream and capacity: mean and standard deviation of each arm over the seeds."""
    jobs = [
        Job(*stream, share, seed) for stream in STREAMS for share in SHARES for seed in range(seeds)
    ]
    with ProcessPoolExecutor(processes) as pool:
        found = list(track(pool.map(measure, jobs), "streams", total=len(jobs)))
    rows = []
    for first in range(0, len(jobs), seeds):
        job, many = jobs[first], found[first : first + seeds]
        row: dict[str, Any] = {"skew": job.skew, "noise": job.noise, "share": job.share}
        row["static over no cache"] = statistics.mean(one["static"] for one in many)
        for arm in ARMS:
            drawn = [one[arm] for one in many]
            row[arm] = statistics.mean(drawn)
            row[f"{arm}, sd"] = statistics.stdev(drawn) if seeds > 1 else 0.0
        row["goal"] = GOALS[job.noise]
        row["reached"] = row["default"] <= row["goal"]
        rows.append(row)
    return rows


def show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Print a line a cell."""
    table = Table("Zipf", "noise", "capacity", *ARMS, "goal", title="cost over the static optimum")
    for row in rows:
        style = "" if row["reached"] else "yellow"
        arms = [f"{row[arm]:.3f} ± {row[f'{arm}, sd']:.3f}" for arm in ARMS]
        goal = f"{row['goal']:.2f}" + ("" if row["reached"] else " missed")
        table.add_row(
            f"{row['skew']}", f"{row['noise']}", f"{row['share']:.0%}", *arms, goal, style=style
        )
    console.print(table)


def draw_chart(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """One panel a stream: the arms over capacity, the static optimum as the floor."""
    with charts.drawing(path, 1, len(STREAMS), size=(12, 3.6), sharey=True) as panels:
        for (skew, noise), panel in zip(STREAMS, panels[0], strict=True):
            mine = [row for row in rows if (row["skew"], row["noise"]) == (skew, noise)]
            shares = [f"{row['share']:.0%}" for row in mine]
            for arm, colour in zip(ARMS, COLOURS, strict=True):
                panel.errorbar(
                    shares,
                    [row[arm] for row in mine],
                    [row[f"{arm}, sd"] for row in mine],
                    label=arm,
                    color=colour,
                    linestyle=":" if arm == "told c" else "-",
                    capsize=2,
                    marker=".",
                )
            panel.axhline(1.0, label="static optimum, in hindsight", **charts.HINDSIGHT)
            panel.axhline(GOALS[noise], color=charts.RED, linestyle=":", label="goal")
            title = f"Zipf {skew}" + (f", cost noise {noise}" if noise else "")
            panel.set_title(title, fontsize=10)
            panel.set_xlabel("capacity, share of the keys")
        panels[0, 0].set_ylabel("cost of misses / static optimum")
        panels[0, 0].legend(fontsize=8)


def main() -> None:
    """Run everything, write `stationary.json` and its chart."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    told_to = parser.parse_args()
    rows = cells(told_to.seeds, told_to.processes)
    result = {
        **stamp(
            f"python benchmarks/stationary.py --seeds {told_to.seeds}",
            "numpy",
            seeds=range(told_to.seeds),
        ),
        "measure": "cost of misses / that of the best fixed set in hindsight; mean and sd over seeds",
        "cells": rows,
    }
    results.write(told_to.out / "stationary.json", result)
    draw_chart(rows, told_to.out / "stationary.png")
    show(rows, Console())


if __name__ == "__main__":
    main()

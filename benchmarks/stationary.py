"""How near the best fixed set one can come when nothing moves, and how near we do.

    python benchmarks/stationary.py [--seeds 5] [--processes 2]    # about 10 minutes

Streams as in `workloads.py`: 200,000 independent requests for 10,000 keys by Zipf's law, log-normal
costs of the keys, and in the last stream log-normal noise on each cost (sigma 0.8). Capacities are 1, 5,
10 and 20 % of the keys. A measure is the cost of the misses over that of the static optimum: the fixed
set that is best in hindsight, its members paying once. It is chosen by the costs and counts that were
drawn, luck included; so beside our default and the paper's LEC there are two who know more:

told c: our default, told every mean cost beforehand; it learns how often, but not how dear.
told P and c: hold what has the largest product of the two. No online policy beats it in expectation.

Where the last is above a goal, nothing that learns can be expected to reach it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import robustness
import workloads
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

from langchain_cachemux.ledger import MemoryLedger
from langchain_cachemux.optimum import static
from langchain_cachemux.policies import LEC, robust

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RESULTS = Path(__file__).parent / "results"
STREAMS = ((0.6, 0.0), (0.8, 0.0), (1.0, 0.0), (0.9, 0.8))
"""(Zipf's exponent, sigma of the noise on a cost's logarithm)."""
SHARES = (0.01, 0.05, 0.1, 0.2)
GOALS = {0.0: 1.05, 0.8: 1.08}
ARMS = ("default", "LEC", "told c", "told P and c")


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
    keys: NDArray[np.int64], costs: NDArray[np.float64], worth: NDArray[np.float64], entries: int
) -> float:
    """Cost of the misses when the entries of most worth are held, each from its first request on."""
    held = np.zeros(len(worth), np.bool_)
    held[np.argsort(-worth, kind="stable")[:entries]] = True
    missed = ~held[keys]
    missed[np.unique(keys, return_index=True)[1]] = True
    return float(costs[missed].sum())


def measure(job: Job, *, requests: int = workloads.REQUESTS) -> dict[str, float]:
    """Each arm's cost over the static optimum's, and that as a share of all-miss."""
    keys, costs, means = draw(job.skew, job.noise, job.seed, requests=requests)
    worth = np.arange(1, len(means) + 1) ** -job.skew * means
    entries = round(len(np.unique(keys)) * job.share)
    names = list(map(str, keys.tolist()))
    least = static(names, costs, capacity=entries)
    found = {"static": least / float(costs.sum())}
    for arm, policy in (("default", robust(entries)), ("LEC", LEC())):
        missed = robustness.by_ledger(MemoryLedger(entries, policy=policy), names, costs)
        found[arm] = float(costs[missed].sum()) / least
    # To a replay whose costs are the means, every mean is known from the first miss on.
    missed = robustness.by_ledger(MemoryLedger(entries, policy=robust(entries)), names, means[keys])
    found["told c"] = float(costs[missed].sum()) / least
    found["told P and c"] = told(keys, costs, worth, entries) / least
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
        row["within anyone's reach"] = row["told P and c"] <= row["goal"]
        rows.append(row)
    return rows


def show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Print a line a cell."""
    table = Table("Zipf", "noise", "capacity", *ARMS, "goal", title="cost over the static optimum")
    for row in rows:
        style = "" if row["reached"] else "yellow" if row["within anyone's reach"] else "dim"
        arms = [f"{row[arm]:.3f} ± {row[f'{arm}, sd']:.3f}" for arm in ARMS]
        goal = f"{row['goal']:.2f}" + ("" if row["reached"] else " missed")
        table.add_row(
            f"{row['skew']}", f"{row['noise']}", f"{row['share']:.0%}", *arms, goal, style=style
        )
    console.print(table)


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """One panel a stream: the three arms over capacity, the static optimum as the floor."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    panels = figure.subplots(1, len(STREAMS), sharey=True)
    for (skew, noise), panel in zip(STREAMS, panels, strict=True):
        mine = [row for row in rows if (row["skew"], row["noise"]) == (skew, noise)]
        shares = [f"{row['share']:.0%}" for row in mine]
        for arm, colour in zip(ARMS, ("tab:red", "tab:blue", "tab:orange", "black"), strict=True):
            errors = [row[f"{arm}, sd"] for row in mine]
            heights = [row[arm] for row in mine]
            panel.errorbar(shares, heights, errors, label=arm, color=colour, capsize=2, marker=".")
        panel.axhline(1.0, color="grey", linestyle="-", label="static optimum, in hindsight")
        panel.axhline(GOALS[noise], color="grey", linestyle=":", label="goal")
        panel.set_title(f"Zipf {skew}" + (f", cost noise {noise}" if noise else ""), fontsize=10)
        panel.set_xlabel("capacity, share of the keys")
    panels[0].set_ylabel("cost of misses / static optimum")
    panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Run everything, write `stationary.json` and its chart."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    told_to = parser.parse_args()
    rows = cells(told_to.seeds, told_to.processes)
    result = {
        "command": f"python benchmarks/stationary.py --seeds {told_to.seeds}",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("langchain-cachemux", "numpy")},
        "measure": "cost of misses / that of the best fixed set in hindsight; mean and sd over seeds",
        "cells": rows,
    }
    told_to.out.mkdir(parents=True, exist_ok=True)
    (told_to.out / "stationary.json").write_text(json.dumps(result, indent=1) + "\n")
    plot(rows, told_to.out / "stationary.png")
    show(rows, Console())


if __name__ == "__main__":
    main()

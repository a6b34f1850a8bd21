"""A selector of limited accuracy: where it pays to trust it, to judge, and to fail expensive.

python benchmarks/selector.py    # no data; some minutes on one core

The paper leaves open what to do with a selector that is not very accurate (arXiv 2306.02003, table of
accuracy 0.8, where a cascade beats it). Here each question suits the small model, or not; a selector
says which, and is right with a given probability. The router is told nothing but what the selector says:
it learns how often either word came true, of the models it asked, and no more.

The large model costs 1 and is always right, the small one costs 1 / ratio. An answer that would not do
costs PENALTY when it is given. A judge is never wrong and costs JUDGE. Whether an answer that was given
would do is found out afterwards.

    small, large     always that one
    trust            the one that the selector names
    cascade          always small first, judged; then large
    route            the package's router, never judged
    auto             the same, judged where that costs less than the errors it would find
    safe             auto, fail-expensive; three in a hundred questions are given to the small model too,
                     to learn, and these are paid for

Without a judge cascade is missing, and auto is route. Floor: the worse of small and large. Ceiling: an
oracle, which asks small where that will do and never judges.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import results
from rich.console import Console
from rich.progress import track
from rich.table import Table

from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.route.costs import ANYTHING, Costs
from langchain_cachemux.route.estimators import Mean
from langchain_cachemux.route.router import Router
from langchain_cachemux.types import Estimate, Query

REQUESTS = 3000
SEEDS = 3
ACCURACIES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
RATIOS = (2.0, 10.0)
SUITED = (0.5, 0.8)
"""Shares of the questions that suit the small model."""
PENALTY = 2.0
"""Of an answer that would not do, in prices of the large model; as in the paper."""
JUDGE = 0.1
PROBED = 0.03
ALLOWED = 1.03
"""What auto may cost over the best of the others."""
ARMS = ("small", "large", "trust", "cascade", "route", "auto", "safe")


@dataclass(frozen=True)
class Cell:
    """What is simulated."""

    accuracy: float
    ratio: float
    suited: float
    judged: bool


class Share:
    """How often an answer failed, by what the selector said: Beta(1/2, 1/2), and some deviations.

    Of those sqrt(ln t) after t questions, so that no early failure is held against a model for ever.
    """

    def __init__(self) -> None:
        self.counts: dict[str, tuple[float, float]] = {}
        self.questions = 0

    def predict(self, x: Query) -> Estimate:
        """Estimate the chance that the answer will not do; anything, before one was learned."""
        self.questions += 1
        if x.key not in self.counts:
            return ANYTHING
        failed, did = self.counts[x.key]
        n = failed + did
        mean = failed / n
        deviation = math.sqrt(mean * (1.0 - mean) / (n + 1.0))
        return Estimate(mean, math.sqrt(math.log(self.questions)) * deviation, ceiling=1.0)

    def learn(self, x: Query, cost: float) -> None:
        """Count an answer: 1 when it failed, 0 when it did not."""
        failed, did = self.counts.get(x.key, (0.5, 0.5))
        self.counts[x.key] = failed + cost, did + 1.0 - cost


def simulate(cell: Cell, seed: int, requests: int) -> dict[str, float]:
    """Return the mean cost of a request by arm, all on the same questions."""
    rng = np.random.default_rng(seed)
    suits = rng.random(requests) < cell.suited
    says = np.where(rng.random(requests) < cell.accuracy, suits, ~suits)
    probes = rng.random(requests) < PROBED
    small, judge = 1.0 / cell.ratio, JUDGE
    given = small + PENALTY * ~suits
    costs = {
        "small": float(given.mean()),
        "large": 1.0,
        "trust": float(np.where(says, given, 1.0).mean()),
        "oracle": float(np.where(suits, np.minimum(small, 1.0), 1.0).mean()),
    }
    if cell.judged:
        costs["cascade"] = float((small + judge + ~suits).mean())
    for arm in ("route", "auto", "safe") if cell.judged else ("route", "safe"):
        costs[arm] = routed(arm, cell, suits.tolist(), says.tolist(), probes.tolist()) / requests
    return costs


def routed(
    arm: str, cell: Cell, suits: Sequence[bool], says: Sequence[bool], probes: Sequence[bool]
) -> float:
    """What one of the router's ways to use the selector costs in all."""
    router = Router(
        {name: Costs(price=Mean(), fails=Share()) for name in ("small", "large")},
        strategy="route" if arm == "route" else "auto",
    )
    words = {said: Query(str(said)) for said in (True, False)}
    small, total = 1.0 / cell.ratio, 0.0
    for does, said, probe in zip(suits, says, probes, strict=True):
        x = words[said]
        route = router.choose(
            x,
            judged=cell.judged,
            judge_price=JUDGE,
            error_price=PENALTY,
            safe=arm == "safe",
        )
        if route.model == "large":
            total += 1.0
            router.learn(x, 1.0, "large", failed=0.0)
            if arm == "safe" and probe:
                total += small
                router.learn(x, small, "small", failed=float(not does))
            continue
        router.learn(x, small, "small", failed=float(not does))
        total += small
        if route.strategy == "cascade":
            total += JUDGE
            if not does:
                total += 1.0
                router.learn(x, 1.0, "large", failed=0.0)
        elif not does:
            total += PENALTY
    return total


def cells(seeds: int, requests: int) -> list[dict[str, Any]]:
    """Every cell: the mean cost of each arm over the seeds, and how auto compares."""
    plan = [Cell(*each) for each in product(ACCURACIES, RATIOS, SUITED, (True, False))]
    rows = []
    for cell in track(plan, "cells"):
        drawn = [simulate(cell, seed, requests) for seed in range(seeds)]
        costs = {arm: statistics.mean(one[arm] for one in drawn) for arm in drawn[0]}
        ours = "auto" if cell.judged else "route"
        others = {arm: costs[arm] for arm in ARMS if arm in costs and arm != ours}
        best = min(others, key=lambda arm: others[arm])
        spread = [one[ours] / one[best] for one in drawn]
        rows.append(
            {
                "accuracy": cell.accuracy,
                "ratio": cell.ratio,
                "suited": cell.suited,
                "judged": cell.judged,
                "costs": costs,
                "best of the others": best,
                "auto over it": costs[ours] / costs[best],
                "its sd over seeds": statistics.stdev(spread) if seeds > 1 else 0.0,
            }
        )
    return rows


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print a line a cell."""
    table = Table(
        "judge", "suited", "ratio", "accuracy", *ARMS, "oracle", "best other", "auto over it"
    )
    for row in rows:
        costs = [f"{row['costs'][arm]:.3f}" if arm in row["costs"] else "" for arm in ARMS]
        table.add_row(
            "yes" if row["judged"] else "no",
            f"{row['suited']:.0%}",
            f"{row['ratio']:g}",
            f"{row['accuracy']:g}",
            *costs,
            f"{row['costs']['oracle']:.3f}",
            row["best of the others"],
            f"{row['auto over it']:.3f}",
            style="" if row["auto over it"] <= ALLOWED else "yellow",
        )
    Console(width=150).print(table)


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """With a judge above, without below; a panel a ratio, half of the questions suited to small."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(RATIOS), 6.5), layout="constrained")
    panels = figure.subplots(2, len(RATIOS), sharex=True, sharey=True)
    styles = dict(zip(ARMS, (":", ":", "--", "--", "-", "-", "-."), strict=True)) | {"oracle": ":"}
    colours = "grey black tab:orange tab:purple tab:blue tab:red tab:green grey".split()
    for (judged, ratio), panel in zip(product((True, False), RATIOS), panels.flat, strict=True):
        mine = [r for r in rows if (r["judged"], r["ratio"], r["suited"]) == (judged, ratio, 0.5)]
        for (arm, style), colour in zip(styles.items(), colours, strict=True):
            if arm in mine[0]["costs"]:
                costs = [r["costs"][arm] for r in mine]
                panel.plot([r["accuracy"] for r in mine], costs, style, color=colour, label=arm)
        panel.set_title(f"1:{ratio:g}, {'a judge' if judged else 'no judge'}", fontsize=10)
    figure.supxlabel("accuracy of the selector")
    figure.supylabel("cost of a request / price of the large model")
    panels.flat[0].legend(fontsize=7)
    figure.savefig(path, dpi=100)


def main() -> None:
    """Run, write `selector.json` and its chart."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    told = parser.parse_args()
    rows = cells(told.seeds, told.requests)
    worst = max(rows, key=lambda row: row["auto over it"])
    result = {
        **stamp(
            f"python benchmarks/selector.py --seeds {told.seeds} --requests {told.requests}",
            "numpy",
            seeds=told.seeds,
        ),
        "measure": "mean cost of a request, the large model's price being 1; means over the seeds",
        "goal": f"auto at most {ALLOWED} of the best of the others",
        "reached": worst["auto over it"] <= ALLOWED,
        "worst": worst,
        "cells": rows,
    }
    results.write(told.out / "selector.json", result)
    plot(rows, told.out / "selector.png")
    show(rows)


if __name__ == "__main__":
    main()

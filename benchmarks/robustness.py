"""The default against its peers, and against the best of them picked in hindsight for every cell.

    CACHEMUX_DATA=DIR python benchmarks/robustness.py [--cells FILE] [--processes 2] [--report]

About half an hour on two free cores. Each finished run is a line of FILE, and a run that has its line is
not done again: interrupt it, start it again, and delete FILE (or the lines of what has changed) when the
code has changed. `--report` runs nothing, and lists what has no line yet among what was not run.

A cell is a workload of `workloads.py` and a capacity: 1 %, 5 % and 20 % of its distinct keys, or 8 of
the paper's 20. Its measure is the cost of the misses over the cost of all requests, first requests
included. Its ratio is the default's measure over that of the best peer, seed by seed, then the mean over
the seeds. Traces of at most 100,000 requests are priced, and the paper's streams drawn, with five seeds,
paired; the longer ones, and those with costs of their own, with one.

The default is driven as the cache drives it: on a miss its estimator learns the cost, and each request
values the entry at the lower bound of the next. No policy sees the cost of a request that it served.
Every peer that values costs is given the mean of the costs paid for a key so far, and never forgets it;
where a key's cost does not vary that is the cost. Those blind to cost are measured by the same costs.

`libcachesim` brings seven of the peers and is not needed for the others, which give its hits
(tests/integration_tests/test_libcachesim.py); what was not run is listed, with the reason. CAMP is
GreedyDual with rounded costs, so GreedyDual stands for it.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import results
import workloads
from rich.console import Console
from rich.progress import track
from rich.table import Table

from langchain_cachemux.keep import policies
from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.lab import baselines, charts
from langchain_cachemux.lab.least import InCacheLFU, Least, LogFrequency
from langchain_cachemux.lab.optimum import bracket, static
from langchain_cachemux.lab.paper import OwnMean, TheoremBound, WholeHistory
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.route.estimators import Estimator, Mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Flags: TypeAlias = NDArray[np.bool_]
    Costs: TypeAlias = NDArray[np.float64]
    Row: TypeAlias = dict[str, Any]

CAPACITIES = (0.01, 0.05, 0.2)
TOY, TOY_CAPACITY = 20, 8
"""Distinct keys of the paper's streams, and the only capacity they are run with."""
SEEDS, SHORT, SLOW = 5, 100_000, 600_000
"""Seeds of a trace no longer than SHORT; LRB and Cacheus are not run on one longer than SLOW."""
TOLERANCE = 0.005
"""Of the bracket around the offline optimum."""


def by_libcachesim(name: str, capacity: int, keys: Sequence[str]) -> Flags:
    """Replay one of libCacheSim's algorithms, every size 1."""
    import libcachesim

    cache, request = getattr(libcachesim, name)(capacity), libcachesim.Request()
    request.obj_size = 1
    missed = np.zeros(len(keys), np.bool_)
    for i, key in enumerate(keys):
        request.obj_id, request.clock_time = int(key) + 1, i
        missed[i] = not cache.get(request)
    return missed


PEERS: dict[str, Callable[[int], baselines.Baseline]] = {
    "hyperbolic x cost": baselines.Hyperbolic,
    "LRU": lambda n: Least(n, policy=policies.LRU()),
    "LFU": lambda n: Least(n, policy=InCacheLFU()),
    "W-TinyLFU": baselines.WTinyLFU,
    "SIEVE": baselines.SIEVE,
    "S3-FIFO": baselines.S3FIFO,
    "ARC": baselines.ARC,
    "2Q": baselines.TwoQ,
    "W-TinyLFU x cost": lambda n: baselines.WTinyLFU(n, cost=True),
    "log-frequency x cost": lambda n: Least(n, policy=LogFrequency()),
    "GreedyDual/CAMP": lambda n: Least(n, policy=policies.GreedyDual()),
    "GDSF": lambda n: Least(n, policy=policies.GDSF()),
}
BLIND = {"LRU", "LFU", "W-TinyLFU", "SIEVE", "S3-FIFO", "ARC", "2Q", "LFU, whole history"}
"""Of our own, those that a cost does not move: one replay does for all prices of the same requests."""
COUNTING = ("LFU, whole history", "LEC by mean", "LEC by the theorem's bound")
"""These remember every key that was ever asked for."""
SIMULATED = {
    "LIRS": "LIRS",
    "LHD": "LHD",
    "LeCaR": "LeCaR",
    "Cacheus": "Cacheus",
    "LRB": "LRB",
    "3L-Cache": "ThreeLCache",
    "Clock2Q+": "Clock2QPlus",
}
FIXED = ("LEC", "LEC with a prior", "LEC ageing", "GDSF remembering", "GDSF", "GreedyDual")
"""The policies of the default, in its order, each alone."""
RIVALS = (*PEERS, *COUNTING, *SIMULATED)
BOUNDS = ("static", "bracket")


@dataclass(frozen=True, slots=True)
class Stream:
    """A workload's requests under each of its seeds, and the capacities to run it with."""

    name: str
    kind: str
    draws: tuple[workloads.Workload, ...]

    @property
    def capacities(self) -> dict[str, int]:
        """Label → entries."""
        distinct = self.draws[0].distinct
        if distinct == TOY:
            return {str(TOY_CAPACITY): TOY_CAPACITY}
        return {f"{share:.0%}": max(1, round(distinct * share)) for share in CAPACITIES}

    def write(self, folder: Path) -> None:
        """Put the draws where the processes find them."""
        arrays: dict[str, Any] = {f"keys {i}": draw.keys for i, draw in enumerate(self.draws)}
        arrays |= {f"costs {i}": draw.costs for i, draw in enumerate(self.draws)}
        np.savez(folder / f"{self.name}.npz", **arrays)

    def skipped(self, policy: str, entries: int) -> str | None:
        """Why a policy is not run, or None when it is."""
        if policy in SIMULATED and not find_spec("libcachesim"):
            return "libcachesim is not installed"
        if policy == "Clock2Q+" and entries < 10:
            return "libcachesim's gives its small queue no room, and misses always"
        if policy in {"LRB", "Cacheus"} and len(self.draws[0].keys) > SLOW:
            return f"slow; not run beyond {SLOW:,} requests"
        long = len(self.draws[0].keys) > SHORT
        if policy.startswith("alone") and long and "drift" not in self.name:
            return f"beyond {SHORT:,} requests only under drift, where a goal asks for it"
        return None


def streams(folder: Path | None) -> list[Stream]:
    """Every workload with its draws: five when it is short and they differ, else one."""
    real: list[Iterable[workloads.Workload]] = []
    if folder:
        real = [
            workloads.real(folder)
            if not seed
            else takewhile(_short, workloads.real(folder, seed=seed))
            for seed in range(SEEDS)
        ]
    drawn = [
        [w for w in workloads.synthetic(seed=seed) if not seed or _short(w)]
        for seed in range(SEEDS)
    ]
    found = []
    for kind, many in (("real", real), ("synthetic", drawn)):
        by_name: dict[str, list[workloads.Workload]] = {}
        for workload in (w for one in many for w in one):
            draws = by_name.setdefault(workload.name, [])
            same = draws and np.array_equal(draws[0].costs, workload.costs)
            if not same:
                draws.append(workload)
        found += [Stream(name, kind, tuple(draws)) for name, draws in by_name.items()]
    return found


def _short(workload: workloads.Workload) -> bool:
    return len(workload.keys) <= SHORT


def measure(
    draws: Sequence[workloads.Workload], entries: int, policy: str
) -> dict[str, list[float]]:
    """Run one policy, or find one bound, under every seed. Name → share of the cost, by seed."""
    found: dict[str, list[float]] = {}
    missed = None
    for seed, draw in enumerate(draws):
        total = float(draw.costs.sum())
        if policy == "bracket":
            optimum = bracket(draw.keys.tolist(), draw.costs, capacity=entries, tolerance=TOLERANCE)
            found.setdefault("optimum, at least", []).append(optimum.lower / total)
            found.setdefault("optimum, at most", []).append(optimum.upper / total)
            continue
        if policy == "static":
            least = static(draw.keys.tolist(), draw.costs, capacity=entries)
            found.setdefault("static", []).append(least / total)
            continue
        blind = policy in BLIND or policy in SIMULATED
        again = blind and np.array_equal(draw.keys, draws[0].keys)
        if missed is None or not again:
            missed = misses(draw, entries, policy, seed=seed)
        found.setdefault(policy, []).append(float(draw.costs[missed].sum()) / total)
    return found


def misses(draw: workloads.Workload, entries: int, policy: str, *, seed: int = 0) -> Flags:
    """Replay one policy on one draw: whether each request missed, shape (n,)."""
    keys = list(map(str, draw.keys.tolist()))
    if policy in SIMULATED:
        return by_libcachesim(SIMULATED[policy], entries, keys)
    return workloads.missed(
        keys,
        draw.costs,
        cache_of(policy, entries, seed=seed),
        estimator=estimator_of(policy, draw),
    )


def cache_of(policy: str, entries: int, *, seed: int) -> MemoryLedger | baselines.Baseline:
    """The cache that a policy is replayed in; `seed` is that of its own draws, where it has any."""
    if policy == "hyperbolic x cost":
        return baselines.Hyperbolic(entries, seed=seed)
    if policy in PEERS:
        return PEERS[policy](entries)
    if policy in COUNTING:
        return WholeHistory(entries, cost=not policy.startswith("LFU"))
    rules = policies.robust(entries)
    chosen = rules if policy == "default" else rules[FIXED.index(policy.removeprefix("alone: "))]
    return MemoryLedger(entries, policy=chosen)


def estimator_of(policy: str, draw: workloads.Workload) -> Estimator | None:
    """What tells a policy the cost of a miss; nothing where it is blind to it."""
    if policy in BLIND:
        return None
    if policy.endswith("theorem's bound"):
        return TheoremBound(
            least=float(draw.costs.min()),
            most=float(draw.costs.max()),
            requests=len(draw.keys),
            queries=draw.distinct,
        )
    return OwnMean() if policy in RIVALS else Mean()


@dataclass(frozen=True, slots=True)
class Job:
    """One policy on one cell, under every seed."""

    workload: str
    capacity: str
    entries: int
    policy: str
    draws: int

    @property
    def cell(self) -> str:
        """What it is listed by where it was not run."""
        return f"{self.workload} | {self.capacity} | {self.policy}"

    @property
    def name(self) -> str:
        """What its line in the file of finished runs is found by."""
        return f"{self.cell} | {self.draws}"

    def run(self, folder: Path) -> dict[str, list[float]]:
        """Do it, with the draws that were put into a folder."""
        with np.load(folder / f"{self.workload}.npz") as arrays:
            draws = [
                workloads.Workload(self.workload, arrays[f"keys {i}"], arrays[f"costs {i}"])
                for i in range(self.draws)
            ]
        return measure(draws, self.entries, self.policy)


def jobs(all_streams: Iterable[Stream]) -> tuple[list[Job], dict[str, str]]:
    """What is to be run, the short first; what is not, and why."""
    todo, skipped = [], {}
    alone = [f"alone: {name}" for name in FIXED]
    names = ["default", *BOUNDS, *COUNTING, *alone, *reversed(PEERS), *SIMULATED]
    for stream in all_streams:
        for label, entries in stream.capacities.items():
            for name in names:
                job = Job(stream.name, label, entries, name, len(stream.draws))
                reason = stream.skipped(name, entries)
                if reason:
                    skipped[f"{stream.name} | {label} | {name}"] = reason
                else:
                    todo.append(((len(stream.draws[0].keys) > SHORT, names.index(name)), job))
    return [job for _, job in sorted(todo, key=lambda item: item[0])], skipped


def finished(cells: Path) -> dict[str, dict[str, list[float]]]:
    """What the lines of the file of finished runs say."""
    if not cells.exists():
        return {}
    return dict(map(json.loads, cells.read_text(encoding="utf-8").splitlines()))


def run(
    all_streams: Sequence[Stream], cells: Path, processes: int
) -> dict[str, dict[str, list[float]]]:
    """Do every job that has no line in `cells` yet, and return what all lines say."""
    todo, _ = jobs(all_streams)
    done = finished(cells)
    left = [job for job in todo if job.name not in done]
    with (
        tempfile.TemporaryDirectory() as scratch,
        ProcessPoolExecutor(processes) as pool,
        cells.open("a", encoding="utf-8") as lines,
    ):
        for stream in all_streams if left else ():
            stream.write(Path(scratch))
        running = {pool.submit(job.run, Path(scratch)): job for job in left}
        try:
            for future in track(as_completed(running), "runs", total=len(running)):
                done[running[future].name] = future.result()
                lines.write(json.dumps([running[future].name, future.result()]) + "\n")
                lines.flush()
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    return {job.name: done[job.name] for job in todo}


def table(all_streams: Iterable[Stream], done: dict[str, dict[str, list[float]]]) -> list[Row]:
    """Every cell: what each policy cost, and the default over the best peer, fixed set and bounds."""
    rows = []
    for stream in all_streams:
        for label, entries in stream.capacities.items():
            found: dict[str, list[float]] = {}
            for name in ("default", *RIVALS, *BOUNDS, *(f"alone: {name}" for name in FIXED)):
                job = Job(stream.name, label, entries, name, len(stream.draws))
                found |= done.get(job.name, {})
            if "default" in found and not found.keys().isdisjoint(RIVALS):
                rows.append(cell(stream, label, entries, found))
    return rows


def cell(stream: Stream, label: str, entries: int, found: dict[str, list[float]]) -> Row:
    """One cell of the results."""
    ours = found["default"]
    peers = {name: found[name] for name in RIVALS if name in found}
    ratios = over(ours, peers.values())
    return {
        "workload": stream.name,
        "kind": stream.kind,
        "requests": len(stream.draws[0].keys),
        "distinct": stream.draws[0].distinct,
        "capacity": label,
        "entries": entries,
        "seeds": len(stream.draws),
        "ratio": statistics.mean(ratios),
        "sd": statistics.stdev(ratios) if ratios[1:] else 0.0,
        "best peer": min(peers, key=lambda name: statistics.mean(peers[name])),
        "over best fixed": mean_over(found, *(f"alone: {name}" for name in FIXED)),
        "over static": mean_over(found, "static"),
        "over optimum, at most": mean_over(found, "optimum, at least"),
        "bracket": max(
            map(_gap, found.get("optimum, at least", ()), found.get("optimum, at most", ())),
            default=None,
        ),
        "cost": found,
    }


def _gap(low: float, high: float) -> float:
    return 1 - low / high


def mean_over(found: Row, *names: str) -> float | None:
    """The default over the best of these, the mean over the seeds; None when one was not run."""
    if not found.keys() >= set(names):
        return None
    return statistics.mean(over(found["default"], [found[name] for name in names]))


def over(ours: Sequence[float], theirs: Iterable[Sequence[float]]) -> list[float]:
    """Our cost over the least of theirs, seed by seed."""
    return [one / min(others) for one, *others in zip(ours, *theirs, strict=True)]


def gmean(values: Iterable[float]) -> float:
    """The geometric mean."""
    return statistics.geometric_mean(values)


def _told(rows: Sequence[Row], figure: str) -> list[float]:
    return [row[figure] for row in rows if row[figure] is not None] or [math.nan]


def summarise(rows: Sequence[Row]) -> Row:
    """The figures to compare with the goals, from the cells alone."""
    summary: Row = {}
    for kind, chosen in (
        ("all", rows),
        ("real", [row for row in rows if row["kind"] == "real"]),
        ("synthetic", [row for row in rows if row["kind"] == "synthetic"]),
    ):
        ratios = [row["ratio"] for row in chosen]
        if ratios:
            summary[kind] = {
                "cells": len(ratios),
                "geometric mean": gmean(ratios),
                "share within 2 %": statistics.mean(ratio <= 1.02 for ratio in ratios),
                "worst": max(ratios),
            }
    stationary = [row for row in rows if row["workload"].startswith("zipf")]
    noisy = [row for row in stationary if "noise" in row["workload"]]
    plain = [row for row in stationary if row not in noisy]
    drift = [row for row in rows if row["workload"].startswith("drift")]
    large = [row for row in rows if row["entries"] >= 50]
    summary |= {
        "over static, stationary": max(_told(plain, "over static")),
        "over static, cost noise 0.8": max(_told(noisy, "over static")),
        "over best fixed, drift": max(_told(drift, "over best fixed")),
        "over best fixed, geometric mean": gmean(_told(rows, "over best fixed")),
        "over optimum, at most, geometric mean": gmean(_told(rows, "over optimum, at most")),
        "widest bracket from 50 entries": max(_told(large, "bracket")),
    }
    single = {}
    for name in (*RIVALS, *(f"alone: {name}" for name in FIXED)):
        ratios = [
            statistics.mean(over(row["cost"]["default"], [row["cost"][name]]))
            for row in rows
            if name in row["cost"]
        ]
        if ratios:
            single[name] = {
                "geometric mean": gmean(ratios),
                "worst": max(ratios),
                "cells": len(ratios),
            }
    summary["over each"] = dict(sorted(single.items(), key=lambda item: -item[1]["geometric mean"]))
    return summary


def show(rows: Sequence[Row], summary: Row, console: Console) -> None:
    """Print every cell and the summary."""
    cells = Table("workload", "capacity", "cost", "over best peer", "sd", "best peer")
    for name in ("over fixed", "over static", "over optimum ≤", "bracket"):
        cells.add_column(name, justify="right")
    for row in rows:
        cost = statistics.mean(row["cost"]["default"])
        style = "red" if row["ratio"] > 1.07 else "yellow" if row["ratio"] > 1.02 else ""
        figures = ("over best fixed", "over static", "over optimum, at most")
        cells.add_row(
            row["workload"],
            row["capacity"],
            f"{cost:.4f}",
            f"{row['ratio']:.3f}",
            f"{row['sd']:.3f}",
            row["best peer"],
            *(f"{row[figure]:.3f}" if row[figure] else "–" for figure in figures),
            f"{row['bracket']:.2%}" if row["bracket"] is not None else "–",
            style=style,
        )
    console.print(cells)
    singles = Table("the default over", "geometric mean", "worst", "cells")
    for name, figures in summary["over each"].items():
        mean, worst = figures["geometric mean"], figures["worst"]
        singles.add_row(name, f"{mean:.3f}", f"{worst:.3f}", str(figures["cells"]))
    console.print(singles)
    console.print_json(data={name: v for name, v in summary.items() if name != "over each"})


def draw_chart(rows: Sequence[Row], path: Path) -> None:
    """Draw each cell's ratio, three familiar policies and the floor beside it."""
    shown = list(reversed(rows))
    best = [
        statistics.mean(
            map(min, zip(*(r["cost"][n] for n in RIVALS if n in r["cost"]), strict=True))
        )
        for r in shown
    ]

    def relative(name: str) -> list[float]:
        return [
            statistics.mean(row["cost"].get(name, [math.nan])) / least
            for row, least in zip(shown, best, strict=True)
        ]

    with charts.drawing(path, size=(9, 0.19 * len(shown) + 1.6)) as panels:
        axes, places = panels[0, 0], range(len(shown))
        faint = {"LRU": charts.INK, "GDSF": charts.BLUE, "LEC by mean": charts.ORANGE}
        for name, colour in faint.items():
            axes.scatter(relative(name), places, s=13, color=colour, alpha=0.7, label=name, lw=0)
        axes.scatter(
            relative("optimum, at least"),
            places,
            marker="|",
            s=40,
            color=charts.PURPLE,
            label="offline optimum (floor)",
        )
        ratios = [row["ratio"] for row in shown]
        spread = [row["sd"] for row in shown]
        axes.errorbar(ratios, places, xerr=spread, fmt="none", ecolor=charts.MAIN, lw=1)
        axes.scatter(ratios, places, s=28, color=charts.MAIN, label="the default", zorder=3)
        _axes(axes, shown)


def _axes(axes: Axes, shown: Sequence[Row]) -> None:
    axes.axvline(1.0, label="best peer of each cell", **charts.NO_CACHE)
    for limit, label in ((1.02, None), (1.07, "1.02 and 1.07")):
        axes.axvline(limit, color=charts.RED, lw=0.6, ls=":", label=label)
    axes.set_xscale("log")
    axes.set_xlim(0.5, 2.0)
    axes.set_xticks([0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    axes.set_yticks(range(len(shown)))
    axes.set_yticklabels([f"{r['workload']}  {r['capacity']}" for r in shown], fontsize=7)
    axes.set_ylim(-0.8, len(shown) - 0.2)
    axes.set_xlabel("cost of misses over that of the best peer, picked in hindsight; cut off at 2")
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, 1.035), ncols=7, fontsize=7)


def main() -> None:
    """Run what is left, write the results file and the figure, and print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    default = Path(tempfile.gettempdir()) / "cachemux-robustness.jsonl"
    parser.add_argument("--cells", type=Path, default=default, help="finished runs, one a line")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="run nothing, tell what there is")
    given = parser.parse_args()
    folder = workloads.data()
    if folder is None:
        print("CACHEMUX_DATA names no folder: synthetic workloads only")
    every = streams(folder)
    done = finished(given.cells) if given.report else run(every, given.cells, given.processes)
    todo, skipped = jobs(every)
    skipped |= {job.cell: "not finished" for job in todo if job.name not in done}
    rows = table(every, done)
    summary = summarise(rows)
    result = {
        **stamp("CACHEMUX_DATA=DIR python benchmarks/robustness.py", "numpy", "libcachesim"),
        "measure": "cost of misses / cost of all requests; lists are by seed",
        "summary": summary,
        "skipped": skipped,
        "cells": rows,
    }
    results.write(results.FOLDER / "robustness.json", result)
    draw_chart(rows, results.FOLDER / "robustness.png")
    show(rows, summary, Console())


if __name__ == "__main__":
    main()

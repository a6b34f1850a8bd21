"""How fast a replay goes, and what a request costs the ledger as its capacity grows.

python benchmarks/replay_speed.py [REQUESTS]    # 300000 by default: about 3 minutes, 4 GB; 2000: seconds

Replay: requests a second of CPU through `replay`, of a stream whose keys are Zipf's (skew 1, 100,000
keys) at 1,000 entries; bounds are given, so they are not timed.

Ledger: seconds of CPU a request at 100 … 1,000,000 entries. It is filled first; then three quarters of
the requests are Zipf's over the keys it was filled with, and the rest are for keys never seen before,
so about as many miss at every capacity. Floor: an LRU that is nothing but an `OrderedDict`. Ceiling: to
scan for the least worth, which is what the heap spares.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import LEC, LFU, LRU, Policy, robust
from langchain_cachemux.lab.optimum import Bracket
from langchain_cachemux.lab.replay import Bounds, Choice, replay
from langchain_cachemux.types import Entry, Request

RESULTS = Path(__file__).parent / "results"
REPLAYED: dict[str, Callable[[], Choice]] = {
    "LRU": LRU,
    "LFU": LFU,
    "LEC": LEC,
    "default": lambda: robust,
}
STRETCHES = 5
"""Parts of each measurement; its median is told, and its range."""


class Plain:
    """The floor: an LRU that is nothing but an `OrderedDict`."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.held: OrderedDict[str, Entry] = OrderedDict()

    def use(self, key: str) -> bool:
        """Move a key to the end."""
        if key not in self.held:
            return False
        self.held.move_to_end(key)
        return True

    def admit(self, entry: Entry) -> None:
        """Evict the first."""
        self.held[entry.key] = entry
        if len(self.held) > self.capacity:
            self.held.popitem(last=False)


class Scan(Plain):
    """The ceiling: LEC that looks at every entry to find the least."""

    def use(self, key: str) -> bool:
        """Count a request."""
        entry = self.held.get(key)
        if entry is not None:
            entry.count += 1
        return entry is not None

    def admit(self, entry: Entry) -> None:
        """Evict the least of count times cost."""
        entry.count = 1.0
        self.held[entry.key] = entry
        if len(self.held) > self.capacity:
            least = min(self.held.values(), key=lambda e: e.count * e.cost)
            del self.held[least.key]


def ledger_of(
    policy: Callable[[int], Policy | tuple[Policy, ...]],
) -> Callable[[int], MemoryLedger]:
    """Build a ledger from its capacity."""
    return lambda capacity: MemoryLedger(capacity, policy=policy(capacity))


LEDGERS: dict[str, Callable[[int], MemoryLedger | Plain]] = {
    "an OrderedDict": Plain,
    "LEC": ledger_of(lambda _: LEC()),
    "default": ledger_of(robust),
    "scan for the least": Scan,
}


def spread(seconds: list[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": statistics.median(seconds), "least": min(seconds), "most": max(seconds)}


def replays(requests: int) -> list[dict[str, object]]:
    """Requests a second through `replay`, a row a policy."""
    rng = np.random.default_rng(0)
    capacity, costs = 1_000, rng.lognormal(0.0, 1.2, 100_001).tolist()
    ranks = (100_000.0 ** rng.random(requests)).astype(int).tolist()
    trace = [Request(f"key {rank}", costs[rank]) for rank in ranks]
    bounds = Bounds(capacity, requests, len(set(ranks)), 0.0, 0.0, Bracket(0.0, 0.0))
    rows: list[dict[str, object]] = []
    for name, policy in REPLAYED.items():
        taken = []
        for _ in range(3):
            start = time.process_time()
            report = replay(trace, capacity=capacity, policy=policy(), bounds=bounds)
            taken.append(time.process_time() - start)
        rows.append(
            {
                "policy": name,
                "hit rate": report.hits / requests,
                "seconds": spread(taken),
                "requests per second": requests / statistics.median(taken),
            }
        )
        print(f"replay, {name}: {requests / statistics.median(taken):,.0f} requests/s")
    return rows


def growth(requests: int) -> list[dict[str, object]]:
    """Seconds a request, a row a ledger and capacity."""
    rows: list[dict[str, object]] = []
    for name, make in LEDGERS.items():
        scans = name == "scan for the least"
        for capacity in (10**power for power in range(2, 7)):
            if capacity > (10_000 if scans else 4 * requests):
                break
            asked = min(requests, 10**7 // capacity) if scans else requests
            taken, hits = request_times(make(capacity), capacity, asked)
            row = {"ledger": name, "capacity": capacity, "hit rate": hits / asked}
            rows.append({**row, "requests": asked, "seconds": spread(taken)})
            print(
                f"{name}, {capacity:,} entries: {statistics.median(taken) * 1e6:.2f} µs a request"
            )
    return rows


def request_times(
    ledger: MemoryLedger | Plain, capacity: int, requests: int
) -> tuple[list[float], int]:
    """Seconds a request in each stretch, and the hits."""
    rng = np.random.default_rng(0)
    costs = rng.lognormal(0.0, 1.2, capacity + 1).tolist()
    for rank in rng.permutation(np.arange(1, capacity + 1)).tolist():
        ledger.admit(Entry(f"key {rank}", costs[rank]))
    ranks = (float(capacity) ** rng.random(requests)).astype(int)
    new = rng.random(requests) < 1 / 4
    keys = [f"new {i}" if once else f"key {r}" for i, (r, once) in enumerate(zip(ranks, new))]  # noqa: B905
    paid = [costs[rank] for rank in ranks.tolist()]
    taken, hits = [], 0
    for stretch in np.array_split(np.arange(requests), STRETCHES):
        part = list(zip(stretch.tolist(), keys[stretch[0] : stretch[-1] + 1], strict=True))
        start = time.process_time()
        for i, key in part:
            if ledger.use(key):
                hits += 1
            else:
                ledger.admit(Entry(key, paid[i]))
        taken.append((time.process_time() - start) / len(part))
    return taken, hits


def draw(result: dict[str, list[dict[str, object]]]) -> Figure:
    """Bars of the replays, lines of the ledgers."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    bars, lines = figure.subplots(1, 2, width_ratios=(2, 3))
    speeds = {row["policy"]: row["requests per second"] for row in result["replay"]}
    bars.barh([*speeds][::-1], [*speeds.values()][::-1], color="#2e8b57")
    bars.set_xlabel("requests a second through replay")
    colours = ("#1f2430", "#5e81ac", "#2e8b57", "#d08770")
    for (name, style), colour in zip(
        dict(zip(LEDGERS, (":", "-", "-", "--"), strict=True)).items(), colours, strict=True
    ):
        mine = [row for row in result["ledger"] if row["ledger"] == name]
        at = [row["capacity"] for row in mine]
        micros = [{k: 1e6 * v for k, v in row["seconds"].items()} for row in mine]
        lines.plot(at, [m["median"] for m in micros], style, marker="o", color=colour, label=name)
        least, most = ([m[end] for m in micros] for end in ("least", "most"))
        lines.fill_between(at, least, most, color=colour, alpha=0.2, lw=0)
    lines.set_xscale("log")
    lines.set_yscale("log")
    lines.set_xlabel("entries")
    lines.set_ylabel("µs a request")
    lines.legend(frameon=False, fontsize=9)
    for axes in (bars, lines):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#d8dde6", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure


def main() -> None:
    """Measure, and write the results file and the plot."""
    requests = int(sys.argv[1]) if sys.argv[1:] else 300_000
    result = {
        "command": " ".join(["python benchmarks/replay_speed.py", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("langchain-cachemux", "numpy")},
        "requests": requests,
        "replay": replays(requests),
        "ledger": growth(requests),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "replay_speed.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draw(result).savefig(path.with_suffix(".png"), dpi=150)


if __name__ == "__main__":
    main()

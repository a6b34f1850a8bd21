"""How fast a replay goes, and what a request costs the ledger as its capacity grows.

python benchmarks/replay_speed.py [REQUESTS]    # 300000 by default: about 3 minutes, 4 GB; 2000: seconds

Replay: requests a second of CPU through `replay`, of a stream whose keys are Zipf's (skew 1, 100,000
keys) at 1,000 entries; bounds are given, so they are not timed.

Ledger: seconds of CPU a request by `follow` at 100 … 1,000,000 entries, an answer being worth what
it cost. It is filled first; then three quarters of the requests are Zipf's over the keys it was filled
with, and the rest are for keys never seen before, so about as many miss at every capacity. Floor: an LRU
that is nothing but an `OrderedDict`. Ceiling: to scan for the least, which is what the heap spares.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import results

from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import LEC, LFU, LRU, Policy, robust
from langchain_cachemux.lab import charts
from langchain_cachemux.lab.optimum import Bracket
from langchain_cachemux.lab.replay import Bounds, Choice, follow, replay
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.types import Request

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
        self.held: OrderedDict[str, list[float]] = OrderedDict()

    @property
    def size(self) -> int:
        """Keys held."""
        return len(self.held)

    def __len__(self) -> int:
        """Keys held."""
        return len(self.held)

    def __contains__(self, key: object) -> bool:
        """Whether `key` is held."""
        return key in self.held

    def request(self, key: str, cost: float = 1.0, size: int = 1) -> bool:  # noqa: ARG002
        """Move a key to the end, or put it there and drop the first."""
        if key in self.held:
            self.held.move_to_end(key)
            return True
        self.held[key] = []
        if len(self.held) > self.capacity:
            self.held.popitem(last=False)
        return False


class Scan(Plain):
    """The ceiling: LEC that looks at every entry to find the least."""

    def request(self, key: str, cost: float = 1.0, size: int = 1) -> bool:  # noqa: ARG002
        """Count a request, and drop the least of count times cost."""
        if key in self.held:
            self.held[key][0] += 1
            return True
        self.held[key] = [1.0, cost]
        if len(self.held) > self.capacity:
            least = min(self.held, key=lambda key: math.prod(self.held[key]))
            del self.held[least]
        return False


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
    filling = rng.permutation(np.arange(1, capacity + 1)).tolist()
    for _ in follow((Request(f"key {rank}", costs[rank]) for rank in filling), ledger):
        pass
    ranks = (float(capacity) ** rng.random(requests)).astype(int).tolist()
    new = rng.random(requests) < 1 / 4
    trace = [
        Request(f"new {i}" if once else f"key {rank}", costs[rank])
        for i, (rank, once) in enumerate(zip(ranks, new, strict=True))
    ]
    taken, hits = [], 0
    for stretch in np.array_split(np.arange(requests), STRETCHES):
        part = trace[stretch[0] : stretch[-1] + 1]
        start = time.process_time()
        hits += sum(outcome.hit for outcome in follow(part, ledger))
        taken.append((time.process_time() - start) / len(part))
    return taken, hits


def draw_chart(result: dict[str, Any], path: Path) -> None:
    """Bars of the replays, lines of the ledgers."""
    with charts.drawing(path, 1, 2, size=(10, 4), width_ratios=(2, 3)) as panels:
        bars, lines = panels[0]
        speeds = {row["policy"]: row["requests per second"] / 1000 for row in result["replay"]}
        bars.barh([*speeds][::-1], [*speeds.values()][::-1], color=charts.MAIN)
        bars.set_xlabel("thousand requests a second through replay")
        colours = (charts.INK, charts.BLUE, charts.MAIN, charts.INK)
        for name, style, colour in zip(LEDGERS, (":", "-", "-", "--"), colours, strict=True):
            mine = [row for row in result["ledger"] if row["ledger"] == name]
            at = [row["capacity"] for row in mine]
            micros = [{k: 1e6 * v for k, v in row["seconds"].items()} for row in mine]
            middle = [m["median"] for m in micros]
            lines.plot(at, middle, style, marker="o", color=colour, label=name)
            least, most = ([m[end] for m in micros] for end in ("least", "most"))
            lines.fill_between(at, least, most, color=colour, alpha=0.2, lw=0)
        lines.set_xscale("log")
        lines.set_yscale("log")
        lines.set_xlabel("entries")
        lines.set_ylabel("µs a request")
        lines.legend()


def main() -> None:
    """Measure, and write the results file and the plot."""
    requests = int(sys.argv[1]) if sys.argv[1:] else 300_000
    result = {
        **stamp(" ".join(["python benchmarks/replay_speed.py", *sys.argv[1:]]), "numpy"),
        "requests": requests,
        "replay": replays(requests),
        "ledger": growth(requests),
    }
    path = results.FOLDER / "replay_speed.json"
    results.write(path, result)
    draw_chart(result, path.with_suffix(".png"))


if __name__ == "__main__":
    main()

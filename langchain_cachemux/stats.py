"""What a cache did: counters and a stopwatch that threads may share, under a global lock or none."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from langchain_cachemux.locks import Lock

PENDING = 10_000
"""Keys whose stopwatches run at once; the one started longest ago is forgotten first."""
AT_ONCE = 64
"""Stopwatches of one key that run at once."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What a cache did since it was opened; the first three describe what it holds now."""

    entries: int
    size: int
    """Entries, or bytes, as the capacity is counted."""
    capacity: int
    hits_exact: int
    hits_semantic: int
    hits_judged: int
    """Of those by meaning, the ones that a judge was asked about first."""
    misses: int
    reworded: int
    """Questions found to be another wording of a stored one."""
    admitted: int
    """Answers stored; each is acknowledged: it stays until it is evicted or forgotten."""
    bypassed: int
    """Answers that were themselves the least worth keeping."""
    evicted: int
    refused: int
    """Answers that must not be served again, and questions with no stable key."""
    unpriced: int
    """Answers of a model that the price does not know, valued at what others cost."""
    errors: int
    """Faults the chain never saw: a lookup that became a miss, an update that was dropped."""
    saved: float
    """Cost of the misses that the hits would have been, by the lower bound; in the user's unit."""
    judged_before: int = 0
    """Opinions that a question waited for."""
    judged_after: int = 0
    """Opinions asked in the background."""
    judging: float = 0.0
    """What they cost, in the user's unit; to be taken from what was saved."""
    rewritten: int = 0
    """Turns of conversations that were written as questions on their own."""
    rewriting: float = 0.0
    """What that cost; to be taken from what was saved, too."""
    labels: int = 0
    """Pairs of which it became known whether they are the same."""
    audits: int = 0
    """Of these, hits that were turned into misses to see whether they were right."""
    error: float | None = None
    """Share of the hits by meaning that were wrong, by the audits; None without one."""
    error_interval: tuple[float, float] | None = None
    """Where that share lies at every moment at once, by the budget's confidence sequence."""


Counted: TypeAlias = Literal[
    "hits_exact",
    "hits_semantic",
    "hits_judged",
    "misses",
    "reworded",
    "admitted",
    "bypassed",
    "evicted",
    "refused",
    "unpriced",
    "errors",
]


class Counters:
    """Counts what happens, and sums up what was saved; what is read was true at one moment."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._saved = 0.0
        self._lock = Lock()

    def add(self, name: Counted, times: int = 1, *, saved: float = 0.0) -> None:
        """Count something, and what it saved."""
        with self._lock:
            self._counts[name] += times
            self._saved += saved

    def hits_per_answer(self) -> float:
        """Hits for each answer stored."""
        with self._lock:
            counts = self._counts
            return (counts["hits_exact"] + counts["hits_semantic"]) / max(counts["admitted"], 1)

    def stats(self, *, entries: int, size: int, capacity: int, **learned: Any) -> Stats:
        """All counts, beside what is held now and what was learned of matching."""
        with self._lock:
            return Stats(
                entries=entries,
                size=size,
                capacity=capacity,
                hits_exact=self._counts["hits_exact"],
                hits_semantic=self._counts["hits_semantic"],
                hits_judged=self._counts["hits_judged"],
                reworded=self._counts["reworded"],
                misses=self._counts["misses"],
                admitted=self._counts["admitted"],
                bypassed=self._counts["bypassed"],
                evicted=self._counts["evicted"],
                refused=self._counts["refused"],
                unpriced=self._counts["unpriced"],
                errors=self._counts["errors"],
                saved=self._saved,
                **learned,
            )


class Stopwatch:
    """Times keys, each from its start to its stop; one that is started twice at once is timed twice."""

    def __init__(self) -> None:
        self._running: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = Lock()

    def start(self, key: str) -> None:
        """Start timing a key."""
        with self._lock:
            self._running.setdefault(key, deque(maxlen=AT_ONCE)).append(time.perf_counter())
            self._running.move_to_end(key)
            while len(self._running) > PENDING:
                self._running.popitem(last=False)

    def stop(self, key: str) -> float | None:
        """Return the seconds since the latest start; None when none runs, as another thread took it."""
        with self._lock:
            running = self._running.get(key)
            return time.perf_counter() - running.pop() if running else None

    def clear(self) -> None:
        """Forget every start."""
        with self._lock:
            self._running.clear()

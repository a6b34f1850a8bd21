"""Trace → what a cache would have cost: so far, the offline optimum to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def optimum(keys: Sequence[str], costs: Sequence[float], *, capacity: int) -> float:
    """Return the least total cost at which any cache of `capacity` entries can serve a trace.

    Knowing the future, choose which entry to keep from one request for it to the next: interval j
    saves the cost of the request it ends at, and at most `capacity` intervals may span the gap
    between two requests. A newcomer need not be kept. The matrix of a set of intervals is totally
    unimodular, so the linear program's optimum is the integral one (policies.md §2).

    Args:
        keys: What each request asks for.
        costs: What a miss at that request costs, in any unit.
        capacity: Entries held at most.

    Raises:
        ValueError: The lengths differ, or `capacity` is negative.
    """
    if len(keys) != len(costs):
        msg = f"keys and costs must be of one length, got {len(keys)} and {len(costs)}"
        raise ValueError(msg)
    if capacity < 0:
        msg = f"capacity must be >= 0, got {capacity!r}"
        raise ValueError(msg)
    from scipy.optimize import linprog
    from scipy.sparse import csr_matrix

    last: dict[str, int] = {}
    intervals: list[tuple[int, int]] = []
    for now, key in enumerate(keys):
        if key in last:
            intervals.append((last[key], now))
        last[key] = now
    total = float(sum(costs))
    if not intervals or not capacity:
        return total
    gaps = np.concatenate([np.arange(start, end) for start, end in intervals])
    columns = np.repeat(np.arange(len(intervals)), [end - start for start, end in intervals])
    spans = csr_matrix((np.ones(len(gaps)), (gaps, columns)), (len(keys), len(intervals)))
    saved = np.array([costs[end] for _, end in intervals])
    solution = linprog(-saved, A_ub=spans, b_ub=np.full(len(keys), capacity), bounds=(0, 1))
    return total + float(solution.fun)

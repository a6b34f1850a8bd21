"""The demo's result as a table in words: the terminal's, the page's and the README's are one."""

from __future__ import annotations

from typing import Any

COLUMNS = (
    "setup",
    "TFLOP",
    "cost share",
    "seconds",
    "US$",
    "exact hits",
    "hits by meaning",
    "wrong hits",
    "right",
)
OPTIMUM = "offline optimum"


def rows(report: dict[str, Any]) -> list[list[str]]:
    """Return the cells, the arms in order and the optimum last.

    Args:
        report: What `Demo.report` returned, or the same read from JSON.
    """
    cells = [
        [
            arm["name"],
            f"{arm['flops'] / 1e12:.2f}" if arm["flops"] else "–",
            f"{arm['share']:.0%}",
            f"{arm['seconds'] + arm['overhead']:.1f}",
            f"{arm['dollars']:.3f}" if arm["dollars"] else "–",
            str(arm["hits_exact"]),
            str(arm["hits_semantic"]),
            str(arm["wrong_hits"]),
            f"{arm['accuracy']:.0%}",
        ]
        for arm in report["arms"]
    ]
    if not report["optimum"]:
        return cells
    first = report["arms"][0]["cost"] or 1.0
    floor = report["optimum"]["routed"]
    cost, time = (f"{floor:.2f}", "–") if report["arms"][0]["flops"] else ("–", f"{floor:.1f}")
    return [*cells, [OPTIMUM, cost, f"{floor / first:.0%}", time, *"–––", "0", "–"]]

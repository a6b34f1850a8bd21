"""The demo's report as one self-contained HTML page, with its plots as SVG."""

from __future__ import annotations

import html
import io
import json
from typing import TYPE_CHECKING, Any

from langchain_cachemux.demo.table import COLUMNS, rows
from langchain_cachemux.lab import charts

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

COLOURS = (charts.INK, charts.ORANGE, charts.BLUE, charts.MAIN)
CSS = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1f2430 }
table { border-collapse: collapse; width: 100% } caption { text-align: left; color: #666 }
th, td { padding: .35rem .6rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left } tr:last-child { color: #666 }
tr.best td { font-weight: 600; background: #eef7f1 }
svg { max-width: 100%; height: auto } h1 { font-size: 1.6rem } h2 { font-size: 1.15rem }
pre { background: #f5f6f8; padding: 1rem; overflow: auto; font-size: .8rem }
"""


def page(report: dict[str, Any]) -> str:
    """Return the page.

    Args:
        report: What `Demo.report` returned.

    Raises:
        ImportError: matplotlib is not installed.
    """
    arms = report["arms"]
    best = len(arms) - 1
    head = "".join(f"<th scope=col>{html.escape(column)}" for column in COLUMNS)
    body = "".join(
        f"<tr{' class=best' if place == best else ''}>"
        + "".join(f"<td>{html.escape(cell)}" for cell in row)
        for place, row in enumerate(rows(report))
    )
    models = "".join(
        f"<li><b>{html.escape(name)}</b>: {html.escape(what)}"
        for name, what in report["models"].items()
    )
    told = {name: value for name, value in report.items() if name not in ("arms", "models")}
    last = arms[-1]
    return f"""<!doctype html><html lang=en><meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<title>langchain-cachemux: the demo</title><style>{CSS}</style>
<h1>{last["saved"]:.0%} of the cost saved, {last["accuracy"]:.0%} answered right
(large only: {arms[0]["accuracy"]:.0%})</h1>
<p>One stream of {report["requests"]} requests through four arms, side by side; each cache holds
{report["capacity"]} answers.</p><ul>{models}</ul>
<table><caption>The share is of the TFLOP, or of the seconds where FLOPs cannot be counted; seconds
are those of the real calls, and of the cache and router themselves.</caption>
<tr>{head}</tr>{body}</table>
<h2>Cost as the requests come in</h2>{_svg(_line, report)}
<h2>Who answered</h2>{_svg(_bars, report)}
<h2>Cost against quality</h2>{_svg(_scatter, report)}
<h2>Settings</h2><pre>{html.escape(json.dumps(told, indent=1))}</pre></html>
"""


def _svg(draw: Any, report: dict[str, Any]) -> str:
    out = io.BytesIO()
    with charts.drawing(out, size=(9, 3.6), kind="svg") as panels:
        draw(panels[0, 0], report)
    text = out.getvalue().decode()
    return text[text.index("<svg") :]


def _line(axes: Axes, report: dict[str, Any]) -> None:
    """Cumulative cost: large only is the ceiling, the offline optimum the floor."""
    for arm, colour in zip(report["arms"], COLOURS, strict=False):
        axes.plot(arm["line"], color=colour, label=f"{arm['name']} ({arm['share']:.0%})", lw=2)
    if report["optimum"]:
        floor = report["optimum"]["routed"]
        axes.axhline(floor, label="offline optimum, whole stream", **charts.LIMIT)
    axes.axvline(report["requests"] / 2, color=charts.INK, lw=0.6)
    axes.annotate(
        "popularity drifts",
        (report["requests"] / 2, 1),
        xycoords=("data", "axes fraction"),
        xytext=(5, -10),
        textcoords="offset points",
        color=charts.INK,
        fontsize=9,
    )
    axes.set(xlabel="request", ylabel=f"{report['arms'][0]['unit']} so far", ylim=(0, None))
    axes.legend()


def _bars(axes: Axes, report: dict[str, Any]) -> None:
    """Requests by who answered them; an escalated one was asked of both models."""
    small, large = report["models"]
    parts: dict[str, Callable[[dict[str, Any]], int]] = {
        "exact hit": lambda arm: arm["hits_exact"],
        "semantic hit": lambda arm: arm["hits_semantic"] - arm["wrong_hits"],
        "wrong hit": lambda arm: arm["wrong_hits"],
        small: lambda arm: _misses(arm) - arm["calls"].get(large, 0),
        large: lambda arm: arm["calls"].get(large, 0),
    }
    colours = (charts.GREEN, charts.TEAL, charts.RED, charts.GOLD, charts.INK)
    names = [arm["name"] for arm in report["arms"]][::-1]
    left = [0.0] * len(names)
    for (label, count), colour in zip(parts.items(), colours, strict=True):
        widths = [count(arm) for arm in report["arms"]][::-1]
        axes.barh(names, widths, left=left, color=colour, label=label)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set(xlabel="requests")
    axes.legend(ncols=5, loc="lower center", bbox_to_anchor=(0.4, 1.0))


def _misses(arm: dict[str, Any]) -> int:
    return int(arm["requests"] - arm["hits_exact"] - arm["hits_semantic"])


def _scatter(axes: Axes, report: dict[str, Any]) -> None:
    """Each arm's share of the cost and of right answers; in the shade only by being less right."""
    arms = report["arms"]
    for arm, colour in zip(arms, COLOURS, strict=False):
        axes.scatter(arm["share"], arm["accuracy"], s=90, color=colour, zorder=3, label=arm["name"])
    floor = report["optimum"].get("routed", 0.0) / (arms[0]["cost"] or 1.0)
    axes.axvspan(0, floor, color=charts.INK, alpha=0.15, lw=0, label="below the offline optimum")
    axes.axhline(arms[0]["accuracy"], **charts.NO_CACHE)
    axes.set(
        xlabel="share of large only's cost", ylabel="answered right", xlim=(0, 1.05), ylim=(0, 1)
    )
    axes.legend(fontsize=9, loc="lower right")

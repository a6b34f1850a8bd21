"""One style for every chart, and what a replay, an advice and a fitted router look like in it.

A chart is drawn on nothing: its background is transparent, and each of its colours stands out from a
white page and from a dark one, by a contrast of 3 at least (WCAG 2.1, 1.4.11). So one file serves both.
Every chart has its floor and its ceiling: `NO_CACHE`, `HINDSIGHT` and `LIMIT` are how they are drawn.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from langchain_cachemux.extras import needs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from langchain_cachemux.lab.advise import Advice
    from langchain_cachemux.lab.replay import Report
    from langchain_cachemux.route.fit import Report as Fitted

INK = "#797d85"
"""Of words, axes, floors and ceilings."""
GREEN, BLUE, ORANGE, PURPLE = "#2e8b57", "#5e81ac", "#c8784f", "#a97fa6"
TEAL, GOLD, RED = "#3f9aae", "#a8842a", "#bf616a"
MAIN, OTHERS = GREEN, (BLUE, ORANGE, PURPLE, TEAL, GOLD, RED)
"""Of what a chart is about, and of what it is compared with."""
NO_CACHE: dict[str, Any] = {"color": INK, "linestyle": "-", "linewidth": 1.0}
HINDSIGHT: dict[str, Any] = {"color": INK, "linestyle": ":", "linewidth": 1.5}
"""The best fixed set, known only afterwards."""
LIMIT: dict[str, Any] = {"color": INK, "linestyle": "--", "linewidth": 1.5}
"""What no cache can beat."""

STYLE: Any = {  # matplotlib types each name
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "figure.facecolor": "none",
    "font.size": 10,
    "grid.alpha": 0.25,
    "grid.color": INK,
    "grid.linewidth": 0.6,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "savefig.transparent": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
"""For `matplotlib.rc_context`, or `pyplot.rcParams.update` in a notebook."""
ANONYMOUS = {"png": ("Software",), "svg": ("Creator", "Date", "Format", "Type")}
"""What a file does not say of its making, so that the same chart is the same file."""


@contextmanager
def drawing(
    to: Path | io.BytesIO,
    rows: int = 1,
    columns: int = 1,
    *,
    size: tuple[float, float] = (8, 4.5),
    kind: Literal["png", "svg"] = "png",
    **options: Any,
) -> Iterator[Any]:
    """Give axes to draw on, in the one style; what was drawn is written when the block ends.

    Args:
        to: A file or a buffer.
        rows: Of panels.
        columns: Of panels.
        size: Width and height of the whole, in inches.
        kind: What is written.
        options: As `matplotlib.figure.Figure.subplots` takes them.

    Yields:
        The panels, an array of shape (rows, columns).

    Raises:
        ImportError: matplotlib is not installed.
    """
    needs("matplotlib", extra="lab", purpose="a plot")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        yield figure.subplots(rows, columns, squeeze=False, **options)
        figure.savefig(to, format=kind, dpi=150, metadata=dict.fromkeys(ANONYMOUS[kind]))


def replayed(reports: Sequence[Report], *, default: str) -> bytes:
    """A PNG of cost over capacity, a line a policy; of one capacity, a bar a policy.

    Args:
        reports: Of one trace, at least one.
        default: The policy to bring out.

    Raises:
        ImportError: matplotlib is not installed.
    """
    image = io.BytesIO()
    with drawing(image) as panels:
        _replayed(panels[0, 0], reports, default)
    return image.getvalue()


def _replayed(axes: Axes, reports: Sequence[Report], default: str) -> None:
    capacities = sorted({report.capacity for report in reports})
    names = list(dict.fromkeys(report.policy for report in reports))
    colours = {name: OTHERS[place % len(OTHERS)] for place, name in enumerate(names)}
    colours[default] = MAIN
    bounds = {report.capacity: report.bounds for report in reports}
    if len(capacities) == 1:
        ordered = sorted(reports, key=lambda report: -report.share)
        axes.barh(
            [r.policy for r in ordered],
            [r.share for r in ordered],
            color=[colours[r.policy] for r in ordered],
        )
        axes.set_xlim(0, max(1.0, ordered[0].share))
        axes.set_xlabel("cost, as a share of no cache")
        mark: Any = axes.axvline
    else:
        for name in names:
            mine = sorted((r for r in reports if r.policy == name), key=lambda r: r.capacity)
            axes.plot(
                [r.capacity for r in mine],
                [r.share for r in mine],
                marker="o",
                markersize=4,
                linewidth=3 if name == default else 1.5,
                color=colours[name],
                label=name,
            )
        axes.set_xscale("log")
        axes.set_ylim(0, 1.02 * max(1.0, *(report.share for report in reports)))
        axes.set_xlabel("capacity")
        axes.set_ylabel("cost, as a share of no cache")
        mark = None
    marked = [bounds[capacity] for capacity in capacities]
    for label, style, costs in (
        ("best set in hindsight", HINDSIGHT, [b.static for b in marked]),
        ("no cache can cost less", LIMIT, [b.optimum.lower for b in marked]),
    ):
        shares = [cost / (b.no_cache or 1.0) for cost, b in zip(costs, marked, strict=True)]
        if mark:
            mark(shares[0], label=label, **style)
        else:
            axes.plot(capacities, shares, label=label, **style)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def advised(advice: Advice, *, unit: str) -> bytes:
    """A PNG of misses, storage and their sum over capacity, with the best one and its range.

    Args:
        advice: With at least one capacity above 0.
        unit: What capacity is counted in.

    Raises:
        ImportError: matplotlib is not installed.
    """
    image = io.BytesIO()
    with drawing(image) as panels:
        _advised(panels[0, 0], advice, unit)
    return image.getvalue()


def _advised(axes: Axes, advice: Advice, unit: str) -> None:
    curve = [point for point in advice.curve if point.capacity]
    at = [point.capacity for point in curve]
    axes.fill_between(
        at, [p.low for p in curve], [p.high for p in curve], color=OTHERS[0], alpha=0.2, lw=0
    )
    axes.plot(at, [p.misses for p in curve], color=OTHERS[0], label="misses, with 90 % range")
    axes.plot(at, [p.storage for p in curve], color=OTHERS[1], label="storage")
    axes.plot(at, [p.total for p in curve], color=MAIN, linewidth=3, label="both")
    nothing = advice.curve[0].total
    axes.axhline(nothing, label="no cache", **NO_CACHE)
    axes.axvspan(advice.low, advice.high, color=MAIN, alpha=0.12, lw=0)
    axes.plot(advice.best.capacity, advice.best.total, "o", color=MAIN, markersize=9)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.1 * nothing or 1.0)
    axes.set_xlabel(f"capacity, {unit}")
    axes.set_ylabel("cost, in the trace's unit")
    axes.legend()


def fitted(report: Fitted, *, kind: Literal["png", "svg"] = "png") -> bytes:
    """A chart of quality over cost, the router between chance and knowing all; and of its calibration.

    Raises:
        ImportError: matplotlib is not installed.
    """
    image = io.BytesIO()
    with drawing(image, columns=2, size=(10, 4.2), kind=kind) as panels:
        traded(panels[0, 0], report)
        calibrated(panels[0, 1], report)
    return image.getvalue()


def traded(axes: Axes, report: Fitted) -> None:
    """Draw quality over cost: the router, its floor (by lot) and its ceiling (every outcome known)."""
    from matplotlib.ticker import PercentFormatter

    for points, label, style in (
        (report.oracle, "knowing every outcome", LIMIT),
        (report.random, "by lot", NO_CACHE),
        (report.curve, "router", {"color": MAIN, "linewidth": 3}),
    ):
        axes.plot([p.cost for p in points], [p.quality for p in points], label=label, **style)
    for place, (name, point) in enumerate(report.always.items()):
        colour = OTHERS[place % len(OTHERS)]
        axes.plot(point.cost, point.quality, "s", color=colour, label=f"{name} alone", markersize=7)
    if report.saving is not None:
        at = report.saving.setting
        axes.plot(at.cost, at.quality, "o", color=MAIN, markersize=9)
    axes.set_xlim(0, None)
    axes.set_xlabel("cost per question")
    axes.set_ylabel("answers that do")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="lower right")


def calibrated(axes: Axes, report: Fitted) -> None:
    """Draw the share that failed over the chance that was predicted; the diagonal is the ideal."""
    axes.plot([0, 1], [0, 1], label="ideal", **LIMIT)
    for name, found in report.calibration.items():
        colour = OTHERS[list(report.models).index(name) % len(OTHERS)]
        axes.plot(
            [b.predicted for b in found.bins],
            [b.observed for b in found.bins],
            "o-",
            color=colour,
            label=f"{name}, off by {found.ece:.3f}",
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("predicted chance of failing")
    axes.set_ylabel("failed")
    axes.legend(loc="upper left")

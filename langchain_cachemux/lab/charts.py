"""What a replay and an advice look like; every chart has its floor and its ceiling."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from langchain_cachemux.extras import needs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from langchain_cachemux.lab.advise import Advice
    from langchain_cachemux.lab.replay import Report

INK, GRID = "#1f2430", "#d8dde6"
MAIN, OTHERS = "#2e8b57", ("#5e81ac", "#d08770", "#b48ead", "#4c566a", "#ebcb8b", "#88c0d0")


def replayed(reports: Sequence[Report], *, default: str) -> bytes:
    """A PNG of cost over capacity, a line a policy; of one capacity, a bar a policy.

    Args:
        reports: Of one trace, at least one.
        default: The policy to bring out.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure, axes = _figure()
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
        ("best set in hindsight", ":", [b.static for b in marked]),
        ("no cache can cost less", "--", [b.optimum.lower for b in marked]),
    ):
        shares = [cost / (b.no_cache or 1.0) for cost, b in zip(costs, marked, strict=True)]
        if mark:
            mark(shares[0], color=INK, linestyle=style, label=label)
        else:
            axes.plot(capacities, shares, color=INK, linestyle=style, label=label)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    return _png(figure)


def advised(advice: Advice, *, unit: str) -> bytes:
    """A PNG of misses, storage and their sum over capacity, with the best one and its range.

    Args:
        advice: With at least one capacity above 0.
        unit: What capacity is counted in.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure, axes = _figure()
    curve = [point for point in advice.curve if point.capacity]
    at = [point.capacity for point in curve]
    axes.fill_between(
        at, [p.low for p in curve], [p.high for p in curve], color=OTHERS[0], alpha=0.2, lw=0
    )
    axes.plot(at, [p.misses for p in curve], color=OTHERS[0], label="misses, with 90 % range")
    axes.plot(at, [p.storage for p in curve], color=OTHERS[1], label="storage")
    axes.plot(at, [p.total for p in curve], color=MAIN, linewidth=3, label="both")
    nothing = advice.curve[0].total
    axes.axhline(nothing, color=INK, linestyle=":", label="no cache")
    axes.axvspan(advice.low, advice.high, color=MAIN, alpha=0.12, lw=0)
    axes.plot(advice.best.capacity, advice.best.total, "o", color=MAIN, markersize=9)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.1 * nothing or 1.0)
    axes.set_xlabel(f"capacity, {unit}")
    axes.set_ylabel("cost, in the trace's unit")
    axes.legend(frameon=False, fontsize=9)
    return _png(figure)


def _figure() -> tuple[Figure, Axes]:
    needs("matplotlib", extra="lab", purpose="a plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _png(figure: Figure) -> bytes:
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150)
    return image.getvalue()

"""Write the demo's result into the README: its pictures, its table and its sentence.

python benchmarks/readme.py            # rewrite them from benchmarks/results/demo.json
python benchmarks/readme.py --check    # fail when they differ
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from langchain_cachemux.demo.table import COLUMNS, OPTIMUM, rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results"
INKS = {"light": ("#1f2328", "#d0d7de"), "dark": ("#e6edf3", "#3d444d")}
"""Text and lines on a light and on a dark page; the pictures have no ground of their own."""
COLOURS = ("#8b949e", "#d08770", "#5e81ac", "#2e9e5b")


def picture(report: dict[str, Any], *, ground: str) -> str:
    """The cost of each setup as a bar, and as it grows with the requests, in SVG.

    Args:
        report: The demo's result.
        ground: `light` or `dark`.
    """
    ink, pale = INKS[ground]
    settings: Any = {
        **dict.fromkeys(("text.color", "xtick.color", "ytick.color", "axes.labelcolor"), ink),
        "axes.edgecolor": pale,
        "axes.facecolor": "none",
        "font.size": 10,
        "svg.hashsalt": "cachemux",
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(10, 3.3), layout="constrained", facecolor="none")
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
        _bars(left, report, pale)
        _lines(right, report, pale)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in drawn.getvalue().splitlines()) + "\n"


def _bars(axes: Axes, report: dict[str, Any], pale: str) -> None:
    arms, floor = report["arms"], report["optimum"]["routed"]
    names = [*(arm["name"] for arm in arms), OPTIMUM]
    costs = [*(arm["cost"] for arm in arms), floor]
    bars = axes.barh(names, costs, color=[*COLOURS, pale])
    told = [f"{arm['share']:.0%} · {arm['accuracy']:.0%} right" for arm in arms]
    axes.bar_label(bars, [*told, f"{floor / arms[0]['cost']:.0%}"], padding=4)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * costs[0])
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params("y", length=0)
    axes.set_title(f"Cost of {report['requests']} requests", loc="left", fontsize=10)


def _lines(axes: Axes, report: dict[str, Any], pale: str) -> None:
    for arm, colour in zip(report["arms"], COLOURS, strict=True):
        axes.plot(arm["line"], color=colour, lw=2)
    half = report["requests"] / 2
    axes.axvline(half, color=pale, lw=1)
    axes.text(half + 4, report["arms"][0]["cost"], "other questions\nbecome popular", va="top")
    axes.set(xlim=(0, report["requests"]), ylim=(0, None), xlabel="requests so far")
    axes.axhline(report["optimum"]["routed"], color=pale, ls="--", lw=1.5)
    axes.set_title(f"Cost so far, in {report['arms'][0]['unit']}", loc="left", fontsize=10)


def blocks(report: dict[str, Any]) -> dict[str, str]:
    """What stands between two marks of the README, by the marks' name."""
    first, *_, last = report["arms"]
    told = (
        f"{last['name']}: {last['share']:.0%} of the cost of {first['name']}, "
        f"{last['accuracy']:.0%} of the answers right instead of {first['accuracy']:.0%}"
    )
    shown = f"""<picture>
  <source media="(prefers-color-scheme: dark)" srcset="benchmarks/results/demo_dark.svg">
  <img alt="{told}" src="benchmarks/results/demo_light.svg">
</picture>
"""
    table = [COLUMNS, ["---", *["---:"] * (len(COLUMNS) - 1)], *rows(report)]
    lines = [f"| {' | '.join(cells)} |\n" for cells in table]
    return {"picture of the demo": shown, "table of the demo": "".join(lines)}


def written(readme: str, report: dict[str, Any]) -> str:
    """The README with those blocks."""
    for name, block in blocks(report).items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, after = readme.index(begin) + len(begin), readme.index(end)
        readme = readme[:before] + block + readme[after:]
    return readme


def main() -> None:
    """Rewrite what is made from the result, or compare."""
    report = json.loads((RESULTS / "demo.json").read_text(encoding="utf-8"))
    readme = ROOT / "README.md"
    made = {RESULTS / f"demo_{g}.svg": picture(report, ground=g) for g in INKS}
    made[readme] = written(readme.read_text(encoding="utf-8"), report)
    for path, content in made.items():
        if "--check" not in sys.argv:
            path.write_text(content, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != content:
            sys.exit(f"{path.name} is not what benchmarks/results/demo.json says: run this script")


if __name__ == "__main__":
    main()

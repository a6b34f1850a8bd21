"""`cachemux fit`: a router from what a multiplexer observed, and what it would have been worth."""

from __future__ import annotations

import dataclasses
import html as markup
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_cachemux.cli.terminal import console, table, watched, write
from langchain_cachemux.extras import needs

if TYPE_CHECKING:
    from rich.table import Table

    from langchain_cachemux.route.fit import Embed, Report
    from langchain_cachemux.route.router import Router

ROUTER, REPORT = "router", "report.json"
"""What is written to the folder."""
HEADINGS = ("", "cost", "saved", "do", "asked")


def fit_router(
    observations: Annotated[
        Path,
        typer.Argument(
            metavar="OBSERVATIONS", help="What MultiplexedLLM(..., observations=FILE) wrote."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="The folder for `router` and `report.json`.")],
    price_of_error: Annotated[
        float | None,
        typer.Option(help="What a bad answer costs, in the unit of the costs; see --max-error."),
    ] = None,
    max_error: Annotated[
        float,
        typer.Option(help="Without a price: how many more of the cheap answers may be bad."),
    ] = 0.05,
    models: Annotated[
        str, typer.Option(help="From cheap to expensive, a,b; by default as they cost.")
    ] = "",
    words_only: Annotated[
        bool, typer.Option("--words-only", help="Without the default encoder's vectors.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds and the intervals.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Draw the report here, a PNG.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as a page here.")] = None,
) -> None:
    """Fit a router to what was observed.

    And say what it would have saved. No model is asked; each question is scored by a router that has
    not learned from it. Use it by MultiplexedLLM(..., router=Router.load("OUT/router")).
    """
    from langchain_cachemux.lab import charts
    from langchain_cachemux.lab.stamp import stamp
    from langchain_cachemux.route.fit import fit

    if plot is not None or html is not None:
        needs("matplotlib", extra="lab", purpose="a plot")
    router, report = fit(
        observations,
        embed=None if words_only else _encoder(),
        models=[name.strip() for name in models.split(",")] if models else None,
        error_price=price_of_error,
        max_error=max_error,
        seed=seed,
        watch=watched,
    )
    told = stamp(" ".join(["cachemux", *sys.argv[1:]]), "scikit-learn", seeds=[seed]) | {
        "observations_file": observations.name,
        "report": dataclasses.asdict(report),
    }
    drawn = charts.fitted(report) if plot is not None else b""
    page = _page(report, charts.fitted(report, kind="svg")) if html is not None else ""
    _keep(router, told, out)
    console().print(_table(report))
    for line in _reading(report):
        console().print(line, markup=False)
    console().print(f"wrote {out / ROUTER} and {out / REPORT}", style="dim", markup=False)
    if plot is not None:
        write(plot, drawn)
    if html is not None:
        write(html, page)


def _keep(router: Router, told: dict[str, Any], out: Path) -> None:
    """Write the router and the report into a folder: both, or neither."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        router.save(Path(folder) / ROUTER)
        (Path(folder) / REPORT).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        out.mkdir(exist_ok=True)
        for name in (ROUTER, REPORT):
            (Path(folder) / name).replace(out / name)


def _encoder() -> Embed:
    from langchain_cachemux.read.encoder import SentenceEncoder

    return SentenceEncoder().embed_documents


def _rows(report: Report) -> list[tuple[str, ...]]:
    """The router between the models alone, and who knows every outcome."""
    if report.saving is None:
        return []
    setting, dearest = report.saving.setting, report.always[report.models[-1]]

    def row(name: str, cost: float, quality: str, shares: str) -> tuple[str, ...]:
        saved = 1 - cost / dearest.cost if dearest.cost else 0.0
        return name, f"{cost:,.4g}", f"{saved:.1%}", quality, shares

    asked = ", ".join(f"{name} {share:.0%}" for name, share in setting.shares.items() if share)
    rows = [
        row(f"{name} alone", point.cost, f"{point.quality:.1%}", "")
        for name, point in report.always.items()
    ]
    rows.append(row("router", setting.cost, f"{setting.quality:.1%}", asked))
    best = (1 - report.saving.oracle) * dearest.cost
    rows.append(row("knowing every outcome", best, f"{report.saving.oracle_quality:.1%}", ""))
    return rows


def _table(report: Report) -> Table:
    title = f"{report.observations:,} observations of {report.questions:,} questions"
    shown = table(title)
    for place, heading in enumerate(HEADINGS):
        left = place in (0, len(HEADINGS) - 1)
        shown.add_column(heading, justify="left" if left else "right", no_wrap=place == 0)
    for row in _rows(report):
        shown.add_row(*row, style="bold green" if row[0] == "router" else "")
    return shown


def _reading(report: Report) -> list[str]:
    """The report in words."""
    calibrated = ", ".join(
        f"{name} off by {c.ece:.3f} on average ({c.n:,} judged)"
        for name, c in report.calibration.items()
    )
    lines = [f"Chances of failing: {calibrated}."]
    saving = report.saving
    if saving is None:
        lines.append(
            "No question was judged of each model but the most expensive, so what the router would"
            " have saved is not known."
        )
        return lines
    lines.append(
        f"At a price of {saving.setting.error_price:,.4g} an error the router would have saved"
        f" {saving.saved:.1%} (95 %: {saving.low:.1%} to {saving.high:.1%}), and given"
        f" {100 * saving.better:+.1f} points of good answers ({100 * saving.better_low:+.1f} to"
        f" {100 * saving.better_high:+.1f})."
    )
    rest = ", which need not be like the rest" if report.scored < report.questions else ""
    lines.append(
        f"Scored on the {report.scored:,} questions of which enough is known{rest}; none by a router"
        f" that had seen it. Estimated: {report.estimated_costs:.0%} of the costs, which nobody paid,"
        f" and {report.estimated_outcomes:.0%} of {report.models[-1]}'s outcomes, which nobody judged."
    )
    if report.unsure:
        least = " ".join(report.unsure[0].text.split())
        lines.append(f"Of {report.unsure_share:.0%} it is unsure, such as: {least:.100}")
    return lines


def _page(report: Report, drawing: bytes) -> str:
    """The report as one self-contained page."""
    from langchain_cachemux.demo.page import CSS

    text = drawing.decode()
    head = "".join(f"<th scope=col>{heading}" for heading in HEADINGS)
    body = "".join(
        f"<tr{' class=best' if row[0] == 'router' else ''}>"
        + "".join(f"<td>{markup.escape(cell)}" for cell in row)
        for row in _rows(report)
    )
    said = "".join(f"<p>{markup.escape(line)}</p>" for line in _reading(report))
    unsure = "".join(
        f"<li>{markup.escape(each.text)} ({markup.escape(f'{each.model} or {each.other}')})"
        for each in report.unsure
    )
    return f"""<!doctype html><html lang=en><meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<title>langchain-cachemux: a fitted router</title><style>{CSS}</style>
<h1>A fitted router</h1><table><tr>{head}</tr>{body}</table>{said}
{text[text.index("<svg") :]}
<h2>Least sure</h2><ul>{unsure}</ul></html>
"""

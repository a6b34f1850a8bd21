"""`cachemux …`: the demo, and one question to the same stack."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import track as tracked
from rich.table import Table

from langchain_cachemux.cache import Event, LECCache
from langchain_cachemux.cli.terminal import console, write
from langchain_cachemux.cli.traces import advise_trace, replay_trace
from langchain_cachemux.demo import arms as demo_
from langchain_cachemux.demo.models import local_pair, named_pair
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.multiplexer import MultiplexedLLM
from langchain_cachemux.types import Hit, Miss

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A cost-aware semantic cache and a learned model multiplexer, at work.",
)
app.command("replay")(replay_trace)
app.command("advise")(advise_trace)
Small = Annotated[
    str, typer.Option(help="The cheap model, provider:model, in place of the local one.")
]
Large = Annotated[str, typer.Option(help="The dear model, provider:model.")]
BaseUrl = Annotated[
    str, typer.Option(help="Where both are served, for an OpenAI-compatible server.")
]
Similarity = Annotated[float, typer.Option(help="Least cosine of a semantic hit, in (0, 1].")]


@app.command()
def demo(
    *,
    questions: Annotated[Path | None, typer.Option(help="Your questions, a JSONL file.")] = None,
    requests: Annotated[int, typer.Option(min=2, help="Requests drawn.")] = 300,
    quick: Annotated[bool, typer.Option("--quick", help="60 requests.")] = False,
    seed: Annotated[int, typer.Option(help="Of the stream.")] = 0,
    capacity: Annotated[int, typer.Option(min=1, help="Entries each cache holds.")] = 15,
    similarity: Similarity = 0.85,
    small: Small = "",
    large: Large = "",
    base_url: BaseUrl = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots here.")] = None,
    record: Annotated[
        Path | None, typer.Option(help="Keep model answers here; a later run replays them.")
    ] = None,
) -> None:
    """Send one stream of questions through four arms, and show what was saved.

    Large model only, LFU cache + large, LEC cache + large, LEC cache + multiplexer: real models, a
    real encoder, real Chroma. Ctrl-C stops it and shows what was done so far.
    """
    asked = demo_.read_questions(questions)
    stream = demo_.draw(asked, 60 if quick else requests, seed=seed)
    with _pair(small, large, base_url) as pair, _recording(record) as recording:
        for name, what in pair.what.items():
            console.print(f"[bold]{name}[/]: {what}")
        run = demo_.Demo(
            pair, asked, stream, capacity=capacity, similarity=similarity, recording=recording
        )
        interrupted = _watch(run)
        report = run.report(
            optimal=not interrupted,
            progress=lambda rs: tracked(rs, "what the optimum needs to know", console=console),
        )
    report |= {
        "interrupted": interrupted,
        "seed": seed,
        "questions": len(asked),
    } | stamp(" ".join(["cachemux", *sys.argv[1:]]), "langchain-core", "chromadb")
    console.print(result_table(report))
    console.print(_reading(report))
    if json_file is not None:
        write(json_file, json.dumps(report, indent=1) + "\n")
    if html is not None:
        from langchain_cachemux.demo.page import page

        write(html, page(report, columns=COLUMNS, rows=rows(report)))
    if interrupted:
        raise typer.Exit(130)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="Your question.")],
    *,
    path: Annotated[
        Path | None, typer.Option(help="Folder of the cache, kept between runs.")
    ] = None,
    capacity: Annotated[str, typer.Option(help="Entries, or a size like 512MB.")] = "10000",
    similarity: Similarity = 0.85,
    small: Small = "",
    large: Large = "",
    base_url: BaseUrl = "",
) -> None:
    """Put one question to a cache and two models; say what happened, why, and at what cost.

    Asked again, also in other words or after a restart, it is a hit.
    """
    from langchain_cachemux.match.threshold import Threshold

    folder = path or Path(typer.get_app_dir("cachemux")) / "cache"
    events: list[Event] = []
    with (
        LECCache(
            folder,
            capacity=int(capacity) if capacity.isdecimal() else capacity,
            match=Threshold(similarity),
            on_event=events.append,
        ) as cache,
        _pair(small, large, base_url) as pair,
    ):
        answer = MultiplexedLLM(models=pair.models, cache=cache, accept=pair.accept).invoke(
            question
        )
        held = len(cache.ledger)
    told = answer.response_metadata["cachemux"]
    console.print(str(answer.content).strip(), style="bold", markup=False)
    verdict = next((event for event in events if isinstance(event, Hit | Miss)), None)
    if verdict is None:
        console.print("[yellow]the cache could not be asked[/]; see the warning above")
    elif isinstance(verdict, Hit):
        what = f"[green]{verdict.kind} hit[/], similarity {verdict.similarity:.2f}"
        console.print(f"{what}, to the stored question: {escape(verdict.entry.text)}")
        console.print(f"answered by {told['model']} then; saved about {told['saved']:.3g} s")
    else:
        console.print(f"[yellow]miss[/]: {escape(verdict.reason)}")
        if verdict.nearest is not None:
            console.print("nearest stored question:", verdict.nearest.entry.text, markup=False)
        way = f"{told['route']} → {told['model']}" if told["escalated"] else told["model"]
        console.print(f"routed to {way}: {told['reason']}", markup=False)
        console.print(f"cost {told['cost']:.3g} s")
    console.print(f"{folder} holds {held} answers", style="dim", markup=False)


def result_table(report: dict[str, Any]) -> Table:
    """The demo's result, an arm a row, with the optimum below as the floor."""
    title = f"{report['requests']} requests, capacity {report['capacity']}"
    table = Table(title=title, box=SIMPLE_HEAD, padding=0)
    for heading in COLUMNS:
        left = heading == "arm"
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    for row in rows(report):
        table.add_row(*row)
    return table


PACKAGES = (
    "langchain-cachemux",
    "langchain-core",
    "chromadb",
    "sentence-transformers",
    "xllamacpp",
)
COLUMNS = (
    "arm",
    "TFLOP",
    "share",
    "seconds",
    "US$",
    "hits = + ≈",
    "wrong",
    "right",
    "×opt.",
)


def rows(report: dict[str, Any]) -> list[list[str]]:
    """The cells of the result's table; the README's is made of them too."""
    cells = [
        [
            arm["name"],
            f"{arm['flops'] / 1e12:.2f}" if arm["flops"] else "–",
            f"{arm['share']:.0%}",
            f"{arm['seconds'] + arm['overhead']:.1f}",
            f"{arm['dollars']:.3f}" if arm["dollars"] else "–",
            f"{arm['hits_exact']} + {arm['hits_semantic']}",
            str(arm["wrong_hits"]),
            f"{arm['accuracy']:.0%}",
            f"{arm['over_optimum']:.2f}" if arm["over_optimum"] else "–",
        ]
        for arm in report["arms"]
    ]
    if not report["optimum"]:
        return cells
    first = report["arms"][0]["cost"] or 1.0
    floor = report["optimum"]["routed"]
    cost, time = (f"{floor:.2f}", "–") if report["arms"][0]["flops"] else ("–", f"{floor:.1f}")
    bound = ["offline optimum", cost, f"{floor / first:.0%}", time]
    return [*cells, [*bound, "–", "–", "0", "–", "1.00"]]


def _reading(report: dict[str, Any]) -> str:
    first, last = report["arms"][0], report["arms"][-1]
    small, large = report["models"]
    prices = ", ".join(f"{name} as {model}" for name, model in report["billed"].items())
    return (
        f"{last['name']} saved {last['saved']:.0%} of {first['name']}'s {first['cost']:.1f} "
        f"{first['unit']} ({last['overhead']:.1f} of its seconds are the cache and the router); "
        f"it asked {small} {last['calls'].get(small, 0)} times and {large} "
        f"{last['calls'].get(large, 0)} times. "
        f"Answers right: {last['accuracy']:.1%} against {first['accuracy']:.1%}. "
        f"Hits are exact + semantic; wrong ones are counted apart. The optimum knows the future "
        f"and is as right as the large model. "
        f"Dollars at today's list prices, {prices}."
    )


def _watch(run: demo_.Demo) -> bool:
    """Run with a live table; True when it was interrupted."""
    bar = Progress(
        TextColumn("requests"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    task = bar.add_task("", total=len(run.requests))
    latest: list[str] = []

    def view() -> Group:
        table = Table()
        for heading in (
            "arm",
            f"{run.arms[0].unit} so far",
            "hits",
            "wrong",
            "right",
            "calls",
            "this request",
        ):
            table.add_column(
                heading, justify="right" if heading.endswith(("so far", "right")) else "left"
            )
        for arm, outcome in zip(run.arms, latest or [""] * len(run.arms), strict=True):
            calls = ", ".join(f"{name} {n}" for name, n in arm.calls.items())
            hits = f"{arm.hits_exact}+{arm.hits_semantic}"
            cells = (
                f"{arm.cost:.1f}",
                hits,
                str(arm.wrong_hits),
                f"{arm.accuracy:.0%}",
                calls,
                outcome,
            )
            table.add_row(arm.name, *cells)
        return Group(bar, table)

    try:
        with Live(view(), console=console, refresh_per_second=4) as live:
            for _, outcomes in run:
                latest[:] = outcomes
                bar.advance(task)
                live.update(view())
    except KeyboardInterrupt:
        console.print("[yellow]interrupted[/]; what was done so far:")
        return True
    return False


@contextmanager
def _pair(small: str, large: str, base_url: str) -> Iterator[demo_.Pair]:
    if bool(small) != bool(large):
        msg = "give --small and --large together"
        raise typer.BadParameter(msg)
    if small:
        yield named_pair(small, large, base_url=base_url or None)
        return
    with local_pair() as pair:
        yield pair


@contextmanager
def _recording(path: Path | None) -> Iterator[demo_.Recording]:
    with (
        tempfile.TemporaryDirectory() as folder,
        demo_.Recording(path or Path(folder) / "answers.jsonl") as recording,
    ):
        yield recording


def main() -> None:
    """Run the command line; a wrong argument is one line, not a traceback."""
    try:
        app()
    except (ValueError, OSError, ImportError) as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        raise SystemExit(2) from None

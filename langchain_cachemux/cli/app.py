"""`cachemux …`: the demo, and one question to the same stack.

What is heavy is imported by the command that needs it, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_cachemux.cli.doctor import doctor
from langchain_cachemux.cli.fit import fit_router
from langchain_cachemux.cli.folder import check_folder, clear_folder, folder_stats
from langchain_cachemux.cli.terminal import agree, console, table, watched, write
from langchain_cachemux.cli.traces import advise_trace, replay_trace
from langchain_cachemux.cli.transfer import compact_folder, export_folder, import_folder

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from langchain_cachemux.cache import Event
    from langchain_cachemux.demo.arms import Demo, Pair
    from langchain_cachemux.demo.recording import Recording

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # setting help in boxes takes longer than all the rest
    help="A cost-aware semantic cache and a learned model multiplexer, at work.",
)
Small = Annotated[
    str, typer.Option(help="The cheap model, provider:model, in place of the local one.")
]
Large = Annotated[str, typer.Option(help="The expensive model, provider:model.")]
BaseUrl = Annotated[
    str, typer.Option(help="Where both are served, for an OpenAI-compatible server.")
]
Similarity = Annotated[
    float | None,
    typer.Option(help="Least cosine of a semantic hit, in (0, 1]; by default it is learned."),
]


@app.command()
def demo(
    *,
    questions: Annotated[Path | None, typer.Option(help="Your questions, a JSONL file.")] = None,
    requests: Annotated[int, typer.Option(min=2, help="Requests drawn.")] = 300,
    quick: Annotated[bool, typer.Option("--quick", help="60 requests.")] = False,
    seed: Annotated[int, typer.Option(help="Of the stream.")] = 0,
    capacity: Annotated[int, typer.Option(min=1, help="Entries each cache holds.")] = 15,
    similarity: Similarity = None,
    small: Small = "",
    large: Large = "",
    base_url: BaseUrl = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots here.")] = None,
    record: Annotated[
        Path | None, typer.Option(help="Keep model answers here; a later run replays them.")
    ] = None,
) -> None:
    """Run four setups on one stream of questions.

    Large model only, LFU cache + large, LEC cache + large, LEC cache + multiplexer: what each costs,
    and how often it is right, with real models, a real encoder and real Chroma. Ctrl-C stops it and
    shows what was done so far.
    """
    from langchain_cachemux.demo.arms import Demo
    from langchain_cachemux.demo.stream import draw, read_questions
    from langchain_cachemux.lab.stamp import stamp

    asked = read_questions(questions)
    stream = draw(asked, 60 if quick else requests, seed=seed)
    with _pair(small, large, base_url) as pair, _recording(record) as recording:
        for name, what in pair.what.items():
            console().print(f"[bold]{name}[/]: {what}")
        run = Demo(
            pair, asked, stream, capacity=capacity, similarity=similarity, recording=recording
        )
        interrupted = _watch(run)
        report = run.report(
            optimal=not interrupted,
            progress=lambda rs: watched(rs, "what the optimum needs to know"),
        )
    report |= {
        "interrupted": interrupted,
        "seed": seed,
        "questions": len(asked),
    } | stamp(" ".join(["cachemux", *sys.argv[1:]]), "langchain-core", "chromadb")
    console().print(result_table(report))
    console().print(_reading(report))
    if json_file is not None:
        write(json_file, json.dumps(report, indent=1) + "\n")
    if html is not None:
        from langchain_cachemux.demo.page import page

        write(html, page(report))
    if interrupted:
        raise typer.Exit(130)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="Your question.")],
    *,
    path: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps the answers; by default one in your home."),
    ] = None,
    capacity: Annotated[str, typer.Option(help="Entries, or a size like 512MB.")] = "10000",
    similarity: Similarity = None,
    small: Small = "",
    large: Large = "",
    base_url: BaseUrl = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Make the folder in your home without asking.")
    ] = False,
) -> None:
    """Put one question to a cache and two models.

    You are told whether it was a hit or a miss, why, which model answered and what that cost. Asked
    again, also in other words or after a restart, it is a hit.
    """
    from rich.markup import escape

    from langchain_cachemux.cache import LECCache
    from langchain_cachemux.multiplexer import MultiplexedLLM
    from langchain_cachemux.types import Hit, Miss

    folder = path or Path(typer.get_app_dir("cachemux")) / "cache"
    if path is None and not folder.exists():
        agree(f"Make the folder {folder} to keep answers in? (--path takes another)", yes=yes)
    events: list[Event] = []
    with (
        LECCache(
            folder,
            capacity=int(capacity) if capacity.isdecimal() else capacity,
            match=similarity,
            on_event=events.append,
        ) as cache,
        _pair(small, large, base_url) as pair,
    ):
        answer = MultiplexedLLM(models=pair.models, cache=cache, accept=pair.accept).invoke(
            question
        )
        held = len(cache.ledger)
    told = answer.response_metadata["cachemux"]
    console().print(str(answer.content).strip(), style="bold", markup=False)
    verdict = next((event for event in events if isinstance(event, Hit | Miss)), None)
    if verdict is None:
        console().print("[yellow]the cache could not be asked[/]; see the warning above")
    elif isinstance(verdict, Hit):
        what = f"[green]{verdict.kind} hit[/], similarity {verdict.similarity:.2f}"
        console().print(f"{what}, to the stored question: {escape(verdict.entry.text)}")
        console().print(f"answered by {told['model']} then; saved about {told['saved']:.3g} s")
    else:
        console().print(f"[yellow]miss[/]: {escape(verdict.reason)}")
        if verdict.nearest is not None:
            console().print("nearest stored question:", verdict.nearest.entry.text, markup=False)
        way = f"{told['route']} → {told['model']}" if told["escalated"] else told["model"]
        console().print(f"routed to {way}: {told['reason']}", markup=False)
        console().print(f"cost {told['cost']:.3g} s")
    console().print(f"{folder} holds {held} answers", style="dim", markup=False)


app.command("replay")(replay_trace)
app.command("advise")(advise_trace)
app.command("fit")(fit_router)
app.command("stats")(folder_stats)
app.command("check")(check_folder)
app.command("clear")(clear_folder)
app.command("export")(export_folder)
app.command("import")(import_folder)
app.command("compact")(compact_folder)
app.command("doctor")(doctor)


def result_table(report: dict[str, Any]) -> Table:
    """The demo's result, an arm a row, with the optimum below as the floor."""
    from langchain_cachemux.demo.table import COLUMNS, rows

    title = f"{report['requests']} requests, capacity {report['capacity']}"
    shown = table(title)
    first, *others = COLUMNS
    shown.add_column(first, no_wrap=True)
    for heading in others:
        shown.add_column(heading, justify="right")
    for row in rows(report):
        shown.add_row(*row)
    return shown


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
        f"Wrong hits are among the hits. The optimum knows the future and is as right as the "
        f"large model. "
        f"Dollars at today's list prices, {prices}."
    )


def _watch(run: Demo) -> bool:
    """Run with a live table; True when it was interrupted."""
    from rich.console import Group
    from rich.live import Live
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Table

    bar = Progress(
        TextColumn("requests"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console(),
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
        with Live(view(), console=console(), refresh_per_second=4) as live:
            for _, outcomes in run:
                latest[:] = outcomes
                bar.advance(task)
                live.update(view())
    except KeyboardInterrupt:
        console().print("[yellow]interrupted[/]; what was done so far:")
        return True
    return False


@contextmanager
def _pair(small: str, large: str, base_url: str) -> Iterator[Pair]:
    if bool(small) != bool(large):
        msg = "give --small and --large together"
        raise typer.BadParameter(msg)
    from langchain_cachemux.demo.models import local_pair, named_pair

    if small:
        yield named_pair(small, large, base_url=base_url or None)
        return
    with local_pair() as pair:
        yield pair


@contextmanager
def _recording(path: Path | None) -> Iterator[Recording]:
    from langchain_cachemux.demo.recording import Recording

    with (
        tempfile.TemporaryDirectory() as folder,
        Recording(path or Path(folder) / "answers.jsonl") as recording,
    ):
        yield recording

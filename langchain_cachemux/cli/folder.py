"""`cachemux stats`, `check` and `clear`: the folder of a cache, whatever it was made with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from langchain_cachemux.cli.terminal import agree, console

if TYPE_CHECKING:
    from langchain_cachemux.match.collection import Place as Rows

Place = Annotated[
    Path, typer.Argument(metavar="PATH", help="The folder that was given to LECCache.")
]


def folder_stats(path: Place) -> None:
    """Say what a cache's folder holds.

    It may be open elsewhere, and nothing in it changes.
    """
    from langchain_cachemux.keep.durable.folder import Folder

    with Folder(path) as folder:
        totals, about = folder.totals(), folder.about
    on_disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in {
        "answers": f"{totals['answers']:,}",
        "with a vector": f"{totals['vectors']:,}, which can also be hit by meaning",
        "to ask again": f"would cost {totals['cost']:,.4g} at least, in the unit of its price",
        "text": f"{totals['characters']:,} characters of questions and answers",
        "on disk": f"{on_disk / 1e6:,.1f} MB",
        "embeddings": about.get("embeddings", "unknown"),
        "capacity in": about.get("capacity unit", "unknown"),
    }.items():
        table.add_row(name, value)
    console.print(table)


def check_folder(
    path: Place,
    *,
    fix: Annotated[
        bool, typer.Option("--fix", help="Also rebuild what the index lacks, without a model.")
    ] = False,
) -> None:
    """Compare a cache's ledger with its index.

    The exit code is 1 when something is wrong and stays so.
    """
    from langchain_cachemux.keep.durable.folder import Folder, locked

    with Folder(path) as folder, locked(path):
        books = folder.check()
        missing = _index(path).check(folder.wordings(), fix=fix)
        held = len(folder)
    for problem in (*books, *missing):
        console.print(problem, markup=False)
    if not books and not missing:
        console.print(f"{many(held, 'answer')}, nothing wrong")
    elif fix and not books:
        console.print(f"{many(len(missing), 'row')} of the index rebuilt")
    else:
        remedy = "--fix rebuilds the index" if not fix else "clear the folder to be rid of it"
        console.print(f"{many(len(books) + len(missing), 'problem')}; {remedy}")
        raise typer.Exit(1)


def clear_folder(
    path: Place,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget every answer in a cache's folder.

    You are asked before.
    """
    from langchain_cachemux.keep.durable.folder import Folder, locked

    with Folder(path) as folder, locked(path):
        held = len(folder)
        agree(f"Forget {many(held, 'answer')} in {path}?", yes=yes)
        folder.empty()
        _index(path).discard()
    console.print(f"{many(held, 'answer')} forgotten")


def many(count: int, noun: str) -> str:
    """Say how many there are."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _index(path: Path) -> Rows:
    from langchain_cachemux.keep.durable.folder import INDEX
    from langchain_cachemux.match.collection import Place

    return Place(path / INDEX)

"""What every command prints to, how it writes a file, and how it asks before it does.

rich is imported once something is to be shown: `--help` is done without it.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

T = TypeVar("T")


@cache
def console() -> Console:
    """The terminal that results are printed to."""
    from rich.console import Console

    return Console()


@cache
def progress_console() -> Console:
    """The one for what moves: a result that is sent to a file stays a result."""
    from rich.console import Console

    return Console(stderr=True)


def table(title: str) -> Table:
    """An empty table in the style of all of them."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(title=title, box=SIMPLE_HEAD, padding=0)


def watched(parts: Iterable[T], /, what: str, total: float | None = None) -> Iterable[T]:
    """The parts, with a bar that says how far they are and goes when they are done."""
    from rich.progress import track

    return track(parts, what, total=total, console=progress_console(), transient=True)


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, and say so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
    unfinished.replace(path)
    console().print(f"wrote {path}", style="dim", markup=False)


def agree(question: str, *, yes: bool) -> None:
    """Ask, unless the answer was given with `--yes`; stop the command when the answer is no.

    Raises:
        ValueError: Nobody is there to answer.
    """
    if yes:
        return
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():  # Ctrl-C
            raise
        msg = "nobody answered; --yes says yes beforehand"
        raise ValueError(msg) from None
    if not agreed:
        raise typer.Abort

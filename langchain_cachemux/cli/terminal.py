"""What every command prints to, how it writes a file, and how it asks before it does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer
from rich.console import Console

if TYPE_CHECKING:
    from pathlib import Path

console = Console()
progress_console = Console(stderr=True)
"""For what moves: a result that is sent to a file stays a result."""


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, and say so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
    unfinished.replace(path)
    console.print(f"wrote {path}", style="dim", markup=False)


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

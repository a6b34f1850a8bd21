"""`cachemux export`, `import` and `compact`: answers out of a folder, into it, and gone for good."""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from langchain_cachemux.cli.folder import Key, Place, many, seal_in
from langchain_cachemux.cli.terminal import console, watched

if TYPE_CHECKING:
    from langchain_cachemux.keep.durable.folder import Folder

T = TypeVar("T")

File = Annotated[Path, typer.Argument(metavar="FILE", help="Lines of JSON, one an answer.")]


def export_folder(path: Place, file: File, *, key_in: Key = "") -> None:
    """Write the answers of a cache's folder to a file.

    In the file they can be read, though the folder be encrypted. It is there whole or not at all.
    """
    from langchain_cachemux.keep.durable.folder import locked
    from langchain_cachemux.transfer import export

    with _opened(path, key_in) as folder, locked(path):
        about = folder.about
        entries = export(
            watched(folder.answers(), "exporting", len(folder)),
            file,
            embeddings=about.get("embeddings", "unknown"),
            unit=about.get("capacity unit", "entries"),
        )
        written = sum(1 for _ in entries)
    console().print(f"{many(written, 'answer')} written to {file}", markup=False)


def import_folder(
    file: File,
    path: Place,
    *,
    embed: Annotated[
        bool, typer.Option("--embed", help="Embed the questions anew, with the default encoder.")
    ] = False,
    key_in: Key = "",
) -> None:
    """Store the answers of such a file in a cache's folder.

    The folder is made when it is missing. Left out is what is over, and what it holds already, made as
    late. Nothing has to leave for them: the cache that opens the folder next keeps what its capacity
    allows.
    """
    from langchain_cachemux.embedder import Embedder
    from langchain_cachemux.keep.books import Capacity
    from langchain_cachemux.keep.policies import robust
    from langchain_cachemux.read.encoder import SentenceEncoder, name_of
    from langchain_cachemux.read.prompts import Reader
    from langchain_cachemux.shelf import Shelf
    from langchain_cachemux.stats import Counters
    from langchain_cachemux.transfer import Export, load

    answers = Export(file)
    reader = Reader(SentenceEncoder()) if embed else None
    embeddings = answers.embeddings if reader is None else name_of(reader.embeddings)
    unit = answers.unit
    if (path / "ledger.db").is_file():
        with _opened(path, key_in) as folder:
            unit = folder.about.get("capacity unit", unit)
    number = sum(1 for _ in answers)
    room = Capacity(sys.maxsize // 2, "bytes" if unit == "bytes" else "entries")
    with ExitStack() as closing:
        shelf = Shelf.opened(
            path,
            room,
            robust(max(number, 1)),
            embeddings=embeddings,
            counters=Counters(),
            deadline=60.0,
            closing=closing,
            seal=seal_in(key_in),
        )
        shown = watched(answers, "importing", number)
        if reader is None:
            stored = sum(load(shelf, shown))
        else:
            moved = Embedder(reader, shelf).moved
            stored = sum(load(shelf, shown, embed=reader.vector, moved=moved))
    console().print(f"{many(stored, 'answer')} of {number:,} stored in {path}", markup=False)


def compact_folder(path: Place) -> None:
    """Leave nothing in a cache's folder of answers that were forgotten.

    The index is written anew from the ledger when the cache is opened next, if it needs one.
    """
    from langchain_cachemux.keep.durable.folder import INDEX, locked

    with _opened(path, "") as folder, locked(path):
        before = _size(path)
        folder.compact()
        shutil.rmtree(path / INDEX, ignore_errors=True)
        held = len(folder)
    freed = (before - _size(path)) / 1e6
    console().print(f"{many(held, 'answer')}, {freed:,.1f} MB given back", markup=False)


def _opened(path: Path, key_in: str) -> Folder:
    from langchain_cachemux.keep.durable.folder import Folder

    return Folder(path, seal=seal_in(key_in))


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())

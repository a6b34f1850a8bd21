"""`cachemux stats`, `check` and `clear`: where a cache is kept, whatever it was made with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_cachemux.cli.terminal import agree, console

if TYPE_CHECKING:
    from langchain_cachemux.keep.durable.folder import Folder
    from langchain_cachemux.keep.sealed import Seal
    from langchain_cachemux.keep.shared.commons import Commons
    from langchain_cachemux.match.collection import Place as Rows

Place = Annotated[
    Path, typer.Argument(metavar="PATH", help="The folder that was given to LECCache.")
]
Where = Annotated[
    str,
    typer.Argument(
        metavar="PATH|URL",
        help="The folder that was given to LECCache, or the database given to LECCache.connect; a "
        "password is better left to PGPASSWORD or ~/.pgpass.",
    ),
]
Key = Annotated[
    str,
    typer.Option(
        "--key-in",
        metavar="VARIABLE",
        help="The environment variable with the key of an encrypted cache.",
    ),
]
Secret = Annotated[
    str,
    typer.Option(
        "--secret-in",
        metavar="VARIABLE",
        help="The environment variable with the secret that a cache is signed with.",
    ),
]


def folder_stats(path: Where) -> None:
    """Say what a cache's folder holds.

    It may be open elsewhere, and nothing in it changes.
    """
    from rich.table import Table

    with opened(path) as kept:
        totals, about = kept.totals(), kept.about
    place = Path(path)
    files = place.rglob("*") if place.is_dir() else ()
    on_disk = sum(file.stat().st_size for file in files if file.is_file())
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in {
        "answers": f"{totals['answers']:,}",
        "with a vector": f"{totals['vectors']:,}, which can also be hit by meaning",
        "to ask again": f"would cost {totals['cost']:,.4g} at least, in the unit of its price",
        "text": f"{totals['characters']:,} characters of questions and answers",
        "on disk": f"{on_disk / 1e6:,.1f} MB" if place.is_dir() else "in the database",
        "embeddings": about.get("embeddings", "unknown"),
        "capacity in": about.get("capacity unit", "unknown"),
        "sealed under": _named(about.get("seal", "unknown")),
    }.items():
        table.add_row(name, value)
    console().print(table)


def check_folder(
    path: Where,
    *,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Also rebuild what an index lacks, or drop what is damaged where many share.",
        ),
    ] = False,
    key_in: Key = "",
    secret_in: Secret = "",
) -> None:
    """Compare a cache's ledger with its index.

    One that processes share is compared with itself.
    The exit code is 1 when something is wrong and stays so.
    """
    from langchain_cachemux.keep.durable.folder import Folder

    with opened(path, key_in, secret_in) as kept:
        unopened = kept.about.get("seal") != kept.seal.name
        if isinstance(kept, Folder):
            with _alone(kept) as index:
                books, missing = kept.check(), index.check(kept.wordings(), fix=fix)
                rows = len(missing)
        else:
            rows, missing = kept.mend() if fix else 0, []
            books = kept.check()
        held = len(kept)
    for problem in (*books, *missing):
        console().print(problem, markup=False)
    if unopened:
        console().print(
            "its rows were not opened: --key-in or --secret-in names what they are under"
        )
    if not books and not missing and not (fix and rows):
        console().print(f"{many(held, 'answer')}, nothing wrong")
    elif fix and not books:
        told = f"{many(rows, 'row')} of the index rebuilt"
        console().print(
            told if isinstance(kept, Folder) else f"{many(rows, 'damaged row')} dropped"
        )
    else:
        alone = isinstance(kept, Folder)
        remedy = "--fix " + ("rebuilds the index" if alone else "drops what is damaged")
        remedy = f"clear the {'folder' if alone else 'cache'} to be rid of it" if fix else remedy
        console().print(f"{many(len(books) + len(missing), 'problem')}; {remedy}")
        raise typer.Exit(1)


def clear_folder(
    path: Where,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget every answer in a cache's folder.

    You are asked before. It needs no key; processes that share it go on with nothing.
    """
    from langchain_cachemux.keep.durable.folder import Folder

    with opened(path) as kept:
        held = len(kept)
        where = path if isinstance(kept, Folder) else kept.database.url.render_as_string()
        question = f"Forget {many(held, 'answer')} in {where}?"
        if isinstance(kept, Folder):
            with _alone(kept) as index:
                agree(question, yes=yes)
                kept.empty()
                index.discard()
        else:
            agree(question, yes=yes)
            kept.empty()
    console().print(f"{many(held, 'answer')} forgotten")


def opened(where: str, key_in: str = "", secret_in: str = "") -> Folder | Commons:
    """Open what is kept in a folder of one process, one that processes share, or a database.

    Raises:
        ValueError: There is nothing, or it is under another key than the one that is named.
    """
    from langchain_cachemux.keep.durable.folder import SHARED, Folder

    seal, shared = seal_in(key_in, secret_in), Path(where) / SHARED
    kept: Folder | Commons
    if "://" in where or shared.is_file():
        from sqlalchemy import URL

        from langchain_cachemux.keep.shared.commons import Commons

        file = URL.create("sqlite", database=str(shared)).render_as_string()
        kept = Commons(where if "://" in where else file, seal=seal)
    else:
        kept = Folder(Path(where), seal=seal)
    if seal is not None and kept.about.get("seal") != seal.name:
        kept.close()
        name = f"--key-in {key_in}" if key_in else f"--secret-in {secret_in}"
        msg = f"{name} is not what the cache is under: that is {_named(kept.about.get('seal', ''))}"
        raise ValueError(msg)
    return kept


def seal_in(key_in: str, secret_in: str = "") -> Seal | None:
    """What a cache is sealed under whose key or secret is in a variable of the environment.

    Raises:
        ValueError: There is no such variable, or no key in it, or both are named.
    """
    if key_in and secret_in:
        msg = "--key-in goes without --secret-in: a key signs too"
        raise ValueError(msg)
    if not key_in and not secret_in:
        return None
    from langchain_cachemux.keep.encrypted import seal_of

    told = os.environ.get(key_in or secret_in)
    if told is None:
        option = "--key-in" if key_in else "--secret-in"
        msg = f"{option} names a variable that is not set: {key_in or secret_in}"
        raise ValueError(msg)
    return seal_of(encrypt=told.strip()) if key_in else seal_of(secret=told)


@contextmanager
def _alone(folder: Folder) -> Iterator[Rows]:
    """The index of a folder that nobody else has open meanwhile."""
    from langchain_cachemux.keep.durable.folder import locked

    with locked(folder.path):
        yield _index(folder.path)


def _named(seal: str) -> str:
    """What a seal is, without what tells one key from another."""
    kind = seal.partition(" ")[0]
    return {"sha256": "a checksum", "hmac-sha256": "a secret"}.get(kind, "a key")


def many(count: int, noun: str) -> str:
    """Say how many there are."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _index(path: Path) -> Rows:
    from langchain_cachemux.keep.durable.folder import INDEX
    from langchain_cachemux.match.collection import Place

    return Place(path / INDEX)

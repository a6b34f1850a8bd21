"""What each policy would hold, kept in a file between a ledger's closing and its opening.

It is advice: true only of the very requests at which it was written, and void once more are counted. The
file is NumPy's own (`npz`), read without running anything, and written whole or not at all.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_cachemux.keep.durable.database import PAGE
from langchain_cachemux.types import Standing

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from langchain_cachemux.keep.memory import MemoryBooks

VERSION = 1
BREATH = 0.0005
"""Seconds that a batch leaves to whoever waits for the interpreter."""


class StoppedError(Exception):
    """Nobody wants the books any more."""


def write(path: Path, books: MemoryBooks, policies: str) -> None:
    """Write what every policy holds.

    Args:
        path: The file.
        books: Of which the database knows all.
        policies: Which they are.

    Raises:
        OSError: The file cannot be written.
    """
    known: dict[str, int] = {}
    parts: dict[str, NDArray[Any]] = {}
    for place, shadow in enumerate(books.shadows):
        held = shadow.held.values()
        parts[f"key {place}"] = _places(known, (s.key for s in held), len(held))
        parts[f"stray {place}"] = _places(known, shadow.strays(), len(shadow.strays()))
        for name, kind in (("size", "i8"), ("last", "i8"), ("uses", "f8"), ("worth", "f8")):
            values = (getattr(standing, name) for standing in held)
            parts[f"{name} {place}"] = np.fromiter(values, kind, len(held))
    written = [key.encode("utf-8", "surrogatepass") for key in known]
    parts["keys"] = np.frombuffer(b"".join(written), np.uint8)
    parts["lengths"] = np.array([len(key) for key in written], np.int64)
    head = {"version": VERSION, "now": books.now, "policies": policies}
    parts["head"] = np.array(json.dumps(head))
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **parts)  # type: ignore[arg-type]
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def restore(path: Path, books: MemoryBooks, policies: str, *, stop: threading.Event) -> bool:
    """Let every policy hold what it held when the file was written.

    Returns:
        Whether there was a file, it was sound, and nothing was counted since; else nothing has changed.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as parts:
            head = json.loads(str(parts["head"]))
            wanted = {"version": VERSION, "now": books.now, "policies": policies}
            if head != wanted:
                return False
            keys = _keys(parts, stop)
            told = [_told(parts, place, keys, stop) for place in range(len(books.shadows))]
    except StoppedError:
        raise
    except Exception:  # what is damaged makes zipfile, zlib and NumPy raise of all kinds  # noqa: BLE001
        return False
    sizes = {account.key: account.size for account in books.accounts()}
    for standings, strays in told:
        held = {standing.key for standing in standings}
        if sizes.keys() - held != {key for key in strays if key in sizes}:
            return False
        for standing in standings:
            standing.size = sizes.get(standing.key, standing.size)
    for shadow, (standings, strays) in zip(books.shadows, told, strict=True):
        shadow.resume(standings, strays=[key for key in strays if key in sizes])
    return True


def breathing(things: Iterable[Any], stop: threading.Event) -> Iterator[Any]:
    """The same things; now and then others may go on meanwhile.

    Raises:
        StoppedError: Nobody wants them any more.
    """
    for number, thing in enumerate(things):
        if number % PAGE == PAGE - 1:
            if stop.is_set():
                raise StoppedError
            time.sleep(BREATH)
        yield thing


def _places(known: dict[str, int], keys: Iterable[str], number: int) -> NDArray[np.int64]:
    """The numbers of keys, each known by one."""
    return np.fromiter((known.setdefault(key, len(known)) for key in keys), np.int64, number)


def _keys(parts: Any, stop: threading.Event) -> list[str]:
    content, ends = parts["keys"].tobytes(), np.cumsum(parts["lengths"]).tolist()
    starts = [0, *ends[:-1]]
    return [
        content[start:end].decode("utf-8", "surrogatepass")
        for start, end in breathing(zip(starts, ends, strict=False), stop)
    ]


def _told(
    parts: Any, place: int, keys: Sequence[str], stop: threading.Event
) -> tuple[list[Standing], list[str]]:
    """The standings of one policy, and its strays in their order."""
    names = ("key", "size", "uses", "last", "worth")
    columns = [parts[f"{name} {place}"].tolist() for name in names]
    standings = [
        Standing(keys[key], size=size, uses=uses, last=last, worth=worth)
        for key, size, uses, last, worth in breathing(zip(*columns, strict=True), stop)
    ]
    return standings, [keys[key] for key in parts[f"stray {place}"].tolist()]

"""Answers in a file of lines of JSON, to keep elsewhere or to give to another cache.

The first line tells what they are true of, each other line is one answer with its aliases. A file is
there whole, or not at all. What is in it can be read by whoever reads the file, though the cache that it
came from be encrypted; so it is its owner's alone (0600).
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_cachemux.keep.probes import apart, place_in
from langchain_cachemux.types import Answer, Entry, Query, Wording
from langchain_cachemux.whole import whole

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    from langchain_cachemux.keep.books import Ledger
    from langchain_cachemux.shelf import Shelf
    from langchain_cachemux.types import Vector

FORMAT, VERSION = "cachemux answers", 1
_TEXTS = ("key", "partition", "text", "answer")


class Export:
    """A file of answers, to be read.

    Args:
        path: The file.

    Raises:
        ValueError: It is none.
        OSError: It cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with self.path.open("rb") as file:
            head = _head(file.readline())
        if head is None:
            msg = f"{self.path} holds no answers that `cachemux export` wrote (version {VERSION})"
            raise ValueError(msg)
        self.embeddings = head["embeddings"]
        """What the vectors were made by."""
        self.unit = head["unit"]
        """In which sizes count: "entries" or "bytes"."""

    def __iter__(self) -> Iterator[Answer]:
        """The answers, one after the other.

        Raises:
            ValueError: A line holds none; the message names it.
        """
        with self.path.open("rb") as file:
            next(file)
            for number, line in enumerate(file, start=2):
                try:
                    yield _answer(json.loads(line))
                except (ValueError, TypeError, LookupError, AttributeError) as error:
                    msg = f"{self.path}:{number} holds no answer ({type(error).__name__})"
                    raise ValueError(msg) from error


def answers_of(ledger: Ledger) -> Iterator[Answer]:
    """All answers of a ledger."""
    for entry in ledger:
        yield Answer(entry, tuple(one for one in ledger.wordings(entry.key) if one.key != one.of))


def export(
    answers: Iterable[Answer], path: str | os.PathLike[str], *, embeddings: str, unit: str
) -> Iterator[Entry]:
    """Write answers to a file, and yield each that was written.

    The file is there once all were taken; what was there before is replaced then, and not before.

    Args:
        answers: Such as `answers_of` a ledger.
        path: The file.
        embeddings: What the vectors were made by.
        unit: In which sizes count.

    Raises:
        OSError: It cannot be written.
    """
    with whole(path) as file:
        head = {"format": FORMAT, "version": VERSION, "embeddings": embeddings, "unit": unit}
        file.write(f"{json.dumps(head)}\n".encode())
        for entry, aliases in answers:
            file.write(f"{json.dumps(_line(entry, aliases))}\n".encode())
            yield entry


def load(
    shelf: Shelf,
    answers: Iterable[Answer],
    *,
    embed: Callable[[str], Vector] | None = None,
    moved: Callable[[Entry], Entry] | None = None,
) -> Iterator[bool]:
    """Store answers of a file, and yield of each whether it was kept.

    Not kept is what is over, what is held and was made as late, and what is not worth its place. How
    often it was asked for is not in the file: that is counted anew.

    Args:
        shelf: Where.
        answers: Such as an `Export`.
        embed: Makes the vectors anew, where those of the file are of another embedder.
        moved: Returns an entry as one whose vector this embedder made; by default it is the first.

    Raises:
        ValueError: A line holds no answer; those before it are stored.
    """
    for entry, aliases in answers:
        made = (moved or _first)(replace(entry, vector=_embedded(entry, entry, embed)))
        sized = replace(made, size=shelf.size_of(made))
        kept = shelf.take(sized)
        scope, _, context = made.partition.partition(":")
        for alias in aliases if kept else ():
            vector = _embedded(alias, entry, embed)
            shelf.reword(Query(alias.key, scope, context, alias.text, vector), entry.key)
        yield kept


def _embedded(
    words: Entry | Wording, entry: Entry, embed: Callable[[str], Vector] | None
) -> Vector | None:
    """The vector of words; none where their cache knew it to be another embedder's."""
    if embed is not None and words.vector is not None and words.text:
        return embed(words.text)
    return None if place_in(entry.partition) else words.vector


def _first(entry: Entry) -> Entry:
    return replace(entry, partition=apart(entry.partition, 0))


def _head(line: bytes) -> dict[str, str] | None:
    """The first line; None when it is no such file's."""
    try:
        head = json.loads(line)
        known = (head["format"], head["version"]) == (FORMAT, VERSION)
        texts = isinstance(head["embeddings"], str) and head["unit"] in ("entries", "bytes")
    except (ValueError, TypeError, LookupError):
        return None
    return head if known and texts else None


def _line(entry: Entry, aliases: Iterable[Wording]) -> dict[str, Any]:
    """An answer as it is written; a vector in base64, as 32-bit floats of little endian."""
    return {
        **{name: getattr(entry, name) for name in _TEXTS},
        "vector": _written(entry.vector),
        "cost": entry.cost,
        "made": entry.made,
        "expires": entry.expires if math.isfinite(entry.expires) else None,
        "labels": list(entry.labels),
        "aliases": [
            {"key": one.key, "text": one.text, "vector": _written(one.vector)} for one in aliases
        ],
    }


def _answer(line: dict[str, Any]) -> Answer:
    """An answer as it was written.

    Raises:
        ValueError: It is none.
        TypeError: Something in it is of another kind.
        LookupError: Something is missing.
    """
    texts: dict[str, Any] = {name: _text(line[name]) for name in _TEXTS}
    expires = math.inf if line["expires"] is None else float(line["expires"])
    entry = Entry(
        **texts,
        cost=float(line["cost"]),
        vector=_vector(line["vector"]),
        made=float(line["made"]),
        expires=expires,
        labels=tuple(map(_text, line["labels"])),
    )
    if not (math.isfinite(entry.made) and 0 <= entry.cost < math.inf):
        msg = "made and cost must be finite"
        raise ValueError(msg)
    json.loads(entry.answer)
    return Answer(
        entry,
        tuple(
            Wording(_text(one["key"]), entry.key, _text(one["text"]), _vector(one["vector"]))
            for one in line["aliases"]
        ),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        msg = "a text is none"
        raise TypeError(msg)
    return value


def _written(vector: Vector | None) -> str | None:
    return None if vector is None else base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _vector(written: str | None) -> Vector | None:
    """A vector as it was written.

    Raises:
        ValueError: It is none, or not of length 1.
    """
    if written is None:
        return None
    vector = np.frombuffer(base64.b64decode(written, validate=True), "<f4").astype(np.float32)
    if not len(vector) or not math.isclose(float(vector @ vector), 1.0, abs_tol=1e-3):
        msg = "a vector is not of length 1"
        raise ValueError(msg)
    return vector

"""How entries and wordings are written in rows of tables, and read back."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_cachemux.keep.sealed import DamagedError
from langchain_cachemux.types import Entry, Wording

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_cachemux.keep.sealed import Row
    from langchain_cachemux.types import Vector


def payload_of(entry: Entry) -> Row:
    """What is stored of an entry and never changes: a row of `PAYLOADS`, not yet sealed."""
    return {
        "key": entry.key,
        "partition": entry.partition,
        "text": entry.text,
        "vector": blob_of(entry.vector),
        "answer": entry.answer,
        "made": entry.made,
        "expires": entry.expires if math.isfinite(entry.expires) else None,
        "labels": json.dumps(entry.labels),
    }


def words_of(wording: Wording) -> Row:
    """What is stored of an alias and never changes: part of a row of `WORDINGS`, not yet sealed."""
    return {
        "key": wording.key,
        "of": wording.of,
        "text": wording.text,
        "vector": blob_of(wording.vector),
    }


def entry_of(row: Mapping[str, Any], *, cost: float, size: int, slot: int) -> Entry:
    """An entry from its row, which was opened, and from what changes of it.

    Raises:
        DamagedError: It is no row of an entry.
    """
    try:
        labels = json.loads(row["labels"])
        expires = math.inf if row["expires"] is None else row["expires"]
        return Entry(
            row["key"],
            cost,
            size,
            row["partition"],
            row["text"],
            vector_of(row["vector"]),
            row["answer"],
            slot,
            row["made"],
            expires,
            tuple(labels),
        )
    except (TypeError, ValueError, LookupError) as error:
        msg = f"a row is no entry: {error}"
        raise DamagedError(msg) from error


def wording_of(row: Mapping[str, Any], entry: Entry, *, size: int, slot: int) -> Wording:
    """An alias from its row, which was opened, and the entry that answers it."""
    vector = vector_of(row["vector"])
    return Wording(row["key"], entry.key, row["text"], vector, size, slot, entry)


def vector_of(blob: bytes | None) -> Vector | None:
    """A vector as it was written; nobody can write to it."""
    return None if blob is None else np.frombuffer(blob, np.float32)


def blob_of(vector: Vector | None) -> bytes | None:
    """How a vector is written."""
    return None if vector is None else vector.astype(np.float32).tobytes()

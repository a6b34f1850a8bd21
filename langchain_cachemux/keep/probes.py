"""The embedders that vectors were stored with, each as the vector that it made of one text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from langchain_cachemux.types import Vector

NAME = "probes"
"""By which they are written beside what entries are true of."""
NEAR = 1e-3
"""What 1 − cosine of two vectors of one embedder is at most: not every machine rounds alike."""


def found(written: str | None, vector: Vector) -> tuple[int | None, str]:
    """Return the place of an embedder among those that are written down, and what to write.

    Args:
        written: The embedders so far, the first first; None when there was none.
        vector: What it made of the text, a unit vector, shape (d,).

    Returns:
        Its place, the last when it is new; None when its vectors are of another length than the first's.
    """
    known: list[list[float]] = json.loads(written) if written else []
    for place, one in enumerate(known):
        other = np.asarray(one, np.float32)
        if other.shape != vector.shape:
            return None, written or ""
        if 1 - float(other @ vector) <= NEAR:
            return place, written or ""
    return len(known), json.dumps([*known, [round(float(value), 5) for value in vector]])


def apart(context: str, place: int) -> str:
    """Return a context, or a partition, as one of the embedder at a place; the first's are unmarked."""
    bare = context.partition("@")[0]
    return f"{bare}@{place}" if place else bare


def place_in(partition: str) -> str:
    """Return what `apart` wrote into a partition; empty of the first embedder."""
    return partition.partition("@")[2]

"""The rows held in memory, searched whole: exact, at once, and of one partition only.

A product of a matrix with a vector takes some 60 µs per thousand rows of 384 numbers, so up to some tens
of thousands of rows a graph is no faster, and it is never more exact.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from langchain_cachemux.locks import Lock
from langchain_cachemux.types import kin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from langchain_cachemux.types import Vector

FEWEST = 64
"""Rows that there is room for at least."""


class Neighbour(NamedTuple):
    """A row near the query: the key written in it, its slot, and the cosine of the words."""

    key: str
    slot: int
    similarity: float


class Rows(NamedTuple):
    """Some rows, to be written elsewhere; a blank one has no key and the zero vector."""

    slots: Sequence[int]
    keys: Sequence[str]
    vectors: Vector
    """Shape (n, d)."""
    marks: NDArray[np.uint64]
    """Shape (n,)."""


def mark_of(partition: str) -> np.uint64:
    """64 bits of the hash of a partition's `kin`: rows of two that share them are told apart later."""
    digest = hashlib.sha256(kin(partition).encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "big"))


class Front:
    """Rows in one matrix. Safe between threads: a search holds no lock while it reads.

    What is overwritten during a search may be found as it was before or after, or as a mixture of both:
    like all that an index says it is a hint, and is confirmed by the ledger.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        """Held by whoever changes a row; never while rows are compared."""
        self._matrix: Vector
        self._marks: NDArray[np.uint64]
        self.clear()

    def __len__(self) -> int:
        """Rows held."""
        return len(self._places)

    def __iter__(self) -> Iterator[int]:
        """The slots that have a row here."""
        with self.lock:
            return iter([*self._places])

    def __contains__(self, slot: int) -> bool:
        """Whether a slot has a row here."""
        return slot in self._places

    @property
    def length(self) -> int | None:
        """Of each vector; None as long as there is no row."""
        return self._matrix.shape[1] if self._places else None

    def put(self, slot: int, key: str, vector: Vector, mark: np.uint64) -> None:
        """Hold a row, in place of whatever the slot held.

        Raises:
            ValueError: The vector is of another length than those held.
        """
        with self.lock:
            if self.length not in {None, len(vector)}:
                msg = f"vector has length {len(vector)}, those held have {self.length}"
                raise ValueError(msg)
            if not self._places and self._matrix.shape[1] != len(vector):
                self.clear()
                self._matrix = np.zeros((FEWEST, len(vector)), np.float32)
            place = self._places.get(slot)
            if place is None:
                place = self._places[slot] = self._free.pop() if self._free else self._next()
            self._matrix[place] = vector
            self._keys[place], self._slots[place] = key, slot
            self._marks[place] = mark

    def drop(self, slot: int) -> None:
        """Hold a row no more, if there is one."""
        with self.lock:
            place = self._places.pop(slot, None)
            if place is not None:
                self._marks[place] = 0
                self._matrix[place] = 0.0
                self._keys[place] = ""
                self._free.append(place)

    def nearest(self, vector: Vector, mark: np.uint64, *, n: int) -> list[Neighbour]:
        """Return at most `n` rows of one mark that are nearest to `vector`, the most similar first."""
        with self.lock:
            if self.length != len(vector):
                return []
            used = len(self._keys)
            matrix, marks = self._matrix[:used], self._marks[:used]
            keys, slots = self._keys, self._slots
        own = np.flatnonzero(marks == mark)
        near = matrix[own] @ vector if 2 * len(own) < used else (matrix @ vector)[own]
        if len(own) > n:
            best = np.argpartition(near, -n)[-n:]
            own, near = own[best], near[best]
        order = np.argsort(-near)
        with self.lock:
            return [
                Neighbour(keys[place], slots[place], min(float(similarity), 1.0))
                for place, similarity in zip(own[order], near[order], strict=True)
                if keys[place]
            ]

    def rows(self) -> dict[int, str]:
        """Return the key in each slot."""
        with self.lock:
            return {slot: self._keys[place] for slot, place in self._places.items()}

    def taken(self, slots: Sequence[int], length: int) -> Rows:
        """A copy of the rows of some slots, blank ones where there is none.

        Args:
            slots: Which.
            length: Of the vectors.
        """
        vectors, marks = np.zeros((len(slots), length), np.float32), np.zeros(len(slots), np.uint64)
        keys = [""] * len(slots)
        with self.lock:
            for n, slot in enumerate(slots):
                place = self._places.get(slot)
                if place is not None:
                    vectors[n], marks[n] = self._matrix[place], self._marks[place]
                    keys[n] = self._keys[place]
        return Rows(slots, keys, vectors, marks)

    def clear(self) -> None:
        """Drop all rows, and forget how long their vectors are."""
        with self.lock:
            self._matrix = np.zeros((FEWEST, 0), np.float32)
            self._marks = np.zeros(FEWEST, np.uint64)
            """Of each place the mark of its row's partition; 0 where there is no row."""
            self._keys: list[str] = []
            self._slots: list[int] = []
            self._places: dict[int, int] = {}
            """By slot."""
            self._free: list[int] = []

    def _next(self) -> int:
        """A place never used before; there is room for twice as many when all are used."""
        place = len(self._keys)
        if place == len(self._marks):
            self._matrix = np.concatenate([self._matrix, np.zeros_like(self._matrix)])
            self._marks = np.concatenate([self._marks, np.zeros_like(self._marks)])
        self._keys.append("")
        self._slots.append(-1)
        return place

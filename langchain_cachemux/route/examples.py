"""What a classifier learns from: the last questions, and how far an answer to each would not do."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from langchain_cachemux.arguments import expect, is_whole, number_of
from langchain_cachemux.route.features import BUCKETS, NUMBERS, Features, features

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from langchain_cachemux.types import Query, Vector

    Floats = NDArray[np.float64]

GROWTH = 0.2
"""Share of the examples that must be new before a fit is worth its time."""


class Example(NamedTuple):
    """One outcome."""

    features: Features
    vector: Vector | None
    text: str
    """Empty unless texts are kept."""
    chance: float
    """1: the answer would not do; 0: it did; in between: a score."""


class Examples:
    """The last outcomes: the oldest is forgotten first.

    Args:
        limit: How many are kept.
        both: Outcomes of either kind that a first fit takes; scores count in part.
        growth: Share of new examples that a further fit takes.
        texts: Keep the texts too.
    """

    def __init__(
        self, limit: int, *, both: float = 20.0, growth: float = GROWTH, texts: bool = False
    ) -> None:
        expect(is_whole(limit) and limit >= 1, "examples", "at least 1", limit)
        self.limit = number_of(limit)
        self.dimensions = 0
        """Length of the vectors; 0 until the first comes."""
        self.seen = 0
        """All that were ever added."""
        self.bad = 0.0
        """Of these, the sum of their chances."""
        self.fitted = 0
        """What `seen` was when the last fit began."""
        self._both = both
        self._growth = growth
        self._texts = texts
        self._kept: deque[Example] = deque(maxlen=self.limit)

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def __iter__(self) -> Iterator[Example]:
        """From the oldest to the newest."""
        return iter(self._kept)

    def check(self, x: Query) -> None:
        """Refuse a vector that is not like those before.

        Raises:
            ValueError: It has another length, or something in it is not finite.
        """
        if x.vector is None:
            return
        if self.dimensions and len(x.vector) != self.dimensions:
            msg = f"vector has length {len(x.vector)}, {self.dimensions} was learned from"
            raise ValueError(msg)
        if not np.isfinite(x.vector).all():
            msg = f"vector must be finite, got {x.vector!r}"
            raise ValueError(msg)

    def add(self, x: Query, chance: float) -> Example:
        """Keep one more outcome.

        Raises:
            ValueError: `chance` is not in [0, 1], or the vector is not like those before.
        """
        if not 0 <= chance <= 1:
            msg = f"a classifier learns a chance in [0, 1] that the answer will not do, got {chance!r}"
            raise ValueError(msg)
        self.check(x)
        if x.vector is not None:
            self.dimensions = len(x.vector)
        text = x.text if self._texts else ""
        example = Example(features(x.text), x.vector, text, float(chance))
        self._kept.append(example)
        self.seen += 1
        self.bad += example.chance
        return example

    @property
    def rare(self) -> float:
        """Outcomes of the rarer kind; scores count in part."""
        return min(self.bad, self.seen - self.bad)

    @property
    def due(self) -> bool:
        """Is it time to fit: are there outcomes of both kinds, and a fifth more than at the last fit?"""
        if not self.fitted:
            return self.rare >= self._both
        return self.seen >= self.fitted + max(1.0, self._growth * len(self))

    @property
    def chances(self) -> Floats:
        """Shape (n,)."""
        return np.array([example.chance for example in self._kept])

    @property
    def numbers(self) -> Floats:
        """Shape (n, len(NUMBERS))."""
        rows = [example.features.numbers for example in self._kept]
        return np.array(rows, dtype=np.float64).reshape(len(self), len(NUMBERS))

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Shape (n, dimensions); where there was no vector, zeros."""
        rows = np.zeros((len(self), self.dimensions), np.float32)
        for row, example in zip(rows, self._kept, strict=True):
            if example.vector is not None:
                row[:] = example.vector
        return rows

    @property
    def words(self) -> csr_matrix:
        """Hashed words, shape (n, BUCKETS), sparse."""
        from scipy.sparse import csr_matrix

        return csr_matrix(self._words(), shape=(len(self), BUCKETS))

    def dump(self) -> dict[str, Any]:
        """Return all of it as arrays, numbers and lists."""
        weights, buckets, ends = self._words()
        state: dict[str, Any] = {
            "seen": self.seen,
            "bad": self.bad,
            "fitted": self.fitted,
            "dimensions": self.dimensions,
            "chances": self.chances,
            "numbers": self.numbers.astype(np.float32),
            "vectors": self.vectors,
            "blind": np.array([example.vector is None for example in self._kept], dtype=np.bool_),
            "buckets": buckets,
            "weights": weights,
            "ends": ends,
        }
        if self._texts:
            state["texts"] = [example.text for example in self._kept]
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the place of what was dumped.

        Raises:
            ValueError: The state does not fit together.
        """
        n, ends = len(state["chances"]), np.asarray(state["ends"], dtype=np.int64)
        texts = state.get("texts", [""] * n)
        shapes = {
            "numbers": (n, len(NUMBERS)),
            "vectors": (n, int(state["dimensions"])),
            "blind": (n,),
            "ends": (n + 1,),
        }
        wrong = [name for name, shape in shapes.items() if np.shape(state[name]) != shape]
        if wrong or len(texts) != n or len(state["buckets"]) != ends[-1]:
            msg = f"state is damaged: of {n} examples, the shape is wrong of {wrong or 'the words'}"
            raise ValueError(msg)
        self.seen, self.bad = int(state["seen"]), float(state["bad"])
        self.fitted, self.dimensions = int(state["fitted"]), int(state["dimensions"])
        self._kept.clear()
        for i, (start, end) in enumerate(pairwise(ends)):
            shown = Features(
                np.asarray(state["numbers"][i], dtype=np.float64),
                np.asarray(state["buckets"][start:end], dtype=np.int32),
                np.asarray(state["weights"][start:end], dtype=np.float32),
            )
            vector = None if state["blind"][i] else np.array(state["vectors"][i], dtype=np.float32)
            self._kept.append(Example(shown, vector, texts[i], float(state["chances"][i])))

    def _words(self) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]:
        """Weights and buckets of all examples, one after the other, and where each ends."""
        shown = [example.features for example in self._kept]
        ends = np.cumsum([0, *(len(f.buckets) for f in shown)])
        weights = np.concatenate([np.empty(0, np.float32), *(f.weights for f in shown)])
        buckets = np.concatenate([np.empty(0, np.int32), *(f.buckets for f in shown)])
        return weights, buckets, ends

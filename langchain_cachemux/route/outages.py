"""Which models raise at present: a state of the world, which fades, and nothing that is learned."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from langchain_cachemux.arguments import expect, is_number, number_of, takes


class Outages:
    """The chance that a model's next call raises, by what its last calls did.

    One call that raised counts `WEIGHT`, and the count halves with each half-life; the chance is the
    count, but at most 1. So for a half-life it is certain that the model is out, then it gets likelier
    that it is back; each further failure makes that later. Not locked.

    Args:
        half_life: Seconds.
        clock: Seconds, from any zero.

    Raises:
        ValueError: The half-life is no finite positive number, or the clock no function.
    """

    WEIGHT = 2.0

    def __init__(
        self, *, half_life: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        right = is_number(half_life) and 0 < half_life < math.inf
        expect(right, "half_life", "a finite positive number of seconds", half_life)
        what = "a function that tells seconds, such as time.monotonic"
        expect(takes(clock, 0), "clock", what, clock)
        self.half_life = number_of(half_life)
        self.clock = clock
        self._counts: dict[str, tuple[float, float]] = {}

    def raised(self, model: str) -> None:
        """A call of `model` raised."""
        self._counts[model] = self._count(model) + self.WEIGHT, self.clock()

    def answered(self, model: str) -> None:
        """A call of `model` did not raise."""
        self._counts.pop(model, None)

    def chance(self, model: str) -> float:
        """P(the next call of `model` raises)."""
        return min(1.0, self._count(model))

    def _count(self, model: str) -> float:
        if model not in self._counts:
            return 0.0
        count, then = self._counts[model]
        return count * math.exp2((then - self.clock()) / self.half_life)

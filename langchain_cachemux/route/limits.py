"""What a model cannot do, learned from its errors.

An error says little: the model may be down, or the request beyond it. But requests are partly
ordered, by how long they are and what kinds of input and output they need. A model that has
answered as much before can do it, so its error is an outage. One that has not may be out of its
depth, so it is not asked for that or for more until some time has passed; each failure after that
doubles the time. What it answers in the meantime lifts every limit at or below it. A model that is
down from the first is so excluded too, from the least request on, and found again by the same rule.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_cachemux.locks import Lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_cachemux.types import Needs

FIRST, LONGEST = 60.0, 3600.0
"""Seconds that a limit holds at first, and at most."""
REMEMBERED = 32
"""Needs that are remembered of a model as answered, none of them less than another, and as failed."""


@dataclass(slots=True)
class _Known:
    """Of one model: the most that it has answered, and what it failed on until when, how often."""

    answered: list[Needs] = field(default_factory=list)
    failed: dict[Needs, tuple[float, int]] = field(default_factory=dict)


class Limits:
    """Which requests are beyond which model, as far as their errors tell. Safe between threads.

    Args:
        clock: Seconds; by default `time.monotonic`.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._lock = Lock()

    def answered(self, model: str, needs: Needs) -> None:
        """Learn that a model answered such a request."""
        with self._lock:
            known = self._known.setdefault(model, _Known())
            if known.failed:
                known.failed = {n: f for n, f in known.failed.items() if not n <= needs}
            if not any(needs <= most for most in known.answered):
                known.answered = [most for most in known.answered if not most <= needs]
                known.answered = [*known.answered, needs][-REMEMBERED:]

    def failed(self, model: str, needs: Needs) -> bool:
        """Learn that a model raised an error; True when the request may be beyond it.

        False means an outage: it has answered as much before.
        """
        with self._lock:
            known = self._known.setdefault(model, _Known())
            if any(needs <= most for most in known.answered):
                return False
            times = max((n for least, (_, n) in known.failed.items() if least <= needs), default=0)
            until = self._clock() + min(FIRST * 2**times, LONGEST)
            kept = {n: f for n, f in known.failed.items() if not needs <= n}
            if len(kept) >= REMEMBERED:
                kept.pop(min(kept, key=lambda n: kept[n][0]))
            known.failed = {**kept, needs: (until, times + 1)}
            return True

    def hold(self, model: str) -> bool:
        """Whether a model failed lately on anything."""
        with self._lock:
            known = self._known.get(model)
            return known is not None and bool(known.failed)

    def beyond(self, model: str, needs: Needs) -> bool:
        """Whether a request asks for as much as one that the model failed on lately."""
        with self._lock:
            known = self._known.get(model)
            if known is None or not known.failed:
                return False
            now = self._clock()
            return any(least <= needs and now < until for least, (until, _) in known.failed.items())

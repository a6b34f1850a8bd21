"""What the misses of a cache have cost, and what its answers are worth by that."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from langchain_cachemux.arguments import expect, is_made, is_number, number_of
from langchain_cachemux.discreet import loggable
from langchain_cachemux.locks import Lock
from langchain_cachemux.meter import usage_of
from langchain_cachemux.read import answers, metadata
from langchain_cachemux.route.estimators import Estimator, Mean, kept
from langchain_cachemux.route.prices import Price, seconds
from langchain_cachemux.types import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from langchain_core.outputs import Generation

    from langchain_cachemux.stats import Counters
    from langchain_cachemux.types import Entry

log = logging.getLogger(__name__)

REMEMBERED = 100_000
"""Entries of which it is remembered that their misses were learned from."""


class Worth:
    """Prices misses, learns from them, and says what the next would cost. Safe between threads.

    Args:
        estimator: What a miss would cost; by default `Mean`.
        price: Of a model call.
        counters: Where a miss is counted that has no price.

    Raises:
        ValueError: The estimator is none.
    """

    def __init__(self, estimator: Estimator | None, *, price: Price, counters: Counters) -> None:
        made = estimator is None or is_made(estimator, "predict learn")
        expect(made, "estimator", "an estimator that was made, such as Mean()", estimator)
        self.estimator: Estimator = Mean() if estimator is None else estimator
        self._given = estimator is not None
        self._own = self.estimator
        self.changed: Callable[[], object] = lambda: None
        """Called when its own estimator learned something."""
        self._price = price
        self._counters = counters
        self._learned: dict[str, None] = {}
        """The last entries whose misses the estimator has learned from since the cache was opened."""
        self._lock = Lock()

    def lend(self, estimator: Estimator) -> None:
        """Go by this estimator from now on, unless one was given."""
        if not self._given:
            self.estimator = estimator

    def cost(self, answer: Generation, elapsed: float | None) -> float | None:
        """What the miss cost: as the multiplexer measured it, or the price of the usage."""
        message = answers.message_of(answer)
        told = metadata.read(message)
        if told is not None:
            return told["cost"]
        if elapsed is None and self._price is seconds:
            return None
        try:
            cost = self._price(usage_of(message, seconds=elapsed or 0.0))
            return number_of(cost) if is_number(cost) else cost
        except (ValueError, LookupError) as error:
            self._counters.add("unpriced")
            log.warning("%s; the answer is valued at what others cost", loggable(error))
            return None

    def learn(self, query: Query, cost: float) -> None:
        """Learn what a miss cost."""
        with self._lock:
            self.estimator.learn(query, cost)
        if self.estimator is self._own:
            self.changed()

    def is_kept(self) -> bool:
        """Whether what its own estimator learned can be written down; a router's is kept elsewhere."""
        try:
            self.dump()
        except ValueError:
            return False
        return not callable(getattr(self._own, "choose", None))

    def dump(self) -> dict[str, Any]:
        """What its own estimator learned, as plain data.

        Raises:
            ValueError: It cannot be written down.
        """
        with self._lock:
            return {"estimator": kept(self._own).dump()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `dump` returned.

        Raises:
            ValueError: It was another estimator's, or is damaged.
        """
        with self._lock:
            kept(self._own).restore(state["estimator"])

    def expected(self, query: Query) -> float:
        """What a miss would cost, by the lower bound."""
        with self._lock:
            return number_of(self.estimator.predict(query).lower)

    def by_now(self, entry: Entry) -> float | None:
        """What a routed miss would cost, if the router learned of the entry since opening.

        Of any estimator that chooses, `Router` or a user's own, the estimate of an entry changes between
        its misses; of others it is taken not to.
        """
        routed = callable(getattr(self.estimator, "choose", None))
        if not routed or entry.key not in self._learned:
            return None
        return self.expected(Query(entry.key, text=entry.text, vector=entry.vector))

    def stored(self, key: str) -> None:
        """Remember that an entry was stored whose miss was learned from."""
        with self._lock:
            self._learned[key] = None
            if len(self._learned) > REMEMBERED:
                del self._learned[next(iter(self._learned))]

    def gone(self, keys: Iterable[str]) -> None:
        """Forget entries that are held no more."""
        with self._lock:
            for key in keys:
                self._learned.pop(key, None)

    def clear(self) -> None:
        """Forget every entry; what was learned of costs stays."""
        self._learned.clear()

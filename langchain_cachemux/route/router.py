"""Which model: the one whose cost has the least lower confidence bound."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from langchain_cachemux.types import Estimate, Route

if TYPE_CHECKING:
    from langchain_cachemux.route.estimators import Estimator
    from langchain_cachemux.types import Query


class Router:
    """One estimator of the cost for each model, and itself an estimator: of a routed miss.

    A cost includes what a bad answer costs, so "cheapest" already means "cheapest that will do".
    Choosing by mean - width is optimism: a model not yet tried on such questions looks cheap, so it is
    tried, and its width shrinks (arXiv 2306.02003 §3). Safe between threads.

    Args:
        estimators: By model name, cheap to dear; the order breaks ties.
    """

    def __init__(self, estimators: Mapping[str, Estimator]) -> None:
        if not estimators:
            msg = "estimators must name at least one model, got none"
            raise ValueError(msg)
        self.estimators = dict(estimators)
        self._lock = threading.Lock()

    def choose(self, x: Query) -> Route:
        """Route to argmin_k of mean_k - width_k, not clipped at the floor."""
        with self._lock:
            estimates = {name: e.predict(x) for name, e in self.estimators.items()}
        model = min(estimates, key=lambda name: estimates[name].optimistic)
        bounds = ", ".join(f"{name} {e.optimistic:.3g}" for name, e in estimates.items())
        return Route(model, f"least lower bound of {bounds}", estimates)

    def predict(self, x: Query) -> Estimate:
        """Estimate what a routed miss will cost: its `lower` is min_k max(B1_k, mean_k - width_k)."""
        route = self.choose(x)
        return min(route.estimates.values(), key=lambda e: (e.lower, e.optimistic))

    def learn(self, x: Query, cost: float, route: str | None = None) -> None:
        """Learn what `route` cost on `x`.

        A cost with no route is passed over: a cache that is valued by a router tells it what the
        multiplexer has told already.

        Raises:
            ValueError: The cost is negative or not finite, or no model is called `route`.
        """
        if route is None:
            return
        if route not in self.estimators:
            msg = f"route must be one of {list(self.estimators)}, got {route!r}"
            raise ValueError(msg)
        with self._lock:
            self.estimators[route].learn(x, cost)

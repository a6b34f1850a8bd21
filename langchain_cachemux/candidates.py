"""Which models one request can be asked of, and on what terms they are weighed."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from langchain_core.messages.utils import count_tokens_approximately

from langchain_cachemux.read.needs import lacking, profile_of
from langchain_cachemux.read.thoughts import author, unfinished
from langchain_cachemux.types import LARGEST_COST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from langchain_core.messages import BaseMessage

    from langchain_cachemux.parts import Parts
    from langchain_cachemux.route.router import Terms
    from langchain_cachemux.types import Needs, Query, Route

FORBIDDEN = "{} may not answer within the error budget"


class Candidates:
    """The models of a multiplexer, as far as they can do what a request needs.

    Args:
        parts: Whose models these are.
        messages: The conversation whose last turn is asked.
        kwargs: Parameters of the call.
    """

    def __init__(
        self, parts: Parts, messages: Sequence[BaseMessage], kwargs: Mapping[str, Any]
    ) -> None:
        self._parts = parts
        self._messages = messages
        self._kwargs = kwargs
        self.doubtful: list[str] = []
        """Those that failed lately on what asked no more: asked only when nobody else answers."""
        excluded = {}
        for name, model in parts.models.items():
            limited = parts.experience.limits.hold(name)
            if not limited and not profile_of(model):
                continue  # nothing is known that it cannot do
            if lacks := lacking(model, self.needs):
                excluded[name] = lacks
            elif limited and parts.experience.limits.beyond(name, self.needs):
                excluded[name] = "it failed lately on what asked no more"
                self.doubtful.append(name)
        self.able = [name for name in parts.models if name not in excluded]
        """Those that can do what is asked, as far as one knows; all when none is known to."""
        if not self.able:
            self.able, self.doubtful = self.doubtful or list(parts.models), []
        out = (name for name in parts.models if parts.router.out(name))
        self.missed = {*self.doubtful, *out}
        """Those that would have been weighed, but are doubtful or out."""
        self.excluded = [f"not {name}: {why}" for name, why in excluded.items()]
        """Why the others cannot, in words."""

    @cached_property
    def needs(self) -> Needs:
        """What the request needs of a model beside words; read when it is first asked for."""
        return self._parts.needs(self._messages, self._kwargs)

    @property
    def standard(self) -> str:
        """The most expensive of those that can."""
        return self.able[-1]

    @property
    def terms(self) -> Terms:
        """On what terms the turn is routed."""
        parts, messages, earlier = self._parts, self._messages, author(self._messages)
        stay, switch_price, among = None, 0.0, parts.eligible(self.able)
        if earlier is not None and earlier[0] in self.able:
            again = count_tokens_approximately(messages[:-1]) / max(self.needs.tokens, 1)
            stay, switch_price = earlier[0], parts.stickiness * earlier[1] * min(again, 1.0)
            if unfinished(messages):
                among = [stay]
        switch_price = min(switch_price, LARGEST_COST)
        return {**parts.terms, "among": among, "stay": stay, "switch_price": switch_price}

    def route(self, query: Query, terms: Terms) -> Route:
        """Route the turn on these terms, and say what of them decided, where it was no cost."""
        parts, route = self._parts, self._parts.router.choose(query, **terms)
        if parts.pinned == route.model:
            route = replace(route, reason=f"the run stays with {parts.pinned}")
        if parts.spending is not None and not parts.spending.left:
            route = replace(route, reason=f"{route.reason}; all that may be spent is spent")
        return route

    def risk(self, route: Route) -> float | None:
        """What is bet when the routed model's answer is given unjudged; None when it is no bet.

        Its chance to fail and no bound of it: the account adds up what is expected to be lost, and how
        little is known of a question has moved its chance towards one half already.
        """
        chance = route.chances.get(route.model)
        if chance is None or route.model == self.standard or self.standard in self.missed:
            return None
        return min(max(chance.mean, 0.0), 1.0)

    def cheaper(self, route: Route) -> str | None:
        """The model below the standard that may turn out cheapest, if one was weighed."""
        weighed = (n for n in self.able[:-1] if n in route.estimates and n not in self.missed)
        return min(weighed, key=lambda name: route.estimates[name].optimistic, default=None)

    def explain(self, query: Query) -> str:
        """Say which model would be asked and why, as a table of all; nothing is asked or learned."""
        budget, router, terms = self._parts.budget, self._parts.router, self.terms
        route, told = self.route(query, terms), [router.explain(query, **terms)]
        risk = self.risk(route)
        if budget is not None and risk is not None and math.isinf(budget.charge(risk)):
            told.append(f"{self.standard} is asked: {FORBIDDEN.format(route.model)}")
        return "\n".join([*told, *self.excluded])

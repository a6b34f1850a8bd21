"""Audits: now and then another model answers too, off the caller's path, and the answers are compared.

A cheaper model's answer, or a stored one, is as good as the most expensive model's when both say the
same (`same`). That is where labels come from when nobody judges. On a bet under an error budget the
budget draws the audit, so that its certificate holds; other audits only teach the router: they grow rare
as it learns, and where an error has a price, they cease when they cannot pay for themselves.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.runnables import RunnableConfig

from langchain_cachemux.meter import run_to_end
from langchain_cachemux.read.answers import stated
from langchain_cachemux.read.structure import UNPARSED, empty
from langchain_cachemux.route.costs import at_stake

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.runnables import Runnable

    from langchain_cachemux.budget import Bet
    from langchain_cachemux.parts import Parts
    from langchain_cachemux.types import Query, Route

TYPICAL = 1000
"""The number of audits at which their share is the one that the user names."""

log = logging.getLogger(__name__)


class Given(NamedTuple):
    """An answer, and whose it is: a model's name, or "cache"."""

    by: str
    message: AIMessage
    key: str | None = None
    """By which the cache that it is from takes feedback, if it does."""


class Audits:
    """The comparisons that one call may lead to.

    They are no part of the caller's run: of its config they take nothing but what is configurable of
    the models.

    Args:
        parts: Whose models, router and budget these are.
        messages: The conversation.
        config: The caller's.
        kwargs: Parameters of the call.
    """

    def __init__(
        self,
        parts: Parts,
        messages: Sequence[BaseMessage],
        config: RunnableConfig | None,
        kwargs: Mapping[str, Any],
    ) -> None:
        self.parts = parts
        self.messages = messages
        self.config = RunnableConfig(
            callbacks=[],
            tags=["nostream"],
            run_name="cachemux audit",
            configurable=dict((config or {}).get("configurable") or {}),
        )
        self.kwargs = kwargs

    def due(self) -> bool:
        """Draw whether an answer that is no bet is to be compared: ever more rarely, as 1/sqrt(n)."""
        parts = self.parts
        if not parts.audit or (parts.spending is not None and not parts.spending.left):
            return False
        made = sum(parts.experience.counted("audits").values())
        return parts.experience.draw(parts.audit * math.sqrt(TYPICAL / (made + 1)))

    def pay(self, route: Route, query: Query, cheap: str, name: str) -> bool:
        """Whether to compare with one more answer of a model may save more than that answer costs.

        What n audits leave in doubt falls as 1/sqrt(n), so the next one takes 1/2n of what is at stake
        in a question like this. As many questions are expected as there have been. Under a budget, which
        sets the price of an error by what has been bet, nothing can be said: it pays.

        Args:
            route: How the question was routed.
            query: The question.
            cheap: The model that the most expensive one is compared with.
            name: The one of the two that would be asked.
        """
        parts = self.parts
        if parts.budget is not None:
            return True
        asked = sum(parts.experience.counted("answers").values())
        made = sum(parts.experience.counted("audits").values())
        stake = at_stake(route.estimates[cheap], route.estimates[parts.standard].mean)
        return asked * stake >= 2 * (made + 1) * parts.router.price(query, name).mean

    def ask(self, name: str, given: Given, query: Query | None, bet: Bet | None = None) -> None:
        """Have another model answer too, some time, and learn from the comparison.

        Args:
            name: The model.
            given: The answer that was given. One of the two is the most expensive model's.
            query: What was asked, as the router reads it; None where the router is taught nothing.
            bet: Whose loss the comparison settles.
        """

        def job() -> None:
            fresh = Given(name, self._answer(name, query))
            pair = (given, fresh) if name == self.parts.standard else (fresh, given)
            self._learn(*pair, query, bet)

        self._do(job)

    def compare(
        self, cheap: Given, standard: Given, query: Query | None, bet: Bet | None = None
    ) -> None:
        """Learn, some time, whether an answer was as good as the most expensive model's.

        Args:
            cheap: The answer.
            standard: The most expensive model's.
            query: What was asked; None where the router is taught nothing.
            bet: Whose loss this settles.
        """
        self._do(lambda: self._learn(cheap, standard, query, bet))

    def _do(self, job: Any) -> None:
        if not self.parts.background.do(job):
            log.info("an audit was left out: too many wait already, or there is an end of them")

    def _answer(self, name: str, query: Query | None) -> AIMessage:
        """Ask a model, pay for it, and learn what it cost."""
        parts, started = self.parts, time.perf_counter()
        shown = parts.shown(self.messages, name)
        try:
            answer = _asked(parts.models[name], shown, self.config, self.kwargs)
        except Exception as error:
            if parts.structure is None or not isinstance(error, UNPARSED):
                parts.experience.count("errors", name)
                parts.raised(name, parts.needs(self.messages, self.kwargs))
                raise
            answer = empty(error)
        message = parts.message_in(answer)
        cost, _ = parts.paid(name, message, self.messages, time.perf_counter() - started)
        parts.answered(name, parts.needs(self.messages, self.kwargs))
        parts.experience.count("audits", name, cost=cost)
        if parts.spending is not None:
            parts.spending.pay(cost)
        if query is not None:
            parts.learn(query, name, cost=cost, source="audit")
        return message

    def _learn(self, cheap: Given, standard: Given, query: Query | None, bet: Bet | None) -> None:
        parts = self.parts
        if parts.structure is not None and parts.structure.lacks(standard.message):
            return  # nothing to compare with
        lost = float(not parts.same(stated(cheap.message), stated(standard.message)))
        if bet is not None:
            bet.settle(lost)
            parts.experience.lost(bet.kind, lost)
        if cheap.key is not None:
            getattr(parts.cache, "feedback", lambda *_, **__: None)(cheap.key, ok=not lost)
        if query is not None and cheap.by in parts.models:
            parts.learn(query, cheap.by, failed=lost, source="audit")


def _asked(
    model: Runnable[Any, Any],
    messages: Sequence[BaseMessage],
    config: RunnableConfig,
    kwargs: Mapping[str, Any],
) -> Any:
    """What a model says to a thread; one that can only be awaited is awaited."""
    try:
        return model.invoke(messages, config, **kwargs)
    except (NotImplementedError, TypeError) as error:  # as LangChain says that it cannot be invoked
        log.debug("%s is awaited, as it cannot be invoked: %s", type(model).__name__, error)
    return run_to_end(model.ainvoke(messages, config, **kwargs))

"""Audits: now and then another model answers too, off the caller's path, and the answers are compared.

A cheaper model's answer, or a stored one, is as good as the most expensive model's when both say the
same (`same`). That is where labels come from when nobody judges. On a bet under an error budget the
budget draws the audit, so that its certificate holds; other audits only teach the router, and grow rare
as it learns.
"""

from __future__ import annotations

import json
import logging
import math
import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_cachemux.route.meter import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import AIMessage, BaseMessage

    from langchain_cachemux.budget import Bet
    from langchain_cachemux.parts import Parts
    from langchain_cachemux.types import Query

TYPICAL = 1000
"""The number of audits at which their share is the one that the user names."""

log = logging.getLogger(__name__)


class Given(NamedTuple):
    """An answer, and whose it is: a model's name, or "cache"."""

    by: str
    message: AIMessage


class Audits:
    """The comparisons that one call may lead to.

    Args:
        parts: Whose models, router and budget these are.
        messages: The conversation.
        kwargs: Parameters of the call.
    """

    def __init__(
        self, parts: Parts, messages: Sequence[BaseMessage], kwargs: Mapping[str, Any]
    ) -> None:
        self.parts = parts
        self.messages = messages
        self.kwargs = kwargs

    def due(self) -> bool:
        """Draw whether an answer that is no bet is to be compared: ever more rarely, as 1/sqrt(n)."""
        share = self.parts.audit
        made = sum(self.parts.experience.counted("audits").values())
        return share > 0 and random.random() < share * math.sqrt(TYPICAL / (made + 1))  # noqa: S311

    def ask(self, name: str, given: Given, query: Query | None, bet: Bet | None = None) -> None:
        """Have another model answer too, some time, and learn from the comparison.

        Args:
            name: The model.
            given: The answer that was given. One of the two is the most expensive model's.
            query: What was asked, as the router reads it.
            bet: Whose loss the comparison settles.
        """
        parts = self.parts

        def compare() -> None:
            started = time.perf_counter()
            answer = parts.models[name].invoke(self.messages, SILENT, **self.kwargs)
            message = parts.message_in(answer)
            cost, _ = parts.paid(name, message, self.messages, time.perf_counter() - started)
            parts.experience.count("audits", name, cost=cost)
            if parts.spending is not None:
                parts.spending.pay(cost)
            if query is not None:
                parts.router.learn(query, cost, name)
            fresh = Given(name, message)
            cheap, standard = (given, fresh) if name == parts.standard else (fresh, given)
            self.learn(cheap, standard, query, bet)

        if not parts.background.do(compare):
            log.info("an audit was left out: too many wait already")

    def learn(
        self, cheap: Given, standard: Given, query: Query | None, bet: Bet | None = None
    ) -> None:
        """Learn whether an answer was as good as the most expensive model's.

        Args:
            cheap: The answer.
            standard: The most expensive model's.
            query: What was asked.
            bet: Whose loss this settles.
        """
        lost = float(not self.parts.same(stated(cheap.message), stated(standard.message)))
        if bet is not None:
            bet.settle(lost)
            self.parts.experience.lost(bet.kind, lost)
        if query is not None and cheap.by in self.parts.models:
            self.parts.router.learn(query, None, cheap.by, failed=lost)


def stated(answer: AIMessage) -> str:
    """What an answer says, to be compared: its object or the calls it makes as JSON, or its words."""
    if "parsed" in answer.additional_kwargs:
        return json.dumps(answer.additional_kwargs["parsed"], sort_keys=True, default=str)
    if answer.tool_calls:
        calls = [{"name": call["name"], "args": call["args"]} for call in answer.tool_calls]
        return json.dumps(calls, sort_keys=True, default=str)
    return answer.text

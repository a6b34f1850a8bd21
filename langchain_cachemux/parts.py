"""What a multiplexer is made of, in the form in which a call uses it; pydantic checks the kinds."""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

from langchain_core.caches import BaseCache
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, ConfigDict, SkipValidation

from langchain_cachemux.agree import Same
from langchain_cachemux.background import Background
from langchain_cachemux.budget import ErrorBudget, Spending
from langchain_cachemux.discreet import loggable
from langchain_cachemux.experience import Experience
from langchain_cachemux.meter import usage_of
from langchain_cachemux.patience import level
from langchain_cachemux.read.answers import NoMessageError
from langchain_cachemux.read.needs import STRUCTURE, bound, needs_of
from langchain_cachemux.read.prompts import Reader
from langchain_cachemux.read.runnables import chat_model, name_of, plain, written
from langchain_cachemux.read.structure import Structure
from langchain_cachemux.read.thoughts import may_think, without_foreign_thoughts
from langchain_cachemux.rewriting import Rewriter
from langchain_cachemux.route.judges import Judge
from langchain_cachemux.route.observations import Observations
from langchain_cachemux.route.prices import Price, billed, cost_of
from langchain_cachemux.route.router import Router, Terms
from langchain_cachemux.saved import Saved
from langchain_cachemux.types import (
    LARGEST_COST,
    Estimate,
    Needs,
    Observation,
    Query,
    Route,
    Usage,
)

log = logging.getLogger(__name__)


class Parts(BaseModel):
    """The parts of a multiplexer. `MultiplexedLLM` says what each is, and adds the ways to ask."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    models: dict[str, Any]
    """By name, cheap to expensive; the others are measured by the last."""
    router: Router
    accept: Judge | None = None
    cache: BaseCache | Literal[False] | None = None
    price: SkipValidation[Price]
    reader: Reader
    billed: dict[str, str]
    """The name under which `price` knows each model."""
    structure: Structure | None = None
    budget: ErrorBudget | None = None
    spending: Spending | None = None
    error_price: float = 0.0
    safe: bool = False
    audit: float = 0.0
    same: SkipValidation[Same]
    stickiness: float = 1.0
    pinned: str | None = None
    """The model that is asked as long as it can do what is asked and answers."""
    experience: Experience
    background: Background
    observations: Observations | None = None
    saved: Saved | None = None

    @property
    def cached_in(self) -> BaseCache | None:
        """The cache that is asked: its own, or LangChain's global one, or none."""
        if isinstance(self.cache, BaseCache):
            return self.cache
        return None if self.cache is False else get_llm_cache()

    @property
    def standard(self) -> str:
        """The model that the others are measured by: the most expensive."""
        return list(self.models)[-1]

    @property
    def alone(self) -> bool:
        """Whether there is one model: what it will cost is of use to nobody before it is asked."""
        return len(self.models) == 1

    @property
    def bottoms(self) -> list[BaseChatModel]:
        """The chat models that the models are at their bottom."""
        return [bottom for model in self.models.values() if (bottom := chat_model(model))]

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """What was set, and nothing of what was learned."""
        yield None, list(self.models)
        yield "strategy", self.router.strategy
        for name in ("accept", "cache", "budget", "spending", "observations", "saved", "structure"):
            if (value := getattr(self, name)) is not None:
                yield name, value
        yield "price", getattr(self.price, "__name__", self.price)
        for name, default in (("error_price", 0.0), ("safe", False), ("audit", 0.0)):
            if (value := getattr(self, name)) != default:
                yield name, value
        yield "stickiness", self.stickiness

    def written(self, config: RunnableConfig, kwargs: Mapping[str, Any]) -> str:
        """The `llm_string` of all models: an answer is shared whichever of them gave it.

        Of a single model it is the one that LangChain itself caches under.
        """
        if self.alone and self.structure is None:
            return written(next(iter(self.models.values())), kwargs, config)
        models = {name: written(model, {}, config) for name, model in self.models.items()}
        structure = self.structure and self.structure.written
        call = str(sorted(plain(kwargs).items()))
        return json.dumps({"models": models, "structure": structure, "call": call}, sort_keys=True)

    def routed(self, query: Query, *turns: str) -> Query:
        """Return a query as the router reads it; a single model is asked whatever it is."""
        return query if self.alone else self.reader.routed(query, *turns)

    def eligible(self, able: list[str]) -> list[str]:
        """Of the models that can do what is asked those to choose from: the pinned one, or all."""
        return [self.pinned] if self.pinned in able else able

    def shown(self, messages: Sequence[BaseMessage], name: str) -> list[BaseMessage]:
        """Return a conversation as a model may be shown it."""
        if not any(map(may_think, messages)):
            return [*messages]
        return without_foreign_thoughts(messages, {name, name_of(self.models[name]) or name})

    def needs(self, messages: Sequence[BaseMessage], kwargs: Mapping[str, Any]) -> Needs:
        """Return what a request needs of a model; nothing that is known, when it cannot be read."""
        needs = Needs()
        with spared("reading what is needed"):
            needs = needs_of(messages, {**bound(next(iter(self.models.values()))), **kwargs})
        if self.structure is not None:
            needs = replace(needs, kinds=needs.kinds | {STRUCTURE})
        return needs

    def learn(
        self,
        query: Query,
        model: str,
        *,
        cost: float | None = None,
        failed: float | None = None,
        source: Literal["cost", "judge", "audit", "feedback"] = "cost",
        reason: str = "",
    ) -> None:
        """Teach the router, and write down what it was taught; a fault in either is logged."""
        with spared("learning"):
            self.router.learn(query, cost, model, failed=failed)
        if self.saved is not None:
            self.saved.changed()
        if self.observations is not None:
            line: Observation = {
                "time": time.time(),
                "key": query.key,
                "text": query.text,
                "model": model,
                "cost": cost,
                "failed": failed,
                "source": source,
            }
            self.observations.write({**line, "reason": reason} if reason else line)

    def raised(self, name: str, needs: Needs) -> None:
        """Learn from an error what a model cannot do, or that it is out."""
        if not self.experience.limits.failed(name, needs):
            self.router.outage(name)

    def answered(self, name: str, needs: Needs) -> None:
        """Learn that a model can do what was asked, and is not out."""
        self.experience.limits.answered(name, needs)
        self.router.answered(name)

    @property
    def terms(self) -> Terms:
        """On what terms any question is routed now."""
        budget, spending = self.budget, self.spending
        broke = spending is not None and not spending.left  # then answers are given as they are
        error = self.error_price if budget is None else budget.error_price
        return {
            "judged": self.accept is not None and not broke,
            "judge_price": self.experience.mean_cost("judging"),
            "error_price": min(error, LARGEST_COST) / (1.0 if spending is None else spending.price),
            "safe": self.safe or broke,
            "heard": self.accept is not None or not self.audit,  # audits tell, whoever is asked
        }

    def paid(
        self, name: str, answer: Any, messages: Sequence[BaseMessage], elapsed: float
    ) -> tuple[float, float]:
        """Return what a model's answer cost, and the seconds that it took.

        Tokens that no provider reports are counted approximately: no model answers for nothing.

        Raises:
            NoMessageError: It is no message of a model.
            ValueError: The price is no amount.
        """
        if not isinstance(answer, AIMessage):
            raise NoMessageError(answer, name)
        usage = usage_of(answer, seconds=elapsed)
        if not usage.input_tokens and not usage.output_tokens:
            into, out = (count_tokens_approximately(part) for part in (messages, [answer]))
            usage = replace(usage, input_tokens=into, output_tokens=out)
        return self.cost(name, usage), usage.seconds

    def cut_off(
        self, name: str, answer: AIMessage, messages: Sequence[BaseMessage], elapsed: float
    ) -> None:
        """Pay for the part that came of an answer; what a whole one costs is not learned from it.

        What the provider says before the end is not yet the sum, so tokens are counted approximately
        where that is more.
        """
        with spared("pricing a part of an answer"):
            usage = usage_of(answer, seconds=elapsed)
            into, out = (count_tokens_approximately(part) for part in (messages, [answer]))
            into, out = usage.input_tokens or into, max(usage.output_tokens, out)
            cost = self.cost(name, replace(usage, input_tokens=into, output_tokens=out))
            self.experience.count("cut off", name, cost=cost)
            if self.spending is not None:
                self.spending.pay(cost)

    def cost(self, name: str, usage: Usage) -> float:
        """Return what a call cost that was made of a model, or for the sake of its answer.

        Raises:
            ValueError: The price is no amount.
        """
        own = {self.billed[name]: name_of(m) or name for name, m in self.models.items()}
        return cost_of(billed(usage, self.price, asked=self.billed[name], own=own), self.price)

    def message_in(self, answer: Any) -> AIMessage:
        """Return the message in what a model gave; of a structured answer, with the object in it."""
        if self.structure is not None and isinstance(answer, Mapping):
            return self.structure.fold(answer["raw"], answer["parsed"])
        message: AIMessage = answer
        return message


@contextmanager
def spared(what: str) -> Iterator[None]:
    """Spare the caller a fault in what a call can do without."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        log.log(level(error), "%s failed, the call goes on without it: %s", what, loggable(error))


class RoutedMiss:
    """What a miss will cost on a multiplexer's terms: by this an `LECCache` values its answers.

    Args:
        parts: Whose router it is, and whose judge, budget and prices.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __repr__(self) -> str:
        """Whose it is."""
        return f"RoutedMiss({self._parts.router!r})"

    def choose(self, x: Query) -> Route:
        """Route a question as a call would."""
        return self._parts.router.choose(x, **self._parts.terms)

    def predict(self, x: Query) -> Estimate:
        """Estimate what it will cost."""
        return self._parts.router.predict(x, **self._parts.terms)

    def learn(self, x: Query, cost: float) -> None:
        """Learn nothing: the multiplexer has told its router already."""


def joined(cache: object, parts: Parts, *, routes: bool) -> None:
    """Let a cache and a multiplexer work as one.

    It values its answers by the router, bets under the budget, so that one promise covers both, and has
    the cheapest model at hand to rewrite with; what that costs is paid out of what may be spent.
    """
    if routes:
        getattr(cache, "value_by", lambda _: None)(RoutedMiss(parts))
    if parts.budget is not None:
        getattr(cache, "bet_under", lambda _: None)(parts.budget)
    rewriter = getattr(cache, "rewriter", None)
    if isinstance(rewriter, Rewriter):
        pay = None if parts.spending is None else parts.spending.pay
        rewriter.lend(next(iter(parts.models.values())), pay)

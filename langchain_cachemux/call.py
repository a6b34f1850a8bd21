"""`Call`: one question on its way: cache, route, answer, judge, the next dearer model, the learning.

A call names the model to ask and takes its answer, but it waits for no model: so the same steps serve
`invoke`, `ainvoke`, `stream` and `astream`. A fault in what it can do without (the cache, the embedder,
the judge) is logged and spared the caller; a model's own fault is not.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from langchain_core.exceptions import OutputParserException
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    convert_to_messages,
    message_chunk_to_message,
)
from langchain_core.outputs import ChatGeneration
from langchain_core.prompt_values import PromptValue
from pydantic import ValidationError

from langchain_cachemux.read import metadata
from langchain_cachemux.read.answers import CHARS_PER_TOKEN
from langchain_cachemux.read.prompts import Reader
from langchain_cachemux.read.runnables import plain, written
from langchain_cachemux.route.prices import Price, usage_of
from langchain_cachemux.route.router import Router
from langchain_cachemux.types import LARGEST_COST, Query, Route, Usage

if TYPE_CHECKING:
    from langchain_core.caches import BaseCache
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.runnables import RunnableConfig

    from langchain_cachemux.read.metadata import RouteMetadata
    from langchain_cachemux.read.structure import Structure

Accept: TypeAlias = Callable[[Sequence[BaseMessage], AIMessage], bool]
"""The judge: given the conversation and a cheaper model's answer, will it do?"""

UNPARSED = (ValidationError, OutputParserException, json.JSONDecodeError)
"""What a provider raises from the call itself when an answer is not of the schema."""

log = logging.getLogger(__name__)


class Owner(Protocol):
    """What a call reads of the `MultiplexedLLM` that makes it."""

    models: dict[str, Any]
    """By name, cheap to dear."""
    router: Router
    accept: Accept | None
    cache: BaseCache | None
    price: Price
    reader: Reader
    billed: dict[str, str]
    """The name under which `price` knows each model."""
    structure: Structure | None
    """What every model is asked for in place of a message."""


class Call:
    """The steps of one call, and what it knows so far.

    Ask `hit`. If there is none, ask models within `answering` until `next` names no more, then `settle`
    and `store`. What the caller gets is the `result`, or of a stream what was `showing` and the `rest`.

    Args:
        owner: Whose models, router, judge and cache these are.
        question: What the caller asks.
        config: The caller's.
        kwargs: Parameters of this call, which each model is given.

    Raises:
        ValueError: The question is no prompt.
    """

    def __init__(
        self,
        owner: Owner,
        question: LanguageModelInput,
        config: RunnableConfig,
        kwargs: Mapping[str, Any],
    ) -> None:
        self.owner = owner
        self.messages = _messages(question)
        self.answer: Any = None
        """Of the model asked last, as it came; for a stream, as much as has come."""
        self._key = "", ""
        self._cache: BaseCache | None = None
        with _spared("writing the call down"):
            prompt = dumps([m.model_copy(update={"id": None}) for m in self.messages])
            self._key = prompt, _parameters(owner, config, kwargs)
            self._cache = owner.cache
        self._ladder = list(owner.models)
        self._asked: list[str] = []
        self._costs: list[float] = []
        self._seconds = 0.0
        self._shown = 0.0
        self._message: Any = None
        self._parsed: Any = None
        self._error: BaseException | None = None

    def hit(self) -> bool:
        """Ask the cache."""
        if self._cache is not None:
            with _spared("lookup"):
                self._found(self._cache.lookup(*self._key))
        return self._message is not None

    async def ahit(self) -> bool:
        """As `hit`."""
        if self._cache is not None:
            with _spared("lookup"):
                self._found(await self._cache.alookup(*self._key))
        return self._message is not None

    def next(self) -> str | None:
        """Name the model to ask now: the routed one, then dearer ones until an answer will do."""
        if not self._asked:
            self._read()
            self._route: Route = self.owner.router.choose(self._query)
            self._ladder = self._ladder[self._ladder.index(self._route.model) :]
        elif self.final or self._accepted():
            return None
        self._asked.append(self._ladder[len(self._asked)])
        return self._asked[-1]

    @property
    def final(self) -> bool:
        """True when the answer of the model asked now is given, whatever it is."""
        checks = self.owner.accept is not None or self.owner.structure is not None
        return not checks or len(self._asked) == len(self._ladder)

    @property
    def live(self) -> bool:
        """True when the answer of the model asked now may be shown as it comes."""
        return self.final and self.owner.structure is None

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Wait for an answer, take the time and what it cost.

        When a cheaper model's answer is so far from the schema that its own client raises, it is an
        empty answer.
        """
        self.answer, self._shown, started = None, 0.0, time.perf_counter()
        try:
            yield
        except UNPARSED as error:
            if self.final or self.owner.structure is None:
                raise
            self.answer = {"raw": AIMessage(""), "parsed": None, "parsing_error": error}
        self._answered(time.perf_counter() - started - self._shown)

    @contextmanager
    def showing(self, chunk: Any) -> Iterator[AIMessageChunk]:
        """Show the caller a chunk; the time it takes over it is not the model's."""
        chunk = _chunk(chunk)
        self.answer = chunk if self.answer is None else self.answer + chunk
        started = time.perf_counter()
        yield chunk
        self._shown += time.perf_counter() - started

    def settle(self) -> None:
        """Teach the router, and say on the message how it was routed."""
        for place, name in enumerate(self._asked):
            self.owner.router.learn(self._query, sum(self._costs[place:]), name)
        self._message = metadata.write(self._message, self._described())

    def store(self) -> None:
        """Tell the cache, unless the answer is not of the schema."""
        if self._cache is not None and not self._unparsed:
            with _spared("update"):
                self._cache.update(*self._key, self._generations())

    async def astore(self) -> None:
        """As `store`."""
        if self._cache is not None and not self._unparsed:
            with _spared("update"):
                await self._cache.aupdate(*self._key, self._generations())

    def result(self) -> Any:
        """Return the message, or the object it was asked to be, as LangChain does."""
        structure = self.owner.structure
        if structure is None:
            return self._message
        if structure.include_raw:
            return {"raw": self._message, "parsed": self._parsed, "parsing_error": self._error}
        if self._error is not None:
            raise self._error
        return self._parsed

    def rest(self) -> Any:
        """Return what a stream has still to show: everything, or only how it was routed."""
        message = self.result()
        if self.owner.structure is not None:
            return message
        if not self._asked or not self.live:
            return _chunk(message)
        told = {metadata.NAME: message.response_metadata[metadata.NAME]}
        return AIMessageChunk(content="", id=message.id, response_metadata=told)

    def _found(self, generations: Sequence[Any] | None) -> None:
        """Take what the cache found, as a copy: a cache may hand out what it holds."""
        message = getattr(generations[0], "message", None) if generations else None
        if not isinstance(message, AIMessage):
            return
        message = message.model_copy(deep=True, update={"id": None})
        told = metadata.read(message)
        if told is None or "hit" not in told:
            model, saved = (told["model"], told["cost"]) if told else (None, 0.0)
            told = {"hit": "cache", "model": model, "cost": 0.0, "saved": saved}
        if self.owner.structure is not None:
            self._parsed = self.owner.structure.unfold(message)
        self._message = metadata.write(message, told)

    def _read(self) -> None:
        """Read the question for the router; when its words cannot be embedded, its key is known."""
        self._query = Query(key="")
        with _spared("reading the question"):
            self._query = self.owner.reader.read(*self._key)
            self._query = self.owner.reader.embed(self._query)

    def _answered(self, elapsed: float) -> None:
        """Take the answer of the model asked last."""
        answer, name, structure = self.answer, self._asked[-1], self.owner.structure
        if structure is not None and isinstance(answer, Mapping):
            self._parsed, self._error = answer["parsed"], answer["parsing_error"]
            answer = structure.fold(answer["raw"], self._parsed)
        if not isinstance(answer, AIMessage):
            msg = f"model {name!r} must answer with an AIMessage, got {answer!r}"
            raise TypeError(msg)
        usage = replace(usage_of(answer, seconds=elapsed), model=self.owner.billed[name])
        if not usage.input_tokens and not usage.output_tokens:
            into, out = _tokens(self.messages), _tokens([answer])
            usage = replace(usage, input_tokens=into, output_tokens=out)
        self._costs.append(cost_of(usage, self.owner.price))
        self._seconds += usage.seconds
        self._message = message_chunk_to_message(answer)

    def _accepted(self) -> bool:
        """Ask the judge; one that fails accepts nothing, and no judge accepts what parses."""
        accept = self.owner.accept
        if self._unparsed or accept is None:
            return not self._unparsed
        self._judged = False
        with _spared("accept"):
            self._judged = bool(accept(self.messages, self._message))
        return self._judged

    @property
    def _unparsed(self) -> bool:
        return self.owner.structure is not None and self._parsed is None

    def _generations(self) -> list[ChatGeneration]:
        return [ChatGeneration(message=self._message.model_copy(deep=True))]

    def _described(self) -> RouteMetadata:
        route = self._route
        return {
            "model": self._asked[-1],
            "route": route.model,
            "reason": route.reason,
            "escalated": len(self._asked) > 1,
            "estimates": {
                name: {"mean": _finite(e.mean), "width": _finite(e.width)}
                for name, e in route.estimates.items()
            },
            "cost": sum(self._costs),
            "seconds": self._seconds,
        }


def cost_of(usage: Usage, price: Price) -> float:
    """What a call cost.

    Raises:
        ValueError: The price is no number >= 0, or too large.
    """
    cost = float(price(usage))
    if not 0 <= cost < LARGEST_COST:
        msg = (
            f"price must return a number >= 0 and below {LARGEST_COST:g}, got {cost!r} for {usage}"
        )
        raise ValueError(msg)
    return cost


def _messages(question: LanguageModelInput) -> list[BaseMessage]:
    if isinstance(question, PromptValue):
        return question.to_messages()
    if isinstance(question, str):
        return [HumanMessage(question)]
    if not isinstance(question, Sequence):
        msg = f"input must be a str, a PromptValue or a list of messages, got {question!r}"  # type: ignore[unreachable]
        raise ValueError(msg)  # noqa: TRY004
    return convert_to_messages(question)


def _parameters(owner: Owner, config: RunnableConfig, kwargs: Mapping[str, Any]) -> str:
    """The `llm_string` of them all: an answer is shared whichever of them gave it, and only then."""
    models = {name: written(model, {}, config) for name, model in owner.models.items()}
    structure = owner.structure and owner.structure.written
    call = str(sorted(plain(kwargs).items()))
    return json.dumps({"models": models, "structure": structure, "call": call}, sort_keys=True)


def _tokens(messages: Sequence[BaseMessage]) -> int:
    """About how many, for a provider that does not tell: no model answers for nothing."""
    return sum(len(message.text) for message in messages) // CHARS_PER_TOKEN + 1


def _chunk(message: Any) -> AIMessageChunk:
    """A chunk; a model that does not stream gives its message whole."""
    if isinstance(message, AIMessageChunk):
        return message
    if isinstance(message, AIMessage):
        return AIMessageChunk(**message.model_dump(exclude={"type"}))
    msg = f"a model must answer with an AIMessage, got {message!r}"
    raise TypeError(msg)


@contextmanager
def _spared(what: str) -> Iterator[None]:
    """Spare the caller a fault in what the call can do without."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        log.warning("%s failed, the call goes on without it: %r", what, error)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

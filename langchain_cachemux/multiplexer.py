"""`MultiplexedLLM`: a Runnable that asks the model a router expects to cost least."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from inspect import iscoroutinefunction
from typing import Any, TypeAlias

from langchain_core.caches import BaseCache
from langchain_core.embeddings import Embeddings
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
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
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import run_in_executor
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from langchain_cachemux.answers import CHARS_PER_TOKEN
from langchain_cachemux.costs import Price, seconds, usage_of
from langchain_cachemux.estimators import Mean, Ridge
from langchain_cachemux.queries import Reader
from langchain_cachemux.router import Router
from langchain_cachemux.runnables import name_of, plain, uncached, written
from langchain_cachemux.types import Query, Route, Usage

Accept: TypeAlias = Callable[[Sequence[BaseMessage], AIMessage], bool]
"""The judge: given the conversation and a cheaper model's answer, will it do?"""

UNPARSED = (ValidationError, OutputParserException, json.JSONDecodeError)
"""What a provider raises from the call itself when an answer is not of the schema."""

log = logging.getLogger(__name__)


class MultiplexedLLM(RunnableSerializable[LanguageModelInput, AIMessage]):
    """Routes each question to a small or a large model, and learns what each would cost.

    A Runnable from prompts to `AIMessage`, to be used where a chat model is. The chosen model runs as
    itself, under the caller's config, so traces, usage and tokens are counted once; its own cache is
    off. Every answer says in `response_metadata["cachemux"]` which model gave it, why, at what
    estimates, and what it cost.

    With `accept`, an answer that will not do is asked again of the next dearer model, and both learn:
    the cheaper that its route cost both calls, the dearer what its own cost. Without `accept` a cost is
    only the price of the call, and the router can only find out which model is cheaper on what.

    Args:
        small: The cheap model: a chat model, a Runnable that ends in one, or `"provider:model"`.
        large: The dear one.
        models: More than two, or names of your own: `{name: model}`, cheap to dear.
        router: By default each model has `Mean(prior=Ridge())`: the question's own history when
            there is one, else what similar questions cost.
        accept: The judge.
        cache: Asked first, told after. An `LECCache` also lends its embeddings and values its
            answers by the router.
        price: Cost of a call; by default its seconds. Tokens that no provider reports are estimated.
        embeddings: What the router reads when there is no `LECCache` to share them with; by default
            all-MiniLM-L6-v2 in this process.

    Raises:
        ValueError: A model is missing, two have one name, a price is unknown, the router knows other
            models, or an argument is of the wrong kind.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    models: dict[str, Any]
    router: Any
    accept: Any = None
    cache: Any = None
    price: Any = seconds
    reader: Any
    billed: dict[str, str] = Field(default_factory=dict)
    structure: Any = None

    def __init__(
        self,
        small: str | Runnable[Any, Any] | None = None,
        large: str | Runnable[Any, Any] | None = None,
        *,
        models: Mapping[str, str | Runnable[Any, Any]] | None = None,
        router: Router | None = None,
        accept: Accept | None = None,
        cache: BaseCache | None = None,
        price: Price = seconds,
        embeddings: Embeddings | None = None,
        **fields: Any,
    ) -> None:
        named = _named(small, large, models)
        router = router or Router({name: Mean(prior=Ridge()) for name in named})
        if set(router.estimators) != set(named):
            msg = f"router knows {sorted(router.estimators)}, the models are {sorted(named)}"
            raise ValueError(msg)
        _check(accept, cache)
        reader = fields.pop("reader", None) or getattr(cache, "reader", None)
        if reader is not None and embeddings is not None:
            msg = f"embeddings was given as {embeddings!r}, but the cache has embeddings of its own"
            raise ValueError(msg)
        super().__init__(
            models={name: uncached(model) for name, model in named.items()},
            router=router,
            accept=accept,
            cache=cache,
            price=price,
            reader=reader or Reader(embeddings or _default_embeddings()),
            billed={name: _billed(price, name, model) for name, model in named.items()},
            **{name: value for name, value in fields.items() if name != "billed"},
        )
        value_by = getattr(cache, "value_by", None)
        if value_by is not None:
            value_by(router)

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Answer from the cache, or from the model that is expected to cost least."""
        return self._call_with_config(self._invoke, input, config, **kwargs)

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """As `invoke`; what is not the model's own waiting runs in a thread."""
        return await self._acall_with_config(self._ainvoke, input, config, **kwargs)

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        """Stream the chosen model's tokens; the last chunk is empty and tells how it was routed.

        A hit comes as one chunk, and so do an object and an answer that `accept` has to see whole
        before it may be shown.
        """
        yield from self._transform_stream_with_config(iter([input]), self._stream, config, **kwargs)

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """As `stream`."""

        async def inputs() -> AsyncIterator[LanguageModelInput]:
            yield input

        async for chunk in self._atransform_stream_with_config(
            inputs(), self._astream, config, **kwargs
        ):
            yield chunk

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools to every model; router and cache are shared with the original."""
        bound = {name: model.bind_tools(tools, **kwargs) for name, model in self.models.items()}
        return self.model_copy(update={"models": bound})

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Ask every model for `schema`; router and cache are shared with the original.

        A cheaper model's answer that does not parse counts as not accepted, whatever `accept` says.
        """
        models = {
            name: model.with_structured_output(schema, include_raw=True, **kwargs)
            for name, model in self.models.items()
        }
        structure = _Structure(schema, include_raw=include_raw)
        return self.model_copy(update={"models": models, "structure": structure})

    def _invoke(self, input: LanguageModelInput, config: Any = None, **kwargs: Any) -> Any:
        call = _Call(self, input, config, kwargs)
        if not call.hit():
            while (name := call.next()) is not None:
                with call.answering():
                    call.answer = self.models[name].invoke(call.messages, config, **kwargs)
            call.settle()
            call.store()
        return call.result()

    async def _ainvoke(self, input: LanguageModelInput, config: Any = None, **kwargs: Any) -> Any:
        call = await run_in_executor(config, _Call, self, input, config, kwargs)
        if not await call.ahit():
            while (name := await run_in_executor(config, call.next)) is not None:
                with call.answering():
                    call.answer = await self.models[name].ainvoke(call.messages, config, **kwargs)
            await run_in_executor(config, call.settle)
            await call.astore()
        return call.result()

    def _stream(
        self, inputs: Iterator[LanguageModelInput], config: Any = None, **kwargs: Any
    ) -> Iterator[Any]:
        call = _Call(self, next(inputs), config, kwargs)
        if not call.hit():
            while (name := call.next()) is not None:
                with call.answering():
                    if not call.live:
                        call.answer = self.models[name].invoke(call.messages, config, **kwargs)
                        continue
                    for chunk in self.models[name].stream(call.messages, config, **kwargs):
                        with call.showing(chunk) as shown:
                            yield shown
            call.settle()
            call.store()
        yield call.rest()

    async def _astream(
        self, inputs: AsyncIterator[LanguageModelInput], config: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        question = await anext(inputs)
        call = await run_in_executor(config, _Call, self, question, config, kwargs)
        if not await call.ahit():
            while (name := await run_in_executor(config, call.next)) is not None:
                model = self.models[name]
                with call.answering():
                    if not call.live:
                        call.answer = await model.ainvoke(call.messages, config, **kwargs)
                        continue
                    async for chunk in model.astream(call.messages, config, **kwargs):
                        with call.showing(chunk) as shown:
                            yield shown
            await run_in_executor(config, call.settle)
            await call.astore()
        yield call.rest()


class _Structure:
    """How a structured answer is kept as a message and handed out as an object."""

    def __init__(self, schema: dict[str, Any] | type, *, include_raw: bool) -> None:
        self.schema = schema
        self.include_raw = include_raw
        self.written = json.dumps(convert_to_json_schema(schema), sort_keys=True)
        """Its fields: two classes of one name are two structures."""

    def fold(self, raw: AIMessage, parsed: Any) -> AIMessage:
        """Put the parsed object into the message, where LangChain's own parsers look for it."""
        if isinstance(parsed, BaseModel):
            parsed = parsed.model_dump(mode="json", by_alias=True, round_trip=True)
        return raw.model_copy(
            update={"additional_kwargs": {**raw.additional_kwargs, "parsed": parsed}}
        )

    def unfold(self, message: AIMessage) -> Any:
        """Return the object that `fold` put there.

        Raises:
            ValidationError: It is not of the schema.
        """
        parsed = message.additional_kwargs["parsed"]
        if isinstance(self.schema, type) and issubclass(self.schema, BaseModel):
            return self.schema.model_validate(parsed)
        return parsed


class _Call:
    """One question on its way: cache, route, answer, judge, the next dearer model, the learning.

    It waits for no model itself, so the same steps serve `invoke`, `ainvoke`, `stream` and `astream`.
    """

    def __init__(
        self,
        owner: MultiplexedLLM,
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
        self._message = _told(self._message, self._described())

    def store(self) -> None:
        """Tell the cache."""
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
        told = {"cachemux": message.response_metadata["cachemux"]}
        return AIMessageChunk(content="", id=message.id, response_metadata=told)

    def _found(self, generations: Sequence[Any] | None) -> None:
        """Take what the cache found, as a copy: a cache may hand out what it holds."""
        message = getattr(generations[0], "message", None) if generations else None
        if not isinstance(message, AIMessage):
            return
        message = message.model_copy(deep=True, update={"id": None})
        told = message.response_metadata.get("cachemux", {})
        if "hit" not in told:
            model, saved = told.get("model"), told.get("cost")
            told = {"hit": "cache", "model": model, "cost": 0.0, "saved": saved}
        if self.owner.structure is not None:
            self._parsed = self.owner.structure.unfold(message)
        self._message = _told(message, told)

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
        self._costs.append(_cost(self.owner.price, usage))
        self._seconds += usage.seconds
        self._message = message_chunk_to_message(answer)

    def _accepted(self) -> bool:
        accept: Accept | None = self.owner.accept
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

    def _described(self) -> dict[str, Any]:
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


def _messages(question: LanguageModelInput) -> list[BaseMessage]:
    if isinstance(question, PromptValue):
        return question.to_messages()
    if isinstance(question, str):
        return [HumanMessage(question)]
    if not isinstance(question, Sequence):
        msg = f"input must be a str, a PromptValue or a list of messages, got {question!r}"  # type: ignore[unreachable]
        raise ValueError(msg)  # noqa: TRY004
    return convert_to_messages(question)


def _named(
    small: str | Runnable[Any, Any] | None,
    large: str | Runnable[Any, Any] | None,
    models: Mapping[str, str | Runnable[Any, Any]] | None,
) -> dict[str, Runnable[Any, Any]]:
    """Return the models by name, cheap to dear: the user's names, or the models' own."""
    if models is not None:
        if small is not None or large is not None:
            msg = "models was given, so small and large must not be"
            raise ValueError(msg)
        if not models:
            msg = f"models must name at least one model, got {models!r}"
            raise ValueError(msg)
        return {name: _model(name, model) for name, model in models.items()}
    if small is None or large is None:
        msg = f"{'small' if small is None else 'large'} is missing; give small and large, or models"
        raise ValueError(msg)
    pair = {"small": _model("small", small), "large": _model("large", large)}
    names = [name_of(model) or role for role, model in pair.items()]
    if names[0] == names[1]:
        msg = f"small and large are both named {names[0]!r}; name them yourself with models={{...}}"
        raise ValueError(msg)
    return dict(zip(names, pair.values(), strict=True))


def _check(accept: Any, cache: Any) -> None:
    if accept is not None and (not callable(accept) or iscoroutinefunction(accept)):
        msg = f"accept must be a plain function (messages, answer) -> bool, got {accept!r}"
        raise ValueError(msg)
    if cache is not None and not isinstance(cache, BaseCache):
        msg = f"cache must be one of LangChain's caches, got {cache!r}"
        raise ValueError(msg)


def _model(argument: str, model: Any) -> Runnable[Any, Any]:
    if isinstance(model, str):
        from langchain.chat_models import init_chat_model

        return init_chat_model(model)
    if isinstance(model, Runnable):
        return model
    msg = f"{argument} must be a model, a Runnable or 'provider:model', got {model!r}"
    raise ValueError(msg)


def _cost(price: Price, usage: Usage) -> float:
    cost = float(price(usage))
    if not 0 <= cost < math.inf:
        msg = f"price must return a finite number >= 0, got {cost!r} for {usage}"
        raise ValueError(msg)
    return cost


def _billed(price: Price, name: str, model: Any) -> str:
    """The name under which `price` knows a model: the one the user gave it, or its own."""
    errors = []
    for candidate in (name, name_of(model) or name):
        try:
            _cost(price, Usage(input_tokens=1, output_tokens=1, seconds=1.0, model=candidate))
        except (ValueError, LookupError) as error:
            errors.append(error)
        else:
            return candidate
    raise errors[0]


def _parameters(owner: MultiplexedLLM, config: RunnableConfig, kwargs: Mapping[str, Any]) -> str:
    """The `llm_string` of them all: an answer is shared whichever of them gave it, and only then."""
    models = {name: written(model, {}, config) for name, model in owner.models.items()}
    structure = owner.structure and owner.structure.written
    call = str(sorted(plain(kwargs).items()))
    return json.dumps({"models": models, "structure": structure, "call": call}, sort_keys=True)


def _default_embeddings() -> Embeddings:
    from langchain_cachemux.encoder import SentenceEncoder

    return SentenceEncoder()


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


def _told(message: AIMessage, told: Mapping[str, Any]) -> AIMessage:
    """A copy of a message that says how it came about."""
    metadata = {**message.response_metadata, "cachemux": told}
    return message.model_copy(update={"response_metadata": metadata})


@contextmanager
def _spared(what: str) -> Iterator[None]:
    """Spare the caller a fault in what the call can do without."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        log.warning("%s failed, the call goes on without it: %r", what, error)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

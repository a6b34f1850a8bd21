"""`MultiplexedLLM`: a Runnable that asks the model a router expects to cost least."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from langchain_core.caches import BaseCache
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.load import dumps
from langchain_core.load.serializable import Serializable
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
from langchain_core.runnables import (
    Runnable,
    RunnableBinding,
    RunnableConfig,
    RunnableParallel,
    RunnableSequence,
    RunnableSerializable,
)
from langchain_core.runnables.config import patch_config, run_in_executor
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, ConfigDict, Field

from langchain_cachemux.costs import Price, seconds, usage_of
from langchain_cachemux.estimators import Mean, Ridge
from langchain_cachemux.queries import Reader
from langchain_cachemux.router import Router
from langchain_cachemux.types import Query, Route, Usage

Accept: TypeAlias = Callable[[Sequence[BaseMessage], AIMessage], bool]
"""The judge: given the conversation and a cheaper model's answer, will it do?"""

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
        price: Cost of a call; by default its seconds.
        embeddings: What the router reads when there is no `LECCache` to share them with; by default
            all-MiniLM-L6-v2 in this process.

    Raises:
        ValueError: A model is missing, two have one name, a price is unknown, or the router knows
            other models.
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
        reader = fields.pop("reader", None) or getattr(cache, "reader", None)
        if reader is not None and embeddings is not None:
            msg = "embeddings were given, but the cache has embeddings of its own"
            raise ValueError(msg)
        super().__init__(
            models={name: _uncached(model) for name, model in named.items()},
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

        A hit comes as one chunk, and so does an answer that `accept` has to see whole before it may
        be shown.
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

    def _invoke(
        self, input: LanguageModelInput, run_manager: Any, config: RunnableConfig, **kwargs: Any
    ) -> Any:
        call = _Call(self, input, kwargs)
        config = patch_config(config, callbacks=run_manager.get_child())
        if not call.hit():
            while (name := call.next()) is not None:
                call.answered(self.models[name].invoke(call.messages, config, **kwargs))
            call.settle()
        return call.result()

    async def _ainvoke(
        self, input: LanguageModelInput, run_manager: Any, config: RunnableConfig, **kwargs: Any
    ) -> Any:
        call = await run_in_executor(config, _Call, self, input, kwargs)
        config = patch_config(config, callbacks=run_manager.get_child())
        if not await run_in_executor(config, call.hit):
            while (name := await run_in_executor(config, call.next)) is not None:
                call.answered(await self.models[name].ainvoke(call.messages, config, **kwargs))
            await run_in_executor(config, call.settle)
        return call.result()

    def _stream(
        self,
        inputs: Iterator[LanguageModelInput],
        run_manager: Any,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Iterator[Any]:
        call = _Call(self, next(inputs), kwargs)
        config = patch_config(config, callbacks=run_manager.get_child())
        if not call.hit():
            while (name := call.next()) is not None:
                if not call.final:
                    call.answered(self.models[name].invoke(call.messages, config, **kwargs))
                    continue
                whole = None
                for chunk in self.models[name].stream(call.messages, config, **kwargs):
                    whole = chunk if whole is None else whole + chunk
                    yield chunk
                call.answered(whole, shown=True)
            call.settle()
        yield call.rest()

    async def _astream(
        self,
        inputs: AsyncIterator[LanguageModelInput],
        run_manager: Any,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        question = await anext(inputs)
        call = await run_in_executor(config, _Call, self, question, kwargs)
        config = patch_config(config, callbacks=run_manager.get_child())
        if not await run_in_executor(config, call.hit):
            while (name := await run_in_executor(config, call.next)) is not None:
                if not call.final:
                    call.answered(await self.models[name].ainvoke(call.messages, config, **kwargs))
                    continue
                whole = None
                async for chunk in self.models[name].astream(call.messages, config, **kwargs):
                    whole = chunk if whole is None else whole + chunk
                    yield chunk
                call.answered(whole, shown=True)
            await run_in_executor(config, call.settle)
        yield call.rest()


class _Structure:
    """How a structured answer is kept as a message and handed out as an object."""

    def __init__(self, schema: dict[str, Any] | type, *, include_raw: bool) -> None:
        self.schema = schema
        self.include_raw = include_raw

    def __repr__(self) -> str:
        """Its fields: two classes of one name are two structures."""
        return json.dumps(convert_to_json_schema(self.schema), sort_keys=True)

    def fold(self, answer: Mapping[str, Any]) -> AIMessage:
        """Put the parsed object into the message, where LangChain's own parsers look for it."""
        parsed = answer["parsed"]
        plain = parsed.model_dump(mode="json") if isinstance(parsed, BaseModel) else parsed
        raw: AIMessage = answer["raw"]
        return raw.model_copy(
            update={"additional_kwargs": {**raw.additional_kwargs, "parsed": plain}}
        )

    def unfold(self, message: AIMessage, error: BaseException | None = None) -> Any:
        """Return what `with_structured_output` promises."""
        parsed = message.additional_kwargs.get("parsed")
        if isinstance(self.schema, type) and issubclass(self.schema, BaseModel) and parsed:
            parsed = self.schema.model_validate(parsed)
        if self.include_raw:
            return {"raw": message, "parsed": parsed, "parsing_error": error}
        if error is not None:
            raise error
        return parsed


class _Call:
    """One question on its way: cache, route, answer, judge, the next dearer model, the learning.

    It waits for no model itself, so the same steps serve `invoke`, `ainvoke`, `stream` and `astream`.
    """

    def __init__(
        self, owner: MultiplexedLLM, question: LanguageModelInput, kwargs: Mapping[str, Any]
    ) -> None:
        self.owner = owner
        self.messages = _messages(question)
        self._prompt = dumps([m.model_copy(update={"id": None}) for m in self.messages])
        self._parameters = _parameters(owner, kwargs)
        self._ladder = list(owner.models)
        self._asked: list[str] = []
        self._costs: list[float] = []
        self._seconds = 0.0
        self._started = 0.0
        self._shown = False
        self._accepted = False
        self._error: BaseException | None = None
        self._message: AIMessage | None = None

    def hit(self) -> bool:
        """Ask the cache."""
        cache = self.owner.cache
        found = cache.lookup(self._prompt, self._parameters) if cache is not None else None
        message = getattr(found[0], "message", None) if found else None
        if isinstance(message, AIMessage):
            self._message = message
        return self._message is not None

    def next(self) -> str | None:
        """Name the model to ask now: the routed one, then dearer ones until an answer will do."""
        if self._message is None:
            self._query = self._read()
            self._route: Route = self.owner.router.choose(self._query)
            self._ladder = self._ladder[self._ladder.index(self._route.model) :]
        elif self.final or self._accepted or self._judged():
            return None
        self._asked.append(self._ladder[len(self._asked)])
        self._started = time.perf_counter()
        return self._asked[-1]

    @property
    def final(self) -> bool:
        """True when the answer of the model asked now is given, whatever it is."""
        checks = self.owner.accept is not None or self.owner.structure is not None
        return not checks or len(self._asked) == len(self._ladder)

    def answered(self, answer: Any, *, shown: bool = False) -> None:
        """Take the answer of the model asked last; `shown` when it was streamed to the caller."""
        elapsed = time.perf_counter() - self._started
        self._error = None
        if self.owner.structure is not None and isinstance(answer, Mapping):
            self._error = answer["parsing_error"]
            answer = self.owner.structure.fold(answer)
        name = self._asked[-1]
        usage = replace(usage_of(answer, seconds=elapsed), model=self.owner.billed[name])
        self._message = answer
        self._costs.append(float(self.owner.price(usage)))
        self._seconds += usage.seconds
        self._shown = shown

    def settle(self) -> None:
        """Teach the router, describe the route on the message, tell the cache."""
        owner, message = self.owner, self._message
        if message is None:
            return
        for place, name in enumerate(self._asked):
            owner.router.learn(self._query, sum(self._costs[place:]), name)
        message.response_metadata["cachemux"] = self._described()
        if owner.cache is not None and self._error is None:
            generation = ChatGeneration(message=message_chunk_to_message(message))
            owner.cache.update(self._prompt, self._parameters, [generation])

    def result(self) -> Any:
        """Return the message, or the object it was asked to be."""
        if self.owner.structure is None:
            return self._message
        return self.owner.structure.unfold(self._message, self._error)

    def rest(self) -> Any:
        """Return what a stream has still to show: everything, or only how it was routed."""
        if self.owner.structure is not None or self._message is None:
            return self.result()
        message = self._message
        if self._shown:
            told = {"cachemux": message.response_metadata["cachemux"]}
            return AIMessageChunk(content="", id=message.id, response_metadata=told)
        return AIMessageChunk(**message.model_dump(exclude={"type"}))

    def _read(self) -> Query:
        try:
            reader: Reader = self.owner.reader
            return reader.embed(reader.read(self._prompt, self._parameters))
        except Exception as error:  # noqa: BLE001
            log.warning("the question could not be read, routed without its words: %r", error)
            return Query(key="")

    def _judged(self) -> bool:
        if self._error is not None:
            return False
        try:
            accept = self.owner.accept
            self._accepted = accept is None or bool(accept(self.messages, self._message))
        except Exception as error:  # noqa: BLE001
            log.warning("accept failed, the next dearer model is asked: %r", error)
        return self._accepted

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
    names = [_name(model) or role for role, model in pair.items()]
    if names[0] == names[1]:
        msg = f"small and large are both named {names[0]!r}; name them yourself with models={{...}}"
        raise ValueError(msg)
    return dict(zip(names, pair.values(), strict=True))


def _model(argument: str, model: Any) -> Runnable[Any, Any]:
    if isinstance(model, str):
        from langchain.chat_models import init_chat_model

        return init_chat_model(model)
    if isinstance(model, Runnable):
        return model
    msg = f"{argument} must be a model, a Runnable or 'provider:model', got {model!r}"
    raise ValueError(msg)


def _steps(model: Any) -> list[Any]:
    """What a Runnable is made of, one level down; empty for a chat model or anything else."""
    if isinstance(model, RunnableBinding):
        return [model.bound]
    if isinstance(model, RunnableParallel):
        return list(model.steps__.values())
    return model.steps if isinstance(model, RunnableSequence) else []


def _name(model: Any) -> str | None:
    """The name that the chat model at the bottom of a Runnable goes by."""
    if isinstance(model, BaseChatModel):
        return model._get_ls_params().get("ls_model_name")
    return next(filter(None, map(_name, _steps(model))), None)


def _billed(price: Price, name: str, model: Any) -> str:
    """The name under which `price` knows a model: its own, or the one the user gave it."""
    errors = []
    for candidate in (name, _name(model)):
        try:
            price(Usage(input_tokens=1, output_tokens=1, seconds=1.0, model=candidate or name))
        except ValueError as error:
            errors.append(error)
        else:
            return candidate or name
    raise errors[0]


def _uncached(model: Any) -> Any:
    """A copy whose chat models use no cache: it would store every answer a second time."""
    if isinstance(model, BaseChatModel):
        return model.model_copy(update={"cache": False})
    if isinstance(model, RunnableBinding):
        return model.model_copy(update={"bound": _uncached(model.bound)})
    if isinstance(model, RunnableSequence):
        return RunnableSequence(*map(_uncached, model.steps))
    return model


def _parameters(owner: MultiplexedLLM, kwargs: Mapping[str, Any]) -> str:
    """The `llm_string` of them all: an answer is shared whichever of them gave it, and only then."""
    models = {name: _written(model, kwargs) for name, model in owner.models.items()}
    return json.dumps({"models": models, "structure": repr(owner.structure)}, sort_keys=True)


def _written(model: Any, kwargs: Mapping[str, Any]) -> str:
    if isinstance(model, BaseChatModel):
        plain: dict[str, Any] = {
            name: convert_to_json_schema(value) if isinstance(value, type) else value
            for name, value in kwargs.items()
            if name != "ls_structured_output_format"
        }
        return model._get_llm_string(plain.pop("stop", None), **plain)
    if isinstance(model, RunnableBinding):
        return _written(model.bound, {**model.kwargs, **kwargs})
    if isinstance(model, Serializable) and model.is_lc_serializable() and not _steps(model):
        return dumps(model)
    return type(model).__qualname__ + "|".join(_written(step, kwargs) for step in _steps(model))


def _default_embeddings() -> Embeddings:
    from langchain_cachemux.encoder import SentenceEncoder

    return SentenceEncoder()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

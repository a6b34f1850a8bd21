"""`MultiplexedLLM`: a Runnable that asks the model a router expects to cost least.

Here are its parts and the ways to ask it; what happens at each step is the `Call`'s business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import Any

from langchain_core.caches import BaseCache
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import run_in_executor
from langchain_core.tools import BaseTool
from pydantic import ConfigDict, Field

from langchain_cachemux.call import Accept, Call, cost_of
from langchain_cachemux.read.prompts import Reader
from langchain_cachemux.read.runnables import name_of, uncached
from langchain_cachemux.read.structure import Structure
from langchain_cachemux.route.estimators import Mean, Ridge
from langchain_cachemux.route.prices import Price, seconds
from langchain_cachemux.route.router import Router
from langchain_cachemux.types import Usage


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
        structure = Structure(schema, include_raw=include_raw)
        return self.model_copy(update={"models": models, "structure": structure})

    def _invoke(self, input: LanguageModelInput, config: Any = None, **kwargs: Any) -> Any:
        call = Call(self, input, config, kwargs)
        if not call.hit():
            while (name := call.next()) is not None:
                with call.answering():
                    call.answer = self.models[name].invoke(call.messages, config, **kwargs)
            call.settle()
            call.store()
        return call.result()

    async def _ainvoke(self, input: LanguageModelInput, config: Any = None, **kwargs: Any) -> Any:
        call = await run_in_executor(config, Call, self, input, config, kwargs)
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
        call = Call(self, next(inputs), config, kwargs)
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
        call = await run_in_executor(config, Call, self, question, config, kwargs)
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


def _billed(price: Price, name: str, model: Any) -> str:
    """The name under which `price` knows a model: the one the user gave it, or its own."""
    errors = []
    for candidate in (name, name_of(model) or name):
        try:
            cost_of(Usage(input_tokens=1, output_tokens=1, seconds=1.0, model=candidate), price)
        except (ValueError, LookupError) as error:
            errors.append(error)
        else:
            return candidate
    raise errors[0]


def _default_embeddings() -> Embeddings:
    from langchain_cachemux.read.encoder import SentenceEncoder

    return SentenceEncoder()

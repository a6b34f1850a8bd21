"""`MultiplexedLLM`: a chat model that asks the model a router expects to cost least.

Here is what LangChain and a user may ask of it; what happens at each step is the `Call`'s business, and
what it is given is checked in `settings`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, Self

from langchain_core.caches import BaseCache
from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
    Callbacks,
)
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs, run_in_executor
from langchain_core.tools import BaseTool
from pydantic import ConfigDict

from langchain_cachemux.agree import Agree, Same
from langchain_cachemux.arguments import expect, is_number
from langchain_cachemux.budget import ErrorBudget, Spending
from langchain_cachemux.call import Call
from langchain_cachemux.experience import Experience, MultiplexerStats
from langchain_cachemux.living import pickled
from langchain_cachemux.parts import Parts, joined, spared
from langchain_cachemux.read import metadata
from langchain_cachemux.read.needs import common_profile
from langchain_cachemux.read.runnables import altered, atold, chat_model, signed, told
from langchain_cachemux.read.structure import Structure
from langchain_cachemux.route.costs import Costs, Strategy
from langchain_cachemux.route.judges import Accept, judge_of
from langchain_cachemux.route.observations import Observations
from langchain_cachemux.route.prices import Price, price_of, seconds
from langchain_cachemux.route.router import Router
from langchain_cachemux.settings import (
    billed_as,
    errors_of,
    file_of,
    limit_of,
    named_models,
    own,
    reader_of,
    right,
    router_of,
    shared,
)
from langchain_cachemux.silence import UNSHOWN

AUDIT = 0.3
"""Share of audits where nobody judges: the small model is cheap to ask, and nothing is saved before."""

ALONE = (
    "nobody judges: %s is asked, and others where audits show that at most %g of theirs are worse"
)

UNHEARD = RunnableConfig(callbacks=[], tags=[UNSHOWN])
HEARD = "cachemux_heard"
"""The parameter that tells `_stream` under which config the models are asked, if not `UNHEARD`."""

log = logging.getLogger(__name__)


class MultiplexedLLM(Parts, BaseChatModel):
    """Routes each question to a small or a large model, and learns what each would cost.

    A Runnable from prompts to `AIMessage`, to be used where a chat model is. The chosen model runs as
    itself, under the caller's config, so traces, usage and tokens are counted once; its own cache is
    off. Every answer says in `response_metadata["cachemux"]` which model gave it, why, at what
    estimates, and what it cost. A model that raises is passed over for a while, and another is asked.

    An answer can be bad, and it learns of that in one of three ways. With a judge (`accept`) a cheaper
    answer that will not do is asked again of a more expensive model. `feedback` may come at any time.
    And without a judge it begins with the large model and *audits*: on a falling share of the questions
    the small model is asked too, in the background, and its answer is good when it says the same. The
    small model then answers where at most `max_error` of such answers are expected to be worse.

    Args:
        small: The cheap model: a chat model, a Runnable that ends in one, or `"provider:model"`.
        large: The expensive one.
        models: More than two, or names of your own: `{name: model}`, cheap to expensive.
        router: By default each model has `Costs()`: its price, and the chance that its answer will not
            do. A router of plain estimators learns costs in which failing is included, from `accept`.
        accept: The judge: a function `(messages, answer) -> bool`, plain or async, a Runnable, or one
            of `Sure`, `Agrees`, `Asks`, `Parses`, combined by `&` and `|`. What it asks is charged.
        cache: Asked first, told after. An `LECCache` also lends its embeddings and values its
            answers by the router.
        price: Cost of a call, or the name of a built-in one: "seconds", by default, or "dollars". Tokens
            that no provider reports are estimated.
        embeddings: What the router reads when there is no `LECCache` to share them with; by default
            all-MiniLM-L6-v2 in this process.
        strategy: With a judge: "cascade" has every cheaper answer judged, "route" none, "auto" where
            that is expected to cost less.
        max_error: Of the answers that the most expensive model did not give, the share that may be
            worse than its own, all along the stream; semantic hits of the cache count. By default 0.05
            when there is no judge.
        quality: 1 - `max_error`, for those who would rather say that.
        budget: What may be spent, in the unit of the price: 5.0 a day, or `Spending(5.0, per=3600)`; or
            an `ErrorBudget` that several multiplexers share.
        error_price: What a bad answer costs, in the unit of the price, in place of a share of errors.
        safe: Ask a cheaper model only where it is cheaper even if it fails as often as it may; by
            default when nobody judges.
        audit: Share of the questions audited at the thousandth audit, more before and fewer after; by
            default 0.3 without a judge, else 0.
        same: Whether two answers say the same; by default `Agree`.
        stickiness: How much of the price of reading the earlier turns again it must save to leave the
            model that answered them; 0 routes each turn by itself.
        path: A folder in which what is learned outlives the process. By default that of an `LECCache`,
            where the router is the default one and questions may be read there (no `encrypt`).
        observations: A file to which each thing learned is appended as a line of JSON (`Observation`),
            the questions' words among it; by default none.
        seed: Of the draws of audits, to repeat a run; by default the operating system's.

    Raises:
        ValueError: A model is missing, two have one name, a price is unknown, the router knows other
            models, or an argument is of the wrong kind.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    def __init__(
        self,
        small: str | Runnable[Any, Any] | None = None,
        large: str | Runnable[Any, Any] | None = None,
        *,
        models: Mapping[str, str | Runnable[Any, Any]] | None = None,
        router: Router | None = None,
        accept: Accept | None = None,
        cache: BaseCache | Literal[False] | None = None,
        price: Price | str = seconds,
        embeddings: Embeddings | None = None,
        strategy: Strategy | None = None,
        max_error: float | None = None,
        quality: float | None = None,
        budget: float | ErrorBudget | Spending | None = None,
        error_price: float | None = None,
        safe: bool | None = None,
        audit: float | None = None,
        same: Same | None = None,
        stickiness: float = 1.0,
        path: str | os.PathLike[str] | None = None,
        observations: str | os.PathLike[str] | Observations | None = None,
        seed: int | None = None,
        **fields: Any,
    ) -> None:
        fields.pop("billed", None)  # LangChain makes copies by the constructor, with all fields
        budget = limit_of(budget)
        named = named_models(small, large, right("models", models))
        folder = right("path", path) or (getattr(cache, "notes", None) if router is None else None)
        router = router_of(right("router", router), strategy, list(named))
        cache, seed, routes = right("cache", cache), right("seed", seed), len(named) > 1
        reader = reader_of(cache, embeddings, routes=routes, given=fields.pop("reader", None))
        learns = all(isinstance(e, Costs) for e in getattr(router, "estimators", {}).values())
        alone = accept is None and learns and error_price is None and routes
        errors = errors_of(
            max_error, quality, budget, error_price, alone=alone, learns=learns, seed=seed
        )
        fields.setdefault("spending", budget if isinstance(budget, Spending) else None)
        fields.setdefault("experience", Experience(errors, seed=seed))
        fields = shared(fields, folder, router=router, budget=errors, names=list(named))
        super().__init__(
            models={name: altered(model, **own(fields)) for name, model in named.items()},
            router=router,
            accept=None if accept is None else judge_of(accept),
            cache=cache,
            price=price_of(price),
            reader=reader,
            billed={n: billed_as(price_of(price), n, m) for n, m in named.items()},
            budget=errors,
            error_price=right("error_price", error_price) or 0.0,
            safe=(errors is not None and accept is None) if safe is None else right("safe", safe),
            audit=AUDIT * alone if audit is None else right("audit", audit),
            same=right("same", same) or Agree(reader.vector),
            stickiness=right("stickiness", stickiness),
            observations=file_of(right("observations", observations)),
            **fields,
        )
        if alone:
            log.info(ALONE, self.standard, errors.max_error if errors else 0.0)
        joined(cache, self, routes=routes)

    def feedback(self, answer: AIMessage | str, score: float) -> bool:
        """Learn how good an answer was: late, in any order, as often as somebody says something.

        Args:
            answer: The message that was handed out, or its `response_metadata["cachemux"]["id"]`.
            score: 1 for an answer that did, 0 for one that did not, or between.

        Returns:
            Whether the answer is still remembered.

        Raises:
            ValueError: The score is not in [0, 1], or the message is none of a multiplexer's.
        """
        share = is_number(score) and 0 <= score <= 1
        expect(share, "score", "in [0, 1], 1 for an answer that did", score)
        name = metadata.name_of(answer, "id", of="a multiplexer")
        asked = self.experience.recall(name)
        if asked is None:
            return False
        score = float(score)
        self.experience.count("feedback", asked.model or asked.bet)
        self.experience.lost(asked.bet, 1 - score)
        if asked.bet == "cache" and score in (0, 1):
            getattr(self.cache, "feedback", lambda *_, **__: None)(asked.query.key, ok=score == 1)
        if asked.model in self.models:
            query = asked.query
            with spared("reading the question"):
                query = query if query.vector is not None else self.routed(query, query.text)
            self.learn(query, asked.model, failed=1 - score, source="feedback")
        return True

    def explain(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> str:
        """Say which model would be asked and why, as a table: its price, its chance to fail, its cost.

        Nothing is asked, learned or looked up in the cache.

        Raises:
            ValueError: The input is no prompt.
        """
        return Call(self, input, config or {}, kwargs).explain()

    def rank(
        self, inputs: Iterable[LanguageModelInput], **kwargs: Any
    ) -> list[tuple[LanguageModelInput, float]]:
        """Return the prompts with their scores, those first that need the most expensive model most.

        The score is by how much likelier the cheapest model's answer will not do than its own.

        Raises:
            ValueError: An input is no prompt.
        """
        asked = list(inputs)
        queries = [Call(self, one, {}, kwargs).read() for one in asked]
        place = {id(query): n for n, query in enumerate(queries)}
        return [(asked[place[id(x)]], score) for x, score in self.router.rank(queries)]

    def stats(self) -> MultiplexerStats:
        """Return what it did since it was made; copies with tools or a schema count here too."""
        return self.experience.stats(self.budget)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the audits under way; False when `timeout` seconds were not enough."""
        return self.background.wait(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Begin no more audits, wait some seconds for those under way, and save what was learned.

        It and its copies still answer, and learn from what they are told.
        """
        self.background.close(timeout)
        if self.saved is not None:
            self.saved.save()

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Answer from the cache, or from the model that is expected to cost least."""
        return self._call_with_config(
            self._invoked, input, self._config(config), **_with(stop, kwargs)
        )

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """As `invoke`; what is not the model's own waiting runs in a thread."""
        return await self._acall_with_config(
            self._ainvoked, input, self._config(config), **_with(stop, kwargs)
        )

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Stream the chosen model's tokens as they come; the last chunk is empty and tells of the route.

        A stored answer comes in pieces. An object comes whole, and so does an answer that `accept` had
        to see whole before it may be shown.
        """
        yield from self._transform_stream_with_config(
            iter([input]), self._streamed, self._config(config), **_with(stop, kwargs)
        )

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """As `stream`."""

        async def inputs() -> AsyncIterator[LanguageModelInput]:
            yield input

        async for chunk in self._atransform_stream_with_config(
            inputs(), self._astreamed, self._config(config), **_with(stop, kwargs)
        ):
            yield chunk

    def stream_events(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Stream events as any chat model; in each protocol they are those of the models asked."""
        model, config, kwargs = self._telling(config, kwargs)
        return super(MultiplexedLLM, model).stream_events(input, config, **kwargs)

    def astream_events(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """As `stream_events`."""
        model, config, kwargs = self._telling(config, kwargs)
        return super(MultiplexedLLM, model).astream_events(input, config, **kwargs)

    def _telling(
        self, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> tuple[Self, RunnableConfig | None, dict[str, Any]]:
        """In the third protocol LangChain makes a run of the whole, of which nobody is to hear."""
        if kwargs.get("version") != "v3":
            return self, config, kwargs
        model = self.model_copy(update={"callbacks": None})
        return model, UNHEARD, {**kwargs, HEARD: ensure_config(self._config(config))}

    def generate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Answer each conversation as `invoke` does, in the form of LangChain's older interface."""
        config, kwargs = _run(callbacks, kwargs)
        answers = [self.invoke(one, config, stop=stop, **kwargs) for one in messages]
        return LLMResult(generations=[_chat_result(one).generations for one in answers])

    async def agenerate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        """As `generate`."""
        config, kwargs = _run(callbacks, kwargs)
        asked = (self.ainvoke(one, config, stop=stop, **kwargs) for one in messages)
        answers = await asyncio.gather(*asked)
        return LLMResult(generations=[_chat_result(one).generations for one in answers])

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools to every model that takes some; the others are not asked.

        Router and cache are shared with the original.

        Raises:
            NotImplementedError: No model takes tools.
        """
        chosen = {} if tool_choice is None else {"tool_choice": tool_choice}
        bound = self._each("bind_tools", tools, **chosen, **kwargs)
        return self.model_copy(update={"models": bound}).bind()

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Ask every model that can for `schema`; router and cache are shared with the original.

        A cheaper model's answer that does not parse counts as not accepted, whatever `accept` says.

        Raises:
            NotImplementedError: No model can.
        """
        models = self._each("with_structured_output", schema, include_raw=True, **kwargs)
        structure = Structure(schema, include_raw=include_raw)
        return self.model_copy(update={"models": models, "structure": structure}).bind()

    def get_num_tokens(self, text: str) -> int:
        """Count a text's tokens approximately: the models have tokenizers of their own."""
        if self.custom_get_token_ids is not None:
            return len(self.custom_get_token_ids(text))
        return self.get_num_tokens_from_messages([HumanMessage(text)])

    def get_num_tokens_from_messages(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] | None = None,
    ) -> int:
        """As `get_num_tokens`, of a conversation; for `trim_messages` among others."""
        return count_tokens_approximately(messages, tools=tools and list(tools))  # type: ignore[arg-type]

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return a copy that asks the same models, and shares the cache and all that is learned."""
        return self.model_copy()

    __reduce__ = pickled

    @property
    def _llm_type(self) -> str:
        return "cachemux"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"models": list(self.models)}

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        return self.written({}, _with(stop, kwargs))

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        """Of several models their names: which one answers is not known before."""
        alone = chat_model(next(iter(self.models.values()))) if len(self.models) == 1 else None
        if alone is not None:
            return alone._get_ls_params(stop=stop, **kwargs)
        name = kwargs.get("model") or "|".join(self.models)
        told = {"ls_provider": "cachemux", "ls_model_name": name, "ls_model_type": "chat"}
        return {**told, "ls_stop": stop} if stop else told

    def _resolve_model_profile(self) -> Any:
        """What all models can do, as LangChain's profiles say it of one."""
        return common_profile(self.models.values())

    def _config(self, config: RunnableConfig | None) -> RunnableConfig | None:
        """The caller's, and what is to be heard of every run."""
        if not self.callbacks and not self.tags:
            return config
        own = RunnableConfig(callbacks=self.callbacks, tags=self.tags or [])
        return merge_configs(own, ensure_config(config))

    def _each(self, method: str, /, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """What each model's method makes, where it has one."""
        made = {}
        for name, model in self.models.items():
            with suppress(NotImplementedError):
                if hasattr(model, method):
                    made[name] = getattr(model, method)(*args, **kwargs)
        if not made:
            msg = f"none of the models {list(self.models)} has {method}"
            raise NotImplementedError(msg)
        if len(made) < len(self.models):
            log.info("%s leaves %s out: the others have it", method, self.models.keys() - made)
        return made

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        """Answer within a run of the caller's own: the models' runs are shown and counted nowhere."""
        return _chat_result(self.invoke(messages, UNHEARD, stop=stop, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        """As `_generate`."""
        return _chat_result(await self.ainvoke(messages, UNHEARD, stop=stop, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        """As `_generate`."""
        config = kwargs.pop(HEARD, UNHEARD)
        for chunk in self.stream(messages, config, stop=stop, **kwargs):
            yield ChatGenerationChunk(message=chunk)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        """As `_generate`."""
        config = kwargs.pop(HEARD, UNHEARD)
        async for chunk in self.astream(messages, config, stop=stop, **kwargs):
            yield ChatGenerationChunk(message=chunk)

    @signed
    def _invoked(self, input: LanguageModelInput, config: Any = None, **kwargs: Any) -> Any:
        if not (call := Call(self, input, config, kwargs)).hit():
            while call.next() is not None:
                with call.answering():
                    call.answer = call.model.invoke(call.conversation, call.config, **kwargs)
                call.judge()
            call.settle()
            call.store()
        if call.untold is not None:
            call.replayed(call.replay.invoke(call.messages, call.untold))
        return call.result()

    @signed
    async def _ainvoked(self, input: LanguageModelInput, config: Any = None, **kwargs: Any) -> Any:
        if not await (call := Call(self, input, config, kwargs)).ahit():
            while await call.anext() is not None:
                with call.answering():
                    call.answer = await call.model.ainvoke(call.conversation, call.config, **kwargs)
                await call.ajudge()
            await run_in_executor(config, call.settle)
            await call.astore()
        if call.untold is not None:
            call.replayed(await call.replay.ainvoke(call.messages, call.untold))
        return call.result()

    @signed
    def _streamed(
        self, inputs: Iterator[LanguageModelInput], config: Any = None, **kwargs: Any
    ) -> Iterator[Any]:
        if not (call := Call(self, next(inputs), config, kwargs)).hit():
            while call.next() is not None:
                with call.answering():
                    asked = call.conversation, call.config
                    for chunk in told(call.model, *asked, whole=not call.live, **kwargs):
                        yield from call.shown(chunk)
                call.judge()
            call.settle()
            call.store()
        if call.untold is not None:
            whole = self.structure is not None
            for chunk in told(call.replay, call.messages, call.untold, whole=whole):
                yield from call.replayed(chunk)
        yield call.rest()

    @signed
    async def _astreamed(
        self, inputs: AsyncIterator[LanguageModelInput], config: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        if not await (call := Call(self, await anext(inputs), config, kwargs)).ahit():
            while await call.anext() is not None:
                with call.answering():
                    asked = call.conversation, call.config
                    async for chunk in atold(call.model, *asked, whole=not call.live, **kwargs):
                        for shown in call.shown(chunk):
                            yield shown
                await call.ajudge()
            await run_in_executor(config, call.settle)
            await call.astore()
        if call.untold is not None:
            whole = self.structure is not None
            async for chunk in atold(call.replay, call.messages, call.untold, whole=whole):
                for shown in call.replayed(chunk):
                    yield shown
        yield call.rest()


def _with(stop: list[str] | None, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return dict(kwargs) if stop is None else {**kwargs, "stop": stop}


def _run(callbacks: Callbacks, kwargs: Mapping[str, Any]) -> tuple[RunnableConfig, dict[str, Any]]:
    """Split the parameters of `generate` into a config and those of the call."""
    names = ("tags", "metadata", "run_name", "run_id")
    config: Any = {"callbacks": callbacks, **{n: kwargs[n] for n in names if kwargs.get(n)}}
    return config, {n: v for n, v in kwargs.items() if n not in names}


def _chat_result(answer: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=answer)])

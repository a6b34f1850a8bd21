"""`MultiplexedLLM`: a Runnable that asks the model a router expects to cost least.

Here are the settings and the ways to ask; what happens at each step is the `Call`'s business.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from langchain_core.caches import BaseCache
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import run_in_executor
from langchain_core.tools import BaseTool
from pydantic import ConfigDict

from langchain_cachemux.agree import Agree, Same
from langchain_cachemux.arguments import expect, is_made, is_number, is_whole, takes
from langchain_cachemux.background import Background
from langchain_cachemux.budget import ErrorBudget, Spending
from langchain_cachemux.call import Call
from langchain_cachemux.experience import Experience, MultiplexerStats
from langchain_cachemux.extras import needs
from langchain_cachemux.parts import Parts, RoutedMiss, spared
from langchain_cachemux.read import metadata
from langchain_cachemux.read.needs import common_profile
from langchain_cachemux.read.prompts import Reader
from langchain_cachemux.read.runnables import name_of, provider_of, uncached
from langchain_cachemux.read.structure import Structure
from langchain_cachemux.route.costs import Costs, Strategy
from langchain_cachemux.route.judges import Accept, judge_of
from langchain_cachemux.route.observations import Observations
from langchain_cachemux.route.prices import Price, cost_of, price_of, seconds
from langchain_cachemux.route.router import Router
from langchain_cachemux.saved import Saved
from langchain_cachemux.types import Usage

MAX_ERROR = 0.05
"""The error budget, where neither a judge nor the user says what an error is."""

AUDIT = 0.3
"""Share of audits where nobody judges: the small model is cheap to ask, and nothing is saved before."""

ALONE = (
    "nobody judges: %s is asked, and others where audits show that at most %g of theirs are worse"
)

log = logging.getLogger(__name__)


class MultiplexedLLM(Parts, RunnableSerializable[LanguageModelInput, Any]):
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
            where the router is the default one.
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
        cache: BaseCache | None = None,
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
        budget = _limit(budget)
        named = _named(small, large, _right("models", models))
        folder = _right("path", path) or (getattr(cache, "path", None) if router is None else None)
        router = _router(_right("router", router), strategy, list(named))
        reader = fields.pop("reader", None) or _reader(_right("cache", cache), embeddings)
        learns = all(isinstance(e, Costs) for e in getattr(router, "estimators", {}).values())
        alone = accept is None and learns and error_price is None and len(named) > 1
        seed = _right("seed", seed)
        errors = _error_budget(max_error, quality, budget, alone=alone, learns=learns, seed=seed)
        fields.setdefault("spending", budget if isinstance(budget, Spending) else None)
        fields.setdefault("experience", Experience(errors, seed=seed))
        fields.setdefault("background", Background())
        kept = {**fields, "router": router, "budget": errors}
        fields["saved"] = fields.get("saved") or _saved(folder, kept, list(named))
        super().__init__(
            models={name: uncached(model) for name, model in named.items()},
            router=router,
            accept=None if accept is None else judge_of(accept),
            cache=cache,
            price=price_of(price),
            reader=reader,
            billed={name: _billed(price_of(price), name, m) for name, m in named.items()},
            budget=errors,
            error_price=_right("error_price", error_price) or 0.0,
            safe=(errors is not None and accept is None) if safe is None else _right("safe", safe),
            audit=AUDIT * alone if audit is None else _right("audit", audit),
            same=_right("same", same) or Agree(reader.vector),
            stickiness=_right("stickiness", stickiness),
            observations=_file(_right("observations", observations)),
            **fields,
        )
        if alone:
            log.info(ALONE, self.standard, errors.max_error if errors else 0.0)
        getattr(cache, "value_by", lambda _: None)(RoutedMiss(self))

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
        name: Any = answer
        if isinstance(answer, BaseMessage):
            told = metadata.read(answer)
            name = told.get("id") if told else None
        if not isinstance(name, str):
            msg = (
                f"answer must be a message that a multiplexer handed out, or its id, got {answer!r}"
            )
            raise ValueError(msg)  # noqa: TRY004
        asked = self.experience.recall(name)
        if asked is None:
            return False
        self.experience.count("feedback", asked.model or asked.bet)
        self.experience.lost(asked.bet, 1 - score)
        if asked.model in self.models:
            query = asked.query
            with spared("reading the question"):
                query = query if query.vector is not None else self.reader.routed(query, query.text)
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
        counted, cost = self.experience.counted, self.experience.cost
        return MultiplexerStats(
            hits=sum(counted("hits").values()),
            answers=counted("answers"),
            calls=counted("calls"),
            errors=counted("errors"),
            turned_down=sum(counted("turned down").values()),
            audits=sum(counted("audits").values()),
            feedback=sum(counted("feedback").values()),
            cost=cost("calls", "judging", "audits"),
            cost_of_judging=cost("judging"),
            cost_of_audits=cost("audits"),
            bets=sum(c.placed for c in self.budget.counts.values()) if self.budget else 0,
            error=self.budget.estimate if self.budget else None,
            error_interval=self.budget.interval() if self.budget else None,
        )

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

    @property
    def profile(self) -> dict[str, Any]:
        """What all models can do, as LangChain's profiles say it of one."""
        return common_profile(self.models.values())

    def get_num_tokens(self, text: str) -> int:
        """Count a text's tokens approximately: the models have tokenizers of their own."""
        return self.get_num_tokens_from_messages([HumanMessage(text)])

    def get_num_tokens_from_messages(
        self, messages: Sequence[BaseMessage], tools: list[Any] | None = None
    ) -> int:
        """As `get_num_tokens`, of a conversation; for `trim_messages` among others."""
        return count_tokens_approximately(messages, tools=tools)

    @property
    def _llm_type(self) -> str:
        """What LangChain's middleware asks of whatever it takes for a model."""
        return "cachemux"

    def _get_ls_params(self, **_kwargs: Any) -> dict[str, Any]:
        """No provider and no name: they are those of the model that answers."""
        return {"ls_model_type": "chat"}

    def _invoke(self, input: LanguageModelInput, config: Any = None, **kwargs: Any) -> Any:
        call = Call(self, input, config, kwargs)
        if not call.hit():
            while (name := call.next()) is not None:
                with call.answering():
                    call.answer = self.models[name].invoke(call.conversation, config, **kwargs)
                call.judge()
            call.settle()
            call.store()
        return call.result()

    async def _ainvoke(self, input: LanguageModelInput, config: Any = None, **kwargs: Any) -> Any:
        call = await run_in_executor(config, Call, self, input, config, kwargs)
        if not await call.ahit():
            while (name := await run_in_executor(config, call.next)) is not None:
                model = self.models[name]
                with call.answering():
                    call.answer = await model.ainvoke(call.conversation, config, **kwargs)
                await call.ajudge()
            await run_in_executor(config, call.settle)
            await call.astore()
        return call.result()

    def _stream(
        self, inputs: Iterator[LanguageModelInput], config: Any = None, **kwargs: Any
    ) -> Iterator[Any]:
        call = Call(self, next(inputs), config, kwargs)
        if not call.hit():
            while (name := call.next()) is not None:
                model = self.models[name]
                with call.answering():
                    if not call.live:
                        call.answer = model.invoke(call.conversation, config, **kwargs)
                    else:
                        for chunk in model.stream(call.conversation, config, **kwargs):
                            yield from call.shown(chunk)
                call.judge()
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
                        call.answer = await model.ainvoke(call.conversation, config, **kwargs)
                    else:
                        async for chunk in model.astream(call.conversation, config, **kwargs):
                            for shown in call.shown(chunk):
                                yield shown
                await call.ajudge()
            await run_in_executor(config, call.settle)
            await call.astore()
        yield call.rest()


def _is_amount(value: Any) -> bool:
    return is_number(value) and 0 <= value < math.inf


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "models": (lambda m: isinstance(m, Mapping), "models by name, {name: model}"),
    "router": (lambda r: isinstance(r, Router), "a Router of the models, Router({name: Costs()})"),
    "cache": (lambda c: isinstance(c, BaseCache), "one of LangChain's caches, such as LECCache()"),
    "embeddings": (lambda e: is_made(e, "embed_query"), "any LangChain embeddings, made"),
    "error_price": (_is_amount, "a finite number >= 0, in the unit of the price"),
    "safe": (lambda s: isinstance(s, bool), "True or False"),
    "audit": (lambda a: _is_amount(a) and a <= 1, "a share in [0, 1], such as 0.3"),
    "same": (lambda s: takes(s, 2), "a plain function (answer, answer) -> bool, such as Agree()"),
    "stickiness": (_is_amount, "a finite number >= 0, such as 1.0"),
    "path": (lambda p: isinstance(p, str | os.PathLike), "a folder, as text or a Path"),
    "observations": (
        lambda o: isinstance(o, str | os.PathLike | Observations),
        "a file to append to",
    ),
    "seed": (is_whole, "a whole number"),
}
"""What each argument must be: a test, and the words for it."""

T = TypeVar("T")


def _right(name: str, given: T) -> T:
    """Return an argument, or refuse it by name, value and remedy when it could not work."""
    holds, what = _RULES[name]
    expect(given is None or holds(given), name, what, given)
    return given


def _named(
    small: str | Runnable[Any, Any] | None,
    large: str | Runnable[Any, Any] | None,
    models: Mapping[str, str | Runnable[Any, Any]] | None,
) -> dict[str, Runnable[Any, Any]]:
    """Return the models by name, cheap to expensive: the user's names, or the models' own."""
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


def _router(router: Router | None, strategy: Strategy | None, names: Sequence[str]) -> Router:
    """The user's router, which must know the models; by default one that knows their `Costs`."""
    if router is None:
        return Router({name: Costs() for name in names}, strategy=strategy or "auto")
    if strategy is not None:
        msg = f"strategy was given as {strategy!r}, but the router has one of its own"
        raise ValueError(msg)
    if set(getattr(router, "estimators", names)) != set(names):
        msg = f"router knows {sorted(router.estimators)}, the models are {sorted(names)}"
        raise ValueError(msg)
    return router


def _limit(
    budget: float | ErrorBudget | Spending | None,
) -> ErrorBudget | Spending | None:
    """A number is what may be spent in a day."""
    if isinstance(budget, int | float) and is_number(budget):
        expect(
            0 < budget < math.inf, "budget", "a finite positive number, such as 5.0 a day", budget
        )
        return Spending(budget)
    return budget  # type: ignore[return-value]


def _reader(cache: BaseCache | None, embeddings: Embeddings | None) -> Reader:
    """The cache's reader, so that a question is embedded once; else one of its own."""
    _right("embeddings", embeddings)
    reader: Reader | None = getattr(cache, "reader", None)
    if reader is not None and embeddings is not None:
        msg = f"embeddings was given as {embeddings!r}, but the cache has embeddings of its own"
        raise ValueError(msg)
    return reader or Reader(embeddings or _default_embeddings())


def _file(observations: str | os.PathLike[str] | Observations | None) -> Observations | None:
    if isinstance(observations, str | os.PathLike):
        return Observations(observations)
    return observations


def _error_budget(
    max_error: float | None,
    quality: float | None,
    budget: float | ErrorBudget | Spending | None,
    *,
    alone: bool,
    learns: bool,
    seed: int | None,
) -> ErrorBudget | None:
    """The budget the user gave or described; where nobody judges and nothing was said, `MAX_ERROR`."""
    if budget is not None and not isinstance(budget, ErrorBudget | Spending):
        msg = f"budget must be 5.0, at most 5 a day, a Spending or an ErrorBudget, got {budget!r}"
        raise ValueError(msg)
    described = max_error is not None or quality is not None
    if described and isinstance(budget, ErrorBudget):
        msg = f"max_error or quality was given, and budget has one of its own: {budget!r}"
        raise ValueError(msg)
    if (described or isinstance(budget, ErrorBudget)) and not learns:
        msg = "max_error needs a router that knows the chance of failing: Router({name: Costs(), ...})"
        raise ValueError(msg)
    if isinstance(budget, ErrorBudget):
        return budget
    if described:
        return ErrorBudget(max_error, quality=quality, seed=seed)
    return ErrorBudget(MAX_ERROR, seed=seed) if alone else None


def _saved(
    folder: str | os.PathLike[str] | None, parts: Mapping[str, Any], names: Sequence[str]
) -> Saved | None:
    """What is learned of these models, in a file of its own: several may share a folder."""
    if folder is None:
        return None
    file = f"multiplexer-{hashlib.sha256(json.dumps(names).encode()).hexdigest()[:8]}.zip"
    learned = {name: parts[name] for name in ("router", "budget", "spending", "experience")}
    kept = {name: one for name, one in learned.items() if one is not None}
    return Saved(Path(folder) / file, kept, background=parts["background"])


def _model(argument: str, model: Any) -> Runnable[Any, Any]:
    if isinstance(model, str):
        needs("langchain", extra="langchain", purpose=f"{argument}={model!r}")
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
            call = Usage(1, 1, seconds=1.0, model=candidate, provider=provider_of(model))
            cost_of(call, price)
        except (ValueError, LookupError) as error:
            errors.append(error)
        else:
            return candidate
    raise errors[0]


def _default_embeddings() -> Embeddings:
    from langchain_cachemux.read.encoder import SentenceEncoder

    return SentenceEncoder()

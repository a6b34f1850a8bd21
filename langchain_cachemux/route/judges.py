"""Will this answer do? A judge reads the conversation and an answer to it, and says yes or no.

`accept=` takes one of the judges below, any function `(messages, answer) -> bool`, plain or async, or a
Runnable; they combine by `&` and `|`. A verdict also says what the judging itself consumed, for that is
charged to the answer. There is no `not`: a judge that fails accepts nothing, and the opposite of a
failure would be an approval.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import re
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import cache, partial
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, get_buffer_string
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import run_in_executor, set_config_context
from langchain_core.utils.json import parse_json_markdown
from pydantic import BaseModel, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter
from pydantic_core import SchemaError

from langchain_cachemux.agree import Agree, Same
from langchain_cachemux.extras import needs
from langchain_cachemux.route.prices import usage_of
from langchain_cachemux.types import Usage

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult

log = logging.getLogger(__name__)

SILENT = RunnableConfig(callbacks=[], tags=["nostream"], run_name="cachemux judge")
"""How a judge asks a model: not as part of the caller's run, and its tokens go to nobody's stream."""
WHOLE = frozenset("stop end_turn stop_sequence eos eos_token complete completed tool_calls".split())
WHOLE |= {"tool_use", "function_call"}
"""Reasons to finish that say that the model had no more to say."""
QUESTION = """\
Below are a conversation and an answer to its last message.

<conversation>
{conversation}
</conversation>

<answer>
{answer}
</answer>

Is the answer correct, complete and to the point? Reply with one word, yes or no."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of an answer; true when the answer will do."""

    ok: bool
    usages: tuple[Usage, ...] = ()
    """What the judging consumed, a model call each."""
    reason: str = ""

    def __bool__(self) -> bool:
        """Whether the answer will do."""
        return self.ok


class Judge:
    """Says whether an answer will do. Override `judge`, and `ajudge` when it waits for something.

    A judge may raise: whoever asked it takes that for a no. It is itself a function
    `(messages, answer) -> bool`.
    """

    def judge(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,
    ) -> Verdict:
        """Judge an answer.

        Args:
            conversation: The messages that were answered, the newest last.
            answer: The answer.
            model: What gave the answer, for a judge that asks it again.
        """
        raise NotImplementedError

    async def ajudge(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,
    ) -> Verdict:
        """As `judge`, in a thread."""
        return await run_in_executor(None, self.judge, conversation, answer, model=model)

    def __call__(self, conversation: Sequence[BaseMessage], answer: AIMessage) -> bool:
        """Judge an answer, as a plain function does."""
        return self.judge(conversation, answer).ok

    def __and__(self, other: Accept) -> Judge:
        """Both must accept; the second is asked only when the first does."""
        return _Pair(self, judge_of(other), until=False)

    def __rand__(self, other: Accept) -> Judge:
        """As `&`, with a plain function on the left."""
        return judge_of(other) & self

    def __or__(self, other: Accept) -> Judge:
        """One must accept; the second is asked only when the first does not."""
        return _Pair(self, judge_of(other), until=True)

    def __ror__(self, other: Accept) -> Judge:
        """As `|`, with a plain function on the left."""
        return judge_of(other) | self


Accept: TypeAlias = (
    Judge
    | Callable[[Sequence[BaseMessage], AIMessage], "bool | Verdict | Awaitable[bool | Verdict]"]
    | Runnable[Any, Any]
)
"""What a user may give as the judge."""


def judge_of(accept: Accept) -> Judge:
    """Return what a user gave as `accept` as a judge.

    A function is given the conversation and the answer, a Runnable the same as a dictionary of
    `messages` and `answer`. Both say True or False, or give a `Verdict`; an async function is awaited.
    What they ask of models through LangChain is charged, as any judge's questions are.

    Raises:
        ValueError: It is none of these.
    """
    if isinstance(accept, Judge):
        return accept
    if isinstance(accept, type) or not (callable(accept) or isinstance(accept, Runnable)):
        msg = (
            "accept must be a judge such as Sure(0.5), a function (messages, answer) -> bool or a"
            f" Runnable, got {accept!r}"
        )
        raise ValueError(msg)  # noqa: TRY004
    return _Own(accept)


class Sure(Judge):
    """Accepts what the model was sure of, by the probabilities it gave to its own tokens.

    The least sure tokens say most: a long answer is mostly easy words, whose mean hides the doubtful
    one (arXiv 2404.10136 §3). An answer that was cut off is not accepted, and neither is one that came
    without log-probabilities: ask for them, for example by `ChatOpenAI(logprobs=True)`.

    Args:
        least: The probability that a token must have had, in (0, 1].
        quantile: Which token: 0 the least sure of all, 0.1 the one that a tenth are below, 0.5 the
            median.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(self, least: float = 0.5, *, quantile: float = 0.0) -> None:
        if not 0 < least <= 1:
            msg = f"least must be a probability in (0, 1], got {least!r}"
            raise ValueError(msg)
        if not 0 <= quantile <= 1:
            msg = f"quantile must be a share of the tokens in [0, 1], got {quantile!r}"
            raise ValueError(msg)
        self.least = least
        self.quantile = quantile

    def judge(
        self,
        conversation: Sequence[BaseMessage],  # noqa: ARG002
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,  # noqa: ARG002
    ) -> Verdict:
        """Compare the probability of the least sure token, or of the quantile's."""
        if not _whole(answer):
            return Verdict(ok=False, reason="the answer is not whole")
        logarithms = sorted(log_probabilities(answer))
        if not logarithms:
            return Verdict(ok=False, reason="no log-probabilities came with the answer")
        found = math.exp(logarithms[int(self.quantile * (len(logarithms) - 1))])
        ok = found >= self.least
        return Verdict(ok, reason=f"a token had probability {found:.2g}, least is {self.least:g}")


_Question: TypeAlias = tuple[Runnable[Any, Any], list[BaseMessage]]


class _Asking(Judge):
    """A judge that asks models: its steps are written once, and taken with or without a loop."""

    timeout: float | None = None
    """Seconds to wait for one answer."""

    def steps(
        self, conversation: Sequence[BaseMessage], answer: AIMessage, model: Any
    ) -> Generator[_Question, Any, Verdict]:
        """Yield what is to be asked of whom, be sent each answer, return the verdict."""
        raise NotImplementedError

    def judge(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,
    ) -> Verdict:
        """Ask, one after the other; a model that fails accepts nothing."""
        steps, meter, said = self.steps(conversation, answer, model), Meter(), None
        while True:
            try:
                asked, prompt = steps.send(said)
            except StopIteration as end:
                verdict: Verdict = end.value
                return replace(verdict, usages=meter.usages)
            except Exception as error:  # noqa: BLE001
                return _failed(self, error, meter.usages)
            try:
                ask = partial(asked.invoke, prompt, meter.config)
                said = ask() if self.timeout is None else _within(self.timeout, ask)
            except Exception as error:  # noqa: BLE001
                return _failed(self, error, meter.usages)

    async def ajudge(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,
    ) -> Verdict:
        """As `judge`, without holding up the loop."""
        steps, meter, said = self.steps(conversation, answer, model), Meter(), None
        while True:
            try:
                asked, prompt = steps.send(said)
            except StopIteration as end:
                verdict: Verdict = end.value
                return replace(verdict, usages=meter.usages)
            except Exception as error:  # noqa: BLE001
                return _failed(self, error, meter.usages)
            try:
                said = await asyncio.wait_for(asked.ainvoke(prompt, meter.config), self.timeout)
            except Exception as error:  # noqa: BLE001
                return _failed(self, error, meter.usages)


class Agrees(_Asking):
    """Accepts what the model says again when it is asked again: several cheap answers that agree.

    The same model is asked the same question at a temperature above 0, until enough of its `n` answers,
    the one to be judged among them, say the same, or cannot any more (agreement-based cascading, arXiv
    2407.02348). Each further answer is charged.

    Args:
        n: Answers in all, 2 or more.
        least: How many must agree with the one that is judged, itself included; by default all.
        same: Whether two answers say the same; by default `Agree()`.
        temperature: Of the further answers; None when the model samples of its own accord.
        timeout: Seconds to wait for one answer.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        n: int = 3,
        *,
        least: int | None = None,
        same: Same | None = None,
        temperature: float | None = 0.7,
        timeout: float | None = None,
    ) -> None:
        if not isinstance(n, int) or n < 2:  # noqa: PLR2004
            msg = f"n must be a whole number of answers, 2 or more, got {n!r}"
            raise ValueError(msg)
        if least is not None and not 2 <= least <= n:  # noqa: PLR2004
            msg = f"least must be from 2 to n = {n} answers, got {least!r}"
            raise ValueError(msg)
        if temperature is not None and not temperature > 0:
            msg = (
                f"temperature must be above 0, got {temperature!r}: at 0 a model only repeats itself;"
                " None leaves the model's own"
            )
            raise ValueError(msg)
        self.n = n
        self.least = least or n
        self.same = same or Agree()
        self.temperature = temperature
        self.timeout = _seconds(timeout)

    def steps(
        self, conversation: Sequence[BaseMessage], answer: AIMessage, model: Any
    ) -> Generator[_Question, Any, Verdict]:
        """Ask again, as often as the outcome is open."""
        if model is None:
            msg = "Agrees asks the model that gave the answer again, but was told of none"
            raise ValueError(msg)
        agreeing, asked = 1, 1
        while agreeing < self.least <= agreeing + self.n - asked:
            again = yield _sampling(model, self.temperature, asked), list(conversation)
            agreeing += self.same(words(answer), words(again))
            asked += 1
        return Verdict(agreeing >= self.least, reason=f"{agreeing} of {asked} answers agree")


class Asks(_Asking):
    """Accepts what a model calls a good answer: one question, of which the first word is read.

    A model of the user's, perhaps a cheaper one than it would otherwise be escalated to. What the answer
    says is put before it as it is, so an answer can talk a judge round.

    Args:
        model: A chat model, a Runnable that ends in one, or `"provider:model"`.
        prompt: With the places `{conversation}` and `{answer}`.
        yes: What its reply must begin with, in any case.
        timeout: Seconds to wait for its reply.

    Raises:
        ValueError: The model is none of these, or the prompt has no place for the answer.
    """

    def __init__(
        self,
        model: str | Runnable[Any, Any],
        *,
        prompt: str = QUESTION,
        yes: str = "yes",
        timeout: float | None = None,
    ) -> None:
        asked: Any = model
        if isinstance(asked, str):
            needs("langchain", extra="langchain", purpose=f"model={asked!r}")
            from langchain.chat_models import init_chat_model

            asked = init_chat_model(asked)
        if not isinstance(asked, Runnable):
            msg = f"model must be a chat model, a Runnable or 'provider:model', got {model!r}"
            raise ValueError(msg)  # noqa: TRY004
        if "{answer}" not in prompt:
            msg = f"prompt must have the place {{answer}}, and perhaps {{conversation}}, got {prompt!r}"
            raise ValueError(msg)
        self.model = asked
        self.prompt = prompt
        self.yes = yes
        self.timeout = _seconds(timeout)

    def steps(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        model: Any,  # noqa: ARG002
    ) -> Generator[_Question, Any, Verdict]:
        """Ask once."""
        history = get_buffer_string(conversation)
        prompt = self.prompt.format(conversation=history, answer=words(answer))
        reply = words((yield self.model, [HumanMessage(prompt)])).strip()
        first = re.match(r"\W*(\w*)", reply)
        ok = first is not None and first[1].casefold() == self.yes.casefold()
        return Verdict(ok, reason=f"asked whether it will do, a model said {reply[:80]!r}")


class Parses(Judge):
    """Accepts what can be read: JSON, a type's schema, or whatever an output parser asks for.

    The words are read, in a Markdown fence or not; of an answer that calls tools, the arguments of every
    call.

    Args:
        form: A pydantic model or any other type that pydantic can check (`list[int]`, a `TypedDict`),
            or one of LangChain's output parsers; by default any JSON.

    Raises:
        ValueError: It is neither.
    """

    def __init__(self, form: Any = Any) -> None:
        self.form = form
        if isinstance(form, BaseOutputParser):
            return
        try:
            self._type: TypeAdapter[Any] = TypeAdapter(form)
        except (PydanticUserError, PydanticSchemaGenerationError, SchemaError) as error:
            msg = f"form must be a type or an output parser, got {form!r}: {error}"
            raise ValueError(msg) from None

    def judge(
        self,
        conversation: Sequence[BaseMessage],  # noqa: ARG002
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,  # noqa: ARG002
    ) -> Verdict:
        """Read the answer."""
        try:
            if isinstance(self.form, BaseOutputParser):
                self.form.invoke(answer, SILENT)
            elif answer.tool_calls:
                for call in answer.tool_calls:
                    self._type.validate_python(call["args"])
            else:
                read = parse_json_markdown(answer.text, parser=json.loads)
                self._type.validate_json(json.dumps(read))
        except (ValueError, OutputParserException) as error:
            return Verdict(ok=False, reason=f"it cannot be read: {str(error)[:200]}")
        return Verdict(ok=True, reason="it can be read")


class _Own(Judge):
    """What a user's own function or Runnable says."""

    def __init__(self, accept: Any) -> None:
        self.accept = accept

    def judge(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,  # noqa: ARG002
    ) -> Verdict:
        """Call it; what is to be awaited is run to its end in a loop of its own."""
        meter = Meter()
        with set_config_context(meter.config) as context:
            said = context.run(self._asked, conversation, answer)
            if isawaitable(said):
                said = context.run(_run, _awaited(said))
        return self._verdict(said, meter)

    async def ajudge(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,  # noqa: ARG002
    ) -> Verdict:
        """Await what is to be awaited; a plain function is called in a thread."""
        meter = Meter()
        with set_config_context(meter.config) as context:
            if isinstance(self.accept, Runnable):
                given = {"messages": list(conversation), "answer": answer}
                said = await self.accept.ainvoke(given, meter.config)
            elif iscoroutinefunction(self.accept):
                said = self._asked(conversation, answer)
            else:
                ask = partial(context.copy().run, self._asked, conversation, answer)
                said = await asyncio.get_running_loop().run_in_executor(None, ask)
            if isawaitable(said):
                said = await asyncio.create_task(_awaited(said), context=context)
        return self._verdict(said, meter)

    def _asked(self, conversation: Sequence[BaseMessage], answer: AIMessage) -> Any:
        if isinstance(self.accept, Runnable):
            return self.accept.invoke({"messages": list(conversation), "answer": answer})
        return self.accept(conversation, answer)

    def _verdict(self, said: Any, meter: Meter) -> Verdict:
        if isinstance(said, Verdict):
            return replace(said, usages=said.usages or meter.usages)
        if isinstance(said, str | BaseMessage | float) or isawaitable(said):
            msg = f"accept must say True or False, or give a Verdict, got {said!r}"
            raise TypeError(msg)
        return Verdict(bool(said), meter.usages, "as accept said")


class _Pair(Judge):
    """Two judges, the second asked only when the first did not decide."""

    def __init__(self, first: Judge, second: Judge, *, until: bool) -> None:
        self.first, self.second, self.until = first, second, until

    def judge(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,
    ) -> Verdict:
        """Ask the first, then perhaps the second; one that fails accepts nothing."""
        usages: tuple[Usage, ...] = ()
        for judge in (self.first, self.second):
            try:
                said = judge.judge(conversation, answer, model=model)
            except Exception as error:  # noqa: BLE001
                said = _failed(judge, error)
            usages += said.usages
            if said.ok is self.until:
                break
        return replace(said, usages=usages)

    async def ajudge(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,
    ) -> Verdict:
        """As `judge`, without holding up the loop."""
        usages: tuple[Usage, ...] = ()
        for judge in (self.first, self.second):
            try:
                said = await judge.ajudge(conversation, answer, model=model)
            except Exception as error:  # noqa: BLE001
                said = _failed(judge, error)
            usages += said.usages
            if said.ok is self.until:
                break
        return replace(said, usages=usages)


class Meter(BaseCallbackHandler):
    """Writes down what the model calls consumed that were made under its `config`."""

    def __init__(self) -> None:
        self._started: dict[Any, tuple[float, int]] = {}
        self._usages: list[Usage] = []

    @property
    def config(self) -> RunnableConfig:
        """The caller's callbacks are left out: judging is no part of the caller's run."""
        return {**SILENT, "callbacks": [self]}

    @property
    def usages(self) -> tuple[Usage, ...]:
        """One for each call that has ended."""
        return tuple(self._usages)

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],  # noqa: ARG002
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Start the stopwatch."""
        asked = sum(map(count_tokens_approximately, messages))
        self._started[run_id] = time.perf_counter(), asked

    def on_llm_end(
        self,
        response: LLMResult,
        *,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Read the usage of what came; tokens that the provider does not tell are estimated."""
        started, asked = self._started.pop(run_id, (time.perf_counter(), 0))
        elapsed = time.perf_counter() - started
        for generations in response.generations:
            message = getattr(generations[0], "message", None)
            usage = usage_of(message, seconds=elapsed)
            if not usage.input_tokens and not usage.output_tokens:
                said = count_tokens_approximately([AIMessage(generations[0].text)])
                usage = replace(usage, input_tokens=asked, output_tokens=said)
            self._usages.append(usage)


def words(answer: Any) -> str:
    """What an answer says, to compare it by: its tool calls or its object as JSON, else its text."""
    if isinstance(answer, Mapping) and "raw" in answer:
        answer = answer["raw"]
    if not isinstance(answer, AIMessage):
        return answer if isinstance(answer, str) else json.dumps(answer, default=str)
    if answer.tool_calls:
        calls = [{"name": call["name"], "args": call["args"]} for call in answer.tool_calls]
        return json.dumps(calls, sort_keys=True, default=str)
    return answer.text


def log_probabilities(answer: AIMessage) -> list[float]:
    """The logarithm of the probability that the model gave to each token of its answer.

    As OpenAI, Groq and llama.cpp tell it (`logprobs.content[].logprob`), Ollama (`logprobs[].logprob`),
    Google (`logprobs_result`) and the older completions (`logprobs.token_logprobs`); empty when there
    are none.
    """
    metadata = answer.response_metadata
    tokens: Any = metadata.get("logprobs") or metadata.get("logprobs_result") or ()
    if isinstance(tokens, Mapping):
        names = ("content", "token_logprobs", "chosen_candidates")
        tokens = next((tokens[name] for name in names if tokens.get(name)), ())
    found = [
        token.get("logprob", token.get("log_probability")) if isinstance(token, Mapping) else token
        for token in tokens
    ]
    return [float(one) for one in found if one is not None]


def _whole(answer: AIMessage) -> bool:
    """False when the model says that it was cut off, refused or filtered."""
    metadata = answer.response_metadata
    named = (metadata.get(name) for name in ("finish_reason", "stop_reason", "done_reason"))
    reason = next(filter(None, named), None)
    return reason is None or str(reason).casefold().rpartition(".")[2] in WHOLE


def _sampling(model: Any, temperature: float | None, seed: int) -> Any:
    """A copy of a model that answers freely: at a temperature, with another seed, from no cache.

    Raises:
        ValueError: There is no chat model in it whose temperature could be set.
    """
    if temperature is None:
        return model
    copy, found = _warmed(model, {"temperature": temperature, "seed": seed})
    if not found:
        msg = (
            f"Agrees cannot set the temperature of {type(model).__name__}, which holds no chat model;"
            " if it samples of its own accord, write Agrees(..., temperature=None)"
        )
        raise ValueError(msg)
    return copy


def _warmed(part: Any, wanted: dict[str, Any]) -> tuple[Any, int]:
    """A copy of a Runnable with its chat models changed, and how many there were."""
    if isinstance(part, BaseChatModel):
        fields = type(part).model_fields
        update = {"temperature": wanted["temperature"], "cache": False}
        if getattr(part, "seed", None) is not None:
            update["seed"] = wanted["seed"]
        known = {name: value for name, value in update.items() if name in fields}
        copy: Any = part.model_copy(update=known)
        return (
            copy if "temperature" in fields else copy.bind(temperature=wanted["temperature"])
        ), 1
    if isinstance(part, dict):
        pairs = {name: _warmed(value, wanted) for name, value in part.items()}
        return {name: copy for name, (copy, _) in pairs.items()}, sum(n for _, n in pairs.values())
    if isinstance(part, list):
        copies = [_warmed(value, wanted) for value in part]
        return [copy for copy, _ in copies], sum(n for _, n in copies)
    if isinstance(part, Runnable) and isinstance(part, BaseModel):
        held, found = _warmed(dict(vars(part)), wanted)
        if "temperature" in held.get("kwargs", {}):
            held["kwargs"] = {**held["kwargs"], "temperature": wanted["temperature"]}
        return part.model_copy(update=held), found
    return part, 0


def _within(seconds: float, ask: Callable[[], Any]) -> Any:
    """Wait so long for an answer and no longer; the call itself is left to end by itself."""
    thread = ThreadPoolExecutor(1)
    try:
        return thread.submit(ask).result(seconds)
    finally:
        thread.shutdown(wait=False)


async def _awaited(said: Any) -> Any:
    return await said


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end from code that is not async, in a loop or not.

    All in one loop: an async client keeps connections, which belong to the loop it was first used in.
    """
    loop, thread = _loop(os.getpid())
    if thread is threading.current_thread():  # it would wait for itself
        with ThreadPoolExecutor(1) as other:
            return other.submit(copy_context().run, asyncio.run, coroutine).result()
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()


@cache
def _loop(_process: int) -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
    """A loop in a thread of its own, started when first needed; a forked process has none of it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="cachemux judges", daemon=True)
    thread.start()
    return loop, thread


def _failed(judge: Judge, error: Exception, usages: tuple[Usage, ...] = ()) -> Verdict:
    log.warning("%s failed, so it accepts nothing: %r", type(judge).__name__, error)
    return Verdict(ok=False, usages=usages, reason=f"{type(judge).__name__} failed: {error!r}")


def _seconds(timeout: float | None) -> float | None:
    if timeout is not None and not timeout > 0:
        msg = f"timeout must be a positive number of seconds or None, got {timeout!r}"
        raise ValueError(msg)
    return timeout

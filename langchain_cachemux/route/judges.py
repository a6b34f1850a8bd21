"""Will this answer do? A judge reads the conversation and an answer to it, and says yes or no.

`accept=` takes one of the judges here and in `asking`, any function `(messages, answer) -> bool`, plain
or async, or a Runnable; they combine by `&` and `|`. A verdict also says what the judging itself
consumed, for that is charged to the answer. There is no `not`: a judge that fails accepts nothing, and
the opposite of a failure would be an approval.
"""

from __future__ import annotations

import json
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from functools import partial
from inspect import isawaitable, iscoroutinefunction, isroutine
from numbers import Integral, Real
from typing import Any, TypeAlias

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import run_in_executor
from langchain_core.utils.json import parse_json_markdown
from pydantic import BaseModel, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter
from pydantic_core import SchemaError

from langchain_cachemux.arguments import accepts, as_call, expect, is_number, number_of, shown
from langchain_cachemux.discreet import loggable
from langchain_cachemux.meter import SILENT, Meter, aask, ask, at_once, ready
from langchain_cachemux.types import Usage

log = logging.getLogger(__name__)


WHOLE = frozenset("stop end_turn stop_sequence eos eos_token complete completed tool_calls".split())
WHOLE |= {"tool_use", "function_call"}
"""Reasons to finish that say that the model had no more to say."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of an answer; true when the answer will do.

    Raises:
        TypeError: `ok` says neither yes nor no.
    """

    ok: bool
    usages: tuple[Usage, ...] = ()
    """What the judging consumed, a model call each."""
    reason: str = ""
    judged: bool = True
    """False when the judge failed: the answer is not accepted, and nothing is known of it."""

    def __post_init__(self) -> None:
        """Take NumPy's truth values too."""
        object.__setattr__(self, "ok", _yes(self.ok))

    def __bool__(self) -> bool:
        """Whether the answer will do."""
        return self.ok


class Judge(ABC):
    """Says whether an answer will do. Override `judge`, and `ajudge` when it waits for something.

    A judge may raise: whoever asked it takes that for a no. It is itself a function
    `(messages, answer) -> bool`.
    """

    @abstractmethod
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
        return verdict_of(self.judge(conversation, answer)).ok

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
    judges = isinstance(accept, Runnable) or (callable(accept) and accepts(accept, 2))
    if isinstance(accept, type) or not judges:
        msg = (
            "accept must be a judge such as Sure(0.5), a function (messages, answer) -> bool or a"
            f" Runnable, got {accept!r}"
        )
        raise ValueError(msg)
    return _Own(accept)


def verdict_of(said: Any) -> Verdict:
    """Return what a judge said as a verdict: a judge of the user's own may say True or False.

    Raises:
        TypeError: It said neither.
    """
    if said is None:
        msg = "a judge must return a Verdict, got None"
        raise TypeError(msg)
    return said if isinstance(said, Verdict) else Verdict(said)


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
        right = is_number(least) and 0 < least <= 1
        expect(right, "least", "a probability in (0, 1]", least)
        right = is_number(quantile) and 0 <= quantile <= 1
        expect(right, "quantile", "a share of the tokens in [0, 1]", quantile)
        self.least = number_of(least)
        self.quantile = number_of(quantile)

    def __repr__(self) -> str:
        """How it was made."""
        return as_call(self, "least quantile")

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
        value = form is None or isinstance(form, str | Mapping) or isroutine(form)
        what = "a type or an output parser, such as list[int]"
        expect(not value, "form", what, form)
        try:
            self._type: TypeAdapter[Any] = TypeAdapter(form)
        except (PydanticUserError, PydanticSchemaGenerationError, SchemaError) as error:
            said = str(error).partition("\n")[0]
            msg = f"form must be {what}, got {form!r}: {said}"
            raise ValueError(msg) from None

    def __repr__(self) -> str:
        """How it was made."""
        return f"Parses({shown(self.form)})"

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

    def __repr__(self) -> str:
        """How it was made."""
        return shown(self.accept)

    def judge(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,  # noqa: ARG002
    ) -> Verdict:
        """Call it; what is to be awaited is run to its end in a loop of its own."""
        meter = Meter()
        try:
            said = ask(partial(self._asked, conversation, answer), meter)
        except Exception as error:  # noqa: BLE001
            return failed(self, error, meter.usages)
        return self._verdict(said, meter)

    async def ajudge(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,  # noqa: ARG002
    ) -> Verdict:
        """Await what is to be awaited; a plain function is called in a thread."""
        meter, question = Meter(), partial(self._asked, conversation, answer)
        waits = iscoroutinefunction(self.accept)
        if isinstance(self.accept, Runnable):
            given = {"messages": list(conversation), "answer": answer}
            question, waits = partial(self.accept.ainvoke, given, meter.config), True
        try:
            said = await aask(question, meter, waits=waits)
        except Exception as error:  # noqa: BLE001
            return failed(self, error, meter.usages)
        return self._verdict(said, meter)

    def _asked(self, conversation: Sequence[BaseMessage], answer: AIMessage) -> Any:
        if isinstance(self.accept, Runnable):
            return self.accept.invoke({"messages": list(conversation), "answer": answer})
        return self.accept(conversation, answer)

    def _verdict(self, said: Any, meter: Meter) -> Verdict:
        if isinstance(said, Verdict):
            return replace(said, usages=said.usages or meter.usages)
        return Verdict(said, meter.usages, "as accept said")


class _Pair(Judge):
    """Two judges, the second asked only when the first did not decide."""

    def __init__(self, first: Judge, second: Judge, *, until: bool) -> None:
        self.first, self.second, self.until = first, second, until

    def __repr__(self) -> str:
        """How it was made."""
        return f"({self.first!r} {'|' if self.until else '&'} {self.second!r})"

    def judge(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,
    ) -> Verdict:
        """Ask the first, then perhaps the second; one that fails accepts nothing."""
        ask = ready(lambda judge: judge.judge(conversation, answer, model=model))
        return at_once(self._verdict(ask))

    async def ajudge(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,
    ) -> Verdict:
        """As `judge`, without holding up the loop."""
        return await self._verdict(lambda judge: judge.ajudge(conversation, answer, model=model))

    async def _verdict(self, ask: Callable[[Judge], Awaitable[Verdict]]) -> Verdict:
        usages: tuple[Usage, ...] = ()
        judged = True
        for judge in (self.first, self.second):
            try:
                said = verdict_of(await ask(judge))
            except Exception as error:  # noqa: BLE001
                said = failed(judge, error)
            usages += said.usages
            judged = judged and said.judged
            if said.ok is self.until:
                judged = said.judged
                break
        return replace(said, usages=usages, judged=judged)


def _yes(said: Any) -> bool:
    """Whether that is a yes; a score, a text and a record are neither yes nor no.

    Raises:
        TypeError: It is neither.
    """
    score = isinstance(said, Real) and not isinstance(said, Integral)
    record = isinstance(said, Mapping | BaseModel) or is_dataclass(said)
    if score or record or isinstance(said, str) or isawaitable(said):
        msg = f"accept must say True or False, or give a Verdict, got {said!r}"
        raise TypeError(msg)
    return bool(said)


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


def failed(judge: Judge, error: Exception, usages: tuple[Usage, ...] = ()) -> Verdict:
    """The verdict of a judge that raised: it accepts nothing, and what it consumed is charged."""
    name = "accept" if isinstance(judge, _Own) else type(judge).__name__
    log.warning("%s failed, so it accepts nothing: %s", name, loggable(error))
    reason = f"{name} failed: {loggable(error)}"
    return Verdict(ok=False, usages=usages, reason=reason, judged=False)

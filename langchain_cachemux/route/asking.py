"""Judges that ask a model: the one that answered, again; or another, whether the answer will do."""

from __future__ import annotations

import asyncio
import math
import re
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, get_buffer_string
from langchain_core.runnables import Runnable
from pydantic import BaseModel

from langchain_cachemux.agree import Agree, Same
from langchain_cachemux.arguments import as_call, expect, is_number, is_whole, number_of, takes
from langchain_cachemux.extras import needs
from langchain_cachemux.meter import Meter, at_once, within
from langchain_cachemux.route.judges import Judge, Verdict, failed, words

QUESTION = """\
Below are a conversation and an answer to its last message.

<conversation>
{conversation}
</conversation>

<answer>
{answer}
</answer>

Is the answer correct, complete and to the point? Reply with one word, yes or no."""


_Ask: TypeAlias = Callable[[Runnable[Any, Any], list[BaseMessage]], Awaitable[Any]]


class _Asking(Judge):
    """A judge that asks models: what it asks is written once, and waited for with or without a loop."""

    timeout: float | None = None
    """Seconds to wait for one answer."""

    @abstractmethod
    async def ruling(
        self, conversation: Sequence[BaseMessage], answer: AIMessage, model: Any, ask: _Ask
    ) -> Verdict:
        """Judge an answer, and wait for nothing but `ask(whom, what)`."""

    def judge(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,
    ) -> Verdict:
        """Ask, one after the other; a model that fails accepts nothing."""
        meter = Meter()

        async def ask(asked: Runnable[Any, Any], prompt: list[BaseMessage]) -> Any:
            invoke = partial(asked.invoke, prompt, meter.config)
            return invoke() if self.timeout is None else within(self.timeout, invoke)

        return at_once(self._metered(self.ruling(conversation, answer, model, ask), meter))

    async def ajudge(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        *,
        model: Runnable[Any, Any] | None = None,
    ) -> Verdict:
        """As `judge`, without holding up the loop."""
        meter = Meter()

        async def ask(asked: Runnable[Any, Any], prompt: list[BaseMessage]) -> Any:
            return await asyncio.wait_for(asked.ainvoke(prompt, meter.config), self.timeout)

        return await self._metered(self.ruling(conversation, answer, model, ask), meter)

    async def _metered(self, ruling: Awaitable[Verdict], meter: Meter) -> Verdict:
        try:
            verdict = await ruling
        except Exception as error:  # noqa: BLE001
            return failed(self, error, meter.usages)
        return replace(verdict, usages=meter.usages)


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
        right = is_whole(n) and n >= 2  # noqa: PLR2004
        expect(right, "n", "a whole number of answers, 2 or more", n)
        right = least is None or (is_whole(least) and 2 <= least <= n)  # noqa: PLR2004
        expect(right, "least", f"from 2 to n = {n} answers", least)
        right = temperature is None or (is_number(temperature) and 0 < temperature < math.inf)
        what = "above 0, for at 0 a model only repeats itself; None leaves the model's own"
        expect(right, "temperature", what, temperature)
        expect(same is None or takes(same, 2), "same", "a function of two texts", same)
        self.n = number_of(n)
        self.least = self.n if least is None else number_of(least)
        self.same = same or Agree()
        self.temperature = None if temperature is None else number_of(temperature)
        self.timeout = _seconds(timeout)

    def __repr__(self) -> str:
        """How it was made."""
        return as_call(self, "n least temperature timeout")

    async def ruling(
        self, conversation: Sequence[BaseMessage], answer: AIMessage, model: Any, ask: _Ask
    ) -> Verdict:
        """Ask again, as often as the outcome is open."""
        if model is None:
            msg = "Agrees asks the model that gave the answer again, but was told of none"
            raise ValueError(msg)
        agreeing, asked = 1, 1
        while agreeing < self.least <= agreeing + self.n - asked:
            again = await ask(_sampling(model, self.temperature, asked), list(conversation))
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
        yes: The word that its reply must begin with, in any case.
        timeout: Seconds to wait for its reply.

    Raises:
        ValueError: The model is none of these, the prompt has no place for the answer, or `yes` is not
            one word.
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
        if isinstance(asked, str) and asked.strip():
            needs("langchain", extra="langchain", purpose=f"model={asked!r}")
            from langchain.chat_models import init_chat_model

            asked = init_chat_model(asked)
        if not isinstance(asked, Runnable):
            msg = f"model must be a chat model, a Runnable or 'provider:model', got {model!r}"
            raise ValueError(msg)  # noqa: TRY004
        try:
            right = "\0" in prompt.format(conversation="", answer="\0")
        except (AttributeError, LookupError, ValueError):
            right = False
        what = "a text with the place {answer}, and perhaps {conversation}, but no other"
        expect(right, "prompt", what, prompt)
        right = isinstance(yes, str) and re.fullmatch(r"\w+", yes) is not None
        expect(right, "yes", "one word, such as 'yes'", yes)
        self.model = asked
        self.prompt = prompt
        self.yes = yes
        self.timeout = _seconds(timeout)

    def __repr__(self) -> str:
        """How it was made."""
        return as_call(self, "model prompt yes timeout")

    async def ruling(
        self,
        conversation: Sequence[BaseMessage],
        answer: AIMessage,
        model: Any,  # noqa: ARG002
        ask: _Ask,
    ) -> Verdict:
        """Ask once."""
        history = get_buffer_string(conversation)
        prompt = self.prompt.format(conversation=history, answer=words(answer))
        reply = words(await ask(self.model, [HumanMessage(prompt)])).strip()
        first = re.match(r"\W*(\w*)", reply)
        ok = first is not None and first[1].casefold() == self.yes.casefold()
        return Verdict(ok, reason=f"asked whether it will do, a model said {reply[:80]!r}")


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


def _seconds(timeout: float | None) -> float | None:
    right = timeout is None or (is_number(timeout) and timeout > 0)
    expect(right, "timeout", "a positive number of seconds or None", timeout)
    return None if timeout is None else number_of(timeout)

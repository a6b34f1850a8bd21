"""What model calls consume, and those that a judge makes: silent, counted, waited for only so long."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import cache, partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, set_config_context

from langchain_cachemux.silence import UNSHOWN, counted, heard_by
from langchain_cachemux.types import Usage

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult

T = TypeVar("T")
P = ParamSpec("P")

SILENT = RunnableConfig(callbacks=[], tags=[UNSHOWN], run_name="cachemux judge")
"""How a judge asks a model: its tokens go to nobody's stream."""


def usage_of(message: Any, *, seconds: float = 0.0, model: str = "") -> Usage:
    """Read the usage of an `AIMessage`: its tokens, and the model and the provider that gave it.

    LangChain's integrations mostly agree. Where one leaves cached tokens out of its input (Bedrock) or
    reasoning out of its output (older Google, xAI), its total gives it away, and they are added.

    Args:
        message: Anything with `usage_metadata` and `response_metadata`, as LangChain's messages have.
        seconds: What the caller's stopwatch said, of which the time that Ollama took to load the model
            is none of this call's. A provider's own `response_metadata["seconds"]` goes before it.
        model: Name to use when the message carries none.
    """
    tokens = getattr(message, "usage_metadata", None) or {}
    metadata = getattr(message, "response_metadata", None) or {}
    into, out = _details(tokens, "input"), _details(tokens, "output")
    hour, minutes = into("ephemeral_1h_input_tokens"), into("ephemeral_5m_input_tokens")
    read, write, reasoning = into("cache_read"), into("cache_creation"), out("reasoning")
    write = max(write, hour + minutes)  # Anthropic's integration sets the sum to 0 beside its parts
    inputs, outputs = int(tokens.get("input_tokens") or 0), int(tokens.get("output_tokens") or 0)
    missing = int(tokens.get("total_tokens") or 0) - inputs - outputs
    cached = read + write
    if cached > inputs or (cached and missing in (cached, cached + reasoning)):
        missing -= cached
        inputs += cached
    if reasoning > outputs or (reasoning and missing == reasoning):
        outputs += reasoning
    loading = _amount(metadata.get("load_duration")) or 0.0
    own = _amount(metadata.get("seconds"))
    return Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        cached_tokens=read,
        seconds=max(seconds - loading / 1e9, 0.0) if own is None else own,
        model=model_named(metadata) or model,
        provider=str(metadata.get("model_provider") or ""),
        tier=str(metadata.get("service_tier") or ""),
        cache_write_tokens=write,
        cache_write_1h_tokens=hour,
        reasoning_tokens=reasoning,
        audio_input_tokens=into("audio"),
        audio_output_tokens=out("audio"),
    )


def model_named(metadata: Mapping[str, Any]) -> str:
    """Return the model that a message's `response_metadata` names; empty when it names none."""
    named = metadata.get("model_name") or metadata.get("model") or metadata.get("model_id")
    return str(named or "")


class Meter(BaseCallbackHandler):
    """Writes down what the model calls consumed that were made under its `config`.

    A call that nobody waits for any more is left to its provider, who will bill it: what is known of it
    is what it was asked.
    """

    def __init__(self) -> None:
        self._started: dict[Any, tuple[float, Usage]] = {}
        self._usages: list[Usage] = []

    @property
    def config(self) -> RunnableConfig:
        """Of the caller's callbacks those that count hear of it, and those that show do not."""
        callers = counted(ensure_config()).get("callbacks")
        return {**SILENT, "callbacks": heard_by(callers, self)}

    @property
    def usages(self) -> tuple[Usage, ...]:
        """One for each call: of one that has not ended, the tokens of its prompt and the time so far."""
        now, open_ = time.perf_counter(), list(self._started.values())
        asked = [replace(usage, seconds=now - started) for started, usage in open_]
        return (*self._usages, *asked)

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],  # noqa: ARG002
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Start the stopwatch, and take down who is asked: not every answer says whose it is."""
        told = metadata or {}
        asked = Usage(
            sum(map(count_tokens_approximately, messages)),
            model=str(told.get("ls_model_name") or ""),
            provider=str(told.get("ls_provider") or ""),
        )
        self._started[run_id] = time.perf_counter(), asked

    def on_llm_end(
        self,
        response: LLMResult,
        *,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Read the usage of what came; tokens that the provider does not tell are estimated."""
        started, asked = self._started.pop(run_id, (time.perf_counter(), Usage(0)))
        elapsed = time.perf_counter() - started
        for generations in response.generations:
            message = getattr(generations[0], "message", None)
            usage = usage_of(message, seconds=elapsed, model=asked.model)
            if not usage.input_tokens and not usage.output_tokens:
                said = count_tokens_approximately([AIMessage(generations[0].text)])
                usage = replace(usage, input_tokens=asked.input_tokens, output_tokens=said)
            self._usages.append(usage)

    def on_llm_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Forget a call that raised; one that was given up is as one that has not ended."""
        if not isinstance(error, asyncio.CancelledError):
            self._started.pop(run_id, None)


def ask(question: Callable[[], Any], meter: Meter) -> Any:
    """Ask a user's function under a meter; what is to be awaited is run to its end."""
    with set_config_context(meter.config) as context:
        said = context.run(question)
        if isawaitable(said):
            said = context.run(run_to_end, awaited(said))
    return said


async def aask(question: Callable[[], Any], meter: Meter, *, waits: bool) -> Any:
    """As `ask`; in a thread, unless the function itself only `waits`."""
    with set_config_context(meter.config) as context:
        if waits:
            said = context.run(question)
        else:
            asked = partial(context.copy().run, question)
            said = await asyncio.get_running_loop().run_in_executor(None, asked)
        if isawaitable(said):
            said = await asyncio.create_task(awaited(said), context=context)
    return said


def within(seconds: float, ask: Callable[[], Any]) -> Any:
    """Wait so long for an answer and no longer; the call itself is left to end by itself."""
    thread = ThreadPoolExecutor(1)
    try:
        return thread.submit(ask).result(seconds)
    finally:
        thread.shutdown(wait=False)


async def awaited(said: Awaitable[Any]) -> Any:
    """Await it, as a coroutine."""
    return await said


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never has to wait for a loop: what it awaits is there when it awaits it.

    So what is asked both with and without a loop is written once, as a coroutine that is given what to
    await; without a loop that is `ready`.

    Raises:
        RuntimeError: It did have to wait.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    coroutine.close()
    msg = "at_once was given a coroutine that waits for a loop"
    raise RuntimeError(msg)


def ready(function: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """A plain function as one to await, whose result is there when it is awaited."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    return call


def run_to_end(coroutine: Coroutine[Any, Any, Any]) -> Any:
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


def _amount(said: Any) -> float | None:
    """A finite amount, as a number or in digits; None for what is none, such as "fast"."""
    try:
        amount = float(said)
    except (TypeError, ValueError):
        return None
    return amount if 0 <= amount < math.inf else None


def _details(tokens: Mapping[str, Any], side: str) -> Callable[[str], int]:
    """A reader of one side's parts, those of a service tier (`flex_cache_read`) among them."""
    details = tokens.get(f"{side}_token_details") or {}

    def read(name: str) -> int:
        return sum(int(details.get(f"{tier}{name}") or 0) for tier in ("", "priority_", "flex_"))

    return read

"""The model calls that a judge makes: silent, counted, and waited for only so long."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import RunnableConfig

from langchain_cachemux.route.prices import usage_of
from langchain_cachemux.types import Usage

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult

T = TypeVar("T")

SILENT = RunnableConfig(callbacks=[], tags=["nostream"], run_name="cachemux judge")
"""How a judge asks a model: not as part of the caller's run, and its tokens go to nobody's stream."""


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
    await.

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

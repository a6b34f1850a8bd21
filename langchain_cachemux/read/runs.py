"""What became of the runs in which an answer was used: it is confirmed when the chain got through.

LangChain tells a cache what was asked and what was answered, but not that the parser behind the model
could do nothing with it; `with_retry` would then get the same answer as often as it asks. Callbacks
tell. So one handler is attached to every run of the process, and reads nothing of what passes.

A chain ended: the answers used in it are handed up to the run that it is part of, for what comes later
may still fail on them. A chain failed, by an error of the kind that unsuitable words cause
(`UNSUITABLE`, or raised because of one; a connection that broke says nothing of an answer): the answers
used in it so far are forgotten. A model failed: nobody waits any longer for what it was asked.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager

from langchain_cachemux.flight import failed

if TYPE_CHECKING:
    from types import FrameType
    from uuid import UUID

    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import RunnableConfig

UNSUITABLE = (ValueError, LookupError, TypeError, AttributeError, AssertionError)
"""What parsing, picking and checking raise; LangChain's and pydantic's own are ValueErrors."""
RUNS = 10_000
"""Runs under way of which answers are remembered; the oldest is forgotten first."""
ANSWERS = 100
"""Answers remembered of one run; the first are forgotten first."""


class Forgetful(Protocol):
    """Whoever handed an answer out, and can forget it."""

    def doubt(self, key: str) -> None:
        """Forget the answer under a key."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model was told of the run in which it is asked."""

    within: UUID | None
    metadata: Mapping[str, Any]
    model: weakref.ref[BaseChatModel] | None
    """The model itself, if it is to be found."""


class Runs(BaseCallbackHandler):
    """Which answers were used in which run. Safe between threads; `watch` returns the one there is."""

    run_inline = True
    ignore_agent = ignore_custom_event = True
    ignore_retriever = ignore_retry = True

    def __init__(self) -> None:
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin)

    def __reduce__(self) -> tuple[Callable[[], Runs], tuple[()]]:
        """A copy is the one there is: callbacks are copied with their config."""
        return watch, ()

    def used(self, cache: Forgetful, key: str) -> None:
        """Remember that an answer of a cache is used in the run under way, if there is one.

        What LangChain keeps of the config may be that of a run further out (`batch` of a sequence), so
        the run that the model itself was told of is taken too.
        """
        asked = self.asked
        for run in {_run_under_way(), None if asked is None else asked.within}:
            self._add(run, [(weakref.ref(cache), key)])

    @property
    def asked(self) -> Asked | None:
        """What a model was told of the run in which it is being asked here; None when none is."""
        run = _ASKING.get()
        return None if run is None else self._asked.get(run)

    def on_chat_model_start(
        self,
        serialized: Any,
        messages: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Remember in which run the model is asked, for the lookup that follows."""
        del serialized, messages, kwargs
        with self._lock:
            self._asked[run_id] = Asked(parent_run_id, metadata or {}, _starting())
            if len(self._asked) > RUNS:
                self._asked.popitem(last=False)
        _ASKING.set(run_id)

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        """Within a chain that begins, what is asked belongs to it."""
        del serialized, inputs, kwargs
        _ASKING.set(None)

    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """The model is asked no more."""
        del response, kwargs
        self._answered(run_id)

    def on_chain_end(
        self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """Hand the answers up."""
        del outputs, kwargs
        if answers := self._take(run_id):
            self._add(parent_run_id, answers)

    def on_chain_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Have the answers forgotten, if the error may be theirs; else hand them up."""
        del kwargs
        answers = self._take(run_id)
        if not isinstance(error, UNSUITABLE) and not isinstance(error.__cause__, UNSUITABLE):
            self._add(parent_run_id, answers)
            return
        for held, key in answers:
            if (cache := held()) is not None:
                cache.doubt(key)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Let nobody wait for the answer of a model that has raised."""
        del error, kwargs
        self._answered(run_id)
        failed()

    def _answered(self, run: UUID) -> None:
        with self._lock:
            self._asked.pop(run, None)

    def _add(self, run: UUID | None, answers: list[_Answer]) -> None:
        if run is None or not answers:
            return
        with self._lock:
            held = self._answers.setdefault(run, [])
            held += answers
            del held[:-ANSWERS]
            if len(self._answers) > RUNS:
                self._answers.popitem(last=False)

    def _take(self, run: UUID) -> list[_Answer]:
        with self._lock:
            return self._answers.pop(run, [])

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._answers: OrderedDict[UUID, list[_Answer]] = OrderedDict()
        self._asked: OrderedDict[UUID, Asked] = OrderedDict()
        """By the models' runs."""


_Answer = tuple["weakref.ref[Forgetful]", str]
_ASKING: ContextVar[UUID | None] = ContextVar("asking", default=None)
"""The run of the model that was asked last here; it may have ended."""
_ASKED_BY: ContextVar[tuple[BaseChatModel, ...]] = ContextVar("asked_by", default=())
DEPTH = 8
"""Frames between a callback and the model that calls it back, at most."""


@cache
def watch() -> Runs:
    """Attach the handler to every run that begins from now on, and return it."""
    from langchain_core.tracers.context import register_configure_hook

    runs = Runs()
    attached: ContextVar[Any] = ContextVar("cachemux_runs", default=runs)
    register_configure_hook(attached, inheritable=True)
    return runs


def config_under_way() -> RunnableConfig:
    """The config of the chain, the node or the tool that is running here; empty when none is."""
    from langchain_core.runnables.config import var_child_runnable_config

    return var_child_runnable_config.get() or {}


def metadata_under_way() -> Mapping[str, Any]:
    """The metadata of the run under way; empty when there is none.

    What a model was told itself goes before the config that LangChain keeps, which may be that of a run
    further out.
    """
    asked = watch().asked
    if asked is not None:
        return asked.metadata
    return config_under_way().get("metadata") or {}


@contextmanager
def asked_by(models: Sequence[BaseChatModel]) -> Iterator[None]:
    """Tell a cache which models may answer what it is asked in this block."""
    token = _ASKED_BY.set(tuple(models))
    try:
        yield
    finally:
        _ASKED_BY.reset(token)


def asking() -> Sequence[BaseChatModel]:
    """The models on whose behalf a cache is being asked here, as far as is known."""
    if models := _ASKED_BY.get():
        return models
    asked = watch().asked
    model = None if asked is None or asked.model is None else asked.model()
    return [] if model is None else [model]


def _starting() -> weakref.ref[BaseChatModel] | None:
    """The model whose run is starting: LangChain tells a callback much of it, but not which it is."""
    from langchain_core.language_models import BaseChatModel

    frame: FrameType | None = sys._getframe(2)
    for _ in range(DEPTH):
        if frame is None:
            break
        if frame.f_code.co_name in ("generate", "agenerate"):
            model = frame.f_locals.get("self")
            return weakref.ref(model) if isinstance(model, BaseChatModel) else None
        frame = frame.f_back
    return None


def _run_under_way() -> UUID | None:
    callbacks = config_under_way().get("callbacks")
    return callbacks.parent_run_id if isinstance(callbacks, BaseCallbackManager) else None

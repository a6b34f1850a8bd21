"""Who hears of a model's run: those who count and trace it, or those who show its answer to somebody.

An answer that is asked for only to be judged may never be given. Whoever counts tokens or writes a trace
hears of it all the same; what streams to a user (`astream_events`, LangGraph's `stream_mode="messages"`)
does not. An answer that is given after all is told to the latter by a replay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager, Callbacks

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

UNSHOWN = "nostream"
"""The tag of runs that LangGraph shows to nobody."""


def counted(config: RunnableConfig) -> RunnableConfig:
    """Return a config under which runs are counted and traced, and shown to nobody."""
    tags = [*(config.get("tags") or []), UNSHOWN]
    return {**config, "tags": tags, "callbacks": _of(config.get("callbacks"), _counts)}


def shown(config: RunnableConfig) -> RunnableConfig | None:
    """Return a config under which runs are only shown; None when there is nobody to show them to."""
    callbacks = _of(config.get("callbacks"), _shows)
    handlers = callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks
    return {**config, "callbacks": callbacks} if handlers else None


def heard_by(callbacks: Callbacks, handler: BaseCallbackHandler) -> Callbacks:
    """Return callbacks with one more, unless it is there already, which hears of all that is below."""
    if isinstance(callbacks, BaseCallbackManager):
        callbacks = callbacks.copy()
        callbacks.add_handler(handler, inherit=True)
        return callbacks
    return [*(one for one in callbacks or [] if one is not handler), handler]


def _shows(handler: Any) -> bool:
    from langchain_core.tracers._streaming import _StreamingCallbackHandler

    return isinstance(handler, _StreamingCallbackHandler)


def _counts(handler: Any) -> bool:
    return not _shows(handler)


def _of(callbacks: Callbacks, kept: Callable[[Any], bool]) -> Callbacks:
    """Callbacks, less the handlers that are not to be kept."""
    if not isinstance(callbacks, BaseCallbackManager):
        return [handler for handler in callbacks or [] if kept(handler)]
    callbacks = callbacks.copy()
    for handler in [*callbacks.handlers, *callbacks.inheritable_handlers]:
        if not kept(handler):
            callbacks.remove_handler(handler)
    return callbacks

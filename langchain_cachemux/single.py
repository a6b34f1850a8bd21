"""`cached`: any single chat model, answered from a cache however it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from langchain_cachemux.multiplexer import MultiplexedLLM
from langchain_cachemux.read.runnables import name_of
from langchain_cachemux.settings import named_model

if TYPE_CHECKING:
    from langchain_core.caches import BaseCache
    from langchain_core.runnables import Runnable


def cached(
    model: str | Runnable[Any, Any],
    cache: BaseCache | Literal[False] | None = None,
    **settings: Any,
) -> MultiplexedLLM:
    """Return a chat model that answers from a cache where it can, however it is asked.

    LangChain itself looks into a cache for `invoke` and `batch`, but never for `stream`, `astream` and
    the events of either. This does for all: a stored answer is streamed in pieces, a fresh one passes
    through as it comes, and a stream that failed or was left is not stored. Answers are shared with the
    model itself where that has the same cache.

    Args:
        model: A chat model, a Runnable that ends in one, or `"provider:model"`.
        cache: Such as `LECCache()`; by default LangChain's global one (`set_llm_cache`), False for none.
        settings: As of `MultiplexedLLM`, of which this is one with a single model: `price`,
            `observations`, `path` and LangChain's own, such as `tags`.

    Raises:
        ValueError: The model or the cache is none.
    """
    made = named_model(model)
    return MultiplexedLLM(models={name_of(made) or "model": made}, cache=cache, **settings)

"""What a Runnable is made of: the chat model at its bottom, its parameters; how it answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from inspect import signature
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumps
from langchain_core.load.serializable import Serializable
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.configurable import DynamicRunnable
from pydantic import BaseModel

from langchain_cachemux.read.structure import fields

Way = TypeVar("Way", bound=Callable[..., Any])


def inside(model: Any) -> list[Runnable[Any, Any]]:
    """The Runnables that a Runnable is made of, one level down; none in a chat model."""
    if isinstance(model, BaseChatModel) or not isinstance(model, BaseModel):
        return []
    held: list[Any] = []
    for value in vars(model).values():
        if isinstance(value, dict):
            held += value.values()
        else:
            held += value if isinstance(value, list) else [value]
    return [part for part in held if isinstance(part, Runnable)]


def chat_model(model: Any) -> BaseChatModel | None:
    """The chat model at the bottom of a Runnable; the first, when there are several."""
    if isinstance(model, BaseChatModel):
        return model
    return next(filter(None, map(chat_model, inside(model))), None)


def name_of(model: Any) -> str | None:
    """The name that the chat model at the bottom of a Runnable goes by."""
    bottom = chat_model(model)
    return bottom._get_ls_params().get("ls_model_name") if bottom else None


def provider_of(model: Any) -> str:
    """Who serves the chat model at the bottom of a Runnable, as LangChain calls it; "" if unknown."""
    bottom = chat_model(model)
    return str(bottom._get_ls_params().get("ls_provider") or "") if bottom else ""


def altered(part: Any, **fields: Any) -> Any:
    """A copy of a Runnable with these fields set in its chat models."""
    if isinstance(part, BaseChatModel):
        held = {name: altered(value, **fields) for name, value in _models_in(part).items()}
        return part.model_copy(update={**held, **fields})
    if isinstance(part, dict):
        return {name: altered(value, **fields) for name, value in part.items()}
    if isinstance(part, list):
        return [altered(value, **fields) for value in part]
    if inside(part):
        return part.model_copy(update=altered(vars(part), **fields))
    return part


def written(model: Any, bound: Mapping[str, Any], config: RunnableConfig) -> str:
    """What a Runnable asks and with which parameters; what only reads the answer is left out."""
    if isinstance(model, DynamicRunnable):
        model, config = model.prepare(config)
    if isinstance(model, BaseChatModel):
        return model._get_llm_string(**plain(bound))
    if isinstance(model, RunnableBindingBase):
        return written(model.bound, {**model.kwargs, **bound}, config)
    parts = inside(model)
    while parts and chat_model(parts[-1]) is None:
        parts.pop()
    if parts:
        return json.dumps([type(model).__qualname__, *(written(p, bound, config) for p in parts)])
    if isinstance(model, Serializable) and model.is_lc_serializable():
        return dumps(model)
    told = repr(model)  # a Runnable that cannot tell its parameters is known by its name alone
    return told if " at 0x" not in told else f"{type(model).__qualname__} {model.get_name()}"


def signed(method: Way) -> Way:
    """Read a method's signature now: LangChain asks for it twice a call, and reads it each time."""
    method.__signature__ = signature(method)  # type: ignore[attr-defined]
    return method


def told(
    model: Runnable[Any, Any], asked: Any, config: RunnableConfig, *, whole: bool, **kwargs: Any
) -> Iterator[Any]:
    """A model's answer, whole or as it comes."""
    if whole:
        yield model.invoke(asked, config, **kwargs)
    else:
        yield from model.stream(asked, config, **kwargs)


async def atold(
    model: Runnable[Any, Any], asked: Any, config: RunnableConfig, *, whole: bool, **kwargs: Any
) -> AsyncIterator[Any]:
    """As `told`."""
    if whole:
        yield await model.ainvoke(asked, config, **kwargs)
    else:
        async for chunk in model.astream(asked, config, **kwargs):
            yield chunk


def plain(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with a class's schema in place of the class, of which only the name would show."""
    return {
        name: _plain(value)
        for name, value in kwargs.items()
        if name != "ls_structured_output_format"
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return fields(value) if isinstance(value, type) else value


def _models_in(model: BaseChatModel) -> dict[str, dict[str, Any]]:
    """The fields of a chat model in which it holds others by name, as a multiplexer does."""
    return {
        name: value
        for name, value in vars(model).items()
        if isinstance(value, dict) and any(isinstance(one, Runnable) for one in value.values())
    }

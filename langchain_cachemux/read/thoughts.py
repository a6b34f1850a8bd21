"""A model's thinking is signed for itself alone: another model is shown the answer without it.

Providers refuse thinking that another model signed, be it one of their own. And in the midst of tool
calls some refuse a turn from which it is missing, so there nobody but its author can go on
(`unfinished`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langchain_cachemux.read import metadata

_THINKING = ("thinking", "redacted_thinking", "reasoning", "reasoning_content", "thought")
_SIGNED = ("signature", "thought_signature", "encrypted_content")
_NUMBERED = ("text", "function_call", "refusal")
"""Blocks whose `id` is a provider's own, and names the thinking they came with."""
_THOUGHT = re.compile("reasoning|thinking|thought")
_BESIDE = re.compile(f"{_THOUGHT.pattern}|__openai_function_call_ids__")
"""Names in `additional_kwargs` of what another model must not be shown."""
_DATE = re.compile(r"[-@:]\d{4}-?\d\d-?\d\d$")


def without_foreign_thoughts(
    messages: Sequence[BaseMessage], names: Collection[str]
) -> list[BaseMessage]:
    """Return a conversation as a model may be shown it; what others thought is left out.

    Args:
        messages: The conversation. Who wrote a turn is read from its metadata; where they do not tell,
            the turn is left as it is.
        names: What the model that is to read it goes by; dates behind a name are passed over.
    """
    own = {None, *map(_undated, names)}
    return [
        _bare(message)
        if isinstance(message, AIMessage) and _author(message) not in own
        else message
        for message in messages
    ]


def may_think(message: BaseMessage) -> bool:
    """Whether it is an answer that holds more than words, among which thinking may be."""
    return isinstance(message, AIMessage) and bool(
        message.additional_kwargs or message.tool_calls or not isinstance(message.content, str)
    )


def author(messages: Sequence[BaseMessage]) -> tuple[str, float] | None:
    """Return who answered the turn before, and at what cost, where a multiplexer was asked."""
    told = metadata.read(_last(messages))
    return (told["model"], told["cost"]) if told and told["model"] else None


def unfinished(messages: Sequence[BaseMessage]) -> bool:
    """Whether a model that thought before it called tools is about to be told what came of them."""
    last = _last(messages)
    if last is None or not last.tool_calls or not isinstance(messages[-1], ToolMessage):
        return False
    held = [*last.content, *last.tool_calls]
    return any(isinstance(part, dict) and _thought(part) for part in held) or any(
        _THOUGHT.search(name) for name in last.additional_kwargs
    )


def _last(messages: Sequence[BaseMessage]) -> AIMessage | None:
    return next((m for m in reversed(messages) if isinstance(m, AIMessage)), None)


def _author(message: AIMessage) -> str | None:
    told = metadata.read(message)
    stated = message.response_metadata
    name = (told and told["model"]) or stated.get("model_name") or stated.get("model")
    return _undated(name) if isinstance(name, str) else None


def _undated(name: str) -> str:
    return _DATE.sub("", name)


def _bare(message: AIMessage) -> AIMessage:
    """The answer without its thinking; itself when there is none."""
    content = message.content
    if isinstance(content, list):
        content = [
            block if isinstance(block, str) else _unsigned(block)
            for block in content
            if isinstance(block, str) or block.get("type") not in _THINKING
        ]
    extra = {k: v for k, v in message.additional_kwargs.items() if not _BESIDE.search(k)}
    calls = [_unsigned(call) for call in message.tool_calls]
    was = (message.content, message.additional_kwargs, message.tool_calls)
    if (content, extra, calls) == was:
        return message
    update = {"content": content, "additional_kwargs": extra, "tool_calls": calls}
    return message.model_copy(update=update)


def _thought(block: Mapping[str, Any]) -> bool:
    extras = block.get("extras") or {}
    return block.get("type") in _THINKING or any(n in block or n in extras for n in _SIGNED)


def _unsigned(block: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in block.items() if name not in _SIGNED}
    if kept.get("type") in _NUMBERED:
        kept.pop("id", None)
    if isinstance(kept.get("extras"), Mapping):
        kept["extras"] = {n: v for n, v in kept["extras"].items() if n not in _SIGNED}
    return kept

"""A model's thinking is signed for itself alone: another model is shown the answer without it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from langchain_cachemux.read import metadata

_THINKING = ("thinking", "redacted_thinking", "reasoning", "reasoning_content", "thought")
_SIGNED = ("signature", "thought_signature", "encrypted_content")


def without_foreign_thoughts(
    messages: Sequence[BaseMessage], names: Collection[str]
) -> list[BaseMessage]:
    """Return a conversation as a model may be shown it; what others thought is left out.

    Args:
        messages: The conversation. Who wrote a turn is read from its metadata; where they do not tell,
            the turn is left as it is.
        names: What the model that is to read it goes by.
    """
    return [
        _bare(message)
        if isinstance(message, AIMessage) and _author(message) not in (None, *names)
        else message
        for message in messages
    ]


def author(messages: Sequence[BaseMessage]) -> tuple[str, float] | None:
    """Return who answered the turn before, and at what cost, where a multiplexer was asked."""
    last = next((m for m in reversed(messages) if isinstance(m, AIMessage)), None)
    told = metadata.read(last)
    return (told["model"], told["cost"]) if told and told["model"] else None


def _author(message: AIMessage) -> str | None:
    told = metadata.read(message)
    stated = message.response_metadata
    return (told and told["model"]) or stated.get("model_name") or stated.get("model")


def _bare(message: AIMessage) -> AIMessage:
    content = message.content
    if isinstance(content, list):
        content = [
            block if isinstance(block, str) else _unsigned(block)
            for block in content
            if isinstance(block, str) or block.get("type") not in _THINKING
        ]
    extra = {
        name: value
        for name, value in message.additional_kwargs.items()
        if not any(word in name for word in ("reasoning", "thinking", "thought"))
    }
    if content == message.content and extra == message.additional_kwargs:
        return message
    return message.model_copy(update={"content": content, "additional_kwargs": extra})


def _unsigned(block: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in block.items() if name not in _SIGNED}
    if isinstance(kept.get("extras"), Mapping):
        kept["extras"] = {n: v for n, v in kept["extras"].items() if n not in _SIGNED}
    return kept

"""What a request needs of a model: its length, and the kinds of input and output beyond plain words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables.base import RunnableBindingBase

from langchain_cachemux.read.runnables import chat_model, inside
from langchain_cachemux.types import Needs

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

TOOLS, STRUCTURE, SCHEMA = "tools", "structured output", "a response format"
_DECLARED = {
    "image": "image_inputs",
    "audio": "audio_inputs",
    "video": "video_inputs",
    "PDF": "pdf_inputs",
    TOOLS: "tool_calling",
    SCHEMA: "structured_output",
}
"""The field of LangChain's model profile that says whether a model takes a kind."""
_BLOCKS = ("image", "audio", "video", "file")


def needs_of(messages: Sequence[BaseMessage], parameters: Mapping[str, Any]) -> Needs:
    """Return what a request needs.

    Args:
        messages: The conversation. Tokens are counted approximately, as LangChain does.
        parameters: Of the call; tools among them are a kind of their own.
    """
    blocks = [message for message in messages if isinstance(message.content, list)]
    kinds = {kind for message in blocks for kind in _kinds(message)}
    if parameters.get("tools") or parameters.get("functions"):
        kinds.add(TOOLS)
    if _is_schema(parameters.get("response_format")):
        kinds |= {STRUCTURE, SCHEMA}
    return Needs(count_tokens_approximately(messages), frozenset(kinds))


def bound(model: Any) -> dict[str, Any]:
    """Return the parameters bound to the chat model at the bottom of a Runnable."""
    if isinstance(model, RunnableBindingBase):
        return {**bound(model.bound), **model.kwargs}
    return next((bound(part) for part in inside(model) if chat_model(part) is not None), {})


def lacking(model: Any, needs: Needs) -> str:
    """Say what a model lacks for a request by its own profile; empty when nothing, or nobody knows."""
    profile = profile_of(model)
    longest = profile.get("max_input_tokens")
    if longest is not None and needs.tokens > longest:
        return f"about {needs.tokens} tokens, and it reads {longest}"
    missing = [k for k in sorted(needs.kinds) if profile.get(_DECLARED.get(k, ""), True) is False]
    return f"it does not take {', '.join(missing)}" if missing else ""


def common_profile(models: Iterable[Any]) -> dict[str, Any]:
    """Return what a profile says of all models: of numbers the least, of abilities what all have.

    What only some say, and what they say differently, is left out.
    """
    first, *others = [profile_of(model) for model in models]
    common = {}
    for name, value in first.items():
        values = [value, *(profile.get(name) for profile in others)]
        if all(isinstance(v, int) for v in values):
            common[name] = min(values)
        elif all(v == value for v in values):
            common[name] = value
    return common


def profile_of(model: Any) -> Mapping[str, Any]:
    """Return what LangChain's profile says of the chat model at the bottom of a Runnable."""
    bottom = chat_model(model)
    return (getattr(bottom, "profile", None) if bottom else None) or {}


def _kinds(message: BaseMessage) -> Iterator[str]:
    for block in message.content_blocks:
        if block["type"] in _BLOCKS:
            yield "PDF" if block.get("mime_type") == "application/pdf" else block["type"]


def _is_schema(response_format: Any) -> bool:
    """Whether it is a schema: every model that writes can be asked for plain JSON."""
    if isinstance(response_format, Mapping):
        return response_format.get("type") == "json_schema"
    return response_format is not None

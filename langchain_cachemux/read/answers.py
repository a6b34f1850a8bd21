"""What is stored and handed out: generations as JSON, and a fresh copy of them at every hit.

Nothing but messages and generations can come out of a stored answer, whatever was written into it:
there is no pickle, and no reviver that looks up classes by name.
"""

from __future__ import annotations

import json
import re
from copy import copy
from datetime import date, time, timedelta
from decimal import Decimal
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from langchain_core.messages import AIMessage, BaseMessage, message_to_dict, messages_from_dict
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGeneration, Generation
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_WHOLE = (
    "stop|stop_sequence|stop_token|stopped|end|end_turn|end_of_turn|endoftext|eos|eos_token|eot"
    "|complete|completed|finish|finished|done|success|tool_call|tool_calls|tool_use|function_call"
)
_ENDED_WELL = re.compile(rf"((finish_?reason|reason)[._])?({_WHOLE})(\1?({_WHOLE}))*")
"""A stream that is put together from chunks may tell its reason several times over."""
_FAILED = {"failed", "incomplete", "cancelled", "canceled", "in_progress", "queued", "expired"}
"""The status of a response that is none yet, or never will be one; some say other things by `status`."""
_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "completion_reason")
_HIDDEN = ("text", "reasoning", "thinking", "redacted_thinking", "reasoning_content")
"""Blocks that show nothing, or show it in the answer's text."""
_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_MESSAGES = ("ai", "AIMessageChunk")
_NESTED = (dict, list)
_TOOL_BLOCKS = ("tool_call", "tool_use", "function_call")


class NoMessageError(TypeError):
    """What was given as a model answers with something else than a message."""

    def __init__(self, answer: object, name: str = "") -> None:
        who = f"model {name!r}" if name else "a model"
        super().__init__(f"{who} must answer with an AIMessage, got {answer!r}")


def objection(
    generations: Sequence[Generation], cacheable: Callable[[AIMessage], Any] | None = None
) -> str | None:
    """Say why an answer must not be served again, or None.

    It must have ended as whole answers are known to: what a provider says of its end is looked up among
    the good reasons, so that a new kind of failure is not taken for an answer. One that says nothing is
    taken to be whole.

    Args:
        generations: The answer.
        cacheable: Whether a message may be served again, in place of the reasons known here; a refusal,
            and what is empty or calls tools in a way that cannot be parsed, may not in any case.
    """
    if not generations:
        return "there is no answer"
    for generation in generations:
        message = message_of(generation)
        reason = _flaw(generation, message)
        if reason is None and message is not None and cacheable is not None:
            reason = None if _says_true(cacheable(message)) else "cacheable did not say True"
        elif reason is None:
            reason = _bad_end(generation, message)
        if reason is not None:
            return reason
    return None


def _says_true(said: object) -> bool:
    """Whether a hook said True; a coroutine says nothing."""
    if iscoroutine(said):
        said.close()
    return said is True


def _bad_end(generation: Generation, message: AIMessage | None) -> str | None:
    """The reason why an answer was not ended, as far as its provider told one."""
    told = message.response_metadata if message else {}
    for source in (generation.generation_info or {}, told):
        for name in _REASONS:
            reason = source.get(name)
            if reason and not _ENDED_WELL.fullmatch(str(reason).casefold()):
                return f"the answer did not end well: {reason}"
        details = source.get("incomplete_details") or {}
        if details.get("reason") or str(source.get("status")).casefold() in _FAILED:
            return f"the answer did not end well: {details.get('reason') or source['status']}"
    return None


def _flaw(generation: Generation, message: AIMessage | None) -> str | None:
    """What is wrong with the answer itself."""
    blocks = _blocks(message)
    refused = any(b.get("type") == "refusal" for b in blocks)
    if refused or (message and message.additional_kwargs.get("refusal")):
        return "the model refused"
    if message and message.invalid_tool_calls:
        return "the answer calls a tool in a way that cannot be parsed"
    if any(b.get("type") not in _HIDDEN for b in blocks) or (message and message.tool_calls):
        return None
    said = _THOUGHT.sub("", generation.text).strip()
    if said.startswith("<think"):
        return "the model was still thinking"
    return None if said else "the answer is empty"


def calls_tools(generations: Sequence[Generation]) -> bool:
    """True when an answer's meaning lies in arguments copied from the very words of the question."""
    return any(m.tool_calls for m in map(message_of, generations) if m)


def write(generations: Sequence[Generation], *, prompt: str = "") -> str:
    """Return the generations as JSON.

    Args:
        generations: Plain or chat generations; their messages must be the model's.
        prompt: What was asked, to estimate the usage of an answer that reports none: a hit without
            usage would break LangChain's own serialisation of it.

    Raises:
        ValueError: They hold something that JSON cannot.
    """
    try:
        written = [_written(generation, prompt) for generation in generations]
        text = json.dumps(written, default=_in_json)
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"the answer cannot be serialised: {error}"
        raise ValueError(msg) from error
    read(text)
    return text


def read(text: str) -> list[Generation]:
    """Return fresh generations: no message id, no block ids, new ids for tool calls.

    An id that came back would make LangGraph replace the earlier answer, and a provider reject the
    conversation.

    Raises:
        ValueError: The text is not what `write` returns.
    """
    try:
        generations = [_read(item) for item in json.loads(text)]
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        msg = f"not a stored answer: {error!r}"
        raise ValueError(msg) from error
    if not generations:
        msg = "not a stored answer: it is empty"
        raise ValueError(msg)
    return generations


def is_repeatable(generations: Sequence[Generation]) -> bool:
    """Whether a copy is as good as reading it again: no call in it needs an id of its own."""
    return not any(
        m.tool_calls
        or m.invalid_tool_calls
        or m.model_extra
        or "tool_calls" in m.additional_kwargs
        or any(block.get("type") in _TOOL_BLOCKS for block in _blocks(m))
        for m in filter(None, map(message_of, generations))
    )


def copied(generation: Generation) -> Generation:
    """Return a copy that shares nothing that can be changed."""
    fresh = copy(generation)
    # set as they are: assigning would check again what was checked when it was read
    fields = vars(fresh)
    fields["generation_info"] = _copied(generation.generation_info)
    if isinstance(generation, ChatGeneration):
        message = copy(generation.message)
        fields["message"] = message
        told = vars(message)
        told |= {name: _copied(value) for name, value in told.items() if type(value) in _NESTED}
    return fresh


def _copied(value: Any) -> Any:
    """A copy of what was read of JSON."""
    if isinstance(value, dict):
        return {n: _copied(one) if type(one) in _NESTED else one for n, one in value.items()}
    return [*map(_copied, value)] if isinstance(value, list) else value


def message_of(generation: Generation) -> AIMessage | None:
    """Return the model's message in a chat generation."""
    message = getattr(generation, "message", None)
    return message if isinstance(message, AIMessage) else None


def stated(answer: AIMessage | Generation) -> str:
    """What an answer says, to be compared: its object or the calls it makes as JSON, or its words."""
    message = message_of(answer) if isinstance(answer, Generation) else answer
    if message is None:
        return answer.text
    if "parsed" in message.additional_kwargs:
        return json.dumps(message.additional_kwargs["parsed"], sort_keys=True, default=str)
    if message.tool_calls:
        calls = [{"name": call["name"], "args": call["args"]} for call in message.tool_calls]
        return json.dumps(calls, sort_keys=True, default=str)
    return message.text


def _written(generation: Generation, prompt: str) -> dict[str, Any]:
    written = {"text": generation.text, "info": generation.generation_info}
    if isinstance(generation, ChatGeneration):
        message = message_to_dict(_with_plain_object(generation.message))
        data = message["data"]
        data["id"] = None
        if not data.get("usage_metadata"):
            into = count_tokens_approximately([prompt])
            out = count_tokens_approximately([generation.message])
            tokens = {"input_tokens": into, "output_tokens": out, "total_tokens": into + out}
            data["usage_metadata"] = tokens
        written["message"] = message
    return written


def _with_plain_object(message: BaseMessage) -> BaseMessage:
    """The message with the object that its client parsed in JSON's types, and by its aliases."""
    parsed = message.additional_kwargs.get("parsed")
    if not isinstance(parsed, BaseModel):
        return message
    plain = parsed.model_dump(mode="json", by_alias=True, round_trip=True)
    extra = {**message.additional_kwargs, "parsed": plain}
    return message.model_copy(update={"additional_kwargs": extra})


def _in_json(value: object) -> Any:
    """A date, a decimal or an id as text, as pydantic reads it back; nothing else is altered to fit."""
    if isinstance(value, date | time | timedelta | Decimal | UUID):
        return to_jsonable_python(value)
    msg = f"{type(value).__name__} has no form in JSON"
    raise TypeError(msg)


def _read(item: Mapping[str, Any]) -> Generation:
    if "message" not in item:
        return Generation(text=item["text"], generation_info=item["info"])
    stored = item["message"]
    if stored["type"] not in _MESSAGES:
        msg = f"not a model's message: {stored['type']!r}"
        raise ValueError(msg)
    _renew_ids(stored["data"])
    (message,) = messages_from_dict([stored])
    return ChatGeneration(message=message, generation_info=item["info"])


def _renew_ids(data: dict[str, Any]) -> None:
    data["id"] = None
    data.get("response_metadata", {}).pop("id", None)
    if _is_dict(reasoning := data["additional_kwargs"].get("reasoning")):
        reasoning.pop("id", None)
    new: dict[Any, str] = {}
    blocks = data["content"] if isinstance(data["content"], list) else []
    calls = [*data.get("tool_calls", []), *data["additional_kwargs"].get("tool_calls", [])]
    for block in filter(_is_dict, blocks):
        if block.get("type") in _TOOL_BLOCKS:
            if "call_id" in block:
                block.pop("id", None)
            calls.append(block)
        elif block.get("type") not in ("server_tool_use", "server_tool_call"):
            block.pop("id", None)
    for call in calls:
        for name in ("id", "call_id"):
            if call.get(name):
                call[name] = new.setdefault(call[name], f"call_{uuid4().hex}")


def _blocks(message: AIMessage | None) -> list[dict[str, Any]]:
    content = message.content if message else ""
    return [b for b in content if isinstance(b, dict)] if isinstance(content, list) else []


def _is_dict(block: object) -> bool:
    return isinstance(block, dict)

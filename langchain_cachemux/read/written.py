"""A conversation as LangChain writes it for a cache: its own JSON, of which each turn is written once.

LangChain asks every field of every message for its default, which takes some 40 µs a turn, and a
conversation is written again with every turn that it grows by. But most of what it writes of a message
does not depend on the words. So what stands around them is remembered, by all that the message holds
beside them, and the words are put in.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from langchain_core.load import dumps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from langchain_core.messages import BaseMessage

WORDS = "What was said is put in here 7d1f0c9a"
"""Stands for the words in what is remembered."""
QUOTED = json.dumps(WORDS)
LONGEST = 4096
"""Characters of what a message holds beside its words; what is longer is written anew each time."""
KINDS = 1024
"""Of which it is remembered how they are written: messages that differ in their words alone."""


def dumped(messages: Sequence[BaseMessage]) -> str:
    """Return a conversation as `langchain_core.load.dumps` writes it, the messages' ids left out."""
    return f"[{', '.join(map(_written, messages))}]"


def _written(message: BaseMessage) -> str:
    kind, words = type(message), message.content
    held = {**vars(message), "id": None}
    if isinstance(words, str):
        held["content"] = WORDS
    if not kind.__module__.startswith("langchain_core.") or message.__pydantic_extra__:
        return _anew(message)  # more may be written of it than what it holds
    try:
        beside = "" if held == _plain(kind) else json.dumps(held)
    except (TypeError, ValueError, RecursionError):  # it holds what only LangChain can write
        return _anew(message)
    parts = _around(kind, beside) if len(beside) <= LONGEST else []
    if parts and not isinstance(words, str):
        return QUOTED.join(parts)
    return json.dumps(words).join(parts) if len(parts) == 2 else _anew(message)  # noqa: PLR2004


def _anew(message: BaseMessage) -> str:
    return dumps(message.model_copy(update={"id": None}))


@lru_cache
def _plain(kind: type[BaseMessage]) -> dict[str, Any]:
    """What a message holds that is nothing but words."""
    return vars(_made(kind))


@lru_cache(KINDS)
def _around(kind: type[BaseMessage], held: str) -> list[str]:
    """What LangChain writes before and after the words of a message that holds this beside them."""
    message = _made(kind)
    if held:
        vars(message).clear()
        vars(message).update(json.loads(held))
    return dumps(message).split(QUOTED)


def _made(kind: type[BaseMessage]) -> BaseMessage:
    words: dict[str, Any] = {"content": WORDS, "id": None}
    return kind.model_construct(**words)

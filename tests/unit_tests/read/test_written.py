"""`dumped` against LangChain's own `dumps`, which is slower and defines what is right."""

import json
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata

from langchain_cachemux.read import written
from langchain_cachemux.read.written import LONGEST, QUOTED, WORDS, dumped

TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", WORDS, QUOTED, f"so: {QUOTED}", "lc", '"', "\\", "\ud83d"]
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
TOLD = st.dictionaries(TEXTS | st.just("lc"), PLAIN, max_size=3)
BLOCKS = st.lists(TEXTS | st.builds(lambda text: {"type": "text", "text": text}, TEXTS), max_size=3)
CALLS = st.lists(
    st.fixed_dictionaries({"name": TEXTS, "args": TOLD, "id": st.none() | TEXTS}), max_size=2
)


class Remark(HumanMessage):
    """A kind of message of somebody's own, which tells more than it holds."""

    @property
    def lc_attributes(self) -> dict[str, Any]:
        return {"length": len(self.content)}


@st.composite
def messages(draw):
    words = draw(TEXTS | BLOCKS)
    told = {
        "name": draw(st.none() | TEXTS),
        "additional_kwargs": draw(TOLD),
        "response_metadata": draw(TOLD),
        "id": draw(st.none() | TEXTS),
    }
    kind = draw(st.sampled_from([HumanMessage, SystemMessage, AIMessage, ToolMessage, Remark]))
    if kind is AIMessage:
        told |= {"tool_calls": draw(CALLS), "usage_metadata": None}
    if kind is ToolMessage:
        told |= {"tool_call_id": draw(TEXTS), "artifact": draw(PLAIN), "status": "error"}
    if draw(st.booleans()):
        told = {name: told[name] for name in ("id", "tool_call_id") if name in told}
    return kind(words, **told)


def by_langchain(conversation):
    return dumps([message.model_copy(update={"id": None}) for message in conversation])


@given(st.lists(messages(), max_size=4))
def test_a_conversation_is_written_as_langchain_writes_it(conversation):
    assert dumped(conversation) == by_langchain(conversation)
    assert dumped(conversation) == by_langchain(conversation)  # from what is remembered


KINDS = {
    "usage": AIMessage(
        "Hi", usage_metadata=UsageMetadata(input_tokens=1, output_tokens=2, total_tokens=3)
    ),
    "a chunk": AIMessageChunk(content="Hi", chunk_position="last"),
    "a role": ChatMessage(content="Hi", role="critic"),
    "a function": FunctionMessage(content="Hi", name="f"),
    "a date": HumanMessage("Hi", additional_kwargs={"at": datetime(2026, 1, 1, tzinfo=UTC)}),
    "a message": HumanMessage("Hi", additional_kwargs={"said": AIMessage("before", id="1")}),
    "a pair": HumanMessage("Hi", additional_kwargs={("a", "pair"): 1}),
    "a field more": HumanMessage("Hi", mood="good"),
    "somebody's own": Remark(content="Hi"),
}


@pytest.mark.parametrize("message", KINDS.values(), ids=KINDS)
def test_every_kind_of_message_is_written_as_langchain_writes_it(message):
    assert dumped([message, message]) == by_langchain([message, message])


def test_what_is_changed_in_a_message_is_written_anew():
    message = AIMessage("Hi", response_metadata={"model": "small"})
    before = dumped([message])
    message.response_metadata["model"] = "large"
    assert before != dumped([message]) == by_langchain([message])


def test_langchain_is_asked_once_for_messages_that_differ_in_their_words_alone():
    said = {"response_metadata": {"model": "one that nobody else asks"}}
    with patch.object(written, "dumps", wraps=dumps) as asked:
        dumped([AIMessage(words, **said) for words in ("Hi", "Ho", "")])
    assert asked.call_count == 1


def test_long_remarks_are_not_remembered():
    long = HumanMessage("Hi", additional_kwargs={"file": "x" * LONGEST})
    held = written._around.cache_info().currsize
    assert json.loads(dumped([long]))[0]["kwargs"]["additional_kwargs"]["file"]
    assert written._around.cache_info().currsize == held

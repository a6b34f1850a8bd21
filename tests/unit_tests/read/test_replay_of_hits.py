"""A stored answer told again: what its pieces come to, and what whoever listens hears."""

import json
from functools import reduce
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from langchain_cachemux.read.replay import PIECES, Replay, chunk_of, free, untold

CALL = {"name": "add", "args": {"a": 1, "b": [2]}, "id": "call_1", "type": "tool_call"}
THOUGHT = {"type": "thinking", "thinking": "Let me see.", "signature": "abc"}
WORDS = {"type": "text", "text": "It is Paris."}
USED = {"type": "tool_use", "id": "call_1", "name": "add", "input": {"a": 1, "b": [2]}}
ANSWERS = {
    "words": AIMessage("It is  Paris,\n surely.", response_metadata={"model_name": "small"}),
    "a call": AIMessage("", tool_calls=[CALL]),
    "words and two calls": AIMessage("Wait", tool_calls=[CALL, {**CALL, "id": "call_2"}]),
    "blocks": AIMessage([THOUGHT, WORDS]),
    "blocks and a call": AIMessage([WORDS, USED], tool_calls=[CALL]),
    "something beside": AIMessage("x", additional_kwargs={"parsed": {"a": 1}}),
}
third_protocol = pytest.mark.skipif(
    not hasattr(BaseChatModel, "stream_events"), reason="it came with a later langchain-core"
)
every_answer = pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)


def whole(chunks):
    return reduce(add, chunks)


def unnumbered(content):
    """Blocks without the number that tells which a piece belongs to."""
    if isinstance(content, str):
        return content
    return [{name: value for name, value in b.items() if name != "index"} for b in content]


@every_answer
def test_the_pieces_of_an_answer_come_to_the_answer(answer):
    told = whole(Replay(message=answer).stream("?"))
    assert unnumbered(told.content) == answer.content
    for name in ("tool_calls", "additional_kwargs", "response_metadata"):
        assert getattr(told, name) == getattr(answer, name)
    assert told.usage_metadata["total_cost"] == told.usage_metadata["total_tokens"] == 0


@every_answer
def test_whole_it_is_the_answer_as_a_run_that_used_nothing(answer):
    told = Replay(message=answer).invoke("?")
    assert (told.content, told.tool_calls) == (answer.content, answer.tool_calls)
    assert told.usage_metadata == free(None)
    assert told.id.startswith("lc_run")


@every_answer
@third_protocol
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_its_events_obey_the_protocol(answer):
    stream = Replay(message=answer).stream_events("?", version="v3")
    events = list(stream)
    assert_valid_event_stream(events)
    assert events[-1]["event"] == "message-finish"
    assert stream.output.text == answer.text
    assert [call["args"] for call in stream.output.tool_calls] == [
        call["args"] for call in answer.tool_calls
    ]


@given(st.text())
def test_any_text_is_cut_between_words_into_few_pieces_that_come_to_it(text):
    *pieces, last = Replay(message=AIMessage(text)).stream("?")
    assert "".join(piece.content for piece in pieces) == text
    assert len(pieces) <= PIECES
    assert all(piece.content.split() == piece.content.strip().split() for piece in pieces)
    assert (last.content, last.chunk_position) == ("", "last")


def test_what_is_told_does_not_reach_the_answer():
    answer = AIMessage([dict(WORDS)], response_metadata={"a": {"b": 1}})
    for told in (Replay(message=answer).invoke("?"), whole(Replay(message=answer).stream("?"))):
        told.content[0]["text"] = told.response_metadata["a"]["b"] = "spoilt"
    assert answer == AIMessage([WORDS], response_metadata={"a": {"b": 1}})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "total_cost": 0}),
        (
            {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10, "total_cost": 0.2},
            {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10, "total_cost": 0},
        ),
    ],
)
def test_a_stored_answer_keeps_its_tokens_and_costs_nothing(before, after):
    assert free(before) == after
    json.dumps(free(before))


def test_a_chunk_for_the_caller_lacks_what_the_last_one_of_the_stream_tells():
    chunk = AIMessageChunk(
        "x", response_metadata={"cachemux": {}, "model_name": "m"}, usage_metadata=free(None)
    )
    assert untold(chunk) == AIMessageChunk("x", response_metadata={"model_name": "m"})
    assert chunk_of(chunk) is chunk

"""Metadata: what was written is read, and what anybody else may have written is nothing."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, message_to_dict
from langchain_core.outputs import ChatGeneration, Generation

from langchain_cachemux.read import answers, metadata
from langchain_cachemux.types import Entry, Hit, Query

HIT = {"hit": "semantic", "similarity": 0.9, "model": "small", "cost": 0.0, "saved": 2.5}
ROUTE = {
    "model": "large",
    "route": "small",
    "reason": "least lower bound",
    "escalated": True,
    "estimates": {"small": {"mean": 1.0, "width": None}, "large": {"mean": 2.0, "width": 0.5}},
    "cost": 3.0,
    "seconds": 0.25,
}


@pytest.mark.parametrize("told", [HIT, ROUTE])
@pytest.mark.parametrize("kind", [AIMessage, AIMessageChunk])
def test_what_is_written_is_read_also_after_a_journey_through_json(told, kind):
    before = kind("Paris", response_metadata={"model_name": "m"})
    message = metadata.write(before, told)
    assert metadata.read(message) == told
    assert message.response_metadata["model_name"] == "m"
    assert before.response_metadata == {"model_name": "m"}  # what was given is not written on
    again = json.loads(json.dumps(message_to_dict(message)))["data"]
    assert metadata.read(AIMessage(**{**again, "type": "ai"})) == told


def test_a_later_account_takes_the_place_of_an_earlier():
    message = metadata.write(metadata.write(AIMessage(""), ROUTE), HIT)
    assert metadata.read(message) == HIT


@pytest.mark.parametrize("message", [None, AIMessage("x"), HumanMessage("x")])
def test_a_message_that_says_nothing_says_nothing(message):
    assert metadata.read(message) is None


@pytest.mark.parametrize("told", [HIT, ROUTE])
def test_a_form_with_one_field_missing_or_of_the_wrong_kind_is_passed_over(told):
    for name in told.keys() - {"similarity"}:
        for broken in (
            {k: v for k, v in told.items() if k != name},
            {**told, name: object()},
            {**told, name: [told[name]]},
        ):
            message = AIMessage("x", response_metadata={"cachemux": broken})
            assert metadata.read(message) is None, name


@pytest.mark.parametrize("cost", [-0.01, math.nan, math.inf, "1", None, True])
def test_no_cost_is_believed_that_is_no_amount(cost):
    for told in (HIT, ROUTE):
        message = AIMessage("x", response_metadata={"cachemux": {**told, "cost": cost}})
        assert metadata.read(message) is None


def test_what_a_later_version_adds_does_no_harm():
    message = AIMessage("x", response_metadata={"cachemux": {**HIT, "weather": "fine"}})
    assert metadata.read(message) == HIT


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*HIT, *ROUTE]) | st.text(max_size=3), inner, max_size=8)
    ),
)


@given(JSON)
def test_whatever_stands_there_nothing_is_raised(told):
    found = metadata.read(AIMessage("x", response_metadata={"cachemux": told}))
    assert found is None or found["cost"] >= 0


# Copies


def hit(key, *generations, of=None):
    entry = Entry(of or key, cost=2.5, answer=answers.write(generations))
    return Hit(Query(key), entry, "exact")


def said(text, **metadata):
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    message = AIMessage(text, usage_metadata=usage, response_metadata=metadata)
    return ChatGeneration(message=message)


@pytest.fixture
def reads(monkeypatch):
    """The answers that are read from what is stored."""
    seen, read = [], answers.read
    monkeypatch.setattr(answers, "read", lambda text: seen.append(text) or read(text))
    return seen


def test_each_hit_says_what_it_is_however_often_the_answer_was_read(reads):
    copies = metadata.Copies()
    found = [copies.handed_out(hit(key, said("Paris", model_name="m"), of="a"))[0] for key in "abc"]
    assert [metadata.read(one.message)["key"] for one in found] == ["a", "b", "c"]
    assert {metadata.read(one.message)["model"] for one in found} == {"m"}
    assert {one.message.text for one in found} == {"Paris"}
    reads.clear()
    copies.handed_out(hit("a", said("Paris", model_name="m")))
    assert len(reads) == 1  # by `write` of this test
    assert metadata.read(found[0].message)["key"] == "a"


def test_what_is_too_long_or_was_forgotten_is_read_anew(reads):
    copies, plain = metadata.Copies(size=1, longest=40), Generation(text="Paris")
    for generation, read in ((plain, 1), (plain, 0), (Generation(text="x" * 40), 1), (plain, 0)):
        asked = hit("a", generation)
        reads.clear()
        assert copies.handed_out(asked) == [generation]
        assert len(reads) == read
    copies.clear()
    copies.handed_out(asked)
    assert len(reads) == 1


def test_a_call_has_another_id_at_every_hit():
    call = {"name": "weather", "args": {}, "id": "call_1", "type": "tool_call"}
    copies, asked = (
        metadata.Copies(),
        hit("a", ChatGeneration(message=AIMessage("", tool_calls=[call]))),
    )
    ids = {copies.handed_out(asked)[0].message.tool_calls[0]["id"] for _ in range(3)}
    assert len(ids) == 3

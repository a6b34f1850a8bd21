"""Metadata: what was written is read, and what anybody else may have written is nothing."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, message_to_dict

from langchain_cachemux.read import metadata

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

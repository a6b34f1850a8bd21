"""`needs_of` and `lacking`: what a request needs, and what a model's own profile says it cannot do."""

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_cachemux.read.needs import SCHEMA, STRUCTURE, TOOLS, bound, lacking, needs_of
from langchain_cachemux.types import Needs

IMAGE = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}
OPENAI_IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
ANTHROPIC_IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
}
AUDIO = {"type": "audio", "base64": "aGk=", "mime_type": "audio/wav"}
OPENAI_AUDIO = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
PDF = {"type": "file", "base64": "aGk=", "mime_type": "application/pdf"}
CSV = {"type": "file", "base64": "aGk=", "mime_type": "text/csv"}


class Person(BaseModel):
    """A person."""

    name: str


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def model(**profile):
    return FakeListChatModel(responses=["yes"], profile=profile or None)


def kinds(*content, **parameters):
    return needs_of([HumanMessage(list(content) or "Hi")], parameters).kinds


@pytest.mark.parametrize(
    ("blocks", "kind"),
    [
        ([{"type": "text", "text": "Hi"}], None),
        (["Hi"], None),
        ([IMAGE], "image"),
        ([OPENAI_IMAGE], "image"),
        ([ANTHROPIC_IMAGE], "image"),
        ([AUDIO], "audio"),
        ([OPENAI_AUDIO], "audio"),
        ([{"type": "video", "base64": "aGk=", "mime_type": "video/mp4"}], "video"),
        ([PDF], "PDF"),
        ([CSV], "file"),
        ([{"type": "something new"}], None),
    ],
)
def test_the_kinds_are_those_of_the_blocks_in_whatever_form_they_come(blocks, kind):
    assert kinds({"type": "text", "text": "What is it?"}, *blocks) == ({kind} if kind else set())


def test_a_picture_in_an_earlier_turn_or_from_a_tool_is_needed_too():
    turns = [
        SystemMessage("Be brief"),
        HumanMessage([IMAGE]),
        AIMessage("A cat"),
        ToolMessage([AUDIO], tool_call_id="1"),
        HumanMessage("And now?"),
    ]
    assert needs_of(turns, {}).kinds == {"image", "audio"}


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({}, set()),
        ({"tools": []}, set()),
        ({"tools": [{"type": "function"}]}, {TOOLS}),
        ({"functions": [{"name": "f"}]}, {TOOLS}),
        ({"response_format": {"type": "json_object"}}, set()),
        ({"response_format": {"type": "json_schema"}}, {STRUCTURE, SCHEMA}),
        ({"response_format": Person}, {STRUCTURE, SCHEMA}),
    ],
)
def test_tools_and_schemas_among_the_parameters_are_kinds(parameters, kind):
    assert kinds(**parameters) == kind


def test_a_longer_conversation_needs_more():
    short, long = ([HumanMessage("x" * n)] for n in (40, 4000))
    assert needs_of(short, {}) <= needs_of(long, {})
    assert not needs_of(long, {}) <= needs_of(short, {})
    assert 800 < needs_of(long, {}).tokens < 1200


def test_what_is_bound_is_found_however_a_model_is_wrapped():
    openai = ChatOpenAI(model="gpt-4o", api_key="none")
    tools = openai.bind_tools([add])
    assert "tools" in bound(tools)
    assert "tools" in bound(tools.with_config(tags=["a"]).with_retry())
    assert "tools" in bound(tools | RunnableLambda(lambda answer: answer))
    assert bound(openai.bind(stop=["a"]).bind(stop=["b"])) == {"stop": ["b"]}
    assert bound(openai.with_structured_output(Person))["response_format"]
    assert bound(openai) == {}
    assert bound(RunnableLambda(lambda _: None)) == {}


@pytest.mark.parametrize(
    ("profile", "needs", "why"),
    [
        ({"max_input_tokens": 100}, Needs(100), ""),
        ({"max_input_tokens": 100}, Needs(101), "about 101 tokens, and it reads 100"),
        ({"image_inputs": False}, Needs(1, frozenset({"image"})), "it does not take image"),
        ({"image_inputs": True}, Needs(1, frozenset({"image"})), ""),
        ({"max_input_tokens": 9}, Needs(1, frozenset({"image"})), ""),
        ({"pdf_inputs": False}, Needs(1, frozenset({"PDF"})), "it does not take PDF"),
        ({"pdf_inputs": False}, Needs(1, frozenset({"file"})), ""),
        ({"tool_calling": False}, Needs(1, frozenset({TOOLS})), "it does not take tools"),
        ({"structured_output": False}, Needs(1, frozenset({STRUCTURE})), ""),
        (
            {"structured_output": False},
            Needs(1, frozenset({STRUCTURE, SCHEMA})),
            "it does not take a response format",
        ),
        (
            {"audio_inputs": False, "image_inputs": False},
            Needs(1, frozenset({"image", "audio", "video"})),
            "it does not take audio, image",
        ),
        ({}, Needs(10**9, frozenset({"image"})), ""),
    ],
)
def test_what_a_profile_says_a_model_cannot_do_is_said_in_words(profile, needs, why):
    assert lacking(model(**profile), needs) == why
    assert lacking(model(**profile).with_retry(), needs) == why


def test_nothing_is_known_of_what_is_no_chat_model():
    assert lacking(RunnableLambda(lambda _: None), Needs(10**9)) == ""


def test_the_profiles_that_langchain_ships_are_read():
    old, new = (ChatOpenAI(model=name, api_key="none") for name in ("gpt-3.5-turbo", "gpt-4o"))
    picture = needs_of([HumanMessage([IMAGE])], {})
    assert lacking(old, picture) == "it does not take image"
    assert lacking(new, picture) == ""
    long = needs_of([HumanMessage("word " * 20_000)], {})
    assert "tokens, and it reads" in lacking(old, long)
    assert lacking(new, long) == ""

"""The way from `(prompt, llm_string)` to a key: what must not matter, and what must."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Generic, Literal, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    ToolMessage,
)
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field, create_model

from langchain_cachemux import Query, Reader, SentenceEncoder, any_model
from langchain_cachemux import patience as patience_module
from langchain_cachemux.patience import SPARED, SparedError
from langchain_cachemux.read.prompts import UnstableKeyError


@pytest.fixture
def later(monkeypatch):
    """Lets so much time pass that what failed is tried again."""
    monotonic, passed = time.monotonic, []
    clock = SimpleNamespace(monotonic=lambda: monotonic() + SPARED * len(passed))
    monkeypatch.setattr(patience_module, "time", clock)
    return lambda: passed.append(1)


class Toy(Embeddings):
    """Embeds a text as what it is told, and keeps what it was asked."""

    def __init__(self, *vectors):
        self.vectors = list(vectors)
        self.asked = []

    def embed_query(self, text):
        self.asked.append(text)
        if not self.vectors:
            return [float(len(text)), 1.0, 2.0]
        vector = self.vectors.pop(0)
        if isinstance(vector, Exception):
            raise vector
        return vector

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


class Answer(BaseModel):
    """Looked up by name, as LangChain writes a structured output's class."""

    city: str


READER = Reader(Toy())


def read(*messages, llm="m"):
    return READER.read(dumps(list(messages)), llm)


def call(number, **args):
    return {"name": "weather", "args": args, "id": number, "type": "tool_call"}


SYSTEM = SystemMessage("Be brief.")
HUMAN = HumanMessage("What is the capital of Peru?")
SAID = AIMessage("Lima.")
AGAIN = HumanMessage("And of Chile?")
CALLED = AIMessage("", tool_calls=[call("call_1", city="Lima")])
TOLD = ToolMessage("22 degrees", tool_call_id="call_1")
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}


# What does not matter


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([HUMAN], [HUMAN.model_copy(update={"id": "m-1"})]),
        ([HUMAN], [HumanMessageChunk(content=HUMAN.content)]),
        ([HUMAN], [HumanMessage([{"type": "text", "text": HUMAN.content}])]),
        ([HUMAN], [HumanMessage([{"type": "text", "text": HUMAN.content, "id": "lc_1"}])]),
        ([HUMAN], [HumanMessage(["What is the capital ", "of Peru?"])]),
        ([HUMAN, SAID, AGAIN], [HUMAN, SAID.model_copy(update={"id": "run-7"}), AGAIN]),
        ([HUMAN, SAID, AGAIN], [HUMAN, AIMessageChunk(content="Lima."), AGAIN]),
        ([HUMAN, SAID, AGAIN], [HUMAN, AIMessage([{"type": "text", "text": "Lima."}]), AGAIN]),
        (
            [HUMAN, SAID, AGAIN],
            [HUMAN, AIMessage("Lima.", response_metadata={"finish_reason": "stop"}), AGAIN],
        ),
        (
            [HUMAN, SAID, AGAIN],
            [
                HUMAN,
                AIMessage(
                    "Lima.",
                    usage_metadata={"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
                ),
                AGAIN,
            ],
        ),
        (
            [HUMAN, CALLED, TOLD],
            [
                HUMAN,
                AIMessage("", tool_calls=[call("toolu_9", city="Lima")]),
                ToolMessage("22 degrees", tool_call_id="toolu_9"),
            ],
        ),
        (
            [HUMAN, CALLED, TOLD],
            [
                HUMAN,
                AIMessage(
                    [{"type": "tool_use", "id": "toolu_9", "name": "weather", "input": {}}],
                    tool_calls=[call("toolu_9", city="Lima")],
                ),
                ToolMessage("22 degrees", tool_call_id="toolu_9"),
            ],
        ),
    ],
    ids=[
        "message id",
        "chunk",
        "text block",
        "block id",
        "several blocks",
        "id of an earlier answer",
        "chunk of an earlier answer",
        "text block of an earlier answer",
        "response metadata",
        "usage",
        "tool call ids",
        "tool call as a block",
    ],
)
def test_the_key_does_not_depend_on(one, other):
    one, other = read(*one), read(*other)
    assert one.key == other.key
    assert (one.partition, one.text) == (other.partition, other.text)


# What matters

BASE = (SYSTEM, HUMAN, SAID, AGAIN)


@pytest.mark.parametrize(
    "changed",
    [
        (SYSTEM, HUMAN, SAID, HumanMessage("And of Chile, please?")),
        (SYSTEM, HUMAN, SAID, HumanMessage("and of Chile?")),
        (SystemMessage("Be long."), HUMAN, SAID, AGAIN),
        (HUMAN, SAID, AGAIN),
        (SYSTEM, HumanMessage("What is the capital of Laos?"), SAID, AGAIN),
        (SYSTEM, HUMAN, AIMessage("Cusco."), AGAIN),
        (SYSTEM, HUMAN, AGAIN),
        (SYSTEM, SAID, HUMAN, AGAIN),
        (SYSTEM, HUMAN, HumanMessage("Lima."), AGAIN),
        (SYSTEM, HUMAN, SAID, SystemMessage("And of Chile?")),
        (SYSTEM, HUMAN, SAID, ChatMessage(content="And of Chile?", role="user")),
        (SYSTEM, HUMAN, SAID, HumanMessage("And of Chile?", name="Ana")),
        (SYSTEM, HumanMessage(HUMAN.content, name="Ana"), SAID, AGAIN),
        (SYSTEM, HUMAN, AIMessage("Lima.", name="geographer"), AGAIN),
        (SYSTEM, HUMAN, SAID, HumanMessage([{"type": "text", "text": "And of Chile?"}, PICTURE])),
        (SYSTEM, HUMAN, SAID, HumanMessage("And of Chile?", additional_kwargs={"tone": "loud"})),
        (*BASE, AIMessage("Santi")),
    ],
    ids=[
        "words",
        "case",
        "system prompt",
        "no system prompt",
        "earlier question",
        "earlier answer",
        "no earlier answer",
        "order",
        "role of an earlier turn",
        "role",
        "free role",
        "name",
        "name of an earlier speaker",
        "name of an earlier answerer",
        "picture",
        "provider's own argument",
        "prefilled answer",
    ],
)
def test_the_key_depends_on(changed):
    assert read(*changed).key != read(*BASE).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            [HUMAN, CALLED, TOLD],
            [HUMAN, CALLED, ToolMessage("23 degrees", tool_call_id="call_1")],
        ),
        (
            [HUMAN, CALLED, TOLD],
            [HUMAN, CALLED, ToolMessage("22 degrees", tool_call_id="call_1", status="error")],
        ),
        (
            [HUMAN, CALLED, TOLD],
            [HUMAN, AIMessage("", tool_calls=[call("call_1", city="Cusco")]), TOLD],
        ),
        (
            [
                HUMAN,
                AIMessage("", tool_calls=[call("a", city="Lima"), call("b", city="Cusco")]),
                ToolMessage("22", tool_call_id="a"),
                ToolMessage("14", tool_call_id="b"),
            ],
            [
                HUMAN,
                AIMessage("", tool_calls=[call("a", city="Lima"), call("b", city="Cusco")]),
                ToolMessage("22", tool_call_id="b"),
                ToolMessage("14", tool_call_id="a"),
            ],
        ),
        ([HumanMessage([PICTURE])], [HumanMessage([{**PICTURE, "image_url": {"url": "b.png"}}])]),
        (
            [HumanMessage([{"type": "file", "file_id": "file-1"}])],
            [HumanMessage([{"type": "file", "file_id": "file-2"}])],
        ),
        ([ChatMessage(content="Hi", role="user")], [ChatMessage(content="Hi", role="critic")]),
        ([FunctionMessage(content="1", name="f")], [FunctionMessage(content="1", name="g")]),
        (
            [HUMAN, AIMessage("", additional_kwargs={"function_call": {"name": "f"}}), AGAIN],
            [HUMAN, AIMessage("", additional_kwargs={"function_call": {"name": "g"}}), AGAIN],
        ),
        (
            [HUMAN, AIMessage([{"type": "reasoning", "reasoning": "Peru"}]), AGAIN],
            [HUMAN, AIMessage([{"type": "reasoning", "reasoning": "Laos"}]), AGAIN],
        ),
    ],
    ids=[
        "tool's result",
        "tool's failure",
        "tool's arguments",
        "which call was answered how",
        "picture",
        "file",
        "free role",
        "function's name",
        "function called",
        "reasoning",
    ],
)
def test_two_prompts_have_two_keys_when_they_differ_in(one, other):
    assert read(*one).key != read(*other).key


def test_the_key_depends_on_the_models_parameters():
    model = ChatOpenAI(api_key="x", model="gpt-4o-mini")
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    strings = [
        model._get_llm_string(),
        model._get_llm_string(stop=["\n"]),
        model._get_llm_string(tools=[tool]),
        model._get_llm_string(tools=[tool], tool_choice="f"),
        ChatOpenAI(api_key="x", model="gpt-4o")._get_llm_string(),
        ChatOpenAI(api_key="x", model="gpt-4o-mini", temperature=1)._get_llm_string(),
    ]
    queries = [read(HUMAN, llm=string) for string in strings]
    assert len({query.key for query in queries}) == len(strings)
    assert len({query.partition for query in queries}) == len(strings)


def test_the_models_parameters_are_kept_as_a_hash_alone():
    query = read(HUMAN, llm="Authorization: Bearer s3cret")
    assert "s3cret" not in repr(query)
    assert len(query.scope) == 64


# Words, partitions, bare strings


def test_the_words_to_compare_are_the_last_human_ones():
    assert read(SYSTEM, HUMAN).text == HUMAN.content
    assert read(*BASE).text == "And of Chile?"
    assert read(HumanMessage("  Lima, what is it?\n")).text == "Lima, what is it?"


@pytest.mark.parametrize(
    "messages",
    [
        [SYSTEM],
        [HUMAN, SAID],
        [HUMAN, CALLED, TOLD],
        [ChatMessage(content="Hi", role="user")],
        [HumanMessage([PICTURE])],
        [HumanMessage([{"type": "text", "text": "What is this?"}, PICTURE])],
        [HumanMessage("")],
        [HumanMessage(" \n ")],
        [HumanMessage([])],
    ],
    ids=[
        "system",
        "answer",
        "tool's result",
        "free role",
        "picture",
        "words and picture",
        "nothing",
        "blanks",
        "no block",
    ],
)
def test_nothing_is_compared_when_the_last_message_is(messages):
    assert read(*messages).text == ""


def test_other_words_in_the_same_place_share_a_partition_but_no_key():
    one = read(SYSTEM, HUMAN)
    other = read(SYSTEM, HumanMessage("Which city governs Peru?"))
    assert one.partition == other.partition
    assert one.key != other.key


@pytest.mark.parametrize(
    "messages",
    [
        [SystemMessage("Be long."), HUMAN],
        [HUMAN],
        [SYSTEM, HUMAN, SAID, HUMAN],
        [SYSTEM, HumanMessage(HUMAN.content, name="Ana")],
    ],
    ids=["another system prompt", "no system prompt", "a later turn", "another speaker"],
)
def test_the_same_words_are_another_partition_after(messages):
    query = read(*messages)
    assert query.text == read(SYSTEM, HUMAN).text
    assert query.partition != read(SYSTEM, HUMAN).partition


def test_a_bare_string_is_its_own_text():
    query = READER.read("Tell me a joke ", "m")
    assert query.text == "Tell me a joke"
    assert query.key != READER.read("Tell me a joke", "m").key
    assert query.partition == READER.read("Tell me another", "m").partition


@pytest.mark.parametrize(
    "prompt",
    [
        "[1, 2, 3]",
        "[",
        "[]",
        "[not json",
        '[{"role": "user", "content": "Hi"}]',
        '[{"type": "constructor"}]',
        '[{"type": "constructor", "id": null, "kwargs": {}}]',
        '[{"type": "constructor", "id": [], "kwargs": {}}]',
        '[{"type": "constructor", "id": [5], "kwargs": {}}]',
        '[{"type": "constructor", "id": ["PromptTemplate"], "kwargs": {}}]',
    ],
)
def test_a_string_that_only_looks_like_messages_is_a_bare_string(prompt):
    assert READER.read(prompt, "m").text == prompt


def test_a_string_of_a_hundred_thousand_brackets_is_a_bare_string():
    prompt = "[" * 100_000
    assert READER.read(prompt, "m").text == ""
    assert READER.read(prompt, "m").key != READER.read(prompt + "[", "m").key


def test_half_a_surrogate_pair_has_a_key():
    assert READER.read("\ud800", "m").key != READER.read("\ud801", "m").key
    assert read(HumanMessage("\ud800")).key != read(HumanMessage("\ud801")).key


def test_a_text_longer_than_max_chars_is_matched_exactly_only():
    reader = Reader(Toy(), max_chars=10)
    assert reader.read("0123456789", "m").text == "0123456789"
    long = reader.read("0123456789a", "m")
    assert long.text == ""
    assert long.key == reader.read("0123456789a", "m").key
    assert long.key != reader.read("0123456789b", "m").key


def test_a_megabyte_is_read_in_a_moment():
    words = "all work and no play " * 50_000
    start = time.thread_time()
    queries = [read(HumanMessage(words + end)) for end in "ab"]
    assert time.thread_time() - start < 2
    assert {query.text for query in queries} == {""}
    assert queries[0].key != queries[1].key


# Blocks: an id that refers to something is part of the question, a label is not


def file(**fields):
    return HumanMessage([{"type": "text", "text": "What is this?"}, {"type": "file", **fields}])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"source_type": "id", "id": "file-AAA"}, {"source_type": "id", "id": "file-BBB"}),
        ({"id": "file-AAA"}, {"id": "file-BBB"}),
        ({"file_id": "file-AAA"}, {"file_id": "file-BBB"}),
        ({"type": "item_reference", "id": "rs_1"}, {"type": "item_reference", "id": "rs_2"}),
        (
            {"type": "image_generation_call", "id": "ig_1"},
            {"type": "image_generation_call", "id": "ig_2"},
        ),
    ],
    ids=["source", "bare", "file_id", "item", "image made before"],
)
@pytest.mark.parametrize("earlier", [False, True], ids=["last", "in an earlier turn"])
def test_an_id_that_refers_to_something_is_part_of_the_key(one, other, earlier):
    later = [AIMessage("A bill."), HumanMessage("And who wrote it?")] if earlier else []
    queries = [read(file(**fields), *later) for fields in (one, other)]
    assert queries[0].key != queries[1].key
    assert not earlier or queries[0].partition != queries[1].partition


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "text", "text": "What is this?"},
        {"type": "reasoning", "reasoning": "Hm."},
        {"type": "thinking", "thinking": "Hm."},
        {"type": "image", "url": "https://example.org/a.png"},
        {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
        {"type": "file", "file_id": "file-AAA"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ],
    ids=lambda fields: fields["type"],
)
def test_an_id_that_is_a_label_is_not(fields):
    one, other = (read(HumanMessage([{**fields, "id": i}])) for i in ("lc_1", "msg_2"))
    assert one.key == other.key == read(HumanMessage([fields])).key


def test_nor_is_one_that_langchain_gave_to_whatever_it_is():
    one, other = (read(file(extras={"a": 1}, id=f"lc_{i}")) for i in "12")
    assert one.key == other.key


# Parameters that name a class or an address


GPT = ChatOpenAI(api_key="x", model="gpt-4o-mini")


def bound_to(schema):
    """The parameters of a model that was bound to a class, as LangChain writes them."""
    return GPT._get_llm_string(response_format=schema)


def named(name, **fields):
    return create_model(name, __module__=__name__, **fields)


T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """One of many pages."""

    items: list[T]
    kind: Literal["a", "b"] = "a"


class Shop(BaseModel):
    """With a class in a class, and defaults that have no order."""

    class Item(BaseModel):
        tags: set[str] = {"new", "old", "sold", "lent"}

    first: Item = Item()


def test_a_structured_outputs_class_is_keyed_by_its_fields():
    keys = {read(HUMAN, llm=bound_to(schema)).key for schema in (Answer, Page[Answer], Shop.Item)}
    assert len(keys) == 3
    for schema in (Answer, Page[Answer], Shop.Item):
        assert "<class" in bound_to(schema)
        assert read(HUMAN, llm=bound_to(schema)).key in keys


def test_a_class_that_gains_a_field_is_another_key():
    queries = []
    for field in (..., Field(description="the capital")):
        schema = named("Gaining", city=(str, field))
        queries.append(read(HUMAN, llm=bound_to(schema)))
        del schema
    assert queries[0].key != queries[1].key
    assert queries[0].partition != queries[1].partition


def test_so_is_a_generic_class_whose_argument_does():
    keys = set()
    for more in ({}, {"country": (str, "Peru")}):
        page = Page[named("Item", city=(str, ...), **more)]
        keys.add(read(HUMAN, llm=bound_to(page)).key)
        del page
    assert len(keys) == 2


def test_of_two_classes_of_one_name_in_use_nobody_knows_which_is_meant():
    older = named("Redefined", city=(str, ...))
    newer = named("Redefined", city=(str, ...), country=(str, ...))
    assert bound_to(older) == bound_to(newer)
    with pytest.raises(UnstableKeyError, match="several are alive"):
        read(HUMAN, llm=bound_to(older))


def test_two_classes_of_one_name_and_equal_fields_are_one():
    older, newer = named("Twice", city=(str, ...)), named("Twice", city=(str, ...))
    assert read(HUMAN, llm=bound_to(older)).key == read(HUMAN, llm=bound_to(newer)).key


@pytest.mark.parametrize("make", ["local", "nested", "made", "generic with words"])
def test_a_class_has_a_key_wherever_it_was_made(make):
    class Local(BaseModel):
        city: str

    made = {
        "local": Local,
        "nested": Shop.Item,
        "made": create_model("Made", city=(str, ...)),
        "generic with words": Page[Literal["it's", "b"]],
    }[make]
    assert read(HUMAN, llm=bound_to(made)).key == read(HUMAN, llm=bound_to(made)).key


def test_the_key_of_a_class_is_the_same_in_every_process():
    program = (
        "from test_prompts import Shop, bound_to, read, HUMAN;"
        "print(read(HUMAN, llm=bound_to(Shop)).key)"
    )
    keys = set()
    for seed in "12":
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        told = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        keys.add(told.stdout)
    assert len(keys) == 1


def test_two_classes_with_equal_fields_but_other_names_are_told_apart():
    other = create_model("Reply", __module__=__name__, city=(str, ...))
    one, two = (read(HUMAN, llm=bound_to(schema)) for schema in (Answer, other))
    assert one.key != two.key


class Kind(Enum):
    SHORT = "short"


@pytest.mark.parametrize("unknown", [int, Toy, Kind])
def test_a_class_that_cannot_be_looked_up_has_no_stable_key(unknown):
    with pytest.raises(UnstableKeyError, match="cannot be looked up"):
        read(HUMAN, llm=bound_to(unknown))


def test_a_memory_address_has_no_stable_key():
    model = ChatOpenAI(api_key="x", model="gpt-4o-mini")
    with pytest.raises(UnstableKeyError, match="memory address"):
        read(HUMAN, llm=model._get_llm_string(handler=object()))


def test_a_message_that_cannot_be_written_down_has_no_stable_key():
    with pytest.raises(UnstableKeyError, match="cannot be written down"):
        read(HumanMessage("Hi", additional_kwargs={"handle": object()}))


def test_words_about_what_cannot_be_written_down_have_a_key():
    assert read(HumanMessage('{"type": "not_implemented"} <x at 0x7f>')).text


# Sharing between models


def openai(name, *, stop=None, **parameters):
    return ChatOpenAI(api_key="x", model=name, **parameters)._get_llm_string(stop=stop)


def test_per_model_is_the_default_and_shares_nothing():
    assert read(HUMAN, llm=openai("gpt-4o")).key != read(HUMAN, llm=openai("gpt-4o-mini")).key


def test_any_model_shares_between_models_with_equal_parameters():
    reader = Reader(Toy(), scope=any_model)
    small, large = (reader.read("Hi", openai(name)) for name in ("gpt-4o-mini", "gpt-4o"))
    assert (small.key, small.partition) == (large.key, large.partition)


@pytest.mark.parametrize(
    "other",
    [
        openai("gpt-4o", temperature=0.9),
        openai("gpt-4o", stop=["\n"]),
        openai("gpt-4o", max_tokens=5),
        ChatOpenAI(api_key="x", model="gpt-4o")._get_llm_string(tools=[{"name": "f"}]),
    ],
    ids=["temperature", "stop", "max_tokens", "tools"],
)
def test_any_model_does_not_share_across_parameters(other):
    reader = Reader(Toy(), scope=any_model)
    assert reader.read("Hi", openai("gpt-4o-mini")).partition != reader.read("Hi", other).partition


def test_any_model_keeps_apart_what_is_not_langchains_json():
    reader = Reader(Toy(), scope=any_model)
    strings = ["[('_type', 'fake'), ('stop', None)]", "[('_type', 'other')]", "5---x", "[]---x"]
    assert len({reader.read("Hi", string).key for string in strings}) == len(strings)


# Vectors


def test_a_text_is_embedded_once_and_as_a_unit_vector():
    toy = Toy()
    reader = Reader(toy)
    one = reader.embed(reader.read("Hi", "m"))
    other = reader.embed(reader.read("Hi", "another model"))
    assert toy.asked == ["Hi"]
    assert np.linalg.norm(one.vector) == pytest.approx(1)
    assert one.vector.dtype == np.float32
    np.testing.assert_array_equal(one.vector, other.vector)
    assert reader.embed(one) is one


def test_a_prompt_is_read_once_as_long_as_it_is_remembered():
    seen = []
    reader = Reader(Toy(), memo=2, split=lambda words: seen.append(words) or (words, ""))
    queries = [reader.read(text, "m") for text in ("one", "two", "one", "three", "one", "two")]
    assert seen == ["one", "two", "three", "two"]
    assert queries[0] == queries[2] == queries[4]
    assert reader.read("one", "another model") != queries[0]


def test_a_prompt_that_is_remembered_is_another_once_its_class_has_gained_a_field():
    reader, keys = Reader(Toy()), []
    for field in (..., Field(description="the town")):
        schema = named("Remembered", town=(str, field))
        keys.append(reader.read("Hi", bound_to(schema)).key)
        del schema
    assert keys[0] != keys[1]


def test_a_router_reads_a_conversation_as_the_mean_of_its_turns_each_embedded_once():
    toy = Toy([3.0, 4.0], [0.0, 2.0], [5.0, 0.0])
    reader = Reader(toy)
    for turns in (["one"], ["one", "two"], ["one", " two ", "", "three"]):
        query = reader.routed(reader.read(turns[-1], "m"), *turns)
        assert query.text == "\n".join(turns)
    assert toy.asked == ["one", "two", "three"]
    mean = 3 * np.array([0.6, 0.8]) + 3 * np.array([0, 1]) + 5 * np.array([1, 0])  # by length
    np.testing.assert_allclose(query.vector, mean / np.linalg.norm(mean), rtol=1e-6)
    assert reader.routed(query, "", " ").vector is None


def test_of_a_long_conversation_a_router_reads_the_end_and_only_whole_turns_before():
    toy = Toy()
    reader = Reader(toy, max_chars=10)
    reader.routed(reader.read("now", "m"), "earliest", "earlier", "now")
    assert toy.asked == ["now", "earlier"]
    reader.routed(reader.read("now", "m"), "before", "a turn longer than all that is read")
    assert toy.asked[2:] == ["that is read"[-10:]]


def test_a_query_without_text_is_not_embedded():
    toy = Toy()
    query = Query("key")
    assert Reader(toy).embed(query) is query
    assert toy.asked == []


def test_the_memo_forgets_the_text_asked_for_longest_ago():
    toy = Toy()
    reader = Reader(toy, memo=2)
    for text in ("one", "two", "one", "three", "one"):
        reader.embed(reader.read(text, "m"))
    assert toy.asked == ["one", "two", "three"]
    reader.embed(reader.read("two", "m"))
    assert toy.asked == ["one", "two", "three", "two"]


@pytest.mark.parametrize(
    "vector",
    [[np.nan, 1.0], [np.inf, 1.0], [0.0, 0.0], [], [[1.0, 2.0]], 3.0],
    ids=["NaN", "infinite", "zero", "empty", "matrix", "scalar"],
)
def test_what_is_no_direction_is_refused_and_asked_for_again_after_a_while(vector, later):
    toy = Toy(vector, [3.0, 4.0])
    reader = Reader(toy)
    query = reader.read("Hi", "m")
    with pytest.raises(ValueError, match="no usable vector"):
        reader.embed(query)
    with pytest.raises(SparedError, match="no usable vector"):
        reader.embed(query)
    later()
    np.testing.assert_allclose(reader.embed(query).vector, [0.6, 0.8], rtol=1e-6)
    assert toy.asked == ["Hi", "Hi"]


def test_a_vector_of_another_length_is_refused(later):
    reader = Reader(Toy([1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0]))
    reader.embed(reader.read("one", "m"))
    with pytest.raises(ValueError, match="length 3, before it was 2"):
        reader.embed(reader.read("two", "m"))
    later()
    assert len(reader.embed(reader.read("two", "m")).vector) == 2


def test_what_the_embedder_raises_is_passed_on(later):
    reader = Reader(Toy(ConnectionError("away"), [1.0, 0.0], [0.0, 1.0]))
    query = reader.read("Hi", "m")
    with pytest.raises(ConnectionError):
        reader.embed(query)
    assert reader.embed(reader.read("Bonjour", "m")).vector is not None
    with pytest.raises(SparedError, match="away"):
        reader.embed(query)
    later()
    assert reader.embed(query).vector is not None


class Hanging(Toy):
    """Does not answer until it is told to."""

    def __init__(self):
        super().__init__()
        self.go_on = threading.Event()

    def embed_query(self, text):
        super().embed_query(text)
        self.go_on.wait(30)
        return [1.0, 0.0]

    async def aembed_query(self, text):
        super().embed_query(text)
        await asyncio.sleep(30)


@pytest.mark.parametrize("way", ["embed", "aembed"])
def test_an_embedder_that_hangs_is_left_at_the_deadline_and_spared_for_all_texts(way, later):
    toy = Hanging()
    reader = Reader(toy, deadline=0.5)

    def embed(text):
        query = reader.read(text, "m")
        return reader.embed(query) if way == "embed" else asyncio.run(reader.aembed(query))

    started = time.monotonic()
    with pytest.raises(TimeoutError):
        embed("one")
    for text in ("one", "two"):
        with pytest.raises(SparedError):
            embed(text)
    assert time.monotonic() - started < 15
    assert toy.asked == ["one"]
    later()
    toy.go_on.set()
    if way == "embed":
        assert embed("two").vector is not None


def test_an_embedder_of_this_process_has_all_the_time_it_needs_in_the_callers_thread():
    class Local(Toy):
        in_process = True

        def embed_query(self, text):
            time.sleep(0.2)
            threads.append(threading.current_thread())
            return super().embed_query(text)

    threads = []
    reader = Reader(Local(), deadline=0.05)
    assert reader.embed(reader.read("one", "m")).vector is not None
    assert threads == [threading.current_thread()]
    assert SentenceEncoder.in_process


@pytest.mark.parametrize("deadline", [0, -1.0, "soon", None])
def test_a_deadline_is_a_number_of_seconds(deadline):
    with pytest.raises(ValueError, match="deadline must be seconds > 0"):
        Reader(Toy(), deadline=deadline)


@pytest.mark.parametrize("name", ["max_chars", "memo"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_reader_refuses(name, value):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got {value}"):
        Reader(Toy(), **{name: value})


# Any messages

ROLES = st.sampled_from([SystemMessage, HumanMessage, AIMessage])
MESSAGES = st.lists(
    st.builds(lambda role, words: role(words), ROLES, st.text(max_size=20)), min_size=1, max_size=5
)


def noisy(message, number):
    """The same message to a model, with all that LangChain and providers hang on it."""
    blocks = [{"type": "text", "text": message.content, "id": f"b-{number}"}]
    metadata = {"model_name": "m", "id": f"r-{number}"}
    update = {"id": f"m-{number}", "content": blocks, "response_metadata": metadata}
    return message.model_copy(update=update)


@given(MESSAGES)
@settings(deadline=None)
def test_the_keys_of_any_messages_pass_over_noise(messages):
    plain = read(*messages)
    noise = read(*(noisy(message, number) for number, message in enumerate(messages)))
    assert (plain.key, plain.partition, plain.text) == (noise.key, noise.partition, noise.text)


@given(MESSAGES, MESSAGES)
@settings(deadline=None)
def test_two_lists_of_messages_share_a_key_only_when_they_are_equal(one, other):
    same = [(type(m), m.content) for m in one] == [(type(m), m.content) for m in other]
    assert (read(*one).key == read(*other).key) == same


@given(MESSAGES, st.data())
@settings(deadline=None)
def test_one_other_word_anywhere_is_another_key_and_earlier_another_partition(messages, data):
    place = data.draw(st.integers(0, len(messages) - 1))
    changed = list(messages)
    changed[place] = type(changed[place])(changed[place].content + "x")
    before, after = read(*messages), read(*changed)
    assert before.key != after.key
    last = place == len(messages) - 1 and isinstance(messages[-1], HumanMessage)
    assert (before.partition == after.partition) == last


@given(MESSAGES)
@settings(deadline=None)
def test_reading_is_the_same_however_the_json_is_spaced(messages):
    prompt = dumps(messages)
    spaced = json.dumps(json.loads(prompt), indent=1)
    assert READER.read(prompt, "m").key == READER.read(spaced, "m").key

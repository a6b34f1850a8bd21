"""`cached`: a single model before a cache, in every way that LangChain has of asking."""

import asyncio
from unittest.mock import patch

import pytest
from fakes import (
    QUESTION,
    Fake,
    Streaming,
    called_with,
    calling,
    every_stream,
    every_way,
    lec,
    told,
)
from langchain_core.caches import InMemoryCache
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_cachemux import cached


@every_way
@pytest.mark.parametrize("fake", [Fake, Streaming])
@pytest.mark.parametrize("cache", [InMemoryCache, lec], ids=["InMemoryCache", "LECCache"])
def test_every_way_of_asking_looks_up_first_and_stores_what_came(ask, fake, cache):
    model = fake(model="small")
    llm = cached(model, cache())
    first, second = ask(llm, QUESTION), ask(llm, QUESTION)
    assert first.content == second.content == "Paris it is"
    assert "hit" not in told(first)
    assert told(second)["hit"]
    assert (told(second)["cost"], second.usage_metadata["total_cost"]) == (0.0, 0)
    assert len(model.calls) == 1


@every_stream
def test_a_miss_passes_through_as_it_comes_and_a_hit_comes_in_pieces(chunks_of):
    llm = cached(Streaming(model="small"), lec())
    for _ in range(2):
        *words, last = [chunk.text for chunk in chunks_of(llm, QUESTION) if chunk.text]
        assert [*words, last] == ["Paris ", "it ", "is"]


@every_stream
def test_only_the_last_chunk_of_a_hit_tells_the_usage_and_where_it_is_from(chunks_of):
    llm = cached(Streaming(model="small"), lec())
    chunks_of(llm, QUESTION)
    chunks = chunks_of(llm, QUESTION)
    assert [bool(chunk.usage_metadata) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert ["cachemux" in c.response_metadata for c in chunks][-2:] == [False, True]
    assert chunks[-1].usage_metadata["total_tokens"] == 10
    assert {chunk.id for chunk in chunks} == {chunks[-1].id}


def test_what_the_only_model_is_to_cost_is_estimated_after_its_first_chunk_as_nobody_chooses():
    prices = [3.0]
    llm = cached(Streaming(model="small"), lec(), price=lambda usage: prices[-1])
    llm.invoke(QUESTION)
    prices.append(5.0)
    stream = llm.stream("And of Spain?")
    with patch.object(llm.router, "choose", side_effect=AssertionError):
        next(stream)
    end = list(stream)[-1]
    assert told(end)["reason"] == "no other model can"
    assert told(end)["estimates"]["small"]["mean"] == 3.0  # before the 5.0 was learned


def test_what_the_model_itself_stored_is_found_and_the_other_way_round():
    cache = lec()
    model = Streaming(model="small", cache=cache)
    model.invoke(QUESTION)
    assert "".join(chunk.text for chunk in cached(model, cache).stream(QUESTION)) == "Paris it is"
    "".join(chunk.text for chunk in cached(model, cache).stream("And of Spain?"))
    assert told(model.invoke("And of Spain?"))["hit"] == "exact"
    assert len(model.calls) == 2


def test_parameters_of_the_call_are_told_apart_as_langchain_does():
    cache = InMemoryCache()
    model = Fake(model="small", cache=cache)
    for asked in (model, cached(model, cache)):
        for parameters in ({}, {"stop": ["."]}, {"seed": 7}):
            asked.invoke(QUESTION, **parameters)
            asked.bind(**parameters).invoke(QUESTION)
    cached(model.bind(stop=["."]), cache).invoke(QUESTION)
    assert len(model.calls) == 3


def test_without_a_cache_of_its_own_it_asks_langchains_global_one():
    model, before = Streaming(model="small"), get_llm_cache()
    set_llm_cache(InMemoryCache())
    try:
        for _ in range(2):
            "".join(chunk.text for chunk in cached(model).stream(QUESTION))
        cached(model, cache=False).invoke(QUESTION)
    finally:
        set_llm_cache(before)
    assert len(model.calls) == 2


def test_nothing_is_embedded_but_by_the_cache():
    cached(Fake(model="small"), InMemoryCache()).invoke(QUESTION)
    words = lec()
    cached(Fake(model="small"), words).invoke(QUESTION)
    assert words.reader.embeddings.asked == [QUESTION]


def test_a_cache_shared_by_several_values_answers_by_none_of_them():
    cache = lec()
    before = cache.estimator
    cached(Fake(model="small"), cache)
    assert cache.estimator is before


class City(BaseModel):
    """A city."""

    name: str


@tool
def population(city: str) -> int:
    """People in a city."""


@every_way
def test_calls_of_tools_and_objects_are_cached_too(ask):
    model = Fake(model="small", says=calling("population", city="Paris"))
    bound = cached(model, lec()).bind_tools([population], tool_choice="any")
    assert [called_with(ask(bound, QUESTION)) for _ in range(2)] == [{"city": "Paris"}] * 2
    assert len(model.calls) == 1
    model = Fake(model="small", says=calling("City", name="Paris"))
    structured = cached(model, lec()).with_structured_output(City)
    assert [ask(structured, QUESTION) for _ in range(2)] == [City(name="Paris")] * 2
    assert len(model.calls) == 1


def test_a_stream_that_fails_or_is_left_is_not_stored():
    class Interrupted(Streaming):
        def _stream(self, *args, **kwargs):
            yield next(super()._stream(*args, **kwargs))
            raise ConnectionError

    cache = lec()
    with pytest.raises(ConnectionError):
        list(cached(Interrupted(model="small"), cache).stream(QUESTION))
    left = cached(Streaming(model="small"), cache).stream(QUESTION)
    assert next(left).text == "Paris "
    left.close()

    async def leave():
        stream = cached(Streaming(model="small"), cache).astream(QUESTION)
        await anext(stream)
        await stream.aclose()

    asyncio.run(leave())
    assert cache.stats().entries == 0


def test_it_is_a_chat_model_that_goes_by_the_models_name():
    llm = cached(Fake(model="small", profile={"max_input_tokens": 100}), InMemoryCache())
    assert isinstance(llm, BaseChatModel)
    assert llm._get_ls_params()["ls_model_name"] == "small"
    assert llm.profile == {"max_input_tokens": 100}
    chain = cached(RunnableLambda(lambda _: "Paris") | Fake(model="small"), lec())
    assert (chain | StrOutputParser()).invoke(QUESTION) == "Paris it is"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((7, InMemoryCache()), "model must be a model.*got 7"),
        ((Fake(model="small"), 7), "cache must be one of LangChain's caches.*got 7"),
    ],
)
def test_what_cannot_work_is_refused_by_name(given, message):
    with pytest.raises(ValueError, match=message):
        cached(*given)

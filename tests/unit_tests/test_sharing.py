"""One call and its cache: equal calls at once are one with any cache, and a call may pass it by."""

import asyncio
import time
from typing import ClassVar

import pytest
from fakes import (
    MANY,
    QUESTION,
    Fake,
    Slow,
    Streaming,
    Words,
    at_once,
    calling,
    every_way,
    every_way_at_once,
    lec,
    multiplexed,
    routed,
)
from langchain_core.caches import InMemoryCache
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel, field_validator

from langchain_cachemux import flight as flight_module

CACHES = {"LECCache": lec, "InMemoryCache": InMemoryCache}
every_cache = pytest.mark.parametrize("made", CACHES.values(), ids=CACHES)


def asked(mux):
    return sum(len(model.calls) for model in mux.models.values())


@every_cache
@every_way_at_once
def test_a_multiplexer_asked_the_same_many_times_at_once_asks_once(made, ask):
    mux = multiplexed(Slow(model="small"), Slow(model="large"), cache=made())
    assert [answer.text for answer in ask(mux)] == ["Paris it is"] * MANY
    assert asked(mux) == 1
    assert mux.stats().hits == MANY - 1


async def _streamed(mux):
    async def one():
        return "".join([chunk.text async for chunk in mux.astream(QUESTION)])

    return await asyncio.gather(*(one() for _ in range(MANY)))


STREAMS = {
    "stream": lambda mux: at_once(lambda: "".join(chunk.text for chunk in mux.stream(QUESTION))),
    "astream": lambda mux: asyncio.run(_streamed(mux)),
}
every_stream = pytest.mark.parametrize("ask", STREAMS.values(), ids=STREAMS)


class Dripping(Streaming):
    """Streams so slowly that all have asked before it has ended."""

    def _stream(self, *args, **kwargs):
        for chunk in super()._stream(*args, **kwargs):
            time.sleep(0.15)
            yield chunk


@every_cache
@every_stream
def test_equal_streams_at_once_are_one_call(made, ask):
    mux = multiplexed(Dripping(model="small"), Dripping(model="large"), cache=made())
    assert ask(mux) == ["Paris it is"] * MANY
    assert asked(mux) == 1


@every_cache
def test_when_all_models_fail_everybody_goes_on_alone_and_soon(made):
    fails = {"says": ConnectionError("down")}
    mux = multiplexed(Slow(model="small", **fails), Slow(model="large", **fails), cache=made())
    safe = mux.with_fallbacks([RunnableLambda(lambda _: "nobody")])
    started = time.monotonic()
    assert at_once(lambda: safe.invoke(QUESTION), 4) == ["nobody"] * 4
    assert time.monotonic() - started < flight_module.UNKNOWN


@every_cache
def test_a_stream_that_is_left_halfway_lets_the_others_go_on(made):
    mux = multiplexed(Dripping(model="small"), Dripping(model="large"), cache=made())
    chunks = mux.stream(QUESTION)
    next(chunks)
    started = time.monotonic()
    chunks.close()
    assert at_once(lambda: mux.invoke(QUESTION).text, 2) == ["Paris it is"] * 2
    assert time.monotonic() - started < flight_module.UNKNOWN / 2
    assert asked(mux) == 2


@every_cache
def test_a_stream_that_is_read_no_further_does_not_hold_up_its_reader(made):
    mux = multiplexed(Dripping(model="small"), Dripping(model="large"), cache=made())
    chunks = mux.stream(QUESTION)
    next(chunks)
    started = time.monotonic()
    assert mux.invoke(QUESTION).text == "Paris it is"
    assert time.monotonic() - started < flight_module.UNKNOWN / 2
    assert "".join(chunk.text for chunk in chunks) == "it is"


@every_cache
async def test_a_cancelled_call_lets_the_others_go_on(made):
    mux = multiplexed(Slow(model="small", seconds=30.0), Slow(model="large"), cache=made())
    first = asyncio.create_task(mux.ainvoke(QUESTION))
    await asyncio.sleep(0.3)
    mux.models["small"].seconds = 0.0
    waits = asyncio.create_task(mux.ainvoke(QUESTION))
    await asyncio.sleep(0.1)
    first.cancel()
    assert (await asyncio.wait_for(waits, flight_module.UNKNOWN)).text == "Paris it is"


# Passing the cache by


@every_cache
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "batch"])
def test_with_cache_false_a_call_neither_looks_nor_tells(made, way):
    mux, ask = multiplexed(cache=made()), PASSING[way]
    ask(mux, cache=False)
    ask(mux, cache=False)
    assert asked(mux) == 2
    assert mux.models["small"].calls[0].kwargs == {"stop": None}
    ask(mux, cache=True)
    assert asked(mux) == 3
    assert mux.stats().hits == 0


PASSING = {
    "invoke": lambda mux, **use: mux.invoke(QUESTION, **use).text,
    "ainvoke": lambda mux, **use: asyncio.run(mux.ainvoke(QUESTION, **use)).text,
    "stream": lambda mux, **use: "".join(c.text for c in mux.stream(QUESTION, **use)),
    "batch": lambda mux, **use: mux.batch([QUESTION], **use)[0].text,
}


@every_cache
@pytest.mark.parametrize("way", PASSING)
def test_with_refresh_a_call_only_tells_and_the_next_is_given_the_new_answer(made, way):
    said = iter(["old", "new"])
    mux = multiplexed(Streaming(model="small", says=lambda _: next(said)), cache=made())
    assert mux.invoke(QUESTION).text == "old"
    assert PASSING[way](mux, cache="refresh") == "new"
    assert mux.invoke(QUESTION).text == "new"
    assert asked(mux) == 2


def test_it_is_the_same_question_however_its_call_uses_the_cache():
    mux = multiplexed(cache=lec())
    mux.invoke(QUESTION, cache=True)
    mux.bind(cache="refresh").invoke(QUESTION)
    mux.invoke(QUESTION)
    assert (asked(mux), mux.cache.stats().entries, mux.stats().hits) == (2, 1, 1)


@pytest.mark.parametrize("use", ["fresh", 1, 0, InMemoryCache()])
def test_what_is_no_use_of_a_cache_is_refused(use):
    with pytest.raises(ValueError, match="cache must be True, False or"):
        multiplexed(cache=lec()).invoke(QUESTION, cache=use)


@every_way
def test_without_a_cache_every_call_is_made(ask):
    mux = multiplexed(Fake(model="small"), Fake(model="large"), embeddings=Words())
    ask(mux, QUESTION)
    ask(mux, QUESTION)
    assert asked(mux) == 2


# Answers that are of no use any more


class Adult(BaseModel):
    """Of an age that is checked, by a rule that no schema shows."""

    age: int

    @field_validator("age")
    @classmethod
    def _old_enough(cls, age):
        if age < cls._least:
            msg = "too young"
            raise ValueError(msg)
        return age

    _least: ClassVar[int] = 18


def test_a_stored_object_that_validates_no_longer_is_a_miss_and_is_dropped(monkeypatch):
    cache = lec()
    said = iter([20, 30, 10])
    small = Fake(model="small", says=lambda _: calling("Adult", age=next(said)))
    mux = multiplexed(small, cache=cache, router=routed("small", "large"))
    asked = mux.with_structured_output(Adult)
    assert [asked.invoke(QUESTION).age for _ in range(2)] == [20, 20]
    monkeypatch.setattr(Adult, "_least", 25)
    assert asked.invoke(QUESTION).age == 30
    assert asked.invoke(QUESTION).age == 30
    monkeypatch.setattr(Adult, "_least", 35)
    mux.models["large"].says = ConnectionError("down")
    with pytest.raises(Exception, match=r"too young|down"):
        asked.invoke(QUESTION)
    until = time.monotonic() + 30
    while cache.stats().entries and time.monotonic() < until:
        time.sleep(0.01)
    assert cache.stats().entries == 0

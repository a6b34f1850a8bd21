"""`LECCache` asked many things at once: equal questions are one call, and the event loop never waits."""

import asyncio
import os
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from blockbuster import blockbuster_ctx
from fakes import (
    AT_ONCE,
    MANY,
    QUESTION,
    Fake,
    Slow,
    Words,
    at_once,
    every_way_at_once,
    multiplexed,
)
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda

from langchain_cachemux import LECCache, Reader, SentenceEncoder
from langchain_cachemux import flight as flight_module
from langchain_cachemux import stats as stats_module

LONG = 30.0


@pytest.fixture
def cache():
    with LECCache(embeddings=Words()) as cache:
        yield cache


class Awaited(Fake):
    """Answers when so many threads wait for its answer."""

    many: int

    def _generate(self, *args, **kwargs):
        (flight,) = self.cache.flights._flights.values()
        until = time.monotonic() + LONG
        while len(flight.answer._condition._waiters) < self.many and time.monotonic() < until:
            time.sleep(0.01)
        return super()._generate(*args, **kwargs)


@every_way_at_once
def test_equal_questions_at_once_are_one_call(cache, ask):
    model = Slow(model="slow", cache=cache)
    answers = ask(model)
    assert [answer.text for answer in answers] == ["Paris it is"] * MANY
    assert len(model.calls) == 1
    stats = cache.stats()
    assert (stats.misses, stats.hits_exact, stats.errors) == (1, MANY - 1, 0)


def test_each_who_waited_has_a_copy_of_his_own_that_says_it_is_a_hit(cache):
    model = Slow(model="slow", cache=cache)
    answers = at_once(lambda: model.invoke(QUESTION), 5)
    hits = [answer for answer in answers if "cachemux" in answer.response_metadata]
    assert len(hits) == 4
    assert {hit.response_metadata["cachemux"]["hit"] for hit in hits} == {"exact"}
    assert len({id(hit) for hit in hits}) == len(hits)
    assert {hit.usage_metadata["total_cost"] for hit in hits} == {0}


def test_an_answer_that_is_not_worth_storing_is_handed_on_all_the_same():
    class Never:
        half_life = 1.0

        def worth(self, standing):
            return 1.0 if standing.key == first else 0.0

        def evicted(self, standing):
            pass

    with LECCache(embeddings=Words(), capacity=1, policy=Never()) as cache:
        first = cache.reader.read("kept", "llm").key
        cache.update("kept", "llm", Fake(model="m")._generate([HumanMessage("x")]).generations)
        model = Awaited(model="awaited", cache=cache, many=4)
        assert len(at_once(lambda: model.invoke(QUESTION), 5)) == 5
        assert len(model.calls) == 1
        assert (cache.stats().bypassed, cache.stats().entries) == (1, 1)


@pytest.mark.parametrize("way", ["threads", "tasks", "batch", "RunnableParallel"])
def test_when_the_model_fails_everybody_goes_on_alone_and_soon(cache, way):
    model = Slow(model="slow", cache=cache, says=ConnectionError("down"))
    asked = RunnableLambda(model.invoke, model.ainvoke)
    safe = asked.with_fallbacks([RunnableLambda(lambda _: AIMessage("nobody"))])
    started = time.monotonic()
    answers = AT_ONCE[way](safe)
    assert [answer.text for answer in answers] == ["nobody"] * MANY
    assert len(model.calls) == MANY
    assert time.monotonic() - started < flight_module.UNKNOWN


def test_when_the_answer_must_not_be_shared_everybody_asks_alone(cache):
    model = Slow(model="slow", cache=cache, says="")
    assert [answer.text for answer in at_once(lambda: model.invoke(QUESTION), 5)] == [""] * 5
    assert len(model.calls) == 5


def test_a_chain_within_the_model_that_asks_the_same_does_not_wait_for_itself(cache):
    inner = Fake(model="m", cache=cache)
    outer = Fake(model="m", cache=cache, says=inner.invoke)
    started = time.monotonic()
    assert outer.invoke(QUESTION).text == "Paris it is"
    assert time.monotonic() - started < flight_module.UNKNOWN / 2


def test_with_wait_0_every_call_is_made():
    with LECCache(embeddings=Words(), wait=0) as cache:
        all_asked = threading.Barrier(5)
        model = Fake(model="m", cache=cache, says=lambda _: f"{all_asked.wait(LONG)}")
        at_once(lambda: model.invoke(QUESTION), 5)
        assert len(model.calls) == 5


def test_the_old_completion_models_wait_too(cache):
    class Counting(FakeListLLM):
        def _call(self, *args, **kwargs):
            calls.append(1)
            time.sleep(0.3)
            return super()._call(*args, **kwargs)

    calls = []
    model = Counting(responses=["Paris"], cache=cache)
    assert at_once(lambda: model.invoke(QUESTION), 5) == ["Paris"] * 5
    assert len(calls) == 1
    assert model.generate(["a", "a"]).generations[0][0].text == "Paris"


# Never in the way of an event loop


async def test_nothing_blocks_the_event_loop(cache):
    cache.warm()
    model = Slow(model="slow", cache=cache, seconds=0.0)
    with blockbuster_ctx("langchain_cachemux"):
        for question in ("one", "two", "one"):
            await model.ainvoke(question)
        await cache.aclear()
    assert len(model.calls) == 2
    assert cache.stats().errors == 0


LATE = 0.02
"""Seconds by which a task of the same loop may wake too late, 99 times in 100.

On a busy machine it may be more: five times as many as when threads do nothing but embed."""


async def lateness(ask):
    """The 99th percentile, in seconds, while fifty tasks ask one question after another."""

    async def four(place):
        for n in range(4):
            await ask(f"question {n} of {place}")

    late, looking = [], asyncio.gather(*map(four, range(50)))
    while not looking.done():
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append(time.perf_counter() - began - 0.001)
    await looking
    return statistics.quantiles(late, n=100)[98]


@pytest.mark.parametrize("embeddings", [Words, SentenceEncoder])
async def test_the_loop_goes_on_with_fifty_lookups_under_way(embeddings):
    def look_up(text):
        return cache.alookup(f"{text} in {tries}", "llm")

    def embed(text):
        return asyncio.get_running_loop().run_in_executor(pool, encoder.embed_query, text)

    encoder, tries = embeddings(), 1
    with LECCache(embeddings=encoder) as cache, ThreadPoolExecutor(cache._workers.threads) as pool:
        cache.warm()
        allowed = LATE * (5 if "COVERAGE_PROCESS_CONFIG" in os.environ else 1)  # lines are counted
        while await lateness(look_up) > max(allowed, 5 * await lateness(embed)):
            tries += 1  # what else the machine does makes a task late too, but not each time
            assert tries <= 10
            await asyncio.sleep(0.5)
        assert cache.stats().misses == 50 * 4 * tries


async def test_a_loop_that_is_held_up_by_lookups_is_seen_to_be():
    class Blocking(Words):
        async def aembed_query(self, text):
            time.sleep(LATE)  # noqa: ASYNC251
            return super().embed_query(text)

    with LECCache(embeddings=Blocking()) as cache:
        assert await lateness(lambda text: cache.alookup(text, "llm")) > LATE


async def test_what_a_user_does_in_threads_does_not_wait_behind_lookups():
    class Hanging(Words):
        def embed_query(self, text):
            go_on.wait(LONG)
            return super().embed_query(text)

    go_on = threading.Event()
    with LECCache(embeddings=Hanging()) as cache:
        asked = [asyncio.create_task(cache.alookup(f"question {n}", "llm")) for n in range(50)]
        await asyncio.sleep(0.05)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "at once"), LONG / 2) == "at once"
        go_on.set()
        assert await asyncio.gather(*asked) == [None] * 50


async def test_a_natively_asynchronous_embedder_is_awaited_once_a_question():
    class Native(Words):
        async def aembed_query(self, text):
            awaited.append(text)
            await asyncio.sleep(0)
            return super().embed_query(text)

        def embed_query(self, text):
            raise AssertionError(text)

    awaited = []
    with LECCache(embeddings=Native()) as cache:
        model = Slow(model="slow", cache=cache, seconds=0.0)
        for question in ("where is Oslo", "where is Oslo", "where is Rome"):
            await model.ainvoke(question)
        assert awaited == ["where is Oslo", "where is Rome"]
        assert (cache.stats().errors, cache.stats().hits_exact) == (0, 1)


# Faults and waits of the embedder


class Faulty(Words):
    """Raises whatever it is asked, and counts how often it was."""

    def embed_query(self, text):
        self.asked.append(text)
        raise ConnectionError

    async def aembed_query(self, text):
        return self.embed_query(text)


class SyncFaulty(Faulty):
    aembed_query = Words.aembed_query


async def _asked_by(model):
    return await model.ainvoke(QUESTION)


@pytest.mark.parametrize("embeddings", [Faulty, SyncFaulty])
@pytest.mark.parametrize("face", ["cache", "multiplexer"])
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_an_embedder_that_fails_is_asked_once_a_call(embeddings, face, way):
    broken = embeddings()
    with LECCache(embeddings=broken) as cache:
        model = Fake(model="m", cache=cache) if face == "cache" else multiplexed(cache=cache)
        answer = model.invoke(QUESTION) if way == "invoke" else asyncio.run(_asked_by(model))
        assert answer.text == "Paris it is"
        assert broken.asked == [QUESTION]
        assert model.invoke(QUESTION).response_metadata["cachemux"]["hit"] == "exact"


def test_an_embedder_that_hangs_costs_a_call_its_deadline_once():
    class Hanging(Words):
        def embed_query(self, text):
            self.asked.append(text)
            go_on.wait(LONG)
            return super().embed_query(text)

    hanging, go_on = Hanging(), threading.Event()
    with LECCache(reader=Reader(hanging, deadline=0.5)) as cache:
        model = Fake(model="m", cache=cache)
        started = time.monotonic()
        for question in "abc":
            assert model.invoke(question).text == "Paris it is"
        assert time.monotonic() - started < LONG / 2
        assert len(hanging.asked) == 1
        assert cache.stats().entries == 3
        go_on.set()


def test_loading_the_encoder_is_not_the_models_time(monkeypatch):
    class Loading(Words):
        def embed_query(self, text):
            clock.now += 100.0
            return super().embed_query(text)

    def says(_):
        clock.now += 2.0
        return "Paris"

    clock = SimpleNamespace(now=0.0)
    told = SimpleNamespace(perf_counter=lambda: clock.now)
    monkeypatch.setattr(stats_module, "time", told)
    with LECCache(embeddings=Loading()) as cache:
        Fake(model="m", cache=cache, says=says).invoke(QUESTION)
        (entry,) = cache.ledger
        assert clock.now > 100.0
        assert entry.cost == 2.0


def test_a_warm_cache_has_loaded_what_a_question_needs():
    words = Words()
    with LECCache(embeddings=words) as cache:
        cache.warm()
        assert len(words.asked) == 1
        assert cache.stats().errors == 0
    with LECCache(embeddings=Faulty()) as cache:
        cache.warm()
        assert cache.stats().errors == 1

"""`LECCache` in memory: what it serves, what it keeps, and that the chain never feels it."""

import asyncio
import math
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from langchain_core.caches import InMemoryCache
from langchain_core.embeddings import Embeddings
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_cachemux import (
    LEC,
    LFU,
    LRU,
    Estimate,
    Hit,
    LECCache,
    Mean,
    Miss,
    Query,
    Reader,
    Ridge,
    Router,
    SentenceEncoder,
    Threshold,
    any_model,
    dollars,
    per_million_tokens,
    robust,
    seconds,
)
from langchain_cachemux import stats as stats_module
from langchain_cachemux.route.prices import flops, joules, weighted
from langchain_cachemux.types import Admission

LLM = "a model"


class Letters(Embeddings):
    """A text is its words, whatever their order and spelling; no two sets of words are alike."""

    def __init__(self, length=64):
        self.length = length
        self.asked = []

    def embed_query(self, text):
        self.asked.append(text)
        words = sorted({word.strip("?.!, ").casefold() for word in text.split()})
        seed = int.from_bytes(" ".join(words).encode()[-7:].rjust(7, b" "))
        return [float(x) for x in np.random.default_rng(seed).normal(size=self.length)]

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


class Broken(Embeddings):
    """Answers each request with the next of what it was given, and with the last for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def embed_query(self, text):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


class Learner:
    """An estimator that remembers what it was taught."""

    def __init__(self):
        self.costs = []

    def predict(self, x):
        return Estimate(mean=1.0, width=0.0)

    def learn(self, x, cost):
        self.costs.append(cost)


def chat(text, *, tokens=10, **fields):
    usage = {"input_tokens": 1, "output_tokens": tokens, "total_tokens": tokens + 1}
    return [ChatGeneration(message=AIMessage(text, usage_metadata=usage, **fields))]


def calling(**args):
    call = {"name": "weather", "args": args, "id": "call_1", "type": "tool_call"}
    return chat("", tool_calls=[call])


def ask(*words):
    """The prompt LangChain makes of one human message, after a system prompt if two are given."""
    *system, last = words
    return dumps([*map(SystemMessage, system), HumanMessage(last)])


def tokens(usage):
    return float(usage.output_tokens)


def texts(generations):
    return None if generations is None else [generation.text for generation in generations]


@pytest.fixture
def make():
    made = []

    def make(**arguments):
        if "reader" not in arguments:
            arguments.setdefault("embeddings", Letters())
        made.append(LECCache(**arguments))
        return made[-1]

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def cache(make):
    return make()


@pytest.fixture
def clock(monkeypatch):
    """The stopwatch of every cache; it stands until it is told to move."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(stats_module, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


@pytest.fixture
def no_global_cache():
    before = get_llm_cache()
    set_llm_cache(None)
    yield
    set_llm_cache(before)


# Hits and misses


def test_an_equal_prompt_is_an_exact_hit(cache):
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert texts(cache.lookup(ask("Where is Oslo?"), LLM)) == ["In Norway."]
    assert (cache.stats().hits_exact, cache.stats().hits_semantic) == (1, 0)


def test_a_rewording_is_a_semantic_hit_by_the_real_encoder(make):
    cache = make(embeddings=SentenceEncoder())
    cache.update(ask("How do I reset my password?"), LLM, chat("Click on Forgotten."))
    found = cache.lookup(ask("How can I reset my password?"), LLM)
    assert texts(found) == ["Click on Forgotten."]
    told = found[0].message.response_metadata["cachemux"]
    assert told["hit"] == "semantic"
    assert 0.85 <= told["similarity"] <= 1
    assert cache.lookup(ask("How do I reset my router?"), LLM) is None
    assert cache.lookup(ask("How do I not reset my password?"), LLM) is None
    assert (cache.stats().hits_semantic, cache.stats().misses) == (1, 2)


def test_the_default_embeddings_are_the_real_encoder(make):
    assert isinstance(make(embeddings=None).reader.embeddings, SentenceEncoder)


def test_a_hit_tells_its_kind_its_model_and_what_was_saved(make):
    cache = make(price=tokens)
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway.", response_metadata={"model": "m"}))
    (found,) = cache.lookup(ask("Where is Oslo?"), LLM)
    told = found.message.response_metadata["cachemux"]
    assert told.pop("key") == cache.reader.read(ask("Where is Oslo?"), LLM).key
    assert told == {"hit": "exact", "similarity": 1.0, "model": "m", "cost": 0.0, "saved": 10.0}
    (found,) = cache.lookup(ask("where is oslo"), LLM)
    told = found.message.response_metadata["cachemux"]
    assert told["hit"] == "semantic"
    assert told["judged"] is False
    assert 0 < 1 - told["p"] <= told["risk"] <= 0.02
    assert cache.stats().saved == 20


def test_several_generations_come_back_in_a_list(cache):
    generations = [Generation(text="In Norway."), Generation(text="Up north.")]
    cache.update("Where is Oslo?", LLM, generations)
    assert cache.lookup("Where is Oslo?", LLM) == generations
    assert isinstance(cache.lookup("Where is Oslo?", LLM), list)


@pytest.mark.parametrize(
    ("prompt", "llm"),
    [
        (ask("Where is Rome?"), LLM),
        (ask("Where is Oslo?"), "another model"),
        (ask("Answer in Latin.", "Where is Oslo?"), LLM),
        (ask("Where is Oslo not?"), LLM),
        (dumps([SystemMessage("Where is Oslo?")]), LLM),
        (ask(""), LLM),
    ],
    ids=["words", "model", "system prompt", "negation", "role", "nothing"],
)
def test_a_miss_by(cache, prompt, llm):
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert cache.lookup(prompt, llm) is None
    assert cache.stats().misses == 1


def test_a_semantic_hit_is_not_served_to_another_model_unless_it_may(make):
    small, large = (
        f'{{"id": ["x"], "kwargs": {{"model_name": "{name}"}}}}---[]' for name in ("s", "l")
    )
    for scope, expected in ((None, None), (any_model, ["In Norway."])):
        reader = Reader(Letters(), scope=scope) if scope else Reader(Letters())
        cache = make(reader=reader)
        cache.update(ask("Where is Oslo?"), large, chat("In Norway."))
        assert texts(cache.lookup(ask("where is oslo"), small)) == expected


def test_the_threshold_given_decides(make):
    strict = make(match=Threshold(0.9999))
    strict.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert texts(strict.lookup(ask("Where is Oslo? "), LLM)) == ["In Norway."]
    assert strict.lookup(ask("Where is Oslo, Ana?"), LLM) is None


def test_at_threshold_1_nothing_but_exact_matches_is_served(make):
    exact = make(match=Threshold(1))
    exact.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert exact.find(ask("Where is Oslo? "), LLM).reason == "only exact matches are served"
    assert texts(exact.lookup(ask("Where is Oslo?"), LLM)) == ["In Norway."]


def test_the_newest_answer_replaces_the_older(cache):
    for answer in ("In Sweden.", "In Norway."):
        cache.update(ask("Where is Oslo?"), LLM, chat(answer))
    assert texts(cache.lookup(ask("Where is Oslo?"), LLM)) == ["In Norway."]
    assert texts(cache.lookup(ask("where is oslo"), LLM)) == ["In Norway."]
    assert len(cache.ledger) == 1


def test_find_says_why_it_missed(cache):
    assert cache.find(ask(""), LLM).reason == "only an exact match will do, and there is none"
    assert cache.find(ask("Where is Oslo?"), LLM).reason == "nothing near is stored"
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert "similar" in cache.find(ask("Who was Napoleon?"), LLM).reason


def test_a_clear_forgets_everything(cache):
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    cache.clear()
    assert cache.lookup(ask("Where is Oslo?"), LLM) is None
    assert cache.lookup(ask("where is oslo"), LLM) is None
    assert (cache.stats().entries, cache.check()) == (0, [])
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert texts(cache.lookup(ask("where is oslo"), LLM)) == ["In Norway."]


def test_the_async_methods_do_the_same(cache):
    async def chain():
        await cache.aupdate(ask("Where is Oslo?"), LLM, chat("In Norway."))
        found = await cache.alookup(ask("where is oslo"), LLM)
        await cache.aclear()
        return found, await cache.alookup(ask("where is oslo"), LLM)

    found, cleared = asyncio.run(chain())
    assert (texts(found), cleared) == (["In Norway."], None)


# Fresh copies


def test_what_is_handed_out_has_no_id_and_is_nobodys_else(cache):
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway.", id="run-1"))
    one, other = (cache.lookup(ask("Where is Oslo?"), LLM)[0] for _ in range(2))
    assert (one.message.id, other.message.id) == (None, None)
    one.message.content = "In Sweden."
    one.message.response_metadata["cachemux"]["hit"] = "forged"
    one.message.usage_metadata["total_cost"] = 0
    assert other.message.content == "In Norway."
    (again,) = cache.lookup(ask("Where is Oslo?"), LLM)
    assert again == other


def test_what_was_stored_is_not_changed_by_who_brought_it(cache):
    generations = chat("In Norway.")
    cache.update(ask("Where is Oslo?"), LLM, generations)
    generations[0].message.content = "In Sweden."
    generations.clear()
    assert texts(cache.lookup(ask("Where is Oslo?"), LLM)) == ["In Norway."]


def test_an_answer_that_calls_a_tool_is_served_exactly_only_and_with_new_ids(cache):
    cache.update(ask("How warm is Oslo?"), LLM, calling(city="Oslo"))
    ids = {
        cache.lookup(ask("How warm is Oslo?"), LLM)[0].message.tool_calls[0]["id"] for _ in range(2)
    }
    assert len(ids) == 2
    assert "call_1" not in ids
    assert cache.lookup(ask("how warm is oslo"), LLM) is None
    assert cache.check() == []


@pytest.mark.parametrize(
    "generations",
    [
        chat("In Nor", response_metadata={"finish_reason": "length"}),
        chat("", additional_kwargs={"refusal": "I cannot."}),
        chat(""),
        [],
    ],
    ids=["truncated", "refused", "empty", "none"],
)
def test_not_stored_when_it_was(cache, generations):
    cache.update(ask("Where is Oslo?"), LLM, generations)
    assert cache.lookup(ask("Where is Oslo?"), LLM) is None
    assert (cache.stats().refused, cache.stats().admitted, cache.stats().errors) == (1, 0, 0)


# What is kept


def test_a_costlier_answer_outlives_cheaper_ones_as_popular(make):
    cache = make(capacity=2, price=tokens)
    cache.update(ask("Where is Oslo?"), LLM, chat("long", tokens=1000))
    for city in ("Rome", "Lima", "Kyiv", "Bonn"):
        cache.update(ask(f"Where is {city}?"), LLM, chat("cheap", tokens=10))
    assert texts(cache.lookup(ask("Where is Oslo?"), LLM)) == ["long"]
    assert cache.stats().entries == 2


def test_an_answer_that_is_itself_the_least_worth_is_passed_by(make):
    events = []
    cache = make(capacity=1, price=tokens, on_event=events.append)
    cache.update(ask("Where is Oslo?"), LLM, chat("long", tokens=1000))
    cache.update(ask("Where is Rome?"), LLM, chat("cheap", tokens=1))
    assert cache.lookup(ask("Where is Rome?"), LLM) is None
    assert cache.stats().bypassed == 1
    assert events[1] == Admission(None)
    assert cache.check() == []


def test_a_capacity_in_bytes_bounds_the_sum_of_sizes(make):
    cache = make(capacity="3KB")
    for n in range(20):
        cache.update(ask(f"Where is {n}?"), LLM, chat("x" * 50 * (n % 5)))
        assert cache.stats().size <= cache.stats().capacity == 3000
    assert 1 < cache.stats().entries < 20
    cache.update(ask("Where is all?"), LLM, chat("x" * 4000))
    assert cache.lookup(ask("Where is all?"), LLM) is None
    assert cache.check() == []


class Angles(Embeddings):
    """A text is a number of degrees, and its vector points there."""

    def embed_query(self, text):
        angle = math.radians(float(text))
        return [math.cos(angle), math.sin(angle)]

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


def test_near_duplicates_do_not_all_stay_and_the_one_that_does_is_credited(make):
    # 0° and 40° are 0.77 similar, so both are stored; 15° and 25° are served by either, so neither of
    # them spares a miss: credit 0, and both stay at one request. 180° has two. 270° comes, ties with
    # 0° and 40° at one, and the older goes. Now 40° alone serves 15°: credit 1.
    cache = make(
        capacity=3,
        embeddings=Angles(),
        match=Threshold(0.85, guards=()),
        policy=LEC(),
        price=tokens,
    )
    for angle in ("0", "40", "180"):
        assert cache.lookup(ask(angle), LLM) is None
        cache.update(ask(angle), LLM, chat(angle))
    assert cache.find(ask("180"), LLM).credit == 1.0
    for angle, nearest in [("15", "0"), ("25", "40")] * 5:
        hit = cache.find(ask(angle), LLM)
        assert (hit.entry.text, hit.kind, hit.credit) == (nearest, "semantic", 0.0)
    assert {e.text: cache.ledger.standing(e.key).count for e in cache.ledger} == {
        "0": 1.0,
        "40": 1.0,
        "180": 2.0,
    }
    cache.update(ask("270"), LLM, chat("270"))
    assert {e.text for e in cache.ledger} == {"40", "180", "270"}
    hit = cache.find(ask("15"), LLM)
    assert (hit.entry.text, hit.credit) == ("40", 1.0)
    assert cache.ledger.standing(hit.entry.key).count == 2.0


def test_an_evicted_answer_is_not_served_by_its_row(make):
    cache = make(capacity=1, policy=LRU())
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    cache.update(ask("Where is Rome?"), LLM, calling(city="Rome"))
    assert cache.lookup(ask("where is oslo"), LLM) is None
    assert cache.lookup(ask("Where is Oslo?"), LLM) is None


def test_rows_left_by_evicted_answers_do_not_hide_those_that_are_held(make):
    cache = make(capacity=17, policy=LRU())
    for n in range(16):
        cache.update(ask("Where is Oslo" + "?" * n), LLM, chat("old"))
    cache.update(ask("Where is Oslo!"), LLM, chat("new"))
    for n in range(16):
        cache.update(ask(f"How warm is {n}?"), LLM, calling(city=f"{n}"))
    assert texts(cache.lookup(ask("Where is Oslo!"), LLM)) == ["new"]
    assert texts(cache.lookup(ask("where is oslo"), LLM)) == ["new"]


@pytest.mark.parametrize("wrong", ["slot", "key", "partition"])
def test_a_row_that_the_ledger_does_not_confirm_is_never_served(cache, wrong):
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    (entry,) = cache.ledger
    asked = cache.reader.embed(cache.reader.read(ask("Where is Rome?"), LLM))
    other = cache.reader.embed(cache.reader.read(ask("Be brief.", "Where is Oslo?"), LLM))
    if wrong == "slot":
        cache.index.put(entry.slot + 1, entry.key, asked.vector, asked.partition)
        assert cache.lookup(ask("where is rome"), LLM) is None
    elif wrong == "key":
        cache.index.put(entry.slot + 1, "evicted", asked.vector, asked.partition)
        assert cache.lookup(ask("where is rome"), LLM) is None
    else:
        cache.index.put(entry.slot, entry.key, other.vector, other.partition)
        assert cache.lookup(ask("Be brief.", "where is oslo"), LLM) is None
    assert cache.stats().misses == 1


def test_check_finds_rows_that_are_missing_or_wrong_and_repairs_them(cache):
    for city in ("Oslo", "Rome", "Lima"):
        cache.update(ask(f"Where is {city}?"), LLM, chat(city))
    oslo, rome, _ = sorted(cache.ledger, key=lambda entry: entry.slot)
    cache.index.blank(oslo.slot)
    cache.index.put(rome.slot, "somebody else", rome.vector, rome.partition)
    cache.index.put(99, "stale", rome.vector, rome.partition)
    assert cache.lookup(ask("where is rome"), LLM) is None
    problems = cache.check()
    assert len(problems) == 2
    assert f"slot {oslo.slot}: the index lacks entry {oslo.key}" in problems
    assert cache.check(fix=True) == problems
    assert cache.check() == []
    assert cache.index.rows() == {entry.slot: entry.key for entry in cache.ledger}
    for city in ("Oslo", "Rome"):
        assert texts(cache.lookup(ask(f"where is {city}"), LLM)) == [city]


# Cost


def test_one_question_is_embedded_once(make):
    letters = Letters()
    cache = make(embeddings=letters)
    assert cache.lookup(ask("Where is Oslo?"), LLM) is None
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert letters.asked == ["Where is Oslo?"]
    for _ in range(3):
        cache.lookup(ask("Where is Oslo?"), LLM)
    assert letters.asked == ["Where is Oslo?"]


def test_by_default_an_answer_costs_the_seconds_from_its_miss_to_its_update(make, clock):
    learner = Learner()
    cache = make(estimator=learner)
    for taken in (4.0, 0.5):
        cache.lookup(ask(f"Where is {taken}?"), LLM)
        clock.now += taken
        cache.update(ask(f"Where is {taken}?"), LLM, chat("There."))
    assert learner.costs == [4.0, 0.5]


def test_a_question_asked_several_times_at_once_costs_its_seconds_each_time(make, clock):
    """As in `batch(["q"] * 3)`: three lookups miss, three models answer, three updates follow."""
    learner = Learner()
    cache = make(estimator=learner)
    for _ in range(3):
        cache.lookup(ask("Where is Oslo?"), LLM)
    clock.now += 4
    for _ in range(3):
        cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert learner.costs == [4.0, 4.0, 4.0]


def test_a_call_that_failed_does_not_lend_its_time_to_the_next(make, clock):
    learner = Learner()
    cache = make(estimator=learner)
    cache.lookup(ask("Where is Oslo?"), LLM)
    clock.now += 3600
    cache.lookup(ask("Where is Oslo?"), LLM)
    clock.now += 2
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert learner.costs == [2.0]


def test_an_update_nobody_looked_up_before_does_not_teach_that_answers_take_no_time(make, clock):
    learner = Learner()
    cache = make(estimator=learner)
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert 0.0 not in learner.costs
    assert texts(cache.lookup(ask("Where is Oslo?"), LLM)) == ["In Norway."]


def test_the_seconds_are_counted_while_the_embedder_is_broken(make, clock):
    learner = Learner()
    cache = make(embeddings=Broken(ConnectionError()), estimator=learner)
    cache.lookup(ask("Where is Oslo?"), LLM)
    clock.now += 4
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert learner.costs == [4.0]


ROUTED = {
    "model": "small",
    "route": "small",
    "reason": "least lower bound",
    "escalated": False,
    "estimates": {},
    "cost": 0.25,
    "seconds": 1.0,
}


def test_the_multiplexers_own_account_of_the_cost_is_believed(make):
    learner = Learner()
    cache = make(estimator=learner, price=tokens)
    told = {"cachemux": ROUTED}
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway.", response_metadata=told))
    assert learner.costs == [0.25]
    (found,) = cache.lookup(ask("Where is Oslo?"), LLM)
    assert found.message.response_metadata["cachemux"]["model"] == "small"


@pytest.mark.parametrize(
    "told",
    [3, {}, {"hit": "exact"}, {"cost": 0.25}, {**ROUTED, "cost": -1.0}, {**ROUTED, "cost": "free"}],
)
def test_what_is_no_account_of_a_multiplexer_is_not_believed(make, told):
    learner = Learner()
    cache = make(estimator=learner, price=tokens)
    cache.update(
        ask("Where is Oslo?"), LLM, chat("In Norway.", response_metadata={"cachemux": told})
    )
    assert learner.costs == [10.0]
    (found,) = cache.lookup(ask("Where is Oslo?"), LLM)
    assert found.message.response_metadata["cachemux"]["hit"] == "exact"


def test_an_answer_without_usage_is_priced_by_what_can_be_known(make):
    learner = Learner()
    cache = make(estimator=learner, price=tokens)
    cache.update("Where is Oslo?", LLM, [Generation(text="In Norway.")])
    assert learner.costs == [0.0]
    assert cache.lookup("Where is Oslo?", LLM) == [Generation(text="In Norway.")]


def test_an_estimator_given_at_construction_is_not_replaced(make):
    learner, other = Learner(), Mean()
    given, free = make(estimator=learner), make()
    given.value_by(other)
    free.value_by(other)
    assert given.estimator is learner
    assert free.estimator is other


# The chain never feels it


def fails(*_, **__):
    message = "away"
    raise ConnectionError(message)


@pytest.mark.parametrize(
    "vector",
    [ConnectionError("away"), [float("nan")] * 64, [0.0] * 64, [], None, "vector"],
    ids=["raises", "NaN", "zero", "empty", "None", "text"],
)
def test_with_a_broken_embedder_exact_hits_still_work(make, vector):
    cache = make(embeddings=Broken(vector))
    assert cache.lookup(ask("Where is Oslo?"), LLM) is None
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert texts(cache.lookup(ask("Where is Oslo?"), LLM)) == ["In Norway."]
    assert cache.lookup(ask("where is oslo"), LLM) is None
    stats = cache.stats()
    assert (stats.errors, stats.hits_exact, stats.admitted) == (3, 1, 1)
    assert cache.check() == []


def test_an_embedder_that_changes_its_length_costs_the_semantic_hits_alone(make):
    cache = make(embeddings=Broken([1.0, 0.0], [1.0, 0.0, 0.0]))
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    cache.update(ask("Where is Rome?"), LLM, chat("In Italy."))
    assert texts(cache.lookup(ask("Where is Rome?"), LLM)) == ["In Italy."]
    assert (cache.stats().errors, cache.stats().admitted) == (1, 2)
    assert cache.check() == []


def test_with_a_broken_index_exact_hits_still_work_and_it_can_be_repaired(cache, monkeypatch):
    with monkeypatch.context() as patched:
        for name in ("put", "nearest"):
            patched.setattr(cache.index, name, fails)
        cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
        assert texts(cache.lookup(ask("Where is Oslo?"), LLM)) == ["In Norway."]
        assert cache.lookup(ask("where is oslo"), LLM) is None
        assert cache.stats().errors == 2
    assert len(cache.check(fix=True)) == 1
    assert texts(cache.lookup(ask("where is oslo"), LLM)) == ["In Norway."]


@pytest.mark.parametrize("broken", ["get", "use", "admit"])
def test_with_a_broken_ledger_nothing_is_raised(cache, monkeypatch, broken):
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    monkeypatch.setattr(cache.ledger, broken, fails)
    found = cache.lookup(ask("Where is Oslo?"), LLM)
    assert texts(found) == (None if broken == "get" else ["In Norway."])
    cache.update(ask("Where is Rome?"), LLM, chat("In Italy."))
    assert cache.stats().errors == 1
    assert cache.stats().hits_exact == (broken != "get")


def test_with_a_broken_listener_everything_else_works(make):
    cache = make(on_event=fails)
    assert cache.lookup(ask("Where is Oslo?"), LLM) is None
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert texts(cache.lookup(ask("Where is Oslo?"), LLM)) == ["In Norway."]
    stats = cache.stats()
    assert (stats.errors, stats.misses, stats.admitted, stats.hits_exact) == (3, 1, 1, 1)


def unknown(usage):
    message = "no price for this model"
    raise ValueError(message)


def test_an_answer_no_price_is_known_for_is_stored_and_counted(make):
    cache = make(price=unknown)
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert texts(cache.lookup(ask("Where is Oslo?"), LLM)) == ["In Norway."]
    assert (cache.stats().unpriced, cache.stats().errors) == (1, 0)


@pytest.mark.parametrize(
    "price",
    [fails, lambda _: float("nan"), lambda _: -1.0, lambda _: "1 dollar", lambda _: float("inf")],
    ids=["raises", "NaN", "negative", "text", "infinite"],
)
def test_with_a_broken_price_nothing_is_raised_and_nothing_is_kept(make, price):
    cache = make(price=price)
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert cache.lookup(ask("Where is Oslo?"), LLM) is None
    assert (cache.stats().errors, cache.stats().unpriced, cache.stats().entries) == (1, 0, 0)
    assert cache.check() == []


@pytest.mark.parametrize("extra", [object(), b"x", {1, 2}], ids=["object", "bytes", "set"])
def test_an_answer_that_cannot_be_serialised_is_dropped_and_counted(cache, extra):
    cache.update(ask("Where is Oslo?"), LLM, [Generation(text="x", generation_info={"a": extra})])
    assert cache.lookup(ask("Where is Oslo?"), LLM) is None
    assert (cache.stats().errors, cache.stats().admitted) == (1, 0)


def test_a_question_without_a_stable_key_is_refused_twice_and_not_stored(cache):
    llm = "[('response_format', <class 'nowhere.Answer'>)]"
    assert cache.lookup(ask("Where is Oslo?"), llm) is None
    cache.update(ask("Where is Oslo?"), llm, chat("In Norway."))
    stats = cache.stats()
    assert (stats.refused, stats.errors, stats.entries) == (2, 0, 0)


@pytest.mark.parametrize("planted", ["garbage", "[]", '[{"text": 5}]'])
def test_a_stored_answer_that_cannot_be_read_is_a_miss_and_not_a_hit(cache, planted):
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    (entry,) = cache.ledger
    cache.ledger.admit(replace(entry, answer=planted))
    assert not cache.lookup(ask("Where is Oslo?"), LLM)
    assert not cache.lookup(ask("where is oslo"), LLM)
    assert (cache.stats().hits_exact, cache.stats().hits_semantic) == (0, 0)
    assert cache.stats().saved == 0
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert texts(cache.lookup(ask("where is oslo"), LLM)) == ["In Norway."]


@pytest.mark.parametrize(
    "prompt",
    ["[", "\x00", "🙂", "???", "[" * 5000, ask("\x00"), "\ud800", ask("\ud800")],
    ids=["bracket", "NUL", "emoji", "marks", "brackets", "NUL in chat", "half", "half in chat"],
)
def test_a_strange_prompt_is_stored_and_found(cache, prompt):
    assert cache.lookup(prompt, LLM) is None
    cache.update(prompt, LLM, chat("In Norway."))
    assert texts(cache.lookup(prompt, LLM)) == ["In Norway."]


def test_two_questions_of_punctuation_alone_are_no_fault(make):
    cache = make(embeddings=Broken([1.0, 0.0]))
    cache.update(ask("???"), LLM, chat("What?"))
    cache.lookup(ask("!!!"), LLM)
    assert cache.stats().errors == 0


def test_the_empty_prompt_is_served_exactly(cache):
    for prompt in ("", ask("")):
        cache.update(prompt, LLM, chat("Nothing asked."))
        assert texts(cache.lookup(prompt, LLM)) == ["Nothing asked."]
    assert cache.lookup(" ", LLM) is None


def test_a_megabyte_is_stored_and_found_exactly_in_a_moment(make):
    letters = Letters()
    cache = make(embeddings=letters)
    words = "all work and no play " * 50_000
    start = time.process_time()
    cache.update(ask(words + "a"), LLM, chat("A dull boy."))
    assert texts(cache.lookup(ask(words + "a"), LLM)) == ["A dull boy."]
    assert cache.lookup(ask(words + "b"), LLM) is None
    assert time.process_time() - start < 3
    assert letters.asked == []


# Arguments


@pytest.mark.parametrize(
    "capacity",
    [
        0,
        -1,
        True,
        1.5,
        "512",
        "abc",
        "12 parsecs",
        "0",
        "-1",
        "0B",
        "5K",
        "9" * 400 + "B",
        "",
        None,
        [3],
    ],
)
def test_a_wrong_capacity_is_refused_with_its_value(capacity):
    with pytest.raises(ValueError, match="capacity must be a positive number") as refused:
        LECCache(capacity=capacity, embeddings=Letters())
    assert str(refused.value).endswith(f"got {capacity!r}")


@pytest.mark.parametrize(
    ("capacity", "total", "unit"),
    [
        (7, 7, "entries"),
        ("512MB", 512_000_000, "bytes"),
        ("1KiB", 1024, "bytes"),
    ],
)
def test_a_capacity_is_entries_or_a_size(make, capacity, total, unit):
    cache = make(capacity=capacity)
    assert cache.stats().capacity == total
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert (cache.stats().size == 1) == (unit == "entries")


@pytest.mark.parametrize(("capacity", "entries"), [(7, 7), ("1MiB", 256)])
def test_the_default_policy_is_robust_for_about_as_many_entries(make, capacity, entries):
    policies = make(capacity=capacity).ledger.policies
    assert [*map(repr, policies)] == [*map(repr, robust(entries))]


@pytest.mark.parametrize("several", [list, tuple])
def test_several_policies_may_be_given(make, several):
    # B is expensive, A and C are cheap. LFU, followed first, lets the older of B and C go; LEC keeps B.
    policies = [LFU(), LEC()]
    cache = make(capacity=2, policy=several(policies), price=tokens)
    assert [*cache.ledger.policies] == policies
    for _ in range(3):
        for place, length in (("Oslo", 1), ("Rome", 1000), ("Lima", 1)):
            if cache.lookup(ask(f"Where is {place}?"), LLM) is None:
                cache.update(ask(f"Where is {place}?"), LLM, chat(place, tokens=length))
    assert cache.ledger.policy is policies[1]
    assert "Where is Rome?" in {entry.text for entry in cache.ledger}


@pytest.mark.parametrize("policy", [[], (), "LRU", 7, LRU, [LRU(), None]])
@pytest.mark.parametrize("kept", [False, True])
def test_what_is_no_policy_is_refused_with_its_value(tmp_path, policy, kept):
    with pytest.raises(ValueError, match="policy must be a policy or several") as refused:
        LECCache(tmp_path if kept else None, policy=policy, embeddings=Letters())
    assert str(refused.value).endswith(f"got {policy!r}")


def test_embeddings_and_a_reader_are_one_too_many():
    with pytest.raises(ValueError, match="embeddings and reader were both given"):
        LECCache(embeddings=Letters(), reader=Reader(Letters()))


@pytest.mark.parametrize("similarity", [0, 1.5])
def test_a_wrong_threshold_is_refused(similarity):
    with pytest.raises(ValueError, match="similarity must be in"):
        LECCache(embeddings=Letters(), match=Threshold(similarity))


class Anything:
    """Has nothing that any part needs."""

    def __repr__(self):
        return "Anything()"


async def coroutine(argument):
    """A function that must be awaited."""


NOTHING = [
    Anything(),
    b"bytes",
    {"a": 1},
    {1, 2},
    1j,
    True,
    object,
    coroutine,
    lambda: None,
    math.nan,
]
TEXTS = st.text().filter(lambda text: text not in ("seconds", "dollars"))
KINDS = st.sampled_from([*NOTHING, Mean, LEC, Threshold, Reader, LECCache, Mean(), -1, 85, ""])
WRONG = {
    "path": st.sampled_from([*NOTHING, 3, 0.5, "", " ", "a\0b", ["folder"]]),
    "capacity": st.sampled_from([*NOTHING, 1.5, 0, -1, "512", "abc", "", None, [3], 10_000.0]),
    "embeddings": TEXTS | KINDS | st.integers() | st.floats(),
    "policy": TEXTS | KINDS | st.integers() | st.floats() | st.lists(KINDS),
    "match": TEXTS | KINDS | st.integers().filter(lambda n: n != 1) | st.floats(-9, 0),
    "reader": TEXTS | KINDS | st.integers() | st.floats(),
    "price": TEXTS | KINDS.filter(lambda kind: kind is not None) | st.integers() | st.floats(),
    "estimator": (TEXTS | KINDS | st.integers()).filter(lambda kind: type(kind) is not Mean),
    "on_event": TEXTS | KINDS | st.integers() | st.floats() | st.lists(st.integers()),
}


@pytest.mark.parametrize("argument", WRONG)
@given(data=st.data())
def test_an_argument_of_a_wrong_kind_is_refused_by_its_name_and_value(argument, data):
    wrong = data.draw(WRONG[argument])
    arguments = {argument: wrong}
    if argument not in ("embeddings", "reader"):
        arguments["embeddings"] = Letters()
    with pytest.raises(ValueError, match=f"^{argument} must be ") as refused:
        LECCache(**arguments)
    assert str(refused.value).endswith(f", got {wrong!r}")


@pytest.mark.parametrize("policy", [LRU, robust, "LRU", [LRU(), 3]])
def test_a_refused_cache_makes_no_folder(tmp_path, policy):
    with pytest.raises(ValueError, match="policy must be"):
        LECCache(tmp_path / "cache", policy=policy, embeddings=Letters())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("similarity", [0.9, 1, np.float32(0.75)])
def test_a_number_for_a_match_is_the_threshold(make, similarity):
    match = make(match=similarity).match
    assert isinstance(match, Threshold)
    assert match.similarity == similarity


@pytest.mark.parametrize(("name", "price"), [("seconds", seconds), ("dollars", dollars)])
def test_a_built_in_price_may_be_given_by_its_name(make, name, price):
    assert make(price=name).price is price


@pytest.mark.parametrize("maker", [per_million_tokens, flops, joules, weighted])
def test_a_maker_of_prices_that_was_not_called_is_refused(maker):
    with pytest.raises(ValueError, match=r"price must be .*per_million_tokens\(\{...\}\)"):
        LECCache(price=maker, embeddings=Letters())


def test_a_users_own_router_values_an_entry_at_each_hit_too(make):
    class Own(Rising):
        def choose(self, x):
            """Names a model."""

    cache = make(estimator=Own(), price=tokens)
    cache.update(ask("one two three"), LLM, chat("a"))
    cache.lookup(ask("one two three"), LLM)
    assert costs_of(cache) == [2.0]


def test_a_cache_says_how_it_was_made(make):
    price = per_million_tokens({"small": (1.0, 2.0)})
    cache = make(capacity="3KB", policy=[LEC(half_life=9), LRU()], match=0.9, price=price)
    assert repr(cache) == (
        "LECCache(unit='bytes', ledger=MemoryLedger(3000, policy=[LEC(half_life=9, prior=0.0), "
        "LRU()], ghosts=None), match=Threshold(0.9), "
        f"reader=Reader({cache.reader.embeddings!r}, scope=per_model, max_chars=1000, max_pieces=240, "
        "memo=1024), price=per_million_tokens({'small': (1.0, 2.0)}), "
        "estimator=Mean(width=1.0, prior=None, keys=100000))"
    )


def length(new, stored):
    """A guard of one's own."""


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (Threshold(), "Threshold(0.85)"),
        (Threshold(0.5, guards=[length]), "Threshold(0.5, guards=(length))"),
        (Ridge(shrinkage=2.0), "Ridge(width=1.0, shrinkage=2.0)"),
        (
            Mean(prior=Ridge()),
            "Mean(width=1.0, prior=Ridge(width=1.0, shrinkage=1.0), keys=100000)",
        ),
        (weighted((1, dollars), (0.5, seconds)), "weighted((1, dollars), (0.5, seconds))"),
        (joules({"m": 9.0}), "joules({'m': 9.0})"),
        (SentenceEncoder(), "SentenceEncoder('sentence-transformers/all-MiniLM-L6-v2')"),
    ],
)
def test_a_part_says_how_it_was_made(part, told):
    assert repr(part) == told


# LangChain


def test_a_model_given_the_cache_is_asked_once(cache, no_global_cache):
    model = FakeListChatModel(responses=["In Norway.", "In Sweden."], cache=cache)
    answers = [model.invoke("Where is Oslo?").content for _ in range(3)]
    assert answers == ["In Norway."] * 3
    assert model.invoke("where is oslo").content == "In Norway."
    assert model.invoke("Who was Napoleon?").content == "In Sweden."
    stats = cache.stats()
    assert (stats.misses, stats.hits_exact, stats.hits_semantic) == (2, 2, 1)


def test_every_model_uses_the_global_cache(cache, no_global_cache):
    set_llm_cache(cache)
    model = FakeListChatModel(responses=["In Norway.", "In Sweden."])
    assert [model.invoke("Where is Oslo?").content for _ in range(2)] == ["In Norway."] * 2
    kept_out = FakeListChatModel(responses=["In Norway.", "In Sweden."], cache=False)
    assert [kept_out.invoke("Where is Oslo?").content for _ in range(2)] == [
        "In Norway.",
        "In Sweden.",
    ]
    assert cache.stats().misses == 1


def test_a_models_own_cache_goes_before_the_global_one(cache, no_global_cache):
    set_llm_cache(InMemoryCache())
    FakeListChatModel(responses=["In Norway."], cache=cache).invoke("Where is Oslo?")
    assert cache.stats().admitted == 1
    assert get_llm_cache()._cache == {}


# Events, numbers, threads


def test_every_lookup_and_update_is_told_and_counted(make):
    events = []
    cache = make(capacity=2, policy=LRU(), on_event=events.append)
    for city in ("Oslo", "Rome", "Oslo", "Lima", "Oslo"):
        prompt = ask(f"Where is {city}?")
        if cache.lookup(prompt, LLM) is None:
            cache.update(prompt, LLM, chat(city))
    assert [type(event) for event in events] == [
        *(Miss, Admission, Miss, Admission, Hit, Miss, Admission, Hit)
    ]
    told = Counter(type(event) for event in events)
    stats = cache.stats()
    assert (stats.misses, stats.hits_exact, stats.admitted) == (told[Miss], told[Hit], 3)
    assert (stats.entries, stats.size, stats.evicted) == (2, 2, 1)
    assert len(events[6].evicted) == 1


def test_threads_share_a_cache(make):
    cache, wrong = make(capacity=10, price=tokens), []

    def work(thread):
        random = np.random.default_rng(thread)
        for number in random.integers(0, 30, size=60):
            prompt = ask(f"Where is {number}?" if random.random() < 0.5 else f"where is {number}")
            found = cache.lookup(prompt, LLM)
            if found is None:
                cache.update(prompt, LLM, chat(f"{number}", tokens=int(number)))
            elif texts(found) != [f"{number}"]:
                wrong.append((number, texts(found)))
            if len(cache.ledger) > 10:
                wrong.append("over capacity")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    stats = cache.stats()
    assert wrong == []
    assert stats.errors == 0
    assert stats.hits_exact + stats.hits_semantic + stats.misses == 8 * 60
    assert stats.admitted + stats.bypassed + stats.reworded == stats.misses
    assert stats.hits_exact > 0
    assert cache.check() == []


def test_a_clear_in_the_middle_of_other_threads_work_breaks_nothing(make):
    cache, done = make(capacity=10), threading.Event()

    def work():
        while not done.is_set():
            cache.lookup(ask("where is oslo"), LLM)
            cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        cache.clear()
    done.set()
    for thread in threads:
        thread.join()
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    assert texts(cache.lookup(ask("Where is Oslo?"), LLM)) == ["In Norway."]
    assert cache.check() == []


# Any history

CITIES = ("Oslo", "Rome", "Lima", "Kyiv", "Bonn", "Graz")
SPELLINGS = ("Where is {}?", "where is {}", "WHERE IS {}")
PROMPTS = [ask(spelling.format(city)) for city in CITIES for spelling in SPELLINGS]
LLMS = ("one", "two")


class Histories(RuleBasedStateMachine):
    """Updates, lookups and clears, against a dictionary of the newest answers."""

    @initialize(capacity=st.integers(1, 8), in_bytes=st.booleans())
    def open(self, capacity, in_bytes):
        size = f"{capacity}KB" if in_bytes else capacity
        self.cache = LECCache(capacity=size, embeddings=Letters(), price=tokens)
        self.newest, self.counted = {}, Counter()

    @rule(
        prompt=st.sampled_from(PROMPTS),
        llm=st.sampled_from(LLMS),
        cost=st.integers(0, 100),
        calls=st.booleans(),
    )
    def update(self, prompt, llm, cost, calls):
        number = self.counted["updates"]
        self.counted["updates"] += 1
        said = f"{llm}-{PROMPTS.index(prompt) // len(SPELLINGS)}-{number}"
        answer = calling(said=said) if calls else chat(said, tokens=cost)
        self.cache.update(prompt, llm, answer)
        self.newest[prompt, llm] = (said, calls)

    @rule(prompt=st.sampled_from(PROMPTS), llm=st.sampled_from(LLMS))
    def lookup(self, prompt, llm):
        self.counted["lookups"] += 1
        key = self.cache.reader.read(prompt, llm).key
        held = self.cache.ledger.get(key) is not None
        found = self.cache.lookup(prompt, llm)
        own = self.newest.get((prompt, llm))
        if held:
            assert self.said(found) == own[0]
        elif found is not None:
            city = PROMPTS.index(prompt) // len(SPELLINGS)
            alike = PROMPTS[city * len(SPELLINGS) : (city + 1) * len(SPELLINGS)]
            plain = {self.newest.get((p, llm), ("", True)) for p in alike if p != prompt}
            assert (self.said(found), False) in plain

    @precondition(lambda self: self.counted["updates"] > 3)
    @rule()
    def clear(self):
        self.cache.clear()
        assert len(self.cache.ledger) == 0
        self.newest.clear()

    @staticmethod
    def said(found):
        (generation,) = found
        calls = generation.message.tool_calls
        return calls[0]["args"]["said"] if calls else generation.text

    @invariant()
    def is_sound(self):
        stats = self.cache.stats()
        assert 0 <= stats.size <= stats.capacity
        assert stats.entries == len(list(self.cache.ledger))
        assert stats.admitted + stats.bypassed == self.counted["updates"]
        assert stats.hits_exact + stats.hits_semantic + stats.misses == self.counted["lookups"]
        assert (stats.errors, stats.refused) == (0, 0)

    def teardown(self):
        assert self.cache.check() == []
        self.cache.close()


TestAnyHistory = Histories.TestCase
TestAnyHistory.settings = settings(max_examples=25, stateful_step_count=30)


def test_a_query_is_a_hit_or_a_miss_by_type(cache):
    assert isinstance(cache.find(ask("Where is Oslo?"), LLM), Miss)
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    hit = cache.find(ask("Where is Oslo?"), LLM)
    assert isinstance(hit, Hit)
    assert isinstance(hit.query, Query)


class Rising(Learner):
    """Each estimate is one more than the last."""

    def predict(self, x):
        self.mean = getattr(self, "mean", 0.0) + 1.0
        return Estimate(mean=self.mean, width=0.0)


def costs_of(cache):
    return [entry.cost for entry in cache.ledger]


def test_a_hit_values_its_entry_at_what_a_routed_miss_would_cost_by_now(make):
    cache = make(estimator=Router({"one": Rising()}), price=tokens)
    cache.update(ask("one two three"), LLM, chat("a"))
    assert costs_of(cache) == [1.0]
    cache.lookup(ask("one two three"), LLM)
    assert costs_of(cache) == [2.0]
    assert cache.stats().saved == 1.0


def test_without_a_router_a_hit_teaches_nothing(make):
    cache = make(estimator=Rising(), price=tokens)
    cache.update(ask("one two three"), LLM, chat("a"))
    cache.lookup(ask("one two three"), LLM)
    assert costs_of(cache) == [1.0]


def test_an_entry_of_an_earlier_run_keeps_its_cost_until_it_is_learned_again(tmp_path):
    options = {"embeddings": Letters(), "price": tokens}
    with LECCache(tmp_path, estimator=Router({"one": Rising()}), **options) as cache:
        cache.update(ask("one two three"), LLM, chat("a"))
        cache.lookup(ask("one two three"), LLM)
    with LECCache(tmp_path, estimator=Router({"one": Rising()}), **options) as cache:
        cache.lookup(ask("one two three"), LLM)
        assert costs_of(cache) == [2.0]
        cache.update(ask("one two three"), LLM, chat("a"))
        cache.lookup(ask("one two three"), LLM)
        assert costs_of(cache) == [2.0]
        cache.lookup(ask("one two three"), LLM)
        assert costs_of(cache) == [3.0]


class Interrupted(Letters):
    """Lets another thread do its work once, while a question is being embedded."""

    def __init__(self, work):
        super().__init__()
        self.work = work

    def embed_query(self, text):
        work, self.work = self.work, None
        if work is not None:
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        return super().embed_query(text)


@pytest.mark.parametrize(
    ("asked", "right"),
    [("where is oslo", {"In Norway.", "Warmed."}), ("Where is Rome?", {"Warmed."})],
    ids=["hit", "miss"],
)
def test_an_answer_warmed_by_another_thread_in_the_middle_of_a_lookup_costs_no_hit(
    make, asked, right
):
    letters = Interrupted(None)
    cache = make(embeddings=letters)
    cache.update(ask("Where is Oslo?"), LLM, chat("In Norway."))
    prompt = ask(asked)
    letters.work = lambda: cache.update(prompt, LLM, chat("Warmed."))
    assert set(texts(cache.lookup(prompt, LLM))) <= right
    stats = cache.stats()
    assert (stats.hits_exact, stats.hits_semantic, stats.misses, stats.errors) == (0, 1, 0, 0)
    cache.update(prompt, LLM, chat("Later."))
    assert cache.stats().errors == 0


def unknown_if_long(usage):
    return tokens(usage) if usage.output_tokens < 100 else unknown(usage)


def revalued(cache, prompt):
    """Whether a hit values the answer anew."""
    (before,) = costs_of(cache)
    assert cache.lookup(prompt, LLM) is not None
    return [before] != costs_of(cache)


def test_an_answer_stored_without_a_cost_keeps_its_value_at_hits_until_a_cost_is_known(make):
    cache = make(estimator=Router({"one": Rising()}), price=unknown_if_long)
    prompt = ask("Where is Oslo?")
    cache.update(prompt, LLM, chat("unpriced", tokens=100))
    assert not revalued(cache, prompt)
    cache.update(prompt, LLM, chat("priced", tokens=9))
    assert revalued(cache, prompt)
    cache.update(prompt, LLM, chat("unpriced", tokens=100))
    assert revalued(cache, prompt)


@pytest.mark.parametrize("gone", ["evicted", "passed by"])
def test_an_answer_that_comes_back_without_a_cost_keeps_its_value_at_hits(make, gone):
    # Each estimate is 1 more than the last, so by cost alone every newcomer evicts who is there; a
    # policy that wants the least lets none in, till the answer before it was forgotten.
    cache = make(
        capacity=1,
        policy=LRU() if gone == "evicted" else Cheapest(),
        estimator=Router({"one": Rising()}),
        price=unknown_if_long,
    )
    oslo, rome = ask("Where is Oslo?"), ask("Where is Rome?")
    for prompt in (oslo, rome) if gone == "evicted" else (rome, oslo):
        cache.update(prompt, LLM, chat("priced", tokens=9))
    assert cache.ledger.get(cache.reader.read(oslo, LLM).key) is None
    if gone == "passed by":
        cache.ledger.forget(cache.reader.read(rome, LLM).key)
    cache.update(oslo, LLM, chat("unpriced", tokens=100))
    assert not revalued(cache, oslo)


class Cheapest(LRU):
    def worth(self, standing):
        return -standing.cost

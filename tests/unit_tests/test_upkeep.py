"""Answers whose time is over, that are forgotten by what they are, and that others must not see."""

import asyncio
import math
import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import QUESTION, Fake, Words, every_way, lec, multiplexed
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration

from langchain_cachemux import LECCache, Threshold, cached
from langchain_cachemux.flight import UNKNOWN
from langchain_cachemux.keep.volatile import Volatile

LLM = "a model"
NEAR = "Tell me, what is the capital of France?"


class Clock:
    """The time that a test says it is."""

    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(clock):
    made = []

    def make(**arguments):
        made.append(lec(**{"clock": clock, "match": Threshold(0.5, guards=()), **arguments}))
        return made[-1]

    yield make
    for cache in made:
        cache.close()


def ask(words):
    return dumps([HumanMessage(words)])


def put(cache, words, answer, *, model="small"):
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    message = AIMessage(
        answer, usage_metadata=usage, response_metadata={"model_name": model, "model_provider": "p"}
    )
    cache.update(ask(words), LLM, [ChatGeneration(message=message)])


def got(cache, words):
    found = cache.lookup(ask(words), LLM)
    return None if found is None else found[0].text


def settled(cache):
    """Wait for what was begun in the background."""
    cache._workers._pool.shutdown(wait=True)
    return cache


# An answer has its time


def test_an_answer_is_served_until_its_time_is_over_by_its_words_and_by_near_ones(make, clock):
    cache = make(ttl=60)
    put(cache, QUESTION, "Paris")
    clock.now += 59.9
    assert (got(cache, QUESTION), got(cache, NEAR)) == ("Paris", "Paris")
    clock.now += 0.1
    assert (got(cache, QUESTION), got(cache, NEAR)) == (None, None)
    assert cache.stats().errors == 0


def test_an_alias_ends_with_its_entry(make, clock):
    cache = make(ttl=60)
    put(cache, QUESTION, "Paris")
    hit = cache.find(ask(NEAR), LLM)
    assert cache._shelf.reword(hit.query, hit.entry.key).slot is not None
    assert cache.find(ask(NEAR), LLM).kind == "exact"
    clock.now += 60
    assert got(cache, NEAR) is None


def test_an_alias_never_holds_longer_than_the_answer_it_is_found_instead_of(make):
    cache = make()
    put(cache, QUESTION, "Paris")
    with cache.keeping(ttl=5):
        put(cache, "the French seat of government", "Paris")
    fresh, stored = [
        cache.reader.embed(cache.find(ask(words), LLM).query)
        for words in ("the French seat of government", QUESTION)
    ]
    assert cache._shelf.reword(fresh, stored.key).slot is None
    longer = replace(cache.ledger.get(fresh.key), expires=math.inf)
    assert cache._shelf.reword(fresh, stored.key, fresh=longer).slot is not None
    assert len(cache.ledger) == 1


def test_a_hit_lengthens_no_time_unless_that_is_asked_for(make, clock):
    for sliding, left in ((False, None), (True, "Paris")):
        cache = make(ttl=60, sliding=sliding)
        put(cache, QUESTION, "Paris")
        clock.now += 40
        assert got(cache, QUESTION) == "Paris"
        clock.now += 40
        assert got(cache, QUESTION) == left


def test_a_fresh_answer_begins_its_time_anew(make, clock):
    cache = make(ttl=60)
    for _ in range(3):
        put(cache, QUESTION, "Paris")
        clock.now += 40
    assert got(cache, QUESTION) == "Paris"
    assert len(cache.ledger) == 1


def test_what_is_over_is_the_first_to_leave_and_its_count_stays(make, clock):
    cache = make(capacity=3)
    with cache.keeping(ttl=5):
        put(cache, "short lived", "1")
    for _ in range(9):
        got(cache, "short lived")
    for words in ("alpha", "beta"):
        put(cache, words, words)
    clock.now += 5
    put(cache, "gamma", "3")
    assert [got(cache, words) for words in ("alpha", "beta", "gamma")] == ["alpha", "beta", "3"]
    assert cache.stats().evicted == 0
    put(cache, "short lived", "2")
    assert got(cache, "short lived") == "2"
    assert cache.check() == []


def test_an_end_outlives_the_process_and_so_does_a_later_one(tmp_path, clock):
    given = {"embeddings": Words(), "clock": clock, "ttl": 60, "match": Threshold(0.5, guards=())}
    with LECCache(tmp_path, sliding=True, tags=["t"], **given) as cache:
        put(cache, QUESTION, "Paris")
        put(cache, "alpha", "1")
        clock.now += 40
        assert got(cache, QUESTION) == "Paris"
    clock.now += 40
    with LECCache(tmp_path, **given) as cache:
        assert (got(cache, QUESTION), got(cache, NEAR), got(cache, "alpha")) == (
            "Paris",
            "Paris",
            None,
        )
        assert len(settled(cache).ledger) == 1
        assert cache.check() == []
        assert cache.invalidate(tag="t", older_than=70) == 1


def test_what_is_over_leaves_in_the_background_though_nothing_is_stored(make, clock):
    cache = make(ttl=60)
    for number in range(5):
        put(cache, f"number {number}", "!")
    clock.now += 60
    got(cache, "anything")
    assert len(settled(cache).ledger) == 0
    assert cache.check() == []


def test_a_clock_that_was_set_back_lengthens_no_life(make, clock):
    cache = make(ttl=60)
    put(cache, QUESTION, "Paris")
    clock.now -= 3600
    assert got(cache, QUESTION) is None


def test_an_answer_that_is_over_at_once_is_neither_kept_nor_handed_to_who_waits(make):
    cache = make(ttl=lambda query: 0 if "now" in query.text else None)
    put(cache, "Is Oslo warm now?", "30")
    put(cache, QUESTION, "Paris")
    assert (len(cache.ledger), cache.stats().refused) == (1, 1)


def test_who_waits_is_not_told_an_answer_whose_time_is_over_by_then(make, clock):
    cache, told, joined = make(ttl=60), [], threading.Event()
    assert got(cache, QUESTION) is None
    join = cache.flights.join

    def late(key):
        joined.set()
        brought = join(key)
        clock.now += 60
        return brought

    cache.flights.join = late
    waiting = threading.Thread(target=lambda: told.append(got(cache, QUESTION)))
    waiting.start()
    joined.wait()
    (flight,) = cache.flights._flights.values()
    while not flight.answer._condition._waiters:
        time.sleep(0.01)
    put(cache, QUESTION, "Paris")
    waiting.join()
    assert told == [None]


def test_a_rule_that_raises_costs_the_answer_its_place_and_the_chain_nothing(make, caplog):
    cache = make(ttl=lambda query: 1 / 0)
    put(cache, QUESTION, "Paris")
    assert (len(cache.ledger), cache.stats().errors) == (0, 1)


def test_the_shipped_rule_keeps_what_is_asked_from_the_moment_for_a_while(make, clock):
    cache = make(ttl=Volatile(60))
    put(cache, "who leads today", "Ann")
    put(cache, QUESTION, "Paris")
    clock.now += 60
    assert (got(cache, "who leads today"), got(cache, QUESTION)) == (None, "Paris")


@every_way
def test_one_call_says_how_long_its_answer_holds(ask, make, clock):
    for face in (cached, lambda m, c: multiplexed(m, cache=c)):
        model, cache = Fake(model="small"), make()
        llm = face(model, cache)
        ask(llm.bind(ttl=60), QUESTION)
        ask(llm.bind(ttl=60), QUESTION)
        assert len(model.calls) == 1
        assert "ttl" not in model.calls[0].kwargs
        clock.now += 60
        ask(llm, QUESTION)
        assert len(model.calls) == 2
        clock.now += 1e9
        ask(llm, QUESTION)
        assert len(model.calls) == 2


def test_a_block_says_how_long_the_answers_of_any_model_hold(make, clock):
    cache = make()
    model = Fake(model="small", cache=cache)
    with cache.keeping(ttl=timedelta(minutes=1)):
        model.invoke(QUESTION)
        model.batch(["alpha", "beta"])
        asyncio.run(model.ainvoke("gamma"))
    model.invoke("delta")
    clock.now += 60
    for words in (QUESTION, "alpha", "beta", "gamma", "delta"):
        model.invoke(words)
    assert len(model.calls) == 5 + 4


def test_a_cache_that_keeps_answers_for_ever_is_not_told_how_long(make):
    llm = cached(Fake(model="small"), InMemoryCache())
    with pytest.raises(ValueError, match="ttl must be left out: a InMemoryCache keeps answers"):
        llm.invoke(QUESTION, ttl=60)
    with pytest.raises(ValueError, match="ttl must be seconds > 0"):
        cached(Fake(model="small"), make()).invoke(QUESTION, ttl=0)
    assert cached(Fake(model="small"), cache=False).invoke(QUESTION, ttl=60).text == "Paris it is"


# An epoch is a cache of its own


def test_what_another_epoch_stored_is_not_found_and_the_first_to_leave(make):
    old, new = make(epoch="v1", capacity=2), make(epoch="v2", capacity=2)
    new._shelf.ledger, new._shelf.index = old._shelf.ledger, old._shelf.index
    put(old, QUESTION, "Paris")
    put(old, "other", "one")
    for _ in range(9):
        got(old, QUESTION)
    assert (got(new, QUESTION), got(new, NEAR)) == (None, None)
    assert QUESTION not in new.explain(NEAR)
    put(new, QUESTION, "Lyon")
    put(new, "gamma", "3")
    assert (got(new, QUESTION), got(new, "gamma")) == ("Lyon", "3")
    assert (got(old, QUESTION), got(old, "other")) == (None, None)
    assert new.check() == []


# What is invalidated is gone


@pytest.fixture
def filled(make, clock):
    cache = make(tags=lambda query: ["long"] if len(query.text) > 20 else [])
    for words, answer, model, tags in (
        ("alpha of the Greeks and others", "the first letter", "small", ["greek"]),
        ("beta", "the second letter", "large", ["greek"]),
        ("gamma", "Straße", "large", []),
    ):
        with cache.keeping(tags=tags):
            put(cache, words, answer, model=model)
        clock.now += 10
    return cache


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ({"tag": "greek"}, ["gamma"]),
        ({"tag": "long"}, ["beta", "gamma"]),
        ({"tag": "gree"}, ["alpha", "beta", "gamma"]),
        ({"model": "large"}, ["alpha"]),
        ({"model": "large", "tag": "greek"}, ["alpha", "gamma"]),
        ({"older_than": 15}, ["gamma"]),
        ({"older_than": timedelta(seconds=25)}, ["beta", "gamma"]),
        ({"contains": "LETTER"}, ["gamma"]),
        ({"contains": "STRASSE"}, ["alpha", "beta"]),
        ({"contains": "greeks"}, ["beta", "gamma"]),
        ({"contains": "letter", "model": "large"}, ["alpha", "gamma"]),
        ({"namespace": "ann"}, ["alpha", "beta", "gamma"]),
    ],
)
def test_all_that_is_given_must_hold_of_what_is_invalidated(filled, asked, left):
    assert filled.invalidate(**asked) == 3 - len(left)
    assert [entry.text.split()[0] for entry in filled.ledger] == left
    assert filled.check() == []
    assert filled.index.nearest(filled.reader.vector("beta"), "", n=9) is not None


def test_it_is_the_same_without_holding_up_the_loop(filled):
    assert asyncio.run(filled.ainvalidate(tag="greek", older_than=15)) == 2
    assert len(filled.ledger) == 1


def test_an_alias_is_found_by_its_own_words_and_goes_with_its_answer(filled):
    query = filled.reader.embed(filled.find(ask("beta"), LLM).query)
    filled._shelf.reword(replace(query, key="other", text="the letter b"), query.key)
    assert filled.invalidate(contains="Letter B") == 1
    assert filled.ledger.wording("other") is None
    assert filled.check() == []


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({}, "clear\\(\\)"),
        ({"tag": ""}, "tag must be"),
        ({"model": 3}, "model must be"),
        ({"older_than": -1}, "older_than must be"),
        ({"older_than": True}, "older_than must be"),
        ({"contains": b"x"}, "contains must be"),
    ],
)
def test_what_names_nothing_invalidates_nothing(filled, asked, name):
    with pytest.raises(ValueError, match=name):
        filled.invalidate(**asked)
    assert len(filled.ledger) == 3


# One namespace does not see another


TENANTS = ("ann", "bob")
QUESTIONS = ("alpha rays", "beta blockers", "the alpha rays", "gamma")
STEPS = st.tuples(
    st.sampled_from(TENANTS),
    st.sampled_from(["ask", "put", "forget", "invalidate", "explain", "contains"]),
    st.sampled_from(QUESTIONS),
)


def do(cache, what, words, step):
    """What somebody sees who does this."""
    if what == "ask":
        return got(cache, words)
    if what == "put":
        return put(cache, words, f"{words} {step}")
    if what == "forget":
        return cache.forget(words)
    if what == "invalidate":
        return cache.invalidate(tag=words[:4])
    if what == "contains":
        return cache.invalidate(contains=words)
    return cache.explain(words), cache.explain(ask(words), LLM)


def tagged(query):
    return [query.text[:4] or "none"]


@settings(max_examples=12)
@given(st.lists(STEPS, min_size=1, max_size=25))
def test_what_one_sees_is_what_he_would_see_alone(steps):
    given = {"match": Threshold(0.6, guards=()), "tags": tagged, "clock": Clock()}
    with lec(**given) as shared, lec(**given) as of_ann, lec(**given) as of_bob:
        alone = {"ann": of_ann, "bob": of_bob}
        for step, (tenant, what, words) in enumerate(steps):
            with shared.keeping(namespace=tenant), alone[tenant].keeping(namespace=tenant):
                one = do(shared, what, words, step)
                other = do(alone[tenant], what, words, step)
            assert one == other
        assert shared.check() == []


def user(metadata):
    return metadata["user"]


@pytest.mark.parametrize("namespace", [user, lambda metadata: None])
def test_a_namespace_that_is_not_found_is_told_once(make, caplog, namespace):
    cache = make(namespace=namespace)
    model = Fake(model="small", cache=cache)
    with caplog.at_level("WARNING"):
        for _ in range(3):
            model.invoke(QUESTION)
    told = [line for line in caplog.messages if "nothing is cached where namespace" in line]
    assert len(told) == 1
    assert (len(cache.ledger), cache.stats().errors) == (0, 0)
    assert cache.stats().refused > 0


def test_who_is_of_no_run_names_the_namespace(make):
    cache = make(namespace=user)
    model = Fake(model="small", cache=cache)
    for name in ("ann", "bob"):
        model.invoke(QUESTION, {"metadata": {"user": name}})
    for call in (cache.forget, cache.explain):
        with pytest.raises(ValueError, match="namespace"):
            call(QUESTION)
    assert QUESTION in cache.explain(NEAR, namespace="ann")
    assert QUESTION not in cache.explain(NEAR, namespace="eve")
    assert cache.forget(QUESTION, namespace="eve") == 0
    assert cache.forget(QUESTION, namespace="ann") == 1
    assert cache.invalidate(namespace="ann") == 0
    assert cache.invalidate(namespace="bob") == 1


def test_a_cache_of_one_namespace_forgets_nothing_of_another(make):
    ann, bob = make(namespace="ann"), make(namespace="bob")
    bob._shelf.ledger, bob._shelf.index = ann._shelf.ledger, ann._shelf.index
    for cache in (ann, bob):
        put(cache, QUESTION, cache.namespace.of)
    assert [got(cache, NEAR) for cache in (ann, bob)] == ["ann", "bob"]
    assert bob.invalidate(contains="capital") == 1
    assert bob.forget(QUESTION) == 0
    assert (got(ann, QUESTION), got(bob, QUESTION)) == ("ann", None)
    with ann.keeping(namespace="trip"):
        put(ann, "within", "1")
    assert ann.invalidate(namespace="trip") == 1


def test_nobody_waits_for_an_equal_question_of_another_namespace(make):
    cache = make()
    with cache.keeping(namespace="ann"):
        assert got(cache, QUESTION) is None
    told = []

    def bob():
        with cache.keeping(namespace="bob"):
            told.append(got(cache, QUESTION))

    thread = threading.Thread(target=bob)
    thread.start()
    thread.join(UNKNOWN / 2)
    assert told == [None]
    with cache.keeping(namespace="ann"):
        put(cache, QUESTION, "of ann")
    assert len(cache.flights) == 1


def test_a_folder_tells_nobodys_name(tmp_path):
    with LECCache(tmp_path, embeddings=Words(), namespace="secret-tenant", tags=["open"]) as cache:
        put(cache, QUESTION, "Paris")
        assert cache.invalidate(tag="shut") == 0
        assert got(cache, QUESTION) == "Paris"
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"secret-tenant" not in written

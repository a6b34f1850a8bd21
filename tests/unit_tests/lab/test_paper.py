"""The paper's cache against a scan of its whole history, and its bound against the formula."""

import math
from collections import Counter

import pytest
from hypothesis import given
from small_traces import traces

from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import LFU
from langchain_cachemux.lab.paper import OwnMean, TheoremBound, WholeHistory
from langchain_cachemux.lab.replay import follow
from langchain_cachemux.types import Query


@pytest.mark.parametrize("cost", [True, False])
@given(trace=traces())
def test_the_least_count_times_cost_of_all_that_was_ever_asked_leaves(cost, trace):
    counts, held, last, told = Counter(), set(), {}, {}
    cache = WholeHistory(3, cost=cost)
    for now, request in enumerate(trace):
        counts[request.key] += 1
        assert cache.request(request.key, request.cost) == (request.key in held)
        if request.key not in held:
            told[request.key] = request.cost if cost else 1.0
        last[request.key] = now
        held.add(request.key)
        if len(held) > 3:
            held.remove(min(held, key=lambda key: (counts[key] * told[key], last[key])))
        assert {key for key in counts if key in cache} == held


@given(trace=traces())
def test_blind_to_cost_it_is_a_ledger_of_lfu_that_forgets_no_count(trace):
    ledger = MemoryLedger(3, policy=LFU(), ghosts=100)
    ours = [outcome.hit for outcome in follow(trace, ledger)]
    assert ours == [o.hit for o in follow(trace, WholeHistory(3, cost=False))]


def test_a_large_answer_is_worth_less_for_its_size():
    cache = WholeHistory(4)
    for key, cost, size in (("a", 8.0, 4), ("b", 3.0, 1), ("c", 1.0, 1)):
        cache.request(key, cost, size)
    # a is worth 2 per unit, b 3: a leaves; c is worth 1, and there is room
    assert [key in cache for key in "abc"] == [False, True, True]
    assert cache.size == 2


def test_a_long_stream_of_hits_does_not_make_it_grow():
    cache = WholeHistory(2)
    for _ in range(10_000):
        cache.request("a")
    assert len(cache._heap) < 100


def test_the_mean_is_that_of_all_that_a_key_cost():
    mean, seen = OwnMean(), []
    for key, cost in (("a", 1.0), ("b", 5.0), ("a", 2.0), ("a", 6.0)):
        mean.learn(Query(key), cost)
        seen.append(mean.predict(Query(key)).lower)
    assert seen == [1.0, 5.0, 1.5, 3.0]


def test_the_theorems_bound_is_its_formula_and_no_less_than_the_least_cost():
    # B2 - B1 = 1, T = 100, N = 10: log(6·100·10/.05) = 11.7, so n = 1 is wide and n = 23 is not.
    bound, x = TheoremBound(least=1.0, most=2.0, requests=100, queries=10), Query("a")
    bound.learn(x, 2.0)
    assert bound.predict(x).lower == 1.0
    for _ in range(22):
        bound.learn(x, 2.0)
    assert bound.predict(x).lower == pytest.approx(2.0 - math.sqrt(math.log(120_000) / 46))


def test_at_a_delta_beyond_any_probability_the_bound_is_the_mean():
    bound, x = TheoremBound(least=0.0, most=9.0, requests=10, queries=2, delta=120.0), Query("a")
    bound.learn(x, 4.0)
    assert bound.predict(x).lower == 4.0

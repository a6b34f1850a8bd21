"""A replay against a loop over lists, against its bounds, and against the cache it stands for."""

import math
import random
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from small_traces import (
    CHOICES,
    NO_BOUNDS,
    POLICIES,
    each_choice,
    each_policy,
    popular,
    spelled,
    traces,
)

from langchain_cachemux.cache import LECCache
from langchain_cachemux.keep.books import Capacity
from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import GDSF, LEC, LFU, LRU, robust
from langchain_cachemux.lab.baselines import ARC, SIEVE
from langchain_cachemux.lab.replay import follow, following, label, limits, replay
from langchain_cachemux.match.threshold import Threshold
from langchain_cachemux.multiplexer import MultiplexedLLM
from langchain_cachemux.read import answers
from langchain_cachemux.route.estimators import Mean
from langchain_cachemux.route.router import Router
from langchain_cachemux.types import Entry, Estimate, Query, Request, Standing

# The obvious loop


def oracle(trace, capacity, policy, *, sized=False):
    """What `replay` does with one policy: hits and cost, by scanning for the least worth."""
    held, gone, mean = {}, {}, Mean()
    hits, cost, most = 0, 0.0, 0
    for now, request in enumerate(trace, 1):
        key, size = request.key, request.size if sized else 1
        entry = held.get(key) or gone.pop(key, None) or Standing(key, size=size)
        if key in held:
            hits += 1
        else:
            cost += request.cost
            mean.learn(Query(key), request.cost)
            entry.uses = 0.0
            entry.cost = mean.predict(Query(key)).lower
        entry.requested(now, policy.half_life)
        entry.worth = policy.worth(entry)
        if key in held:
            continue
        stay = sorted([*held.values(), entry], key=lambda e: (e.worth, e.last))
        leave = []
        while sum(e.size for e in stay) > capacity and entry not in leave:
            leave.append(entry if size > capacity else stay[0])
            stay.remove(leave[-1])
        if entry in leave:
            leave = [entry]
        else:
            held[key] = entry
            most = max(most, len(held) - len(leave))
        for victim in leave:
            held.pop(victim.key, None)
            gone[victim.key] = victim
            if victim.size <= capacity:
                policy.evicted(victim)
            while len(gone) > max(10_000, 10 * most):
                del gone[next(iter(gone))]
    return hits, cost


@each_policy
@given(trace=traces(), capacity=st.integers(1, 12), sized=st.booleans())
def test_a_replay_hits_and_pays_what_a_loop_over_lists_would(policy, trace, capacity, sized):
    report = replay(trace, capacity=f"{capacity}B" if sized else capacity, policy=policy())
    assert (report.hits, report.cost) == oracle(trace, capacity, policy(), sized=sized)
    assert report.requests == len(trace)
    assert report.capacity == report.bounds.capacity == capacity


def test_an_example_in_full():
    # A costs 4, B and C cost 1, size 2, no two costs of one key differ, so a lower bound is the cost
    # itself. A B miss; C = 1 ties with B and is younger: B out; A hit; B is remembered, 2 beats C's 1:
    # C out; B hit. Paid: 4 + 1 + 1 + 1 = 7 of 12. Kept for good, A and B would cost 4 + 1, and C 1.
    report = replay(spelled("A B C A B B", A=4.0), capacity=2, policy=LEC())
    assert (report.policy, report.requests, report.hits) == ("LEC(half_life=inf, prior=0.0)", 6, 2)
    assert (report.cost, report.evictions, report.calls) == (7.0, 2, {})
    bounds = report.bounds
    assert (bounds.capacity, bounds.requests, bounds.distinct) == (2, 6, 3)
    assert (bounds.no_cache, bounds.static) == (12.0, 6.0)
    assert bounds.optimum.lower == pytest.approx(6.0)
    assert report.share == pytest.approx(7 / 12)


@each_choice
@given(trace=traces(), capacity=st.integers(1, 12), sized=st.booleans())
@settings(max_examples=20)
def test_the_names_of_the_keys_change_nothing(choice, trace, capacity, sized):
    keys = list(dict.fromkeys(r.key for r in trace))
    renamed = dict(zip(keys, sorted(keys, reverse=True), strict=True))
    other = [Request(f"other {renamed[r.key]}", r.cost, r.size) for r in trace]
    capacity = f"{capacity}B" if sized else capacity
    assert replay(trace, capacity=capacity, policy=choice()) == replay(
        other, capacity=capacity, policy=choice()
    )


@each_choice
def test_a_replay_leaves_the_policy_as_it_was(choice):
    policy, trace = choice(), popular(300)
    assert replay(trace, capacity=4, policy=policy) == replay(trace, capacity=4, policy=policy)
    assert getattr(policy, "clock", 0.0) == 0.0


def test_a_generator_is_read_once_and_the_report_is_that_of_the_list():
    trace = popular(200)
    assert replay((r for r in trace), capacity=4) == replay(trace, capacity=4)
    assert limits((r for r in trace), capacity=4) == limits(trace, capacity=4)


class Even:
    """Takes every answer to cost the same."""

    def predict(self, x):
        return Estimate(mean=1.0, width=0.0)

    def learn(self, x, cost):
        pass


def test_the_policy_is_robust_and_the_estimator_a_mean_unless_others_are_given():
    trace = popular(400)
    assert replay(trace, capacity=5) == replay(trace, capacity=5, policy=robust, estimator=Mean())
    blind = replay(trace, capacity=5, policy=LEC(), estimator=Even())
    assert blind.hits == replay(trace, capacity=5, policy=LFU()).hits
    assert blind.hits != replay(trace, capacity=5, policy=LEC()).hits


def test_a_trace_of_nothing_costs_nothing():
    report = replay([], capacity=3)
    assert (report.requests, report.hits, report.cost, report.share) == (0, 0, 0.0, 0.0)
    assert (report.bounds.no_cache, report.bounds.static) == (0.0, 0.0)


@pytest.mark.parametrize("capacity", [0, -3, "0B", "12 parsecs", True])
@pytest.mark.parametrize("call", [replay, limits])
def test_a_capacity_that_is_none_is_refused_by_name_and_value(call, capacity):
    with pytest.raises(ValueError, match=rf"capacity must be .* got {capacity!r}"):
        call(spelled("A B"), capacity=capacity)


@pytest.mark.parametrize("policy", [[], [LRU(), "lru"], "lru", None])
def test_what_is_no_policy_is_refused_by_name_and_value(policy):
    with pytest.raises(ValueError, match="policy must be a policy or several"):
        replay(spelled("A B"), capacity=1, policy=policy)


# The loop


def test_follow_says_what_came_of_each_request_before_the_next_is_sent():
    # A costs 4, B and C cost 1, at size 2. A and B come in; C = 1 ties with B and is younger: B out; B
    # is remembered, 2 beats C's 1: C out; A hits.
    ledger, seen = MemoryLedger(2, policy=LEC()), []
    trace = spelled("A B C B A", A=4.0)
    for request, outcome in zip(trace, follow(trace, ledger), strict=True):
        assert outcome.request is request
        evicted = outcome.admission.evicted if outcome.admission else ()
        seen.append((outcome.hit, outcome.paid, evicted, "".join(sorted(e.key for e in ledger))))
    assert seen == [
        (False, 4.0, (), "A"),
        (False, 1.0, (), "AB"),
        (False, 1.0, ("B",), "AC"),
        (False, 1.0, ("C",), "AB"),
        (True, 0.0, (), "AB"),
    ]


def test_follow_without_an_estimator_takes_the_next_miss_to_cost_what_this_one_did():
    ledger = MemoryLedger(3, policy=LRU())
    outcomes = list(follow([Request("a", 5.0), Request("b", 1.0)], ledger))
    assert [o.estimate for o in outcomes] == [None, None]
    assert {e.key: e.cost for e in ledger} == {"a": 5.0, "b": 1.0}


def test_follow_values_an_answer_at_the_lower_bound_of_its_estimate():
    ledger = MemoryLedger(3, policy=LRU())
    [outcome] = follow([Request("a", 5.0)], ledger, estimator=Even())
    assert outcome.estimate == Estimate(mean=1.0, width=0.0)
    assert ledger.get("a").cost == 1.0


def test_follow_tells_which_models_a_router_had_asked():
    trace = [ladder(1.0, 10.0, ok=False), ladder(1.0, 10.0, ok=False)]
    first, again = follow(trace, MemoryLedger(1, policy=LRU()), router=router())
    assert (first.models, first.paid) == (("small", "large"), 11.0)
    assert first.estimate.mean == 10.0
    assert (again.hit, again.models, again.paid) == (True, (), 0.0)


class Written:
    """A baseline that keeps nothing, and what it was told."""

    def __init__(self):
        self.told = []

    def __contains__(self, key):
        return False

    def request(self, key, cost=1.0, size=1):
        self.told.append((key, cost, size))
        return False


def test_follow_tells_a_baseline_what_was_paid_or_what_is_estimated():
    trace = [Request("a", 4.0, 7), Request("b", costs={"small": 1.0, "large": 9.0})]
    plain, sized, estimated = Written(), Written(), Written()
    outcomes = list(follow(trace, plain))
    list(follow(trace, sized, sized=True))
    list(follow(trace, estimated, estimator=Even()))
    assert [(o.hit, o.paid, o.admission) for o in outcomes] == [(False, 4, None), (False, 9, None)]
    assert plain.told == [("a", 4.0, 1), ("b", 9.0, 1)]
    assert sized.told == [("a", 4.0, 7), ("b", 9.0, 1)]
    assert estimated.told == [("a", 1.0, 1), ("b", 1.0, 1)]


def test_follow_lets_estimator_and_router_read_more_than_a_key():
    seen = []

    class Reads(Even):
        def predict(self, x):
            seen.append(x.text)
            return super().predict(x)

    def query(key):
        return Query(key, text=f"the text of {key}")

    trace = [ladder(1.0, 2.0), ladder(1.0, 2.0)]
    list(follow(trace[:1], MemoryLedger(1, policy=LRU()), estimator=Reads(), query=query))
    asked = Router({"small": Reads(), "large": Reads()})
    list(follow(trace, MemoryLedger(1, policy=LRU()), router=asked, query=query))
    assert set(seen) == {"the text of a"}
    assert len(seen) > 4  # chosen, valued, and valued again at the hit


@each_choice
@given(trace=traces(), cut=st.integers(0, 60), sized=st.booleans())
@settings(max_examples=20)
def test_the_stretches_of_a_trace_come_to_what_the_whole_does(choice, trace, cut, sized):
    through = following(choice(), capacity="5B" if sized else 5)
    parts = [*through(trace[:cut]), *through(trace[cut:])]
    whole = list(following(choice(), capacity="5B" if sized else 5)(trace))
    assert parts == whole
    report = replay(trace, capacity="5B" if sized else 5, policy=choice())
    assert report.cost == sum(o.paid for o in whole)
    assert report.hits == sum(o.hit for o in whole)
    assert report.evictions == sum(len(o.admission.evicted) for o in whole if o.admission)


# Sizes


def test_sizes_count_only_when_the_capacity_is_bytes():
    # Two of size 3 fit two entries, and not 5 bytes: there B finds A oldest and A B oldest.
    trace = [Request(key, 1.0, 3) for key in "ABAB"]
    assert replay(trace, capacity=2, policy=LRU()).hits == 2
    report = replay(trace, capacity="5B", policy=LRU())
    assert (report.hits, report.evictions, report.capacity) == (0, 3, 5)
    assert replay(trace, capacity="6B", policy=LRU()).hits == 2


@each_choice
def test_an_answer_larger_than_the_capacity_is_refused_and_the_loop_ends(choice):
    trace = [Request("huge", 100.0, 11), Request("a"), Request("huge", 100.0, 11), Request("a")]
    report = replay(trace, capacity="10B", policy=choice())
    assert (report.hits, report.cost) == (1, 201.0)
    assert report.evictions == 0


@pytest.mark.parametrize(("capacity", "entries"), [(7, 7), ("64KB", 64_000 // 4096)])
def test_a_policy_is_made_for_about_how_many_entries_there_will_be(capacity, entries):
    made = []
    replay([], capacity=capacity, policy=lambda n: made.append(n) or LRU())
    assert made == [entries]


# Bounds


@each_choice
@given(trace=traces(), capacity=st.integers(1, 9), sized=st.booleans())
@settings(max_examples=20)
def test_no_policy_costs_less_than_the_bound_or_more_than_no_cache(choice, trace, capacity, sized):
    report = replay(trace, capacity=f"{capacity}B" if sized else capacity, policy=choice())
    bounds = report.bounds
    slack = 1e-9 * bounds.no_cache
    assert bounds.no_cache == sum(r.cost for r in trace)
    assert bounds.optimum.lower - slack <= report.cost <= bounds.no_cache + slack
    assert bounds.optimum.lower - slack <= bounds.static <= bounds.no_cache + slack
    assert bounds.optimum.lower <= bounds.optimum.upper <= bounds.no_cache + slack
    assert bounds.distinct == len({r.key for r in trace})


def test_bounds_given_are_reported_and_not_computed_anew():
    trace = popular(100, models=2)
    for router in (None, Router({"m0": Mean(), "m1": Mean()})):
        bounds = limits(trace, capacity=4, router=router)
        report = replay(trace, capacity=4, router=router, bounds=bounds)
        assert report.bounds is bounds
        fresh = Router({"m0": Mean(), "m1": Mean()}) if router else None
        assert replay(trace, capacity=4, router=fresh) == report


def test_an_unlimited_cache_costs_the_first_request_of_each_key_and_so_does_the_bound():
    trace = popular(300)
    first = {r.key: r.cost for r in reversed(trace)}
    report = replay(trace, capacity=100)
    assert report.cost == sum(first.values()) == pytest.approx(report.bounds.optimum.lower)
    assert report.bounds.static == pytest.approx(report.cost)


# Models


def ladder(small, large, *, ok=True, key="a"):
    return Request(key, 0.0, 1, None, {"small": small, "large": large}, {"small": ok})


def router():
    return Router({"small": Mean(), "large": Mean()})


def test_without_a_router_a_miss_is_the_last_models():
    trace = [ladder(1.0, 10.0), ladder(1.0, 10.0, key="b")]
    report = replay(trace, capacity=2)
    assert (report.cost, report.bounds.no_cache, report.calls) == (20.0, 20.0, {})


def test_an_answer_that_will_not_do_is_asked_again_and_both_are_paid():
    # Nothing is known: small is tried, will not do, large is asked too: 1 + 10, both learned.
    learning = router()
    report = replay([ladder(1.0, 10.0, ok=False)], capacity=1, router=learning)
    assert (report.cost, report.calls) == (11.0, {"small": 1, "large": 1})
    x = Query("a")
    assert learning.estimators["small"].predict(x).mean == 11.0
    assert learning.estimators["large"].predict(x).mean == 10.0
    assert learning.choose(x).model == "large"


def test_an_expensive_models_answer_is_taken_as_it_is():
    request = Request(
        "a", 0.0, 1, None, {"small": 1.0, "large": 9.0}, dict.fromkeys(("small", "large"), False)
    )
    report = replay([request], capacity=1, router=router())
    assert (report.cost, report.calls) == (10.0, {"small": 1, "large": 1})


def test_a_model_of_which_nothing_is_said_will_do():
    report = replay([Request("a", costs={"small": 1.0, "large": 9.0})], capacity=1, router=router())
    assert (report.cost, report.calls) == (1.0, {"small": 1})


def test_the_bounds_know_which_model_to_ask_and_no_cache_asks_the_most_expensive():
    # a: small will do, 1. b: small will not, 11 by way of it, 10 straight. Asked twice each, at size
    # 1, one of b's misses is spared and both of a's paid: 1 + 1 + 10.
    trace = [ladder(1.0, 10.0), ladder(1.0, 10.0, ok=False, key="b")] * 2
    bounds = limits(trace, capacity=1, router=router())
    assert bounds.no_cache == 40.0
    assert bounds.optimum.lower == pytest.approx(12.0)
    assert bounds.static == pytest.approx(12.0)


@pytest.mark.parametrize("call", [replay, limits])
def test_a_model_that_the_trace_does_not_name_is_refused(call):
    with pytest.raises(ValueError, match=r"trace's models \['small', 'large'\], got 'medium'"):
        call([ladder(1.0, 2.0)], capacity=1, router=Router({"medium": Mean()}))


# Production


class Counted(Embeddings):
    """Vectors that nobody compares: only equal questions are served."""

    def embed_query(self, text):
        return [1.0, float(len(text))]

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


class Told(BaseChatModel):
    """Costs what the trace says, as tokens, answers at length, and writes down that it was asked."""

    name: str
    script: Any
    asked: Any

    @property
    def _llm_type(self):
        return "told"

    @property
    def _identifying_params(self):
        return {"model": self.name}

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        question = messages[-1].text
        self.asked.append(self.name)
        tokens = int(self.script[question].costs[self.name])
        usage = {"input_tokens": 0, "output_tokens": tokens, "total_tokens": tokens}
        message = AIMessage(
            f"{self.name} on {question}: {lengthy(self.script[question])}",
            usage_metadata=usage,
            response_metadata={"seconds": 1.0},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def lengthy(request):
    """Words, so that what the trace says of sizes shows in the bytes of an answer."""
    return "word " * 200 * request.size


def produced(trace, capacity, policy):
    """What a multiplexer with a cache did at each request: a hit, the models asked, the cost.

    And how many entries it evicted, and the trace with the size that each stored answer had.
    """
    names, script, asked, weighed = list(trace[0].costs), {r.key: r for r in trace}, [], []

    def accept(messages, answer):
        return script[messages[-1].text].ok[answer.text.split()[0]]

    cache = LECCache(
        capacity=capacity,
        policy=policy(Capacity.parse(capacity).entries) if callable(policy) else policy,
        match=Threshold(1),
        embeddings=Counted(),
    )
    admit = cache.ledger.admit
    cache.ledger.admit = lambda entry: weighed.append(entry.size) or admit(entry)
    with cache:
        chat = MultiplexedLLM(
            models={name: Told(name=name, script=script, asked=asked) for name in names},
            router=Router({name: Mean() for name in names}),
            accept=accept,
            cache=cache,
            price=lambda usage: float(usage.output_tokens),
        )
        outcomes, sized = [], []
        for request in trace:
            asked.clear()
            weighed.clear()
            told = chat.invoke(request.key).response_metadata["cachemux"]
            outcomes.append(("hit" in told, dict(Counter(asked)), told["cost"]))
            sized.append(replace(request, size=sum(weighed) or 1))
        assert cache.stats().errors == cache.stats().refused == 0
        return outcomes, cache.stats().evicted, sized


def replayed(trace, capacity, policy):
    """The same of a replay: what each beginning of the trace has more than the one before it."""
    names, outcomes = list(trace[0].costs), []
    before = replay([], capacity=capacity, bounds=NO_BOUNDS)
    for n in range(1, len(trace) + 1):
        now = replay(
            trace[:n],
            capacity=capacity,
            policy=policy,
            router=Router({name: Mean() for name in names}),
            bounds=NO_BOUNDS,
        )
        calls = Counter(now.calls)
        calls.subtract(before.calls)
        outcomes.append((now.hits > before.hits, dict(+calls), now.cost - before.cost))
        before = now
    return outcomes, before.evictions


each_unit = pytest.mark.parametrize("capacity", [3, "12KB"])


def asked_for(**kwargs):
    """A trace for a small cache, one answer larger than all of its bytes."""
    trace = popular(120, keys=12, **kwargs)
    return [replace(r, size=15) if r.key == "question 3" else r for r in trace]


@pytest.mark.parametrize(
    "choice",
    [*POLICIES.values(), CHOICES["robust"], CHOICES["several"]],
    ids=[*POLICIES, "robust", "several"],
)
@each_unit
def test_production_and_replay_agree_on_every_hit_route_and_cost(choice, capacity):
    made, evicted, sized = produced(asked_for(models=3), capacity, choice())
    assert (made, evicted) == replayed(sized, capacity, choice())
    assert {len(calls) for _, calls, _ in made} == {0, 1, 2, 3}  # hits, and each step of the ladder
    assert evicted
    assert (len({r.size for r in sized}) > 5) == Capacity.parse(capacity).in_bytes


@each_unit
def test_production_and_replay_agree_without_a_router(capacity):
    seen, paid = [], 0.0
    with LECCache(
        capacity=capacity,
        match=Threshold(1),
        embeddings=Counted(),
        price=lambda usage: float(usage.output_tokens),
    ) as cache:
        for request in asked_for():
            tokens = int(request.cost)
            usage = {"input_tokens": 0, "output_tokens": tokens, "total_tokens": tokens}
            message = AIMessage(lengthy(request), usage_metadata=usage)
            answer = [ChatGeneration(message=message)]
            if cache.lookup(request.key, "a model") is None:
                cache.update(request.key, "a model", answer)
                paid += request.cost
            # A stored answer is its JSON, the question's words and their vector of two numbers.
            size = len(answers.write(answer)) + len(request.key) + 2 * 4
            seen.append(replace(request, size=size if Capacity.parse(capacity).in_bytes else 1))
            stats = cache.stats()
            report = replay(seen, capacity=capacity, bounds=NO_BOUNDS)
            assert (report.hits, report.evictions) == (stats.hits_exact, stats.evicted)
            assert report.cost == paid
            held = {entry.text: entry.size for entry in cache.ledger}
            assert held.items() <= {r.key: r.size for r in seen}.items()
    assert stats.errors == 0
    assert 0 < report.hits < len(seen)
    assert report.evictions
    assert (max(r.size for r in seen) > stats.capacity) == Capacity.parse(capacity).in_bytes


# The work of a request


class Weighed(float):
    """A worth that counts how often it is compared."""

    __slots__ = ()
    __hash__ = float.__hash__
    compared = 0

    def __lt__(self, other):
        Weighed.compared += 1
        return float.__lt__(self, other)

    def __eq__(self, other):
        Weighed.compared += 1
        return float.__eq__(self, other)


class WeighedLFU(LFU):
    def worth(self, standing):
        return Weighed(super().worth(standing))


def test_the_work_of_a_request_grows_as_the_logarithm_of_what_is_held():
    # A hundred times the entries is a hundred times a scan. In a small heap most keys are asked for
    # again before their place surfaces, which then costs nothing, so more than the logarithm doubles.
    # Three quarters of the requests are for keys that are held, the rest are new.
    def work(capacity):
        chance, ledger = random.Random(0), MemoryLedger(capacity, policy=WeighedLFU())
        start, requests = 2 * capacity, 2 * capacity + 20_000
        for i in range(requests):
            if i == start:
                Weighed.compared = 0
            key = (
                f"old {int(capacity * chance.random() ** 2)}"
                if chance.random() < 0.75
                else f"new {i}"
            )
            if not ledger.use(key):
                ledger.admit(Entry(key))
        return Weighed.compared / (requests - start)

    small, large = work(100), work(10_000)
    assert large < 10 * small
    assert large < 2 * math.log2(10_000)


# Names


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        (robust, "robust"),
        (SIEVE, "SIEVE"),
        (LEC(half_life=200), "LEC(half_life=200, prior=0.0)"),
        (GDSF(remember=True), "GDSF(remember=True)"),
        ([LRU(), LFU()], "LRU(), LFU()"),
    ],
)
def test_a_policy_goes_by_a_name_that_could_make_it(policy, name):
    assert label(policy) == name
    assert replay([], capacity=1, policy=policy).policy == name


def test_what_has_no_name_goes_by_how_it_is_written():
    tiny = partial(ARC)
    assert label(tiny) == repr(tiny)


@pytest.mark.parametrize("policy", [LRU, SIEVE(5)])
def test_the_class_of_a_policy_is_refused_and_so_is_a_baseline_with_a_capacity_of_its_own(policy):
    with pytest.raises(ValueError, match=r"policy must be a policy that was made, or the class of"):
        replay([Request("a")], capacity=1, policy=policy)


def test_bounds_take_an_answer_of_several_sizes_at_its_least():
    trace = [Request("a", size=10), Request("b", size=5), Request("a", size=12)]
    assert limits(trace, capacity="15B").optimum.upper == 2
    assert limits(trace, capacity="9B").optimum.lower == 3


def test_a_size_counts_only_where_bytes_do_however_large_it_is():
    trace = [Request(key, size=2**63) for key in "aba"]
    report = replay(trace, capacity=2)
    assert (report.hits, report.bounds) == (1, limits(trace, capacity=2))
    assert report.bounds.optimum.lower == 2


@pytest.mark.parametrize(("sizes", "cost"), [((10, 12), 1), ((12, 10, 10), 2), ((12, 10, 12), 2)])
def test_a_replay_does_not_beat_the_bound_where_an_answer_has_several_sizes(sizes, cost):
    # At 11 bytes the answer fits at 10 only: once it is held it serves all that follow.
    trace = [Request("a", size=size) for size in sizes]
    report = replay(trace, capacity="11B", policy=LRU())
    assert report.cost == cost
    assert report.bounds.optimum.lower == 1

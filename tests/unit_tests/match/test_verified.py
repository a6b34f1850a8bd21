"""`Verified`: what it serves before it has learned, what labels make of it, and whose bets they are."""

import random

import numpy as np
import pytest
from scipy.special import expit

from langchain_cachemux import ErrorBudget, Hit, Miss, Query, Threshold
from langchain_cachemux.certificate import Certificate
from langchain_cachemux.match import verified
from langchain_cachemux.match.surface import Surface
from langchain_cachemux.match.verified import Verified, explained, matcher_of
from langchain_cachemux.types import Entry, Match


@pytest.fixture
def surface(monkeypatch):
    """Verdicts by the stored words, so that a test says what the surface says."""

    def compare(new, stored):
        verdict = stored.partition(" ")[0]
        return Surface(verdict, f"it is {verdict}", shared=0.0, in_frame=False, differing=())

    monkeypatch.setattr(verified, "compare", compare)


def match(verdict, similarity, key=None, cost=1.0):
    return Match(Entry(key or f"{verdict} {similarity}", cost, text=f"{verdict} words"), similarity)


def asked(matcher, *matches):
    return matcher.judge(Query("new", text="new words"), matches)


@pytest.mark.parametrize("max_error", [0.005, 0.02, 0.2])
@pytest.mark.parametrize(
    ("verdict", "similarity", "served"),
    [
        ("same", 0.3, True),
        ("same", 0.99, True),
        ("reworded", 0.8, True),
        ("reworded", 0.79, False),
        ("unsure", 0.99, False),
        ("another", 1.0, False),
    ],
)
def test_at_first_the_three_verdicts_decide_at_the_shipped_threshold(
    surface, max_error, verdict, similarity, served
):
    found = asked(Verified(max_error), match(verdict, similarity))
    assert isinstance(found, Hit if served else Miss)
    if served:
        assert found.risk <= max_error
        assert found.p >= 1 - found.risk
    else:
        assert found.reason


def test_what_the_surface_objects_to_is_never_served_however_often_it_was_right(surface):
    matcher = Verified(0.2)
    for _ in range(200):
        right = asked(matcher, match("reworded", 0.9)).compared
        matcher.learn(right, wrong=0.0)
    assert isinstance(asked(matcher, match("another", 1.0)), Miss)
    assert asked(matcher, match("another", 1.0)).compared == ()


@pytest.mark.parametrize("cost", [1.0, 1e6])
def test_what_is_likelier_another_question_is_not_served_however_much_may_be_spent(surface, cost):
    budget = ErrorBudget(0.2, seed=0)
    matcher = Verified(budget=budget)
    for _ in range(5000):
        budget.missed(1.0)
        budget.placed("cache", 0.0)
    assert budget.charge(0.999, "cache") <= cost
    found = asked(matcher, match("unsure", 0.51, cost=cost))
    assert isinstance(found, Miss)
    assert "at most" in found.reason


def test_where_a_judge_is_to_be_asked_what_may_not_be_served_is_compared_too(surface):
    matcher = Verified(0.02)
    near = match("another", 0.95), match("reworded", 0.45)
    assert asked(matcher, *near).compared == ()
    matcher.judged = True
    found = asked(matcher, *near)
    assert isinstance(found, Miss)
    assert [one.risk for one in found.compared] == [1.0, 1.0]
    assert sorted(one.kind for one in found.compared) == ["another", "reworded"]
    for place in range(300):
        one = asked(matcher, match("another", 0.95, f"e{place}")).compared[0]
        matcher.learn(one, wrong=0.0)
    one = asked(matcher, match("another", 0.95, "new")).compared[0]
    assert (one.p > 0.9, one.risk) == (True, 1.0)


def test_the_least_risk_is_served_and_earns_no_credit_where_another_would_do(surface):
    found = asked(Verified(), match("reworded", 0.9), match("same", 0.5))
    assert (found.entry.key, found.credit) == ("same 0.5", 0.0)
    found = asked(Verified(), match("same", 0.9), match("unsure", 0.85))
    assert (found.entry.key, found.credit) == ("same 0.9", 1.0)


def test_unsure_pairs_are_served_once_labels_of_their_kind_bear_them_out(surface):
    matcher = Verified(0.05)
    for place in range(400):
        miss = asked(matcher, match("unsure", 0.95, f"e{place}"))
        if isinstance(miss, Hit):
            break
        matcher.learn(miss.compared[0], wrong=0.0)
    assert isinstance(miss, Hit)
    assert 20 < place < 400


def stream(max_error, *, level, slope, requests, seed):
    """What a stream serves, wrong or not; a pair is another question with σ(level - slope·steps)."""
    matcher, draw, served = Verified(max_error, seed=seed), random.Random(7 + seed), []
    matcher.missed(1.0)
    for place in range(requests):
        similarity = draw.uniform(0.65, 1.0)
        wrong = draw.random() < expit(level - slope * (similarity - 0.8) / 0.05)
        verdict = asked(matcher, match("reworded", similarity, f"e{place}"))
        bet = matcher.bet(verdict.risk) if isinstance(verdict, Hit) else None
        if isinstance(verdict, Hit) and (bet is None or (bet.served and not bet.audit)):
            matcher.gave(verdict.compared)
            served.append(wrong)
            continue
        one = verdict.compared if isinstance(verdict, Hit) else verdict.compared[0]
        matcher.learn(one, wrong=float(wrong))
        if bet is not None:
            bet.settle(float(wrong))
    return served


@pytest.mark.parametrize("slope", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("level", [-5.0, -3.0, -1.0, 9.0])
@pytest.mark.parametrize("max_error", [0.01, 0.05])
def test_at_no_moment_of_a_stream_is_the_promise_refuted(surface, max_error, level, slope):
    for seed in range(3):
        sequence = Certificate(confidence=0.95, least=1.0)
        for wrong in stream(max_error, level=level, slope=slope, requests=1200, seed=seed):
            sequence.placed(1.0, audited=True)
            sequence.settled(1.0, float(wrong))
            assert not sequence.exceeds(max_error)


@pytest.mark.parametrize("level", [-3.0, -1.0])
def test_where_similarity_says_nothing_the_shipped_threshold_is_soon_left(surface, level):
    for seed in range(3):
        served = stream(0.01, level=level, slope=0.0, requests=1200, seed=seed)
        assert len(served) < 120


@pytest.mark.parametrize("max_error", [0.005, 0.01, 0.02, 0.05])
def test_where_all_it_would_serve_is_wrong_it_serves_two_and_the_promise_is_not_refuted(
    surface, max_error
):
    matcher, sequence = Verified(max_error, seed=0), Certificate(confidence=0.95, least=1.0)
    for place in range(300):
        verdict = asked(matcher, match("same", 0.9, f"e{place}"))
        if isinstance(verdict, Hit):
            matcher.gave(verdict.compared)
            sequence.placed(1.0, audited=True)
            sequence.settled(1.0, 1.0)
        else:
            matcher.learn(verdict.compared[0], wrong=1.0)
    assert sequence.bets == 2
    assert not sequence.exceeds(max_error)


def test_what_it_would_serve_is_served_as_fresh_answers_bear_it_out(surface):
    matcher, hits = Verified(0.02, seed=0), []
    for place in range(100):
        verdict = asked(matcher, match("same", 0.9, f"e{place}"))
        hits.append(isinstance(verdict, Hit))
        if isinstance(verdict, Hit):
            matcher.gave(verdict.compared)
        else:
            assert "fresh answer" in verdict.reason
            matcher.learn(verdict.compared[0], wrong=0.0)
    assert hits[:3] == [True, True, False]
    assert sum(hits[:20]) >= 10
    assert sum(hits) >= 65


def test_none_of_the_first_hits_is_audited_and_later_a_few_are():
    matcher = Verified(0.02, seed=0)
    assert [matcher.bet(0.001) for _ in range(verified.SPARED)] == [None] * verified.SPARED
    audited = np.mean([matcher.bet(0.001).audit for _ in range(2000)])
    assert audited == pytest.approx(verified.FIRST, rel=0.4)


def test_a_multiplexer_lends_its_budget_unless_one_was_given():
    lent, own = ErrorBudget(0.1), ErrorBudget(0.05)
    matcher = Verified(0.02)
    matcher.lend(lent)
    assert (matcher.budget, matcher.lent, matcher.bet(0.01)) == (lent, True, None)
    assert lent.counts == {}
    given = Verified(budget=own)
    given.lend(lent)
    assert (given.budget, given.lent) == (own, False)
    given.lend(own)
    assert given.lent


def test_what_was_learned_goes_on_after_a_restart(surface):
    matcher, twin = Verified(0.02, seed=1), Verified(0.02, seed=2)
    matcher.missed(2.0)
    for place in range(60):
        compared = asked(matcher, match("unsure", 0.9, f"e{place}")).compared
        matcher.learn(compared[0], wrong=float(place % 3 == 0))
        matcher.bet(0.01)
    twin.restore(matcher.dump())
    old, new = (asked(m, match("unsure", 0.9)).compared[0] for m in (matcher, twin))
    assert (new.p, new.risk) == pytest.approx((old.p, old.risk), abs=1e-2)
    assert twin.budget.counts["cache"].placed == matcher.budget.counts["cache"].placed
    with pytest.raises(ValueError, match="similarity"):
        Verified(0.02, similarity=0.7).restore(matcher.dump())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"max_error": 0.0}, "max_error"),
        ({"max_error": 1}, "max_error"),
        ({"quality": 1.5}, "quality"),
        ({"max_error": 0.1, "quality": 0.9}, "max_error"),
        ({"budget": 0.1}, "budget"),
        ({"budget": ErrorBudget(0.1), "max_error": 0.1}, "budget"),
        ({"similarity": 1.0}, "similarity"),
        ({"similarity": "0.8"}, "similarity"),
        ({"audit": 0}, "audit"),
        ({"half_life": 0}, "half_life"),
    ],
)
def test_a_wrong_argument_is_refused_by_its_name(arguments, named):
    with pytest.raises(ValueError, match=named):
        Verified(**arguments)


def test_a_cache_takes_a_matcher_a_number_or_a_promise():
    assert matcher_of(None).budget.max_error == 0.02
    assert matcher_of(None, max_error=0.1, audit=0.5).budget.audit == 0.5
    assert isinstance(matcher_of(0.9), Threshold)
    given = Verified()
    assert matcher_of(given) is given
    for match_, also in ((0.9, {"max_error": 0.1}), (given, {"audit": 0.1}), ("near", {})):
        with pytest.raises(ValueError, match=r"match|max_error|audit"):
            matcher_of(match_, **also)


def test_an_explanation_names_the_verdict_and_what_is_thought_of_each_wording(surface):
    near = [match("reworded", 0.9), match("unsure", 0.85), match("another", 0.8)]
    told = explained(Verified(0.02), Query("new", text="new"), near)
    assert told.startswith("The answer to 'reworded words' is served.")
    for words in ("at most 2.00%", "0.900 similar, reworded", "unsure", "it is another", "chance"):
        assert words in told
    told = explained(Threshold(0.95), Query("new", text="new"), near)
    assert told.startswith("A miss:")

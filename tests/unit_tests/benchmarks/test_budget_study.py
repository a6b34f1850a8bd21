"""The budget's benchmark: a stream worked by hand, what arms may know, what its results claim."""

import json
from pathlib import Path

import budget as study
import numpy as np
import pytest

from langchain_cachemux.budget import ErrorBudget

RESULTS = Path(__file__).parents[3] / "benchmarks/results/budget.json"
ROWS = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]

QUESTIONS = study.Questions(
    texts=["a", "b"], lost=np.array([False, True]), small=np.ones(2), large=np.full(2, 10.0)
)


def stream(question, wording):
    texts = [str(w) for w in range(max(wording) + 1)]
    return study.Stream(QUESTIONS, np.array(question), np.array(wording), texts)


def risks(*, small, match, nearest, explored):
    return study.Risks(
        np.array(small), np.array(match), np.array(nearest), np.array(explored, dtype=bool)
    )


def always(error=0.9):
    """A budget that bets as soon as it knows a cost, and audits next to nothing."""
    budget = ErrorBudget(error, audit=1e-9, seed=0)
    budget.missed(10.0)
    for _ in range(2000):
        budget.placed("past", 0.0)
    return budget


# Requests: a in wording 0 (explored), a in 1 (near 0), b in 2 (near 1), b in 2 again, a in 0 again.
REQUESTS = stream([0, 0, 1, 1, 0], [0, 1, 2, 2, 0])
CLAIMS = risks(
    small=[0.5] * 5,
    match=[1, 0.01, 0.01, 1, 1],
    nearest=[-1, 0, 1, -1, -1],
    explored=[1, 0, 0, 0, 0],
)


def test_who_never_bets_pays_for_each_wording_once():
    outcome = study.Arm(REQUESTS, CLAIMS, None, None).play()
    assert outcome.cost == (10 + 1) + 10 + 10
    assert (outcome.bets, outcome.lost) == (0, 0)


def test_an_answer_to_another_question_is_a_lost_bet_and_stays_one_when_it_is_served_again():
    outcome = study.Arm(REQUESTS, CLAIMS, None, always()).play()
    assert outcome.cost == 11  # wording 1 has the answer of a, wording 2 that of wording 1
    assert (outcome.bets, outcome.lost, outcome.stored) == (3, 2, 3)


def test_a_small_answer_is_lost_where_the_large_one_alone_was_right():
    outcome = study.Arm(REQUESTS, CLAIMS, always(), None).play()
    assert outcome.cost == 11 + 3  # both wordings, and wording 2 again: its answer was a bet
    assert (outcome.bets, outcome.lost, outcome.stored) == (3, 2, 0)


def test_an_oracle_takes_what_will_be_won_and_as_much_else_as_was_promised():
    honest = study.oracle(REQUESTS, CLAIMS, 0.01)
    assert honest.cost == 11 + 0 + 10  # wording 2 by the large model, and then for nothing
    assert (honest.bets, honest.lost) == (1, 0)
    lax = study.oracle(REQUESTS, CLAIMS, 0.9)
    assert lax.lost / lax.bets <= 0.9
    assert lax.cost < honest.cost


def test_risks_are_claimed_before_their_outcome_is_seen():
    rng = np.random.default_rng(0)
    question = np.array([0, 1] * 60)
    wording = np.arange(120)
    vectors = rng.normal(size=(120, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    one = study.progressive(stream(question, wording), vectors, 0)
    changed = np.concatenate([question[:80], 1 - question[80:]])
    other = study.progressive(stream(changed, wording), vectors, 0)
    assert np.array_equal(one.small[:81], other.small[:81])
    assert np.array_equal(one.match[:81], other.match[:81])
    assert not np.array_equal(one.small[81:], other.small[81:])


def test_a_curve_learns_that_similar_wordings_are_the_same_question():
    curve, rng = study.Curve(), np.random.default_rng(0)
    assert curve.upper(0.99, objection=False) > 0.5
    for similarity in rng.uniform(0.5, 1, 400):
        differs = bool(rng.random() < (0.9 if similarity < 0.8 else 0.02))
        curve.learn(float(similarity), objection=False, differs=differs)
    assert curve.upper(0.99, objection=False) < 0.05
    assert curve.upper(0.55, objection=False) > 0.8


@pytest.mark.parametrize("rule", range(5))
def test_a_rewording_is_the_same_each_time_and_another_text(rule):
    text = "Which planet travels fastest around the central star?"
    words = {study.reworded(text, rule, np.random.default_rng(3)) for _ in range(2)}
    assert len(words) == 1
    assert words != {text}


def test_another_order_is_the_same_requests():
    base = study.draw(QUESTIONS, 200, 0)
    other = study.shuffled(base, 1)
    assert sorted(zip(base.question, base.wording, strict=True)) == sorted(
        zip(other.question, other.wording, strict=True)
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['stream']} {row['max_error']}")
def test_the_promise_was_never_rejected_and_no_arm_beats_the_oracle(row):
    assert row["rejected"].startswith("0 of ")
    assert 0 <= row["one"]["saved"] < row["oracle"]["saved"]

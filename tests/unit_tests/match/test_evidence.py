"""`Evidence`: what it claims before there are labels, how labels move it, and that its bounds hold."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import betaln, expit

from langchain_cachemux.match import evidence
from langchain_cachemux.match.evidence import Evidence, seen

LEAST = 0.8


def near(similarity, kind="reworded", rivals=0.0, fellows=1):
    return seen(kind, similarity, least=LEAST, rivals=rivals, fellows=fellows)


@pytest.mark.parametrize("max_error", [0.005, 0.01, 0.02, 0.05, 0.2])
def test_before_labels_a_rewording_is_within_the_promise_from_the_shipped_threshold_on(max_error):
    fresh = Evidence(max_error)
    for similarity in np.linspace(0.5, 1.0, 51):
        within = fresh.claim(near(similarity)).upper <= max_error
        assert within == (similarity >= LEAST), similarity


def test_before_labels_what_differs_nowhere_is_within_the_promise_and_what_is_unsure_is_not():
    fresh = Evidence(0.02)
    for similarity in (0.3, 0.7, 0.95):
        assert fresh.claim(near(similarity, "same")).upper <= 0.02
        assert fresh.claim(near(similarity, "unsure")).upper > 0.5


def test_a_contested_rewording_is_not_within_the_promise_before_labels():
    assert Evidence(0.02).claim(near(0.9, rivals=0.5)).upper > 0.02


def test_a_few_wrong_labels_below_the_threshold_end_the_trust_in_what_lies_above():
    learned = Evidence(0.02)
    for _ in range(5):
        learned.learn(near(0.78), "e", wrong=1.0)
    assert learned.claim(near(0.85), "another").upper > 0.1


def test_right_labels_below_the_threshold_bring_the_promise_down_to_them():
    learned = Evidence(0.02)
    for place in range(400):
        learned.learn(near(0.74), f"e{place}", wrong=0.0)
    assert learned.claim(near(0.75), "new").upper <= 0.02


def test_an_entry_with_wrong_labels_is_claimed_riskier_than_its_fellows():
    learned = Evidence(0.05)
    for place in range(200):
        learned.learn(near(0.85), f"e{place}", wrong=0.0)
    for _ in range(3):
        learned.learn(near(0.85), "bad", wrong=1.0)
    assert learned.claim(near(0.85), "bad").mean > 2 * learned.claim(near(0.85), "e1").mean


def test_the_curve_is_the_posterior_mode_that_a_general_optimiser_finds():
    rng = np.random.default_rng(0)
    learned = Evidence(0.02, half_life=50.0)
    rows, wrong = [], []
    for place in range(120):
        kind = ("reworded", "unsure")[int(rng.integers(2))]
        x = near(rng.uniform(0.7, 1), kind, rng.uniform(0, 1), int(rng.integers(1, 5)))
        rows.append(x)
        wrong.append(float(rng.random() < 0.4))
        learned.learn(x, f"e{place}", wrong=wrong[-1])
    learned._fit(steps=50)
    rows, wrong = np.array(rows), np.array(wrong)
    age = 2.0 ** (-np.arange(119, -1, -1) / 50.0)

    def loss(w):
        p = np.clip(expit(rows @ w), 1e-12, 1 - 1e-12)
        fit = -(age * (wrong * np.log(p) + (1 - wrong) * np.log(1 - p))).sum()
        return fit + 0.5 * (w - learned._prior) @ learned._precision @ (w - learned._prior)

    best = minimize(loss, learned._prior, method="BFGS").x
    np.testing.assert_allclose(learned._w, best, atol=1e-3)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 400)), min_size=12, max_size=12),
    st.sampled_from([0.005, 0.02, 0.05]),
)
def test_the_ends_are_those_of_a_scan_over_all_shares(counts, typical):
    wrong = np.array([min(k, n) for k, n in counts], dtype=float)
    labels = np.array([n for _, n in counts], dtype=float)
    lows, highs = evidence._ends(wrong, labels, typical)
    shares = np.linspace(1e-4, 1 - 1e-4, 2000)
    a, b = 1.0, 1 / typical
    for k, n, low, high in zip(wrong, labels, lows, highs, strict=True):
        ratio = betaln(a + k, b + n - k) - betaln(a, b)
        ratio = ratio - k * np.log(shares) - (n - k) * np.log1p(-shares)
        inside = shares[ratio < evidence.LIMIT]
        if len(inside):
            assert low <= inside[0] + 1e-3
            assert high >= inside[-1] - 1e-3
            assert low >= inside[0] - 1e-3
            assert high <= inside[-1] + 1e-3


def test_however_often_one_looks_the_ends_hold_the_truth_in_nineteen_runs_of_twenty():
    rng, missed = np.random.default_rng(1), 0
    for _ in range(300):
        wrong = (rng.random(600) < 0.05).cumsum()
        labels = np.arange(1, 601)
        lows, highs = evidence._ends(wrong.astype(float), labels.astype(float), 0.02)
        missed += bool(((lows > 0.05) | (highs < 0.05)).any())
    assert missed / 300 <= 0.05


@pytest.mark.parametrize("slope", [0.6, 0.2, 0.0])
@pytest.mark.parametrize("level", [-3.0, -1.0])
def test_what_is_claimed_at_most_is_at_least_what_is_true_in_nineteen_claims_of_twenty(
    slope, level
):
    rng, below, claims = np.random.default_rng(2), 0, 0
    for _ in range(6):
        learned = Evidence(0.02)
        for place in range(400):
            similarity = rng.uniform(0.7, 0.98)
            truth = expit(level - slope * (similarity - LEAST) / 0.05)
            if place >= 150:
                claims += 1
                below += learned.claim(near(similarity)).upper < truth
            learned.learn(near(similarity), f"e{place}", wrong=float(rng.random() < truth))
    assert below / claims <= 0.05


def served(learned, x, most=50):
    """How many answers may be served by a claim, one after another, without a label."""
    for place in range(most):
        if not learned.backed(x):
            return place
        learned.gave(x)
    return most


def test_answers_on_a_judges_word_lend_no_errors_to_those_that_nobody_judged():
    learned, x = Evidence(0.02), near(0.9)
    served(learned, x)
    assert not learned.backed(x, judged=(1000.0, 0.0))
    assert learned.backed(judged=(1000.0, 0.0))
    assert not learned.backed(judged=(1000.0, 0.1))


@pytest.mark.parametrize("max_error", [0.005, 0.02, 0.05])
@pytest.mark.parametrize("kind", ["same", "reworded"])
def test_before_labels_two_answers_may_be_served_and_no_third_whatever_is_claimed(max_error, kind):
    assert served(Evidence(max_error), near(0.9, kind)) == 2


def test_what_is_held_back_is_served_once_three_in_a_row_brought_no_label_until_one_comes():
    learned, x = Evidence(0.02), near(0.9)
    served(learned, x)
    for _ in range(2):
        learned.held_back()
    assert not learned.backed(x)
    learned.held_back()
    assert served(learned, x) == 50
    learned.learn(near(0.1), "e", wrong=1.0)
    assert not learned.backed(x)  # what was believed is no debt: two more labels back it again
    for place in range(30):
        learned.learn(x, f"e{place}", wrong=0.0)
    assert learned.backed(x)


def test_right_labels_of_larger_claims_of_a_kind_back_smaller_ones_and_nothing_else():
    far, other, close = Evidence(0.02), Evidence(0.02), Evidence(0.02)
    for place in range(30):
        far.learn(near(0.65), f"e{place}", wrong=0.0)
        other.learn(near(0.65), f"e{place}", wrong=0.0)
        close.learn(near(0.95), f"e{place}", wrong=0.0)
    assert served(far, near(0.95)) > 10
    assert served(close, near(0.55)) == 2
    assert served(other, near(0.95, "same")) == 2


@pytest.mark.parametrize("max_error", [0.005, 0.02, 0.05])
@pytest.mark.parametrize("labels", [0, 1, 3, 10, 40])
def test_served_is_what_a_record_would_not_refute_were_the_next_label_wrong(labels, max_error):
    learned = Evidence(max_error)
    for place in range(labels):
        learned.learn(near(0.9, "same"), f"e{place}", wrong=0.0)
    count = served(learned, near(0.9, "same"))
    eta = 0.95 * 2.0 ** (np.arange(-8, 9) / 2)

    def evidence_against(bets):
        return np.mean((1 + eta / (labels + 1)) ** bets * np.exp(-eta * max_error * bets))

    assert evidence_against(count) < 40
    assert count == 50 or evidence_against(count + 1) > 39  # labels age a little


def test_what_drifted_is_forgotten():
    learned = Evidence(0.02, half_life=100.0)
    for place in range(300):
        learned.learn(near(0.85), f"e{place}", wrong=1.0)
    for place in range(900):
        learned.learn(near(0.85), f"f{place}", wrong=0.0)
    assert learned.claim(near(0.85)).upper < 0.05


@given(
    st.lists(
        st.tuples(
            st.floats(0.5, 1),
            st.sampled_from("same reworded unsure another".split()),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_claims_are_chances_fall_with_similarity_before_labels_and_are_kept_in_a_dump(labels):
    learned = Evidence(0.02)
    for place, (similarity, kind, wrong) in enumerate(labels):
        learned.learn(near(similarity, kind), f"e{place % 3}", wrong=float(wrong))
    twin = Evidence(0.02)
    twin.restore(learned.dump())
    assert len(twin) == len(labels)
    learned._fit(steps=20)
    for similarity in (0.5, 0.8, 0.9, 1.0):
        for kind in ("same", "reworded", "unsure", "another"):
            claim = learned.claim(near(similarity, kind), "e1")
            assert 0 <= claim.mean <= claim.upper <= 1
            np.testing.assert_allclose(twin.claim(near(similarity, kind), "e1"), claim, atol=1e-6)


@pytest.mark.parametrize(
    "damage", [{"version": 0}, {"rows": [[[1.0], 0.0]]}, {"wrong": [0.0]}, {"served": [0.0]}]
)
def test_what_does_not_fit_is_refused(damage):
    with pytest.raises(ValueError, match="state must"):
        Evidence(0.02).restore({**Evidence(0.02).dump(), **damage})


def test_memory_is_bounded():
    learned = Evidence(0.02, memory=50)
    for place in range(200):
        learned.learn(near(0.9), f"e{place}", wrong=0.0)
    assert len(learned) == 50
    assert math.isfinite(learned.claim(near(0.9)).upper)

"""What a text shows: known values, any text at all, and the same in every process."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.route.features import BUCKETS, NUMBERS, READ, features


def shown(text, name):
    """The number called `name`, not scaled."""
    centre, spread = NUMBERS[name]
    return features(text).numbers[list(NUMBERS).index(name)] * spread + centre


def counted(text, name):
    return round(np.expm1(shown(text, name)), 6)


def test_counts_are_what_one_would_count_by_hand():
    text = "If x = 3.5 and y is not 12, what is x + y?\n(A) 15.5\n(B) 8"
    expected = {
        "number": 4,
        "decimals": 2,
        "digits": 1,
        "operator": 2,
        "negation": 1,
        "condition": 1,
        "question": 1,
        "asked": 1,
        "options": 2,
        "longest_option": 4,
        "line": 2,
    }
    assert {name: counted(text, name) for name in expected} == expected
    assert shown(text, "numeric_options") == 1


def test_code_latex_and_blanks_are_seen():
    assert counted("def f(x): return {x: `y`};", "code") == 5
    assert counted(r"$\frac{1}{2}$", "latex") == 1
    assert counted("The ____ of ___", "blank") == 2


@given(st.text(max_size=300))
def test_any_text_has_finite_features_and_words_of_unit_length(text):
    found = features(text)
    assert found.numbers.shape == (len(NUMBERS),)
    assert np.isfinite(found.numbers).all()
    assert ((found.buckets >= 0) & (found.buckets < BUCKETS)).all()
    assert not len(found.weights) or np.isclose(np.linalg.norm(found.weights), 1.0, atol=1e-5)


def test_case_and_order_of_words_do_not_change_the_words():
    one, two = features("Red apples and green"), features("green and RED Apples")
    assert sorted(one.buckets) == sorted(two.buckets)


def test_the_middle_of_a_very_long_text_counts_towards_its_length_alone():
    head, tail = "a " * (READ // 2), " z" * (READ // 2)
    one, two = features(head + "middle " * 9 + tail), features(head + "other12" * 9 + tail)
    assert np.array_equal(one.numbers, two.numbers)
    assert np.array_equal(one.buckets, two.buckets)


def test_the_features_of_a_text_are_the_same_in_every_process():
    code = (
        "from langchain_cachemux.route.features import features;"
        "print(sorted(features('Is the cat in?').buckets.tolist()))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {f"{sorted(features('Is the cat in?').buckets.tolist())}\n"}

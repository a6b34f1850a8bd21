"""Do two answers say the same? What is stated is found, and compared as what it is."""

import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.agree import Agree, numbers, plain

agree = Agree()

SAME = [
    ("Paris", "paris."),
    ("Paris", "**Paris**"),
    ("The cat", "cat"),
    ("“Yes”", "Yes!"),
    ("Café", "Cafe\u0301"),
    ("The answer is (B).", "B"),
    ("B", "B. Paris"),
    ("**B**", "(B) Paris"),
    ("Paris", "B. Paris"),
    ("Die richtige Antwort ist B.", "B"),
    ("1,000", "1000.0"),
    ("１８", "18"),
    ("50%", "50 percent"),
    ("50%", "0.5"),
    ("50 %", "50"),
    ("3/4", "0.75"),
    (r"$\frac{3}{4}$", "0.75"),
    (r"So it is $\boxed{18}$.", "#### 18"),
    ("$18", "18 dollars"),
    ("1.5", "1,5"),
    ("33.33", "33.333"),
    ("1e6", "1,000,000"),
    ("x = 5", "5"),
    ("(3, 4)", "3, 4"),
    ("18", "She has 3 apples and 18 pears"),
    ("Paris", "The capital of France is Paris."),
    ("Paris", "Its capital, which lies on the river Seine, has long been the city of Paris."),
    ("No", "No, it is not."),
    ("Paris", "Paris. It lies on the Seine."),
    ("First 3 + 4 = 7 eggs.\nThen 16 - 7 = 9 eggs.", "The answer is 9."),
    ("", " "),
    ('{"a": 1, "b": [true]}', '```json\n{"b": [true], "a": 1.0}\n```'),
    ('[{"name": "f", "args": {"city": "Rome"}}]', '[{"args": {"city": "rome"}, "name": "f"}]'),
]
DIFFERENT = [
    ("Yes", "No"),
    ("Paris", "It is not Paris."),
    ("Paris", "Paris, Texas"),
    ("Paris", "Rome"),
    ("Paris", ""),
    ("B", "C"),
    ("The answer is (B).", "The answer is (C)."),
    ("(B) Paris", "(C) Paris"),
    ("vitamin C", "hepatitis C"),
    ("18", "18.4"),
    ("18", "-18"),
    ("1299", "1300"),
    ("$18", "€18"),
    ("5 km", "5 miles"),
    ("1.2.3", "1.2.4"),
    ("192.168.0.1", "192.168.0.2"),
    ("7, 3", "1, 2, 3"),
    ("3", "1, 2, 3"),
    ("10", "5 to 10"),
    ("2024-01-05", "2024-01-06"),
    ("5 > 3", "5 < 3"),
    ("A. Lincoln", "A. Einstein"),
    ("A. Paris", "B. Paris"),
    ("10²", "102"),
    ("m²", "m³"),
    ("C", "C++"),
    ("O-", "O+"),
    ("()", "[]"),
    ("😂", "😭"),
    ("First 3 + 4 = 7 eggs.\nThen 16 - 7 = 9 eggs.", "The answer is 7."),
    ('{"a": 1}', '{"a": true}'),
    ('{"a": 1}', '{"a": 1, "b": 2}'),
    ("[1, 2]", "[2, 1]"),
    ('[{"name": "f", "args": {"city": "Rome"}}]', '[{"args": {"city": "Oslo"}, "name": "f"}]'),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_answers_that_state_the_same_agree_either_way_round(left, right):
    assert agree(left, right), agree.explain(left, right)
    assert agree(right, left), agree.explain(right, left)


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_answers_that_state_something_else_differ_either_way_round(left, right):
    assert not agree(left, right), agree.explain(left, right)
    assert not agree(right, left), agree.explain(right, left)


@given(st.text())
def test_every_text_agrees_with_itself(text):
    assert agree(text, text)


@given(st.text(max_size=40), st.text(max_size=40))
def test_agreement_is_symmetric_and_never_raises(left, right):
    assert agree(left, right) == agree(right, left)


@pytest.mark.parametrize(
    "text",
    [
        "9" * 10_000,
        "1e999999999",
        "1/" + "0" * 10,
        "[" * 10_000,
        "$" + "a" * 50_000,
        "\n" * 50_000,
        "\\boxed{" * 5_000,
        "the answer is " * 5_000,
        "a=" * 20_000,
        "(" * 20_000,
        "1," * 20_000,
    ],
)
def test_no_text_is_too_odd_or_takes_long(text):
    started = time.thread_time()
    assert agree(text, text + " ")
    assert not agree(f"{text} or so", "17")
    assert time.thread_time() - started < 5


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_whole_numbers_agree_when_they_are_equal_however_they_are_written(one, other):
    spellings = (str, "{:,}".format, "{}.0".format, "The answer is {}.".format, "#### {}".format)
    for write, rewrite in product(spellings, spellings):
        assert agree(write(one), rewrite(one))
        assert agree(write(one), rewrite(other)) == (one == other)


@given(st.sampled_from("ABCDEFGHIJ"), st.sampled_from("ABCDEFGHIJ"))
def test_letters_of_a_choice_agree_when_they_are_equal_however_they_are_written(one, other):
    spellings = ("{}", "({})", "{}.", "**{}**", "The answer is {}.", "{}) Paris", "\\boxed{{{}}}")
    for write, rewrite in product(spellings, spellings):
        assert agree(write.format(one), rewrite.format(other)) == (one == other)


LONG = "The tower was finished in 1889 for the world's fair and was long the tallest in the world"
NEAR = "Built for the world's fair, the tower opened in 1889 and long was the world's tallest one"


def near(_text):
    return np.array([1.0, 0.0], dtype=np.float32)


def test_long_texts_that_state_nothing_differ_when_there_is_nothing_to_compare_them_by():
    found = agree.explain(f"{LONG}. Yes.", f"{NEAR}. So it is.")
    assert not found.same
    assert "no embed" in found.reason


def test_long_texts_agree_by_their_vectors_unless_numbers_or_denials_differ():
    vectors = Agree(near)
    assert vectors(f"{LONG}. So.", f"{NEAR}. So.")
    assert not vectors(f"{LONG}. So.", f"{NEAR.replace('1889', '1898')}. So.")
    assert not vectors(f"{LONG}. So.", f"{NEAR.replace('long was', 'was not')}. So.")
    far = Agree(lambda text: np.eye(2, dtype=np.float32)[int(text.startswith("The"))])
    assert not far(f"{LONG}. So.", f"{NEAR}. So.")


def test_another_language_says_for_itself_what_stands_before_an_answer():
    left, right = "Ich habe lange gerechnet und sage Antwort: neun Eier", "Neun Eier"
    assert not Agree()(f"{left}\nDanke.", right)
    assert Agree(stated=r"Antwort:")(f"{left}\nDanke.", right)


@pytest.mark.parametrize("similarity", [0, -1, 1.5, float("nan")])
def test_a_similarity_that_is_no_cosine_is_refused(similarity):
    with pytest.raises(ValueError, match="similarity must be a cosine"):
        Agree(similarity=similarity)


def test_a_mark_that_is_no_regular_expression_is_refused():
    with pytest.raises(ValueError, match=r"stated must be a regular expression, got '\('"):
        Agree(stated="(")


def test_plain_keeps_the_signs_that_mean_something():
    assert plain('The "C++" code, see #three!') == "c++ code see #three"
    assert plain("(3, 4).") == plain("[3, 4]") == "3 4"
    assert len({plain(text) for text in ("5!", "5", "()", "[]", "f(x)", "f[x]", "O+", "O-")}) == 8
    assert numbers("1,234.5 and -3/4 and 50%") == [1234.5, -0.75, 0.5]

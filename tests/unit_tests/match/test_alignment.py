"""Two texts side by side, against the table that everybody knows."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.match.alignment import (
    LONGEST,
    SHARED,
    TOO_LONG,
    Difference,
    _common,
    akin,
    align,
    opposed,
)


def longest(left, right):
    """The length of a longest common subsequence, cell by cell."""
    above = [0] * (len(right) + 1)
    for one in left:
        row = [0]
        for place, other in enumerate(right):
            row.append(above[place] + 1 if one == other else max(row[-1], above[place + 1]))
        above = row
    return above[-1]


WORDS = st.lists(st.sampled_from("abcde"), max_size=70)


@given(left=WORDS, right=WORDS)
def test_the_common_words_are_a_longest_common_subsequence(left, right):
    pairs = _common(left, right)
    assert len(pairs) == longest(left, right)
    assert all(left[i] == right[j] for i, j in pairs)
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(pairs))


def test_what_is_in_anothers_place_missing_or_moved():
    found = align("the old red car runs on diesel", "the old blue car still runs on diesel")
    assert found.differences == (Difference("red", "blue"), Difference("", "still"))
    assert (found.moved, found.exchanged, found.in_frame) == ((), False, True)
    found = align("dogs bite men", "men bite dogs")
    assert found.exchanged
    assert found.moved
    assert found.shared < found.common == 1.0


def test_more_words_alike_make_a_frame():
    rest = "keep the blue key under the flat stone"
    near = align(f"{rest} today", f"{rest} tomorrow")
    far = align("keep the key today", "leave a spare one outside tomorrow")
    assert near.in_frame
    assert near.shared >= SHARED
    assert not far.in_frame


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("password", "pasword"),
        ("receive", "recieve"),
        ("subscription", "subscripton"),
        ("interest", "intrest"),
        ("reset", "resetting"),
        ("use", "using"),
        ("book", "booking"),
    ],
)
def test_slips_and_inflections_are_akin(one, other):
    assert akin(one, other)
    assert akin(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("install", "uninstall"),
        ("import", "export"),
        ("owns", "owned"),
        ("nitrate", "nitrite"),
        ("papá", "papa"),
        ("вход", "выход"),
        ("trial", "trail"),
        ("king", "k"),
        ("three", "there"),
        ("contact", "contract"),
        ("through", "thorough"),
        ("5", "6"),
    ],
)
def test_other_words_are_not(one, other):
    assert not akin(one, other)
    assert not akin(other, one)


def test_members_of_a_closed_class_are_opposed_and_forms_of_one_are_not():
    assert opposed("to", "from")
    assert opposed("must", "may")
    assert not opposed("my", "our")
    assert not opposed("to", "must")
    assert not opposed("cat", "dog")


def test_beyond_its_bounds_a_text_is_compared_by_its_words_alone_and_then_not_at_all():
    many = [f"w{n}" for n in range(LONGEST + 2)]
    found = align(" ".join(many), " ".join(["new", *many[1:-1], "end"]))
    assert found.common > SHARED > found.shared
    assert found.in_frame
    long = align("a" * TOO_LONG, "b" * (TOO_LONG + 1))
    assert long.differences[0].new == f"a text of {TOO_LONG:,} characters"
    assert long.in_frame

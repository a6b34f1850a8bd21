"""Numbers, dates, times and measures: what is one in two ways of writing, and what stays apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.match.figures import in_figures
from langchain_cachemux.match.surface import compare
from langchain_cachemux.match.words import read

ONE = [
    ("How long is a walk of 5 km?", "How long is a walk of 5 kilometres?"),
    ("Is 16GB of memory enough?", "Is 16 gigabytes of memory enough?"),
    ("What is 70 kg in pounds?", "What is 70 kilograms in pounds?"),
    ("Set a timer for 10 mins", "Set a timer for ten minutes"),
    ("Is 39 °C a fever?", "Is 39 degrees Celsius a fever?"),
    ("How much is 20 USD in yen?", "How much is 20 dollars in yen?"),
    ("Is the bank open on 24 December?", "Is the bank open on December 24th?"),
    ("Is the bank open on 24th December?", "Is the bank open on 24 Dec.?"),
    ("What happened on 3 Sept 1943?", "What happened on September 3, 1943?"),
    ("Do you have a table at 8 pm?", "Do you have a table at 20:00?"),
    ("Remind me on Jan. 3 of the party", "Remind me on 3 January of the party"),
    ("How much are 6 ft in cm?", "How much are 6 feet in centimetres?"),
    ("Wake me at 6:30 a.m.", "Wake me at 6:30 am"),
    ("Is the pool open at eight in the evening?", "Is the pool open at 8 pm?"),
    ("What is new in Python v3.12?", "What is new in Python 3.12?"),
    ("Who ruled in the nineteenth century?", "Who ruled in the 19th century?"),
    ("What is a fiftieth of a mile?", "What is a 50th of a mile?"),
    ("Who was the thirty-first queen?", "Who was the 31st queen?"),
]
TWO = [
    ("How long is a walk of 5 km?", "How long is a walk of 5 miles?"),
    ("How long is a walk of 5 m?", "How long is a walk of 5 miles?"),
    ("Is 2 GB enough?", "Is 2 TB enough?"),
    ("Is a dose of 5 mg safe?", "Is a dose of 5 ml safe?"),
    ("Is 39 °C a fever?", "Is 39 °F a fever?"),
    ("How much is 20 USD in yen?", "How much is 20 EUR in yen?"),
    ("Wake me at 8 am", "Wake me at 8 pm"),
    ("Wake me at 12 am", "Wake me at 12 pm"),
    ("Wake me at 8 in the morning", "Wake me at 8 in the evening"),
    ("Is the bank open on 24 December?", "Is the bank open on 25 December?"),
    ("Who works on the 24th floor?", "Who works on 24 floors?"),
    ("Who was the 3rd king?", "Who were the 3 kings?"),
    ("Who was the thirteenth king?", "Who was the thirtieth king?"),
    ("Cut a twenty second clip", "Cut the 22nd clip"),
    ("What is new in Node 18.2?", "What is new in Node 18.20?"),
    ("What is the score of 5 v 3?", "What is the score of 5, 3?"),
]


@pytest.mark.parametrize(("one", "other"), ONE, ids=lambda text: text[:40])
def test_a_figure_written_in_two_ways_is_one(one, other):
    assert read(one).numbers == read(other).numbers
    assert compare(one, other).verdict == "same"


@pytest.mark.parametrize(("one", "other"), TWO, ids=lambda text: text[:40])
def test_another_unit_hour_or_day_is_refused(one, other):
    assert compare(one, other).verdict in {"another", "unsure"}


@pytest.mark.parametrize(
    "text", ["GB won gold", "What is ml?", "Hr is busy", "Dec the halls", "v is 5"]
)
def test_without_its_figure_an_abbreviation_is_left(text):
    words = text.casefold().split()
    assert in_figures(words) == words


@given(hour=st.integers(1, 12), minute=st.integers(0, 59), half=st.sampled_from(["am", "pm"]))
def test_hours_by_two_clocks_are_the_same_just_when_they_are(hour, minute, half):
    written = in_figures([f"{hour}:{minute:02d}", half])
    expected = (hour if hour < 12 else 0) + (12 if half == "pm" else 0)
    assert written == [f"{expected}:{minute:02d}"]


@given(
    st.lists(st.sampled_from("5 #2 v km ° c 8 pm p m in the evening st may of one hundred".split()))
)
def test_any_clause_keeps_its_last_figure(words):
    written = in_figures(words)
    assert len(written) <= len(words)
    assert any(w[0].isdigit() or w[0] == "#" for w in words) <= any(
        w.lstrip("#")[:1].isdigit() for w in written
    )

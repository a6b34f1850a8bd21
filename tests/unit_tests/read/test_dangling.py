"""`dangles`: which first turns refer to something unsaid, by hand; no text is too odd to be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.read.dangling import dangles

UNSAID = [
    "Where was he born?",
    "cancel it",
    "Can you cancel it for me, please?",
    "and the second one?",
    "What about in Spain?",
    "How about the red ones?",
    "Why?",
    "And then?",
    "Is it treatable?",
    "What are its symptoms?",
    "What’s their capital?",
    "What is it used for?",
    "Who directed that movie?",
    "Why does this happen?",
    "How do I get there?",
    "Which one is the cheapest?",
    "How did Napoleon react to it?",
    "What foods improve it?",
    "What happens if I lose them?",
    "What are the effects of these changes?",
    "Tell me more about them.",
    "Tell me more.",
    "No, that's wrong.",
    "What else?",
    "Or in March?",
    "She didn't like the smaller one, did she?",
    "the same for Linux",
    "Same question for Berlin, please",
    "Same but in Rust",
    "in Spanish please",
    "also for Windows",
    "As a table",
    "Translate that into French",
    "Can you repeat that?",
    "repeat that please",
    "How does this work?",
    "the latter",
    "Summarize the above.",
    "What was the previous answer?",
    "go on",
    "Try again, please",
]
SAID = [
    "Is it raining in Rome?",
    "What time is it in Tokyo?",
    "what day is it",
    "Is it safe to eat raw eggs?",
    "How long does it take to boil an egg?",
    "What does it mean when a dog wags?",
    "How much does it cost to replace a window?",
    "Why is it important that plants get light?",
    "It is cold outside, should I wear a coat?",
    "Where was Ada Lovelace born?",
    "My card hasn't arrived. Where is it?",
    "I lost my phone, how do I block it?",
    "If my parcel is late, can I cancel it?",
    "Do sharks eat their young?",
    "Is there a doctor in Siena?",
    "How many moons are there?",
    "Name two things that float.",
    "What will the weather be like this weekend?",
    "Does this app work offline?",
    "Summarize this: all is well.",
    "What can you do?",
    "Who are you?",
    "How's it going?",
    "What is the one thing to see in Rome?",
    "Who said that all men are equal?",
    "I see that I have been charged twice.",
    "Which is the best one-way flight to Rome?",
    "Can Anna see her files?",
    "What is the same in Spanish and French?",
    "Is same-day delivery free?",
    "Which former president was the tallest?",
    "What is Go?",
    "for sale houses in Siena",
    "Does this app work on a phone?",
    "Dónde nació Cervantes?",
    "法国的首都是哪里?",
    "a",
    "?!",
    "",
]


@pytest.mark.parametrize("text", UNSAID)
def test_what_was_not_said_is_missed(text):
    assert dangles(text)


@pytest.mark.parametrize("text", SAID)
def test_what_is_named_expected_or_in_sight_is_not_missed(text):
    assert not dangles(text)


@pytest.mark.parametrize("text", [*UNSAID, *SAID])
def test_neither_case_nor_white_space_around_it_matters(text):
    assert dangles(f"  {text.upper()}\n") == dangles(text)


@given(st.text(st.characters(codec=None), max_size=200))
def test_any_text_can_be_read(text):
    assert dangles(text) in (True, False)


def test_a_name_before_a_pronoun_is_what_it_stands_for():
    for question in ("Where was he born?", "What are its symptoms?", "Is it treatable?"):
        assert dangles(question)
        assert not dangles(f"About Ada Lovelace: {question}")

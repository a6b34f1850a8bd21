"""A text read word by word: what is kept, what is passed over, what becomes one."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langchain_cachemux.match import words
from langchain_cachemux.match.words import CACHED, read, stem


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("How do I reset my password?", "how to reset my password"),
        ("What's the price?", "price"),
        ("Don't do it", "not"),
        ("Norway's fjords", "norway fjords"),
        ("Is it 1,000.50 or ½?", "1000.50 or ½"),
        ("twenty-one, two hundred and five, five million", "21 200 and 5 5000000"),
        ("the 2nd, the second", "#2 #2"),
        ("World War II", "world war 2"),
        ("007 and .5 and ٣", "7 and 0.5 and 3"),
        ("a well-known x-ray of -5 - 3", "well known x ray - 5 - 3"),
        ("C++, C# and .NET", "c + + c # and . net"),
        ("What is 5!", "5 !"),
        ("Wow! Look!", "wow look"),
        ("print(x) or ()", "print x or ( )"),
        ("dog & cat, a&b", "dog and cat a & b"),
        ("कल क्या", "कल क्या"),
        ("ข้าว", "ข้ า ว"),
        ("我用Python 3", "我 用 python 3"),
        ("Do I have to pay?", "must i pay"),
        ("Could you please tell me how plants grow?", "how plants grow"),
        ("Which number of legs has a cat?", "how many legs cat"),
    ],
)
def test_a_text_has_these_words(text, words):
    assert " ".join(read(text).words) == words


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            "Who wrote about Emma, the one on NASA or one on O'Brien's iPhone?",
            ["emma", "nasa", "o'brien", "iphone"],
        ),
        ("Paris is big. Rome is old", []),
        ("I think I'm in Oslo", ["oslo"]),
        ("WHO WROTE EMMA?", []),
        ("How Do I Reset My Password", []),
        ("Wie ändere ich mein Passwort?", []),
        ("who wrote emma", []),
    ],
)
def test_names_are_words_with_a_capital_that_does_not_begin_a_sentence(text, names):
    assert list(read(text).names) == names


@pytest.mark.parametrize(
    ("text", "other", "strange"),
    [
        ("in Oslo and Rome", "in Rome", ["oslo"]),
        ("the US army", "the United States army", []),
        ("the United States army", "an army of the USA", []),
        ("an African king", "the king of Africa", []),
        ("a train to Kraków", "a train to Krakow", []),
        ("is it 5 C?", "is it 5 Celsius?", []),
    ],
)
def test_a_name_is_strange_unless_the_other_has_it_bent_or_shortened(text, other, strange):
    assert read(text).strange(read(other)) == strange


def test_courtesy_is_passed_over_before_and_after_but_not_as_material_or_alone():
    plain = read("Where is it hot?").words
    assert read("Good morning! Where is it hot? Thanks a lot, cheers.").words == plain
    assert read("Hi there, please, where is it hot?").words == plain
    assert read("Thanks").words == ("thanks",)
    assert "thanks" in read("Translate: thanks").words
    assert read("Is it hot? No.").words != plain


def test_an_article_is_passed_over_but_not_where_it_is_spoken_of():
    assert read("When do I use the?").words[-1] == "the"
    assert "a" in read("What does a mean?").words
    assert "the" not in read("the cat").words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cats", "cat"),
        ("cities", "city"),
        ("boxes", "box"),
        ("colours", "color"),
        ("centre", "center"),
        ("organisation", "organization"),
        ("licence", "license"),
        ("causes", "cause"),
        ("headaches", "headache"),
        ("visas", "visa"),
        ("oedema", "edema"),
        ("sulphur", "sulfur"),
    ],
)
def test_spellings_and_plurals_have_one_stem(one, other):
    assert stem(one) == stem(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("bus", "bu"), ("boss", "bos"), ("four", "for"), ("use", "us"), ("poet", "pet")],
)
def test_other_words_have_another(one, other):
    assert stem(one) != stem(other)


def test_a_long_text_is_read_as_a_short_one_is():
    text = "Is the red house, number 17, in Oslo sold? "
    often = CACHED // len(text) + 1
    assert read(text * often).words == read(text).words * often


@given(st.text(st.characters(), max_size=80))
def test_whatever_is_read_every_word_is_whole_and_each_has_its_stem(text):
    found = read(text)
    assert all(word and not word.isspace() for word in found.words)
    assert len(found.stems) == len(found.words)
    assert set(found.words) <= found.every
    assert all(place <= len(found.words) for place in found.clauses)


def slowly(text):
    """The reading of a text in which no word is known from before, nor taken together with its mark."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "_TOKEN", re.compile(words._ANY, re.DOTALL))
        patch.setattr(words, "CACHED", len(text))
        return words._read(text)


PIECES = st.one_of(
    st.sampled_from(
        "is It don't Bob's II World War ok. yes, why? no! note: (see) a-b e.g. U.S. x_y 3.5 -5 5! & "
        "why? end. & then. - 5 == caf\u00e9 q\u0301 \u0e44\u0e17\u0e22 \u06cc' thanks one-two "
        "\"so\" it's's 7th.".split()
    ),
    st.text(st.sampled_from("aB'.,;:?!-& \n\t0_\u0301\u0e01\u00e9"), max_size=5),
    st.text("abc", min_size=18, max_size=23),
)


@settings(max_examples=300)
@given(st.lists(st.tuples(PIECES, st.sampled_from(["", " ", "  ", "\n", "\t"])), max_size=25))
@example([("Hi", " "), ("Bob", "")])
def test_a_word_or_sentence_that_is_known_is_read_as_one_that_is_not(pieces):
    text = "".join(f"{piece}{blank}" for piece, blank in pieces)
    assert words._read(text) == slowly(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "CACHED", 0)
        assert words._read(text) == slowly(text)


@given(
    *(st.lists(st.sampled_from("Bo Bonn Kim Kit Ada Ken BK Kb".split()), max_size=6),) * 2,
)
def test_a_strange_name_is_one_that_no_name_of_the_other_text_explains(mine, theirs):
    one, other = read(f"see {' '.join(mine)} and so on and on"), read(f"see {' '.join(theirs)} so")
    known = list(other.names)
    for name, after in pairwise(one.names):
        known += [name, after] * any(each.startswith(name[0] + after[0]) for each in other.names)
    initials = tuple(name[0] + after[0] for name, after in pairwise(other.names))
    assert one.strange(other) == [
        name
        for name in one.names
        if name not in other.every
        and not name.startswith(initials)
        and not any(words._alike(name, each) for each in known)
    ]


def test_a_dash_at_the_very_beginning_is_no_minus_for_a_figure_at_the_very_end():
    assert read("- buy milk on day 25.").signs == ()
    assert read("- 25 is what?").signs == ("-",)

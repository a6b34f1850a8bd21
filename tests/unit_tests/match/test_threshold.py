import pytest

from langchain_cachemux import Hit, Miss, Query, Threshold
from langchain_cachemux.types import Entry, Match

ASKED = Query("new", text="How tall is Everest?")


def match(similarity, text="Hi, how tall is Everest?"):
    return Match(Entry(text, text=text), similarity)


def never(new, stored):
    return None


def always(new, stored):
    return f"{new} is not {stored}"


@pytest.mark.parametrize("similarity", [0, -0.1, 1.5, 2, float("nan"), float("inf")])
def test_a_similarity_outside_its_range_is_refused_with_its_value(similarity):
    with pytest.raises(ValueError, match=rf"similarity must be in \(0, 1\], got {similarity}"):
        Threshold(similarity)


def test_the_bounds_of_the_range_are_accepted():
    assert Threshold(1).similarity == 1
    assert Threshold(1e-9).similarity == 1e-9


def test_at_the_threshold_is_similar_enough_and_below_is_not():
    rule = Threshold(0.8, guards=())
    assert isinstance(rule.judge(ASKED, [match(0.8)]), Hit)
    assert isinstance(rule.judge(ASKED, [match(0.7999)]), Miss)


def test_a_hit_says_what_was_asked_what_is_served_and_how_similar_they_are():
    found = match(0.91)
    hit = Threshold(0.9, guards=[never]).judge(ASKED, [found])
    assert (hit.query, hit.entry, hit.kind, hit.similarity) == (
        ASKED,
        found.entry,
        "semantic",
        0.91,
    )


def test_the_nearest_without_an_objection_is_served():
    matches = [match(0.99, "How tall is Lhotse?"), match(0.95), match(0.94)]
    hit = Threshold(0.9).judge(ASKED, matches)
    assert hit.entry is matches[1].entry


def test_a_miss_says_that_nothing_is_near():
    miss = Threshold().judge(ASKED, [])
    assert (miss.reason, miss.nearest) == ("nothing near is stored", None)


def test_a_miss_says_how_near_the_nearest_was_and_how_near_it_should_be():
    nearest = match(0.714)
    miss = Threshold(0.85).judge(ASKED, [nearest, match(0.3)])
    assert miss.reason == "the nearest is only 0.71 similar, of 0.85"
    assert miss.nearest is nearest


def test_a_miss_says_what_the_guard_said_of_the_nearest():
    nearest = match(0.97, "a")
    miss = Threshold(0.9, guards=[never, always]).judge(ASKED, [nearest, match(0.95, "b")])
    assert miss.reason == "How tall is Everest? is not a"
    assert miss.nearest is nearest


def test_the_default_guards_object_in_words():
    miss = Threshold(0.9).judge(ASKED, [match(0.99, "How tall is Lhotse?")])
    assert miss.reason == "the names differ: everest, stored lhotse"


def test_without_guards_similarity_alone_decides():
    found = match(0.99, "How tall is K2?")
    assert Threshold(0.9, guards=()).judge(ASKED, [found]).entry is found.entry


def test_the_same_text_is_not_shown_to_the_guards_and_another_case_of_it_is():
    rule = Threshold(guards=[always])
    assert isinstance(rule.judge(ASKED, [match(1.0, ASKED.text)]), Hit)
    assert isinstance(rule.judge(ASKED, [match(1.0, ASKED.text.upper())]), Miss)


def test_guards_may_come_from_a_generator_and_are_asked_every_time():
    rule = Threshold(0.9, guards=(guard for guard in [always]))
    assert all(isinstance(rule.judge(ASKED, [match(0.99)]), Miss) for _ in range(2))


def test_nothing_is_fetched_beyond_the_first_match_below_the_threshold():
    fetched = []

    def matches():
        for similarity in (0.95, 0.5, 0.99):
            fetched.append(similarity)
            yield match(similarity)

    Threshold(0.9, guards=[always]).judge(ASKED, matches())
    assert fetched == [0.95, 0.5]


@pytest.mark.parametrize(
    ("matches", "served", "credit"),
    [
        ([match(0.95)], 0, 1.0),
        ([match(0.95), match(0.85)], 0, 0.0),
        ([match(0.95), match(0.91), match(0.9)], 0, 0.0),
        ([match(0.95), match(0.84)], 0, 1.0),
        ([match(0.95), match(0.91, "How tall is Lhotse?")], 0, 1.0),
        ([match(0.95), match(0.91, "How tall is Lhotse?"), match(0.9)], 0, 0.0),
        ([match(0.95, "How tall is Lhotse?"), match(0.91)], 1, 1.0),
        ([match(0.95, "How tall is Lhotse?"), match(0.91), match(0.9)], 1, 0.0),
        ([match(1.0, ASKED.text), match(0.9)], 0, 0.0),
    ],
    ids=(
        "alone|two|three|the-other-too-far|the-other-objected-to|the-third-would-do"
        "|the-first-objected-to|only-the-first-objected-to|same-words"
    ).split("|"),
)
def test_the_credit_is_0_when_another_stored_answer_would_have_served_too(matches, served, credit):
    hit = Threshold(0.85).judge(ASKED, matches)
    assert hit.entry is matches[served].entry
    assert hit.similarity == matches[served].similarity
    assert hit.credit == credit


def test_nothing_is_fetched_beyond_the_second_that_serves():
    fetched = []

    def matches():
        for similarity in (0.97, 0.95, 0.93, 0.91):
            fetched.append(similarity)
            yield match(similarity)

    assert Threshold(0.9, guards=()).judge(ASKED, matches()).credit == 0.0
    assert fetched == [0.97, 0.95]

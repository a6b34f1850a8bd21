"""How long an answer holds, what it is labelled with, and which rules are refused."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.keep.answers import Ends
from langchain_cachemux.keep.expiry import SKEW, Asked, Expiry, Keeping, keeping, label, said
from langchain_cachemux.keep.volatile import Volatile
from langchain_cachemux.types import Entry, Query, Wording

WORDS = Query("key", text="Where is Oslo?")
NOTHING = Keeping()


def stamped(expiry, query=WORDS, *, model=None, given=NOTHING):
    return expiry.stamped(Entry(query.key), query, model=model, given=given)


def at(now):
    return lambda: now


@pytest.mark.parametrize(
    ("ttl", "end"),
    [
        (None, math.inf),
        (60, 160.0),
        (0.5, 100.5),
        (timedelta(minutes=2), 220.0),
        (lambda query: 7, 107.0),
        (lambda query: timedelta(seconds=8), 108.0),
        (lambda query: None, math.inf),
        (math.inf, math.inf),
    ],
)
def test_an_answer_ends_when_its_time_is_over_counted_from_when_it_was_given(ttl, end):
    entry = stamped(Expiry(ttl, clock=at(100.0)))
    assert (entry.made, entry.expires) == (100.0, end)


def test_what_is_said_of_a_call_goes_before_the_rule_of_the_cache():
    expiry = Expiry(60, tags=["all"], clock=at(0.0))
    entry = stamped(expiry, given=Keeping(timedelta(seconds=5), ("one", "all")))
    assert (entry.expires, entry.labels) == (5.0, ("tag:all", "tag:one"))


@pytest.mark.parametrize("seconds", [0, -1, timedelta(0)])
def test_an_answer_that_is_over_at_once_is_none(seconds):
    assert stamped(Expiry(lambda query: seconds)) is None


def test_labels_name_the_namespaces_the_tags_the_model_and_the_epoch():
    query = Query("key", text="Where?", namespace="a/b")
    expiry = Expiry(tags=lambda query: [query.text], epoch="v3")
    labels = stamped(expiry, query, model="gpt: mini").labels
    assert labels == ("namespace:a", "namespace:a/b", "tag:Where?", "model:gpt: mini", "epoch:v3")
    told = [label(kind, labels) for kind in ("namespace", "model", "epoch", "nothing")]
    assert told == ["a/b", "gpt: mini", "v3", ""]


@pytest.mark.parametrize(
    ("now", "holds"), [(0.0, True), (99.0, True), (100.0, False), (1e9, False), (-SKEW - 1, False)]
)
def test_an_answer_holds_until_its_end_and_not_before_it_was_made(now, holds):
    entry = Entry("key", made=0.0, expires=100.0)
    assert Expiry(clock=at(now)).holds(entry) is holds


def test_an_answer_without_an_end_holds_whatever_the_clock_says():
    assert Expiry(clock=at(-1e9)).holds(Entry("key", made=0.0))


def test_an_answer_of_another_epoch_or_of_none_does_not_hold():
    old, none = Entry("key", labels=("epoch:v1",)), Entry("key")
    held = [Expiry(epoch=epoch).holds(entry) for epoch in ("v1", "v2", "") for entry in (old, none)]
    assert held == [True, False, False, False, False, True]


def test_a_use_lengthens_an_answer_only_where_that_is_asked_for_and_worth_a_write():
    for sliding, used, until in ((False, 50.0, None), (True, 1.0, None), (True, 50.0, 110.0)):
        expiry = Expiry(60, sliding=sliding, clock=at(used))
        assert expiry.renewed(Entry("key", expires=60.0), WORDS, NOTHING) == until
    assert Expiry(sliding=True).renewed(Entry("key"), WORDS, NOTHING) is None
    longer = Expiry(sliding=True, clock=at(0.0)).renewed(Entry("key", expires=9.0), WORDS, NOTHING)
    assert longer == math.inf


def test_a_stored_answer_stands_for_a_fresh_one_that_holds_as_long_and_has_no_other_tags():
    stored = Entry("stored", expires=100.0, labels=("tag:a", "tag:b", "model:m"))
    for expires, labels, parts in (
        (100.0, ("tag:b", "model:other"), False),
        (math.inf, (), False),
        (99.0, (), True),
        (100.0, ("tag:c",), True),
        (100.0, ("epoch:v2",), True),
    ):
        assert Expiry().parts(Entry("fresh", expires=expires, labels=labels), stored) is parts


def test_what_is_over_is_looked_for_every_second_and_again_when_the_clock_was_set_back():
    now = [1000.0]
    expiry, due = Expiry(clock=lambda: now[0]), []
    for now[0] in (1000.0, 1000.5, 1001.0, 1001.1, 5.0, 5.9):
        due.append(expiry.due())
    assert due == [True, False, True, False, True, False]


def test_what_was_said_of_a_block_holds_in_it_for_its_cache_alone():
    one, other = object(), object()
    with keeping(one, ttl=60, tags=["a"], namespace="x"), keeping(one, tags=["b"], namespace="y"):
        assert said(one) == Keeping(60, ("a", "b"), ("x", "y"))
        assert said(other) == NOTHING
        with keeping(one, ttl=5):
            assert said(one).ttl == 5
    assert said(one) == NOTHING


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Expiry(0), "ttl"),
        (lambda: Expiry(-1), "ttl"),
        (lambda: Expiry(math.nan), "ttl"),
        (lambda: Expiry("60"), "ttl"),
        (lambda: Expiry(ttl=True), "ttl"),
        (lambda: Expiry(lambda: 60), "ttl"),  # type: ignore[misc]
        (lambda: Expiry(Volatile), "ttl"),
        (lambda: Expiry(tags="prices"), "tags"),
        (lambda: Expiry(tags=[""]), "tags"),
        (lambda: Expiry(tags=[3]), "tags"),  # type: ignore[list-item]
        (lambda: Expiry(epoch=3), "epoch"),
        (lambda: Expiry(epoch="a\0b"), "epoch"),
        (lambda: Expiry(sliding=1), "sliding"),
        (lambda: Expiry(clock=3), "clock"),
        (lambda: keeping(None, ttl=0), "ttl"),
        (lambda: keeping(None, tags="prices"), "tags"),
        (lambda: keeping(None, namespace=""), "namespace"),
        (lambda: Volatile(0), "ttl"),
        (lambda: Volatile(words="price"), "words"),
        (lambda: Volatile(otherwise=0), "otherwise"),
        (lambda: stamped(Expiry(lambda query: "60")), "ttl"),
        (lambda: stamped(Expiry(lambda query: math.nan)), "ttl"),
        (lambda: stamped(Expiry(tags=lambda query: "prices")), "tags"),
    ],
)
def test_what_is_no_while_and_no_tag_is_refused_by_its_name(make, name):
    with pytest.raises(ValueError, match=f"^{name} must be "):
        make()


NOW_ASKED = [
    "What is the weather like today?",
    "who is the CURRENT president of Chile",
    "What happened   last night?",
    "What time is it in Oslo?",
    "news from this week",
    "Which train leaves now?",
    "Which films came out recently?",
]
TIMELESS = [
    "Where is Oslo?",
    "Who won the final of 1954?",
    "What do I know of snow?",
    "Why is the sky blue?",
    "How do I install nowcasting tools?",
]


@pytest.mark.parametrize("text", NOW_ASKED)
def test_a_question_asked_from_the_moment_is_volatile(text):
    assert Volatile(60)(Query("key", text=text)) == 60


@pytest.mark.parametrize("text", TIMELESS)
def test_one_that_names_its_time_or_has_none_is_not(text):
    assert Volatile(60, otherwise=3600)(Query("key", text=text)) == 3600


def test_what_changes_by_itself_is_volatile_where_a_word_for_it_is_named():
    rule = Volatile(words=["price", "Wetter", "exchange  rate"])
    asked = ["The prices of gold?", "Wie wird das WETTER?", "the exchange rate of the krone"]
    assert [rule(Query("key", text=text)) for text in asked] == [300.0] * 3
    assert rule(Query("key", text="Is it priceless?")) is None


def test_a_question_whose_words_are_not_read_is_taken_to_be_volatile():
    assert Volatile(60)(Query("key")) == 60


def test_contained_is_what_a_question_a_wording_or_the_answer_says_whatever_the_case():
    words = [Wording("a", "a", "Wo wohnt Jürg?"), Wording("b", "a", "Where does he live?")]
    answer = '[{"text": "In \\"Z\\u00fcrich\\"", "info": null, "n": [1, {"x": "Bern\\nOst"}]}]'
    for contains, found in (
        ("jürg", True),
        ("HE LIVE", True),
        ('"zürich"', True),
        ("bern\nost", True),
        ("Basel", False),
        ("\\u00fc", False),
    ):
        assert Asked(contains=contains).found_in(words, answer) is found
    assert Asked(contains="broken").found_in([], "[{broken")


class Slow:
    """As `Ends`, by looking at all."""

    def __init__(self):
        self.ends = {}

    def put(self, key, end):
        self.ends[key] = end

    def drop(self, key):
        self.ends.pop(key, None)

    def passed(self, now, most):
        over = sorted((end, key) for key, end in self.ends.items() if end <= now < math.inf)
        return [key for _, key in over][:most]


ENDS = st.sampled_from([1.0, 2.0, 3.0, math.inf])


@given(
    st.lists(
        st.tuples(st.sampled_from("put drop passed".split()), st.sampled_from("abc"), ENDS),
        max_size=99,
    )
)
def test_who_ends_first_is_told_first_whatever_was_put_and_dropped(steps):
    ends, slow = Ends(), Slow()
    for what, key, end in steps:
        if what == "passed":
            now = min(end, 9.0)
            assert ends.passed(now, 2) == slow.passed(now, 2)
        elif what == "put":
            ends.put(key, end)
            slow.put(key, end)
        else:
            ends.drop(key)
            slow.drop(key)
    assert ends.passed(9.0, 9) == slow.passed(9.0, 9)
    assert len(ends._heap) <= 2 * 3 + 65

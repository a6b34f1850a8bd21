"""Pairs made by rules: the same for one seed, labelled by what was edited, and of our own text."""

import random
import re
from collections import Counter
from itertools import combinations, islice

import edits
import lists
import made_pairs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.match.local import _plain, _whole

MADE = list(made_pairs.pairs(1500, seed=0))


def test_one_seed_makes_the_same_pairs_and_another_makes_others():
    assert list(made_pairs.pairs(50, seed=0)) == MADE[:50]
    assert set(made_pairs.pairs(50, seed=1)).isdisjoint(MADE)


def test_half_the_pairs_are_the_same_and_no_pair_is_of_one_text():
    assert 0.45 < sum(made.same for made in MADE) / len(MADE) < 0.55
    assert all(made.first != made.second for made in MADE)
    bare = [(one.first.lower().strip(" ?.!"), one.second.lower().strip(" ?.!")) for one in MADE]
    assert not [one for one, (a, b) in zip(MADE, bare, strict=True) if a == b and not one.same]


def test_every_way_to_change_a_question_is_there_and_none_is_most_of_it():
    ways = Counter(made.how for made in MADE if not made.same)
    assert {edit.__name__ for edit in edits.CHANGES} | {"slot", "kind"} <= ways.keys()
    assert max(ways.values()) < 0.5 * ways.total()


def test_noise_falls_on_both_labels_alike():
    """A greeting, a slip or small letters must tell nothing of the label."""
    noises = [
        lambda text: text.startswith(tuple(lists.BEFORE)),
        lambda text: text.endswith(tuple(lists.AFTER)),
        str.islower,
    ]
    for noise in noises:
        shares = [
            [noise(text) for one in MADE if one.same is same for text in one[1:3]]
            for same in (True, False)
        ]
        same, different = (sum(share) / len(share) for share in shares)
        assert 0.4 < same / different < 2.5


def test_no_training_pair_is_about_a_domain_that_validates():
    told = " ".join(f"{one.first} {one.second}" for one in MADE).lower()
    held = " ".join(
        f"{one.first} {one.second}" for one in made_pairs.pairs(400, seed=0, held_out=True)
    ).lower()
    for words in ("double room", "guinea pig", "index fund", "page break"):
        assert words not in told
        assert words in held


def test_every_frame_can_be_filled_by_every_domain():
    rng = random.Random(0)
    unseen = {(f, k) for f, kinds in lists.families().items() for k in kinds}
    for _ in range(20_000):
        asked = made_pairs.meaning(rng, list(made_pairs.domains()))
        if (asked.family, asked.kind) in unseen:
            unseen.remove((asked.family, asked.kind))
            for frame in made_pairs.frames_of(asked):
                assert not re.search(r"[{}]|  ", made_pairs.written(rng, asked, frame))
        if not unseen:
            break
    assert not unseen


@pytest.mark.parametrize(
    ("edit", "text", "right"),
    [
        (edits.contrast, "How do I open a file?", r"How do I close a file\?"),
        (edits.number, "Add 12 eggs", r"Add (?!12\b)\d+ eggs"),
        (edits.number, "for two people", r"for (?!two)\w+ people"),
        (edits.modal, "Can I park here?", r"(Must|Should|Will) I park here\?"),
        (edits.modal, "Do I have to pay?", r"(Can|Should|May|Will) I pay\?"),
        (edits.pronoun, "Where is my order?", r"Where is (?!my order)(?!our ).+ order\?"),
        (edits.asking, "When does it start?", r"(Where|How|Why) does it start\?"),
        (edits.denial, "Can I park?", r"Can I (not|never|no longer) park\?"),
        (edits.denial, "Why is it not free?", r"Why is it free\?"),
        (edits.tense, "Does it open?", r"(Did|Will) it open\?"),
        (edits.modified, "Sell a car", r"Sell an? \w+ car"),
        (edits.scope, "Feed the dogs", r"Feed \w+( of)? the dogs"),
        (edits.sign, "What is 2 + 3?", r"What is 2 - 3\?"),
    ],
)
def test_a_change_changes_what_it_is_for(edit, text, right):
    for seed in range(20):
        assert re.fullmatch(right, edit(random.Random(seed), text))


@pytest.mark.parametrize("edit", edits.CHANGES, ids=lambda edit: edit.__name__)
def test_a_change_that_finds_nothing_says_so(edit):
    assert edit(random.Random(0), "Ok.") is None


@given(st.text(), st.integers(0, 99))
def test_no_edit_minds_what_it_is_given(text, seed):
    for edit in {*edits.CHANGES, *edits.NOISE}:
        if text:
            assert isinstance(edit(random.Random(seed), text), str | None)


def test_a_question_may_be_the_same_the_other_way_round_only_where_order_tells_nothing():
    asked = made_pairs.Meaning("thing", "better", (("t", "tea"), ("u", "milk")), "cooking")
    texts = {
        made_pairs.written(random.Random(0), asked, frame) for frame in made_pairs.frames_of(asked)
    }
    assert "Is a milk worse than a tea?" in texts
    assert "Is a milk better than a tea?" not in texts


def test_no_two_synonyms_are_contrasts():
    contrasts = [
        {frozenset(two) for two in combinations([w for sense in group for w in sense], 2)}
        for group in edits.groups("contrasts.txt")
    ]
    for (group,) in edits.groups("synonyms.txt"):
        for two in combinations(group, 2):
            assert not any(frozenset(two) in one for one in contrasts), two


def test_questions_are_taught_in_the_form_in_which_the_judge_reads_them():
    for one in islice(MADE, 200):
        assert made_pairs.ordered(one.first, one.second) == tuple(
            sorted(_plain(_whole(text)) for text in (one.second, one.first))
        )

"""The benchmark of the default matcher: its counting by hand, its committed figures measured again."""

import os
from pathlib import Path

import pytest
import results
import traps

from langchain_cachemux.match.threshold import Threshold

DATA = os.environ.get("CACHEMUX_DATA")
COMMITTED = {
    (row["label"], row["kind"]): row for row in results.read(results.FOLDER / "traps.json")["rows"]
}


@pytest.fixture(scope="module")
def odd():
    return {row["label"]: row for row in traps.rows(traps.demo(1))}


def test_pairs_are_read_by_label_and_kind_and_quotes_are_letters(tmp_path):
    file = tmp_path / "traps.tsv"
    file.write_text('first\tsecond\tlabel\tkind\na "b\tc\tdifferent\tx\nd\te\tsame\ty\n')
    assert traps.traps(file) == {
        ("different", "all"): [('a "b', "c")],
        ("different", "x"): [('a "b', "c")],
        ("same", "all"): [("d", "e")],
        ("same", "y"): [("d", "e")],
    }


def test_a_pair_is_near_by_its_cosine_and_served_when_no_guard_objects():
    pairs = [
        ("How can I reset my password?", "How do I reset my password?"),
        ("How do I not reset my password?", "How do I reset my password?"),
        ("Who was Napoleon?", "How do I reset my password?"),
    ]
    found = list(traps.verdicts(pairs, Threshold()))
    assert [(cosine >= 0.85, served) for cosine, served in found] == [
        (True, True),
        (True, False),
        (False, False),
    ]


def test_shares_have_the_interval_of_clopper_and_pearson():
    row = traps.counted([(0.9, True), (0.9, False), (0.5, False), (0.5, False)], 0.85)
    assert (row["pairs"], row["near"], row["served"], row["share"]) == (4, 2, 1, 0.25)
    assert (row["low"], row["high"]) == pytest.approx((0.0063, 0.8059), abs=1e-4)  # from a table
    none, every = traps.counted([(0.5, False)], 0.85), traps.counted([(0.9, True)], 0.85)
    assert (none["low"], every["high"]) == (0.0, 1.0)


def test_the_two_halves_of_the_demo_share_no_pair():
    even, odd = (set().union(*traps.demo(place).values()) for place in (0, 1))
    assert even
    assert odd
    assert not even & odd


def test_no_near_miss_is_served_of_the_questions_that_the_guards_were_not_written_on(odd):
    assert odd["different"]["pairs"] > 300
    assert odd["different"]["near"] > 50
    assert odd["different"]["served"] == 0


def test_of_their_rewordings_the_committed_share_is_served(odd):
    committed = COMMITTED["same", "demo, odd places"]
    assert odd["same"]["pairs"] == committed["pairs"]
    assert odd["same"]["share"] == pytest.approx(committed["share"], abs=0.02)


@pytest.mark.skipif(not DATA, reason="set CACHEMUX_DATA to the folder of the data sets")
@pytest.mark.parametrize("label", ["different", "same"])
def test_of_pairs_made_to_deceive_the_committed_share_is_served(label):
    pairs = traps.traps(Path(DATA) / "semantic/traps/traps.tsv")[label, "all"]
    (row,) = traps.rows({(label, "all"): pairs})
    assert row["pairs"] == COMMITTED[label, "all"]["pairs"]
    assert row["share"] == pytest.approx(COMMITTED[label, "all"]["share"], abs=0.02)

"""The labelled pairs of questions are whole: columns, counts, halves, normal form, no pair twice."""

import csv
import random
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

PAIRS = Path(__file__).parents[2] / "benchmarks" / "pairs"
KINDS = {  # kind: (pairs labelled different, pairs labelled same)
    "modality": (18, 14),
    "tense": (18, 14),
    "direction": (20, 14),
    "numbers": (22, 14),
    "names": (22, 14),
    "negation": (20, 14),
    "scope": (20, 14),
    "modifier": (22, 14),
    "roles": (16, 14),
    "signs": (18, 14),
    "units": (18, 14),
    "words": (16, 16),
}
LANGUAGES = ("Arabic", "Chinese", "German", "Hindi", "Spanish", "Thai")
FILES = ("english.tsv", "languages.tsv")
STRATUM = {"english.tsv": "kind", "languages.tsv": "language"}


def rows(name):
    with (PAIRS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def nfc(text):
    return unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("name", FILES)
def test_every_row_has_every_column_and_clean_text(name):
    columns = ["id", "half", "kind", "label", "first", "second"]
    if name == "languages.tsv":
        columns.insert(2, "language")
    for row in rows(name):
        assert list(row) == columns
        assert all(value and value == " ".join(value.split()) for value in row.values()), row["id"]


@pytest.mark.parametrize("name", FILES)
def test_an_id_names_one_pair(name):
    ids = [row["id"] for row in rows(name)]
    assert len(ids) == len(set(ids))


def test_english_has_both_labels_of_every_kind():
    counts = Counter((row["kind"], row["label"]) for row in rows("english.tsv"))
    assert counts == {
        (kind, label): count
        for kind, both in KINDS.items()
        for label, count in zip(("different", "same"), both, strict=True)
    }
    assert [sum(counts) for counts in zip(*KINDS.values(), strict=True)] == [230, 170]


def test_a_language_has_eighteen_differences_of_six_kinds_and_twelve_rewordings():
    counts = Counter((row["language"], row["kind"], row["label"]) for row in rows("languages.tsv"))
    differences = ("numbers", "negation", "names", "direction", "words", "marks")
    assert counts == {
        (language, kind, label): count
        for language in LANGUAGES
        for kind, label, count in (
            *((kind, "different", 3) for kind in differences),
            ("rewording", "same", 10),
            ("normal_form", "same", 2),
        )
    }


@pytest.mark.parametrize("name", FILES)
def test_the_halves_are_those_that_the_seeded_shuffle_draws(name):
    groups: dict[tuple[str, str], list[str]] = {}
    for row in rows(name):
        groups.setdefault((row[STRATUM[name]], row["label"]), []).append(row["id"])
    draw = random.Random(20261126)
    drawn = {}
    for ids in groups.values():
        draw.shuffle(ids)
        for place, pair in enumerate(ids):
            drawn[pair] = "open" if 2 * place < len(ids) else "sealed"
    assert {row["id"]: row["half"] for row in rows(name)} == drawn
    halves = Counter((row[STRATUM[name]], row["label"], row["half"]) for row in rows(name))
    for (stratum, label), ids in groups.items():
        for half in ("open", "sealed"):
            assert 2 * halves[stratum, label, half] == len(ids)


def test_no_pair_is_there_twice_in_any_order():
    pairs = Counter(
        frozenset((row["first"], row["second"])) for name in FILES for row in rows(name)
    )
    assert [pair for pair, count in pairs.items() if count > 1 or len(pair) == 1] == []


def test_a_question_is_in_one_pair_only():
    texts = Counter(
        text for name in FILES for row in rows(name) for text in {row["first"], row["second"]}
    )
    assert [text for text, count in texts.items() if count > 1] == []


def test_texts_are_nfc_but_for_the_other_form_of_a_normal_form_pair():
    for row in (row for name in FILES for row in rows(name)):
        assert row["first"] == nfc(row["first"]), row["id"]
        if row["kind"] == "normal_form":
            assert row["second"] != row["first"] == nfc(row["second"]), row["id"]
        else:
            assert row["second"] == nfc(row["second"]), row["id"]


def test_lengths_run_from_a_few_words_to_a_pasted_text():
    lengths = [
        max(len(row[side].split()) for side in ("first", "second")) for row in rows("english.tsv")
    ]
    assert min(lengths) <= 4
    assert sum(25 <= length <= 60 for length in lengths) >= 20
    assert sum(80 <= length <= 200 for length in lengths) == 20
    assert max(lengths) <= 200

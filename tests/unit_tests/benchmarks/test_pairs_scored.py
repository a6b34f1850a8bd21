"""The benchmark of pairs with labels: its counting by hand, its committed figures, and their bounds."""

import os
from pathlib import Path

import pairs
import pytest
import results
from pairs import Pair

DATA = os.environ.get("CACHEMUX_DATA")
COMMITTED = {row["set"]: row for row in results.read(results.FOLDER / "pairs.json")["sets"]}
OPEN = pairs.own("open")


def served(name, rule, label):
    return COMMITTED[name]["rules"][rule][label]["share"]


SEALED = {row["set"]: row for row in results.read(results.FOLDER / "pairs_sealed.json")["sets"]}


def test_a_pair_is_read_by_its_half_and_label():
    assert {name: len(found) for name, found in OPEN.items()} == {
        "english, open": 200,
        "languages, open": 90,
    }
    assert sum(pair.same for pair in OPEN["english, open"]) == 85


def test_a_share_has_the_interval_of_clopper_and_pearson():
    found = pairs.share(1, 4)
    assert (found["count"], found["of"], found["share"]) == (1, 4, 0.25)
    assert (found["low"], found["high"]) == pytest.approx(
        (0.0063, 0.8059), abs=1e-4
    )  # from a table
    assert pairs.share(0, 4)["low"] == 0.0
    assert pairs.share(4, 4)["high"] == 1.0
    assert pairs.share(0, 0)["share"] is None


MADE = [
    Pair("How can I reset my password?", "How do I reset my password?", same=True),
    Pair("Is the old car red?", "Which colour has the old car?", same=True),
    Pair("How do I not reset it?", "How do I reset it?", same=False),
    Pair("Who was Napoleon?", "Where is Rome?", same=False),
]


def test_a_set_is_scored_by_every_rule_verdict_and_guard():
    row = pairs.scored("made", MADE, [0.7, 0.83, 0.97, 0.2])
    right = {name: found["same"]["count"] for name, found in row["rules"].items()}
    wrong = {name: found["different"]["count"] for name, found in row["rules"].items()}
    assert right["verdicts, .80"] == 2
    assert right["verdicts, .85"] == right["numbers, negation, names, .85"] + 1 == 1
    assert wrong["similarity .85"] == wrong["similarity .95"] == 1
    assert wrong["verdicts, .80"] == wrong["numbers, negation, names, .85"] == 0
    assert row["verdicts"]["same"] == {"reworded": 1, "same": 1}
    assert row["guards"]["negation"] == {"right": 1, "wrong": 0}


def test_the_curve_falls_with_the_similarity_and_the_verdicts_serve_less_of_what_differs():
    found = pairs.curves(MADE, [0.7, 0.83, 0.97, 0.2])
    for points in found.values():
        assert points == sorted(points, reverse=True)
    bare, told = (found[name] for name in ("similarity", "verdicts"))
    assert all(wrong <= more for (wrong, _), (more, _) in zip(told, bare, strict=True))


def test_the_open_half_is_served_as_committed():
    for name, made in OPEN.items():
        row = pairs.scored(name, made, pairs.cosines(made))
        for rule, found in row["rules"].items():
            for label in ("same", "different"):
                assert found[label]["share"] == pytest.approx(served(name, rule, label), abs=0.02)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("english, open", 0.55, 0.04),
        ("languages, open", 0.3, 0.02),
        ("traps", 0.5, 0.04),
        ("demo", 0.3, 0.07),
    ],
)
def test_most_that_should_be_served_is_and_hardly_anything_else(name, least, most):
    assert served(name, "verdicts, .85", "same") >= least
    assert served(name, "verdicts, .85", "different") <= most
    assert served(name, "similarity .85", "different") >= 3 * most


@pytest.mark.parametrize("guard", ["numbers", "signs", "negation", "names", "small_words", "order"])
def test_a_veto_is_right_four_times_of_five(guard):
    """On pairs that its author did not write; polarity apart, which holds negations alone."""
    sets = ("english, open", "languages, open", "traps", "demo")
    found = [COMMITTED[name]["guards"][guard] for name in sets]
    right, wrong = (sum(row[key] for row in found) for key in ("right", "wrong"))
    assert right >= 0.8 * (right + wrong)


@pytest.mark.skipif(not DATA, reason="set CACHEMUX_DATA to the folder of the data sets")
def test_of_pairs_made_to_deceive_the_committed_share_is_served():
    made = pairs.traps(Path(DATA) / "semantic")
    row = pairs.scored("traps", made, pairs.cosines(made))
    for label, found in row["rules"]["verdicts, .85"].items():
        assert found["of"] == COMMITTED["traps"]["rules"]["verdicts, .85"][label]["of"]
        assert found["share"] == pytest.approx(served("traps", "verdicts, .85", label), abs=0.02)


@pytest.mark.parametrize(
    ("name", "least", "most"), [("english", 0.5, 0.05), ("languages", 0.5, 0.05)]
)
def test_the_half_that_nobody_had_looked_at_is_served_as_the_other_one(name, least, most):
    found = SEALED[f"{name}, sealed"]["rules"]["verdicts, .85"]
    assert found["same"]["share"] >= least
    assert found["different"]["share"] <= most
    assert found["same"]["high"] > served(f"{name}, open", "verdicts, .85", "same")

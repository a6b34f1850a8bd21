"""The benchmark of `Agree`: its counting by hand, its readers on a folder of four problems."""

import csv
import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def _module():
    spec = importlib.util.spec_from_file_location("agreement", ROOT / "benchmarks/agreement.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["agreement"] = module
    spec.loader.exec_module(module)
    return module


agreement = _module()


def test_each_error_is_a_share_of_the_pairs_it_can_be_made_on():
    pairs = [("a", "a", True), ("a", "b", True), ("a", "a", False)] + [("a", "b", False)] * 3
    row = agreement.counted(pairs, str.__eq__)
    assert row["pairs"] == 6
    assert row["said different, same"] | {"low": 0, "high": 0} == {
        "wrong": 1,
        "of": 2,
        "share": 0.5,
        "low": 0,
        "high": 0,
    }
    error = row["said same, differ"]
    assert (error["wrong"], error["of"]) == (1, 4)
    assert error["low"] == pytest.approx(
        0.0063, abs=1e-4
    )  # Clopper-Pearson of 1 of 4, from a table
    assert error["high"] == pytest.approx(0.8059, abs=1e-4)


def test_what_cannot_be_wrong_is_not_in_the_row():
    assert "said same, differ" not in agreement.counted([("a", "a", True)], str.__eq__)


def test_problems_that_nobody_solved_are_left_out_and_misread_results_repaired(tmp_path):
    small, large = agreement.SMALL, agreement.LARGE
    names = ["prompt", small, large, f"{small}_response", f"{large}_response"]
    rows = [
        ("p", True, False, "20", "$20.00"),
        ("q", True, True, "1", "1"),
        ("r", False, False, "3", "4"),
        ("s", True, False, "5", "6"),
    ]
    with (tmp_path / "gsm8k_responses.csv").open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    results = {"p": 20, "q": 1, "r": 2, "s": 5}
    lines = [json.dumps({"question": q, "answer": f"so #### {a}"}) for q, a in results.items()]
    (tmp_path / "test.jsonl").write_text("\n".join(lines))
    read = [list(agreement.gsm8k(tmp_path, place, repaired=False)) for place in (0, 1)]
    assert read == [[("20", "$20.00", False)], [("1", "1", True), ("5", "6", False)]]
    repaired = list(agreement.gsm8k(tmp_path, 0, repaired=True))
    assert repaired == [("20", "$20.00", True)]


def test_letters_come_in_pairs_that_differ_in_the_letter_alone(tmp_path):
    (tmp_path / "responses").mkdir()
    prompt = "Which?\nA. one\nB. two\nC. three\nD. four\nAnswer:"
    with (tmp_path / "responses/mmlu_x.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["prompt"], *[[prompt]] * 20])
    pairs = list(agreement.letters(tmp_path, 0, seed=0))
    assert [same for *_, same in pairs] == [True, False] * 10
    assert len({left for left, *_ in pairs}) > 3
    assert agreement.counted(pairs, agreement.Agree())["said same, differ"]["wrong"] == 0


@pytest.mark.skipif("CACHEMUX_DATA" not in os.environ, reason="CACHEMUX_DATA names no folder")
def test_the_result_file_is_what_agree_says_of_the_recorded_solutions():
    folder = Path(os.environ["CACHEMUX_DATA"]) / "routing/routellm/evals/gsm8k"
    kept = json.loads((ROOT / "benchmarks/results/agreement.json").read_text())["rows"]
    for repaired, name in ((False, "as recorded"), (True, "last numbers repaired")):
        pairs = agreement.gsm8k(folder, 1, repaired=repaired)
        row = {"answers": f"GSM8K, {name}", "rule": "Agree()"}
        assert row | agreement.counted(pairs, agreement.Agree()) in kept

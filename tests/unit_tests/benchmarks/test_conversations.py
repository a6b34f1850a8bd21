"""The benchmark of conversations: its streams and counts on a small folder, and what it shows."""

import gzip
import json
import os
from pathlib import Path

import conversations as benchmark
import pytest
from fakes import Words
from langchain_core.messages import AIMessage

DATA = os.environ.get("CACHEMUX_DATA")
Turn = benchmark.Turn
TOPICS = [
    [Turn("What is Emma?", "What is Emma?"), Turn("Who wrote it?", "Who wrote Emma?")],
    [
        Turn("What is Persuasion?", "What is Persuasion?"),
        Turn("Who wrote it?", "Who wrote Persuasion?"),
    ],
]


def test_the_turns_of_a_year_come_with_what_they_were_written_out_to(tmp_path):
    (tmp_path / benchmark.WRITTEN_2019).write_text("7_1\tWhat is Emma?\n7_2\tWho wrote Emma?\n")
    said = [
        {"number": n, "raw_utterance": text}
        for n, text in enumerate(["What is Emma?", "By whom?"], 1)
    ]
    later = [
        {"number": "1-1", "utterance": "What is Emma? "},
        {"number": "1-3", "utterance": "By whom?", "manual_rewritten_utterance": "Who wrote Emma?"},
    ]
    for year, turns in ((2019, said), (2022, later)):
        with gzip.open(tmp_path / f"{benchmark.YEARS[year]}.json.gz", "wt") as file:
            json.dump([{"number": 7, "turn": turns}], file)
    expected = [Turn("What is Emma?", "What is Emma?"), Turn("By whom?", "Who wrote Emma?")]
    assert benchmark.conversations(tmp_path, (2019, 2022)) == [expected, expected]


def test_every_turn_is_asked_twice_and_never_after_the_same_turns():
    asked = list(benchmark.requests(TOPICS))
    assert len(asked) == 8
    texts = [tuple(message.text for message in messages) for messages, _ in asked]
    assert len(set(texts)) == 8
    assert texts[1] == ("What is Emma?", TOPICS[0][0].answer, "Who wrote it?")
    assert texts[4][0].startswith("What is Persuasion?")
    assert isinstance(asked[1][0][1], AIMessage)
    assert [turn.label for _, turn in asked[:4]] == [turn.label for _, turn in asked[4:]]


def test_only_what_is_written_out_is_served_again():
    arms = benchmark.arms(TOPICS, Words())
    assert [arms[arm]["could"] for arm in arms] == [4, 4, 4]
    assert (arms["turns"]["right"], arms["turns"]["other"]) == (0, 0)
    # of the four two are served at first; the third is answered afresh, and shows that such are right
    assert (arms["rewritten"]["right"], arms["rewritten"]["other"]) == (3, 0)
    assert (arms["questions"]["right"], arms["questions"]["other"]) == (3, 0)
    assert arms["rewritten"]["rewritten"] == 6
    assert all(arm["errors"] == 0 for arm in arms.values())


def test_a_turn_refers_where_its_pronoun_was_written_out():
    assert benchmark.referring(TOPICS) == ["Who wrote it?"] * 2
    assert benchmark.share(["Who wrote it?", "Who wrote Emma?"])["share"] == 0.5


@pytest.mark.skipif(not DATA, reason="CACHEMUX_DATA names no folder")
def test_real_turns_are_served_across_conversations_as_questions_are_and_only_when_rewritten():
    folder = Path(DATA) / "semantic/multiturn_trec_cast"
    arms = benchmark.arms(benchmark.conversations(folder, years=(2020,)))
    turns, rewritten, questions = arms["turns"], arms["rewritten"], arms["questions"]
    assert turns["other"] == 0
    assert turns["right"] < 0.05 * turns["could"]
    possible = questions["could"] - questions["unsaid"] - questions["audits"]
    assert questions["right"] > 0.95 * (possible - questions["held back"])
    assert questions["held back"] < 50
    assert rewritten["right"] > 0.95 * questions["right"]
    assert rewritten["other"] <= 0.02 * rewritten["by meaning"]

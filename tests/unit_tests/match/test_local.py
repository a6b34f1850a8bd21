"""The judge that comes with the package: real weights, and pairs that it was not taught on."""

import asyncio
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_cachemux.match import local
from langchain_cachemux.match.judges import UNSURE, Pair, pair_judge_of
from langchain_cachemux.match.local import LONGEST, LocalJudge

SAME = [
    ("How do I water a cactus?", "How can I water a cactus?"),
    ("When does the aquarium open on Sundays?", "Hi! What time does the aquarium open on Sundays?"),
    ("What's the wingspan of an albatross?", "Could you tell me the wingspan of an albatross?"),
    ("Do I have to register my drone?", "Is it mandatory to register my drone?"),
    ("How long does it take to get to Mars?", "how long does it take to get to mars"),
    ("In Excel, how do I hide a cell?", "How can I hide a cell in Excel?"),
]
DIFFERENT = [
    ("Can I feed the ducks?", "Must I feed the ducks?"),
    ("How do I rent a canoe?", "How do I sell a canoe?"),
    ("When was the bridge opened?", "When was the bridge closed?"),
    ("Convert 12 ounces to grams", "Convert 21 ounces to grams"),
    ("Is the trail open in May?", "Is the trail not open in May?"),
    ("What is the wingspan of an albatross?", "What is the weight of an albatross?"),
]


def same(first, second, **more):
    return LocalJudge().judge(Pair(first, second, **more)).same


@pytest.mark.parametrize("pair", SAME, ids=lambda pair: pair[1])
def test_another_wording_is_the_same_question(pair):
    assert same(*pair) > UNSURE


@pytest.mark.parametrize("pair", DIFFERENT, ids=lambda pair: pair[1])
def test_one_word_makes_another_question(pair):
    assert same(*pair) < 0.2


@pytest.mark.parametrize("pair", [*SAME, *DIFFERENT], ids=lambda pair: pair[1])
def test_a_pair_and_its_mirror_image_get_one_opinion_every_time(pair):
    assert len({same(*pair), same(*pair), same(*reversed(pair))}) == 1


def test_equal_words_are_the_same_however_long_or_written():
    assert same("Where is it?", "where  is\nit?") == 1
    assert same("word " * 1000, "Word " * 1000) == 1
    assert same("caf\u00e9", "cafe\u0301") == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Is it 😂?", "Is it 😭?"),
        ("Is it 😂?", "Is it?"),
        ("¿Cuántos anos tiene?", "¿Cuántos años tiene?"),
        ("क्या यह कल है", "क्या यह कला है"),
        ("Who is Nadal?", "Who is Federer?"),
        ("Which word is Boden?", "Which word is Baden?"),
        ("Evaluate 2 × 7", "Evaluate 2 ÷ 7"),
        ("What are the pros of electric cars?", "What are the cons of electric cars?"),
        ("How do I sort it with numpy?", "How do I sort it with scipy?"),
        ("What is user_id for?", "What is user_ids for?"),
        ("Muss ich im Treppenhaus Schuhe abstellen?", "Darf ich im Treppenhaus Schuhe abstellen?"),
        ("¿Cómo puedo subir el volumen?", "¿Cómo puedo bajar el volumen?"),
        ("Did Anna call Peter?", "Did Peter call Anna?"),
        ("How do I get from Rome to Oslo?", "How can I get from Oslo to Rome?"),
        ("Is tea better than coffee?", "Is coffee better than tea?"),
        ("You're tired, aren't you?", "You're not tired, are you?"),
        ("Her plan is not right.", "Her plan is not wrong."),
        (r"What does \w+ find?", r"What does \W+ find?"),
        ("What does ls -l show?", "What does ls -L show?"),
        ("Can I? " + "word " * LONGEST, "Must I? " + "word " * LONGEST),
    ],
)
def test_it_is_never_sure_of_what_it_cannot_read(first, second):
    assert same(first, second) <= UNSURE


def test_it_says_why_it_is_not_sure():
    for first, second, why in (
        ("Which word is Boden?", "Which word is Baden?", "only one of them has 'Boden'"),
        ("क्या यह कल है", "Is it?", "cannot read 'क'"),
        ("What are its pros?", "What are its cons?", "knows neither 'pros' nor 'cons'"),
        ("It's not right.", "It's not wrong.", "both deny something"),
        ("tar -x", "tar -X", "the letter of an option"),
        ("word " * 200, "words " * 200, "more than the 160 tokens"),
    ):
        assert why in LocalJudge().judge(Pair(first, second)).reason


@given(st.text(), st.text())
@settings(max_examples=100)
def test_any_two_texts_get_a_probability(first, second):
    assert 0 <= same(first, second) <= 1


@pytest.mark.parametrize("text", ["", "\x00", "\ud83d", "[SEP]", '{"a": ' * 200, "x" * 10**6])
def test_hostile_texts_get_a_probability(text):
    assert 0 <= same(text, "Where is it?") <= 1


def test_it_is_asked_by_name_with_and_without_a_loop_and_from_threads():
    judge = pair_judge_of("local")
    assert repr(judge) == "LocalJudge()"
    pairs = [Pair(*pair) for pair in (*SAME, *DIFFERENT)]
    said = [judge.judge(pair) for pair in pairs]
    assert [asyncio.run(judge.ajudge(pair)) for pair in pairs] == said
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(judge.judge, pairs * 4)) == said * 4


def test_nothing_is_loaded_before_a_pair_is_judged():
    code = """
import sys
from langchain_cachemux.match.judges import pair_judge_of
pair_judge_of("local")
print(sorted({"onnxruntime", "tokenizers", "torch"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_files_that_were_changed_are_refused(monkeypatch, tmp_path):
    shutil.copytree(local.FOLDER, tmp_path / "weights")
    with (tmp_path / "weights/judge.onnx").open("ab") as file:
        file.write(b" ")
    monkeypatch.setattr(local, "FOLDER", tmp_path / "weights")
    with pytest.raises(OSError, match=r"judge.onnx has SHA-256 .* install the package again"):
        LocalJudge(local.FOLDER).judge(Pair("a", "b"))


def test_a_judge_of_ones_own_is_not_held_to_the_shipped_hash(tmp_path):
    shutil.copytree(local.FOLDER, tmp_path / "mine")
    with (tmp_path / "mine/tokenizer.json").open("a") as file:
        file.write(" ")
    judge = LocalJudge(tmp_path / "mine")
    assert repr(judge) == f"LocalJudge({str(tmp_path / 'mine')!r})"
    assert judge.judge(Pair(*SAME[0])).same == same(*SAME[0])


def test_it_weighs_less_than_25_megabytes_and_a_pair_takes_milliseconds():
    assert sum(path.stat().st_size for path in local.FOLDER.iterdir()) < 25e6
    same(*SAME[0])
    began = time.perf_counter()
    for pair in SAME * 4:
        same(*pair)
    assert (time.perf_counter() - began) / 20 < 0.5  # 4 ms; on a machine that does much else, more

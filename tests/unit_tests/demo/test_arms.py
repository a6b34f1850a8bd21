"""The demo's questions, stream and accounts, with models that answer from a table."""

import json
import re
from collections import Counter

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from langchain_cachemux.demo.arms import Demo, Pair
from langchain_cachemux.demo.models import EXAMPLES, SURE, sure
from langchain_cachemux.demo.page import page
from langchain_cachemux.demo.recording import Recording
from langchain_cachemux.demo.stream import NearMiss, Question, draw, read_questions
from langchain_cachemux.demo.table import COLUMNS, rows
from langchain_cachemux.route.prices import Decoder

QUESTIONS = read_questions()


def texts(question):
    return [question.question, *question.paraphrases]


class Models:
    """A pair that answers from the questions file: the large model always right, the small half."""

    def __init__(self):
        self.calls = Counter()
        self.answers = {text: q.answers[0] for q in QUESTIONS for text in texts(q)}
        self.answers |= {near: answers[0] for q in QUESTIONS for near, answers in q.near}

    def model(self, name, price, right):
        def answer(messages):
            text = messages[-1].content
            self.calls[name, text] += 1
            content = self.answers[text] if right(text) else "no idea"
            usage = {"input_tokens": price, "output_tokens": 1, "total_tokens": price + 1}
            return AIMessage(content, usage_metadata=usage)

        return RunnableLambda(answer)

    def pair(self, decoders=None):
        models = {
            "small": self.model("small", 10, lambda text: len(text) % 2 == 0),
            "large": self.model("large", 100, lambda _: True),
        }
        what = {"small": "knows half", "large": "knows all"}
        return Pair(
            models, what, accept=lambda _, answer: answer.content != "no idea", decoders=decoders
        )


SHAPES = {
    "small": Decoder(layers=2, width=64, feed_forward=256),
    "large": Decoder(layers=4, width=256, feed_forward=1024),
}
"""With them a cost is counted; measured in seconds it would be of this machine and this minute."""


@pytest.fixture(scope="module")
def ran():
    models = Models()
    run = Demo(models.pair(SHAPES), QUESTIONS, draw(QUESTIONS, 60, seed=1), capacity=10)
    outcomes = list(run)
    return models, run, outcomes, run.report()


def test_there_are_sixty_questions_with_three_to_five_paraphrases_each():
    assert len(QUESTIONS) >= 60
    assert all(3 <= len(question.paraphrases) <= 5 for question in QUESTIONS)


def test_no_text_is_asked_twice_and_none_is_an_example_of_the_prompt():
    asked = [t.casefold() for q in QUESTIONS for t in (*texts(q), *(near for near, _ in q.near))]
    assert len(set(asked)) == len(asked)
    assert not {example.casefold() for example, _ in EXAMPLES} & set(asked)


def test_no_question_holds_its_own_answer():
    for question in QUESTIONS:
        pairs = [(text, question.answers) for text in texts(question)] + list(question.near)
        for text, answers in pairs:
            for answer in answers:
                assert not re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text, re.IGNORECASE)


def test_near_misses_have_other_answers():
    for question in QUESTIONS:
        for _, answers in question.near:
            assert not set(answers) & set(question.answers)


def test_a_seed_draws_the_same_stream_and_another_seed_another():
    assert draw(QUESTIONS, 50, seed=3) == draw(QUESTIONS, 50, seed=3)
    assert draw(QUESTIONS, 50, seed=3) != draw(QUESTIONS, 50, seed=4)


def test_popularity_is_skewed_and_drifts_half_way():
    stream = draw(QUESTIONS, 4000, seed=0)
    first, second = (Counter(r.identity for r in half) for half in (stream[:2000], stream[2000:]))
    assert first.most_common(1)[0][1] > 5 * 2000 / len(QUESTIONS)
    ten = [{identity for identity, _ in half.most_common(10)} for half in (first, second)]
    assert ten[0] != ten[1]


def test_every_arm_served_every_request_and_the_large_model_alone_is_always_right(ran):
    _, run, outcomes, report = ran
    assert [arm["requests"] for arm in report["arms"]] == [60] * 4
    assert len(outcomes) == 60
    assert report["arms"][0]["accuracy"] == 1
    assert report["arms"][0]["calls"] == {"large": 60}
    assert [arm.name for arm in run.arms][-1] == "LEC cache + multiplexer"


def test_a_model_is_asked_once_for_a_prompt_however_many_arms_need_it(ran):
    models, *_ = ran
    assert set(models.calls.values()) == {1}


def test_requests_are_hits_or_calls(ran):
    *_, report = ran
    for arm in report["arms"][1:3]:
        assert arm["hits_exact"] + arm["hits_semantic"] + arm["calls"]["large"] == 60
    last = report["arms"][-1]
    assert last["hits_exact"] + last["hits_semantic"] + last["calls"]["small"] <= 60
    assert last["calls"]["large"] < report["arms"][2]["calls"]["large"]


def test_only_a_wrong_hit_costs_a_right_answer_and_hardly_any_hit_is_wrong(ran):
    *_, report = ran
    for arm in report["arms"]:
        assert arm["accuracy"] == pytest.approx(1 - arm["wrong_hits"] / 60)
    wrong = [arm["wrong_hits"] for arm in report["arms"]]
    assert wrong[0] == 0
    assert max(wrong) <= 2


def test_every_cached_arm_has_to_evict_or_bypass(ran):
    _, run, *_ = ran
    for track in run._tracks[1:]:
        stats = track.cache.stats()
        assert stats.entries == 10
        assert stats.evicted + stats.bypassed > 0


def test_no_arm_beats_the_optimum(ran):
    *_, report = ran
    assert report["optimum"]["routed"] <= report["optimum"]["large"]
    assert all(arm["over_optimum"] >= 1 for arm in report["arms"])


def test_the_report_is_json_and_becomes_a_table_and_a_page(ran):
    *_, report = ran
    told = json.loads(json.dumps(report))
    assert told["arms"][0]["unit"] == "TFLOP"
    cells = rows(told)
    assert len(cells) == 5
    assert {len(row) for row in cells} == {len(COLUMNS)}
    written = page(told)
    assert written.count("<svg") == 3
    assert "http" not in re.sub(
        r"http://(www\.w3\.org|purl\.org|creativecommons\.org)", "", written
    )


def test_a_wrong_hit_is_seen_and_so_is_one_from_a_near_miss():
    near = (NearMiss("What is the capital of Spain?", ("madrid",)),)
    question = Question("italy", "What is the capital of Italy?", (), ("rome",), near)
    models = Models()
    models.answers |= {question.question: "rome", near[0][0]: "madrid"}
    requests = draw([question], 40, seed=0)
    run = Demo(models.pair(), [question], requests, similarity=0.01)
    for track in run._tracks[1:]:
        track.cache.match.guards = ()

    list(run)

    assert {arm.unit for arm in run.arms} == {"seconds"}
    assert all(arm.cost == arm.seconds + arm.overhead > 0 for arm in run.arms)
    assert all(arm.wrong_hits > 0 for arm in run.arms[1:])
    assert all(arm.wrong_from_near_misses == arm.wrong_hits for arm in run.arms[1:])
    assert all(arm.accuracy < 1 for arm in run.arms[1:])


def test_a_recording_is_taken_up_again_also_after_a_torn_last_line(tmp_path):
    models, path = Models(), tmp_path / "answers.jsonl"
    model = models.pair().models["large"]
    text = QUESTIONS[0].question
    with Recording(path) as recording:
        first = recording.ask("large", model, text)
    with path.open("a") as file:
        file.write('{"model": "large", "pro')

    with Recording(path) as recording:
        again = recording.ask("large", model, text)
        recording.ask("large", model, QUESTIONS[1].question)
    with Recording(path) as recording:
        recording.ask("large", model, QUESTIONS[1].question)

    assert again.content == first.content
    assert again.response_metadata["seconds"] == first.response_metadata["seconds"]
    assert set(models.calls.values()) == {1}


@pytest.mark.parametrize("line", ["not json", '{"id": "x"}', "[1]", '{"id": 1, "question": 2}'])
def test_a_bad_line_of_a_questions_file_is_named(tmp_path, line):
    file = tmp_path / "mine.jsonl"
    good = {"id": "a", "question": "b?", "paraphrases": [], "answers": ["c"]}
    file.write_text(json.dumps(good) + "\n" + line + "\n")
    with pytest.raises(ValueError, match=r"mine\.jsonl, line 2: expected an object with id"):
        read_questions(file)


def test_a_questions_file_with_nothing_in_it_is_an_error(tmp_path):
    file = tmp_path / "empty.jsonl"
    file.write_text("\n")
    with pytest.raises(ValueError, match="holds no question"):
        read_questions(file)


@pytest.mark.parametrize(
    ("metadata", "accepted"),
    [
        ({}, True),
        ({"finish_reason": "length"}, False),
        ({"finish_reason": "stop", "logprobs": {"content": [{"logprob": SURE - 0.1}]}}, False),
        ({"finish_reason": "stop", "logprobs": {"content": [{"logprob": SURE + 0.1}]}}, True),
    ],
)
def test_an_answer_is_accepted_when_no_token_was_a_guess(metadata, accepted):
    assert sure([], AIMessage("x", response_metadata=metadata)) is accepted

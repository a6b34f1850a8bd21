"""Will this answer do? Judges ready to use, a user's own, and how they combine."""

import asyncio
import json
import math
import threading
import time
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolCall
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.output_parsers import CommaSeparatedListOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel
from typing_extensions import TypedDict

from langchain_cachemux.meter import at_once, ready
from langchain_cachemux.route.asking import Agrees, Asks
from langchain_cachemux.route.judges import (
    Judge,
    Parses,
    Sure,
    Verdict,
    judge_of,
    log_probabilities,
    words,
)
from langchain_cachemux.types import Usage

ASKED = [HumanMessage("What is the capital of France?")]
PARIS = AIMessage("Paris")


class Says(BaseChatModel):
    """Says what it is told to, one after the other, and remembers how it was asked."""

    says: list[Any]
    asked: list[Any]
    temperature: float = 0.0
    seed: int | None = None
    name_: str = "says"

    def __init__(self, *says: Any, **fields: Any) -> None:
        super().__init__(says=says, asked=[], **fields)
        # model_copy is shallow: every copy of the model notes its questions in this list

    @property
    def _llm_type(self) -> str:
        return "says"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        said = self.says[len(self.asked) % len(self.says)]
        self.asked.append((messages, self.temperature, self.seed, threading.current_thread()))
        if isinstance(said, Exception):
            raise said
        if isinstance(said, float):
            time.sleep(said)
        message = AIMessage(
            str(said),
            usage_metadata={"input_tokens": 10, "output_tokens": 2, "total_tokens": 12},
            response_metadata={"model_name": self.name_},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def told(*logarithms, **more):
    content = [{"token": "x", "logprob": one} for one in logarithms]
    return AIMessage("x", response_metadata={"logprobs": {"content": content}, **more})


def both(judge, answer=PARIS, **kwargs):
    """The verdict with and without a loop, which must say the same."""
    said = judge.judge(ASKED, answer, **kwargs)
    again = asyncio.run(judge.ajudge(ASKED, answer, **kwargs))
    assert (said.ok, said.reason) == (again.ok, again.reason)
    assert len(said.usages) == len(again.usages)
    return said


def test_sure_accepts_when_the_least_sure_token_was_likely_enough():
    answer = told(math.log(0.9), math.log(0.4), math.log(0.99))
    assert both(Sure(0.4 - 1e-9), answer)
    assert not both(Sure(0.41), answer)
    assert "probability 0.4" in both(Sure(0.41), answer).reason


def test_sure_by_a_quantile_passes_over_the_tokens_below_it():
    answer = told(*map(math.log, (0.1, 0.5, 0.6, 0.7, 0.8)))
    assert not both(Sure(0.5), answer)
    assert both(Sure(0.5, quantile=0.25), answer)
    assert both(Sure(0.6, quantile=0.5), answer)
    assert not both(Sure(0.61, quantile=0.5), answer)


def test_sure_is_not_sure_without_log_probabilities():
    assert both(Sure(1e-9)) == Verdict(ok=False, reason="no log-probabilities came with the answer")


@pytest.mark.parametrize("reason", ["length", "max_tokens", "content_filter", "SAFETY", "error"])
def test_sure_does_not_accept_an_answer_that_was_cut_off(reason):
    assert not both(Sure(0.1), told(0.0, finish_reason=reason))


@pytest.mark.parametrize("reason", ["stop", "STOP", "end_turn", "tool_calls", "FinishReason.STOP"])
def test_sure_accepts_an_answer_that_ended_by_itself(reason):
    assert both(Sure(0.1), told(0.0, finish_reason=reason))


@pytest.mark.parametrize(
    "metadata",
    [
        {"logprobs": {"content": [{"token": "a", "logprob": -1.5}]}},
        {"logprobs": [{"token": "a", "logprob": -1.5}]},
        {"logprobs": {"token_logprobs": [None, -1.5], "tokens": ["", "a"]}},
        {"logprobs_result": [{"token": "a", "logprob": -1.5}]},
        {"logprobs_result": {"chosen_candidates": [{"token": "a", "log_probability": -1.5}]}},
    ],
)
def test_log_probabilities_are_read_in_every_providers_form(metadata):
    assert log_probabilities(AIMessage("a", response_metadata=metadata)) == [-1.5]


@pytest.mark.parametrize("metadata", [{}, {"logprobs": None}, {"logprobs": {"content": None}}])
def test_log_probabilities_of_an_answer_without_them_are_none(metadata):
    assert log_probabilities(AIMessage("a", response_metadata=metadata)) == []


def test_agrees_asks_until_enough_answers_agree_and_charges_each():
    model = Says("It is Paris.", "Paris!", "Rome")
    verdict = Agrees(3).judge(ASKED, PARIS, model=model)
    assert verdict.ok
    assert len(model.asked) == 2
    assert [(u.model, u.input_tokens, u.output_tokens) for u in verdict.usages] == [
        ("says", 10, 2)
    ] * 2
    assert all(messages == ASKED for messages, *_ in model.asked)


def test_agrees_stops_asking_when_too_few_can_agree_any_more():
    model = Says("Rome", "Paris", "Paris", "Paris")
    verdict = Agrees(5).judge(ASKED, PARIS, model=model)
    assert (verdict.ok, len(model.asked), len(verdict.usages)) == (False, 1, 1)
    model = Says("Rome", "Paris", "Paris", "Paris")
    verdict = Agrees(5, least=3).judge(ASKED, PARIS, model=model)
    assert (verdict.ok, len(model.asked)) == (True, 3)


def test_agrees_asks_at_a_temperature_and_each_time_with_another_seed():
    model = Says("Paris", temperature=0.0, seed=7)
    assert both(Agrees(3, temperature=0.5), model=model)
    assert [asked[1] for asked in model.asked] == [0.5] * 4
    assert [asked[2] for asked in model.asked] == [1, 2, 1, 2]
    assert (model.temperature, model.seed) == (0.0, 7)
    Agrees(2, temperature=None).judge(ASKED, PARIS, model=model)
    assert model.asked[-1][1:3] == (0.0, 7)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: model.bind(stop=["x"]),
        lambda model: model.bind(temperature=0.0),
        lambda model: model.with_fallbacks([Says("Paris")]),
        lambda model: model.with_retry(),
        lambda model: model.with_config(tags=["x"]),
        lambda model: RunnableLambda(list) | model,
    ],
)
def test_agrees_finds_the_chat_model_in_what_was_built_around_it(wrap):
    model = Says("Paris")
    assert both(Agrees(2, temperature=0.5), model=wrap(model))
    assert [asked[1] for asked in model.asked] == [0.5] * 2


def test_agrees_does_not_take_a_model_that_repeats_itself_for_one_that_agrees():
    verdict = both(Agrees(2), model=RunnableLambda(lambda _: PARIS))
    assert not verdict
    assert "cannot set the temperature of RunnableLambda" in verdict.reason
    assert both(Agrees(2, temperature=None), model=RunnableLambda(lambda _: PARIS))


def test_agrees_without_a_model_to_ask_accepts_nothing_and_says_so():
    assert "told of none" in both(Agrees(2)).reason


def test_agrees_compares_by_what_the_user_calls_the_same():
    assert both(Agrees(2, same=lambda a, b: a[0] == b[0]), model=Says("Pisa"))
    assert not both(Agrees(2, same=lambda a, b: False), model=Says("Paris"))


def test_what_was_consumed_before_a_model_failed_is_charged():
    verdict = Agrees(3).judge(ASKED, PARIS, model=Says("Paris", ConnectionError("down")))
    assert (verdict.ok, len(verdict.usages)) == (False, 1)
    assert "down" in verdict.reason


def test_asks_reads_the_first_word_of_the_reply():
    for reply, ok in (("Yes.", True), ("**yes**, it is", True), ("No", False), ("", False)):
        assert both(Asks(Says(reply))).ok is ok
    assert not both(Asks(Says("yesterday")))
    assert both(Asks(Says("ja"), prompt="Gut? {answer}", yes="Ja"))


def test_asks_shows_the_conversation_and_the_answer_braces_and_all():
    model = Says("yes")
    verdict = Asks(model).judge([HumanMessage("What is {x}?")], AIMessage("{y}"))
    (prompt,) = model.asked[0][0]
    assert "What is {x}?" in prompt.text
    assert "{y}" in prompt.text
    assert [usage.model for usage in verdict.usages] == ["says"]


def test_a_judge_that_waits_too_long_for_a_model_accepts_nothing_and_its_prompt_is_charged():
    class Hanging(Says):
        def _generate(self, *args, **kwargs):
            go_on.wait(30)
            return super()._generate(*args, **kwargs)

    class Late(Asks):
        async def ajudge(self, *args, **kwargs):
            verdict = await super().ajudge(*args, **kwargs)
            go_on.set()  # a loop ends when its threads do
            return verdict

    go_on, started = threading.Event(), time.monotonic()
    verdict = both(Late(Hanging("yes"), timeout=0.05, prompt="Is it right? {answer}"))
    assert time.monotonic() - started < 15
    assert (verdict.ok, verdict.judged) == (False, False)
    (usage,) = verdict.usages
    asked = count_tokens_approximately([HumanMessage("Is it right? Paris")])
    assert (usage.input_tokens, usage.output_tokens) == (asked, 0)
    assert 0.05 <= usage.seconds < 15


def test_of_a_judge_that_fails_what_its_models_consumed_is_charged_but_for_those_that_raised():
    answers, raises, hangs = Says("yes"), Says(ConnectionError("down")), Says(0.5)

    async def impatient(messages, answer):
        await answers.ainvoke(messages)
        with suppress(ConnectionError):
            await raises.ainvoke(messages)
        return await asyncio.wait_for(hangs.ainvoke(messages), 0.05)

    verdict = both(judge_of(impatient))
    assert (verdict.ok, verdict.judged) == (False, False)
    assert [usage.output_tokens for usage in verdict.usages] == [2, 0]


@pytest.mark.parametrize("first", [True, False, None])
@pytest.mark.parametrize("second", [True, False, None])
def test_a_pair_has_judged_where_what_it_says_would_be_said_whatever_failed(first, second):
    left, right = Counted(first), Counted(second)
    assert both(left & right).judged is (first is False or None not in (first, second))
    either = both(left | right)
    assert either.judged is (either.ok or None not in (first, second))


def test_the_callers_callbacks_count_what_judging_consumed_and_those_that_show_hear_nothing():
    class Counts(BaseCallbackHandler):
        runs = 0

        def on_chat_model_start(self, *args, **kwargs):
            self.runs += 1

    class Shows(Counts):
        def tap_output_iter(self, run_id, output):
            return output

        tap_output_aiter = tap_output_iter

    def heard(judge):
        counts, shows, model = Counts(), Shows(), Says("Paris")
        step = RunnableLambda(lambda _: judge.judge(ASKED, PARIS, model=model).ok)
        step.invoke("x", {"callbacks": [counts, shows]})
        return counts.runs, shows.runs

    own = Says("Paris")
    assert heard(Agrees(2)) == (1, 0)
    assert heard(judge_of(lambda asked, _: own.invoke(asked).text == "Paris") & Agrees(2)) == (2, 0)


@pytest.mark.parametrize(
    ("text", "ok"),
    [('{"a": 1}', True), ("```json\n[1, 2]\n```", True), ('{"a": 1', False), ("Paris", False)],
)
def test_parses_by_default_accepts_any_whole_json(text, ok):
    assert both(Parses(), AIMessage(text)).ok is ok


class Town(BaseModel):
    name: str
    people: int


class Place(TypedDict):
    name: str


def test_parses_accepts_what_is_of_the_type():
    good, bad = AIMessage('{"name": "Rome", "people": 3}'), AIMessage('{"name": "Rome"}')
    for form in (Town, PydanticOutputParser(pydantic_object=Town)):
        assert both(Parses(form), good)
        assert not both(Parses(form), bad)
    assert both(Parses(Place), bad)
    assert not both(Parses(list[int]), good)
    assert both(Parses(CommaSeparatedListOutputParser()), AIMessage("a, b"))


def test_parses_reads_the_arguments_of_the_tools_that_are_called():
    def calls(**args):
        return AIMessage("", tool_calls=[ToolCall(name="town", args=args, id="1")])

    assert both(Parses(Town), calls(name="Rome", people=3))
    assert not both(Parses(Town), calls(name="Rome"))


async def approves(messages, answer):
    await asyncio.sleep(0)
    return True


async def refuses(messages, answer):
    await asyncio.sleep(0)
    return False


@pytest.mark.parametrize(
    ("accept", "ok"),
    [
        (lambda messages, answer: True, True),
        (lambda messages, answer: None, False),
        (approves, True),
        (refuses, False),
        (lambda *asked: refuses(*asked), False),  # noqa: PLW0108
        (lambda *asked: approves(*asked), True),  # noqa: PLW0108
        (RunnableLambda(lambda asked: asked["answer"].text == "Paris"), True),
        (RunnableLambda(lambda asked: asked["messages"] == []), False),
        (lambda messages, answer: Verdict(ok=False), False),
    ],
)
def test_a_users_judge_is_called_awaited_or_invoked_with_and_without_a_loop(accept, ok):
    assert both(judge_of(accept)).ok is ok

    async def within():
        return judge_of(accept).judge(ASKED, PARIS).ok

    assert asyncio.run(within()) is ok


def test_an_async_judge_keeps_its_loop_from_one_answer_to_the_next():
    loops = []

    async def notes(messages, answer):
        loops.append(asyncio.get_running_loop())
        return True

    async def asks(messages, answer):
        return judge_of(notes).judge(messages, answer).ok

    for _ in range(2):
        assert judge_of(notes).judge(ASKED, PARIS)
    assert loops[0] is loops[1]
    assert judge_of(asks).judge(
        ASKED, PARIS
    )  # within that very loop, yet it does not wait for itself


class Grade(BaseModel):
    good: bool


@pytest.mark.parametrize(
    "said",
    ["no", 0.3, np.float32(0.3), AIMessage("no"), {"good": False}, Grade(good=False)],
    ids=lambda said: type(said).__name__,
)
def test_what_is_neither_yes_nor_no_is_an_error_and_never_a_yes(said):
    with pytest.raises(TypeError, match="accept must say True or False"):
        judge_of(lambda messages, answer: said).judge(ASKED, PARIS)
    with pytest.raises(TypeError, match="accept must say True or False"):
        Verdict(said)
    assert not (judge_of(lambda messages, answer: said) | Sure()).judge(ASKED, PARIS)


@pytest.mark.parametrize("yes", [True, False])
@pytest.mark.parametrize("kind", [bool, int, np.bool_, np.int64])
def test_a_truth_value_of_any_kind_decides_alike_alone_and_combined(kind, yes):
    class Own(Judge):
        def judge(self, conversation, answer, *, model=None):
            return kind(yes)

    said = Verdict(kind(yes))
    assert said.ok is yes
    for judge in (judge_of(lambda *_: kind(yes)), judge_of(lambda *_: said), Own()):
        assert both(judge | Counted(ok=False)).ok is yes
        assert both(judge & Counted(ok=True)).ok is yes
        assert judge(ASKED, PARIS) is yes


def test_a_judge_that_returns_nothing_accepts_nothing():
    class Forgetful(Judge):
        def judge(self, conversation, answer, *, model=None):
            pass

    assert not both(Forgetful() | Counted(ok=False))
    assert not both(Forgetful() & Counted(ok=True))


def test_what_a_users_judge_asks_of_models_is_charged():
    model = Says("yes")
    for accept in (
        lambda messages, answer: model.invoke(messages).text == "yes",
        RunnableLambda(lambda asked: asked["messages"]) | model | RunnableLambda(lambda m: True),
    ):
        verdict = both(judge_of(accept))
        assert [usage.output_tokens for usage in verdict.usages] == [2]


def test_a_verdict_with_its_own_usages_is_believed():
    verdict = Verdict(ok=True, usages=(Usage(7),))
    assert both(judge_of(lambda messages, answer: verdict)) == verdict


@pytest.mark.parametrize("accept", [3, "yes", None, Sure, {"a": 1}, lambda answer: True, len])
def test_what_is_no_judge_is_refused_by_name_value_and_remedy(accept):
    with pytest.raises(ValueError, match=r"accept must be a judge such as Sure\(0.5\), .* got "):
        judge_of(accept)


class Counted(Judge):
    def __init__(self, ok):
        self.ok, self.asked = ok, 0

    def judge(self, conversation, answer, *, model=None):
        self.asked += 1
        if self.ok is None:
            message = "out of order"
            raise RuntimeError(message)
        return Verdict(self.ok, (Usage(1),))


@pytest.mark.parametrize("first", [True, False, None])
@pytest.mark.parametrize("second", [True, False, None])
def test_and_and_or_are_logic_where_a_failure_is_a_no_and_the_second_is_asked_when_it_matters(
    first, second
):
    left, right = Counted(first), Counted(second)
    verdict = both(left & right)
    assert verdict.ok is bool(first and second)
    assert right.asked == 2 * bool(first)
    assert len(verdict.usages) == (first is not None) + (bool(first) and second is not None)
    left, right = Counted(first), Counted(second)
    verdict = both(left | right)
    assert verdict.ok is bool(first or second)
    assert right.asked == 2 * (not first)


def test_plain_functions_combine_with_judges_on_either_side():
    assert both((lambda messages, answer: True) & Sure(0.1), told(0.0))
    assert not both(Sure(0.1) & (lambda messages, answer: False), told(0.0))
    assert both(refuses | Sure(0.1), told(0.0))
    with pytest.raises(ValueError, match="accept must be a judge"):
        _ = Sure() & 3


def test_a_judge_is_a_function_of_the_conversation_and_the_answer():
    assert Sure(0.5)(ASKED, told(0.0)) is True
    assert Sure(0.5)(ASKED, PARIS) is False


def test_judging_in_a_loop_does_not_hold_it_up():
    go_on = threading.Event()

    def slow(messages, answer):
        return go_on.wait(30)

    class Slow(Judge):
        def judge(self, conversation, answer, *, model=None):
            return Verdict(ok=go_on.wait(30))

    class Silent(Says):
        def _generate(self, *args, **kwargs):
            go_on.wait(30)
            return super()._generate(*args, **kwargs)

    async def ticks(judge):
        go_on.clear()
        task, count = asyncio.create_task(judge.ajudge(ASKED, PARIS)), 0
        while not task.done():
            await asyncio.sleep(0.01)
            count += 1
            if count == 5:
                go_on.set()
        assert (await task).ok
        return count

    for judge in (judge_of(slow), Slow(), Asks(Silent("yes"))):
        assert asyncio.run(ticks(judge)) >= 5


def test_without_a_loop_nothing_is_waited_for_that_only_a_loop_could_bring():
    async def sum_of(numbers):
        return sum(numbers)

    assert at_once(sum_of([1, 2])) == 3
    assert at_once(ready(max)(1, 2, key=abs)) == 2
    with pytest.raises(RuntimeError, match="waits for a loop"):
        at_once(asyncio.sleep(0))


@pytest.mark.parametrize("accept", [lambda m, a: time.sleep(2), lambda m, a: asyncio.sleep(9)])
def test_judging_may_be_given_up_half_way(accept):
    async def given_up():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(judge_of(accept).ajudge(ASKED, PARIS), 0.05)

    asyncio.run(given_up())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sure(0), r"least must be a probability in \(0, 1\], got 0"),
        (lambda: Sure(1.5), "least must be a probability"),
        (lambda: Sure(float("nan")), "least must be a probability"),
        (lambda: Sure(0.5, quantile=2), "quantile must be a share"),
        (lambda: Agrees(1), "n must be a whole number of answers, 2 or more, got 1"),
        (
            lambda: Agrees(2.5),  # type: ignore[arg-type]
            "n must be a whole number",
        ),
        (lambda: Agrees(3, least=4), "least must be from 2 to n = 3"),
        (lambda: Agrees(3, least=1), "least must be from 2 to n = 3"),
        (lambda: Agrees(3, temperature=0), "temperature must be above 0, .*, got 0"),
        (lambda: Agrees(3, timeout=0), "timeout must be a positive number of seconds"),
        (
            lambda: Asks(3),  # type: ignore[arg-type]
            "model must be a chat model, a Runnable or 'provider:model', got 3",
        ),
        (
            lambda: Asks(Says("yes"), prompt="Good?"),
            "prompt must be a text with the place {answer}",
        ),
        (lambda: Parses(3), "form must be a type or an output parser, .*, got 3"),
        (lambda: Parses({"type": "object"}), "form must be a type or an output parser"),
        (lambda: Parses({}), "form must be a type or an output parser"),
        (lambda: Parses("Answer"), "form must be a type or an output parser"),
        (lambda: Parses(json.loads), "form must be a type or an output parser"),
        (lambda: Parses(None), "form must be a type or an output parser"),
        (lambda: Asks(Says("yes"), yes="very good"), "yes must be one word, .*, got 'very good'"),
        (lambda: Asks(" "), "model must be a chat model, a Runnable or 'provider:model', got ' '"),
    ],
)
def test_a_wrong_argument_is_refused_by_name_and_value(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_words_of_an_answer_are_its_text_or_what_it_calls():
    call = ToolCall(name="f", args={"b": 1, "a": 2}, id="id-1")
    other = ToolCall(name="f", args={"a": 2, "b": 1}, id="id-2")
    left, right = AIMessage("", tool_calls=[call]), AIMessage("so", tool_calls=[other])
    assert words(left) == words(right) == '[{"args": {"a": 2, "b": 1}, "name": "f"}]'
    assert words({"raw": PARIS, "parsed": None, "parsing_error": None}) == words(PARIS) == "Paris"

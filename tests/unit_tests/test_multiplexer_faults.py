"""`MultiplexedLLM` where something is amiss: models that raise or cannot, and what others thought."""

import asyncio
import gc
import re
import threading
import time
from itertools import pairwise
from typing import Any

import pytest
from fakes import (
    QUESTION,
    Fake,
    Fixed,
    Slow,
    Streaming,
    Words,
    every_stream,
    every_way,
    learned,
    lec,
    multiplexed,
    price,
    routed,
    told,
    untaught,
)
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import ConfigurableField

from langchain_cachemux import Asks, ErrorBudget, MultiplexedLLM, Router, Spending
from langchain_cachemux.experience import Experience
from langchain_cachemux.route.classifiers import UNTRIED
from langchain_cachemux.route.costs import Costs
from langchain_cachemux.route.judges import Judge
from langchain_cachemux.route.limits import Limits
from langchain_cachemux.types import Query

DOWN = ConnectionError("429 too many requests")
IMAGE = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}
AUDIO = {"type": "audio", "base64": "aGk=", "mime_type": "audio/wav"}
CALL = {"name": "add", "args": {"a": 1}, "id": "call_1", "type": "tool_call"}
PAUSE = 60.0


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Profiled(Fake):
    """Has a profile, as LangChain's models have."""

    profile: Any = None


class Switch:
    """What a model says, or the error it raises while it is down."""

    def __init__(self, says="Paris it is", *, down=True):
        self.says, self.down = says, down

    def __call__(self, messages):
        return DOWN if self.down else self.says


def timed(small, large, **kwargs):
    """A multiplexer that tells the time by a clock of the test's."""
    clock = Clock()
    names = ("small", "large")
    router = Router({n: Fixed(p) for p, n in enumerate(names)}, clock=clock, half_life=PAUSE)
    mux = multiplexed(small, large, router=router, **kwargs)
    mux.experience.limits = Limits(clock=clock)
    return clock, mux


# N: a model that raises


@every_way
@pytest.mark.parametrize("default", [False, True], ids=["router of costs", "default router"])
def test_of_a_small_model_that_is_always_out_the_caller_sees_no_error(ask, default):
    small, large = Streaming(model="small", says=DOWN), Streaming(model="large")
    parts = {"router": None, "accept": lambda *_: True} if default else {}
    mux = multiplexed(small, large, **parts)
    answers = [ask(mux, f"question {n}") for n in range(20)]
    assert {told(answer)["model"] for answer in answers} == {"large"}
    assert len(small.calls) == 1  # and is not asked again for the time being
    assert mux.stats().errors == {"small": 1}


@pytest.mark.parametrize("known", [False, True], ids=["never answered", "answered before"])
def test_a_model_that_was_out_is_tried_again_when_that_has_faded(known):
    switch = Switch(down=not known)
    small = Fake(model="small", says=switch)
    clock, mux = timed(small, Fake(model="large"))
    if known:
        assert told(mux.invoke("first"))["model"] == "small"
        switch.down = True
    for n in range(5):
        assert told(mux.invoke(f"during {n}"))["model"] == "large"
    switch.down, before = False, len(small.calls)
    clock.now += PAUSE / 2
    assert told(mux.invoke("during that still"))["model"] == "large"
    assert len(small.calls) == before
    clock.now += 20 * PAUSE
    assert told(mux.invoke("later"))["model"] == "small"
    assert told(mux.invoke("and on"))["model"] == "small"


def test_while_it_stays_out_it_is_asked_ever_more_rarely():
    small = Fake(model="small", says=DOWN)
    clock, mux = timed(small, Fake(model="large"))
    for _ in range(600):
        mux.invoke("a question")
        clock.now += 6.0
    assert 4 <= len(small.calls) <= 7  # in an hour: after 1, 2, 4, … minutes


@every_way
def test_the_large_model_down_after_the_judge_turned_the_small_answer_down(ask, caplog):
    small, large = Streaming(model="small"), Streaming(model="large", says=DOWN)
    mux = multiplexed(small, large, accept=lambda *_: False, cache=lec())
    answers = [ask(mux, f"question {n}") for n in range(10)]
    assert told(answers[0])["accepted"] is False
    for answer in answers:
        assert (answer.content, told(answer)["model"]) == ("Paris it is", "small")
        assert told(answer)["cost"] == 1.0
    assert "model 'large' raised ConnectionError" in caplog.text
    assert learned(mux) == {"small": [1.0] * 10, "large": []}
    assert mux.cache.stats().entries == 0


@every_way
def test_when_both_are_down_the_last_error_is_raised_and_neither_is_blamed(ask):
    small, large = (Switch() for _ in range(2))
    mux = multiplexed(Fake(model="small", says=small), Fake(model="large", says=large), cache=lec())
    for _ in range(3):
        with pytest.raises(ConnectionError, match="429"):
            ask(mux, QUESTION)
    assert untaught(mux)
    assert mux.stats().errors == {"small": 3, "large": 3}
    small.down = large.down = False
    assert told(ask(mux, QUESTION))["model"] == "small"


def test_one_request_that_every_model_refuses_costs_the_others_nothing():
    def says(messages):
        return ValueError("400 invalid tool") if "bad" in messages[-1].text else "Paris"

    mux = multiplexed(Fake(model="small", says=says), Fake(model="large", says=says))
    assert told(mux.invoke("good"))["model"] == "small"
    with pytest.raises(ValueError, match="400"):
        mux.invoke("a bad one")
    assert told(mux.invoke("good again"))["model"] == "small"


def test_a_model_that_is_doubted_is_asked_when_nobody_else_answers():
    small, large = Switch(), Switch(down=False)
    clock, mux = timed(Fake(model="small", says=small), Fake(model="large", says=large))
    mux.invoke("first")
    small.down, large.down = False, True
    answer = mux.invoke("second")
    assert told(answer)["model"] == "small"
    assert clock.now == 0.0


@every_way
def test_an_answer_had_for_want_of_a_better_is_given_and_not_stored(ask):
    small, large = Streaming(model="small", says="Lyon"), Switch()
    mux = multiplexed(
        small,
        Streaming(model="large", says=large),
        router=routed("large", "small"),
        cache=InMemoryCache(),
    )
    assert ask(mux, QUESTION).content == "Lyon"
    assert not mux.cache._cache
    large.down = False
    mux.experience.limits.answered("large", mux_needs(mux))
    assert told(ask(mux, QUESTION))["model"] == "large"
    assert len(mux.cache._cache) == 1


def mux_needs(mux):
    return mux.needs([HumanMessage(QUESTION)], {})


def test_who_is_asked_next_is_whom_the_router_expects_to_cost_least():
    models = {name: Fake(model=name, says=name) for name in ("small", "medium", "large")}
    router = Router({name: Costs() for name in models})
    mux = MultiplexedLLM(
        models=models,
        router=router,
        accept=lambda _, answer: answer.text == "large",
        price=lambda usage: {"small": 1.0, "medium": 9.0, "large": 10.0}[usage.model],
        embeddings=Words(),
    )
    for n in range(60):
        mux.invoke(f"is {n} hard?")
    for model in models.values():
        model.calls.clear()
    answer = mux.invoke("is 61 hard?")
    assert told(answer)["model"] == "large"
    assert not models["medium"].calls  # it never does, so to ask it on the way is money lost


# A stream that fails


class Cut(Streaming):
    """Breaks off after so many words."""

    after: int = 1

    def _stream(self, *args, **kwargs):
        for place, chunk in enumerate(super()._stream(*args, **kwargs)):
            if place == self.after:
                raise DOWN
            yield chunk


@every_stream
def test_a_stream_that_fails_before_its_first_chunk_is_another_models(chunks_of):
    mux = multiplexed(Cut(model="small", after=0), Streaming(model="large", says="It is Paris"))
    chunks = chunks_of(mux, QUESTION)
    assert "".join(chunk.text for chunk in chunks) == "It is Paris"
    assert told(chunks[-1])["model"] == "large"


@every_stream
def test_a_stream_that_fails_after_it_was_shown_raises_and_the_next_call_is_another_models(
    chunks_of,
):
    mux = multiplexed(Cut(model="small"), Streaming(model="large"), cache=lec())
    with pytest.raises(ConnectionError):
        chunks_of(mux, QUESTION)
    assert untaught(mux)
    assert told(chunks_of(mux, QUESTION)[-1])["model"] == "large"


@every_stream
def test_what_was_paid_before_a_stream_broke_off_is_learned(chunks_of):
    spending = Spending(100.0)
    mux = multiplexed(large=Cut(model="large"), accept=lambda *_: False, budget=spending)
    with pytest.raises(ConnectionError):
        chunks_of(mux, QUESTION)
    assert learned(mux) == {"small": [1.0], "large": []}
    assert spending.spent == 1.0 + 10.0  # and what was shown of the large one's


def a_token(usage):
    return float(usage.output_tokens)


@every_stream
def test_of_a_stream_that_breaks_off_what_was_shown_is_paid_for(chunks_of):
    small = Cut(model="small", says="one two three four five")
    mux = multiplexed(small, price=a_token, budget=Spending(100.0), cache=lec())
    with pytest.raises(ConnectionError):
        chunks_of(mux, QUESTION)
    part = count_tokens_approximately([AIMessage("one ")])
    assert mux.spending.spent == mux.stats().cost == part
    assert (mux.stats().errors, mux.stats().calls) == ({"small": 1}, {})
    assert untaught(mux)


LEFT = {
    "stream": lambda mux: next(mux.stream(QUESTION)),
    "astream": lambda mux: asyncio.run(anext(mux.astream(QUESTION))),
}


@pytest.mark.parametrize("leave", LEFT.values(), ids=LEFT)
def test_a_stream_that_is_not_read_to_its_end_is_paid_for_as_far_as_it_was(leave):
    small = Streaming(model="small", says="one two three four five")
    mux = multiplexed(small, price=a_token, budget=Spending(100.0), cache=lec())
    shown = leave(mux)
    gc.collect()
    assert mux.spending.spent == count_tokens_approximately([AIMessage(shown.text)])
    assert mux.stats().errors == {}
    assert untaught(mux)


@pytest.mark.parametrize("leave", LEFT.values(), ids=LEFT)
def test_what_was_paid_before_the_caller_left_is_learned(leave):
    mux = multiplexed(accept=lambda *_: False, budget=Spending(100.0))
    leave(mux)
    gc.collect()
    assert learned(mux) == {"small": [1.0], "large": []}
    assert mux.spending.spent == 1.0 + 10.0
    assert mux.router.out("large") is False


async def cancelled(mux, begun):
    """Ask, and leave as soon as something has begun."""
    call = asyncio.create_task(mux.ainvoke(QUESTION))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_what_was_paid_before_a_call_is_cancelled_that_is_being_judged_is_learned():
    async def ponders(messages, answer):
        begun.set()
        await asyncio.sleep(60)

    begun = asyncio.Event()
    mux = multiplexed(accept=ponders, budget=Spending(100.0), cache=lec())
    await cancelled(mux, begun)
    assert learned(mux) == {"small": [1.0], "large": []}
    assert mux.spending.spent == mux.stats().cost == 1.0


async def test_nobody_waits_for_an_answer_that_could_not_be_paid():
    def torn(usage):
        if usage.input_tokens == 1:  # as it is asked when a multiplexer is made
            return 1.0
        raise OverflowError

    mux = multiplexed(Slow(model="small", seconds=0.1), price=torn, cache=lec())

    async def waits():
        began = time.monotonic()
        with pytest.raises(OverflowError):
            await mux.ainvoke(QUESTION)
        return time.monotonic() - began

    leader = asyncio.create_task(waits())
    await asyncio.sleep(0.05)
    others = await asyncio.gather(waits(), waits())
    assert max(await leader, *others) < 5


async def test_a_call_that_is_cancelled_teaches_nothing_of_the_model_that_was_asked():
    class Endless(Fake):
        async def _agenerate(self, *args, **kwargs):
            begun.set()
            await asyncio.sleep(60)

    begun = asyncio.Event()
    mux = multiplexed(large=Endless(model="large"), accept=lambda *_: False, cache=lec())
    await cancelled(mux, begun)
    assert learned(mux) == {"small": [1.0], "large": []}
    assert mux.stats().errors == {}
    assert mux.router.out("large") is False


# Judges of all kinds


def test_a_judge_of_ones_own_may_say_true_or_false():
    class Own(Judge):
        def judge(self, conversation, answer, *, model=None):
            return answer.text == "Paris it is"

    mux = multiplexed(accept=Own())
    assert told(mux.invoke(QUESTION))["accepted"] is True
    assert learned(mux) == {"small": [1.0], "large": []}


def test_a_judges_model_is_billed_by_its_own_name_though_its_answer_names_none():
    class Nameless(Fake):
        def _answer(self, messages, kwargs):
            return super()._answer(messages, kwargs).model_copy(update={"response_metadata": {}})

    mux = multiplexed(accept=Asks(Nameless(model="large", says="yes")))
    answer = told(mux.invoke(QUESTION))
    assert (answer["model"], answer["cost"]) == ("small", 1.0 + 10.0)


@every_way
def test_a_judge_that_is_out_of_time_is_paid_and_teaches_nothing_of_the_answer(ask):
    def tokens(usage):
        return usage.input_tokens + 100.0 * usage.output_tokens

    judge = Asks(Slow(model="large", seconds=5.0), timeout=0.5, prompt="Right? {answer}")
    names = ("small", "large")
    models = Router({name: Costs() for name in names}, strategy="cascade")
    mux = multiplexed(router=models, accept=judge, price=tokens)
    prompt = count_tokens_approximately([HumanMessage("Right? Paris it is")])
    answer, stats = told(ask(mux, QUESTION)), mux.stats()
    assert (answer["model"], answer["accepted"]) == ("large", None)
    assert answer["cost"] == stats.cost == 2 * 307.0 + prompt
    assert stats.cost_of_judging == prompt
    assert stats.turned_down == 0
    assert mux.router.estimators["small"].fails.predict(Query("any")) == UNTRIED


# What a model cannot do


LONG = [HumanMessage("word " * 1000)]
PICTURE = [HumanMessage([{"type": "text", "text": "What is it?"}, IMAGE])]
SOUND = [HumanMessage([{"type": "text", "text": "What is it?"}, AUDIO])]


@every_way
@pytest.mark.parametrize(
    ("profile", "question", "why"),
    [
        ({"max_input_tokens": 500}, LONG, r"not small: about \d+ tokens, and it reads 500"),
        ({"image_inputs": False}, PICTURE, "not small: it does not take image"),
        ({"audio_inputs": False}, SOUND, "not small: it does not take audio"),
    ],
)
def test_what_its_profile_excludes_a_model_is_never_asked(ask, profile, question, why):
    small = Profiled(model="small", profile=profile)
    answer = ask(multiplexed(small, Profiled(model="large", profile={})), question)
    assert told(answer)["model"] == "large"
    assert re.search(why, told(answer)["reason"])
    assert not small.calls


@every_way
@pytest.mark.parametrize("question", [LONG, PICTURE, SOUND], ids=["long", "picture", "sound"])
def test_what_a_model_cannot_do_is_learned_from_its_errors_and_what_it_can_goes_on(ask, question):
    def says(messages):
        return "Paris" if messages[-1].content == QUESTION else ValueError("400 not supported")

    small = Fake(model="small", says=says)
    mux = multiplexed(small)
    ask(mux, QUESTION)
    for _ in range(10):
        assert told(ask(mux, question))["model"] == "large"
    assert len(small.calls) == 2
    answer = ask(mux, QUESTION)
    assert told(answer)["model"] == "small"


def test_tools_are_excluded_by_profile_and_learned():
    def add(a: int) -> int:
        """Add."""
        return a

    small = Profiled(model="small", profile={"tool_calling": False})
    assert told(multiplexed(small).bind_tools([add]).invoke(QUESTION))["model"] == "large"
    assert not small.calls
    switch = Switch()
    small = Profiled(model="small", says=switch)
    mux = multiplexed(small)
    with_tools = mux.bind_tools([add])
    for _ in range(5):
        assert told(with_tools.invoke(QUESTION))["model"] == "large"
    assert len(small.calls) == 1
    switch.down = False
    assert told(mux.invoke(QUESTION))["model"] == "small"  # without tools it is not known to fail


def test_where_no_model_can_by_its_profile_all_are_asked():
    models = [Profiled(model=name, profile={"image_inputs": False}) for name in ("small", "large")]
    assert told(multiplexed(*models).invoke(PICTURE))["model"] == "small"


# O: a fallback inside a model


@every_way
@pytest.mark.parametrize("router", ["costs", "default"])
def test_a_fallback_within_a_model_is_billed_as_the_model_that_answered(ask, router):
    small, large = Streaming(model="small", says=DOWN), Streaming(model="large")
    mux = multiplexed(
        small.with_fallbacks([large]),
        large,
        price=lambda usage: price(usage) * usage.output_tokens,
        **({} if router == "costs" else {"router": None, "accept": lambda *_: True}),
    )
    answer = ask(mux, QUESTION)
    assert (told(answer)["model"], told(answer)["cost"]) == ("small", 30.0)


# P: one conversation


HARD = "Prove the conjecture about the zeros"
EASY = "What is the capital of Norway"


def judged_by_the_hard_word():
    """Small fails wherever the conversation has a hard turn; half are."""
    return multiplexed(
        Fake(model="small"),
        Fake(model="large"),
        router=None,
        accept=lambda messages, _: not any("conjecture" in m.text for m in messages),
        price=lambda usage: {"small": 1.0, "large": 1.5}[usage.model],
    )


def turn(*words):
    """A conversation of which the models' turns tell nothing."""
    turns = [[HumanMessage(word), AIMessage("Yes?")] for word in words]
    return [message for pair in turns for message in pair][:-1]


def test_go_on_after_a_hard_turn_is_routed_like_the_hard_turn():
    mux = judged_by_the_hard_word()
    for n in range(80):
        mux.invoke(f"{HARD} of function {n}")
        mux.invoke(f"{EASY} in year {n}")
    for words in ("ok continue", "commit it"):
        assert told(mux.invoke(turn(f"{HARD} of function 99", words)))["route"] == "large"
        assert told(mux.invoke(turn(f"{EASY} in year 99", words)))["route"] == "small"


def test_a_conversation_does_not_alternate():
    mux = multiplexed(
        router=None, accept=lambda *_: True, price=lambda u: 1.0 + 0.001 * (u.model == "large")
    )
    for n in range(10):
        messages, asked = [], []
        for word in ("Hello", "go on", "and then?", "ok continue", "thanks"):
            messages.append(HumanMessage(f"{word} {n}"))
            answer = mux.invoke(messages)
            asked.append(told(answer)["route"])
            messages.append(answer)
        assert sum(a != b for a, b in pairwise(asked)) <= 1


def test_a_model_is_left_where_that_pays_for_reading_the_turns_again():
    mux = multiplexed(router=Router({"small": Fixed(1.0), "large": Fixed(1.5)}))
    earlier = [HumanMessage("word " * 100), mux.bind(stop=None).invoke("word"), HumanMessage("on")]
    spoken = earlier[1].model_copy(
        update={"response_metadata": {"cachemux": account("large", 10.0)}}
    )
    conversation = [earlier[0], spoken, earlier[2]]
    assert told(mux.invoke(conversation))["model"] == "large"
    cheap = spoken.model_copy(update={"response_metadata": {"cachemux": account("large", 0.1)}})
    assert told(mux.invoke([earlier[0], cheap, earlier[2]]))["model"] == "small"
    free = mux.model_copy(update={"stickiness": 0.0})
    assert told(free.invoke(conversation))["model"] == "small"


@pytest.mark.parametrize("cost", [0.0, 1e30, 1.7e308])
def test_no_history_that_a_caller_brings_breaks_the_call(cost):
    mux = multiplexed(stickiness=5.0)
    spoken = AIMessage("Hi", response_metadata={"cachemux": account("large", cost)})
    assert mux.invoke([HumanMessage("Hi"), spoken, HumanMessage("on")]).content == "Paris it is"


def account(model, cost):
    return {
        "id": "1",
        "model": model,
        "route": model,
        "reason": "",
        "escalated": False,
        "accepted": None,
        "estimates": {},
        "cost": cost,
        "seconds": 0.0,
    }


# Q: signed thoughts


THOUGHT = AIMessage(
    [
        {"type": "thinking", "thinking": "Let me see", "signature": "c2lnbmVk"},
        {"type": "text", "text": "I shall add."},
        {"type": "tool_use", "id": "call_1", "name": "add", "input": {"a": 1}},
    ],
    tool_calls=[CALL],
)


def fussy(name):
    """Refuses thoughts that are not its own, and a turn of tool calls from which they are missing."""

    def says(messages):
        for message in messages:
            if isinstance(message, AIMessage) and "c2lnbmVk" in str(message.content):
                if told(message)["model"] != name:
                    return ValueError("400 Invalid signature in thinking block")
            elif isinstance(message, AIMessage) and isinstance(messages[-1], ToolMessage):
                return ValueError("400 Expected thinking, but found text")
        return THOUGHT if len(messages) == 1 else "It is 2"

    return Fake(model=name, says=says)


@every_way
@pytest.mark.parametrize("first", ["small", "large"])
def test_thoughts_go_back_to_their_author_and_nobody_elses_are_shown(ask, first):
    other = {"small": "large", "large": "small"}[first]
    small, large = fussy("small"), fussy("large")
    one = multiplexed(small, large, router=routed(first, other), stickiness=0.0)
    switched = multiplexed(small, large, router=routed(other, first), stickiness=0.0)
    called = ask(one, "1 + 1?")
    history = [HumanMessage("1 + 1?"), called, ToolMessage("2", tool_call_id="call_1")]
    answer = ask(switched, history)
    assert told(answer)["model"] == first  # in the midst of its own tool calls
    later = [*history, answer, HumanMessage("Sure?")]
    assert told(ask(switched, later))["model"] == other
    assert told(ask(one, later))["model"] == first
    assert not {**one.stats().errors, **switched.stats().errors}
    assert "c2lnbmVk" in str(called.content)


def test_when_the_author_of_the_thoughts_is_down_another_goes_on_without_them():
    switch, large = Switch(THOUGHT, down=False), Fake(model="large")
    mux = multiplexed(Fake(model="small", says=switch), large)
    called = mux.invoke("1 + 1?")
    switch.down = True
    answer = mux.invoke([HumanMessage("1 + 1?"), called, ToolMessage("2", tool_call_id="call_1")])
    assert told(answer)["model"] == "large"
    assert "c2lnbmVk" not in str(large.calls[-1].messages)


# Faults in what it can do without


class Broken:
    """An estimator that raises."""

    def __init__(self, *methods):
        self.methods = methods

    def predict(self, x):
        if "predict" in self.methods:
            raise RuntimeError
        return Fixed(1.0).predict(x)

    def learn(self, x, cost):
        if "learn" in self.methods:
            raise RuntimeError


@every_way
@pytest.mark.parametrize("method", ["predict", "learn"])
def test_a_router_that_raises_breaks_no_call(ask, method, caplog):
    mux = multiplexed(router=Router({"small": Broken(method), "large": Fixed(5.0)}))
    answer = ask(mux, QUESTION)
    assert told(answer)["model"] == ("large" if method == "predict" else "small")
    assert ("routing failed" if method == "predict" else "learning failed") in caplog.text


def test_a_message_whose_needs_cannot_be_read_is_answered(caplog):
    odd = [HumanMessage([{"type": "image_url", "image_url": 5}])]
    assert multiplexed().invoke(odd).content == "Paris it is"


# Money


def test_when_nothing_is_left_to_spend_no_more_is_asked_than_must_be():
    spending = Spending(15.0)
    small, large = Fake(model="small"), Fake(model="large")
    mux = multiplexed(small, large, router=None, accept=lambda *_: False, budget=spending)
    for n in range(10):
        mux.invoke(f"question {n}")
    assert spending.left == 0.0
    assert len(large.calls) == 2  # of 11 each, until 15 were spent
    last = told(mux.invoke("one more"))
    assert last["model"] == "small"
    assert last["reason"].endswith("; all that may be spent is spent")


def test_a_strategy_beside_a_router_that_has_its_own_is_refused():
    with pytest.raises(ValueError, match="strategy was given as 'cascade', but the router"):
        multiplexed(strategy="cascade")


@pytest.mark.parametrize("strategy", ["route", "cascade", "auto"])
def test_a_strategy_says_whether_cheaper_answers_are_judged(strategy):
    judged = []
    mux = multiplexed(router=None, strategy=strategy, accept=lambda *args: judged.append(1) or True)
    routes = [told(mux.invoke(f"question {n}"))["route"] for n in range(5)]
    assert "small" in routes
    assert len(judged) == (0 if strategy == "route" else routes.count("small"))


# Copies and threads


def test_copies_share_what_is_learned_asked_and_spent():
    def add(a: int) -> int:
        """Add."""
        return a

    mux = multiplexed(router=None, accept=lambda *_: True, budget=Spending(1000.0))
    schema = {"title": "A", "description": "An a.", "type": "object", "properties": {}}
    copies = [
        mux.bind_tools([add]),
        mux.with_structured_output(schema),
        mux.configurable_fields(stickiness=ConfigurableField("stickiness")).with_config(
            configurable={"stickiness": 2.0}
        ),
        mux.with_config(tags=["a"]),
        mux.with_retry(),
    ]
    for n, copy in enumerate(copies):
        if n != 1:
            copy.invoke(f"question {n}")
    assert sum(mux.stats().calls.values()) == 4
    assert mux.spending.spent == mux.stats().cost > 0
    configured = copies[2].prepare({"configurable": {"stickiness": 2.0}})[0]
    assert configured.stickiness == 2.0
    for part in ("router", "experience", "background", "spending", "accept", "reader"):
        assert all(getattr(c, part) is getattr(mux, part) for c in (*copies[:2], configured)), part


def test_eight_threads_lose_no_call_cost_or_lesson():
    budget = ErrorBudget(0.2, seed=1)
    mux = multiplexed(router=None, accept=lambda *_: True, budget=budget, cache=lec(match=1.0))
    errors = []

    def work(name):
        try:
            for n in range(25):
                mux.feedback(mux.invoke(f"question {n} of {name}"), 1.0)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors
    assert mux.wait(30)
    stats = mux.stats()
    assert stats.feedback == 200
    assert sum(stats.answers.values()) == 200
    asked = sum(len(model.calls) for model in mux.models.values())
    assert sum(stats.calls.values()) + stats.audits == asked


async def test_many_at_once_on_one_loop_are_all_answered_and_learned():
    mux = multiplexed()
    answers = await asyncio.gather(*(mux.ainvoke(f"question {n}") for n in range(50)))
    assert len({told(answer)["id"] for answer in answers}) == 50
    assert learned(mux)["small"] == [1.0] * 50


def test_a_system_prompt_and_bound_parameters_survive_an_error_of_the_first_model():
    large = Fake(model="large")
    mux = multiplexed(Fake(model="small", says=DOWN), large)
    mux.bind(stop=["."]).invoke([SystemMessage("Be brief"), HumanMessage(QUESTION)])
    assert large.calls[0].kwargs["stop"] == ["."]
    assert large.calls[0].messages[0].content == "Be brief"


def test_a_budget_that_two_multiplexers_share_counts_for_both():
    budget = ErrorBudget(0.1)
    first, second = (multiplexed(router=None, budget=budget) for _ in range(2))
    first.invoke(QUESTION)
    assert first.budget is second.budget is budget
    assert Experience(budget).risk("cache") == pytest.approx(0.1)

"""Audits: what is compared, what is learned of it, and what the caller notices of it: nothing."""

import asyncio
import logging
import threading
from typing import Any

import pytest
from fakes import QUESTION, Events, Fake, Streaming, calling, every_way, multiplexed, told
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import ConfigurableField, RunnableLambda
from pydantic import BaseModel

from langchain_cachemux import ErrorBudget, Spending
from langchain_cachemux.audits import TYPICAL, Audits
from langchain_cachemux.read.answers import stated

SOON = 20.0


class Person(BaseModel):
    """A person."""

    name: str


class Gated(Fake):
    """Answers once it is let."""

    gate: threading.Event

    def _answer(self, messages, kwargs):
        assert self.gate.wait(SOON)
        return super()._answer(messages, kwargs)


def alone(small=None, large=None, **kwargs):
    """A multiplexer with no judge, which audits everything unless told otherwise."""
    kwargs = {"router": None, "seed": 1, **kwargs}
    return multiplexed(small or Fake(model="small"), large or Fake(model="large"), **kwargs)


def taught(mux):
    """What the router learned, from now on: (model, cost, failed)."""
    lessons, learn = [], mux.router.learn

    def noted(x, cost, route=None, *, failed=None):
        lessons.append((route, cost, failed))
        return learn(x, cost, route, failed=failed)

    mux.router.learn = noted
    return lessons


# What is compared


@every_way
@pytest.mark.parametrize(("says", "failed"), [("Paris it is", 0.0), ("Lyon", 1.0)])
def test_the_small_model_is_asked_beside_the_large_and_is_good_when_it_says_the_same(
    ask, says, failed
):
    mux = alone(Fake(model="small", says=says))
    lessons = taught(mux)
    answer = ask(mux, QUESTION)
    assert (told(answer)["model"], answer.content) == ("large", "Paris it is")
    assert mux.wait(SOON)
    assert lessons == [("large", 10.0, None), ("small", 1.0, None), ("small", None, failed)]
    assert told(answer)["cost"] == 10.0
    assert mux.stats().cost == 11.0
    assert mux.stats().cost_of_audits == 1.0


def test_of_tool_calls_the_names_and_arguments_are_compared_and_of_objects_their_fields():
    def tool(answer, **update):
        return stated(answer.model_copy(update=update))

    assert tool(calling("add", a=1, b=2)) == tool(calling("add", b=2, a=1), content="I shall add")
    assert tool(calling("add", a=1)) != tool(calling("add", a=2))
    assert stated(AIMessage("", additional_kwargs={"parsed": {"a": 1, "b": 2}})) == stated(
        AIMessage("Here", additional_kwargs={"parsed": {"b": 2, "a": 1}})
    )
    assert stated(AIMessage([{"type": "text", "text": "Paris"}])) == "Paris"


@pytest.mark.parametrize(
    ("small", "large", "failed"),
    [
        ({"name": "Ada"}, {"name": "Ada"}, [0.0]),
        ({"name": "Bob"}, {"name": "Ada"}, [1.0]),
        ({"nome": "Ada"}, {"name": "Ada"}, [1.0]),
        (OutputParserException("not JSON"), {"name": "Ada"}, [1.0]),
    ],
    ids=["the same", "another", "unparsed", "refused by its own client"],
)
def test_objects_are_compared(small, large, failed):
    small, large = (
        says if isinstance(says, Exception) else calling("Person", **says)
        for says in (small, large)
    )
    mux = alone(Fake(model="small", says=small), Fake(model="large", says=large))
    lessons = taught(mux)
    assert mux.with_structured_output(Person).invoke(QUESTION) == Person(name="Ada")
    assert mux.wait(SOON)
    assert [f for _, _, f in lessons if f is not None] == failed


def test_an_answer_of_the_large_model_that_is_no_object_is_compared_with_nothing():
    mux = alone(
        Fake(model="small", says=calling("Person", name="Ada")), Fake(model="large", says="")
    )
    lessons = taught(mux)
    assert mux.with_structured_output(Person).invoke(QUESTION) is None
    assert mux.wait(SOON)
    assert [f for _, _, f in lessons if f is not None] == []


def test_the_user_says_what_the_same_is():
    pairs = []

    def same(one, other):
        pairs.append((one, other))
        return True

    mux = alone(Fake(model="small", says="Lyon"), same=same)
    lessons = taught(mux)
    mux.invoke(QUESTION)
    assert mux.wait(SOON)
    assert pairs == [("Lyon", "Paris it is")]
    assert lessons[-1] == ("small", None, 0.0)


# How often


def test_the_share_falls_with_the_audits_made_and_is_the_users_at_the_thousandth():
    for made, share in ((0, 1.0), (TYPICAL - 1, 0.1), (4 * TYPICAL - 1, 0.05)):
        mux = alone(audit=0.1)
        for _ in range(made):
            mux.experience.count("audits", "small")
        audits = audits_of(mux)
        drawn = sum(audits.due() for _ in range(4000)) / 4000
        assert drawn == pytest.approx(share, abs=0.02)


def audits_of(mux, **config):
    return Audits(mux, [HumanMessage(QUESTION)], config, {})


def test_one_seed_draws_the_same_audits_again():
    drawn = []
    for _ in range(2):
        mux = alone(audit=0.01, seed=5)
        audits = audits_of(mux)
        drawn.append([audits.due() for _ in range(200)])
    assert drawn[0] == drawn[1]
    assert 0 < sum(drawn[0]) < 200


def test_at_a_share_of_0_and_when_nothing_is_left_to_spend_there_are_none():
    assert not audits_of(alone(audit=0.0)).due()
    spending = Spending(5.0)
    mux = alone(budget=spending)
    assert audits_of(mux).due()
    spending.pay(5.0)
    assert not audits_of(mux).due()


@pytest.mark.parametrize(("worse", "asked"), [(1.0, "large"), (0.0, "small")])
def test_where_an_error_has_a_price_audits_cease_once_it_is_plain_who_is_cheaper(worse, asked):
    small = Fake(model="small", says="Paris it is" if worse == 0 else "Lyon")
    mux = alone(small, error_price=50.0, audit=1.0, max_error=None)
    made = []
    for _ in range(5):
        for n in range(40):
            mux.invoke(f"question {n}")
            assert mux.wait(SOON)
        made.append(mux.stats().audits)
    assert mux.budget is None
    assert made[0] > 0
    assert made[-1] == made[-2] < 100
    assert told(mux.invoke("question 1"))["model"] == asked


def test_a_cheap_answer_that_nobody_judges_is_audited_too():
    mux = alone(Fake(model="small", says="Lyon"), error_price=50.0, audit=1.0, max_error=None)
    assert told(mux.invoke(QUESTION))["model"] == "small"  # it is tried first
    assert mux.wait(SOON)
    assert mux.stats().audits == 1
    assert mux.stats().cost_of_audits == 10.0


# What the caller notices: nothing


@every_way
def test_no_run_no_token_and_no_usage_of_an_audit_reaches_the_caller(ask):
    events, usage = Events(), UsageMetadataCallbackHandler()
    mux = alone(Streaming(model="small"), Streaming(model="large"))
    ask(mux.with_config(callbacks=[events, usage]), QUESTION)
    assert mux.wait(SOON)
    assert mux.stats().audits == 1
    assert events.started == ["large"]
    assert set(usage.usage_metadata) == {"large"}
    assert len(events.tokens) in (0, 3)


async def test_the_events_of_a_stream_tell_of_no_audit():
    mux = alone(Streaming(model="small"), Streaming(model="large"))
    names = [
        event["metadata"].get("ls_model_name")
        async for event in mux.astream_events(QUESTION, version="v2")
    ]
    assert await asyncio.to_thread(mux.wait, SOON)
    assert mux.stats().audits == 1
    assert "large" in names
    assert "small" not in names


@every_way
def test_nobody_waits_for_an_audit(ask):
    gate = threading.Event()
    mux = alone(Gated(model="small", gate=gate))
    try:
        for n in range(200):
            assert ask(mux, f"question {n}").content == "Paris it is"
        assert mux.wait(0.01) is False
        assert mux.stats().audits == 0
    finally:
        gate.set()
    assert mux.wait(SOON)
    assert 0 < mux.stats().audits <= 66  # two at work, 64 waiting


def test_audits_that_find_no_room_are_left_out_and_that_is_logged(caplog):
    gate = threading.Event()
    mux = alone(Gated(model="small", gate=gate))
    with caplog.at_level(logging.INFO):
        for n in range(70):
            mux.invoke(f"question {n}")
    gate.set()
    assert "an audit was left out" in caplog.text
    assert mux.wait(SOON)


@pytest.mark.parametrize("error", [ConnectionError("429"), ValueError("400")])
def test_a_model_that_raises_in_audits_is_survived_and_soon_left_alone(error, caplog):
    small = Fake(model="small", says=error)
    mux = alone(small)
    for n in range(30):
        assert mux.invoke(f"question {n:2}").content == "Paris it is"
        assert mux.wait(SOON)
    assert len(small.calls) == 1
    assert mux.stats().errors == {"small": 1}
    assert mux.stats().audits == 0
    assert "work in the background failed" in caplog.text


def test_a_model_that_answered_before_and_raises_in_audits_is_left_alone_while_it_is_out():
    class Once(Fake):
        def _answer(self, messages, kwargs):
            answer = super()._answer(messages, kwargs)
            if len(self.calls) > 1:
                raise ConnectionError
            return answer

    small = Once(model="small")
    mux = alone(small)
    for n in range(30):
        mux.invoke(f"question {n:2}")
        assert mux.wait(SOON)
    assert len(small.calls) == 2


class Awaited(Fake):
    def _generate(self, *args, **kwargs):
        raise NotImplementedError

    async def _agenerate(self, *args, **kwargs):
        return super()._generate(*args, **kwargs)


async def says(asked):
    return AIMessage("Paris it is")


@pytest.mark.parametrize("small", [Awaited(model="small"), RunnableLambda(says)])
def test_a_model_that_can_only_be_awaited_is_audited_all_the_same(small):
    models = {"small": small, "large": Fake(model="large")}
    mux = multiplexed(models=models, router=None, seed=1)
    lessons = taught(mux)
    asyncio.run(mux.ainvoke(QUESTION))
    assert mux.wait(SOON)
    assert lessons == [("large", 10.0, None), ("small", 1.0, None), ("small", None, 0.0)]
    assert mux.stats().errors == {}


def test_a_comparison_that_raises_is_survived(caplog):
    mux = alone(same=lambda *_: 1 / 0)
    assert mux.invoke(QUESTION).content == "Paris it is"
    assert mux.wait(SOON)
    assert "ZeroDivisionError" in caplog.text


# As the caller's models were asked


def test_an_audit_asks_with_the_parameters_the_configuration_and_the_tools_of_the_call():
    def add(a: int) -> int:
        """Add."""
        return a

    seen = []

    class Noting(Fake):
        def _answer(self, messages, kwargs):
            seen.append((self.temperature, kwargs.get("stop"), "tools" in kwargs))
            return super()._answer(messages, kwargs)

    noting = Noting(model="small").configurable_fields(temperature=ConfigurableField("heat"))
    mux = alone(noting)
    mux.invoke(QUESTION, {"configurable": {"heat": 0.7}}, stop=["."])
    assert mux.wait(SOON)
    assert seen == [(0.7, ["."], False)]
    bound = alone(Noting(model="small")).bind_tools([add])
    bound.invoke(QUESTION)
    assert bound.wait(SOON)
    assert seen[-1] == (0.0, None, True)


def test_an_audit_shows_no_model_the_thoughts_of_another():
    small = Fake(model="small")
    mux = alone(small)
    thought = AIMessage(
        [
            {"type": "thinking", "thinking": "…", "signature": "c2lnbmVk"},
            {"type": "text", "text": "1"},
        ],
        response_metadata={"model_name": "large"},
    )
    mux.invoke([HumanMessage("1?"), thought, HumanMessage("Sure?")])
    assert mux.wait(SOON)
    assert len(small.calls) == 1
    assert "c2lnbmVk" not in str(small.calls[0].messages)


def test_in_the_midst_of_a_models_tool_calls_no_other_is_asked_for_comparison():
    mux = alone()
    called = calling("add", a=1)
    called.content = [{"type": "thinking", "thinking": "…", "signature": "c2lnbmVk"}]
    called.response_metadata = {"cachemux": {**told(mux.invoke(QUESTION)), "model": "large"}}
    assert mux.wait(SOON)
    before = mux.stats().audits
    mux.invoke([HumanMessage("1?"), called, ToolMessage("1", tool_call_id="1")])
    assert mux.wait(SOON)
    assert mux.stats().audits == before


# Bets


def sure(mux, n=60):
    """Ask and audit until the small model is trusted."""
    for k in range(n):
        mux.invoke(f"question {k}")
        assert mux.wait(SOON)


def test_a_bet_is_audited_by_the_large_model_and_what_it_says_goes_into_the_certificate():
    mux = alone(budget=ErrorBudget(0.2, audit=1.0, seed=3))
    sure(mux)
    stats = mux.stats()
    assert stats.answers["small"] > 0
    assert stats.bets == stats.answers["small"]
    assert stats.error == 0.0
    assert stats.error_interval[0] < 1e-6 < stats.error_interval[1] < 1.0
    assert mux.budget.counts["small"].settled == stats.bets


def test_a_bet_whose_model_raised_was_not_lost():
    class Switch(Fake):
        down: Any

        def _answer(self, messages, kwargs):
            if self.down:
                raise ConnectionError
            return super()._answer(messages, kwargs)

    down = []
    mux = alone(Switch(model="small", down=down), budget=ErrorBudget(0.2, audit=1.0, seed=3))
    sure(mux)
    bets = mux.stats().bets
    down.append(1)
    answer = mux.invoke("question 7 again")
    assert (told(answer)["route"], told(answer)["model"]) == ("small", "large")
    assert mux.stats().bets == bets + 1
    assert mux.budget.counts["small"].settled == bets + 1
    assert mux.budget.counts["small"].lost == 0


def test_an_unparsed_answer_of_a_bet_is_learned_as_the_audits_are_drawn():
    says = ["Ada"]
    small = Fake(model="small", says=lambda _: calling("Person", **{says[-1]: "Ada"}))
    large = Fake(model="large", says=calling("Person", name="Ada"))
    says.append("name")
    mux = alone(small, large, budget=ErrorBudget(0.2, audit=1.0, seed=3))
    structured = mux.with_structured_output(Person)
    for n in range(60):
        structured.invoke(f"question {n}")
        assert mux.wait(SOON)
    assert mux.stats().answers["small"] > 0
    says.append("nome")
    lessons = taught(mux)
    assert structured.invoke("question 7 again") == Person(name="Ada")
    assert mux.wait(SOON)
    assert ("small", None, 1.0) in lessons
    assert not [lesson for lesson in lessons if lesson == ("small", None, 0.0)]


def test_a_judges_bet_is_audited_and_a_judge_that_errs_is_found_out():
    budget = ErrorBudget(0.05, audit=1.0, seed=3)
    mux = alone(Fake(model="small", says="Lyon"), accept=lambda *_: True, budget=budget)
    for n in range(40):
        mux.invoke(f"question {n}")
        assert mux.wait(SOON)
    count = budget.counts["judged"]
    assert count.settled > 0
    assert count.lost == count.settled
    assert mux.experience.risk("judged") > 0.05
    assert told(mux.invoke("one more"))["model"] == "large"


def test_a_judged_answer_under_a_closed_budget_is_compared_with_what_was_given_at_no_call_more():
    budget = ErrorBudget(0.05, audit=1.0, seed=3)
    small, large = Fake(model="small"), Fake(model="large")
    mux = alone(small, large, accept=lambda *_: True, budget=budget)
    for n in range(6):
        mux.invoke(f"question {n}")
    assert mux.wait(SOON)
    budget._closed = True
    calls, audits = (len(small.calls), len(large.calls)), mux.stats().audits
    settled = budget.counts["judged"].settled
    answer = mux.invoke("question 1 once more")
    assert (told(answer)["route"], told(answer)["model"]) == ("small", "large")
    assert mux.wait(SOON)
    assert budget.counts["judged"].settled == settled + 1
    assert (len(small.calls), len(large.calls)) == (calls[0] + 1, calls[1] + 1)
    assert mux.stats().audits == audits

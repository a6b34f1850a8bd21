"""`Call` driven by hand: the test gives the answers, so each step can be seen by itself."""

import json
import math
import operator
import re
from types import SimpleNamespace

import numpy as np
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.messages.utils import count_tokens_approximately
from pydantic import BaseModel

from langchain_cachemux.background import Background
from langchain_cachemux.call import Call
from langchain_cachemux.experience import Experience
from langchain_cachemux.parts import Parts
from langchain_cachemux.read.prompts import Reader
from langchain_cachemux.read.structure import Structure
from langchain_cachemux.route.estimators import Mean, Ridge
from langchain_cachemux.route.judges import judge_of
from langchain_cachemux.route.prices import cost_of
from langchain_cachemux.route.router import Router
from langchain_cachemux.types import Estimate, Usage

PRICES = {"small": 1.0, "medium": 3.0, "large": 10.0}
LADDER = list(PRICES)


class Fixed:
    """Always estimates the same, and remembers the costs that it should have learned."""

    def __init__(self, mean, width=0.0):
        self.mean, self.width, self.learned = mean, width, []

    def predict(self, x):
        return Estimate(self.mean, self.width)

    def learn(self, x, cost):
        self.learned.append(cost)


def owner(first="small", accept=None, **parts):
    """What a call reads, for models called small, medium and large, of which one is routed to."""
    return Parts(
        **{
            "models": {name: name for name in LADDER},
            "router": Router({name: Fixed(0.0 if name == first else 5.0) for name in LADDER}),
            "accept": None if accept is None else judge_of(accept),
            "price": lambda usage: PRICES[usage.model],
            "reader": Reader(DeterministicFakeEmbedding(size=4)),
            "billed": {name: name for name in LADDER},
            "same": operator.eq,
            "experience": Experience(),
            "background": Background(),
            **parts,
        }
    )


def driven(owner, says=AIMessage, question="Go"):
    """A call in which each model says what `says` makes of its name, and which were asked."""
    call, asked = Call(owner, question, {}, {}), []
    if not call.hit():
        while (name := call.next()) is not None:
            asked.append(name)
            with call.answering():
                call.answer = says(name)
            call.judge()
        call.settle()
        call.store()
    return call, asked


def told(call):
    return call.result().response_metadata["cachemux"]


@pytest.mark.parametrize(
    ("first", "good", "costs"),
    [
        # one call: its price. Escalated: each model's route cost its own call and all that followed.
        ("small", "small", {"small": [1.0], "medium": [], "large": []}),
        ("small", "medium", {"small": [1.0 + 3.0], "medium": [3.0], "large": []}),
        ("small", "large", {"small": [1.0 + 3.0 + 10.0], "medium": [3.0 + 10.0], "large": [10.0]}),
        ("medium", "large", {"small": [], "medium": [3.0 + 10.0], "large": [10.0]}),
        ("large", "large", {"small": [], "medium": [], "large": [10.0]}),
    ],
)
def test_the_models_are_a_ladder_and_each_route_learns_what_it_cost(first, good, costs):
    judged = []
    mux = owner(first, accept=lambda _, said: judged.append(said.text) or said.text == good)
    call, asked = driven(mux)
    assert asked == LADDER[LADDER.index(first) : LADDER.index(good) + 1]
    assert judged == [name for name in asked if name != "large"]  # the last is given unjudged
    assert call.result().content == good
    assert (told(call)["route"], told(call)["model"]) == (first, good)
    assert told(call)["escalated"] == (first != good)
    assert told(call)["cost"] == sum(PRICES[name] for name in asked)
    assert {name: e.learned for name, e in mux.router.estimators.items()} == costs


def test_without_accept_the_routed_models_answer_is_given_and_may_be_shown_as_it_comes(caplog):
    call = Call(owner("medium"), "Go", {}, {})
    assert call.next() == "medium"
    assert call.live
    with call.answering():
        for word in ("Paris ", "it ", "is"):
            assert [shown.text for shown in call.shown(AIMessageChunk(word))] == [word]
    assert call.next() is None
    call.settle()
    call.store()
    assert not caplog.text  # what is not there is not missed
    assert call.result() == AIMessage("Paris it is", response_metadata={"cachemux": told(call)})
    assert call.rest().text == ""
    assert call.rest().response_metadata["cachemux"] == told(call)


def test_an_answer_that_may_be_rejected_is_not_live_and_the_last_is():
    call, live = Call(owner("medium", accept=lambda *_: False), "Go", {}, {}), []
    while (name := call.next()) is not None:
        live.append((name, call.live))
        with call.answering():
            call.answer = AIMessage(name)
        call.judge()
    assert live == [("medium", False), ("large", True)]


def test_accept_sees_the_conversation_and_the_answer():
    seen, messages = [], [SystemMessage("Be brief"), HumanMessage("Go")]
    driven(owner(accept=lambda *args: seen.append(args) or True), question=messages)
    assert seen == [(messages, AIMessage("small"))]


def test_a_judge_that_fails_accepts_nothing(caplog):
    assert driven(owner(accept=lambda *_: 1 / 0))[1] == LADDER
    assert "accept failed" in caplog.text
    assert "division by zero" in caplog.text


def test_only_the_time_that_the_caller_takes_over_a_chunk_is_not_the_models(monkeypatch):
    now = [0.0]
    clock = SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr("langchain_cachemux.call.time", clock)
    call = Call(owner(price=lambda usage: usage.seconds), "Go", {}, {})
    call.next()
    with call.answering():
        for word in ("Paris ", "it ", "is"):
            now[0] += 1.0
            for _ in call.shown(AIMessageChunk(word)):
                now[0] += 100.0
    call.settle()
    assert (told(call)["seconds"], told(call)["cost"]) == (3.0, 3.0)


@pytest.mark.parametrize("into", [0, 7])
def test_tokens_are_estimated_only_when_none_are_reported(into):
    tokens = {"input_tokens": into, "output_tokens": 0, "total_tokens": into}
    mux = owner(price=lambda usage: usage.input_tokens + 1000 * usage.output_tokens)
    call, _ = driven(mux, lambda _: AIMessage("x" * 400, usage_metadata=tokens), "y" * 80)
    guess = count_tokens_approximately
    guessed = 1000 * guess([AIMessage("x" * 400)]) + guess([HumanMessage("y" * 80)])
    assert told(call)["cost"] == (into or guessed)


def test_a_hit_asks_no_model_and_teaches_nothing():
    mux = owner(cache=InMemoryCache())
    driven(mux)
    call, asked = driven(mux)
    assert asked == []
    assert mux.router.estimators["small"].learned == [1.0]
    name = told(call)["id"]
    assert told(call) == {"id": name, "hit": "cache", "model": "small", "cost": 0.0, "saved": 1.0}
    assert call.rest().content == call.result().content == "small"


class Person(BaseModel):
    name: str


@pytest.mark.parametrize("include_raw", [False, True])
def test_a_cheaper_answer_that_is_not_of_the_schema_is_an_empty_one(include_raw):
    def says(name):
        if name == "small":
            msg = "no JSON at all"
            raise OutputParserException(msg)
        raw, ada = AIMessage("Ada"), Person(name="Ada")
        return {"raw": raw, "parsed": None if name == "medium" else ada, "parsing_error": None}

    mux = owner(structure=Structure(Person, include_raw=include_raw), cache=InMemoryCache())
    first, asked = driven(mux, says)
    again, _ = driven(mux, says)
    assert asked == LADDER
    for call in (first, again):
        found = call.result()
        assert (found["parsed"] if include_raw else found) == Person(name="Ada")
        assert call.rest() == found


@pytest.mark.parametrize(
    ("structure", "said"),
    [(None, {"raw": AIMessage("Ada")}), (Structure(Person, include_raw=True), "Ada")],
    ids=["no schema, a mapping", "a schema, a string"],
)
def test_what_is_neither_a_message_nor_an_object_asked_for_is_refused(structure, said):
    with pytest.raises(TypeError, match=r"model 'small' must answer with an AIMessage, got .*Ada"):
        driven(owner(structure=structure), lambda _: said)


def test_a_call_tells_how_it_was_routed():
    estimators = {"small": Fixed(0.5), "medium": Fixed(3.0, width=0.5), "large": Fixed(9.0)}
    call, _ = driven(owner(router=Router(estimators), accept=lambda _, said: said.text != "small"))
    seconds, name = told(call).pop("seconds"), told(call).pop("id")
    assert 0 < seconds < 10
    assert call.parts.experience.recall(name).model == "medium"
    assert told(call) == {
        "model": "medium",
        "accepted": True,
        "route": "small",
        "reason": "least lower bound of small 0.5, medium 2.5, large 9",
        "escalated": True,
        "estimates": {
            "small": {"mean": 0.5, "width": 0.0},
            "medium": {"mean": 3.0, "width": 0.5},
            "large": {"mean": 9.0, "width": 0.0},
        },
        "cost": 4.0,
    }


@pytest.mark.parametrize(
    "estimator",
    [
        lambda: Mean(prior=Ridge()),
        lambda: Fixed(1.5, math.inf),
        lambda: Fixed(np.float32(1.5), np.float32(math.inf)),
    ],
    ids=["the default", "float", "NumPy"],
)
def test_what_a_call_tells_is_json_even_before_anything_was_learned(estimator):
    router = Router({name: estimator() for name in LADDER})
    call, _ = driven(owner(router=router, price=lambda _: np.float32(0.5)))
    written = json.loads(json.dumps(told(call), allow_nan=False))
    assert written["estimates"]["small"]["width"] is None
    assert written["cost"] == 0.5


@pytest.mark.parametrize("cost", [-2.0, math.inf, math.nan])
def test_a_cost_that_is_none_is_refused_by_value(cost):
    with pytest.raises(
        ValueError, match=rf"price must return a number .* got {re.escape(repr(cost))}"
    ):
        cost_of(Usage(model="small"), lambda _: cost)

"""An answer is confirmed when the chain got through it; one that a chain failed on is forgotten."""

import asyncio
import copy
import gc
import pickle
from uuid import uuid4

import pytest
from fakes import Fake
from langchain_core.exceptions import OutputParserException
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.runnables import RunnableLambda, RunnableParallel
from pydantic import BaseModel

from langchain_cachemux import flight as flight_module
from langchain_cachemux.read import runs as runs_module
from langchain_cachemux.read.runs import Runs, config_under_way, watch


class Doubts:
    """Remembers which answers it was told to doubt."""

    def __init__(self):
        self.keys = []

    def doubt(self, key):
        self.keys.append(key)


class Answer(BaseModel):
    answer: int


@pytest.fixture(autouse=True)
def _watched():
    watch()._answers.clear()


@pytest.fixture
def doubts():
    return Doubts()


@pytest.fixture
def using(doubts):
    """A Runnable that uses an answer, and hands on what it was given."""

    def use(given):
        watch().used(doubts, "k")
        return given

    return RunnableLambda(use)


def fail(error):
    def raising(_):
        raise error

    return RunnableLambda(raising)


async def _ainvoked(chain):
    return await chain.ainvoke("q")


ASK = {
    "invoke": lambda chain: chain.invoke("q"),
    "ainvoke": lambda chain: asyncio.run(_ainvoked(chain)),
    "batch": lambda chain: chain.batch(["q"])[0],
    "stream": lambda chain: next(iter(chain.stream("q"))),
}
every_way = pytest.mark.parametrize("ask", ASK.values(), ids=ASK)


def kind(error):
    return type(error).__name__


ITS_FAULT = [
    OutputParserException("no JSON"),
    ValueError("no number"),
    KeyError("no such choice"),
    IndexError("no tool call"),
    TypeError("None"),
    AssertionError("checked"),
]
NOT_ITS_FAULT = [ConnectionError("down"), TimeoutError(), RuntimeError("of ours"), OSError("full")]


@every_way
@pytest.mark.parametrize("error", ITS_FAULT, ids=kind)
def test_a_chain_that_fails_on_the_words_doubts_the_answer(using, doubts, ask, error):
    with pytest.raises(type(error)):
        ask(using | fail(error))
    assert doubts.keys == ["k"]


@pytest.mark.parametrize("error", NOT_ITS_FAULT, ids=kind)
def test_a_chain_that_fails_by_something_else_does_not(using, doubts, error):
    with pytest.raises(type(error)):
        (using | fail(error)).invoke("q")
    assert doubts.keys == []


def test_an_error_raised_because_of_the_words_doubts_them_too(using, doubts):
    def parse(_):
        raise RuntimeError from ValueError("no JSON")

    with pytest.raises(RuntimeError):
        (using | RunnableLambda(parse)).invoke("q")
    assert doubts.keys == ["k"]


@every_way
def test_a_chain_that_gets_through_confirms_it(using, doubts, ask):
    assert ask(using | RunnableLambda(str.upper)) == "Q"
    assert doubts.keys == []
    assert watch()._answers == {}


def test_what_fails_further_out_doubts_what_was_used_within(using, doubts):
    within = RunnableParallel(a=RunnableLambda((using | str.upper).invoke))
    with pytest.raises(ValueError, match="outside"):
        (within | fail(ValueError("outside"))).invoke("q")
    assert doubts.keys == ["k"]


def test_a_later_chain_that_fails_does_not_doubt_what_an_earlier_one_confirmed(using, doubts):
    (using | str.upper).invoke("q")
    with pytest.raises(ValueError, match="later"):
        (RunnableLambda(str.upper) | fail(ValueError("later"))).invoke("q")
    assert doubts.keys == []


def test_an_answer_that_is_used_outside_any_chain_is_nobodys_business(doubts):
    watch().used(doubts, "k")
    assert config_under_way() == {}
    assert watch()._answers == {}


def test_a_cache_that_is_gone_is_not_held(using):
    runs = watch()

    def lose(_):
        runs.used(Doubts(), "k")
        gc.collect()
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        (RunnableLambda(lose) | str.upper).invoke("q")


def test_what_is_remembered_is_bounded(doubts, monkeypatch):
    monkeypatch.setattr(runs_module, "RUNS", 3)
    monkeypatch.setattr(runs_module, "ANSWERS", 2)
    runs, asked = Runs(), [uuid4() for _ in range(5)]
    for run in asked:
        for key in "abc":
            runs._add(run, [(lambda: doubts, key)])
    assert [*runs._answers] == asked[2:]
    runs.on_chain_error(ValueError(), run_id=asked[-1])
    assert doubts.keys == ["b", "c"]


def test_there_is_one_for_the_process_however_it_is_copied():
    runs = watch()
    assert watch() is runs
    assert copy.deepcopy(runs) is runs
    assert copy.copy(runs) is runs
    assert pickle.loads(pickle.dumps(runs)) is runs  # noqa: S301


def test_a_model_that_raises_ends_the_flight_it_leads():
    flights = flight_module.Flights()
    model = Fake(model="m", says=lambda _: flights.join("q") or (_ for _ in ()).throw(OSError()))
    watch()
    with pytest.raises(OSError):  # noqa: PT011
        model.invoke("q")
    assert flights._flights["q"].answer.result(0) is None


@pytest.mark.parametrize(
    "parser", [JsonOutputParser(), PydanticOutputParser(pydantic_object=Answer)]
)
def test_langchains_own_parsers_doubt_what_they_cannot_parse(using, doubts, parser):
    with pytest.raises(OutputParserException):
        (using | RunnableLambda(lambda _: "no JSON at all {") | parser).invoke("q")
    assert doubts.keys == ["k"]

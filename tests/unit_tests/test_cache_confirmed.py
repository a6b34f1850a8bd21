"""`LECCache` behind a parser: an answer that the chain failed on is not served again."""

import asyncio
import time

import pytest
from blockbuster import blockbuster_ctx
from fakes import Fake, Words
from langchain_core.exceptions import OutputParserException
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda

from langchain_cachemux import LECCache

NUMBER = StrOutputParser() | RunnableLambda(int)


@pytest.fixture
def cache():
    with LECCache(embeddings=Words()) as cache:
        yield cache


def saying(*answers):
    """What a model says at its first call, at its second, …"""
    left = list(answers)
    return lambda messages: left.pop(0)


async def _ainvoked(chain, question):
    return await chain.ainvoke(question)


ASK = {
    "invoke": lambda chain, question: chain.invoke(question),
    "ainvoke": lambda chain, question: asyncio.run(_ainvoked(chain, question)),
    "batch": lambda chain, question: chain.batch([question])[0],
    "abatch": lambda chain, question: asyncio.run(chain.abatch([question]))[0],
}
every_way = pytest.mark.parametrize("ask", ASK.values(), ids=ASK)


def retried(chain, times=5):
    return chain.with_retry(stop_after_attempt=times, wait_exponential_jitter=False)


@every_way
def test_a_retry_is_not_given_the_answer_that_it_failed_on(cache, ask):
    model = Fake(model="m", cache=cache, says=saying("forty-two", "42"))
    assert ask(retried(model | NUMBER), "six times seven") == 42
    assert len(model.calls) == 2
    assert ask(model | NUMBER, "six times seven") == 42
    assert len(model.calls) == 2


def test_nor_is_a_program_that_tries_again_by_itself(cache):
    model = Fake(model="m", cache=cache, says=saying("forty-two", "42"))
    with pytest.raises(ValueError, match="forty-two"):
        (model | NUMBER).invoke("six times seven")
    assert (model | NUMBER).invoke("six times seven") == 42


def test_a_near_question_is_not_given_it_either(cache):
    model = Fake(model="m", cache=cache, says=saying("forty-two", "42"))
    with pytest.raises(ValueError, match="forty-two"):
        (model | NUMBER).invoke("what is six times seven")
    assert (model | NUMBER).invoke("What is six times seven?") == 42


def test_an_old_answer_that_does_not_parse_is_forgotten_when_a_new_question_is_given_it(cache):
    model = Fake(model="m", cache=cache, says=saying("forty-two", "42"))
    model.invoke("what is six times seven")
    assert retried(model | NUMBER).invoke("What is six times seven?") == 42
    assert len(model.calls) == 2


def test_in_a_folder_it_is_forgotten_for_good(tmp_path):
    for _ in range(2):
        with LECCache(tmp_path, embeddings=Words()) as cache:
            model = Fake(model="m", cache=cache, says=saying("forty-two"))
            with pytest.raises(ValueError, match="forty-two"):
                (model | NUMBER).invoke("six times seven")
            assert len(model.calls) == 1
    with LECCache(tmp_path, embeddings=Words()) as cache:
        assert len(cache.ledger) == 0
        assert cache.check() == []


def test_the_answer_that_comes_after_is_not_forgotten_in_its_place(cache):
    key = cache.reader.read("q", "llm").key
    cache.update("q", "llm", Fake(model="m")._generate([]).generations)
    cache._shelf.doubted.add(key)
    assert cache.lookup("q", "llm") is None
    cache.update("q", "llm", Fake(model="m")._generate([]).generations)
    cache._forget_doubted(key)
    assert cache.lookup("q", "llm") is not None


@pytest.mark.parametrize(
    ("asked", "reading"),
    [("what is six times seven", "get"), ("What is six times seven?", "wording")],
    ids=["exact", "near"],
)
def test_an_answer_read_before_it_is_forgotten_is_not_served_after(
    cache, monkeypatch, asked, reading
):
    """The cache's worker forgets it between a lookup's reading and its serving."""

    def read_then_forgotten(*args, **kwargs):
        found = read(*args, **kwargs)
        if found is not None:
            cache._forget_doubted(key)
        return found

    answers = Fake(model="m")._generate([]).generations
    cache.update("what is six times seven", "llm", answers)
    assert cache.lookup(asked, "llm") is not None
    key = cache.reader.read("what is six times seven", "llm").key
    read = getattr(cache.ledger, reading)
    cache._shelf.doubted.add(key)
    monkeypatch.setattr(cache.ledger, reading, read_then_forgotten)
    assert cache.lookup(asked, "llm") is None
    assert not cache._shelf.doubted
    assert len(cache.ledger) == 0


def test_a_connection_that_breaks_behind_the_model_costs_no_answer(cache):
    def breaking(_):
        if len(tried) < 2:
            tried.append(1)
            raise ConnectionError

    tried = []
    model = Fake(model="m", cache=cache)
    retried(model | RunnableLambda(breaking)).invoke("q")
    assert (len(tried), len(model.calls)) == (2, 1)


async def test_doubting_an_answer_does_not_block_the_event_loop(tmp_path):
    with LECCache(tmp_path, embeddings=Words()) as cache:
        cache.warm()
        model = Fake(model="m", cache=cache, says=saying("forty-two", "42"))
        with blockbuster_ctx("langchain_cachemux"):
            assert await retried(model | NUMBER).ainvoke("six times seven") == 42


@every_way
def test_a_model_that_never_says_what_is_wanted_is_asked_as_often_as_it_may_be(cache, ask):
    def parse(message):
        raise OutputParserException(message.text)

    model = Fake(model="m", cache=cache, says="never")
    with pytest.raises(OutputParserException):
        ask(retried(model | RunnableLambda(parse), times=3), "q")
    assert len(model.calls) == 3
    until = time.monotonic() + 30
    while len(cache.ledger) and time.monotonic() < until:
        time.sleep(0.01)
    assert len(cache.ledger) == 0

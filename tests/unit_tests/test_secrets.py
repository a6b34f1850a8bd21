"""What was asked and answered is told by no log line, no repr, no error and no number."""

import logging
import re

import pytest
import sqlalchemy as sa
from fakes import Fake, Words, lec, multiplexed
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration

from langchain_cachemux import LECCache, Miss, Query, Threshold
from langchain_cachemux.discreet import loggable
from langchain_cachemux.types import Compared, Entry, Hit, Match, Wording

ASKED, ANSWERED = "the pin of my card is PLANTED-1234", "your doctor said PLANTED-5678"
SECRETS = re.compile("PLANTED-1234|PLANTED-5678|tenant-PLANTED|tag-PLANTED")


def prompt():
    return dumps([HumanMessage(ASKED)])


def answered(text=ANSWERED):
    return [ChatGeneration(message=AIMessage(text))]


def quoting(*arguments, **_):
    """What a part of the user's raises: it quotes all that it was given."""
    raise ValueError(" ".join(map(str, arguments)) + ASKED + ANSWERED)


class Quoting(Words):
    """An embedder whose error quotes the text."""

    embed_query = quoting


class Estimator:
    """One whose errors quote what was asked."""

    predict = learn = quoting


class Judge:
    """One that says what it should not."""

    def __call__(self, new, stored):
        return f"{new} and {stored}"


FAULTS = {
    "embeddings": {"embeddings": Quoting()},
    "ttl": {"ttl": quoting},
    "tags": {"tags": quoting},
    "tags that are none": {"tags": lambda query: query.text},
    "namespace": {"namespace": quoting},
    "cacheable": {"cacheable": quoting},
    "estimator": {"estimator": Estimator()},
    "price": {"price": quoting},
    "match": {"match": type("M", (), {"judge": quoting, "guards": ()})()},
    "on_event": {"on_event": quoting},
    "same": {"same": quoting},
    "judge": {"judge": Judge(), "judge_when": "before"},
    "rewrite": {"rewrite": quoting},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_fails_no_line_of_the_log_quotes_what_was_asked_or_answered(fault, caplog):
    with caplog.at_level(logging.DEBUG, "langchain_cachemux"), lec(**FAULTS[fault]) as cache:
        for words in (ASKED, f"{ASKED} please", f"hello, {ASKED}?"):
            asked = dumps([HumanMessage("hello"), AIMessage("hi"), HumanMessage(words)])
            for one in (asked, dumps([HumanMessage(words)])):
                cache.lookup(one, "llm")
                cache.update(one, "llm", answered())
                cache.lookup(one, "llm")
        cache.wait(5)
        assert not SECRETS.search(repr(cache.stats()))
    assert not SECRETS.search(caplog.text)


@pytest.mark.parametrize("method", ["get", "wording", "use", "admit"])
def test_nor_does_a_store_that_fails_with_a_statement_and_its_parameters(method, caplog, tmp_path):
    with LECCache(tmp_path, embeddings=Words()) as cache:
        cache.update(prompt(), "llm", answered())

        def fail(*arguments, **_):
            original, statement = Exception(f"disk I/O error\nDETAIL: {ASKED}"), f"SELECT '{ASKED}'"
            raise sa.exc.OperationalError(statement, {"text": ANSWERED}, original)

        setattr(cache.ledger, method, fail)
        for words in (prompt(), dumps([HumanMessage(f"hello, {ASKED}?")])):
            cache.lookup(words, "llm")
            cache.update(words, "llm", answered("another"))
        assert cache.stats().errors > 0
    assert "disk I/O error" in caplog.text
    assert not SECRETS.search(caplog.text)


def test_nor_does_a_multiplexer_whose_models_and_judges_fail(caplog):
    broken = [
        multiplexed(Fake(model="small", says=quoting), cache=lec()),
        multiplexed(Fake(model="small"), accept=quoting),
    ]
    for llm in broken:
        with caplog.at_level(logging.DEBUG, "langchain_cachemux"):
            try:
                llm.invoke(ASKED)
            except ValueError:
                continue
    assert "raised ValueError at" in caplog.text
    assert not SECRETS.search(caplog.text)


def test_no_repr_tells_what_was_asked_or_answered():
    query = Query("key", text=ASKED)
    entry = Entry("key", text=ASKED, answer=ANSWERED)
    match = Match(entry, 0.9)
    compared = Compared(match, "unsure", 0.5, 0.5, None, ASKED)
    things = [
        query,
        entry,
        match,
        compared,
        Wording("key", "key", ASKED, entry=entry),
        Hit(query, entry, "semantic", compared=compared),
        Miss(query, "too far", match, (compared,)),
    ]
    with lec(match=Threshold(0.9), namespace="tenant-PLANTED", tags=["tag-PLANTED"]) as cache:
        cache.update(prompt(), "llm", answered())
        things += [cache, cache.ledger, cache.index, cache.reader, cache.flights, cache.stats()]
        things += [
            *cache.ledger,
            *cache.ledger.wordings(),
            cache.find(prompt(), "llm"),
            cache.check(),
        ]
        told = [repr(thing) for thing in things]
        labels = [label for entry in cache.ledger for label in entry.labels]
    assert "tag:tag-PLANTED" in labels
    assert [one for one in told if re.search("PLANTED-|tenant-PLANTED", one)] == []


def test_an_error_is_told_by_its_kind_and_place_or_by_what_it_says_of_the_machine():
    def raised(make):
        try:
            make()
        except Exception as error:  # noqa: BLE001
            return loggable(error)

    def refused():
        raise ConnectionRefusedError(111, "Connection refused")

    assert raised(quoting).startswith("ValueError at test_secrets.py:")
    assert raised(refused) == "ConnectionRefusedError([Errno 111] Connection refused)"
    assert raised(lambda: 1 / 0) == "ZeroDivisionError(division by zero)"
    assert raised(lambda: Threshold(ASKED)) == "ValueError(similarity must be in (0, 1])"
    assert loggable(KeyError(ASKED)) == "KeyError"

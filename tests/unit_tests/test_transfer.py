"""Answers that leave a cache in a file and come into another: what is the same, what is refused."""

import json
import math
import os
import stat
from dataclasses import replace

import numpy as np
import pytest
from fakes import QUESTION, Words, lec
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration

from langchain_cachemux import LECCache, Threshold
from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import LRU
from langchain_cachemux.transfer import Export, answers_of, export
from langchain_cachemux.types import Entry, Wording

LLM = "a model"
ASKED = [QUESTION, "the height of Everest", "Wo liegt Zürich?\u2028\ud83d\ude00"]


class Others(Words):
    """Another embedder."""

    def embed_query(self, text):
        return [*super().embed_query(text), 1.0]


def filled(**arguments):
    cache = lec(match=Threshold(0.5, guards=()), **arguments)
    for words in ASKED:
        put(cache, words, f"to {words}")
    return cache


def put(cache, words, answer):
    cache.update(ask(words), LLM, [ChatGeneration(message=AIMessage(answer))])


def ask(words):
    return dumps([HumanMessage(words)])


def state(ledger):
    """All of a ledger that can be carried to another."""
    return sorted(
        (
            w.key,
            w.of,
            w.text,
            w.vector.tobytes(),
            e.partition,
            e.answer,
            e.made,
            e.expires,
            e.labels,
        )
        for w in ledger.wordings()
        for e in [w.entry]
    )


def test_what_left_one_cache_is_found_in_another_as_it_was(tmp_path):
    with filled(ttl=3600, tags=["t"]) as cache:
        query = cache.reader.embed(cache.find(ask(QUESTION), LLM).query)
        alias = "the capital of the French"
        cache._shelf.reword(
            query.__class__("other", query.scope, query.context, alias, query.vector), query.key
        )
        assert cache.export(tmp_path / "out.jsonl") == 3
        with LECCache(tmp_path / "folder", embeddings=Words(), match=cache.match) as other:
            assert other.load(tmp_path / "out.jsonl") == 3
            assert state(other.ledger) == state(cache.ledger)
            assert other.find(ask(QUESTION), LLM).kind == "exact"
            assert other.find(ask(f"Tell me, {QUESTION}"), LLM).kind == "semantic"
            assert other.check() == []
            assert other.load(tmp_path / "out.jsonl") == 0
            assert other.invalidate(tag="t") == 3


def test_sizes_are_counted_in_the_unit_of_the_cache_that_takes_them(tmp_path):
    with filled() as cache, filled(capacity="1MB") as bytes_too, lec(capacity="1MB") as other:
        cache.export(tmp_path / "out")
        other.load(tmp_path / "out")
        assert other.ledger.size == bytes_too.ledger.size > 3


def test_what_is_over_or_was_made_later_here_stays_out(tmp_path):
    now = [1000.0]
    with filled(ttl=60, clock=lambda: now[0]) as cache, lec(clock=lambda: now[0]) as other:
        cache.export(tmp_path / "out")
        now[0] += 30
        put(other, QUESTION, "newer")
        assert other.load(tmp_path / "out") == 2
        assert other.lookup(ask(QUESTION), LLM)[0].text == "newer"
        other.clear()
        now[0] += 30
        assert other.load(tmp_path / "out") == 0


def test_vectors_of_another_embedder_are_refused_or_made_anew(tmp_path):
    with filled() as cache, lec(embeddings=Others(), match=cache.match) as other:
        cache.export(tmp_path / "out")
        with pytest.raises(ValueError, match="embed=True embeds its questions anew"):
            other.load(tmp_path / "out")
        assert len(other.ledger) == 0
        assert other.load(tmp_path / "out", embed=True) == 3
        assert {len(entry.vector) for entry in other.ledger} == {65}
        assert other.find(ask(f"Tell me, {QUESTION}"), LLM).kind == "semantic"


def test_a_file_is_its_owners_alone_and_whole_or_not_there(tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.write_text("before")
    with filled() as cache:
        for fault in (KeyboardInterrupt, OSError):
            wordings = cache.ledger.wordings

            def stop(key, fault=fault):
                raise fault

            monkeypatch.setattr(cache.ledger, "wordings", stop)
            with pytest.raises(fault):
                cache.export(target)
            assert [path.name for path in tmp_path.iterdir()] == ["out"]
            assert target.read_text() == "before"
            monkeypatch.setattr(cache.ledger, "wordings", wordings)
        cache.export(target)
    if os.name != "nt":
        assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "head", ["", "{}", "[]", "\x00", '{"format": "cachemux answers", "version": 9}']
)
def test_what_is_no_export_is_refused_by_its_name(tmp_path, head):
    (tmp_path / "file").write_text(head)
    with (
        lec() as cache,
        pytest.raises(ValueError, match=r"file holds no answers that `cachemux ex"),
    ):
        cache.load(tmp_path / "file")


DAMAGE = {
    "no JSON": lambda line: "{" + json.dumps(line),
    "a list": lambda line: "[]",
    "no key": lambda line: json.dumps({k: v for k, v in line.items() if k != "key"}),
    "a number for a text": lambda line: json.dumps({**line, "text": 3}),
    "an answer that is none": lambda line: json.dumps({**line, "answer": "{"}),
    "a vector that is none": lambda line: json.dumps({**line, "vector": "AAAA"}),
    "a cost that is none": lambda line: json.dumps({**line, "cost": -1}),
    "a label that is none": lambda line: json.dumps({**line, "labels": [3]}),
    "an alias that is none": lambda line: json.dumps({**line, "aliases": [{}]}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_line_that_holds_no_answer_is_refused_by_its_number_and_not_quoted(tmp_path, damage):
    with filled() as cache, lec() as other:
        cache.export(tmp_path / "out")
        head, first, second, *rest = (tmp_path / "out").read_text("utf-8").splitlines()
        broken = DAMAGE[damage](json.loads(second))
        (tmp_path / "out").write_text("\n".join([head, first, broken, *rest]), "utf-8")
        with pytest.raises(ValueError, match="out:3 holds no answer") as error:
            other.load(tmp_path / "out")
        assert "Everest" not in str(error.value)
        assert len(other.ledger) == 1
        assert other.check() == []


def test_bytes_that_are_no_text_are_refused_by_the_files_name(tmp_path):
    (tmp_path / "out").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ValueError, match="out holds no answers"):
        Export(tmp_path / "out")
    with filled() as cache:
        cache.export(tmp_path / "out")
    head, *_ = (tmp_path / "out").read_bytes().splitlines(keepends=True)
    (tmp_path / "out").write_bytes(head + b"\xff\n")
    with pytest.raises(ValueError, match="out:2 holds no answer"):
        list(Export(tmp_path / "out"))


TEXT = st.text(st.characters(), max_size=9)


@given(
    entry=st.builds(
        Entry,
        key=st.just("k"),
        cost=st.floats(0, 1e9),
        partition=st.just("s:c"),
        text=TEXT,
        answer=st.recursive(TEXT | st.integers(), st.lists, max_leaves=4).map(json.dumps),
        made=st.floats(0, 1e12),
        expires=st.floats(0, 1e12) | st.just(math.inf),
        labels=st.lists(TEXT, max_size=3).map(tuple),
    ),
    words=TEXT,
    vector=st.none() | st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=4),
)
def test_whatever_an_answer_holds_comes_back(tmp_path_factory, entry, words, vector):
    path = tmp_path_factory.mktemp("transfer") / "out"
    if vector is not None and np.linalg.norm(vector) > 1e-3:
        vector = (np.array(vector) / np.linalg.norm(vector)).astype(np.float32)
    else:
        vector = None
    given = replace(entry, vector=vector)
    ledger = MemoryLedger(9, policy=LRU())
    ledger.admit(given)
    ledger.reword(Wording("other", "k", words, vector))
    assert len(list(export(answers_of(ledger), path, embeddings="e", unit="bytes"))) == 1
    read = Export(path)
    assert (read.embeddings, read.unit) == ("e", "bytes")
    ((entry, (alias,)),) = read
    for name in ("key", "cost", "partition", "text", "answer", "made", "expires", "labels"):
        assert getattr(entry, name) == getattr(given, name)
    assert (alias.key, alias.of, alias.text) == ("other", "k", words)
    for one in (entry, alias):
        assert (one.vector is None) == (vector is None)
        assert vector is None or one.vector.tobytes() == vector.tobytes()

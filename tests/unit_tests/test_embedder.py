"""Two embedders of one name: what the one made is not compared with what the other makes."""

import asyncio
import time

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.outputs import Generation

from langchain_cachemux import LECCache
from langchain_cachemux.keep import probes
from langchain_cachemux.read.prompts import PROBE

LLM = "a model"
ASKED, REWORDED = "Where is Oslo?", "Where is Oslo? "


class Tuned(Embeddings):
    """Where it puts a text depends on its weights, of which its name tells nothing."""

    model = "some model"

    def __init__(self, weights, *, length=16, noise=0.0):
        self.weights, self.length, self.noise = weights, length, noise
        self.asked = []

    def embed_query(self, text):
        self.asked.append(text)
        vector = np.zeros(self.length)
        vector[self.weights] = 1.0
        vector[-1] = self.noise
        return vector.tolist()

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


class Waiting(Tuned):
    """Is only to be awaited."""

    async def aembed_query(self, text):
        return super().embed_query(text)

    def embed_query(self, text):
        raise NotImplementedError


@pytest.fixture(params=["folder", "shared"])
def opened(request, tmp_path):
    made = []

    def opened(weights, kind=Tuned, *, folder="cache", length=16, noise=0.0, **arguments):
        embeddings = kind(weights, length=length, noise=noise)
        shared = request.param == "shared" and not arguments.get("read_only")
        given = {"shared": shared, "match": 0.9, "deadline": 10.0, **arguments}
        made.append(LECCache(tmp_path / folder, embeddings=embeddings, **given))
        return made[-1]

    yield opened
    for cache in made:
        cache.close()


def eventually(holds, seconds=20.0):
    """Whether something comes to hold in time."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def keep(cache, text, asked=ASKED):
    cache.update(asked, LLM, [Generation(text=text)])


def found(cache, asked):
    answer = cache.lookup(asked, LLM)
    return answer and answer[0].text


def test_other_weights_meet_what_was_stored_with_them_alone(opened, caplog):
    with opened(0) as cache:
        keep(cache, "old")
        assert found(cache, REWORDED) == "old"
    assert not caplog.records
    with opened(1) as cache:
        assert [found(cache, asked) for asked in (ASKED, REWORDED)] == ["old", None]
        assert "makes other vectors" in caplog.text
        keep(cache, "new", "Where is Bergen?")
        assert found(cache, "Where is Bergen? ") == "new"
        assert cache.check() == []
    for weights, answers in ((0, ["old", None]), (1, [None, "new"]), (2, [None, None])):
        with opened(weights) as cache:
            assert [found(cache, asked) for asked in (REWORDED, "Where is Bergen? ")] == answers


def test_two_processes_with_other_weights_do_not_meet(tmp_path):
    shared = {"shared": True, "match": 0.9, "deadline": 10.0}
    with (
        LECCache(tmp_path, embeddings=Tuned(0), **shared) as one,
        LECCache(tmp_path, embeddings=Tuned(1), **shared) as other,
    ):
        keep(one, "of one")
        assert [found(cache, ASKED) for cache in (one, other)] == ["of one"] * 2
        assert eventually(lambda: ASKED in one.explain(REWORDED))
        assert [found(cache, REWORDED) for cache in (one, other)] == ["of one", None]


def test_the_same_weights_that_round_otherwise_are_the_same(opened, caplog):
    with opened(0) as cache:
        keep(cache, "old")
    with opened(0, noise=0.01) as cache:
        assert found(cache, REWORDED) == "old"
    assert not caplog.records


def test_vectors_of_another_length_are_neither_compared_nor_stored(opened, caplog):
    with opened(0) as cache:
        keep(cache, "old")
    with opened(0, length=8) as cache:
        keep(cache, "new", "Where is Bergen?")
        answers = [found(cache, asked) for asked in (ASKED, REWORDED, "Where is Bergen?")]
        assert answers == ["old", None, "new"]
        assert (cache.stats().errors, cache.check()) == (0, [])
    assert "another length" in caplog.text


def test_nothing_is_embedded_at_opening_and_the_probe_but_once(opened):
    with opened(0) as cache:
        asked = cache.reader.embeddings.asked
        assert asked == []
        keep(cache, "old")
        found(cache, REWORDED)
        assert sorted(asked) == sorted([ASKED, PROBE])


def test_in_memory_there_is_nothing_to_compare_with():
    with LECCache(embeddings=Tuned(0), match=0.9) as cache:
        keep(cache, "old")
        assert cache.reader.embeddings.asked == [ASKED]


def test_an_embedder_that_is_only_awaited_is_known_too(opened):
    async def asked(cache):
        await cache.aupdate("Where is Bergen?", LLM, [Generation(text="new")])
        answer = await cache.alookup("Where is Bergen? ", LLM)
        return answer[0].text

    with opened(0, kind=Waiting) as cache:
        assert asyncio.run(asked(cache)) == "new"
    with opened(1, kind=Waiting) as cache:
        assert cache.lookup(REWORDED, LLM) is None
        assert asyncio.run(asked(cache)) == "new"


def test_a_folder_that_is_only_read_is_not_written_to(tmp_path, caplog):
    with LECCache(tmp_path, embeddings=Tuned(0), match=0.9) as cache:
        keep(cache, "old")
    with LECCache(tmp_path, embeddings=Tuned(1), match=0.9, read_only=True) as cache:
        assert [found(cache, asked) for asked in (ASKED, REWORDED)] == ["old", None]
    with LECCache(tmp_path, embeddings=Tuned(0), match=0.9, read_only=True) as cache:
        assert found(cache, REWORDED) == "old"


def test_a_probe_that_fails_is_a_miss_and_is_asked_again(opened, monkeypatch, caplog):
    with opened(0) as cache:
        keep(cache, "old")
    cache = opened(1)
    told = cache.reader.embeddings.embed_query
    fails = iter([True])

    def failing(text):
        if text == PROBE and next(fails, False):
            raise ConnectionError
        return told(text)

    monkeypatch.setattr(cache.reader.embeddings, "embed_query", failing)
    assert found(cache, REWORDED) is None
    assert (cache.stats().misses, cache.stats().errors) == (1, 1)
    assert found(cache, REWORDED) is None
    assert "makes other vectors" in caplog.text


def test_words_are_forgotten_whoever_embedded_them(opened):
    with opened(0) as cache:
        keep(cache, "old")
    with opened(1) as cache:
        keep(cache, "new", "Where is Bergen?")
        assert (cache.forget("Where is Bergen?"), cache.forget(ASKED)) == (1, 1)
        assert cache.stats().entries == 0


def test_what_is_explained_are_vectors_of_one_embedder(opened):
    with opened(0) as cache:
        keep(cache, "old")
    with opened(1) as cache:
        assert ASKED not in cache.explain(REWORDED)
        keep(cache, "new", "Where is Bergen?")
        assert "Where is Bergen?" in cache.explain("Where is Bergen? ")


def test_answers_are_embedded_anew_where_they_are_loaded_so(opened, tmp_path):
    file = tmp_path / "answers.jsonl"
    with opened(0) as cache:
        keep(cache, "old")
    with opened(1) as cache:
        keep(cache, "new", "Where is Bergen?")
        assert cache.export(file) == 2
        cache.clear()
        assert cache.load(file, embed=True) == 2
        assert found(cache, REWORDED) == "old"
        assert {entry.partition.partition("@")[2] for entry in cache.ledger} == {"1"}
    with opened(2, folder="other") as cache:
        assert cache.load(file, embed=True) == 2
        assert {entry.partition.partition("@")[2] for entry in cache.ledger} == {""}


@pytest.mark.parametrize("cosine", [0.9995, 0.9985])
def test_an_embedder_is_known_by_a_vector_within_a_thousandth(cosine):
    first = np.array([1.0, 0.0], np.float32)
    other = np.array([cosine, np.sqrt(1 - cosine**2)], np.float32)
    place, written = probes.found(None, first)
    assert (place, probes.found(written, first)) == (0, (0, written))
    assert probes.found(written, other)[0] == (0 if cosine > 0.999 else 1)
    assert probes.found(written, np.ones(3, np.float32)) == (None, written)

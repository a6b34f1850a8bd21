"""What lies on the disk: what was forgotten does not, nor what is encrypted or not to be stored."""

import base64
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from cryptography.fernet import Fernet
from fakes import Fake, Words
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration

from langchain_cachemux import LECCache, MultiplexedLLM, Ridge, Threshold
from langchain_cachemux.keep.durable.folder import Folder
from langchain_cachemux.match.index import Index

LLM = "a model"
ASKED = "the pin of my card is PLANTED one two three four"
REWORDED = "my card has the PLANTED pin one two three four"
ANSWERED = "your doctor said PLANTED five six seven eight"
KEY = Fernet.generate_key()


def opened(folder, **arguments):
    return LECCache(folder, embeddings=Words(), match=Threshold(0.5, guards=()), **arguments)


def ask(words):
    return dumps([HumanMessage(words)])


def put(cache, words, answer):
    cache.update(ask(words), LLM, [ChatGeneration(message=AIMessage(answer))])


def filled(cache):
    """A secret with another wording of it, among other answers; the secret's vectors."""
    put(cache, ASKED, ANSWERED)
    hit = cache.find(ask(REWORDED), LLM)
    assert cache._shelf.reword(hit.query, hit.entry.key).slot is not None
    for number in range(50):
        put(cache, f"question number {number} of many", f"answer {number}")
    cache.check()
    return [cache.reader.vector(words) for words in (ASKED, REWORDED)]


def planted(vectors):
    """All that would give the secret away, in whatever form it is written."""
    yield from (
        text.encode(coding)
        for text in (ASKED, REWORDED, ANSWERED, "PLANTED")
        for coding in ("utf-8", "utf-16-le", "utf-16-be")
    )
    for text in (ASKED, ANSWERED):
        yield base64.b64encode(text.encode())[:24]
    for vector in vectors:
        for kind in ("<f4", "<f8", ">f4"):
            yield vector.astype(kind).tobytes()
        half = (vector / np.sqrt(2)).astype("<f4")  # as a row of the index is written
        yield half.tobytes()
        yield base64.b64encode(vector.astype("<f4").tobytes())[:64]


def found(folder, vectors):
    """The files in which something of it is."""
    looked_for = list(planted(vectors))
    return sorted(
        {
            path.name
            for path in folder.rglob("*")
            if path.is_file()
            for one in looked_for
            if one in path.read_bytes()
        }
    )


def test_what_was_invalidated_is_nowhere_once_the_folder_was_compacted(tmp_path):
    with opened(tmp_path) as cache:
        vectors = filled(cache)
        assert found(tmp_path, vectors)
        assert cache.invalidate(contains="planted PIN") == 1
        cache.compact()
        assert found(tmp_path, vectors) == []
        assert len(cache.ledger) == 50
        assert cache.check() == []
        assert cache.lookup(ask("question number 7 of many"), LLM)[0].text == "answer 7"
    assert found(tmp_path, vectors) == []


def test_nor_is_it_in_an_index_that_is_kept_beside_the_ledger(tmp_path, monkeypatch):
    folder = Index.folder
    monkeypatch.setattr(Index, "folder", lambda *given: folder(*given, exact=10))
    with opened(tmp_path) as cache:
        vectors = filled(cache)
        assert cache.index.flush(30)
        assert any(tmp_path.glob("chroma/**/*.sqlite3"))
    assert any(name.startswith(("chroma", "data")) for name in found(tmp_path, vectors))
    with opened(tmp_path) as cache:
        assert cache.find(ask(f"well, {REWORDED}"), LLM).kind == "semantic"
        assert cache.invalidate(contains="planted") == 1
        cache.compact()
        assert cache.find(ask("well, question number 7 of many"), LLM).kind == "semantic"
        assert cache.check() == []
    assert any(tmp_path.glob("chroma/**/*.sqlite3"))
    assert found(tmp_path, vectors) == []


def test_what_was_forgotten_or_is_over_or_was_cleared_is_nowhere_either(tmp_path):
    now = [1000.0]
    for place, forget in enumerate(
        (
            lambda cache: cache.forget(ASKED),
            lambda cache: now.__setitem__(0, now[0] + 61),
            lambda cache: cache.clear(),
        )
    ):
        with opened(tmp_path / str(place), ttl=60, clock=lambda: now[0]) as cache:
            vectors = filled(cache)
            forget(cache)
            cache.compact()
        assert found(tmp_path / str(place), vectors) == []


def test_a_folder_that_is_closed_is_compacted_as_well(tmp_path):
    with opened(tmp_path) as cache:
        vectors = filled(cache)
        cache.invalidate(contains="planted")
    with Folder(tmp_path) as folder:
        folder.compact()
    assert found(tmp_path, vectors) == []


def test_under_a_key_nothing_is_there_to_be_read_open_or_closed(tmp_path):
    with opened(tmp_path, encrypt=KEY) as cache:
        vectors = filled(cache)
        cache.ledger.flush()
        assert found(tmp_path, vectors) == []
    assert found(tmp_path, vectors) == []
    assert not (tmp_path / "chroma").exists()
    with opened(tmp_path, encrypt=KEY.decode()) as cache:
        assert cache.lookup(ask(ASKED), LLM)[0].text == ANSWERED
        assert cache.find(ask(f"well, {REWORDED}"), LLM).kind == "semantic"
        assert cache.check() == []


def test_nor_in_a_folder_that_processes_share_and_what_is_forgotten_there_goes_too(tmp_path):
    with opened(tmp_path / "sealed", shared=True, encrypt=KEY) as cache:
        vectors = filled(cache)
        assert cache.lookup(ask(ASKED), LLM)[0].text == ANSWERED
    assert found(tmp_path / "sealed", vectors) == []
    with opened(tmp_path / "open", shared=True) as cache:
        filled(cache)
        assert cache.invalidate(contains="planted") == 1
        cache.compact()
        assert cache.check() == []
    assert found(tmp_path / "open", vectors) == []


@pytest.mark.parametrize("other", [{}, {"encrypt": Fernet.generate_key()}], ids=["none", "another"])
def test_another_key_or_none_does_not_open_it(tmp_path, other):
    opened(tmp_path, encrypt=KEY).close()
    with pytest.raises(ValueError, match="sealed otherwise") as error:
        opened(tmp_path, **other)
    assert KEY.decode() not in str(error.value)


def test_a_key_does_not_open_what_was_written_without_one(tmp_path):
    opened(tmp_path).close()
    with pytest.raises(ValueError, match="sealed otherwise"):
        opened(tmp_path, encrypt=KEY)


def test_answers_go_through_a_file_from_one_folder_under_another_key(tmp_path):
    with opened(tmp_path / "a") as cache, opened(tmp_path / "b", encrypt=KEY) as other:
        vectors = filled(cache)
        cache.export(tmp_path / "file")
        assert other.load(tmp_path / "file") == 51
    assert found(tmp_path / "b", vectors) == []


@pytest.mark.parametrize(
    ("given", "kept"), [({}, True), ({"encrypt": KEY}, False), ({"store_prompts": False}, False)]
)
def test_what_is_learned_of_vectors_is_kept_only_where_they_may_be_read(tmp_path, given, kept):
    with opened(tmp_path, estimator=Ridge(), **given) as cache:
        models = {name: Fake(model=name) for name in ("small", "large")}
        llm = MultiplexedLLM(models=models, cache=cache, seed=0)
        for number in range(20):
            llm.invoke(f"question number {number} of many")
        llm.close()
    assert any(path.name.startswith("multiplexer-") for path in tmp_path.iterdir()) is kept
    assert (tmp_path / "costs.zip").exists() is kept


def test_no_row_moved_or_changed_under_a_key_is_served(tmp_path):
    with opened(tmp_path, encrypt=KEY) as cache:
        put(cache, ASKED, ANSWERED)
        put(cache, "something of no matter", "nothing")
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as db, db:
            (one,), (other,) = db.execute("SELECT seal FROM payloads ORDER BY key").fetchall()
            db.execute(
                "UPDATE payloads SET seal = CASE seal WHEN ? THEN ? ELSE ? END", (one, other, one)
            )
        assert cache.lookup(ask(ASKED), LLM) is None
        assert cache.stats().errors == 0


def test_without_prompts_no_words_and_no_vector_is_stored_and_only_equal_questions_hit(tmp_path):
    with opened(tmp_path, store_prompts=False) as cache:
        put(cache, ASKED, "an answer")
        assert cache.lookup(ask(ASKED), LLM)[0].text == "an answer"
        assert cache.lookup(ask(REWORDED), LLM) is None
        (entry,) = cache.ledger
        assert (entry.text, entry.vector) == ("", None)
        assert cache.reader.embeddings.asked == []
        vectors = [cache.reader.vector(ASKED)]
        assert cache.forget(ask(ASKED), LLM) == 1
        put(cache, ASKED, "an answer")
    assert found(tmp_path, vectors) == []


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"encrypt": "hunter2"}, "encrypt"),
        ({"encrypt": 7}, "encrypt"),
        ({"store_prompts": 1}, "store_prompts"),
    ],
)
def test_what_is_no_key_is_refused_and_not_told(tmp_path, given, name):
    with pytest.raises(ValueError, match=f"^{name} must be") as error:
        opened(tmp_path, **given)
    assert "hunter2" not in str(error.value)


def test_a_key_in_memory_is_refused():
    with pytest.raises(ValueError, match="encrypt must be given with a folder"):
        opened(None, encrypt=KEY)

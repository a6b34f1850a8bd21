"""A cache in a folder: what outlives closing, another process, another embedder and a kill."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import astuple

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_cachemux import LRU, LECCache, Mean, SentenceEncoder, Threshold
from langchain_cachemux.keep.durable.folder import Folder
from langchain_cachemux.types import Estimate, Query, Wording

LLM = "a model"
CHEAP = DeterministicFakeEmbedding(size=16)


def opened(folder, **arguments):
    """A cache that serves rewordings at once, without labels to back them."""
    return LECCache(folder, **{"embeddings": CHEAP, "match": Threshold(0.9), **arguments})


def plain(text):
    return [Generation(text=text)]


def question(number):
    return f"Where is town {number}?"


def reworded(number):
    """Other than `question` by a blank: another key, the same vector."""
    return f"{question(number)} "


def tokens(usage):
    return float(usage.output_tokens)


def chat(text, tokens):
    usage = {"input_tokens": 1, "output_tokens": tokens, "total_tokens": tokens + 1}
    return [ChatGeneration(message=AIMessage(text, usage_metadata=usage))]


CHILD = """
import sys
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.outputs import Generation
from langchain_cachemux import LECCache

cheap = DeterministicFakeEmbedding(size=16)
cache = LECCache(sys.argv[1], capacity=int(sys.argv[2]), embeddings=cheap, deadline=60)
"""


def child(folder, code, *, capacity=1000):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD + code, str(folder), str(capacity)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_answers_counts_and_semantic_hits_outlive_closing(tmp_path):
    with opened(tmp_path, price=tokens) as cache:
        for number in range(5):
            cache.update(question(number), LLM, chat(f"{number}", tokens=number))
        for _ in range(3):
            cache.lookup(question(3), LLM)
        before = {e.key: astuple(cache.ledger.standing(e.key)) for e in cache.ledger}
    with opened(tmp_path, price=tokens) as cache:
        after = {e.key: astuple(cache.ledger.standing(e.key)) for e in cache.ledger}
        assert after == before
        assert max(cache.ledger.standing(key).uses for key in after) == 4
        for number in range(5):
            assert cache.lookup(question(number), LLM)[0].text == f"{number}"
            assert cache.lookup(reworded(number), LLM)[0].text == f"{number}"
        assert (cache.stats().hits_exact, cache.stats().hits_semantic) == (5, 5)
        assert cache.check() == []


def test_what_is_worth_keeping_is_remembered_through_closing(tmp_path):
    with opened(tmp_path, capacity=2, price=tokens) as cache:
        cache.update(question(0), LLM, chat("long", tokens=1000))
        cache.update(question(1), LLM, chat("cheap", tokens=1))
    with opened(tmp_path, capacity=2, price=tokens) as cache:
        cache.update(question(2), LLM, chat("between", tokens=30))
        assert cache.lookup(question(1), LLM) is None
        assert cache.lookup(question(0), LLM)[0].text == "long"


@pytest.mark.parametrize("estimator", [lambda: None, lambda: Mean(width=2.0)])
def test_what_misses_have_cost_is_known_after_reopening(tmp_path, estimator):
    with opened(tmp_path, price=tokens, estimator=estimator()) as cache:
        for number in range(8):
            cache.update(question(number % 4), LLM, chat("x", tokens=10 * number))
        asked = [Query(key) for key in (*(entry.key for entry in cache.ledger), "new")]
        before = [cache.estimator.predict(query) for query in asked]
    assert len({estimate.mean for estimate in before}) == 5
    with opened(tmp_path, price=tokens, estimator=estimator()) as cache:
        assert [cache.estimator.predict(query) for query in asked] == before


def test_an_estimator_that_cannot_be_written_down_begins_anew(tmp_path):
    class Flat:
        def predict(self, _query):
            return Estimate(2.0, 0.0)

        def learn(self, query, cost):
            pass

    with opened(tmp_path, estimator=Flat()) as cache:
        cache.update(question(0), LLM, plain("0"))
    assert not (tmp_path / "costs.zip").exists()


def test_the_default_encoder_finds_a_rewording_after_reopening(tmp_path):
    with LECCache(tmp_path) as cache:
        cache.update("How do I reset my password?", LLM, plain("Click on Forgotten."))
    with LECCache(tmp_path) as cache:
        found = cache.lookup("How can I reset my password?", LLM)
        assert found == plain("Click on Forgotten.")
        assert cache.stats().hits_semantic == 1


def test_a_clear_outlives_closing(tmp_path):
    with opened(tmp_path) as cache:
        cache.update(question(0), LLM, plain("0"))
        cache.clear()
    with opened(tmp_path) as cache:
        assert cache.stats().entries == 0
        assert cache.lookup(question(0), LLM) is None
        assert cache.lookup(reworded(0), LLM) is None


def test_a_smaller_capacity_evicts_at_opening_and_leaves_no_rows(tmp_path):
    with opened(tmp_path, policy=LRU()) as cache:
        for number in range(8):
            cache.update(question(number), LLM, plain(f"{number}"))
    with opened(tmp_path, capacity=3, policy=LRU()) as cache:
        assert cache.stats().entries == 3
        assert len(cache.index.rows()) == 3
        assert cache.lookup(question(7), LLM) == plain("7")
        assert cache.lookup(reworded(0), LLM) is None


def test_the_folder_is_made_when_it_is_missing_and_may_be_given_as_text(tmp_path):
    with opened(str(tmp_path / "a" / "b")) as cache:
        cache.update(question(0), LLM, plain("0"))
    assert (tmp_path / "a" / "b" / "ledger.db").is_file()


def test_a_cache_opened_where_another_was_deleted_is_empty_and_works(tmp_path):
    for _ in range(2):
        with opened(tmp_path / "cache") as cache:
            assert cache.lookup(question(0), LLM) is None
            cache.update(question(0), LLM, plain("0"))
            assert cache.lookup(reworded(0), LLM) == plain("0")
            assert cache.stats().errors == 0
        shutil.rmtree(tmp_path / "cache")


def test_rows_lost_or_foreign_are_repaired_at_opening(tmp_path):
    with opened(tmp_path) as cache:
        for number in range(3):
            cache.update(question(number), LLM, plain(f"{number}"))
        entry = next(iter(cache.ledger))
        cache.index.blank(entry.slot)
        cache.index.put(77, "stale", entry.vector, entry.partition)
    with opened(tmp_path) as cache:
        assert cache.check() == []
        assert cache.index.rows() == {w.slot: w.key for w in cache.ledger.wordings()}


def test_a_strange_prompt_is_stored_in_a_folder_or_dropped_but_not_raised(tmp_path):
    with opened(tmp_path) as cache:
        for prompt in ("\x00", "\ud800", "🙂"):
            assert cache.lookup(prompt, LLM) is None
            cache.update(prompt, LLM, plain("x"))
        assert cache.lookup("🙂", LLM) == plain("x")
        cache.update(question(0), LLM, plain("0"))
        assert cache.lookup(question(0), LLM) == plain("0")
        assert cache.check() == []


# Wrong folders


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "cache"
    path.write_text("mine")
    with pytest.raises(ValueError, match="path must be a folder, got the file") as refused:
        opened(path)
    assert str(path) in str(refused.value)
    assert path.read_text() == "mine"


def test_a_folder_made_with_another_embedder_is_refused_and_stays_as_it_was(tmp_path):
    with opened(tmp_path) as cache:
        cache.update(question(0), LLM, plain("0"))
    for other in (DeterministicFakeEmbedding(size=17), SentenceEncoder()):
        with pytest.raises(ValueError, match=r"embeddings is .* made with .*size=16"):
            opened(tmp_path, embeddings=other)
    with opened(tmp_path) as cache:
        assert cache.lookup(reworded(0), LLM) == plain("0")


def test_a_folder_open_in_another_process_is_refused_until_it_closes_there(tmp_path):
    other = child(tmp_path, 'print("open", flush=True); input(); cache.close(); print("closed")')
    with other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(
            ValueError, match="is already open, here or in another process"
        ) as refused:
            opened(tmp_path)
        assert str(tmp_path) in str(refused.value)
        assert other.communicate("\n")[0] == "closed\n"
    with opened(tmp_path) as cache:
        assert cache.check() == []


def test_a_refused_cache_leaves_the_folder_free_for_other_processes(tmp_path):
    with opened(tmp_path):
        pass
    with pytest.raises(ValueError, match="embeddings is"):
        opened(tmp_path, embeddings=DeterministicFakeEmbedding(size=17))
    with child(tmp_path, "cache.close(); print('had it')") as other:
        assert other.communicate()[0] == "had it\n"


# Killed


ENDLESS = """
from itertools import count
for number in count():
    cache.update(f"Where is town {number}?", "a model", [Generation(text=str(number))])
    assert cache.stats().admitted == number + 1
    print(number, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 25])
def test_every_acknowledged_answer_outlives_a_kill(tmp_path, acknowledged):
    """SIGKILL in the middle of an endless row of updates."""
    with child(tmp_path, ENDLESS) as victim:
        seen = [victim.stdout.readline() for _ in range(acknowledged)]
        os.kill(victim.pid, signal.SIGKILL)
        seen += victim.stdout.readlines()
    with opened(tmp_path, match=Threshold(0.99)) as cache:
        assert cache.check() == []
        assert cache.index.rows() == {entry.slot: entry.key for entry in cache.ledger}
        for number in range(len(seen)):
            assert cache.lookup(question(number), LLM) == plain(f"{number}")
            assert cache.lookup(reworded(number), LLM) == plain(f"{number}")
        stats = cache.stats()
        assert (stats.hits_exact, stats.hits_semantic) == (len(seen), len(seen))
        assert stats.entries in (len(seen), len(seen) + 1)
        assert stats.errors == 0


def test_a_kill_among_evictions_leaves_sound_books_within_capacity(tmp_path):
    with child(tmp_path, ENDLESS, capacity=8) as victim:
        for _ in range(30):
            assert victim.stdout.readline()
        os.kill(victim.pid, signal.SIGKILL)
    with opened(tmp_path, capacity=8) as cache:
        assert cache.check() == []
        assert cache.stats().entries == 8
        assert cache.index.rows() == {entry.slot: entry.key for entry in cache.ledger}
        cache.update(question(0), LLM, plain("0"))
        assert cache.stats().entries == 8
        assert cache.check() == []


REWORDING = """
from itertools import count
from langchain_cachemux.types import Estimate, Query, Wording

for number in count():
    prompt = f"Where is town {number}?"
    cache.update(prompt, "a model", [Generation(text=str(number))])
    query = cache.reader.read(prompt, "a model")
    for turn in range(3):
        words = f"alias {turn} of {number}"
        vector = cache.reader.embed(query).vector
        told = cache.ledger.reword(Wording(words, query.key, words, vector))
        cache.index.put(told.slot, words, vector, query.partition)
    assert cache.ledger.unword(f"alias 1 of {number}")
    cache.ledger.differ(f"alias 1 of {number}", query.key)
    print(number, query.key, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 20])
def test_a_kill_among_aliases_leaves_sound_books_and_every_alias_that_was_acknowledged(
    tmp_path, acknowledged
):
    with child(tmp_path, REWORDING, capacity=12) as victim:
        seen = [victim.stdout.readline() for _ in range(acknowledged)]
        os.kill(victim.pid, signal.SIGKILL)
        seen += victim.stdout.readlines()
    with Folder(tmp_path) as folder:
        assert folder.check() == []
    number, key = seen[-1].split()
    with opened(tmp_path, capacity=12) as cache:
        assert cache.check() == []
        assert cache.index.rows() == {w.slot: w.key for w in cache.ledger.wordings()}
        assert cache.ledger.get(f"alias 0 of {number}").key == key
        assert cache.ledger.get(f"alias 2 of {number}").key == key
        assert cache.ledger.get(f"alias 1 of {number}") is None
        assert cache.ledger.differs(key, f"alias 1 of {number}")


def test_rows_of_aliases_that_are_lost_are_rebuilt_at_opening(tmp_path):
    with opened(tmp_path) as cache:
        cache.update(question(0), LLM, plain("0"))
        (entry,) = cache.ledger
        for words in ("one", "two"):
            told = cache.ledger.reword(Wording(words, entry.key, words, -entry.vector))
        cache.index.put(told.slot, "two", -entry.vector, entry.partition)
        assert cache.check() == [f"slot 1: the index lacks alias one of {entry.key}"]
    with opened(tmp_path) as cache:
        assert cache.check() == []
        near = cache.index.nearest(-entry.vector, entry.partition, n=3)
        assert {found.key for found in near[:2]} == {"one", "two"}
        assert near[1].similarity == pytest.approx(1.0)
        assert cache.lookup(question(0), LLM) == plain("0")


# Damaged, and signed


def test_a_damaged_ledger_is_refused_naming_the_remedy_which_saves_what_can_be_read(tmp_path):
    with opened(tmp_path) as cache:
        for number in range(5):
            cache.update(question(number), LLM, plain(f"{number}"))
    ledger = tmp_path / "ledger.db"
    ledger.write_bytes(b"Y" + ledger.read_bytes()[1:])
    with pytest.raises(ValueError, match="repair=True"):
        opened(tmp_path)
    with opened(tmp_path, repair=True) as cache:
        for number in range(5):
            assert cache.lookup(question(number), LLM) == plain(f"{number}")
            assert cache.lookup(reworded(number), LLM) == plain(f"{number}")
        assert cache.check() == []
    assert len(list(tmp_path.glob("ledger.db.damaged-*"))) == 1
    with opened(tmp_path, repair=True) as cache:
        assert cache.stats().entries == 5
    assert len(list(tmp_path.glob("ledger.db.damaged-*"))) == 1


def test_an_answer_that_somebody_changed_is_a_miss_exact_and_by_meaning(tmp_path):
    for secret in (None, "known to me"):
        folder = tmp_path / str(secret)
        with opened(folder, secret=secret) as cache:
            cache.update(question(0), LLM, plain("5 mg"))
            cache.update(question(1), LLM, plain("5 mg"))
            key = cache.reader.read(question(0), LLM).key
        connection = sqlite3.connect(folder / "ledger.db")
        change = "UPDATE payloads SET answer = replace(answer, '5 mg', '7 mg') WHERE key = ?"
        connection.execute(change, (key,))
        connection.commit()
        connection.close()
        with opened(folder, secret=secret) as cache:
            assert cache.lookup(question(0), LLM) is cache.lookup(reworded(0), LLM) is None
            assert cache.lookup(question(1), LLM) == plain("5 mg")
            assert cache.stats().errors == 0
            cache.update(question(0), LLM, plain("6 mg"))
            assert cache.lookup(question(0), LLM) == plain("6 mg")


def test_a_folder_is_opened_with_its_secret_only(tmp_path):
    with opened(tmp_path, secret="swordfish") as cache:  # noqa: S106
        cache.update(question(0), LLM, plain("0"))
    for secret in (None, "another"):
        with pytest.raises(ValueError, match="sealed otherwise") as refused:
            opened(tmp_path, secret=secret)
        assert "swordfish" not in str(refused.value)
    with opened(tmp_path, secret="swordfish") as cache:  # noqa: S106
        assert cache.lookup(question(0), LLM) == plain("0")
        assert "swordfish" not in repr(cache)

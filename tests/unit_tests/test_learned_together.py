"""What processes learn that share a cache: whoever opens it goes on from the one that learned most."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from fakes import Fake, Words, multiplexed
from langchain_core.outputs import Generation

from langchain_cachemux import LECCache
from langchain_cachemux.background import Background
from langchain_cachemux.keep.shared.connections import Connections
from langchain_cachemux.keep.shared.notes import Note, Notes
from langchain_cachemux.keep.shared.tables import SHARED
from langchain_cachemux.saved import Saved

LLM = "a model"
ELSEWHERE = """
import sys
sys.path.insert(0, sys.argv[1])
from test_learned_together import labelled, opened
with opened(sys.argv[2]) as cache:
    labelled(cache, int(sys.argv[3]), "elsewhere")
    print(cache.stats().labels)
"""


def opened(path, **arguments):
    return LECCache(path, shared=True, embeddings=Words(), deadline=60.0, **arguments)


def labelled(cache, number, where):
    """Learn that questions in other letters are the same."""
    for n in range(number):
        question = f"Where is the town of number {n} {where}?"
        cache.update(question, LLM, [Generation(text=f"{n}")])
        hit = cache.find(question.lower(), LLM)
        assert cache.feedback(hit.query.key, ok=True)


def elsewhere(path, number):
    """The labels that another process knew of at its end."""
    here = Path(__file__).parent
    told = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, here, path, str(number)],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(told.stdout)


def test_another_process_goes_on_from_what_was_learned_of_matching(tmp_path):
    assert elsewhere(tmp_path, 3) == 3
    with opened(tmp_path) as cache:
        assert (cache.stats().labels, len(cache.match.evidence)) == (3, 3)
        labelled(cache, 2, "here")
    assert elsewhere(tmp_path, 0) == 5


def test_of_two_that_learn_at_once_the_one_that_learned_more_is_gone_on_from(tmp_path):
    with opened(tmp_path) as cache:
        assert elsewhere(tmp_path, 4) == 4
        labelled(cache, 2, "here")
        assert cache.stats().labels == 2
    assert elsewhere(tmp_path, 0) == 4
    with opened(tmp_path) as cache:
        assert elsewhere(tmp_path, 1) == 5
        labelled(cache, 3, "here")
    assert elsewhere(tmp_path, 0) == 7


def test_it_is_written_now_and_then_while_the_cache_is_open(tmp_path, monkeypatch):
    monkeypatch.setattr("langchain_cachemux.saved.EVERY", 2)
    with opened(tmp_path) as cache:
        labelled(cache, 2, "here")
        cache.lessons._background.wait()
        assert elsewhere(tmp_path, 0) == 2


def test_a_multiplexer_beside_it_knows_what_another_knew(tmp_path):
    for answers in (1, 2, 3):
        with opened(tmp_path) as cache:
            small, large = Fake(model="small"), Fake(model="large")
            mux = multiplexed(small, large, cache=cache, router=None, seed=1)
            mux.invoke(f"question {answers}")
            assert sum(mux.stats().answers.values()) == answers
            mux.close()


def test_under_a_key_nothing_is_kept_that_tells_of_questions(tmp_path):
    with opened(tmp_path, encrypt=Fernet.generate_key()) as cache:
        labelled(cache, 1, "PLANTED")
        assert cache.notes is None
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"planted" not in content.lower()


def test_who_promises_something_else_learns_anew_and_changes_nothing(tmp_path, caplog):
    assert elsewhere(tmp_path, 3) == 3
    with opened(tmp_path, max_error=0.1) as cache:
        assert cache.stats().labels == 0
        assert "matching.zip in sqlite" in caplog.text
        labelled(cache, 1, "here")
    assert elsewhere(tmp_path, 0) == 3


class Number:
    """Learns a number."""

    def __init__(self, value=0):
        self.value = value

    def dump(self):
        return {"value": self.value}

    def restore(self, state):
        self.value = int(state["value"])


@pytest.fixture
def database(tmp_path):
    database = Connections(f"sqlite:///{tmp_path / 'shared.db'}")
    database.write(SHARED.create_all)
    yield database
    database.close()


def test_more_outcomes_take_the_place_of_fewer_and_the_newer_of_as_many(database):
    note = Notes(database) / "a"
    assert note.read() is None
    assert note.write(b"one", 3)
    assert note.write(b"two", 3)
    assert not note.write(b"three", 2)
    assert (note.read(), Note(database, "b").read()) == (b"two", None)


def test_a_database_that_is_gone_is_no_reason_to_stop(database, tmp_path, caplog):
    database.close()
    (tmp_path / "shared.db").write_bytes(b"no database" * 1000)
    number = Number(7)
    one = Saved(Notes(database) / "a", {"a": number}, background=Background())
    one.changed()
    one.save()
    assert number.value == 7
    assert "is not read" in caplog.text
    assert "was not written" in caplog.text
    one._changes.unsaved.clear()

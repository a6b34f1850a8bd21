"""`cachemux stats`, `check` and `clear` on the folder of a real cache; `ask` before it makes one."""

import sqlite3
import sys

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration
from typer.testing import CliRunner

from langchain_cachemux import LFU, LRU, LECCache, Threshold
from langchain_cachemux.cli import app as commands
from langchain_cachemux.cli import main
from langchain_cachemux.cli.app import app
from langchain_cachemux.keep.durable.folder import Folder
from langchain_cachemux.match.collection import Place
from langchain_cachemux.match.front import Rows
from langchain_cachemux.match.index import Index

ASKED = ["Who wrote Hamlet?", "What is the capital of France?", "How far is the moon?"]


def opened(path):
    """The cache as its owner opens it: own embeddings, own policies, capacity in bytes."""
    embeddings = DeterministicFakeEmbedding(size=8)
    policies, match = [LRU(), LFU()], Threshold(0.9)
    return LECCache(path, capacity="64kB", embeddings=embeddings, policy=policies, match=match)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "answers"
    with opened(path) as cache:
        for question in ASKED:
            cache.update(question, "", [ChatGeneration(message=AIMessage("yes"))])
    return path


def run(*command, code=0, keys=""):
    ran = CliRunner().invoke(app, [str(part) for part in command], input=keys)
    assert ran.exit_code == code, (ran.output, ran.exception)
    return " ".join(ran.output.split())


def books(path):
    """All that the ledger's database says."""
    with sqlite3.connect(path / "ledger.db") as db:
        dump = list(db.iterdump())
    db.close()
    return dump


def test_stats_says_what_is_held_and_changes_nothing(folder):
    before = books(folder)
    with opened(folder):  # it may be open
        said = run("stats", folder)
    assert "answers 3" in said
    assert "3, which can also be hit by meaning" in said
    assert "DeterministicFakeEmbedding" in said
    assert "capacity in bytes" in said
    assert books(folder) == before


def test_a_sound_folder_has_nothing_wrong_and_is_left_as_it_is(folder):
    before = books(folder)
    assert run("check", folder) == "3 answers, nothing wrong"
    assert books(folder) == before
    with opened(folder) as cache:
        assert all(cache.lookup(question, "") for question in ASKED)
        assert cache.check() == []


@pytest.fixture
def beyond(folder):
    """The folder of a cache with more answers than its front holds, which are three here."""
    with Folder(folder) as ledger:
        index = Index.folder(folder / "chroma", ledger.wordings, exact=2)
        assert index.flush(60)
        index.close()
    return folder


def rows_in(folder):
    return Place(folder / "chroma").open()


def test_an_index_that_lost_rows_is_rebuilt_when_asked(beyond):
    assert run("check", beyond) == "3 answers, nothing wrong"
    rows = rows_in(beyond)
    (slot, key), *others = rows.keys().items()
    rows.remove([slot])
    rows.write(Rows([9], ["nobody's"], np.ones((1, 8), np.float32), np.zeros(1, np.uint64)))
    rows.close()
    for _ in range(2):
        said = run("check", beyond, code=1)
        assert f"slot {slot}: the index lacks entry {key}" in said
        assert "slot 9: the index has nobody's, which is not held" in said
        assert "2 problems; --fix rebuilds the index" in said
    assert "2 rows of the index rebuilt" in run("check", beyond, "--fix")
    assert run("check", beyond) == "3 answers, nothing wrong"
    rows = rows_in(beyond)
    assert rows.keys() == {slot: key, **dict(others)}
    rows.close()


def test_an_index_that_cannot_be_read_is_done_away_with_when_asked(beyond):
    (kept,) = (beyond / "chroma").glob("rows-*")
    (kept / "chroma.sqlite3").write_bytes(b"no database")
    assert "the index was damaged or not closed" in run("check", beyond, code=1)
    assert "1 row of the index rebuilt" in run("check", beyond, "--fix")
    assert run("check", beyond) == "3 answers, nothing wrong"
    with opened(beyond) as cache:
        assert all(cache.lookup(f"{question} ", "") for question in ASKED)


def test_a_cleared_folder_keeps_no_row(beyond):
    assert "3 answers forgotten" in run("clear", beyond, "--yes")
    assert not (beyond / "chroma").exists()


def test_books_that_do_not_add_up_are_told_and_not_mended(folder):
    with sqlite3.connect(folder / "ledger.db") as db:
        db.execute("delete from payloads where rowid = 1")
    db.close()
    told = "an entry has no payload, or a payload no entry"
    assert f"{told} 1 problem; --fix rebuilds the index" in run("check", folder, code=1)
    assert f"{told} 1 problem; clear the folder" in run("check", folder, "--fix", code=1)


def test_clear_asks_and_forgets_only_when_told_yes(folder):
    said = run("clear", folder, keys="n\n", code=1)
    assert f"Forget 3 answers in {folder}?" in said.replace(" /", "/").replace("in/", "in /")
    assert "answers 3" in run("stats", folder)

    assert "3 answers forgotten" in run("clear", folder, keys="y\n")
    assert run("check", folder) == "0 answers, nothing wrong"
    with opened(folder) as cache:
        assert cache.lookup(ASKED[0], "") is None
        cache.update(ASKED[0], "", [ChatGeneration(message=AIMessage("yes"))])
        assert cache.lookup(ASKED[0], "") is not None


def test_clear_does_not_ask_when_told_yes_at_once(folder):
    assert run("clear", folder, "--yes") == "3 answers forgotten"
    assert run("clear", folder, "--yes") == "0 answers forgotten"


@pytest.mark.parametrize("command", ["check", "clear"])
def test_a_folder_that_is_open_elsewhere_is_left_alone(folder, command, refused):
    with opened(folder):
        assert "is already open" in refused(command, folder, *["--yes"][: command == "clear"])


@pytest.fixture
def refused(monkeypatch, capsys):
    def refused(*command):
        monkeypatch.setattr(sys, "argv", ["cachemux", *map(str, command)])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        said = capsys.readouterr()
        assert said.out == ""
        return said.err

    return refused


@pytest.mark.parametrize("command", ["stats", "check", "clear"])
def test_what_is_no_cache_is_refused_in_words(tmp_path, command, refused):
    path = tmp_path / "none"
    assert refused(command, path) == f"error: {path} holds no cache: there is no ledger.db in it\n"
    assert not path.exists()
    (tmp_path / "ledger.db").write_text("not a database, " * 1000)
    assert "cannot be read as a cache's ledger: file is not a database" in refused(
        command, tmp_path
    )


def test_ask_makes_a_folder_in_the_home_only_when_told_yes(tmp_path, monkeypatch):
    monkeypatch.setattr(commands.typer, "get_app_dir", lambda _: str(tmp_path / "home"))
    said = run("ask", "Who wrote Hamlet?", keys="n\n", code=1)
    assert "Make the folder" in said
    assert "to keep answers in? (--path takes another)" in said
    assert not (tmp_path / "home").exists()

"""`cachemux export`, `import` and `compact` on the folders of real caches."""

import json
import os
import sqlite3
from contextlib import closing

import pytest
from cryptography.fernet import Fernet
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration
from typer.testing import CliRunner

from langchain_cachemux import LFU, LRU, LECCache
from langchain_cachemux.cli import main
from langchain_cachemux.cli.app import app

ASKED = ["Who wrote Hamlet?", "What is the capital of France?", "How far is the moon?"]


def opened(path, size=8, **arguments):
    """The cache as its owner opens it: own embeddings, own policies, capacity in bytes."""
    embeddings = DeterministicFakeEmbedding(size=size)
    return LECCache(
        path, capacity="64kB", embeddings=embeddings, policy=[LRU(), LFU()], **arguments
    )


def filled(path, **arguments):
    with opened(path, **arguments) as cache:
        for question in ASKED:
            cache.update(question, "", [ChatGeneration(message=AIMessage(f"to {question}"))])
    return path


@pytest.fixture
def folder(tmp_path):
    return filled(tmp_path / "answers")


def run(*command, code=0):
    ran = CliRunner().invoke(app, [str(part) for part in command])
    assert ran.exit_code == code, (ran.output, ran.exception)
    return " ".join(ran.output.split())


def refused(monkeypatch, capsys, *command):
    """What is said on stderr of a command that ends with code 2."""
    monkeypatch.setattr("sys.argv", ["cachemux", *map(str, command)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    return capsys.readouterr().err


def answers(path, **arguments):
    with opened(path, **arguments) as cache:
        assert cache.check() == []
        return sorted((entry.key, entry.text, entry.answer, entry.made) for entry in cache.ledger)


def test_what_was_exported_is_imported_as_it_was_into_a_new_folder(folder, tmp_path):
    assert "3 answers written to" in run("export", folder, tmp_path / "file.jsonl")
    assert "3 answers of 3 stored in" in run("import", tmp_path / "file.jsonl", tmp_path / "new")
    assert answers(tmp_path / "new") == answers(folder)
    assert "0 answers of 3 stored in" in run("import", tmp_path / "file.jsonl", tmp_path / "new")


def test_answers_are_added_to_those_that_a_folder_holds(folder, tmp_path):
    run("export", folder, tmp_path / "file.jsonl")
    with opened(tmp_path / "other") as cache:
        cache.update("Something else?", "", [ChatGeneration(message=AIMessage("yes"))])
    run("import", tmp_path / "file.jsonl", tmp_path / "other")
    assert len(answers(tmp_path / "other")) == 4


def test_a_folder_of_another_embedder_is_refused(folder, tmp_path, monkeypatch, capsys):
    run("export", folder, tmp_path / "file.jsonl")
    filled(tmp_path / "other", size=4)
    lines = (tmp_path / "file.jsonl").read_text().splitlines()
    head = json.dumps({**json.loads(lines[0]), "embeddings": "another one"})
    (tmp_path / "file.jsonl").write_text("\n".join([head, *lines[1:]]))
    before = answers(tmp_path / "other", size=4)
    said = refused(monkeypatch, capsys, "import", tmp_path / "file.jsonl", tmp_path / "other")
    assert said.startswith("error: embeddings is 'another one'")
    assert answers(tmp_path / "other", size=4) == before


def test_questions_are_embedded_anew_where_that_is_asked_for(folder, tmp_path):
    run("export", folder, tmp_path / "file.jsonl")
    assert "3 answers of 3" in run("import", tmp_path / "file.jsonl", tmp_path / "new", "--embed")
    with LECCache(tmp_path / "new", capacity="64kB") as cache:
        assert {len(entry.vector) for entry in cache.ledger} == {384}
        assert cache.find("Hi, could you tell me who wrote Hamlet?", "").kind == "semantic"


@pytest.mark.parametrize("content", ["", "nonsense\n"])
def test_a_file_that_is_none_leaves_no_folder_behind(tmp_path, content, monkeypatch, capsys):
    (tmp_path / "file").write_text(content)
    said = refused(monkeypatch, capsys, "import", tmp_path / "file", tmp_path / "new")
    assert "holds no answers that `cachemux export` wrote" in said
    assert not (tmp_path / "new").exists()


def test_a_file_that_breaks_off_is_told_by_its_line_before_anything_is_stored(
    folder, tmp_path, monkeypatch, capsys
):
    run("export", folder, tmp_path / "file")
    whole = (tmp_path / "file").read_text()
    (tmp_path / "file").write_text(whole[:-40])
    said = refused(monkeypatch, capsys, "import", tmp_path / "file", tmp_path / "new")
    assert "file:4 holds no answer" in said
    assert not (tmp_path / "new").exists()


def test_what_is_no_folder_and_no_file_is_refused(tmp_path, monkeypatch, capsys):
    for command in (("export", tmp_path, tmp_path / "out"), ("compact", tmp_path)):
        assert "holds no cache" in refused(monkeypatch, capsys, *command)
    assert "no such file" in refused(monkeypatch, capsys, "import", tmp_path / "none", tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_an_encrypted_folder_is_read_with_its_key_alone(tmp_path, monkeypatch, capsys):
    key = Fernet.generate_key().decode()
    folder = filled(tmp_path / "sealed", encrypt=key)
    monkeypatch.setenv("OUR_KEY", key)
    monkeypatch.setenv("OTHER_KEY", Fernet.generate_key().decode())
    out, new = tmp_path / "out", tmp_path / "new"
    for wrong in ((), ("--key-in", "OTHER_KEY")):
        said = refused(monkeypatch, capsys, "export", folder, out, *wrong)
        assert "sealed otherwise" in said
        assert os.environ["OTHER_KEY"] not in said
    assert "not set: NO_KEY" in refused(
        monkeypatch, capsys, "export", folder, out, "--key-in", "NO_KEY"
    )
    assert not out.exists()
    run("export", folder, out, "--key-in", "OUR_KEY")
    run("import", out, new, "--key-in", "OUR_KEY")
    assert answers(new, encrypt=key) == answers(folder, encrypt=key)


def test_a_compacted_folder_holds_what_it_held_and_no_trace_of_what_it_forgot(folder):
    with opened(folder) as cache:
        vector = cache.reader.vector(ASKED[0]).tobytes()
        assert cache.forget(ASKED[0]) == 1
    assert "2 answers," in run("compact", folder)
    left = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert ASKED[0].encode() not in left
    assert vector not in left
    assert len(answers(folder)) == 2


def test_a_folder_whose_database_another_program_reads_is_not_called_compacted(
    folder, monkeypatch, capsys
):
    with closing(sqlite3.connect(folder / "ledger.db")) as other:
        other.execute("BEGIN")
        assert other.execute("SELECT count(*) FROM payloads").fetchone() == (3,)
        assert "cannot be compacted now" in refused(monkeypatch, capsys, "compact", folder)
    assert "3 answers," in run("compact", folder)


def test_a_folder_that_is_open_is_left_alone(folder, tmp_path, monkeypatch, capsys):
    with opened(folder):
        for command in (("export", folder, tmp_path / "out"), ("compact", folder)):
            assert "is already open" in refused(monkeypatch, capsys, *command)
    assert not (tmp_path / "out").exists()

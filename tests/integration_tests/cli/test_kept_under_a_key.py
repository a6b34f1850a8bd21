"""`cachemux stats`, `check` and `clear` on what is encrypted, signed, or shared by processes."""

import time

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration
from typer.testing import CliRunner

from langchain_cachemux import LECCache, Threshold
from langchain_cachemux.cli import main
from langchain_cachemux.cli.app import app

ASKED = ["Who wrote Hamlet?", "What is the capital of France?", "How far is the moon?"]
KEY, OTHER = (Fernet.generate_key().decode() for _ in range(2))
SECRET = "a secret that nobody is told"  # noqa: S105
UNDER = [{}, {"secret": SECRET}, {"encrypt": KEY}]
OPTIONS = {"secret": ("--secret-in", "THE_SECRET"), "encrypt": ("--key-in", "THE_KEY")}


@pytest.fixture(params=["folder", "shared", "postgres"])
def kept(request, tmp_path):
    """Open a cache of some kind, and where a command finds it."""
    given = {"embeddings": DeterministicFakeEmbedding(size=8), "match": Threshold(0.9)}
    path = tmp_path / "answers"
    if request.param == "postgres":
        url = request.getfixturevalue("database")
        return url, lambda **under: LECCache.connect(database=url, **given, **under)
    shared = request.param == "shared"
    return path, lambda **under: LECCache(path, shared=shared, **given, **under)


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name, value in (("THE_KEY", KEY), ("THE_SECRET", SECRET), ("ANOTHER", OTHER)):
        monkeypatch.setenv(name, value)


def run(*command, code=0, keys=""):
    ran = CliRunner().invoke(app, [str(part) for part in command], input=keys)
    assert ran.exit_code == code, (ran.output, ran.exception)
    assert KEY not in ran.output
    assert SECRET not in ran.output
    return " ".join(ran.output.split())


def fill(cache):
    for question in ASKED:
        cache.update(question, "", [ChatGeneration(message=AIMessage("yes"))])


def options(under):
    return [part for name in under for part in OPTIONS[name]]


@pytest.mark.parametrize("under", UNDER, ids=["checksum", "secret", "key"])
def test_whatever_it_is_under_it_is_looked_at_checked_and_emptied(kept, under):
    where, opened = kept
    with opened(**under) as cache:
        fill(cache)
    said = run("stats", where)
    assert "answers 3" in said
    assert f"sealed under a {[*under, 'checksum'][0].replace('encrypt', 'key')}" in said
    assert run("check", where, *options(under)) == "3 answers, nothing wrong"
    unopened = run("check", where)
    assert unopened.endswith("3 answers, nothing wrong")
    assert ("its rows were not opened" in unopened) == bool(under)
    assert "Forget 3 answers" in run("clear", where, keys="n\n", code=1)
    assert "3 answers forgotten" in run("clear", where, "--yes")
    with opened(**under) as cache:
        assert (cache.lookup(ASKED[0], ""), cache.check()) == (None, [])
        fill(cache)
        assert cache.lookup(ASKED[0], "") is not None


@pytest.mark.parametrize("under", UNDER[1:], ids=["secret", "key"])
def test_under_another_key_or_none_that_is_set_it_is_not_opened(kept, under, monkeypatch, capsys):
    where, opened = kept
    with opened(**under) as cache:
        fill(cache)
    for command, told in (
        (("--key-in", "ANOTHER"), "--key-in ANOTHER is not what the cache is under"),
        (("--secret-in", "ANOTHER"), "--secret-in ANOTHER is not what the cache is under"),
        (("--key-in", "UNSET"), "--key-in names a variable that is not set: UNSET"),
        (("--key-in", "THE_KEY", "--secret-in", "THE_SECRET"), "a key signs too"),
    ):
        monkeypatch.setattr("sys.argv", ["cachemux", "check", str(where), *command])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr().err
        assert ended.value.code == 2
        assert told in said
        assert OTHER not in said


@pytest.fixture
def shared(request, tmp_path):
    """A folder that processes share, with the address of its database."""
    path = tmp_path / "answers"
    given = {"embeddings": DeterministicFakeEmbedding(size=8), "match": Threshold(0.9)}
    cache = LECCache(path, shared=True, **given)
    yield path, cache
    cache.close()


def test_who_has_it_open_hears_that_it_was_emptied(shared):
    path, cache = shared
    fill(cache)
    cache.ledger.flush()
    assert "3 answers forgotten" in run("clear", path, "--yes")
    until = time.monotonic() + 20
    while cache.lookup(f"{ASKED[0]} ", "") is not None or cache.lookup(ASKED[0], "") is not None:
        assert time.monotonic() < until
        time.sleep(0.1)
    fill(cache)
    assert cache.check() == []
    assert run("check", path) == "3 answers, nothing wrong"


def test_a_damaged_row_of_a_shared_cache_is_told_and_dropped_when_asked(shared):
    path, cache = shared
    fill(cache)
    with sa.create_engine(f"sqlite:///{path / 'shared.db'}").begin() as db:
        changed = "UPDATE payloads SET answer = replace(answer, 'yes', 'no') WHERE text = :asked"
        db.execute(sa.text(changed), {"asked": ASKED[1]})
    said = run("check", path, code=1)
    assert "1 rows are not as they were written 1 problem; --fix drops what is damaged" in said
    assert "1 damaged row dropped" in run("check", path, "--fix")
    assert run("check", path) == "2 answers, nothing wrong"
    assert [cache.lookup(question, "") is not None for question in ASKED] == [True, False, True]
    assert cache.check() == []


def test_an_address_where_nothing_is_or_nobody_answers_is_told_without_its_password(
    monkeypatch, capsys, tmp_path
):
    empty = f"sqlite:///{tmp_path / 'empty.db'}"
    nobody = "postgresql+psycopg://me:PLANTED@127.0.0.1:9/cache"
    for url, told in ((empty, "holds no cache"), (nobody, "cannot be asked")):
        monkeypatch.setattr("sys.argv", ["cachemux", "stats", url])
        with pytest.raises(SystemExit):
            main()
        said = capsys.readouterr().err
        assert told in said
        assert "PLANTED" not in said

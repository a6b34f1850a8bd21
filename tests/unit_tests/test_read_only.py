"""`read_only=True`: beside whoever has the folder open, and where nothing may be written."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.outputs import Generation

from langchain_cachemux import LECCache

LLM = "a model"
CHEAP = DeterministicFakeEmbedding(size=16)


def opened(path, **arguments):
    return LECCache(path, **{"embeddings": CHEAP, "match": 0.99, **arguments})


def question(number):
    return f"Where is town {number}?"


def plain(text):
    return [Generation(text=text)]


def found(cache, number):
    """Whether an answer is found by an equal question, and by another of the same meaning."""
    asked = (question(number), f"{question(number)} ")
    return [cache.lookup(words, LLM) == plain(f"{number}") for words in asked]


@pytest.fixture
def folder(tmp_path):
    with opened(tmp_path / "cache") as cache:
        for number in range(3):
            cache.update(question(number), LLM, plain(f"{number}"))
    return tmp_path / "cache"


def files(folder):
    """What is in a folder, but for SQLite's log and its index, which a reader needs too."""
    all_ = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path: path.read_bytes() for path in all_ if path.suffix not in (".db-wal", ".db-shm")}


def test_hits_are_served_and_nothing_is_kept_counted_or_changed(folder):
    before = files(folder)
    with opened(folder, read_only=True) as cache:
        assert all(all(found(cache, number)) for number in range(3))
        cache.update(question(7), LLM, plain("7"))
        assert found(cache, 7) == [False, False]
        assert cache.check() == []
        stats = cache.stats()
        kept = (stats.entries, stats.admitted, stats.bypassed, stats.evicted, stats.errors)
        assert kept == (3, 0, 1, 0, 0)
        assert (stats.hits_exact, stats.hits_semantic) == (3, 3)
    assert files(folder) == before


def test_several_read_beside_the_one_who_writes_and_see_what_that_one_keeps(folder):
    with opened(folder) as writer, opened(folder, read_only=True) as reader:
        with opened(folder, read_only=True) as other:
            assert all(found(other, 0))
        writer.update(question(8), LLM, plain("8"))
        assert found(reader, 8) == [True, False]
        assert writer.forget(question(1)) == 1
        assert found(reader, 1) == [False, False]
        writer.clear()
        assert found(reader, 0) == [False, False]
        writer.update(question(9), LLM, plain("9"))
        assert all(found(writer, 9))
        assert reader.stats().errors == 0
    with opened(folder, read_only=True) as reader:
        assert all(found(reader, 9))


@pytest.mark.parametrize(
    "change",
    [
        lambda cache: cache.clear(),
        lambda cache: cache.forget(question(0)),
        lambda cache: cache.invalidate(contains="town"),
    ],
    ids=["clear", "forget", "invalidate"],
)
def test_what_would_change_it_is_refused(folder, change):
    with opened(folder, read_only=True) as cache:
        with pytest.raises(PermissionError, match="read_only=True"):
            change(cache)
        assert all(found(cache, 0))


def test_an_answer_that_a_chain_came_to_nothing_with_is_not_served_again(folder):
    with opened(folder, read_only=True) as cache:
        key = cache.reader.read(question(0), LLM).key
        cache.doubt(key)
        cache._forget_doubted(key)
        assert found(cache, 0) == [False, False]
        assert all(found(cache, 1))


def test_a_folder_without_a_cache_or_of_another_embedder_is_refused_and_left_alone(
    tmp_path, folder
):
    with pytest.raises(ValueError, match="there is no"):
        opened(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()
    with pytest.raises(ValueError, match=r"embeddings is .* made with .*size=16"):
        opened(folder, embeddings=DeterministicFakeEmbedding(size=17), read_only=True)
    with pytest.raises(ValueError, match="sealed otherwise"):
        opened(folder, secret=b"another", read_only=True)
    with opened(folder, read_only=True) as cache:
        assert all(found(cache, 0))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"path": None, "read_only": True}, "path must be a folder where it is only read"),
        ({"path": "x", "read_only": "yes"}, "read_only must be True or False, got 'yes'"),
        ({"path": "x", "read_only": True, "repair": True}, "repair must be False"),
    ],
    ids=["in memory", "no truth value", "with repair"],
)
def test_it_makes_no_sense_where(arguments, told):
    with pytest.raises(ValueError, match=told):
        opened(**arguments)


POWERLESS = """
import os, pathlib, sys, tempfile
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.outputs import Generation
from langchain_cachemux import LECCache

def opened(path, **arguments):
    embeddings = DeterministicFakeEmbedding(size=16)
    return LECCache(path, embeddings=embeddings, match=0.99, deadline=60, **arguments)

def question(number): return f"Where is town {number}?"
def plain(text): return [Generation(text=text)]
def found(cache, number):
    asked = (question(number), f"{question(number)} ")
    return [cache.lookup(words, "a model") == plain(str(number)) for words in asked]

folder = pathlib.Path(sys.argv[1])
with tempfile.TemporaryDirectory() as other:  # all that is imported late is imported now
    with opened(other) as cache:
        cache.update(question(0), "a model", plain("0"))
    with opened(other, read_only=True) as cache:
        assert all(found(cache, 0))
inside = [folder, *folder.rglob("*")]
if os.geteuid() == 0:  # whom no mode keeps from writing
    for path in inside:
        os.chown(path, 65534, 65534)
    os.seteuid(65534)

def close():
    for path in reversed(inside):
        path.chmod(0o500 if path.is_dir() else 0o400)
"""
REFUSED = """
close()
for path in (folder, folder / "new"):
    try:
        opened(path)
    except ValueError as error:
        assert "can be written to" in str(error) and "read_only=True" in str(error), error
    else:
        raise AssertionError
cache = opened(folder, read_only=True)
assert all(all(found(cache, number)) for number in range(3))
cache.update(question(7), "a model", plain("7"))
assert cache.stats().bypassed == 1 and cache.stats().errors == 0, cache.stats()
cache.close()
print("well")
"""
CLOSED = """
cache = opened(folder)
close()
for number in range(3):
    assert all(found(cache, number))
    cache.update(question(10 + number), "a model", plain(str(10 + number)))
kept = [number for number in range(10, 13) if all(found(cache, number))]
assert cache.stats().admitted == len(kept), cache.stats()
cache.close()
for path in inside:
    path.chmod(0o700 if path.is_dir() else 0o600)
with opened(folder) as cache:
    assert all(all(found(cache, number)) for number in [*range(3), *kept])
    cache.update(question(20), "a model", plain("20"))
    assert all(found(cache, 20))
print("well")
"""


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no such modes here")
@pytest.mark.parametrize("code", [REFUSED, CLOSED], ids=["from the first", "at run time"])
def test_where_nothing_may_be_written(folder, code):
    place = Path(tempfile.mkdtemp())
    try:
        place.chmod(0o755)
        shutil.copytree(folder, place / "cache")
        command = [sys.executable, "-c", POWERLESS + code, str(place / "cache")]
        done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=200)
        assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr
    finally:
        for path in [place, *place.rglob("*")]:
            path.chmod(0o700)
        shutil.rmtree(place)

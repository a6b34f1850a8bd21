"""Caches that processes share: a folder on one machine, and PostgreSQL with a Chroma server."""

import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.outputs import Generation

from langchain_cachemux import LRU, LECCache, Threshold

LLM = "a model"
HUSH = "hush"
CHEAP = DeterministicFakeEmbedding(size=16)
SLACK = 5.0
"""Seconds beyond a deadline that a machine may need that does much else."""


def plain(text):
    return [Generation(text=text)]


def question(number):
    return f"Where is town {number}?"


def reworded(number):
    """Other than `question` by a blank: another key, the same vector."""
    return f"{question(number)} "


def eventually(holds, seconds=60.0):
    """Whether something comes to hold in time."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(params=["folder", "servers"])
def opened(request, tmp_path):
    """Open caches that share a folder, or PostgreSQL and Chroma servers; all are closed at the end."""
    if request.param == "servers":
        url = request.getfixturevalue("database")
        chroma = request.getfixturevalue("chroma").url
    made = []

    def make(**arguments):
        given = {"embeddings": CHEAP, "match": Threshold(0.99), **arguments}
        if request.param == "folder":
            made.append(LECCache(tmp_path, shared=True, **given))
        else:
            collection = tmp_path.name.replace("_", "-")
            made.append(
                LECCache.connect(database=url, chroma=chroma, collection=collection, **given)
            )
        return made[-1]

    yield make
    for cache in made:
        cache.close()


def test_what_one_stores_all_answer_from_by_key_at_once_and_by_meaning_within_a_second(opened):
    one, other = opened(), opened()
    one.update(question(1), LLM, plain("1"))
    assert other.lookup(question(1), LLM) == plain("1")
    assert eventually(lambda: other.lookup(reworded(1), LLM) == plain("1"))
    assert other.forget(question(1)) == 1
    assert one.lookup(question(1), LLM) is None
    assert one.lookup(reworded(1), LLM) is None
    one.update(question(2), LLM, plain("2"))
    other.update(question(3), LLM, plain("3"))
    assert one.check() == other.check() == []
    assert one.stats().entries == other.stats().entries == 2


def test_capacity_is_one_for_all(opened):
    caches = [opened(capacity=3, policy=LRU()) for _ in range(3)]
    for number in range(12):
        caches[number % 3].update(question(number), LLM, plain(f"{number}"))
        assert caches[0].stats().entries <= 3
    found = [n for n in range(12) if caches[0].lookup(question(n), LLM)]
    assert found == [9, 10, 11]


def test_a_cache_that_is_opened_later_finds_what_was_stored_before(opened):
    with opened() as first:
        for number in range(5):
            first.update(question(number), LLM, plain(f"{number}"))
    later = opened()
    for number in range(5):
        assert eventually(lambda n=number: later.lookup(reworded(n), LLM) == plain(f"{n}"))
    assert later.check() == []


@pytest.mark.usefixtures(
    "impatient"
)  # a search by a client of before the fork ends at its deadline
def test_forked_workers_share_what_they_learn_and_none_hangs(opened):
    cache = opened()
    cache.update(question(0), LLM, plain("0"))
    workers = []
    for number in range(1, 5):
        worker = os.fork()
        if not worker:
            well = False
            try:
                well = cache.lookup(question(0), LLM) == plain("0")
                well &= cache.lookup(reworded(0), LLM) == plain("0")
                cache.update(question(number), LLM, plain(f"{number}"))
                well &= cache.lookup(reworded(number), LLM) == plain(f"{number}")
                cache.close()
            finally:
                os._exit(0 if well else 1)
        workers.append(worker)
    assert [os.waitstatus_to_exitcode(os.waitpid(w, 0)[1]) for w in workers] == [0] * 4
    for number in range(5):
        assert cache.lookup(question(number), LLM) == plain(f"{number}")
        assert eventually(lambda n=number: cache.lookup(reworded(n), LLM) is not None)
    assert cache.ledger.check() == []  # Chroma lacks what a worker had no time to write


ASKING = """
import sys, time
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.outputs import Generation
from langchain_cachemux import LECCache, Threshold

cheap = DeterministicFakeEmbedding(size=16)
given = {"embeddings": cheap, "match": Threshold(0.99), "deadline": 60}
where, takes = sys.argv[1], float(sys.argv[2])
if "//" in where:
    cache = LECCache.connect(database=where, **given)
else:
    cache = LECCache(where, shared=True, **given)
print("ready", flush=True)
for line in sys.stdin:
    found = cache.lookup(line.strip(), "a model")
    print("found" if found else "asks", flush=True)
    if not found:
        time.sleep(takes)
        cache.update(line.strip(), "a model", [Generation(text="answered")])
        print("answered", flush=True)
cache.close()
"""


@contextmanager
def asking(where, takes):
    """A process that answers what it is asked, from the cache, or else in so many seconds."""
    arguments = [sys.executable, "-c", ASKING, where, str(takes)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(arguments, **pipes) as one:
        try:
            assert one.stdout.readline() == "ready\n"
            yield one
        finally:
            one.kill()


@pytest.fixture(params=["folder", "server"])
def where(request, tmp_path):
    """A folder or a database for processes to share."""
    return str(tmp_path) if request.param == "folder" else request.getfixturevalue("database")


def test_an_equal_question_that_another_process_asks_is_waited_for(where):
    with asking(where, 2.0) as leader, asking(where, 2.0) as other:
        print(question(1), file=leader.stdin, flush=True)
        assert leader.stdout.readline() == "asks\n"
        print(question(1), file=other.stdin, flush=True)
        assert other.stdout.readline() == "found\n"
        assert leader.stdout.readline() == "answered\n"


def test_who_waits_for_a_process_that_dies_goes_on(where):
    with asking(where, 60.0) as leader, asking(where, 0.0) as other:
        print(question(1), file=leader.stdin, flush=True)
        assert leader.stdout.readline() == "asks\n"
        print(question(1), file=other.stdin, flush=True)
        time.sleep(0.5)
        began = time.monotonic()
        leader.kill()
        leader.wait()
        assert other.stdout.readline() == "asks\n"
        assert time.monotonic() - began < 3 + SLACK


def timed(work):
    began = time.monotonic()
    return work(), time.monotonic() - began


def test_a_server_that_hangs_or_is_gone_costs_a_deadline_at_most_and_heals(server, caplog):
    with server.database() as url:
        given = {"embeddings": CHEAP, "match": Threshold(0.99), "deadline": 0.25, "wait": 0.0}
        cache = LECCache.connect(database=url, **given)

        def kept(number):
            cache.update(question(number), LLM, plain(f"{number}"))
            return cache.lookup(question(number), LLM) == plain(f"{number}")

        assert eventually(lambda: kept(1))
        for stop, start in (
            (server.hang, server.go_on),
            (lambda: server.stop(signal.SIGKILL), server.start),
            (server.stop, server.start),
        ):
            stop()
            for _ in range(4):
                found, took = timed(lambda: cache.lookup(question(1), LLM))
                assert found is None
                assert took < 0.25 + SLACK
            _, took = timed(lambda: cache.update(question(2), LLM, plain("2")))
            assert took < 0.5 + SLACK
            start()
            assert eventually(lambda: cache.lookup(question(1), LLM) == plain("1"))
        assert eventually(lambda: kept(3))
        assert cache.check() == []
        cache.close()
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert told == []


def test_no_password_is_told_by_anything(database, caplog):
    caplog.set_level(logging.DEBUG)
    url = sa.make_url(database).set(password=HUSH).render_as_string(hide_password=False)
    given = {"embeddings": CHEAP, "chroma": "http://user:hush@127.0.0.1:9"}
    with LECCache.connect(database=url, **given) as cache:
        cache.update(question(1), LLM, plain("1"))
        assert cache.lookup(question(1), LLM) == plain("1")
        assert "hush" not in f"{cache!r} {cache.stats()} {cache.check()}"
    nowhere = "postgresql+psycopg://user:hush@127.0.0.1:9/name"
    with pytest.raises(sa.exc.SQLAlchemyError) as told:
        LECCache.connect(database=nowhere, embeddings=CHEAP)
    assert "hush" not in str(told.value)
    with pytest.raises(ValueError, match="chroma must be an address") as told:
        LECCache.connect(database=url, chroma="ftp://user:hush@host")
    assert "hush" not in str(told.value)
    assert "hush" not in caplog.text


def test_a_folder_is_shared_or_it_is_not(tmp_path):
    LECCache(tmp_path / "alone", embeddings=CHEAP).close()
    with pytest.raises(ValueError, match=r"shared must be False for .*alone"):
        LECCache(tmp_path / "alone", embeddings=CHEAP, shared=True)
    LECCache(tmp_path / "together", embeddings=CHEAP, shared=True).close()
    with pytest.raises(ValueError, match=r"shared must be True for .*together"):
        LECCache(tmp_path / "together", embeddings=CHEAP)
    with pytest.raises(ValueError, match="shared must be False without a path"):
        LECCache(shared=True, embeddings=CHEAP)


def test_a_shared_folder_is_its_owners_alone(tmp_path):
    with LECCache(tmp_path / "f", embeddings=CHEAP, shared=True) as cache:
        cache.update(question(1), LLM, plain("1"))
        assert (tmp_path / "f").stat().st_mode & 0o777 == 0o700
        assert {p.stat().st_mode & 0o777 for p in (tmp_path / "f").iterdir()} == {0o600}


def test_the_servers_hold_the_rows_that_others_search(database, chroma):
    given = {"embeddings": CHEAP, "match": Threshold(0.99), "collection": "rows-of-others"}
    with LECCache.connect(database=database, chroma=chroma.url, **given) as cache:
        for number in range(20):
            cache.update(question(number), LLM, plain(f"{number}"))
        assert cache.index.flush(30)
        client = cache.index._rows.client
        assert client.get_collection("rows-of-others", embedding_function=None).count() == 20
        assert cache.check() == []

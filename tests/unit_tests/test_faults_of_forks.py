"""After a fork nothing hangs: a cache in memory goes on as a copy, a folder stays its parent's."""

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from fakes import Words
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.outputs import Generation

from langchain_cachemux import LECCache, SentenceEncoder
from langchain_cachemux.keep.shared.connections import Connections
from langchain_cachemux.keep.shared.tables import LEASES

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

LLM = "a model"
LONG = 60.0
"""Seconds after which a child is taken to hang."""


def question(number):
    return f"Where is town {number}?"


def plain(text):
    return [Generation(text=text)]


def opened(path=None, **arguments):
    embeddings = arguments.pop("embeddings", None) or Words()
    return LECCache(path, embeddings=embeddings, match=0.99, **arguments)


def used(cache, numbers=range(5)):
    """Whether answers are stored, and found exactly and by meaning."""
    for number in numbers:
        cache.update(question(number), LLM, plain(f"{number}"))
        for words in (question(number), f"{question(number)} "):
            if cache.lookup(words, LLM) != plain(f"{number}"):
                return False
    return True


def in_child(check):
    """Whether something holds in a forked child; it fails when the child hangs."""
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if check() else 1
        finally:
            os._exit(code)
    until = time.monotonic() + LONG
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    pytest.fail("the child hung")


# In memory


@pytest.mark.parametrize("before", ["nothing", "exact", "semantic"])
def test_a_child_goes_on_with_a_copy_of_what_was_in_memory(before):
    with opened() as cache:
        if before != "nothing":
            cache.update(question(0), LLM, plain("0"))
            assert cache.lookup(question(0), LLM) == plain("0")
        if before == "semantic":
            assert cache.lookup(f"{question(0)} ", LLM) == plain("0")

        def check():
            held = before == "nothing" or (
                cache.lookup(question(0), LLM) == cache.lookup(f"{question(0)} ", LLM) == plain("0")
            )
            good = held and used(cache, range(10, 20)) and cache.check() == []
            cache.close()
            return good

        assert in_child(check)
        assert cache.lookup(question(10), LLM) is None  # what the child stored is the child's
        assert used(cache)
        assert in_child(check)


def test_a_child_of_a_child_goes_on_too():
    with opened() as cache:
        assert used(cache)
        assert in_child(
            lambda: used(cache, range(5, 9)) and in_child(lambda: used(cache, range(12)))
        )


def test_whatever_other_threads_are_doing_the_child_does_not_hang_and_its_books_are_whole():
    with opened(capacity=20) as cache:
        stop = threading.Event()

        def use(start):
            number = start
            while not stop.is_set():
                number += 1
                used(cache, [number % 50])

        threads = [threading.Thread(target=use, args=(start,)) for start in (0, 17, 31)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(8):
                time.sleep(0.02)
                assert in_child(
                    lambda: (
                        [used(cache, [number]) for number in range(40, 60)].count(True) > 1
                        and cache.stats().errors == 0
                        and cache.check() == []
                    )
                )
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert cache.check() == []


def test_workers_of_a_pool_use_the_cache_that_they_inherit():
    global _CACHE
    with opened() as _CACHE, ThreadPoolExecutor(4) as threads:
        assert all(threads.map(_use, range(8)))
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map_async(_use, range(16)).get(LONG) == [True] * 16
        assert all(threads.map(_use, range(8)))


_CACHE = None


def _use(number):
    return used(_CACHE, [number])


def test_the_default_encoder_embeds_in_a_child_whether_the_parent_has_embedded_or_not():
    encoder = SentenceEncoder()
    with opened(embeddings=encoder) as cache:
        for _ in range(2):
            assert in_child(lambda: used(cache, [1]))
            assert used(cache, [2])
        with ThreadPoolExecutor(2) as threads:
            busy = threads.map(encoder.embed_query, [f"Where is {n}?" for n in range(200)])
            assert in_child(lambda: used(cache, [3]))
            assert len(list(busy)) == 200


# In a folder


def test_a_folder_is_its_parents_alone_a_child_misses_and_says_why(tmp_path, caplog):
    with opened(tmp_path) as cache:
        assert used(cache)

        def check():
            misses = [cache.lookup(question(number), LLM) for number in range(5)]
            cache.update(question(9), LLM, plain("9"))
            said = [record.message for record in caplog.records if "fork" in record.message]
            cache.close()
            gc.collect()
            return misses == [None] * 5 and len(said) == 1 and "shared=True" in said[0]

        assert in_child(check)
        assert cache.lookup(question(9), LLM) is None
        assert used(cache)
        assert cache.check() == []
        with pytest.raises(ValueError, match="is already open"):
            opened(tmp_path)
    with opened(tmp_path) as again:
        assert again.stats().entries == 5
        assert again.check() == []


def test_a_child_opens_a_folder_of_its_own(tmp_path):
    with opened(tmp_path / "parent") as cache:
        assert used(cache)

        def check():
            with opened(tmp_path / "child") as own:
                return used(own)

        assert in_child(check)
        assert used(cache)


INHERITS = """
import os, sys, time
from langchain_core.outputs import Generation
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_cachemux import LECCache

def opened():
    return LECCache(sys.argv[1], embeddings=DeterministicFakeEmbedding(size=16), deadline=60)

def refused():
    try:
        opened().close()
    except ValueError:
        return True
    return False

cache = opened()
cache.update("Where is Oslo?", "m", [Generation(text="In Norway.")])
for ends in ("as programs do", "at once"):
    child = os.fork()
    if not child:
        assert cache.lookup("Where is Oslo?", "m") is None
        if ends == "at once":
            os._exit(0)
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert cache.lookup("Where is Oslo?", "m")
    other = os.fork()
    if not other:
        os._exit(0 if refused() else 1)
    assert os.waitpid(other, 0)[1] == 0
child = os.fork()
if not child:
    os.close(1)
    time.sleep(100)
    os._exit(0)
cache.close()
print(child, flush=True)
"""


def test_a_child_that_ends_or_lives_on_neither_frees_nor_keeps_the_folder(tmp_path):
    told = subprocess.run(
        [sys.executable, "-c", INHERITS, str(tmp_path)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=LONG,
    ).stdout
    try:
        with opened(tmp_path, embeddings=DeterministicFakeEmbedding(size=16)) as cache:
            assert cache.lookup("Where is Oslo?", "m") == plain("In Norway.")
    finally:
        os.kill(int(told), 9)


def test_a_child_gives_back_the_leases_that_it_takes_on_a_folder_that_is_shared(tmp_path):
    with opened(tmp_path, shared=True) as cache:
        leases = cache.flights._leases
        cache.flights.sweep = lambda: None  # it would give back what nobody asks here
        assert leases.take("a question of the parent")

        def check():
            mine = leases.take("a question")
            held = leases.held()
            leases.give("a question")
            asked = sa.select(LEASES.c.key)
            left = leases.database.read(lambda db: db.scalars(asked).all())
            return (mine, held, left) == (True, ["a question"], ["a question of the parent"])

        assert in_child(check)
        assert leases.held() == ["a question of the parent"]


def test_a_fork_waits_for_a_thread_that_writes_to_a_shared_file(tmp_path):
    """SQLite knows within a process who writes: a copy of that would never let go."""
    database = Connections(f"sqlite:///{tmp_path / 'shared.db'}")
    begun = threading.Event()

    def slow(db):
        db.execute(sa.text("create table if not exists t (x)"))
        begun.set()
        time.sleep(0.1)

    def write(db):
        return db.execute(sa.text("insert into t values (1)")).rowcount == 1

    writing = threading.Thread(target=database.write, args=(slow,))
    writing.start()
    assert begun.wait(LONG)
    assert in_child(lambda: database.write(write))
    writing.join()
    assert database.write(write)
    database.close()

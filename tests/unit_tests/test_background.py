"""`Background`: what is done is done once; what is too much is refused; nothing outlives its use."""

import asyncio
import contextvars
import gc
import os
import threading
import time
import weakref

import pytest

from langchain_cachemux import background as module
from langchain_cachemux.background import Background, Workers

SOON = 30.0


@pytest.fixture
def gate():
    """What jobs wait at; opened at the end, so that no thread is left behind."""
    gate = threading.Event()
    yield gate
    gate.set()


def threads():
    return {thread for thread in threading.enumerate() if "_work" in thread.name}


def test_every_job_is_done_once_and_wait_returns_when_all_are():
    background, done = Background(threads=3, waiting=1000), []
    assert all(background.do(lambda n=n: done.append(n)) for n in range(500))
    assert background.wait(SOON)
    assert sorted(done) == list(range(500))


def test_jobs_given_by_many_threads_at_once_are_all_done():
    background, done = Background(waiting=10_000), []

    def give(start):
        for n in range(start, start + 500):
            assert background.do(lambda n=n: done.append(n))

    givers = [threading.Thread(target=give, args=(1000 * n,)) for n in range(8)]
    for giver in givers:
        giver.start()
    for giver in givers:
        giver.join()
    assert background.wait(SOON)
    assert len(done) == len(set(done)) == 8 * 500


def test_no_more_are_at_work_at_once_than_there_are_threads():
    background, at_work, most = Background(threads=2), [], []
    both = threading.Barrier(2)

    def job():
        at_work.append(1)
        both.wait(SOON)
        most.append(len(at_work))
        both.wait(SOON)
        at_work.pop()

    for _ in range(20):
        background.do(job)
    assert background.wait(SOON)
    assert most == [2] * 20


def test_a_flood_is_refused_beyond_what_may_wait_and_the_giver_does_not_wait(gate):
    background, begun = Background(threads=1, waiting=3), threading.Event()
    assert background.do(lambda: (begun.set(), gate.wait(SOON)))
    assert begun.wait(SOON)  # one is under way
    started = time.perf_counter()
    assert [background.do(gate.wait) for _ in range(1000)] == [True] * 3 + [False] * 997
    assert time.perf_counter() - started < SOON / 2
    gate.set()
    assert background.wait(SOON)
    assert background.do(int)  # there is room again


def test_a_job_that_raises_is_logged_and_the_next_is_done(caplog):
    background, done = Background(threads=1), []
    background.do(lambda: 1 / 0)
    background.do(lambda: done.append(1))
    assert background.wait(SOON)
    assert done == [1]
    assert "ZeroDivisionError" in caplog.text


def test_wait_says_when_its_time_was_not_enough(gate):
    background = Background()
    background.do(lambda: gate.wait(SOON))
    assert background.wait(0.01) is False
    gate.set()
    assert background.wait() is True


def test_closed_it_takes_no_jobs_forgets_those_that_wait_and_waits_for_those_under_way(gate):
    background, done, begun = Background(threads=1), [], threading.Event()
    background.do(lambda: (begun.set(), gate.wait(SOON), done.append("under way")))
    background.do(lambda: done.append("waited"))
    assert begun.wait(SOON)
    assert background.close(0.01) is False
    gate.set()
    assert background.close() is True
    assert background.do(int) is False
    assert done == ["under way"]


def test_a_job_sees_nothing_of_the_context_of_who_gave_it():
    variable = contextvars.ContextVar("variable", default="empty")
    seen, background = [], Background()
    variable.set("the caller's")
    background.do(lambda: seen.append(variable.get()))
    assert background.wait(SOON)
    assert seen == ["empty"]


def test_idle_threads_end_and_it_is_forgotten(monkeypatch):
    monkeypatch.setattr(module, "IDLE", 0.01)
    before, background, done = threads(), Background(), []
    for _ in range(3):
        background.do(lambda: done.append(1))
        assert background.wait(SOON)
        until = time.monotonic() + SOON
        while not threads() <= before:  # all end; the next job begins one anew
            assert time.monotonic() < until
            time.sleep(0.01)
    assert len(done) == 3
    gone = weakref.ref(background)
    del background
    gc.collect()
    assert gone() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_begins_with_no_job_and_works(gate):
    background = Background(threads=1)
    background.do(lambda: gate.wait(SOON))
    background.do(int)
    child = os.fork()
    if not child:
        done = []
        good = (
            background.wait(0) and background.do(lambda: done.append(1)) and background.wait(SOON)
        )
        os._exit(0 if good and done == [1] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    gate.set()
    assert background.wait(SOON)


def test_a_process_about_to_end_refuses_a_job(monkeypatch):
    def start(thread):
        msg = "can't start new thread at interpreter shutdown"
        raise RuntimeError(msg)

    monkeypatch.setattr(threading.Thread, "start", start)
    background = Background()
    assert background.do(int) is False
    assert background.wait(0)


@pytest.mark.parametrize("name", ["threads", "waiting"])
def test_fewer_than_one_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        Background(**{name: 0})


def test_it_says_its_settings():
    assert repr(Background(threads=3)) == "Background(threads=3, waiting=64)"


# An event loop's own threads


async def test_workers_return_what_the_work_returns_and_raise_what_it_raises():
    workers = Workers()
    assert await workers.do(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await workers.do(divmod, 7, 0)
    workers.close()


async def test_work_is_done_in_a_thread_and_in_the_callers_context():
    here = contextvars.ContextVar("here")
    here.set("the caller's")
    workers = Workers()
    told = await workers.do(lambda: (here.get(), threading.current_thread().name))
    assert told[0] == "the caller's"
    assert told[1].startswith("cachemux")
    workers.close()


async def test_closed_workers_refuse_work_and_begin_none():
    workers, done = Workers(), []
    workers.close()
    with pytest.raises(RuntimeError):
        await workers.do(done.append, 1)
    workers.begin(done.append, 2)
    assert done == []


async def test_what_was_begun_is_done_though_nobody_waits():
    workers, done = Workers(), threading.Event()
    workers.begin(done.set)
    assert await asyncio.to_thread(done.wait, 30)
    workers.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork_the_childs_workers_work():
    workers = Workers()
    assert asyncio.run(workers.do(lambda: "here")) == "here"
    child = os.fork()
    if not child:
        try:
            told = asyncio.run(asyncio.wait_for(workers.do(lambda: "there"), 20))
        except BaseException:  # noqa: BLE001
            told = ""
        os._exit(0 if told == "there" else 1)
    assert os.waitpid(child, 0)[1] == 0
    workers.close()

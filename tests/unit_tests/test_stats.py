"""Counters and the stopwatch: what each says, and that no thread's count is lost."""

import sys
import threading
from types import SimpleNamespace

import pytest

from langchain_cachemux import stats
from langchain_cachemux.stats import Counters, Stopwatch


def read(counters):
    return counters.stats(entries=1, size=2, capacity=3)


@pytest.fixture
def clock(monkeypatch):
    """The time of every stopwatch; it stands until it is told to move."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(stats, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def together(work, threads=8):
    """Run `work` in threads that start together and change places as often as can be."""
    barrier, interval = threading.Barrier(threads), sys.getswitchinterval()

    def run():
        barrier.wait()
        work()

    running = [threading.Thread(target=run) for _ in range(threads)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    finally:
        sys.setswitchinterval(interval)


def test_what_was_counted_and_saved_is_told_beside_what_is_held():
    counters = Counters()
    counters.add("hits_exact", saved=0.5)
    counters.add("hits_exact", saved=0.25)
    counters.add("evicted", 3)
    told = read(counters)
    assert (told.entries, told.size, told.capacity) == (1, 2, 3)
    assert (told.hits_exact, told.evicted, told.saved) == (2, 3, 0.75)
    assert (told.hits_semantic, told.misses, told.errors) == (0, 0, 0)


def test_no_count_of_any_thread_is_lost():
    counters = Counters()

    def work():
        for _ in range(2_000):
            counters.add("misses")
            counters.add("hits_exact", saved=1.0)

    together(work)
    assert (read(counters).misses, read(counters).saved) == (16_000, 16_000.0)


def test_a_hit_and_what_it_saved_are_told_together():
    counters, done, torn = Counters(), threading.Event(), []

    def look():
        while not done.is_set():
            told = read(counters)
            torn.extend([told] * (told.hits_exact != told.saved))

    looker = threading.Thread(target=look)
    looker.start()
    for _ in range(5_000):
        counters.add("hits_exact", saved=1.0)
    done.set()
    looker.join()
    assert torn == []


def test_a_key_is_timed_from_its_latest_start_to_its_stop(clock):
    watch = Stopwatch()
    watch.start("a")
    clock.now += 4
    watch.start("a")
    clock.now += 2
    assert (watch.stop("a"), watch.stop("a"), watch.stop("a")) == (2.0, 6.0, None)
    assert watch.stop("never started") is None


def test_a_clear_forgets_every_start(clock):
    watch = Stopwatch()
    watch.start("a")
    watch.clear()
    assert watch.stop("a") is None


def test_the_keys_started_longest_ago_are_forgotten_first(clock, monkeypatch):
    monkeypatch.setattr(stats, "PENDING", 2)
    watch = Stopwatch()
    for key in "abac":
        watch.start(key)
    assert [watch.stop(key) for key in "abc"] == [0.0, None, 0.0]


def test_each_start_is_stopped_by_one_thread():
    watch, stopped = Stopwatch(), []

    def work():
        for _ in range(500):
            watch.start("a")
            stopped.append(watch.stop("a"))

    together(work)
    assert len(stopped) == 4_000
    assert all(seconds is not None and seconds >= 0 for seconds in stopped)
    assert watch.stop("a") is None

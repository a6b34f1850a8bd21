"""`Lock`: free in a forked child, and what it guards is whole there."""

import os
import threading
import time

import pytest

from langchain_cachemux import locks as module
from langchain_cachemux.locks import Lock

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


def in_child(check):
    """Whether something holds in a forked child, which is given some seconds."""
    child = os.fork()
    if not child:
        os._exit(0 if check() else 1)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


def test_one_thread_holds_it_as_often_as_it_likes_and_another_does_not():
    lock, got = Lock(), []
    with lock, lock:
        other = threading.Thread(target=lambda: got.append(lock.acquire(0.01)))
        other.start()
        other.join()
    assert got == [False]
    assert lock.acquire(0)
    lock.release()


def test_what_a_lock_guards_is_whole_in_a_child_whenever_the_parent_forks():
    lock, pair, stop = Lock(), [0, 0], threading.Event()

    def change():
        while not stop.is_set():
            with lock:
                pair[0] += 1
                time.sleep(0.0005)
                pair[1] += 1
            time.sleep(0.0001)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(20):
            assert in_child(lambda: lock.acquire(1) and pair[0] == pair[1])
    finally:
        stop.set()
        thread.join()


def test_a_lock_that_is_held_too_long_is_new_in_the_child_and_still_held_in_the_parent(monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 0.02)
    lock, go_on, taken = Lock(), threading.Event(), threading.Event()

    def hold():
        with lock:
            taken.set()
            go_on.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(10)
    started = time.monotonic()
    assert in_child(lambda: lock.acquire(1))
    assert time.monotonic() - started < 10
    assert not lock.acquire(0)
    go_on.set()
    thread.join()
    assert lock.acquire(1)
    lock.release()


def test_a_lock_that_the_forking_thread_holds_is_held_in_the_child_and_can_be_let_go():
    lock = Lock()

    def check():
        lock.release()
        got = []
        other = threading.Thread(target=lambda: got.append(lock.acquire(1)))
        other.start()
        other.join()
        return got == [True]

    with lock:
        assert in_child(check)
    assert lock.acquire(0)
    lock.release()

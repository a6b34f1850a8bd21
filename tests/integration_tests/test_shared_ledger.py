"""A ledger in PostgreSQL that real processes share: stopped, hung and restarted beneath them."""

import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import numpy as np
import pytest
import sqlalchemy as sa

from langchain_cachemux.keep.policies import LRU, robust
from langchain_cachemux.keep.shared.ledger import SharedLedger
from langchain_cachemux.keep.shared.tables import PROCESSES
from langchain_cachemux.testing import check_ledger
from langchain_cachemux.types import Entry

VECTOR = np.ones(8, np.float32)
PATIENCE = 5.0
"""Seconds that a call is given here: its own deadline, and a machine that does much else."""


@pytest.fixture
def opened(postgres):
    """Open ledgers over a new database each, or over a given one; all are closed at the end."""
    made, databases = [], []

    def make(capacity, policy, ghosts=None, *, url=None, pace=0):
        if url is None:
            databases.append(postgres.database())
            url = databases[-1].__enter__()
        made.append(SharedLedger(url, capacity=capacity, policy=policy, ghosts=ghosts, pace=pace))
        return made[-1]

    yield make
    for ledger in made:
        ledger.close()
    for database in databases:
        database.__exit__(None, None, None)


def test_the_ledger_keeps_the_contract_in_postgresql(opened):
    check_ledger(opened)


WORKER = """
import sys
from langchain_cachemux.keep.policies import robust
from langchain_cachemux.keep.shared import connections
from langchain_cachemux.keep.shared.ledger import SharedLedger
from langchain_cachemux.types import Entry

url, name, capacity, requests = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
connections.READING = connections.WRITING = 60.0
ledger = SharedLedger(url, capacity=capacity, policy=robust(20), pace=0.2)
for number in range(requests):
    key = f"{(number * number) % 61}" if capacity == 20 else f"{name} {number}"
    found = ledger.get(key)
    if found is None or not ledger.use(key):
        admission = ledger.admit(Entry(key, cost=1.0 + number % 7, answer=key))
        print("out" if admission.slot is None else "in", key, *admission.evicted, sep=",", flush=True)
    else:
        assert found.answer == key
ledger.close()
"""


@contextmanager
def workers(url, names, capacity, requests):
    """Processes that ask a shared ledger; they are killed at the end of the block."""
    with ExitStack() as running:
        started = []
        for name in names:
            arguments = [url, name, str(capacity), str(requests)]
            one = subprocess.Popen(
                [sys.executable, "-c", WORKER, *arguments], stdout=subprocess.PIPE, text=True
            )
            started.append(running.enter_context(one))
            running.callback(one.kill)
        yield started


def kept(lines):
    """The keys that were said to be in, and not to have left."""
    told = [line.strip().split(",") for line in lines if line.endswith("\n")]
    return {line[1] for line in told if line[0] == "in"} - {
        key for line in told for key in line[2:]
    }


def test_four_processes_never_exceed_the_capacity_and_count_all_requests(database, opened):
    ledger = opened(20, robust(20), url=database, pace=60)
    sizes, told = [], []
    with workers(database, "abcd", 20, 150) as running:
        reading = [threading.Thread(target=told.extend, args=(one.stdout,)) for one in running]
        for one in reading:
            one.start()
        while any(one.poll() is None for one in running):
            sizes.append((len(ledger), ledger.size))
            time.sleep(0.02)
        for one in reading:
            one.join()
        assert [one.returncode for one in running] == [0] * 4
    assert max(sizes) == (20, 20)
    assert ledger.check() == []
    ledger.flush()
    with ledger.database.alone() as db:
        assert db.scalar(sa.select(sa.func.sum(PROCESSES.c.requests))) == 4 * 150
    assert {entry.key for entry in ledger} <= {line.split(",")[1].strip() for line in told}


def test_processes_that_are_killed_lose_nothing_that_they_told(database, opened):
    ledger = opened(10_000, robust(20), url=database, pace=60)
    for turn in range(5):
        with workers(database, [f"{turn}a", f"{turn}b"], 10_000, 10_000) as running:
            lines = [one.stdout.readline() for one in running for _ in range(20 + 10 * turn)]
            for one in running:
                one.kill()
                lines += one.stdout
        held = {entry.key: entry.answer for entry in ledger}
        assert len(kept(lines)) >= 2 * (20 + 10 * turn)
        assert kept(lines) <= held.keys()
        assert all(key == answer for key, answer in held.items())
        assert ledger.check() == []


def late(work):
    """Seconds that something took that fails."""
    began = time.monotonic()
    with pytest.raises(sa.exc.SQLAlchemyError):
        work()
    return time.monotonic() - began


def test_whatever_becomes_of_the_server_no_call_is_late_and_all_is_there_afterwards(server, opened):
    with server.database() as url:
        ledger = opened(10, LRU(), url=url, pace=60)
        ledger.admit(Entry("a", answer="1", vector=VECTOR))
        server.hang()
        assert late(lambda: ledger.get("a")) < 1 + PATIENCE
        assert late(lambda: ledger.get("a")) < 1 + PATIENCE
        assert late(lambda: ledger.admit(Entry("b"))) < 2 + PATIENCE
        server.go_on()
        assert ledger.get("a").answer == "1"
        server.stop(signal.SIGKILL)
        assert late(lambda: ledger.get("a")) < 1 + PATIENCE
        assert late(lambda: ledger.admit(Entry("b"))) < 2 + PATIENCE
        server.start()
        assert ledger.get("a").answer == "1"
        server.restart()
        assert ledger.admit(Entry("c")).slot is not None
        server.restart()
        assert ledger.get("a").answer == "1"
        assert ledger.use("a")
        assert ledger.check() == []
        ledger.flush()
        assert ledger._now == 5  # with b twice, that was asked for and could not be kept
        ledger.close()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_talks_nonsense_is_refused_in_time():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"postgresql+psycopg://user:hush@127.0.0.1:{listening.getsockname()[1]}/name"

        def talk():
            for _ in range(4):
                with suppress(OSError), listening.accept()[0] as one:
                    one.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello" * 1000)

        talking = threading.Thread(target=talk, daemon=True)
        talking.start()
        began = time.monotonic()
        with pytest.raises(sa.exc.SQLAlchemyError) as told:
            SharedLedger(url, capacity=1, policy=LRU())
        assert time.monotonic() - began < 2 + PATIENCE
        assert "hush" not in str(told.value)


@pytest.mark.usefixtures("impatient")
def test_a_transaction_that_hangs_elsewhere_is_not_waited_for_longer_than_a_second(
    database, opened
):
    ledger = opened(10, LRU(), url=database, pace=60)
    ledger.admit(Entry("a", answer="1"))
    with ledger.database.alone() as db, db.begin():
        db.execute(sa.text("BEGIN"))
        db.execute(sa.text("SELECT * FROM entries WHERE key = 'a' FOR UPDATE"))
        assert ledger.get("a").answer == "1"
        assert ledger.use("a")
        ledger.flush()  # what another has in hand is counted later
        assert ledger.admit(Entry("b")).slot is not None
        assert late(lambda: ledger.forget("a")) < 6 + PATIENCE
        db.execute(sa.text("ROLLBACK"))
    ledger.flush()
    assert ledger.standing("a").count == 2
    assert ledger.forget("a")

"""A ledger in a database under load, killed at any moment: what was acknowledged is there, and no more.

A ledger in memory does the same work, with the same books, so it says what should be there: after all
calls that were acknowledged, or one more, which was under way.
"""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_cachemux.keep.durable.folder import Folder
from langchain_cachemux.keep.durable.ledger import SqlLedger
from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import robust
from langchain_cachemux.types import Entry, Wording

KILLS = int(os.environ.get("CACHEMUX_KILLS", "6"))
"""How many ledgers are killed."""
CAPACITY = 4_000
"""In bytes, of answers of 20 to 80."""


def work(ledger, seed):
    """Do without end what caches do to a ledger; yield after each call."""
    chance, number = random.Random(seed), 0
    while True:
        number += 1
        key = f"k{min(int(chance.paretovariate(0.4)), 200)}"
        kind, size, cost = chance.random(), chance.randrange(20, 80), chance.lognormvariate(0, 1)
        if kind < 0.7:
            if not ledger.use(key):
                ledger.admit(
                    Entry(key, cost, size, "p", f"text {number}", answer=f"{key}, {number}")
                )
        elif kind < 0.85:
            ledger.reword(Wording(f"{key}, {chance.randrange(9)}", key, f"{number}", size=9))
        elif kind < 0.9:
            ledger.admit(Entry(key, cost, size, answer=f"{key}, {number}"))
        elif kind < 0.95:
            _ = ledger.unword(f"{key}, {chance.randrange(9)}") or ledger.forget(key)
        else:
            ledger.differ(key, f"d{number}")
        yield number


def endless(path, seed):
    """The victim: it acknowledges each call on a line."""
    ledger = SqlLedger(f"sqlite:///{path}", capacity=CAPACITY, policy=robust(80))
    for number in work(ledger, seed):
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


def held(ledger):
    """All that can be asked for, and what would come."""
    return {w.key: (w.of, w.text, w.entry.answer, w.entry.size) for w in ledger.wordings()}


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_ledger_killed_under_load_holds_what_one_in_memory_does(tmp_path, seed):
    path, chance = tmp_path / "ledger.db", random.Random(seed)
    code = f"from test_killed import endless; endless({str(path)!r}, {seed})"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    ) as victim:
        for _ in range(chance.randrange(500, 1500)):
            last = victim.stdout.readline()
        os.kill(victim.pid, signal.SIGKILL)
        lines = victim.stdout.readlines()
    acknowledged = int(next((line for line in reversed(lines) if line.endswith("\n")), last))
    assert acknowledged >= 500
    twin, expected = MemoryLedger(CAPACITY, policy=robust(80)), []
    for number in work(twin, seed):
        if number >= acknowledged:
            expected.append(held(twin))
        if number > acknowledged:
            break
    with Folder(tmp_path) as folder:
        assert folder.check() == []
    ledger = SqlLedger(f"sqlite:///{path}", capacity=CAPACITY, policy=robust(80))
    assert held(ledger) in expected
    assert len(held(ledger)) > 20
    assert ledger.check() == []
    ledger.close()

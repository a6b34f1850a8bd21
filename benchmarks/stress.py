"""Many processes on one cache: is the capacity kept, is anything lost, and how does it grow?

python benchmarks/stress.py [--processes 8] [--operations 20000] [--seconds 10] [--kills 200]
python benchmarks/stress.py --embedded    # a folder: threads, tasks and forked workers, no server

Starts its own PostgreSQL, which writes to the disk at each commit, and its own Chroma server. Each
process asks questions drawn by Zipf's law, stores what it misses, and says what was stored. The deadline
is long, so that all of the load arrives.

1. A cache too small for all: an observer samples that the capacity is never exceeded; afterwards
   `check()` finds nothing, all that is held was stored, and the counts come to the operations.
2. A cache with room for all, whose processes are killed (SIGKILL) at random moments and started again:
   whatever was said to be stored is found, and nothing else.
3. Hits and admissions a second of 1, 2, 4 and 8 processes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import results
import servers
import sqlalchemy as sa
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.outputs import Generation

from langchain_cachemux import LECCache, Threshold
from langchain_cachemux.keep.policies import robust
from langchain_cachemux.keep.shared.ledger import SharedLedger
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.types import Admission, Entry

QUESTIONS, SMALL = 3000, 500
"""Questions that are asked, and entries that the small cache holds."""
LLM = "a model"
WRITES = 500
"""Answers stored before some processes are killed."""
TRIES = 5
"""How often one answer is asked for while lookups fail."""
VECTOR = np.ones(384, np.float32)


def question(number: int) -> str:
    """Ask something of its own."""
    return f"What is the name of river {number}?"


def opened(where: str, capacity: int, told: Callable[[Any], None] | None = None) -> LECCache:
    """A cache in a shared folder, or on servers: the address of a database, then that of Chroma."""
    settings: dict[str, Any] = {
        "capacity": capacity,
        "embeddings": DeterministicFakeEmbedding(size=64),
        "match": Threshold(0.99),
        "deadline": 30.0,
        "on_event": told,
    }
    if "//" not in where:
        return LECCache(where, shared=True, **settings)
    database, _, chroma = where.partition(" ")
    return LECCache.connect(database=database, chroma=chroma or None, **settings)


def ask(cache: LECCache, number: int, stored: list[bool]) -> bool:
    """Ask one question and store what is missed; whether it was stored. `stored` hears of it."""
    del stored[:]
    found = cache.lookup(question(number), LLM)
    if found is not None:
        if found[0].text != question(number):
            msg = f"question {number} was answered by {found[0].text!r}"
            raise AssertionError(msg)
        return False
    cache.update(question(number), LLM, [Generation(text=question(number))])
    return bool(stored and stored[-1])


def drawn(seed: int) -> Iterator[int]:
    """Questions by Zipf's law; others for each thousand of seeds."""
    rng, first = np.random.default_rng(seed), seed // 1000 * QUESTIONS
    while True:
        yield from (first + int(n) % QUESTIONS for n in rng.zipf(1.1, 1000))


def worker(where: str, capacity: int, operations: int, seed: int) -> None:
    """Ask; print each question that was stored, and at the end how many were asked."""
    stored: list[bool] = []

    def told(event: Any) -> None:
        if isinstance(event, Admission):
            stored.append(event.slot is not None)

    with opened(where, capacity, told) as cache:
        for number, _ in zip(drawn(seed), range(operations), strict=False):
            if ask(cache, number, stored):
                print(number, flush=True)
        did = cache.stats()
    done = {"hits": did.hits_exact + did.hits_semantic, "misses": did.misses, "errors": did.errors}
    print(json.dumps(done), flush=True)


def rated(url: str, kind: str, seconds: float, seed: int) -> None:
    """Hit or admit for some seconds, and print how often."""
    ledger = SharedLedger(url, capacity=1000, policy=robust(1000))
    rng, number = random.Random(seed), 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if kind == "hits":
            key = f"k{rng.randrange(1000)}"
            number += ledger.get(key) is not None and ledger.use(key)
        else:
            entry = Entry(
                f"{seed} {number}", cost=rng.uniform(1, 2), vector=VECTOR, answer="a" * 500
            )
            ledger.admit(entry)
            number += 1
    ledger.close()
    print(number)


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process of this script, killed at the end of the block."""
    command = [sys.executable, __file__, "--worker", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            yield process
        finally:
            process.kill()


def read(stream: IO[str] | None, into: list[str]) -> threading.Thread:
    """Read lines as they come."""
    thread = threading.Thread(target=lambda: into.extend(stream or ()))
    thread.start()
    return thread


def crowded(where: str, processes: int, operations: int) -> dict[str, Any]:
    """Many processes on a cache too small for all; what came of it."""
    lines: list[list[str]] = [[] for _ in range(processes)]
    samples: list[int] = []
    began = time.monotonic()
    with opened(where, SMALL) as observer, ExitStack() as running:
        working = [
            running.enter_context(started(where, SMALL, operations, seed))
            for seed in range(processes)
        ]
        reading = [read(one.stdout, into) for one, into in zip(working, lines, strict=True)]
        while any(one.poll() is None for one in working):
            samples.append(observer.ledger.size)
            time.sleep(0.05)
        for thread in reading:
            thread.join()
        took = time.monotonic() - began
        done = [json.loads(told[-1]) for told in lines]
        stored = {question(int(line)) for told in lines for line in told[:-1]}
        held = {entry.text for entry in observer.ledger}
        observer.ledger.flush()  # type: ignore[attr-defined]
        with observer.ledger.database.alone() as db:  # type: ignore[attr-defined]
            counted = db.scalar(sa.text("SELECT sum(requests) FROM processes"))
        found = [observer.lookup(text, LLM) is not None for text in sorted(stored)]
        problems = observer.ledger.check()
    return {
        "processes": processes,
        "operations each": operations,
        "seconds": round(took, 1),
        "operations a second": round(processes * operations / took, 1),
        **{name: sum(one[name] for one in done) for name in ("hits", "misses", "errors")},
        "requests counted": int(counted or 0),
        "capacity": SMALL,
        "most ever held": max(samples),
        "samples": len(samples),
        "held": len(held),
        "held and never stored": len(held - stored),
        "stored and found": sum(found),
        "problems": problems,
    }


def is_found(cache: LECCache, number: int) -> bool:
    """Whether an answer is there; asked again where the database was late, which a busy machine's is."""
    for _ in range(TRIES):
        failed = cache.stats().errors
        if cache.lookup(question(number), LLM) is not None:
            return True
        if cache.stats().errors == failed:
            return False
        time.sleep(1.0)
    return False


def killed(where: str, processes: int, kills: int) -> dict[str, Any]:
    """Processes that are killed and started again; what of what they stored is found."""
    rng = random.Random(0)
    told: list[str] = []
    lost = turns = 0
    with opened(where, 10 * QUESTIONS) as observer:
        while turns < kills:
            left = min(processes, kills - turns)
            with ExitStack() as running:
                working = [
                    running.enter_context(started(where, 10 * QUESTIONS, 10**9, seed))
                    for seed in range(1000 * (turns + 1), 1000 * (turns + 1) + left)
                ]
                reading = [read(one.stdout, told) for one in working]
                until, heard = time.monotonic() + 60, len(told)
                while len(told) < heard + WRITES and time.monotonic() < until:
                    time.sleep(0.05)
                time.sleep(rng.uniform(0.0, 0.5))
                for one in working:
                    one.kill()
                    turns += 1
                print(f"{turns} killed, {len(told)} stored", flush=True)
                for thread in reading:
                    thread.join()
        stored = {int(line) for line in told if line.endswith("\n")}
        lost = sum(not is_found(observer, number) for number in stored)
        problems = observer.ledger.check()
    return {"kills": turns, "stored": len(stored), "lost": lost, "problems": problems}


def growing(server: servers.Postgres, seconds: float) -> list[dict[str, Any]]:
    """Hits and admissions a second of more and more processes."""
    rows = []
    for kind in ("hits", "admissions"):
        for processes in (1, 2, 4, 8):
            with server.database() as url, ExitStack() as running:
                ledger = SharedLedger(url, capacity=1000, policy=robust(1000))
                for number in range(1000):
                    ledger.admit(Entry(f"k{number}", vector=VECTOR, answer="a" * 500))
                working = [
                    running.enter_context(started(url, kind, seconds, seed))
                    for seed in range(processes)
                ]
                numbers = [int(one.communicate()[0] or 0) for one in working]
                problems = ledger.check()
                ledger.close()
            a_second = round(sum(numbers) / seconds, 1)
            rows.append(
                {"kind": kind, "processes": processes, "a second": a_second, "problems": problems}
            )
            print(rows[-1])
    return rows


def embedded(folder: str, operations: int) -> dict[str, Any]:
    """Threads, tasks and forked workers on a shared folder."""
    done: dict[str, int] = {}
    with opened(folder, SMALL) as cache:

        def asking(seed: int, number: int) -> None:
            for n, _ in zip(drawn(seed), range(number), strict=False):
                ask(cache, n, [])

        threads = [threading.Thread(target=asking, args=(n, operations // 8)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        async def one(number: int) -> None:
            if await cache.alookup(question(number), LLM) is None:
                await cache.aupdate(question(number), LLM, [Generation(text=question(number))])

        async def tasks() -> None:
            await asyncio.gather(*[one(n) for n, _ in zip(drawn(9), range(200), strict=False)])

        asyncio.run(tasks())
        workers = []
        for seed in range(4):
            process = os.fork()
            if not process:
                try:
                    asking(seed, operations // 8)
                    cache.close()
                    os._exit(0)
                finally:
                    os._exit(1)
            workers.append(process)
        done["workers that failed"] = sum(os.waitpid(one, 0)[1] != 0 for one in workers)
        done["held"] = len(cache.ledger)
        return {**done, "capacity": SMALL, "problems": cache.check()}


def main() -> None:
    """Measure, and write the results file."""
    if sys.argv[1:2] == ["--worker"]:
        where, one, two, three = sys.argv[2:]
        if one in {"hits", "admissions"}:
            rated(where, one, float(two), int(three))
        else:
            worker(where, int(one), int(two), int(three))
        return
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--processes", type=int, default=8)
    options.add_argument("--operations", type=int, default=20_000)
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--embedded", action="store_true")
    parts = ["a cache too small", "killed", "a second"]
    options.add_argument("--parts", nargs="+", choices=parts, default=parts)
    told = options.parse_args()
    before = os.getloadavg()[0]
    file = results.FOLDER / "stress.json"
    result = results.read(file) if file.exists() else {}
    command = " ".join(["python benchmarks/stress.py", *sys.argv[1:]])
    stamped = stamp(command, "SQLAlchemy", "psycopg", "chromadb", seeds=[0])
    if told.embedded:
        with tempfile.TemporaryDirectory() as folder:
            result["a shared folder"] = {**stamped, **embedded(folder, told.operations)}
    else:
        with servers.Postgres(safe=True) as server, servers.Chroma() as chroma:
            work: dict[str, Callable[[str], Any]] = {
                "a cache too small": lambda where: crowded(where, told.processes, told.operations),
                "killed": lambda where: killed(where, told.processes, told.kills),
                "a second": lambda _: growing(server, told.seconds),
            }
            for name in told.parts:
                with server.database() as url:
                    result[name] = work[name](f"{url} {chroma.url}")
                print(name, result[name], flush=True)
                load = [before, os.getloadavg()[0]]
                result |= {**stamped, "programs waiting for a core before and after": load}
                results.write(file, result)
        return
    results.write(Path(file), result)


if __name__ == "__main__":
    main()

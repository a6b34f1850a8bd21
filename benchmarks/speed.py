"""How long caches take for an equal question, side by side: LangChain's own, and this one.

python benchmarks/speed.py [SIZE ...]    # 1000 10000 100000 by default: some ten minutes

Every cache holds SIZE answers of some 500 characters to chat prompts, and is full. One process opens all
of them, asks each in turn for an equal question drawn by chance, and then stores a new answer in each in
turn: so whatever else the machine does slows all of them alike, and what lasts is the ratio of two rows.
Answers are put into LECCache's ledger without its index: what is near, and what an embedding costs, is
not measured here. Memory is what a process that holds nothing else has grown by once all is read; the
seconds from opening to the first answer are of that process too, without its imports. SQLiteCache is of
`langchain-community`; where that is not installed its rows are missing.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import results
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_cachemux import LECCache
from langchain_cachemux.keep.durable.ledger import SqlLedger
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.read import answers
from langchain_cachemux.types import Entry

SIZES = [1_000, 10_000, 100_000]
HITS, UPDATES, SEED, LLM = 2_000, 500, 0, "{'model': 'some model', 'temperature': 0.0}"
KINDS = ["InMemoryCache", "SQLiteCache", "LECCache in memory", "LECCache in a folder"]
KEPT = {"SQLiteCache", "LECCache in a folder"}
VECTOR = np.full(384, 384**-0.5, np.float32)


def prompt(number: int) -> str:
    """A chat prompt as LangChain gives it to a cache."""
    return dumps([HumanMessage(f"What is known of town number {number} and of its mayor?")])


def answer(number: int) -> list[Generation]:
    """An answer of some 500 characters."""
    text = f"Of town number {number} much is known. " * 15
    return [
        ChatGeneration(
            message=AIMessage(
                text, usage_metadata={"input_tokens": 20, "output_tokens": 150, "total_tokens": 170}
            )
        )
    ]


def opened(kind: str, size: int, folder: Path) -> BaseCache:
    """A cache of a kind, empty or as it was left in its folder."""
    if kind == "InMemoryCache":
        return InMemoryCache(maxsize=size)
    if kind == "SQLiteCache":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from langchain_community.cache import (  # type: ignore[import-not-found]
                SQLiteCache,
            )
        return cast("BaseCache", SQLiteCache(str(folder / "cache.db")))
    path = folder / "cachemux" if kind in KEPT else None
    return LECCache(path, capacity=size, embeddings=DeterministicFakeEmbedding(size=384))


def writer(cache: BaseCache) -> Callable[[int], object]:
    """What stores an answer, without an index."""

    def admit(number: int) -> None:
        query = cache.reader.read(prompt(number), LLM)  # type: ignore[attr-defined]
        text = answers.write(answer(number), prompt=prompt(number))
        entry = Entry(query.key, 1.0, 1, query.partition, query.text, VECTOR, text)
        cache.ledger.admit(entry)  # type: ignore[attr-defined]

    def update(number: int) -> None:
        cache.update(prompt(number), LLM, answer(number))

    return admit if isinstance(cache, LECCache) else update


def filled(kind: str, size: int, folder: Path) -> BaseCache:
    """A cache that holds as many answers as it may."""
    cache = opened(kind, size, folder)
    if kind == "SQLiteCache":
        _fill_at_once(cache, size)
        return cache
    write = writer(cache)
    for number in range(size):
        write(number)
    return cache


def _fill_at_once(cache: Any, size: int) -> None:
    """As its updates would, but in one transaction: each by itself waits for the disk."""
    from sqlalchemy.orm import Session

    with Session(cache.engine) as session, session.begin():
        for number in range(size):
            for place, generation in enumerate(answer(number)):
                row = {"prompt": prompt(number), "llm": LLM, "idx": place}
                session.add(cache.cache_schema(**row, response=dumps(generation)))


def close(cache: BaseCache) -> None:
    """Close what can be closed."""
    if isinstance(cache, LECCache):
        cache.close()


def wait(cache: BaseCache) -> None:
    """Wait until a ledger's books are read."""
    if isinstance(cache, LECCache) and isinstance(cache.ledger, SqlLedger):
        while not cache.ledger.is_loaded():
            time.sleep(0.01)


def resident() -> float:
    """Megabytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def alone(kind: str, size: int, folder: Path) -> dict[str, float]:
    """What one cache costs in a process of its own: seconds to its first answer, and megabytes."""
    other = opened(kind, 1, Path(tempfile.mkdtemp(dir=folder)))
    other.lookup(prompt(0), LLM)  # what the first one imports
    close(other)
    before, start = resident(), time.perf_counter()
    cache = (opened if kind in KEPT else filled)(kind, size, folder)
    if cache.lookup(prompt(size // 2), LLM) is None:
        msg = f"{kind} has lost an answer"
        raise AssertionError(msg)
    first = time.perf_counter() - start
    wait(cache)
    ready = time.perf_counter() - start
    told = {"opening to first answer, s": first, "opening to all read, s": ready}
    return {**(told if kind in KEPT else {}), "memory, MB": resident() - before}


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of a piece of work."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def beside(size: int, kinds: list[str], folder: Path) -> dict[str, dict[str, float]]:
    """The milliseconds of answers and updates, each cache in turn."""
    caches = {k: (opened if k in KEPT else filled)(k, size, folder) for k in kinds}
    write = {kind: writer(cache) for kind, cache in caches.items()}
    for cache in caches.values():
        wait(cache)
    chance = random.Random(SEED)
    taken: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(HITS):
        asked = prompt(chance.randrange(size))
        for kind, cache in caches.items():
            taken[kind, "hit"].append(timed(partial(cache.lookup, asked, LLM)))
    for number in range(size, size + UPDATES):
        for kind in kinds:
            taken[kind, "update"].append(timed(partial(write[kind], number)))
    for cache in caches.values():
        close(cache)
    return {
        kind: {
            f"{what} {which}, ms": quantile(taken[kind, what], share)
            for what in ("hit", "update")
            for which, share in (("p50", 0.5), ("p99", 0.99))
        }
        for kind in kinds
    }


def quantile(values: list[float], share: float) -> float:
    """The value below which that share of the others is."""
    return sorted(values)[int(share * (len(values) - 1))]


def on_disk(kind: str, folder: Path) -> float:
    """Megabytes of a cache's files."""
    files = folder.glob("cache.db*") if kind == "SQLiteCache" else folder.glob("cachemux/**/*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def measured(size: int) -> list[dict[str, Any]]:
    """A row for each cache."""
    here = find_spec("langchain_community") is not None
    kinds = [kind for kind in KINDS if kind != "SQLiteCache" or here]
    folder = Path(tempfile.mkdtemp())
    rows: dict[str, dict[str, Any]] = {}
    try:
        for kind in kinds:
            if kind in KEPT:
                close(filled(kind, size, folder))
            command = [sys.executable, __file__, "--alone", kind, str(size), str(folder)]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603
            rows[kind] = json.loads(told.stdout.splitlines()[-1])
            if kind in KEPT:
                rows[kind]["disk, MB"] = on_disk(kind, folder)
        for kind, times in beside(size, kinds, folder).items():
            rows[kind] = {"cache": kind, "entries": size, **times, **rows[kind]}
    finally:
        shutil.rmtree(folder)
    return list(rows.values())


def main() -> None:
    """Measure, and write the results file."""
    if sys.argv[1:2] == ["--alone"]:
        kind, number, folder = sys.argv[2:]
        print(json.dumps(alone(kind, int(number), Path(folder))))
        return
    before, rows = os.getloadavg()[0], list[dict[str, Any]]()
    for size in [int(size) for size in sys.argv[1:]] or SIZES:
        for row in measured(size):
            rows.append(row)
            print({name: round(v, 4) if isinstance(v, float) else v for name, v in row.items()})
    command = " ".join(["python benchmarks/speed.py", *sys.argv[1:]])
    packages = ("langchain-core", "langchain-community", "sqlalchemy")
    result = {
        **stamp(command, *packages, seeds=[SEED]),
        "hits": HITS,
        "updates": UPDATES,
        "programs waiting for a core before and after": [before, os.getloadavg()[0]],
        "caches": rows,
    }
    results.write(results.FOLDER / "speed.json", result)


if __name__ == "__main__":
    main()

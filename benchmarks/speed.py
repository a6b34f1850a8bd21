"""How long caches take for an equal question and one in other words, side by side.

python benchmarks/speed.py [SIZE ...] [--gptcache PEER]    # 10^3 to 10^6 by default: 40 minutes, 12 GB

Every cache holds SIZE answers of some 500 characters to chat prompts, and is full. One process opens all
of them, asks each in turn for an equal question drawn by chance, then for one in other words, and then
stores a new answer in each in turn: so whatever else the machine does slows all of them alike, and what
lasts is the ratio of two rows. A vector is drawn by the question's number: what an embedding costs is
not measured here. Beyond 20,000 entries LECCache keeps no words here, and so finds equal questions only:
Chroma, which begins there, is measured by itself (`index.py`). Memory is what a process that holds
nothing else has grown by once all is read; the seconds from opening to the first answer are of that
process too, without its imports, and so are the hits "alone", for which nothing else has to leave the
processor's own memory. SQLiteCache is of `langchain-community`; where that is not installed
its rows are missing. GPTCache runs in an environment of its own behind a pipe (`gptcache_peer.py`), of
which each row has some 0.1 ms; it stores what it misses in the same call, so an update is a miss and a
store.
"""

from __future__ import annotations

import argparse
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

import results
import soak
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_cachemux import LECCache
from langchain_cachemux.keep.durable.ledger import SqlLedger
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.match.index import EXACT

SIZES = [1_000, 10_000, 100_000, 1_000_000]
HITS, UPDATES, SEED, LLM = 1_000, 500, 0, "{'model': 'some model', 'temperature': 0.0}"
KINDS = ["InMemoryCache", "SQLiteCache", "LECCache in memory", "LECCache in a folder"]
KEPT = {"SQLiteCache", "LECCache in a folder"}
PIPED = 1_000
"""Entries up to which GPTCache is measured too: its answers take tens of milliseconds."""


def prompt(number: int, *, greeting: str = "") -> str:
    """A chat prompt as LangChain gives it to a cache."""
    return dumps([HumanMessage(f"{greeting}What is known of the mayor of town number {number}?")])


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
    words = size <= EXACT
    return LECCache(path, capacity=size, embeddings=soak.Drawn(384), store_prompts=words)


def store(cache: BaseCache, number: int) -> None:
    """Store an answer."""
    cache.update(prompt(number), LLM, answer(number))


def filled(kind: str, size: int, folder: Path) -> BaseCache:
    """A cache that holds as many answers as it may."""
    cache = opened(kind, size, folder)
    if kind == "SQLiteCache":
        _fill_at_once(cache, size)
        return cache
    for number in range(size):
        store(cache, number)
    return cache


class Piped(BaseCache):
    """GPTCache in its own environment."""

    def __init__(self, peer: Path) -> None:
        bins = peer.resolve() / "bin"
        script = Path(__file__).with_name("gptcache_peer.py")
        self._process = subprocess.Popen(  # noqa: S603
            [str(bins / "python"), str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PATH": f"{bins}:{os.environ['PATH']}"},
        )
        self._drawn = soak.Drawn(384)

    def lookup(self, prompt: str, _llm_string: str) -> list[Generation] | None:
        """What it serves; a miss is stored."""
        text = json.loads(prompt)[0]["kwargs"]["content"]
        vector = self._drawn.embed_query(text)
        pipe = cast("Any", self._process)
        pipe.stdin.write(json.dumps({"text": text, "vector": vector, "answer": "x" * 500}) + "\n")
        pipe.stdin.flush()
        found = json.loads(pipe.stdout.readline())
        return None if found is None else [Generation(text=found)]

    def update(self, prompt: str, llm_string: str, _return_val: Any) -> None:
        """Ask for it, which stores it."""
        self.lookup(prompt, llm_string)

    def clear(self, **_: Any) -> None:
        """End it."""
        self._process.communicate()


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
    elif isinstance(cache, Piped):
        cache.clear()


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
    """What one cache costs in a process of its own: opening and memory, and then its hits."""
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
    told = {**(told if kind in KEPT else {}), "memory, MB": resident() - before}
    chance, taken = random.Random(SEED), list[float]()
    for _ in range(HITS):
        asked = prompt(chance.randrange(size))
        taken.append(timed(partial(cache.lookup, asked, LLM)))
    told |= {f"hit alone {w}, ms": quantile(taken, q) for w, q in (("p50", 0.5), ("p99", 0.99))}
    return told


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of a piece of work."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def beside(
    size: int, kinds: list[str], folder: Path, peer: Path | None
) -> dict[str, dict[str, float]]:
    """The milliseconds of answers and updates, each cache in turn."""
    caches = {k: (opened if k in KEPT else filled)(k, size, folder) for k in kinds}
    if peer is not None and size <= PIPED:
        caches["GPTCache"] = Piped(peer)
        for number in range(size):
            store(caches["GPTCache"], number)
    for cache in caches.values():
        wait(cache)
    chance = random.Random(SEED)
    taken: defaultdict[str, dict[str, list[float]]] = defaultdict(dict)
    for what in ("hit", "hit by meaning", "update"):
        greeting = "Hello! " if what == "hit by meaning" else ""
        times = {kind: list[float]() for kind in caches if what in asked_of(kind, size)}
        for new in range(UPDATES if what == "update" else HITS):
            number = size + new if what == "update" else chance.randrange(size)
            asked, told = prompt(number, greeting=greeting), answer(number)
            for kind, seen in times.items():
                work: Callable[[], object] = partial(caches[kind].lookup, asked, LLM)
                if what == "update":
                    work = partial(caches[kind].update, asked, LLM, told)
                seen.append(timed(work))
        for kind, seen in times.items():
            taken[kind][what] = seen
    for cache in caches.values():
        close(cache)
    return {
        kind: {
            f"{what} {which}, ms": quantile(seen, share)
            for what, seen in times.items()
            for which, share in (("p50", 0.5), ("p99", 0.99))
        }
        for kind, times in taken.items()
    }


def asked_of(kind: str, size: int) -> set[str]:
    """What a cache can be asked: those of LangChain know equal questions alone."""
    meaning = kind == "GPTCache" or (kind.startswith("LECCache") and size <= EXACT)
    return {"hit", "update"} | ({"hit by meaning"} if meaning else set())


def quantile(values: list[float], share: float) -> float:
    """The value below which that share of the others is."""
    return sorted(values)[int(share * (len(values) - 1))]


def on_disk(kind: str, folder: Path) -> float:
    """Megabytes of a cache's files."""
    files = folder.glob("cache.db*") if kind == "SQLiteCache" else folder.glob("cachemux/**/*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def measured(size: int, peer: Path | None) -> list[dict[str, Any]]:
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
        for kind, times in beside(size, kinds, folder, peer).items():
            rows[kind] = {"cache": kind, "entries": size, **times, **rows.get(kind, {})}
    finally:
        shutil.rmtree(folder)
    return list(rows.values())


def main() -> None:
    """Measure, and write the results file."""
    if sys.argv[1:2] == ["--alone"]:
        kind, number, folder = sys.argv[2:]
        print(json.dumps(alone(kind, int(number), Path(folder))))
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--gptcache", type=Path, help="its environment, as gptcache_peer.py says")
    given = parser.parse_args()
    before, rows = os.getloadavg()[0], list[dict[str, Any]]()
    for size in given.sizes:
        for row in measured(size, given.gptcache):
            rows.append(row)
            print({name: round(v, 4) if isinstance(v, float) else v for name, v in row.items()})
    command = " ".join(["python benchmarks/speed.py", *map(str, given.sizes)])
    command += " --gptcache PEER" * (given.gptcache is not None)
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

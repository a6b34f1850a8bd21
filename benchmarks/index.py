"""How fast and how surely a near row is found: the front, and Chroma behind it.

python benchmarks/index.py [ROWS ...]    # 1000 10000 20000 100000 by default: some ten minutes

The rows are random unit vectors of 384 numbers in one partition, the worst case for a graph: no two are
near. Each query is a near-duplicate of one, at a cosine of 0.9 in a random direction, and finds it when
it comes out first. Chroma is the persistent client in a temporary folder, with its own width of search
(ef_search 100) and with ours. Searches are timed by the wall clock, the median and the least, and by the
processor's time of all threads, which other programs disturb less; the result says how many there were.

Said too: how long a write to Chroma in this process keeps another thread from running, and how fast the
front is filled from wordings, as at opening.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import chromadb
import numpy as np
import psutil
import results
from threadpoolctl import threadpool_limits

from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.match.collection import HNSW, ChromaRows
from langchain_cachemux.match.front import Front, Neighbour, Rows, mark_of
from langchain_cachemux.match.index import Index
from langchain_cachemux.types import Entry, Wording

if TYPE_CHECKING:
    from langchain_cachemux.types import Vector

SIZES = (1_000, 10_000, 20_000, 100_000)
LENGTH, ASKED, SIMILAR, BATCH = 384, 300, 0.9, 2000
MARK = mark_of("p")


def units(n: int, rng: np.random.Generator) -> Vector:
    """Random unit vectors, shape (n, d)."""
    rows = rng.normal(size=(n, LENGTH)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def near_duplicates(vectors: Vector, rng: np.random.Generator) -> Vector:
    """Of each vector one at the cosine `SIMILAR`, in a random direction."""
    other = units(len(vectors), rng)
    other -= (other * vectors).sum(1, keepdims=True) * vectors
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    near: Vector = (SIMILAR * vectors + np.sqrt(1 - SIMILAR**2) * other).astype(np.float32)
    return near


def searched(
    search: Callable[[Vector], list[Neighbour]], asked: Vector, slots: list[int]
) -> dict[str, float]:
    """Milliseconds of a search, and the share of them that found their row first."""
    walls, cpus, found = [], [], 0
    for vector, slot in zip(asked, slots, strict=True):
        wall, cpu = time.perf_counter(), time.process_time()
        near = search(vector)
        cpus.append(1e3 * (time.process_time() - cpu))
        walls.append(1e3 * (time.perf_counter() - wall))
        found += [one.slot for one in near[:1]] == [slot]
    return {
        "cpu ms": round(statistics.median(cpus), 3),
        "least ms": round(min(walls), 3),
        "p50 ms": round(statistics.median(walls), 3),
        "recall": round(found / len(slots), 4),
    }


def resident() -> float:
    """Megabytes that this process holds."""
    return float(psutil.Process().memory_info().rss) / 1e6


@contextmanager
def watched() -> Iterator[list[float]]:
    """Milliseconds by which another thread that sleeps for a half is late, as they come."""
    late: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            began = time.perf_counter()
            time.sleep(0.0005)
            late.append(1e3 * (time.perf_counter() - began))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield late
    finally:
        done.set()
        thread.join()


def in_front(vectors: Vector, asked: Vector, slots: list[int]) -> dict[str, Any]:
    """The rows in memory."""
    before, front, took = resident(), Front(), []
    for slot, vector in enumerate(vectors):
        began = time.perf_counter()
        front.put(slot, f"key {slot}", vector, MARK)
        took.append(1e6 * (time.perf_counter() - began))
    told = searched(lambda vector: front.nearest(vector, MARK, n=8), asked, slots)
    return {"put us": round(statistics.median(took), 2), "MB": round(resident() - before), **told}


def in_chroma(vectors: Vector, asked: Vector, slots: list[int]) -> dict[str, Any]:
    """The rows in a folder of Chroma's, searched as widely as Chroma does, and as we do."""
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        ours = HNSW["ef_search"]
        HNSW["ef_search"] = 100
        before = resident()
        rows = opened(folder)
        HNSW["ef_search"] = ours
        began = time.perf_counter()
        for lower in range(0, len(vectors), BATCH):
            write(rows, vectors, range(lower, min(lower + BATCH, len(vectors))))
        told["build s"] = round(time.perf_counter() - began, 1)
        told["rows/s"] = round(len(vectors) / (time.perf_counter() - began))
        told["MB"] = round(resident() - before)
        told["ef 100"] = searched(lambda v: rows.nearest(v, MARK, n=8), asked, slots)
        rows._collection.modify(configuration={"hnsw": {"ef_search": ours}})
        rows.close()
        began = time.perf_counter()
        rows = opened(folder)
        rows.nearest(asked[0], MARK, n=8)
        told["open s"] = round(time.perf_counter() - began, 2)
        told[f"ef {ours}"] = searched(lambda v: rows.nearest(v, MARK, n=8), asked, slots)
        for few in (1, 16):
            with watched() as late:
                began = time.perf_counter()
                for lower in range(0, 5 * few, few):
                    write(rows, vectors, range(lower, lower + few))
                took = 1e3 * (time.perf_counter() - began) / 5
            told[f"{few} overwritten"] = {
                "ms": round(took, 1),
                "another thread stops for ms": round(max(late), 1),
            }
        rows.close()
    return told


def opened(folder: str) -> ChromaRows:
    """The collection in a folder."""
    return ChromaRows(chromadb.PersistentClient(folder), collection="cachemux")


def write(rows: ChromaRows, vectors: Vector, slots: range) -> None:
    """Write some of the vectors to their slots."""
    marks = np.full(len(slots), MARK)
    rows.write(Rows(slots, [f"key {slot}" for slot in slots], vectors[slots], marks))


def filled(vectors: Vector) -> dict[str, float]:
    """An index that is opened with so many wordings held, until it finds them all."""
    entry = Entry("key", partition="p")
    held = [
        Wording(f"key {slot}", "key", vector=vector, slot=slot, entry=entry)
        for slot, vector in enumerate(vectors)
    ]
    began = time.perf_counter()
    index = Index.memory(lambda: held, exact=len(held), waiting=len(held))
    first = time.perf_counter() - began
    while len(index.front) < len(held):
        time.sleep(0.001)
    took = time.perf_counter() - began
    index.close()
    return {
        "opened s": round(first, 3),
        "all found s": round(took, 3),
        "rows/s": round(len(held) / took),
    }


def measured(n: int) -> dict[str, Any]:
    """A row of the result: so many rows."""
    rng = np.random.default_rng(0)
    vectors = units(n, rng)
    slots = [int(slot) for slot in rng.choice(n, min(ASKED, n), replace=False)]
    asked = near_duplicates(vectors[slots], rng)
    front = in_front(vectors, asked, slots)
    return {
        "rows": n,
        "front": front,
        "filled": filled(vectors),
        "chroma": in_chroma(vectors, asked, slots),
    }


def main() -> None:
    """Measure, and write the results file."""
    sizes = [int(given) for given in sys.argv[1:]] or SIZES
    before, rows = os.getloadavg()[0], []
    with threadpool_limits(1):
        for n in sizes:
            rows.append(measured(n))
            print(rows[-1], flush=True)
    command = " ".join(["python benchmarks/index.py", *sys.argv[1:]])
    result = {
        **stamp(command, "chromadb", "numpy", seeds=[0]),
        "queries a size": ASKED,
        "programs waiting for a core before and after": [before, os.getloadavg()[0]],
        "sizes": rows,
    }
    results.write(results.FOLDER / "index.json", result)


if __name__ == "__main__":
    main()

"""A cache under a long load: is its last tenth as fast, as small and as right as its first?

    python benchmarks/soak.py                        # a million operations in a folder: about an hour
    python benchmarks/soak.py --memory --operations 100000
    python benchmarks/soak.py --fuzz 100000          # malformed prompts and rows instead

An operation is a question: it is looked up, and answered and stored where it was missed. Which one is
drawn by Zipf's law from five questions an entry, so that most admissions evict; one in twenty is asked
in other words. Each answer names its question, so a wrong one is seen. The vector of a question is
drawn by its name: what is timed is the cache, not an encoder.

Of each tenth: milliseconds of a hit and of an update, at the median and the 99th percentile; memory of
the process and disk of the folder at its end. "Flat" compares the last tenth with the one in which the
cache had become full. Other wordings and the counts of what left are remembered up to a bound that is
reached later: with `--capacity 1000 --operations 400000` before the end.

Fuzzing gives a cache prompts that are no JSON, or none that a model was ever asked, and writes at random
into the rows of its database between two openings. Nothing may be raised, and no answer but the one that
was stored may come out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sqlite3
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import results
from langchain_core.embeddings import Embeddings
from langchain_core.outputs import Generation
from rich.progress import Progress

from langchain_cachemux import LECCache
from langchain_cachemux.lab.stamp import stamp

LLM = "a model"
PARTS, CAPACITY = 10, 10_000
NAMES = [
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "je",
    "ki",
    "lo",
    "mu",
    "na",
    "pe",
    "qui",
    "ro",
    "su",
    "ta",
]


class Drawn(Embeddings):
    """A vector for each town, whatever is asked about it."""

    def __init__(self, dimensions: int = 64) -> None:
        self.dimensions = dimensions

    def embed_query(self, text: str) -> list[float]:
        """A unit vector drawn by the last word."""
        word = text.rsplit(maxsplit=1)[-1:] or [""]
        drawn = np.random.default_rng(zlib.crc32(word[0].encode("utf-8", "replace")))
        vector: list[float] = drawn.normal(size=self.dimensions).tolist()
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector each."""
        return [self.embed_query(text) for text in texts]


def town(number: int) -> str:
    """A name for each number below 16⁴."""
    return "".join(NAMES[number >> shift & 15] for shift in (0, 4, 8, 12)).title()


def questions(operations: int, towns: int, *, seed: int) -> Iterator[tuple[int, str]]:
    """Which town is asked for, and in which words."""
    drawn = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, towns + 1) ** 0.8
    law = np.cumsum(weights) / weights.sum()
    for _ in range(operations):
        number = int(np.searchsorted(law, drawn.random()))
        polite = drawn.random() < 1 / 20
        yield number, f"{'Hello! ' if polite else ''}Where is {town(number)}?"


@dataclass
class Tenth:
    """What was seen of a tenth of the operations."""

    hits: list[float] = field(default_factory=list)
    updates: list[float] = field(default_factory=list)
    operations: int = 0
    wrong: int = 0
    seconds: float = 0.0

    def row(self, folder: Path | None) -> dict[str, Any]:
        """As plain data; memory in MB is of this process, disk that of the folder."""
        memory = psutil.Process().memory_info().rss / 1e6
        return {
            "operations": self.operations,
            "a second": round(self.operations / self.seconds),
            "hit rate": len(self.hits) / self.operations,
            "wrong": self.wrong,
            "hit": spread(self.hits),
            "update": spread(self.updates),
            "memory": memory,
            "disk": None if folder is None else size(folder) / 1e6,
        }


def spread(seconds: list[float]) -> dict[str, float]:
    """The median and the 99th percentile, in milliseconds."""
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3 if seconds else (0.0, 0.0)
    return {"p50": float(p50), "p99": float(p99)}


def size(folder: Path) -> int:
    """Bytes of all files; one may vanish meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def soak(
    cache: LECCache, operations: int, towns: int, *, seed: int = 0, show: bool = False
) -> list[dict[str, Any]]:
    """Ask so many questions; a row a tenth."""
    rows, tenth, clock = [], Tenth(), time.perf_counter
    began = clock()
    with Progress(disable=not show) as progress:
        bar = progress.add_task("operations", total=operations)
        for done, (number, text) in enumerate(questions(operations, towns, seed=seed), 1):
            start = clock()
            found = cache.lookup(text, LLM)
            if found is None:
                start = clock()
                cache.update(text, LLM, [Generation(text=f"{town(number)} is here.")])
                tenth.updates.append(clock() - start)
            else:
                tenth.hits.append(clock() - start)
                tenth.wrong += found[0].text != f"{town(number)} is here."
            tenth.operations += 1
            progress.update(bar, completed=done)
            if done % (operations // PARTS) == 0:
                tenth.seconds = clock() - began
                rows.append(tenth.row(cache.path))
                tenth, began = Tenth(), clock()
    return rows


def flat(rows: list[dict[str, Any]], full: int = 1) -> dict[str, float]:
    """The last tenth over the first in which the cache was full: 1 where nothing grew."""
    first, last = rows[full], rows[-1]
    ratios = {
        f"{kind} {part}": last[kind][part] / first[kind][part]
        for kind in ("hit", "update")
        for part in ("p50", "p99")
    }
    grown = {kind: last[kind] / first[kind] for kind in ("memory", "disk") if first[kind]}
    return ratios | grown


def malformed(rng: random.Random) -> str:
    """A prompt as nobody asks one."""
    message = json.dumps({"lc": 1, "id": ["langchain", "schema", "HumanMessage"], "kwargs": {}})
    shapes = [
        lambda: "".join(chr(rng.randrange(1, 0x2FF)) for _ in range(rng.randrange(80))),
        lambda: "[" * rng.randrange(300) + message[: rng.randrange(len(message))],
        lambda: "".join(
            rng.choice(["\x00", "👍🏽", "\u202e", "\ud800", "ا", "{", '"', "\\u"])
            for _ in range(20)
        ),
        lambda: json.dumps([rng.choice([None, 1.5, [], {}, "x"]) for _ in range(5)]),
        lambda: "[" + ",".join([message] * rng.randrange(4)) + "]",
        lambda: "a " * rng.randrange(3000),
    ]
    return rng.choice(shapes)()


def fuzz_prompts(number: int, *, seed: int = 0, show: bool = False) -> dict[str, Any]:
    """Look malformed prompts up and store them; what came out wrong, and what was raised."""
    rng, wrong, raised = random.Random(seed), 0, 0
    with (
        LECCache(embeddings=Drawn(), capacity=1000) as cache,
        Progress(disable=not show) as progress,
    ):
        for _ in progress.track(range(number), description="prompts"):
            prompt = malformed(rng)
            answer = str(zlib.crc32(prompt.encode("utf-8", "replace")))
            try:
                cache.update(prompt, LLM, [Generation(text=answer)])
                found = cache.lookup(prompt, LLM)
            except Exception:  # noqa: BLE001
                raised += 1
                continue
            wrong += found is not None and found[0].text != answer
        stats = cache.stats()
    return {"prompts": number, "wrong": wrong, "raised": raised, "refused": stats.refused}


def fuzz_rows(rows: int, *, seed: int = 0, show: bool = False) -> dict[str, Any]:
    """Write at random into cells of a cache's database, then ask for every answer in it."""
    rng, wrong, raised, lost, asked, done = random.Random(seed), 0, 0, 0, 0, 0
    towns = 100
    with tempfile.TemporaryDirectory() as scratch, Progress(disable=not show) as progress:
        bar, whole = progress.add_task("rows", total=rows), Path(scratch, "whole")
        with LECCache(whole, embeddings=Drawn(), capacity=towns) as cache:
            soak(cache, PARTS * towns, towns)
            held = [number for number in range(towns) if cache.lookup(asks(number), LLM)]
        while done < rows:
            damaged = Path(scratch, "damaged")
            shutil.rmtree(damaged, ignore_errors=True)
            shutil.copytree(whole, damaged)
            done += damage(damaged / "ledger.db", rng, cells=10)
            progress.update(bar, completed=min(done, rows))
            try:
                with LECCache(damaged, embeddings=Drawn(), capacity=towns) as cache:
                    for number in held:
                        found = cache.lookup(asks(number), LLM)
                        asked += 1
                        lost += found is None
                        wrong += found is not None and found[0].text != f"{town(number)} is here."
            except ValueError:  # what cannot be opened says so
                lost += len(held)
            except Exception:  # noqa: BLE001
                raised += 1
    return {"rows": done, "asked": asked, "wrong": wrong, "raised": raised, "lost": lost}


def asks(number: int) -> str:
    """The question that is asked most for a town."""
    return f"Where is {town(number)}?"


def damage(database: Path, rng: random.Random, *, cells: int) -> int:
    """Write something else into so many cells, of tables as they have rows; how many it was."""
    written = 0
    values = [None, -1, 2**62, 1.5, "", "x", "[]", b"", os.urandom(8), float("inf"), "\x00"]
    with sqlite3.connect(database) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        count = 'SELECT count(*) FROM "{}"'
        rows = [db.execute(count.format(table)).fetchone()[0] for table in tables]
        for table in rng.choices(tables, rows, k=cells):
            columns = [row[1] for row in db.execute(f'PRAGMA table_info("{table}")')]
            chosen = f'SELECT rowid FROM "{table}" ORDER BY random() LIMIT 1'  # noqa: S608
            change = f'UPDATE "{table}" SET "{rng.choice(columns)}" = ? WHERE rowid = ({chosen})'  # noqa: S608
            try:
                written += db.execute(change, [rng.choice(values)]).rowcount
            except sqlite3.Error:
                continue
    db.close()
    return written


def main() -> None:
    """Measure, print, write `soak.json`; of fuzzing, its part of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--capacity", type=int, default=CAPACITY)
    parser.add_argument("--memory", action="store_true", help="no folder")
    parser.add_argument("--fuzz", type=int, metavar="N", help="malformed prompts and rows, N each")
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    given = parser.parse_args()
    file = given.out / "soak.json"
    result: dict[str, Any] = results.read(file) if file.exists() else {}
    if given.fuzz:
        made = stamp(f"python benchmarks/soak.py --fuzz {given.fuzz}", "numpy", seeds=[0])
        prompts, rows = fuzz_prompts(given.fuzz, show=True), fuzz_rows(given.fuzz, show=True)
        result |= {**made, "fuzz": {**made, "prompts": prompts, "rows": rows}}
        print(prompts, rows, sep="\n")
    else:
        where = "memory" if given.memory else "folder"
        where += f", capacity {given.capacity}" * (given.capacity != CAPACITY)
        command = (
            f"python benchmarks/soak.py --operations {given.operations} --capacity {given.capacity}"
        )
        command += " --memory" * given.memory
        with tempfile.TemporaryDirectory() as folder:
            path = None if given.memory else Path(folder, "cache")
            with LECCache(path, embeddings=Drawn(), capacity=given.capacity) as cache:
                tenths = soak(cache, given.operations, 5 * given.capacity, show=True)
                problems = cache.check()
        made = stamp(command, "numpy", "chromadb", "sqlalchemy", seeds=[0])
        found = {**made, "tenths": tenths, "flat": flat(tenths), "problems": problems}
        result |= {**made, where: found}
        print(json.dumps(found["flat"], indent=1))
    results.write(file, result)


if __name__ == "__main__":
    main()

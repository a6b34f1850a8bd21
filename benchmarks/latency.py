"""How long a router takes to decide, on one thread, once the question is embedded.

python benchmarks/latency.py [ROUNDS]    # 15 by default: some two minutes

Two models, each learned from 1,500 outcomes. The questions are drawn word by word from those of the
demo, 10 to 60 words, none is asked twice, and a random unit vector stands in for each embedding. A round
times `choose` on 100 questions for every router in turn. A row says the median of the rounds' medians,
with the least and the most of them, by the wall clock and by this thread's CPU time alone. Other
programs slow both down, for they share caches and cores. So the result says how many there were, and
what lasts is the ratio of two rows. Beside the routers: one that only looks keys up, the least there is
to do, and the embedding that comes before any decision.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import results
from threadpoolctl import threadpool_limits

from langchain_cachemux import (
    Mean,
    Query,
    Ridge,
    Router,
    SentenceEncoder,
    SklearnClassifier,
    TorchClassifier,
)
from langchain_cachemux.demo.stream import read_questions
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.route.costs import Costs

OUTCOMES, ASKED, DIMENSIONS = 1500, 100, 384
MODELS = ("small", "large")
GOALS = {"default": 0.3, "TorchClassifier": 2.0}
"""Milliseconds that the median decision may take on a machine with nothing else to do."""
ROUTERS: dict[str, Callable[[], Costs]] = {
    "keys alone": lambda: Costs(Mean(), Mean()),
    "Ridge": lambda: Costs(Ridge(shrinkage=10.0), Ridge(shrinkage=10.0)),
    "default": Costs,
    "SklearnClassifier": lambda: Costs(fails=Mean(prior=SklearnClassifier())),
    "TorchClassifier": lambda: Costs(fails=Mean(prior=TorchClassifier())),
}


def questions(seed: int = 0) -> Iterator[Query]:
    """Draw questions without end, none like another."""
    rng = np.random.default_rng(seed)
    words = [word for question in read_questions() for word in question.question.split()]
    n = 0
    while True:
        text = " ".join(rng.choice(words, rng.integers(10, 61)))
        vector = rng.normal(size=DIMENSIONS).astype(np.float32)
        yield Query(f"key {n}", text=text, vector=vector / np.linalg.norm(vector))
        n += 1


def learned(make: Callable[[], Costs], asked: list[Query], *, seed: int = 0) -> Router:
    """A router that has learned of every model's answers; long questions fail more often."""
    router, rng = Router({name: make() for name in MODELS}), np.random.default_rng(seed)
    for query in asked:
        for name, price in zip(MODELS, (1.0, 10.0), strict=True):
            failed = rng.random() < len(query.text) / 600 / price
            router.learn(query, price * rng.lognormal(0.0, 0.5), name, failed=float(failed))
    return router


def timed(decide: Callable[[Query], object], asked: list[Query]) -> tuple[float, float]:
    """The median milliseconds of one decision: by the wall clock, and of this thread's CPU time."""
    walls, cpus = [], []
    for query in asked:
        wall, cpu = time.perf_counter(), time.thread_time()
        decide(query)
        cpus.append(time.thread_time() - cpu)
        walls.append(time.perf_counter() - wall)
    return statistics.median(walls) * 1e3, statistics.median(cpus) * 1e3


def measured(rounds: int, outcomes: int = OUTCOMES, asked: int = ASKED) -> list[dict[str, Any]]:
    """A row a router, and one for the embedding."""
    stream = questions()
    seen = [next(stream) for _ in range(outcomes)]
    deciding: dict[str, Callable[[Query], object]] = {}
    for name, make in ROUTERS.items():
        router = learned(make, seen)
        deciding[name] = partial(router.choose, judged=True, error_price=10.0)
    encoder = SentenceEncoder()
    deciding["the embedding"] = lambda query: encoder.embed_query(query.text)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in deciding}
    for decide in deciding.values():  # the first call imports and compiles
        decide(next(stream))
    for _ in range(rounds):
        for name, decide in deciding.items():
            few = asked if name in ROUTERS else max(1, asked // 10)
            taken[name].append(timed(decide, [next(stream) for _ in range(few)]))
    return [row(name, times) for name, times in taken.items()]


def row(name: str, times: list[tuple[float, float]]) -> dict[str, Any]:
    """What the rounds came to, in milliseconds."""
    wall, cpu = (sorted(column) for column in zip(*times, strict=True))
    spread = {
        kind: {"median": statistics.median(each), "least": each[0], "most": each[-1]}
        for kind, each in (("wall", wall), ("cpu", cpu))
    }
    return {"router": name, "goal": GOALS.get(name), **spread}


def main() -> None:
    """Measure, and write the results file."""
    import torch

    rounds = int(sys.argv[1]) if sys.argv[1:] else 15
    torch.set_num_threads(1)
    before = os.getloadavg()[0]
    with threadpool_limits(1):
        rows = measured(rounds)
    for r in rows:
        print(
            f"{r['router']:>20}: {r['cpu']['median']:.3f} ms CPU, {r['wall']['median']:.3f} ms wall"
        )
    command = " ".join(["python benchmarks/latency.py", *sys.argv[1:]])
    result = {
        **stamp(command, "numpy", "scikit-learn", "scipy", "torch", seeds=[0]),
        "rounds": rounds,
        "decisions a round": ASKED,
        "outcomes a model": OUTCOMES,
        "programs waiting for a core before and after": [before, os.getloadavg()[0]],
        "milliseconds": rows,
    }
    results.write(results.FOLDER / "latency.json", result)


if __name__ == "__main__":
    main()

"""The paper's experiment on real outcomes: small/large pairs of MMLU-Pro, in FLOPs.

python benchmarks/mmlu_pro.py --data DIR    # or CACHEMUX_DATA=DIR; 40 CPU minutes in 2 processes

DIR holds `routing/mmlu_pro/` (the public repository TIGER-AI-Lab/MMLU-Pro @f418b11, eval_results, as
tables): which of 29 models answered which question right, and how long each answer was.

What arXiv 2306.02003 did with LAMBADA, OPT-1.3B and OPT-13B: the next request is question floor(N·X) of
N, X ~ power(α); the cache holds 40 %; small costs its FLOPs, and twice the large model's on top when it
is wrong; a large model that is wrong costs nothing extra. FLOPs are 2 x parameters x (input + output
tokens), tokens are characters / 4, the input is question and options. Every outcome is one recorded
answer, so a question costs the same each time it is asked.

Pairs: every two models of public size whose mean FLOPs differ by 6 to 16 are shown offline; those of one
family (same maker, generation and tuning) also online. Neither rule looks at a result.

Offline, all is known beforehand, the cache is full from the start and no miss is cold; the six
combinations are those of the paper, its selector right always, or 8 times in 10 (its expected cost).
"Ours" is the package's own objects, taught the log's costs, on a second pass over it.

Online, all is learned as it comes. What is learned of a miss is
    full:    both costs;
    judged:  the chosen model's, and the large one's too when the small one was wrong and it was asked
             again (what `MultiplexedLLM(accept=...)` sees);
    bandit:  the chosen model's alone.
The paper's selector tries each model once per question, small first, then takes the cheaper. LFU
and LEC remember every question; between equals, the newcomer is kept.

Floors: large only, small only, neither with a cache. Ceilings: the best set to hold for ever, each
question by its cheaper model, offline; online, the same set, whose questions are each paid for once.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import results
from rich.progress import track

from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import LEC, LFU, robust
from langchain_cachemux.lab import charts
from langchain_cachemux.lab.replay import Outcome, Routing, follow
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.route.estimators import Mean, Ridge
from langchain_cachemux.route.router import Router
from langchain_cachemux.types import Estimate, Query, Request, Route

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

SEEDS = range(5)
ALPHAS = (0.2, 0.5, 0.8)
REQUESTS = {100: 10_000, 10_000: 100_000}
"""By number of questions."""
CACHED = 0.4
"""Share of the questions that the cache holds."""
PENALTY = 2.0
"""Large models' FLOPs that a wrong answer of the small one costs."""
GOAL = 4.3
"""LFU+large over LEC+selector in the paper."""
RATIOS = (6.0, 16.0)
"""Of the mean FLOPs of two models, to be a pair."""
DIMENSIONS = 32
"""Of the vectors that `Ridge` reads: TF-IDF of question and options, by truncated SVD, no labels."""

BILLIONS = {
    "Llama-2-7b-hf": 7.0,
    "Llama-2-13b-hf": 13.0,
    "Llama-2-70b-hf": 70.0,
    "Meta-Llama-3-8B": 8.0,
    "Meta-Llama-3-70B": 70.0,
    "Meta-Llama-3_1-8B": 8.0,
    "Meta-Llama-3_1-70B": 70.0,
    "Meta-Llama-3_1-8B-Instruct": 8.0,
    "Meta-Llama-3_1-70B-Instruct": 70.0,
    "Mistral-7B-v0.1": 7.0,
    "Mistral-7B-v0.2-hf": 7.0,
    "Mistral-7B-Instruct-v0.1": 7.0,
    "Mistral-7B-Instruct-v0.2": 7.0,
    "Mixtral-8x7B-v0.1": 12.9,  # active of 46.7, its paper says
    "Mixtral-8x7B-Instruct-v0.1": 12.9,
    "mathstral-7B": 7.0,
    "Phi-3-mini-4k-instruct": 3.8,  # its model card
    "Qwen1.5-7B-Chat": 7.0,
    "Qwen1.5-72B-Chat": 72.0,
    "Qwen1.5-110B": 110.0,
    "Yi-6B": 6.0,
    "Yi-6b-Chat": 6.0,
    "Yi-34B": 34.0,
    "gemma-7b": 7.0,
    "c4ai-command-r-v01": 35.0,  # its model card
    "jamba-1.5-large": 94.0,  # active of 398, its paper says
}
"""Parameters that work on a token, from the name where it says."""
LEFT_OUT = {
    "gemini-1.5-flash-002": "size not public",
    "gemini-1.5-pro-002": "size not public",
    "DeepSeek-Coder-V2": "two models have that name, and 14 % of its answers are missing",
}
FAMILIES = (
    ("Llama-2-7b-hf", "Llama-2-70b-hf"),
    ("Meta-Llama-3-8B", "Meta-Llama-3-70B"),
    ("Meta-Llama-3_1-8B", "Meta-Llama-3_1-70B"),
    ("Meta-Llama-3_1-8B-Instruct", "Meta-Llama-3_1-70B-Instruct"),
    ("Qwen1.5-7B-Chat", "Qwen1.5-72B-Chat"),
    ("Yi-6B", "Yi-34B"),
)
"""The smallest and the largest that differ in nothing else; those outside RATIOS are dropped."""

MODELS = ("small", "large")
FEEDBACK = ("full", "judged", "bandit")
SETS = [(100, True), (100, False), (10_000, False)]
"""How many questions, and whether half suit the small model."""


def default_ledger(capacity: int) -> MemoryLedger:
    """Return what `LECCache` keeps its entries in when it is told nothing but a capacity."""
    return MemoryLedger(capacity, policy=robust(capacity))


@dataclass(frozen=True)
class Table:
    """What the models did; questions that occur twice are there once."""

    texts: list[str]
    """Question and options."""
    right: dict[str, NDArray[np.bool_]]
    flops: dict[str, Floats]
    """In TFLOP, by model and question."""


@dataclass(frozen=True)
class Workload:
    """Requests for N questions in a random order of popularity, and what a pair costs on each."""

    stream: Ints
    """Which question of the N is asked."""
    small: Floats
    """Its failures included, shape (N,)."""
    large: Floats
    right: NDArray[np.bool_]
    """Where the small model is."""
    rows: Ints
    """Which question of the table each is."""

    @property
    def costs(self) -> dict[str, Floats]:
        """What each model costs on each question."""
        return {"small": self.small, "large": self.large}

    def trace(self, model: str | None = None) -> Iterator[Request]:
        """The requests, answered by one model, or by either."""
        costs = list(zip(*(costs.tolist() for costs in self.costs.values()), strict=True))
        by_model = [dict(zip(MODELS, pair, strict=True)) for pair in costs]
        for question in self.stream.tolist():
            asked = by_model[question]
            if model is None:
                yield Request(str(question), costs=asked)
            else:
                yield Request(str(question), asked[model])

    @property
    def counts(self) -> Ints:
        """Requests for each question."""
        return np.bincount(self.stream, minlength=len(self.rows))

    @property
    def capacity(self) -> int:
        """Entries that the cache holds."""
        return round(CACHED * len(self.rows))


def read(folder: Path) -> Table:
    """Read `routing/mmlu_pro` under the data folder.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: The tables do not list the same questions.
    """
    folder = folder / "routing" / "mmlu_pro"
    items, right, chars = (
        _rows(folder / f"{name}.csv.gz") for name in ("items", "correct_matrix", "out_chars_matrix")
    )
    ids = [[row["question_id"] for row in rows] for rows in (items, right, chars)]
    if ids[0] != ids[1] or ids[0] != ids[2]:
        msg = f"items, correct_matrix and out_chars_matrix in {folder} list different questions"
        raise ValueError(msg)
    texts = [f"{row['question']} {row['options']}" for row in items]
    first = sorted({text: place for place, text in reversed(list(enumerate(texts)))}.values())
    models = [name for name in right[0] if name in BILLIONS]
    into = np.array([len(texts[place]) for place in first]) / 4
    return Table(
        texts=[texts[place] for place in first],
        right={m: np.array([right[place][m] == "1" for place in first]) for m in models},
        flops={
            m: 2e-3 * BILLIONS[m] * (into + np.array([float(chars[p][m]) for p in first]) / 4)
            for m in models
        },
    )


def pairs(table: Table) -> list[tuple[str, str, float]]:
    """Every (small, large, ratio of their mean FLOPs) within RATIOS, by ratio."""
    means = {model: float(flops.mean()) for model, flops in table.flops.items()}
    found = [(s, m, means[m] / means[s]) for s, m in product(means, means)]
    return sorted((p for p in found if RATIOS[0] <= p[2] <= RATIOS[1]), key=lambda p: p[2])


def draw(
    table: Table, small: str, large: str, *, n: int, alpha: float, seed: int, half: bool
) -> Workload:
    """Draw questions, their popularity and the stream; the same for every pair, unless `half`.

    Args:
        table: The outcomes.
        small: Name of the small model.
        large: Name of the large model.
        n: Distinct questions.
        alpha: Of the power distribution; the smaller, the more alike the requests.
        seed: Of everything.
        half: As the paper had it: half of the questions such that the small model is right.

    Raises:
        ValueError: There are too few questions.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(table.texts))
    if half:
        right = table.right[small][order]
        order = rng.permutation(
            np.concatenate([order[right][: n // 2], order[~right][: n - n // 2]])
        )
    if len(order) < n:
        msg = f"n must be at most the {len(order)} questions there are for {small}, got {n}"
        raise ValueError(msg)
    rows = order[:n]
    stream = (n * rng.power(alpha, REQUESTS.get(n, 100 * n))).astype(np.int64)
    dear, well = table.flops[large][rows], table.right[small][rows]
    return Workload(
        stream=np.minimum(stream, n - 1),
        small=table.flops[small][rows] + PENALTY * dear * ~well,
        large=dear,
        right=well,
        rows=rows,
    )


def offline(work: Workload) -> dict[str, float]:
    """What each combination costs when the log is known: misses are what the cache does not hold."""
    least = np.minimum(work.small, work.large)
    choices = {
        "large": (work.large, work.large),
        "cascade": (work.small, work.small),
        "selector": (least, least),
        "selector .8": (0.8 * least + 0.2 * np.maximum(work.small, work.large), least),
    }
    costs = {
        "large only": float(work.counts @ work.large),
        "small only": float(work.counts @ work.small),
    }
    for name, (paid, expected) in choices.items():
        for policy, worth in (("LFU", work.counts), ("LEC", work.counts * expected)):
            missed = np.argsort(-worth, kind="stable")[work.capacity :]
            costs[f"{policy}+{name}"] = float(work.counts[missed] @ paid[missed])
    costs["ceiling"] = costs["LEC+selector"]
    return costs


def online(work: Workload) -> dict[str, float]:
    """What the paper's six combinations cost when all is learned as it comes, and the ceiling."""
    costs = {
        "large only": float(work.counts @ work.large),
        "small only": float(work.counts @ work.small),
    }
    by_large, by_small = (list(work.trace(model)) for model in ("large", "small"))
    routed = list(work.trace())
    for policy in (LFU, LEC):
        # the paper's caches never forget a count; the package's ledger does
        ledger = partial(MemoryLedger, work.capacity, policy=policy(), ghosts=len(work.rows))
        name = policy.__name__
        costs[f"{name}+large"] = spent(follow(by_large, ledger()))
        costs[f"{name}+cascade"] = spent(follow(by_small, ledger()))
        for feedback in FEEDBACK:
            router = Feedback(Selector(), work, feedback)
            costs[f"{name}+selector, {feedback}"] = spent(follow(routed, ledger(), router=router))
    least = np.minimum(work.small, work.large)
    worth = np.argsort(-work.counts * least, kind="stable")
    held, rest = worth[: work.capacity], worth[work.capacity :]
    costs["ceiling"] = float(
        work.counts[rest] @ least[rest] + least[held[work.counts[held] > 0]].sum()
    )
    return costs


def spent(outcomes: Iterable[Outcome]) -> float:
    """What the misses cost."""
    return sum(outcome.paid for outcome in outcomes)


def ours(
    work: Workload,
    feedback: str,
    *,
    vectors: NDArray[np.float32] | None,
    warm: bool = False,
) -> float:
    """What the package costs, its objects called in the order in which `MultiplexedLLM` calls them.

    Args:
        work: The workload.
        feedback: One of FEEDBACK.
        vectors: Of the table's questions; each model then has `Mean(prior=Ridge())`, the
            multiplexer's default, and without them `Mean()`.
        warm: Offline: both models' costs are known, and the cost is that of a second pass.
    """
    queries = {
        str(question): Query(str(question), vector=None if vectors is None else vectors[row])
        for question, row in enumerate(work.rows)
    }
    router = Router({name: Mean(prior=None if vectors is None else Ridge()) for name in MODELS})
    taught = Feedback(router, work, feedback)
    ledger = default_ledger(work.capacity)
    serve = partial(follow, list(work.trace()), ledger, router=taught, query=queries.__getitem__)
    if not warm:
        return spent(serve())
    for question in np.unique(work.stream).tolist():  # its costs are the same each time
        for model, costs in work.costs.items():
            router.learn(queries[str(question)], float(costs[question]), model)
    spent(serve())
    return spent(serve())


class Selector:
    """The paper's router: the model of the least cost seen on this question, one not yet seen first."""

    estimators = dict.fromkeys(MODELS)

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, float]] = {}

    def choose(self, x: Query) -> Route:
        """Route to the least; B1 = 0 is the bound of what was not seen."""
        seen = self.seen.get(x.key, {})
        return Route(min(MODELS, key=lambda model: seen.get(model, 0.0)), "least cost seen", {})

    def predict(self, x: Query) -> Estimate:
        """The least cost seen, taken for certain."""
        return Estimate(min(self.seen[x.key].values()), 0.0)

    def learn(self, x: Query, cost: float, route: str) -> None:
        """See what a model costs."""
        self.seen.setdefault(x.key, {})[route] = cost


class Feedback:
    """A router that is shown more of a miss than what the chosen model cost.

    Args:
        router: Which is taught.
        work: What both models would have cost.
        shown: One of FEEDBACK.
    """

    def __init__(self, router: Routing, work: Workload, shown: str) -> None:
        self.router = router
        self.estimators = router.estimators
        self.choose, self.predict = router.choose, router.predict
        self.costs = {model: costs.tolist() for model, costs in work.costs.items()}
        self.right = work.right.tolist()
        self.shown = shown

    def learn(self, x: Query, cost: float, route: str) -> None:
        """Teach what the chosen model cost, and what is to be seen of the other one."""
        self.router.learn(x, cost, route)
        (other,) = set(MODELS) - {route}
        again = self.shown == "judged" and route == "small" and not self.right[int(x.key)]
        if self.shown == "full" or again:
            self.router.learn(x, self.costs[other][int(x.key)], other)


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True)
class Cell:
    """One workload of one pair; runs of the same but for the seed are paired."""

    small: str
    large: str
    n: int
    half: bool
    alpha: float
    seed: int

    def draw(self, table: Table) -> Workload:
        """Draw it."""
        return draw(
            table,
            self.small,
            self.large,
            n=self.n,
            alpha=self.alpha,
            seed=self.seed,
            half=self.half,
        )


def cells(table: Table, chosen: list[tuple[str, str]], sets: list[tuple[int, bool]]) -> list[Cell]:
    """Every cell of the pairs, the half-right sets as far as there are questions for them."""
    found = []
    for (small, large), (n, half) in product(chosen, sets):
        right = int(table.right[small].sum())
        enough = min(right, len(table.texts) - right) >= n // 2 if half else True
        if enough and n <= len(table.texts):
            found += [Cell(small, large, n, half, a, s) for a, s in product(ALPHAS, SEEDS)]
    return found


def vectors_of(texts: list[str]) -> NDArray[np.float32]:
    """Unit vectors of texts, without a model or a label."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    counted = TfidfVectorizer(sublinear_tf=True).fit_transform(texts)
    dimensions = min(DIMENSIONS, counted.shape[1] - 1)
    reduced = TruncatedSVD(dimensions, random_state=0).fit_transform(counted)
    return np.asarray(normalize(reduced), dtype=np.float32)


def measure(cell: Cell, table: Table, vectors: NDArray[np.float32]) -> dict[str, dict[str, float]]:
    """Every combination's cost, offline and online, in TFLOP."""
    work = cell.draw(table)
    costs = {"offline": offline(work), "online": online(work)}
    costs["offline"]["ours"] = ours(work, "full", vectors=None, warm=True)
    for feedback in FEEDBACK:
        costs["online"][f"ours, {feedback}"] = ours(work, feedback, vectors=vectors)
    return costs


def summary(runs: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Over the seeds of a cell: mean cost, and how many times less than LFU+large, mean and sd."""
    found = {}
    for name in runs[0]:
        times = [run["LFU+large"] / run[name] for run in runs]
        found[name] = {
            "TFLOP": round(statistics.mean(run[name] for run in runs), 1),
            "times less": round(statistics.mean(times), 3),
            "sd": round(statistics.stdev(times), 3),
        }
    return found


def goal(rows: list[dict[str, Any]], names: tuple[str, ...]) -> dict[str, str]:
    """In how many cells each of `names` reaches GOAL."""
    return {
        name: f"{sum(row['costs'][name]['times less'] >= GOAL for row in rows)} of {len(rows)} cells"
        for name in names
    }


MARKS = {
    "offline": {"large only": "x", "LEC+selector": "s", "ours": "o", "ceiling": "_"},
    "online": {
        "large only": "x",
        "LEC+selector, judged": "s",
        "ours, judged": "o",
        "ours, full": "d",
        "ceiling": "_",
    },
}
"""What the chart shows."""
COLOURS = {"s": charts.ORANGE, "o": charts.MAIN, "d": charts.BLUE}


def draw_chart(rows: list[dict[str, Any]], sets: list[tuple[int, bool]], path: Path) -> None:
    """Share of the cost of LFU+large, by pair and α, between floor and ceiling."""
    with charts.drawing(path, 2, len(sets), size=(16, 9), sharey=True) as panels:
        for (place, mode), (column, (n, half)) in product(enumerate(MARKS), enumerate(sets)):
            axis = panels[place][column]
            shown = [r for r in rows if (r["mode"], r["questions"], r["half"]) == (mode, n, half)]
            panel(axis, shown, MARKS[mode])
            axis.set_title(f"{mode}, {n:,} questions{', half right' if half else ''}")
            if column == 0:
                axis.set_ylabel("cost as a share of LFU+large")
                axis.legend(fontsize=6, loc="upper center", ncols=4)


def panel(axis: Axes, shown: list[dict[str, Any]], marks: dict[str, str]) -> None:
    """The pairs of one mode and set of questions."""
    for name, mark in marks.items():
        axis.plot(
            [1 / row["costs"][name]["times less"] for row in shown],
            linestyle="",
            marker=mark,
            markersize=12 if name == "ceiling" else 6,
            color=COLOURS.get(mark, charts.INK),
            label=name,
        )
    axis.axhline(1, label="LFU+large", **charts.NO_CACHE)
    axis.axhline(1 / GOAL, color=charts.RED, linestyle=":", label=f"1/{GOAL}, the goal")
    axis.set_yscale("log")
    axis.set_ylim(0.1, 20)
    axis.set_yticks([0.1, 0.2, 0.5, 1, 2, 5, 10], ["0.1", "0.2", "0.5", "1", "2", "5", "10"])
    axis.minorticks_off()
    axis.set_xticks(
        range(len(shown)),
        [f"{row['small'].replace('Meta-', '')}, α {row['alpha']}" for row in shown],
        rotation=90,
        fontsize=7,
    )


def main() -> None:
    """Run and write the results file and the chart."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CACHEMUX_DATA"))
    parser.add_argument("--questions", type=int, nargs="+", default=list(REQUESTS))
    arguments = parser.parse_args()
    data, sets = arguments.data, [shown for shown in SETS if shown[0] in arguments.questions]
    if data is None:
        sys.exit(
            "The data is missing: give --data DIR or CACHEMUX_DATA, with routing/mmlu_pro in it;"
            " it comes from the public repository TIGER-AI-Lab/MMLU-Pro @f418b11, eval_results"
        )
    started, table = time.perf_counter(), read(Path(data))
    vectors, known = vectors_of(table.texts), pairs(table)
    ratios = {(small, large): ratio for small, large, ratio in known}
    chosen = [pair for pair in FAMILIES if pair in ratios]

    every = []
    for small, large, ratio in track(known, "all pairs, offline"):
        reached: dict[str, Any] = {}
        for cell in cells(table, [(small, large)], SETS):
            costs = offline(cell.draw(table))
            label = f"{cell.n} questions{', half right' if cell.half else ''}, α {cell.alpha}"
            times = costs["LFU+large"] / costs["LEC+selector"]
            reached.setdefault(label, []).append(times)
        every.append(
            {
                "small": small,
                "large": large,
                "FLOPs ratio": round(ratio, 2),
                "small right": round(float(table.right[small].mean()), 4),
                "large right": round(float(table.right[large].mean()), 4),
                "LEC+selector, times less": {
                    label: [round(statistics.mean(times), 2), round(statistics.stdev(times), 2)]
                    for label, times in reached.items()
                },
            }
        )

    todo = sorted(cells(table, chosen, sets), key=lambda cell: -cell.n)
    with get_context("spawn").Pool(2, _prepare, (table, vectors)) as pool:
        done = dict(track(pool.imap(_work, todo), "families", total=len(todo)))
    rows = [
        {
            "mode": mode,
            "small": cell.small,
            "large": cell.large,
            "questions": cell.n,
            "half": cell.half,
            "alpha": cell.alpha,
            "costs": summary([done[replace(cell, seed=seed)][mode] for seed in SEEDS]),
        }
        for mode, cell in product(("offline", "online"), cells(table, chosen, sets))
        if cell.seed == SEEDS[0]
    ]
    goals = {
        "offline": ("LEC+selector", "ours", "ceiling"),
        "online": (
            *(f"LEC+selector, {f}" for f in FEEDBACK),
            *(f"ours, {f}" for f in FEEDBACK),
            "ceiling",
        ),
    }
    result = {
        **stamp(
            " ".join(["python benchmarks/mmlu_pro.py", *_shown(arguments.questions)]),
            "numpy",
            "scikit-learn",
            seeds=SEEDS,
        ),
        "seconds": round(time.perf_counter() - started),
        "requests": REQUESTS,
        "cached": CACHED,
        "penalty": PENALTY,
        "parameters, billions": BILLIONS,
        "left out": LEFT_OUT,
        "goal": f"{GOAL} times less than LFU+large",
        "goal reached": {
            f"{mode}, {n} questions{', half right' if half else ''}": goal(
                [r for r in rows if (r["mode"], r["questions"], r["half"]) == (mode, n, half)],
                names,
            )
            for (mode, names), (n, half) in product(goals.items(), sets)
        },
        "rows": rows,
        "all pairs, offline, mean and sd": every,
    }
    results.write(results.FOLDER / "mmlu_pro.json", result)
    draw_chart(rows, sets, results.FOLDER / "mmlu_pro.png")
    print(json.dumps(result["goal reached"], indent=1, ensure_ascii=False))


def _shown(questions: list[int]) -> list[str]:
    return [] if questions == list(REQUESTS) else ["--questions", *map(str, questions)]


_shared: list[Any] = []


def _prepare(table: Table, vectors: NDArray[np.float32]) -> None:
    _shared[:] = [table, vectors]


def _work(cell: Cell) -> tuple[Cell, dict[str, dict[str, float]]]:
    return cell, measure(cell, *_shared)


if __name__ == "__main__":
    main()

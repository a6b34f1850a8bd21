"""Two to twenty-nine models: what a routed answer costs at (almost) the best single model's quality.

python benchmarks/models.py --data DIR    # or CACHEMUX_DATA=DIR; a quarter of an hour on one core

DIR holds `routing/llmrouter` (the public repository ulab-uiuc/LLMRouter @4e7a796, data) and
`routing/mmlu_pro` (TIGER-AI-Lab/MMLU-Pro @f418b11, eval_results, as tables): which model answered which
question how well.

A draw takes LABELS questions at random, and the package's `Router` learns of each what every model's
answer cost and whether it would do. Then it routes the others, of which it is told nothing more, at a
range of prices of an error: each gives a cost and a quality. Between two such points one may draw lots,
so the cost of a quality is read off the straight line between them; the single models are points too.

The K models are those that scored best on the labelled questions. Costs are dollars: of llmrouter the
list price of a token, as it does not say how long the answers were, so a question costs the same of
every length; of mmlu_pro list prices by token, characters / 4.

Floor: lots drawn between the single models, which look at no question. Ceiling: an oracle that knows how
each model will score. "Shrunk" is the same with `Shrunk` around each classifier.

Nothing is learned from other data, so it does not matter that both share questions with other
benchmarks; a question that occurs twice in one of them is there once. llmrouter's `cluster_id`, which is
made from the scores, is not read.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import results
from rich.console import Console
from rich.progress import track
from rich.table import Table

from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.route.classifiers import Classifier
from langchain_cachemux.route.costs import Costs
from langchain_cachemux.route.estimators import Mean
from langchain_cachemux.route.router import Router
from langchain_cachemux.route.shrunk import Shrunk
from langchain_cachemux.types import Estimate, Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

LABELS = 1500
QUESTIONS = 3000
"""Of each data set, drawn once: those that are labelled, and those that are routed."""
COUNTS = {"llmrouter": (2, 3, 5, 7, 9), "mmlu_pro": (2, 3, 5, 9, 15, 22, 29)}
TARGETS = (0.98, 0.95)
"""Of the best single model's quality."""
GOALS = {("llmrouter", 5, 0.98): 0.28, ("mmlu_pro", 9, 0.98): 0.48}
ERRORS = np.geomspace(0.05, 300.0, 25)
"""Prices of an error, in mean prices of the best single model's answer."""

PER_MILLION = {
    "gemini-1.5-pro-002": (1.25, 5.0),
    "gemini-1.5-flash-002": (0.075, 0.3),
    "DeepSeek-Coder-V2": (0.14, 0.28),
    "jamba-1.5-large": (2.0, 8.0),
    "c4ai-command-r-v01": (0.5, 1.5),
}
"""Dollars per million tokens in and out, from their makers' lists when they came out."""
BY_BILLIONS = ((4, 0.1), (8, 0.2), (21, 0.3), (41, 0.8), (80, 0.9), (110, 1.8))
"""Up to so many billion parameters, dollars per million tokens: as llmrouter lists open models."""
BILLIONS = {
    "Phi-3-mini-4k-instruct": 3.8,
    "Mixtral-8x7B-v0.1": 30.0,
    "Mixtral-8x7B-Instruct-v0.1": 30.0,
}
"""Where the name does not say; a mixture is priced between its active and its whole size."""


@dataclass(frozen=True)
class Outcomes:
    """What the models did: of n questions and K models, from cheap to expensive."""

    name: str
    models: list[str]
    texts: list[str]
    prices: Floats
    """Shape (n, K), dollars."""
    scores: Floats
    """Shape (n, K), in [0, 1]."""

    def some(self, rows: Ints) -> Outcomes:
        """Return those of some of the questions."""
        texts = [self.texts[row] for row in rows]
        return Outcomes(self.name, self.models, texts, self.prices[rows], self.scores[rows])


@dataclass(frozen=True)
class Point:
    """What came of routing all questions at one price of an error."""

    cost: float
    quality: float


def llmrouter(data: Path) -> Outcomes:
    """Read `routing/llmrouter` under the data folder: its training half, which holds most of the other.

    Raises:
        FileNotFoundError: It is not there.
    """
    folder = data / "routing/llmrouter"
    lists = json.loads((folder / "example_data__llm_candidates__default_llm.json").read_text())
    with gzip.open(folder / "dcrouter_preprocessed__train.json.gz", "rt", encoding="utf-8") as file:
        rows = list({row["question"]: row for row in json.load(file)}.values())
    models = sorted(rows[0]["scores"], key=lambda m: (lists[m]["output_price"], m))
    prices = np.array([lists[m]["output_price"] * 1e-6 for m in models])
    return Outcomes(
        "llmrouter",
        models,
        [row["question"] for row in rows],
        np.tile(prices, (len(rows), 1)),
        np.array([[row["scores"][m] for m in models] for row in rows]),
    )


def mmlu_pro(data: Path) -> Outcomes:
    """Read `routing/mmlu_pro` under the data folder, without what some model was not asked.

    Raises:
        FileNotFoundError: It is not there.
    """
    folder = data / "routing/mmlu_pro"
    items, right, chars = (
        _rows(folder / f"{name}.csv.gz") for name in ("items", "correct_matrix", "out_chars_matrix")
    )
    models = [name for name in right[0] if name != "question_id"]
    seen: dict[str, int] = {}
    for place, item in enumerate(items):
        whole = all(right[place][m] and chars[place][m] for m in models)
        if whole:
            seen.setdefault(f"{item['question']} {item['options']}", place)
    prices = np.array(
        [
            [_dollars(m, len(text), float(chars[place][m])) for m in models]
            for text, place in seen.items()
        ]
    )
    order = np.argsort(prices.mean(axis=0), kind="stable")
    scores = np.array([[float(right[place][m]) for m in models] for place in seen.values()])
    names = [models[k] for k in order]
    return Outcomes("mmlu_pro", names, list(seen), prices[:, order], scores[:, order])


READERS: dict[str, Callable[[Path], Outcomes]] = {"llmrouter": llmrouter, "mmlu_pro": mmlu_pro}


def vectors_of(texts: Sequence[str], kept: Path | None) -> NDArray[np.float32]:
    """Embed texts by the package's own encoder; shape (n, d). What was kept is not embedded again."""
    names = {text: hashlib.sha256(text.encode()).hexdigest() for text in texts}
    found: dict[str, NDArray[np.float32]] = {}
    if kept is not None and kept.exists():
        with np.load(kept) as file:
            found = dict(zip(file["names"].tolist(), file["vectors"], strict=True))
    missing = sorted({text for text in texts if names[text] not in found}, key=len)
    if missing:
        from langchain_cachemux.read.encoder import SentenceEncoder

        encoder = SentenceEncoder()
        for start in track(range(0, len(missing), 32), "embedding"):
            batch = missing[start : start + 32]
            rows = np.array(encoder.embed_documents(batch), dtype=np.float32)
            found |= {names[text]: row for text, row in zip(batch, rows, strict=True)}
        if kept is not None:
            np.savez(kept, names=np.array(list(found)), vectors=np.stack(list(found.values())))
    return np.stack([found[names[text]] for text in texts])


class Said:
    """An estimator that has said what it says of every question."""

    def __init__(self, said: dict[str, Estimate]) -> None:
        self.said = said

    def predict(self, x: Query) -> Estimate:
        """Say it again."""
        return self.said[x.key]

    def learn(self, x: Query, cost: float) -> None:
        """Learn nothing more."""


def learned(
    outcomes: Outcomes, queries: Sequence[Query], rows: Ints, models: Sequence[int], name: str
) -> dict[str, dict[str, Costs]]:
    """What estimators say of every question, having learned the labelled `rows`: by kind and model."""
    kinds: dict[str, dict[str, Costs]] = {"default": {}, "shrunk": {}}
    rest = [queries[n] for n in np.setdiff1d(np.arange(len(queries)), rows)]
    for k in track(models, name):
        shrunk = Shrunk(Classifier())
        costs = Costs(fails=Mean(prior=shrunk))
        router = Router({outcomes.models[k]: costs})
        for row in rows.tolist():
            price, score = float(outcomes.prices[row, k]), float(outcomes.scores[row, k])
            router.learn(queries[row], price, outcomes.models[k], failed=1.0 - score)
        prices = Said({x.key: costs.price.predict(x) for x in rest})
        # Of a question that was not asked before, `Mean` says what its prior does.
        for kind, fails in (("default", shrunk.estimator), ("shrunk", shrunk)):
            said = Said({x.key: fails.predict(x) for x in rest})
            kinds[kind][outcomes.models[k]] = Costs(prices, said)
    return kinds


def routed(
    costs: dict[str, Costs], outcomes: Outcomes, queries: Sequence[Query], unit: float
) -> list[Ints]:
    """Whom the router asks, at each price of an error: a number of `outcomes.models` a question."""
    router, places = Router(costs), {model: k for k, model in enumerate(outcomes.models)}
    return [
        np.array([places[router.choose(x, error_price=error * unit).model] for x in queries])
        for error in ERRORS
    ]


def points(outcomes: Outcomes, picks: Sequence[Ints]) -> list[Point]:
    """Cost and quality of each way to pick."""
    rows = np.arange(len(outcomes.texts))
    return [
        Point(float(outcomes.prices[rows, p].mean()), float(outcomes.scores[rows, p].mean()))
        for p in picks
    ]


def cost_of(quality: float, found: Sequence[Point]) -> float:
    """The least cost of a quality, lots drawn between two points where that is cheaper."""
    enough = [p for p in found if p.quality >= quality]
    short = [p for p in found if p.quality < quality]
    least = min((p.cost for p in enough), default=float("inf"))
    for above in enough:
        for below in short:
            share = (quality - below.quality) / (above.quality - below.quality)
            least = min(least, below.cost + share * (above.cost - below.cost))
    return least


def measure(
    outcomes: Outcomes, vectors: NDArray[np.float32], labels: int, counts: Sequence[int], seed: int
) -> list[dict[str, Any]]:
    """One draw: a row for each number of models."""
    name = f"{outcomes.name}, draw {seed}"
    queries = [
        Query(str(n), text=text, vector=vector)
        for n, (text, vector) in enumerate(zip(outcomes.texts, vectors, strict=True))
    ]
    order = np.random.default_rng(seed).permutation(len(queries))
    labelled, rest = order[:labels], order[labels:]
    asked = [queries[row] for row in rest]
    quality = outcomes.scores[labelled].mean(axis=0)
    best_first = np.argsort(-quality, kind="stable")
    kinds = learned(outcomes, queries, labelled, best_first[: max(counts)].tolist(), name)
    rows = []
    for count in track(counts, f"{name}: routing"):
        chosen = np.sort(best_first[:count])
        some = Outcomes(
            outcomes.name,
            [outcomes.models[k] for k in chosen],
            [x.text for x in asked],
            outcomes.prices[np.ix_(rest, chosen)],
            outcomes.scores[np.ix_(rest, chosen)],
        )
        best = int(np.argmax(quality[chosen]))
        unit = float(some.prices[:, best].mean())
        single = points(some, [np.full(len(rest), k) for k in range(count)])
        target = single[best].quality
        picks = {
            kind: routed({m: costs[m] for m in some.models}, some, asked, unit)
            for kind, costs in kinds.items()
        }
        picks["oracle"] = [
            np.argmin(some.prices + error * unit * (1.0 - some.scores), axis=1) for error in ERRORS
        ]
        row: dict[str, Any] = {"data": outcomes.name, "models": count, "draw": seed}
        row["best single model"] = some.models[best]
        row["its quality"] = target
        for share in TARGETS:
            at = {kind: points(some, way) + single for kind, way in picks.items()}
            at["single models"] = single
            row[f"cost at {share:.0%}"] = {
                kind: cost_of(share * target, found) / unit for kind, found in at.items()
            }
        row["against the best single model"] = {
            kind: against(
                some,
                picks[kind],
                prices=outcomes.prices[np.ix_(labelled, chosen)].mean(axis=0),
                quality=quality[chosen],
                unit=unit,
            )
            for kind in kinds
        }
        rows.append(row)
    return rows


def against(
    some: Outcomes, picks: Sequence[Ints], *, prices: Floats, quality: Floats, unit: float
) -> list[float]:
    """Price and errors of the router over those of the best single model, where that is the most.

    The best single model is, at each price of an error, the one of the least cost on the labelled
    questions. The paired 95 % interval comes with it: ratio, low, high.
    """
    rows, found = np.arange(len(some.texts)), []
    for error, pick in zip(ERRORS * unit, picks, strict=True):
        total = some.prices + error * (1.0 - some.scores)
        one = total[:, int(np.argmin(prices + error * (1.0 - quality)))]
        excess = (total[rows, pick] - one) / one.mean()
        half = 1.96 * float(excess.std(ddof=1)) / len(rows) ** 0.5
        middle = 1.0 + float(excess.mean())
        found.append([middle, middle - half, middle + half])
    return max(found)


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean over the draws of each data set and number of models."""
    cells: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        cells.setdefault((row["data"], row["models"]), []).append(row)
    means = []
    for (name, count), draws in cells.items():
        mean: dict[str, Any] = {"data": name, "models": count}
        for share in TARGETS:
            key = f"cost at {share:.0%}"
            mean[key] = {
                kind: statistics.mean(draw[key][kind] for draw in draws) for kind in draws[0][key]
            }
            if goal := GOALS.get((name, count, share)):
                mean[key] |= {"goal": goal, "reached": mean[key]["default"] <= goal}
        key = "against the best single model"
        mean[key] = {
            kind: [statistics.mean(draw[key][kind][k] for draw in draws) for k in range(3)]
            for kind in draws[0][key]
        }
        means.append(mean)
    return means


def show(means: Sequence[dict[str, Any]]) -> None:
    """Print a line a data set and number of models."""
    table = Table("data", "models", "at", "default", "shrunk", "single", "oracle", "goal", "worst")
    for mean in means:
        for share in TARGETS:
            cost = mean[f"cost at {share:.0%}"]
            kinds = ("default", "shrunk", "single models", "oracle")
            goal = (
                f"{cost['goal']} {'reached' if cost['reached'] else 'missed'}"
                if "goal" in cost
                else ""
            )
            worst, low, high = mean["against the best single model"]["default"]
            table.add_row(
                mean["data"],
                str(mean["models"]),
                f"{share:.0%}",
                *(f"{cost[kind]:.3f}" for kind in kinds),
                goal,
                f"{worst:.3f} ({low:.3f} to {high:.3f})",
            )
    Console().print(table)


def plot(means: Sequence[dict[str, Any]], path: Path) -> None:
    """A panel a data set: cost at each quality over the number of models, with floor and ceiling."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(mean["data"] for mean in means))
    figure = Figure(figsize=(5 * len(names), 4), layout="constrained")
    for panel, name in zip(
        np.atleast_1d(figure.subplots(1, len(names), sharey=True)), names, strict=True
    ):
        mine = [mean for mean in means if mean["data"] == name]
        counts = [mean["models"] for mean in mine]
        for share, colour in zip(TARGETS, ("tab:blue", "tab:green"), strict=True):
            for kind, style in (("default", "-"), ("single models", ":"), ("oracle", "--")):
                costs = [mean[f"cost at {share:.0%}"][kind] for mean in mine]
                label = f"{kind if kind != 'default' else 'router'}, {share:.0%} of the quality"
                marker = "o" if kind == "default" else None
                panel.plot(counts, costs, style, color=colour, label=label, marker=marker)
        panel.set_title(name, fontsize=10)
        panel.set_xlabel("models")
        panel.set_ylim(0, 1.05)
        panel.set_ylabel("cost / that of the best single model")
    panel.legend(fontsize=7)
    figure.savefig(path, dpi=100)


def main() -> None:
    """Run, write `models.json` and its chart."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CACHEMUX_DATA"))
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--labels", type=int, default=LABELS)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--sets", nargs="+", choices=list(READERS), default=list(READERS))
    parser.add_argument("--models", type=int, default=29, help="at most so many of a data set")
    parser.add_argument("--vectors", type=Path, help="file in which the vectors are kept")
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    told = parser.parse_args()
    if told.data is None:
        sys.exit(
            "The data is missing: give --data DIR or CACHEMUX_DATA, with routing/llmrouter and"
            " routing/mmlu_pro in it; they come from the public repositories ulab-uiuc/LLMRouter"
            " @4e7a796, data, and TIGER-AI-Lab/MMLU-Pro @f418b11, eval_results"
        )
    rows: list[dict[str, Any]] = []
    for name in told.sets:
        whole = READERS[name](Path(told.data))
        drawn = np.random.default_rng(0).permutation(len(whole.texts))[: told.questions]
        outcomes = whole.some(drawn)
        vectors = vectors_of(outcomes.texts, told.vectors)
        for seed in range(told.draws):
            counts = [count for count in COUNTS[name] if count <= told.models]
            rows += measure(outcomes, vectors, told.labels, counts, seed)
    means = summary(rows)
    result = {
        **stamp(
            f"python benchmarks/models.py --draws {told.draws} --labels {told.labels}"
            f" --questions {told.questions} --models {told.models}",
            "numpy",
            "scikit-learn",
            seeds=told.draws,
        ),
        "measure": "cost over that of the best single model, at a share of its quality;"
        " price and errors over the best single model's, at the price of an error where that is"
        " the most: ratio, and a paired 95 % interval",
        "labels": told.labels,
        "questions": told.questions,
        "means": means,
        "draws": rows,
    }
    results.write(told.out / "models.json", result)
    plot(means, told.out / "models.png")
    show(means)


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _dollars(model: str, into: float, out: float) -> float:
    """Of one call, from its characters."""
    if model in PER_MILLION:
        price_in, price_out = PER_MILLION[model]
    else:
        import re

        size = BILLIONS.get(model) or float(re.search(r"(\d+)[bB]", model)[1])  # type: ignore[index]
        price_in = price_out = next(price for limit, price in BY_BILLIONS if size <= limit)
    return (price_in * into + price_out * out) / 4e6


if __name__ == "__main__":
    main()

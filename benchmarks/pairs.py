"""How often a question's answer is served to a rewording of it, and how often to another question.

    python benchmarks/pairs.py --data DIR            # or CACHEMUX_DATA=DIR; about five minutes
    python benchmarks/pairs.py --data DIR --sealed   # scores the sealed half too; meant to be run once

Sets of pairs with a label, *same* (an answer should be shared) or *different* (it must not):

* `english`, `languages`: this project's, in `benchmarks/pairs`; the half `open` is what the rules were
  developed on, the half `sealed` is not looked at before they are fixed.
* `traps`: made to deceive; `demo`: its questions with their paraphrases and near-misses.
* `polarity`: sentences with a paraphrase or an opposite, and with their negation. A thousand of each.
* `gptcache`: pairs of statements that share an answer; none differ.
* `banking77`, `clinc150`: a thousand test questions, each with the nearest of three thousand training
  questions; labelled by intent, which is coarser than a question: many that are called the same differ
  in a name or a number.

A rule serves a pair by its cosine (default encoder) and its texts. *Verdicts* serves what `compare`
calls the same, and what it calls reworded from the given cosine on. Shares have 95 % Clopper-Pearson
intervals. Of each guard is counted how often it objects to a pair of a cosine of at least 0.8, and how
often it is right then.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import random
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import results
from rich.console import Console
from rich.table import Table
from scipy.stats import beta

from langchain_cachemux.demo.stream import read_questions
from langchain_cachemux.lab import charts
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.match.guards import GUARDS, names, negation, numbers
from langchain_cachemux.match.surface import compare
from langchain_cachemux.read.encoder import SentenceEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Vectors = dict[str, np.ndarray]
    """A unit vector for each text."""

OWN = Path(__file__).parent / "pairs"
NEAR = 0.8
"""Cosine from which on guards are judged."""
DRAWN, STORED = 1_000, 3_000
SEED = 0


class Pair(NamedTuple):
    """A question, one whose answer is stored, and whether it may be served."""

    new: str
    stored: str
    same: bool


def rule(similarity: float, *guards: Callable[[str, str], str | None]) -> Callable[..., bool]:
    """Serves at a similarity where no guard objects."""
    return lambda pair, cosine: (
        cosine >= similarity and not any(guard(pair.new, pair.stored) for guard in guards)
    )


def verdicts(similarity: float) -> Callable[..., bool]:
    """Serves the same at any similarity, and a rewording at this one."""

    def served(pair: Pair, cosine: float) -> bool:
        verdict = compare(pair.new, pair.stored).verdict
        return verdict == "same" or (verdict == "reworded" and cosine >= similarity)

    return served


RULES: dict[str, Callable[..., bool]] = {
    "similarity .85": rule(0.85),
    "similarity .95": rule(0.95),
    "numbers, negation, names, .85": rule(0.85, numbers, negation, names),
    "verdicts, .80": verdicts(0.80),
    "verdicts, .85": verdicts(0.85),
}


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a file whose columns are parted by tabs and whose quotes are letters."""
    open_file = gzip.open if path.suffix == ".gz" else open
    with open_file(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def own(half: str) -> dict[str, list[Pair]]:
    """This project's pairs of one half."""
    return {
        f"{name}, {half}": [
            Pair(row["first"], row["second"], row["label"] == "same")
            for row in table(OWN / f"{name}.tsv")
            if row["half"] == half
        ]
        for name in ("english", "languages")
    }


def traps(folder: Path) -> list[Pair]:
    """Pairs made to deceive."""
    rows = table(folder / "traps/traps.tsv")
    return [Pair(row["first"], row["second"], row["label"] == "same") for row in rows]


def demo() -> list[Pair]:
    """The demo's questions: paraphrases of each with each other, and near-misses with all of them."""
    pairs = []
    for question in read_questions():
        texts = [question.question, *question.paraphrases]
        pairs += [Pair(near, text, same=False) for near, _ in question.near for text in texts]
        pairs += [
            Pair(one, two, same=True) for i, two in enumerate(texts) for one in texts[i + 1 :]
        ]
    return pairs


def polarity(folder: Path) -> list[Pair]:
    """Sentences with a paraphrase or an opposite, and with their negation."""
    lot = random.Random(SEED)
    labelled = table(folder / "polarity_cannot/sem_anto_neg.tsv.gz")
    pairs = [Pair(r["hypothesis"], r["premise"], r["label"] == "0") for r in labelled]
    negated = [
        Pair(row["negated"], row["sentence"], same=False)
        for path in sorted((folder / "polarity_cannot").glob("wikifactcheck*.tsv.gz"))
        for row in table(path)
    ]
    return lot.sample(pairs, DRAWN) + lot.sample(negated, DRAWN)


def gptcache(folder: Path) -> list[Pair]:
    """Statements that share an answer."""
    pairs = []
    for name, one, other in (
        ("gptcache_mock_data", "similar", "origin"),
        ("mock_data_long", "s", "o"),
    ):
        rows = json.loads((folder / f"gptcache_pairs/{name}.json").read_text(encoding="utf-8"))
        pairs += [Pair(row[one], row[other], same=True) for row in rows]
    return pairs


def intents(folder: Path, name: str) -> list[Pair]:
    """Questions with the nearest of the training questions; the same when they have one intent."""
    if name == "banking77":
        sets = []
        for part in ("test", "train"):
            with gzip.open(folder / f"{name}/{part}.csv.gz", "rt", encoding="utf-8") as file:
                sets.append([(row["text"], row["category"]) for row in csv.DictReader(file)])
    else:
        with gzip.open(folder / f"{name}/data_full.json.gz", "rt", encoding="utf-8") as file:
            whole = json.load(file)
        sets = [[tuple(row) for row in whole[part]] for part in ("test", "train")]
    lot = random.Random(SEED)
    asked, stored = lot.sample(sets[0], DRAWN), lot.sample(sets[1], STORED)
    vectors = embedded(text for text, _ in (*asked, *stored))
    rows = np.array([vectors[text] for text, _ in stored])
    pairs = []
    for text, intent in asked:
        near, its_intent = stored[int((rows @ vectors[text]).argmax())]
        pairs.append(Pair(text, near, its_intent == intent))
    return pairs


def embedded(texts: Iterable[str]) -> Vectors:
    """Unit vectors by the default encoder."""
    every = sorted(set(texts))
    found = np.array(SentenceEncoder().embed_documents(every), dtype=np.float32)
    return dict(zip(every, found / np.linalg.norm(found, axis=1, keepdims=True), strict=True))


def cosines(pairs: Sequence[Pair]) -> list[float]:
    """The cosine of each pair."""
    vectors = embedded(text for pair in pairs for text in pair[:2])
    return [float(vectors[pair.new] @ vectors[pair.stored]) for pair in pairs]


def share(count: int, of: int) -> dict[str, Any]:
    """A count as a share, with its 95 % Clopper-Pearson interval."""
    return {
        "count": count,
        "of": of,
        "share": count / of if of else None,
        "low": float(beta.ppf(0.025, count, of - count + 1)) if count else 0.0,
        "high": float(beta.ppf(0.975, count + 1, of - count)) if count < of else 1.0,
    }


def scored(name: str, pairs: Sequence[Pair], near: Sequence[float]) -> dict[str, Any]:
    """What each rule serves of a set, the verdicts by label, and the guards' right objections."""
    labels = {"same": True, "different": False}
    row: dict[str, Any] = {"set": name, "rules": {}, "verdicts": {}, "guards": {}}
    for title, serves in RULES.items():
        found = [
            (serves(pair, cosine), pair.same) for pair, cosine in zip(pairs, near, strict=True)
        ]
        row["rules"][title] = {
            label: share(
                sum(hit for hit, same in found if same == is_same),
                sum(same == is_same for _, same in found),
            )
            for label, is_same in labels.items()
        }
    for label, is_same in labels.items():
        told = (compare(pair.new, pair.stored).verdict for pair in pairs if pair.same == is_same)
        row["verdicts"][label] = dict(sorted(Counter(told).items()))
    for guard in GUARDS:
        vetoed = [
            pair.same
            for pair, cosine in zip(pairs, near, strict=True)
            if cosine >= NEAR and guard(pair.new, pair.stored)
        ]
        row["guards"][guard.__name__] = {"right": vetoed.count(False), "wrong": vetoed.count(True)}
    return row


def milliseconds(pairs: Sequence[Pair], candidates: int = 8) -> dict[str, float]:
    """Median time of reading a short question and comparing it with candidates that were read before."""
    short = [pair for pair in pairs if len(pair.new) + len(pair.stored) < 300]
    lot = random.Random(SEED)
    took = []
    for pair in lot.sample(short, min(300, len(short))):
        stored = [pair.stored, *(one.stored for one in lot.sample(short, candidates - 1))]
        for text in stored:
            compare("", text)
        started = time.thread_time()
        for text in stored:
            compare(f"{pair.new} ", text)
        took.append(1e3 * (time.thread_time() - started))
    return {
        "candidates": candidates,
        "median": statistics.median(took),
        "p95": float(np.quantile(took, 0.95)),
    }


SWEPT = tuple(round(0.6 + 0.025 * step, 3) for step in range(16))
"""Similarities of the curves."""


def curves(pairs: Sequence[Pair], near: Sequence[float]) -> dict[str, list[list[float]]]:
    """Shares served of different and of same pairs over the similarity: bare, and by the verdicts."""
    told = [compare(pair.new, pair.stored).verdict for pair in pairs]
    same = np.array([pair.same for pair in pairs])
    cosine = np.array(near)
    at_once = np.array([verdict == "same" for verdict in told])
    reworded = np.array([verdict == "reworded" for verdict in told])
    found: dict[str, list[list[float]]] = {"similarity": [], "verdicts": []}
    for similarity in SWEPT:
        close = cosine >= similarity
        for name, hit in (("similarity", close), ("verdicts", at_once | (reworded & close))):
            found[name].append([float(hit[~same].mean()), float(hit[same].mean())])
    return found


def draw_chart(drawn: dict[str, dict[str, list[list[float]]]], path: Path) -> None:
    """A panel a set: what should be served over what must not be, with its floor and its ceiling."""
    with charts.drawing(path, 1, len(drawn), size=(4 * len(drawn), 3.8), sharey=True) as panels:
        for panel, (name, lines) in zip(panels[0], drawn.items(), strict=True):
            panel.axhline(0, label="exact repeats only", **charts.NO_CACHE)
            panel.axhline(1, label="told every label", **charts.LIMIT)
            for (title, points), colour in zip(
                lines.items(), (charts.ORANGE, charts.MAIN), strict=True
            ):
                wrong, right = zip(*points, strict=True)
                panel.plot(wrong, right, ".-", color=colour, label=title)
                mark = SWEPT.index(0.85)
                panel.plot(wrong[mark], right[mark], "o", color=colour, markersize=9)
            panel.set_title(name)
            panel.set_xlabel("served of different")
        panels[0, 0].set_ylabel("served of same")
        panels[0, -1].legend(loc="center right")


def show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Print what each rule serves."""
    shown = Table("set", *RULES, title="served of same / of different, %")
    for row in rows:
        cells = []
        for found in row["rules"].values():
            shares = (found[label]["share"] for label in ("same", "different"))
            cells.append(" / ".join("–" if one is None else f"{100 * one:.1f}" for one in shares))
        shown.add_row(row["set"], *cells)
    console.print(shown)


def main() -> None:
    """Measure, print, write `pairs.json` (and `pairs_sealed.json`) and the chart."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CACHEMUX_DATA"))
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    parser.add_argument("--sealed", action="store_true", help="score the sealed half, and only it")
    told = parser.parse_args()
    if told.sealed:
        sets = own("sealed")
    else:
        folder = Path(told.data or "") / "semantic"
        if not told.data or not folder.is_dir():
            sys.exit(
                "The pairs are missing: give --data DIR or CACHEMUX_DATA, with semantic/ in it"
            )
        sets = own("open") | {
            "traps": traps(folder),
            "demo": demo(),
            "polarity": polarity(folder),
            "gptcache": gptcache(folder),
            "banking77": intents(folder, "banking77"),
            "clinc150": intents(folder, "clinc150"),
        }
    near = {name: cosines(pairs) for name, pairs in sets.items()}
    rows = [scored(name, pairs, near[name]) for name, pairs in sets.items()]
    show(rows, Console())
    name = "pairs_sealed" if told.sealed else "pairs"
    command = f"CACHEMUX_DATA=DIR python benchmarks/pairs.py{' --sealed' * told.sealed}"
    result = {**stamp(command, "sentence-transformers", "torch", seeds=[SEED]), "sets": rows}
    if not told.sealed:
        result["milliseconds"] = milliseconds(sets["english, open"])
    results.write(told.out / f"{name}.json", result)
    drawn = [
        one for one in sets if any(p.same for p in sets[one]) and not all(p.same for p in sets[one])
    ]
    lines = {one: curves(sets[one], near[one]) for one in drawn[:4]}
    draw_chart(lines, told.out / f"{name}.png")


if __name__ == "__main__":
    main()

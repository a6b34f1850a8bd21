"""How often the default matcher serves a question's answer to another question, and to a rewording.

    python benchmarks/traps.py --data DIR    # or CACHEMUX_DATA=DIR; about half a minute

DIR holds `semantic/traps/traps.tsv`: pairs of questions made to deceive (`different`: one word, sign or
order apart) and rewordings (`same`). Nothing like the rate of natural traffic: it says how a cache errs
whose users set out to deceive it.

The demo's questions come second: a text of each against its near-misses, and against its paraphrases.
The guards were written on the questions at even places; those at odd places are told apart.

A pair is *near* when its cosine by the default encoder is at least 0.85, and *served* when no guard
objects either. Shares have 95 % Clopper-Pearson intervals.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import results
from rich.console import Console
from rich.table import Table
from scipy.stats import beta

from langchain_cachemux.demo.stream import read_questions
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.match.threshold import Threshold
from langchain_cachemux.read.encoder import SentenceEncoder
from langchain_cachemux.types import Entry, Hit, Match, Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from langchain_cachemux.match.threshold import Matcher

    Pair = tuple[str, str]
    """A question, and the one whose answer is stored."""


def traps(path: Path) -> dict[tuple[str, str], list[Pair]]:
    """The pairs of a file with the columns first, second, label and kind, by label and kind."""
    found: dict[tuple[str, str], list[Pair]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            for kind in ("all", row["kind"]):
                found.setdefault((row["label"], kind), []).append((row["first"], row["second"]))
    return found


def demo(place: int) -> dict[tuple[str, str], list[Pair]]:
    """The pairs of the demo's questions at even (0) or odd (1) places."""
    questions = read_questions()[place::2]
    texts = {q.id: [q.question, *q.paraphrases] for q in questions}
    where = f"demo, {('even', 'odd')[place]} places"
    near = [(near, text) for q in questions for near, _ in q.near for text in texts[q.id]]
    return {
        ("different", where): near,
        ("same", where): [(text, q.question) for q in questions for text in q.paraphrases],
    }


def verdicts(pairs: Iterable[Pair], matcher: Matcher) -> Iterator[tuple[float, bool]]:
    """The cosine of each pair by the default encoder, and whether the matcher serves it."""
    pairs = list(pairs)
    texts = sorted({text for pair in pairs for text in pair})
    vectors = np.array(SentenceEncoder().embed_documents(texts), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vector = dict(zip(texts, vectors, strict=True))
    for new, stored in pairs:
        match = Match(Entry("stored", text=stored), float(vector[new] @ vector[stored]))
        yield match.similarity, isinstance(matcher.judge(Query("new", text=new), [match]), Hit)


def counted(found: list[tuple[float, bool]], similarity: float) -> dict[str, Any]:
    """How many of the pairs are near, how many are served, and the interval of that share."""
    served, of = sum(hit for _, hit in found), len(found)
    return {
        "pairs": of,
        "near": sum(cosine >= similarity for cosine, _ in found),
        "served": served,
        "share": served / of,
        "low": float(beta.ppf(0.025, served, of - served + 1)) if served else 0.0,
        "high": float(beta.ppf(0.975, served + 1, of - served)) if served < of else 1.0,
    }


def rows(groups: dict[tuple[str, str], list[Pair]]) -> list[dict[str, Any]]:
    """A row of counts for each group of pairs, by the default matcher."""
    matcher = Threshold()
    return [
        {"label": label, "kind": kind} | counted(list(verdicts(pairs, matcher)), matcher.similarity)
        for (label, kind), pairs in sorted(groups.items())
    ]


def main() -> None:
    """Measure, print, write `traps.json`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CACHEMUX_DATA"))
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    told = parser.parse_args()
    path = told.data and Path(told.data) / "semantic/traps/traps.tsv"
    if path is None or not path.is_file():
        sys.exit(
            "The pairs are missing: give --data DIR or CACHEMUX_DATA, with semantic/traps in it"
        )
    found = rows(traps(path) | demo(0) | demo(1))
    table = Table("label", "kind", "pairs", "near", "served")
    for row in found:
        share = f"{row['served']} = {row['share']:.0%} ({row['low']:.0%} … {row['high']:.0%})"
        table.add_row(row["label"], row["kind"], str(row["pairs"]), str(row["near"]), share)
    Console().print(table)
    command = "CACHEMUX_DATA=DIR python benchmarks/traps.py"
    result = {**stamp(command, "sentence-transformers", "torch"), "matcher": repr(Threshold())}
    results.write(told.out / "traps.json", {**result, "rows": found})


if __name__ == "__main__":
    main()

"""The default encoder through onnxruntime, beside sentence-transformers: equal vectors, in what time.

    python benchmarks/encoder.py    # a minute

Both are asked in turn for one text at a time, in one process, so that whatever else the machine does
falls on both. Times are of the whole call, tokens and all, in milliseconds; the ratio is of the medians.
The largest difference between two vectors is over texts of every kind: empty, long, of other scripts,
emoji.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import results
from rich.console import Console
from rich.table import Table

from langchain_cachemux.demo.stream import read_questions
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.read import encoder

if TYPE_CHECKING:
    from collections.abc import Callable

TEXTS = {
    "a word": "Hello",
    "a question": "How do I change the address that my order is delivered to?",
    "a paragraph": "The order was placed on Monday and has not arrived. What can I do? " * 5,
    "256 tokens": "word " * 400,
}
ODD = ["", " ", "\x00", "x" * 5000, "ÀÉ naïve Straße", "👍🏽 or 👎?", "पासवर्ड कैसे बदलें", "密码怎么改"]


def seconds(ask: Callable[[], Any]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def timed(asked: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The median of each, in milliseconds; all are called once in each round."""
    found: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(rounds):
        for name, ask in asked.items():
            found[name].append(seconds(ask))
    return {name: 1000 * statistics.median(times) for name, times in found.items()}


def main() -> None:
    """Measure, print, write `encoder.json`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=101)
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    told = parser.parse_args()
    folder = encoder._packaged() or encoder._fetched()
    ours, theirs = encoder._Onnx(folder), encoder._Torch(folder)
    texts = [*TEXTS.values(), *ODD, *(q.question for q in read_questions())]
    difference = float(np.abs(np.array(ours.vectors(texts)) - theirs.vectors(texts)).max())
    rows = []
    table = Table("text", "onnxruntime, ms", "sentence-transformers, ms", "ratio")
    for name, text in TEXTS.items():
        ask = {"ours": lambda: ours.vectors([text]), "theirs": lambda: theirs.vectors([text])}  # noqa: B023
        row = timed(ask, told.rounds)
        row["ratio"] = row["ours"] / row["theirs"]
        rows.append({"text": name, **row})
        table.add_row(name, f"{row['ours']:.2f}", f"{row['theirs']:.2f}", f"{row['ratio']:.2f}")
    Console().print(table, f"largest difference over {len(texts)} texts: {difference:.1e}")
    result = stamp("python benchmarks/encoder.py", "onnxruntime", "sentence-transformers", "torch")
    written = {**result, "rounds": told.rounds, "texts": len(texts), "difference": difference}
    results.write(told.out / "encoder.json", {**written, "rows": rows})


if __name__ == "__main__":
    main()

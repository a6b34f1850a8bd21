"""How often `Agree` is right about two answers, and how it errs.

    python benchmarks/agreement.py --data DIR    # or CACHEMUX_DATA=DIR; about 3 minutes

DIR holds `routing/routellm/evals/`, `semantic/gptcache_pairs/`, `semantic/polarity_cannot/`. There are
two errors: *same* said of answers that differ (a wrong answer passes for a right one), and *different*
said of answers that are the same (a call too many).

GSM8K: Mixtral-8x7B's and GPT-4's recorded solutions of 1,307 problems, whole, as they came. Both right:
they say the same. One right: they differ. Neither: nobody knows, left out. Right is what the recording
says; and, in a second count, also a solution whose last number is the published result, because the
recording takes $20.00 for something else than 20.

Letters: the choices of MMLU's questions, each letter written in eight ways, against the same letter and
against another in another way. Constructed, not recorded: no model's words are in the recording.

Paraphrases: a statement and its paraphrase (zilliztech/GPTCache). There is nothing to extract in them:
they are compared as whole texts, by the default encoder's vectors.

Polarity: two sentences of which one paraphrases the other by the denial of an antonym, or says the
opposite (dmlls/cannot-dataset). Made to be hard, and of whole texts too.

Rows at even places were looked at while `Agree` was written; what is reported is the odd ones.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import random
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import beta

from langchain_cachemux.agree import Agree
from langchain_cachemux.lab.stamp import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Pair = tuple[str, str, bool]
    """Two answers, and whether they say the same."""

RESULTS = Path(__file__).parent / "results"
SMALL, LARGE = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
WAYS = (
    "{letter}",
    "({letter})",
    "{letter}.",
    "**{letter}**",
    "{letter}. {choice}",
    "({letter}) {choice}",
    "The answer is {letter}.",
    "The correct answer is ({letter}) {choice}",
)
SIMILARITIES = (0.8, 0.85, 0.9, 0.95)
LAST_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def last_number(text: str) -> float | None:
    """The plainest reading of a solution: its last number."""
    found = LAST_NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None


def gsm8k(folder: Path, place: int, *, repaired: bool) -> Iterator[Pair]:
    """Pairs of solutions of which at least one is right.

    Args:
        folder: With `gsm8k_responses.csv` and `test.jsonl`.
        place: Remainder of the rows' numbers by two.
        repaired: Count a solution as right when its last number is the result, too.
    """
    lines = (folder / "test.jsonl").read_text().splitlines()
    results = {
        row["question"]: last_number(row["answer"].rpartition("####")[2])
        for row in map(json.loads, lines)
    }
    with (folder / "gsm8k_responses.csv").open(newline="") as file:
        for row in list(csv.DictReader(file))[place::2]:
            texts = [row[f"{model}_response"] for model in (SMALL, LARGE)]
            right = [row[model] == "True" for model in (SMALL, LARGE)]
            if repaired:
                result = results[row["prompt"]]
                right = [r or last_number(t) == result for r, t in zip(right, texts, strict=True)]
            if any(right):
                yield texts[0], texts[1], all(right)


def letters(folder: Path, place: int, seed: int) -> Iterator[Pair]:
    """For each question two pairs of ways to state a letter: the same one, and two."""
    rng = random.Random(seed)
    prompts = []
    for path in sorted(folder.glob("responses/*.csv")):
        with path.open(newline="") as file:
            prompts += [row["prompt"] for row in csv.DictReader(file)]
    for prompt in prompts[place::2]:
        choices = re.findall(r"^([A-D])\. (.+)$", prompt, re.MULTILINE)[-4:]
        if len(choices) < 2:
            continue
        (one, text), (other, text_of_other) = rng.sample(choices, 2)
        ways = rng.sample(WAYS, 2)
        left = ways[0].format(letter=one, choice=text)
        yield left, ways[1].format(letter=one, choice=text), True
        yield left, ways[1].format(letter=other, choice=text_of_other), False


def polarity(folder: Path, place: int) -> list[Pair]:
    """Pairs of sentences; label 0 is a paraphrase, 1 the opposite."""
    with gzip.open(folder / "sem_anto_neg.tsv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [(row["premise"], row["hypothesis"], row["label"] == "0") for row in rows[place::2]]


def paraphrases(folder: Path, place: int) -> list[Pair]:
    """Statements with their paraphrases."""
    short = json.loads((folder / "gptcache_mock_data.json").read_text())
    long = json.loads((folder / "mock_data_long.json").read_text())
    pairs = [(row["origin"], row["similar"], True) for row in short]
    pairs += [(row["o"], row["s"], True) for row in long]
    return pairs[place::2]


def counted(pairs: Iterable[Pair], agree: Callable[[str, str], bool]) -> dict[str, Any]:
    """Both errors, each as a share of the pairs that it can be made on, with 95 % Clopper-Pearson."""
    wrong, total = {True: 0, False: 0}, {True: 0, False: 0}
    for left, right, same in pairs:
        total[same] += 1
        wrong[same] += agree(left, right) != same
    row: dict[str, Any] = {"pairs": sum(total.values())}
    for same, error in ((False, "said same, differ"), (True, "said different, same")):
        k, n = wrong[same], total[same]
        if not n:
            continue
        low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
        high = float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
        row[error] = {"wrong": k, "of": n, "share": k / n, "low": low, "high": high}
    return row


def by_last_number(left: str, right: str) -> bool:
    """The rule to beat on problems."""
    return last_number(left) == last_number(right)


def by_words(left: str, right: str) -> bool:
    """The rule to beat elsewhere: the same text but for case and space."""
    return " ".join(left.casefold().split()) == " ".join(right.casefold().split())


def by_vectors(embed: Callable[[str], Any], least: float, left: str, right: str) -> bool:
    """The rule to beat on whole texts: a threshold, and nothing else."""
    return float(embed(left) @ embed(right)) >= least


def encoder(texts: Iterable[str]) -> Callable[[str], Any]:
    """The default encoder, all texts embedded at once."""
    from langchain_cachemux.read.encoder import SentenceEncoder

    every = sorted(set(texts))
    vectors = np.array(SentenceEncoder().embed_documents(every), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return dict(zip(every, vectors, strict=True)).__getitem__


def rows(data: Path, place: int, seed: int) -> list[dict[str, Any]]:
    """Every measure on the rows at even (0) or odd (1) places."""
    found = []
    problems, choices = data / "routing/routellm/evals/gsm8k", data / "routing/routellm/evals/mmlu"
    for repaired in (False, True):
        name = "GSM8K, last numbers repaired" if repaired else "GSM8K, as recorded"
        pairs = list(gsm8k(problems, place, repaired=repaired))
        rules = (("Agree()", Agree()), ("last number", by_last_number), ("same text", by_words))
        found += [{"answers": name, "rule": rule} | counted(pairs, f) for rule, f in rules]
    pairs = list(letters(choices, place, seed))
    plain = (("Agree()", Agree()), ("same text", by_words))
    found += [{"answers": "MMLU letters", "rule": rule} | counted(pairs, f) for rule, f in plain]
    wholes = {
        "paraphrases": paraphrases(data / "semantic/gptcache_pairs", place),
        "polarity": polarity(data / "semantic/polarity_cannot", place),
    }
    embed = encoder(text for pairs in wholes.values() for pair in pairs for text in pair[:2])
    for name, pairs in wholes.items():
        for least in SIMILARITIES:
            agree, near = Agree(embed, similarity=least), partial(by_vectors, embed, least)
            for rule, f in (
                (f"Agree(embed, similarity={least})", agree),
                (f"similarity >= {least}", near),
            ):
                found.append({"answers": name, "rule": rule} | counted(pairs, f))
    return found


def show(found: list[dict[str, Any]], console: Console) -> None:
    """Print a line a row."""
    errors = ("said same, differ", "said different, same")
    table = Table("answers", "rule", "pairs", *errors)
    for row in found:
        shares = [
            f"{e['wrong']} of {e['of']} = {e['share']:.2%}" if (e := row.get(error)) else "–"
            for error in errors
        ]
        table.add_row(row["answers"], row["rule"], str(row["pairs"]), *shares)
    console.print(table)


def main() -> None:
    """Measure, print, write `agreement.json`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CACHEMUX_DATA"))
    parser.add_argument("--seed", type=int, default=0, help="draws the letters' forms")
    parser.add_argument(
        "--even", action="store_true", help="the rows that were looked at; not kept"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    told = parser.parse_args()
    if told.data is None or not (told.data / "routing/routellm").is_dir():
        sys.exit(
            "The data is missing: give --data DIR or CACHEMUX_DATA, with routing/routellm in it"
        )
    found = rows(told.data, 0 if told.even else 1, told.seed)
    show(found, Console())
    if told.even:
        return
    command = f"CACHEMUX_DATA=DIR python benchmarks/agreement.py --seed {told.seed}"
    result = {
        **stamp(command, "numpy", "sentence-transformers", seeds=[told.seed]),
        "measure": "errors of either kind as shares of the pairs that differ, or are the same",
        "rows": found,
    }
    told.out.mkdir(parents=True, exist_ok=True)
    (told.out / "agreement.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

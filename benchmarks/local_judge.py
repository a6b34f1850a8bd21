"""What the local judge is worth on pairs that it was not taught on, beside the similarity.

    python benchmarks/local_judge.py --data DIR --trained DIR    # or CACHEMUX_DATA=DIR; some minutes

Only pairs that are near count, of cosine 0.8 or more by the default encoder: that is where a cache
asks a judge. Sets: this project's pairs (the open half) and traps; GPTCache's pairs, each also against
the nearest question of another pair; Banking77, questions of the test half against their nearest of
the other half, where one intent means the same; premises and hypotheses of opposite or like polarity.
The last three are other people's notions of "the same", and their labels are noisy.

The judge was taught on made pairs only (`training/`). `--trained` holds a folder `xK` for each seed K
as `training/export.py` writes it; without it the shipped judge is measured alone. Served at so many %
wrong: at the best threshold in hindsight. Of unsure: pairs that the surface leaves open, which are all
refused where there is no judge. The times are of one thread.
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
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import results
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.match.judges import UNSURE, Pair
from langchain_cachemux.match.local import FOLDER, LocalJudge
from langchain_cachemux.match.surface import compare
from langchain_cachemux.read.encoder import SentenceEncoder

NEAR = 0.8
SURE = (0.2, 0.5, 0.7, 0.8)
PAIRS = Path(__file__).parent / "pairs/english.tsv"


class Labelled(NamedTuple):
    """Two questions, whether they are the same, and their cosine."""

    first: str
    second: str
    same: bool
    cosine: float = 0.0


def _vectors(texts: list[str]) -> dict[str, np.ndarray[Any, Any]]:
    several = sorted(set(texts))
    return dict(zip(several, np.array(SentenceEncoder().embed_documents(several)), strict=True))


def _near(pairs: list[Labelled]) -> list[Labelled]:
    """Those that are near, with their cosine."""
    vectors = _vectors([text for pair in pairs for text in pair[:2]])
    found = [
        pair._replace(cosine=float(vectors[pair.first] @ vectors[pair.second])) for pair in pairs
    ]
    return [pair for pair in found if pair.cosine >= NEAR]


def _tsv(path: Path, half: str | None = None) -> list[Labelled]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    kept = [row for row in rows if half is None or row["half"] == half]
    return _near([Labelled(row["first"], row["second"], row["label"] == "same") for row in kept])


def _gptcache(data: Path, rng: random.Random) -> list[Labelled]:
    """Each pair, and each second text against the nearest first text of another pair."""
    rows = json.loads((data / "gptcache_pairs/gptcache_mock_data.json").read_text("utf-8"))
    drawn = rng.sample(rows, 400)
    same = [Labelled(row["origin"], row["similar"], same=True) for row in drawn]
    origins = [pair.first for pair in same]
    vectors = _vectors(origins + [pair.second for pair in same])
    matrix = np.array([vectors[text] for text in origins])
    different = []
    for pair in same:
        cosines = matrix @ vectors[pair.second]
        cosines[[text == pair.first for text in origins]] = -1
        different.append(Labelled(origins[int(cosines.argmax())], pair.second, same=False))
    return _near(same + different)


def _banking(data: Path, rng: random.Random) -> list[Labelled]:
    """Questions of the test half, each with its three nearest of the other half."""
    halves = []
    for name, n in (("test", 250), ("train", 1000)):
        with gzip.open(
            data / f"banking77/{name}.csv.gz", "rt", encoding="utf-8", newline=""
        ) as file:
            halves.append(
                rng.sample([(row["text"], row["category"]) for row in csv.DictReader(file)], n)
            )
    asked, stored = halves
    vectors = _vectors([text for text, _ in asked + stored])
    matrix = np.array([vectors[text] for text, _ in stored])
    found = []
    for text, category in asked:
        for place in np.argsort(-(matrix @ vectors[text]))[:3]:
            other, meant = stored[place]
            found += [Labelled(text, other, category == meant)]
    return _near(found)


def _polarity(data: Path, rng: random.Random) -> list[Labelled]:
    path = data / "polarity_cannot/sem_anto_neg.tsv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    drawn = rng.sample(rows, 600)
    return _near([Labelled(r["premise"], r["hypothesis"], r["label"] == "0") for r in drawn])


def sets(data: Path) -> dict[str, list[Labelled]]:
    """The near pairs of each set; what is drawn is drawn with seed 0."""
    rng = random.Random(0)
    semantic = data / "semantic"
    return {
        "pairs, open half": _tsv(PAIRS, "open"),
        "traps": _tsv(semantic / "traps/traps.tsv"),
        "GPTCache": _gptcache(semantic, rng),
        "Banking77": _banking(semantic, rng),
        "polarity": _polarity(semantic, rng),
    }


def served(scores: np.ndarray[Any, Any], same: np.ndarray[Any, Any], wrong: float) -> float:
    """The share of the same that is served where at most so many of the different are."""
    rivals = np.sort(scores[~same])[::-1]
    least = rivals[int(wrong * len(rivals))] if len(rivals) else -np.inf
    return float((scores[same] > least).mean())


def measured(pairs: list[Labelled], judge: LocalJudge) -> dict[str, Any]:
    """What one judge makes of one set."""
    seconds, opinions = [], []
    for pair in pairs:
        began = time.perf_counter()
        opinions.append(judge.judge(Pair(pair.first, pair.second)).same)
        seconds.append(time.perf_counter() - began)
    same, scores = np.array([pair.same for pair in pairs]), np.array(opinions)
    return _row(scores, same) | {
        "ms_p50": 1000 * statistics.median(seconds),
        "unsure": _unsure(pairs, scores),
        "served": {
            f"{sure:g}": [
                float((scores[same] > sure).mean()),
                float((scores[~same] > sure).mean()),
            ]
            for sure in SURE
        },
    }


def _unsure(pairs: list[Labelled], scores: np.ndarray[Any, Any]) -> dict[str, int]:
    """Of the pairs that the surface leaves unsure, all refused without a judge: what it would serve."""
    said = [
        (pair.same, bool(score > UNSURE))
        for pair, score in zip(pairs, scores, strict=True)
        if compare(pair.first, pair.second).verdict == "unsure"
    ]
    return {
        "same": sum(same for same, _ in said),
        "different": sum(not same for same, _ in said),
        "right": sum(same and yes for same, yes in said),
        "wrong": sum(yes and not same for same, yes in said),
    }


def _row(scores: np.ndarray[Any, Any], same: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {
        "auc": float(roc_auc_score(same, scores)),
        "served_at_1_percent": served(scores, same, 0.01),
        "served_at_2_percent": served(scores, same, 0.02),
    }


def main() -> None:
    """Measure, print, write `local_judge.json`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CACHEMUX_DATA"))
    parser.add_argument("--trained", type=Path, help="folder with a folder xK of each seed K")
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    told = parser.parse_args()
    if told.data is None or not (Path(told.data) / "semantic").is_dir():
        sys.exit("The pairs are missing: give --data DIR or CACHEMUX_DATA, with semantic in it")
    folders = sorted(told.trained.glob("x*")) if told.trained else []
    judges = {"shipped": LocalJudge()} | {f"seed {f.name[1:]}": LocalJudge(f) for f in folders}
    table = Table(
        "set",
        "near: same, different",
        "who",
        "AUC",
        "served at 1 %, 2 % wrong",
        "right / wrong at .5",
        "of unsure: right, wrong",
        "ms",
    )
    rows = []
    for name, pairs in sets(Path(told.data)).items():
        same = np.array([pair.same for pair in pairs])
        row: dict[str, Any] = {
            "set": name,
            "same": int(same.sum()),
            "different": int((~same).sum()),
        }
        row["similarity"] = _row(np.array([pair.cosine for pair in pairs]), same)
        row |= {who: measured(pairs, judge) for who, judge in judges.items()}
        rows.append(row)
        for who in ("similarity", *judges):
            one = row[who]
            at = [f"{share:.1%}" for share in one.get("served", {}).get("0.5", ())]
            shares = f"{one['served_at_1_percent']:.0%}, {one['served_at_2_percent']:.0%}"
            told_of = one.get("unsure")
            unsure = (
                f"{told_of['right']}/{told_of['same']}, {told_of['wrong']}/{told_of['different']}"
                if told_of
                else ""
            )
            ms = f"{one['ms_p50']:.1f}" if "ms_p50" in one else ""
            table.add_row(
                name,
                f"{row['same']}, {row['different']}",
                who,
                f"{one['auc']:.3f}",
                shares,
                " / ".join(at),
                unsure,
                ms,
            )
    Console().print(table)
    command = "CACHEMUX_DATA=DIR python benchmarks/local_judge.py --trained DIR"
    result = {**stamp(command, "onnxruntime", "tokenizers", seeds=[0, 1, 2]), "near": NEAR}
    result["bytes"] = sum(path.stat().st_size for path in FOLDER.iterdir())
    results.write(told.out / "local_judge.json", {**result, "rows": rows})


if __name__ == "__main__":
    main()

"""The demo over paired seeds: every arm on the same five streams, each answer asked once.

python benchmarks/demo_seeds.py [RECORDING]    # about 8 minutes

A recording (`cachemux demo --record FILE` writes one, and this script too) is taken up where it ends.

`demo.json` is the run of seed 0 that the README shows. These seeds were first drawn when everything
was fixed; the judge was set, and the guards written, on half of the questions and on seeds 0-9.
Seconds are those of this machine; the claims are the ratios, with their spread over the seeds. Cost
is in TFLOP.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

import results
from rich.progress import track

from langchain_cachemux.demo.arms import Demo
from langchain_cachemux.demo.models import local_pair
from langchain_cachemux.demo.recording import Recording
from langchain_cachemux.demo.stream import draw, read_questions
from langchain_cachemux.lab.stamp import stamp

SEEDS = range(10, 15)


def main() -> None:
    """Run and write the results file."""
    questions = read_questions()
    runs = []
    with local_pair() as pair:
        recording = Recording(Path(sys.argv[1]) if sys.argv[1:] else None)
        for seed in SEEDS:
            run = Demo(pair, questions, draw(questions, 300, seed=seed), recording=recording)
            for _ in track(run, f"seed {seed}", total=300):
                pass
            report = run.report()
            for arm in report["arms"]:
                del arm["line"]
            runs.append({"seed": seed, **report})
    summary = {}
    for place, arm in enumerate(runs[0]["arms"]):
        arms = [run["arms"][place] for run in runs]
        first = [run["arms"][0] for run in runs]
        shares = [arm["share"] for arm in arms]
        summary[arm["name"]] = {
            "share of large only, pooled": sum(a["cost"] for a in arms)
            / sum(f["cost"] for f in first),
            "share of large only, mean": statistics.mean(shares),
            "sd": statistics.stdev(shares),
            "worst": max(shares),
            "share in seconds, pooled": sum(a["seconds"] + a["overhead"] for a in arms)
            / sum(f["seconds"] for f in first),
            "share in dollars, pooled": sum(a["dollars"] for a in arms)
            / sum(f["dollars"] for f in first),
            "over the optimum, mean": statistics.mean(arm["over_optimum"] for arm in arms),
            "accuracy minus large only, points": [
                round(100 * (a["accuracy"] - f["accuracy"]), 2)
                for a, f in zip(arms, first, strict=True)
            ],
            "wrong hits": [arm["wrong_hits"] for arm in arms],
            "wrong hits from near-misses": [arm["wrong_from_near_misses"] for arm in arms],
        }
    result = {
        **stamp("python benchmarks/demo_seeds.py", "langchain-core", "chromadb", seeds=SEEDS),
        "summary": summary,
        "runs": runs,
    }
    results.write(results.FOLDER / "demo_seeds.json", result)
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()

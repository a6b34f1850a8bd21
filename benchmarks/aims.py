"""What was aimed at and what was reached, written into `docs/aims.md` from the committed results.

python benchmarks/aims.py            # rewrite its tables
python benchmarks/aims.py --check    # fail when they differ

The aims were set before anything was measured. Beside what was reached stands what can be reached,
where a run says so: by who knows every outcome or label, or buys each label.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple, TypeAlias

import results

PAGE = Path(__file__).parents[1] / "docs/aims.md"
STREAMS = {
    "banking77": "Banking77",
    "clinc150": "CLINC150",
    "gptcache": "GPTCache's pairs",
    "polarity": "opposites",
    "cast": "TREC CAsT",
}
OURS = "verified 0.02"
TOLD, UNTOLD = f"{OURS}, told judge 0.0", f"{OURS}, judge 0.0"


class Aim(NamedTuple):
    """A row: what was measured, and whether the aim is reached."""

    what: str
    aim: str
    reached: str
    met: bool
    known: str = ""
    """What else is known of it: what can be reached, and by whom."""


def at_least(what: str, aim: float, reached: float, known: str = "", form: str = ".3f") -> Aim:
    """A figure that was to be as high as this."""
    met = float(f"{reached:.4f}") >= aim
    return Aim(what, f"≥ {aim:{form}}", f"{reached:{form}}", met, known)


def at_most(what: str, aim: float, reached: float, known: str = "", form: str = ".3f") -> Aim:
    """A figure that was to be as low as this."""
    met = float(f"{reached:.4f}") <= aim
    return Aim(what, f"≤ {aim:{form}}" if aim else "none", f"{reached:{form}}", met, known)


def routing() -> Iterator[Aim]:
    """A router of two models."""
    told = read("routing")
    labels = [row for row in told["rows"] if row["setting"] == "labels"]
    for name, gain, best, off in (("mmlu", 0.645, 0.67, 0.03), ("gsm8k", 0.67, 0.68, 0.055)):
        rows = [row for row in labels if row["benchmark"] == name]
        (ours,) = (row for row in rows if row["default"])
        shown = name.upper()
        yield at_least(f"{shown}: gain recovered (APGR)", gain, ours["apgr"])
        yield at_least(f"{shown}: the same, of the best design", best, max(r["apgr"] for r in rows))
        yield at_most(f"{shown}: chances off by (ECE)", off, ours["ece"])
    for name, what, aim in (
        ("judge, 1:2", "a judge, prices 1 and 2", 1.618),
        ("judge, 1:1.5", "a judge, prices 1 and 1.5", 1.398),
        ("no judge, 1:10, wrong costs 72", "nobody judges, an error costs 72", 22.3),
    ):
        stream = told["streams of MMLU"][name]
        known = f"{stream['told both']:.3f}, told what both models would have answered"
        yield at_most(f"14,000 questions, {what}: cost of each", aim, stream["cost"], known)
    for name, bounds in told["bounds of nine in ten hold the observed rate"].items():
        for kind in ("bins", "clusters"):
            share, width = bounds[kind], bounds["half-width"]
            yield Aim(
                f"{name.upper()}: bounds of nine in ten that hold, {kind}",
                "85–97 %, ± 0.11 at most",
                f"{share:.1%}, ± {width:.3f}",
                0.85 <= share <= 0.97 and width <= 0.11,
                f"{bounds[f'{kind}, at most']:.1%}, if every chance were known",
            )
    share = told["bounds of nine in ten hold the true chance, synthetic"]
    met = 0.88 <= share <= 0.93
    yield Aim("the same, where the true chance is known", "88–93 %", f"{share:.1%}", met)


def multiplexing() -> Iterator[Aim]:
    """More models, the budget, the demo, and what a decision takes."""
    told = read("models")
    means = {(row["data"], row["models"]): row for row in told["means"]}
    for (data, k), aim in {("llmrouter", 5): 0.28, ("mmlu_pro", 9): 0.48}.items():
        cost = means[data, k]["cost at 98%"]
        drawn = [
            row["cost at 98%"]["default"]
            for row in told["draws"]
            if (row["data"], row["models"]) == (data, k)
        ]
        spread = f"{min(drawn):.3f} to {max(drawn):.3f} in {len(drawn)} draws"
        known = f"{spread}; {cost['oracle']:.3f}, knowing every answer"
        what = f"{data}, {k} models: cost of 98 % of the best one's quality, of its cost"
        yield at_most(what, aim, cost["default"], known)
        ratio, _, high = means[data, k]["against the best single model"]["default"]
        yield at_most(
            f"the same: price and errors, of the best one's (up to {high:.3f})", 1.0, ratio
        )
    budget = read("budget")
    refuted = sum(int(row["rejected"].partition(" ")[0]) for row in budget["rows"])
    what = "error budget: sequences that refute the promise"
    yield at_most(what, 0, refuted, form=".0f")
    ratios = [row["one / split"] for row in budget["rows"] if row["one / split"]]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f} a stream"
    what = "one budget saves, of what the best split of two saves"
    yield at_least(what, 1.05, budget["one / split, geometric mean"], spread, ".2f")
    worst = read("selector")["worst"]["auto over it"]
    yield at_most('`strategy="auto"`, worst cell: cost of the best strategy\'s', 1.03, worst)
    demo = read("demo_seeds")
    whole = demo["summary"]["LEC cache + multiplexer"]
    least = mean(run["optimum"]["routed"] / run["arms"][0]["cost"] for run in demo["runs"])
    known = f"{least:.0%}, knowing the future"
    for unit, name in (("TFLOP", "of large only"), ("dollars", "in dollars")):
        what = f"demo, five seeds: {unit} of the large model alone"
        yield at_most(what, 0.35, whole[f"share {name}, pooled"], known, ".0%")
        known = ""
    faster = 1 / whole["share in seconds, pooled"]
    yield at_least("demo: times fewer seconds", 1.8, faster, form=".1f")
    points = whole["accuracy minus large only, points"]
    what = f"demo: points fewer right answers, worst seed (mean {mean(points):+.1f})"
    yield at_most(what, 2.0, -min(points), form=".1f")
    for row in read("latency")["milliseconds"]:
        if row["goal"]:
            what = f"a decision of the router, ms: {row['router']}"
            yield at_most(what, row["goal"], row["wall"]["median"], form=".2f")


def matching() -> Iterator[Aim]:
    """What two texts tell, and what became of it over whole streams."""
    rows = [row for row in read("matching")["rows"] if row["arm"].startswith("verified")]
    what = f"sequences of {len(rows)} cells that refute the promise"
    yield at_most(what, 0, sum(row["rejected"] for row in rows), form=".0f")
    sets = {row["set"]: row["rules"]["verdicts, .80"] for row in read("pairs")["sets"]}
    sealed = {row["set"]: row["rules"]["verdicts, .80"] for row in read("pairs_sealed")["sets"]}
    for shown, rules in (
        ("pairs, the half the rules were written on", sets["english, open"]),
        ("pairs, the half nobody looked at", sealed["english, sealed"]),
    ):
        yield at_least(f"{shown}: rewordings served", 0.55, rules["same"]["share"], form=".0%")
        yield at_most(f"{shown}: traps served", 0.02, rules["different"]["share"], form=".1%")
    took = read("pairs")["milliseconds"]
    what = f"to read a question and compare it with {took['candidates']} candidates, ms"
    yield at_most(what, 0.3, took["median"], form=".2f")
    talks = read("conversations")["arms"]
    other = sum(arm["other"] for arm in talks.values())
    yield at_most("conversations: answers to another turn's question", 0, other, form=".0f")
    ratios = {row["text"]: row["ratio"] for row in read("encoder")["rows"]}
    longer = f"{ratios['a paragraph']:.2f} a paragraph, {ratios['256 tokens']:.2f} of 256 tokens"
    what = "to embed a question, of the time that sentence-transformers takes"
    yield at_most(what, 0.6, ratios["a question"], longer, ".2f")


class Runs:
    """The streams of matching, asked for a figure of an arm."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = read("matching")["rows"]
        self.arms = list(dict.fromkeys(row["arm"] for row in self.rows))

    def of(self, arm: str, stream: str) -> list[dict[str, Any]]:
        """Its runs on one stream, a seed each."""
        return [row for row in self.rows if (row["arm"], row["stream"]) == (arm, stream)]

    def mean(self, arm: str, stream: str, what: str) -> float:
        """A figure, on average over the seeds."""
        return float(mean(row[what] for row in self.of(arm, stream)))

    def wrong(self, arm: str, stream: str) -> float:
        """The share of the answers served by meaning that were wrong."""
        rows = self.of(arm, stream)
        return float(sum(row["wrong"] for row in rows) / max(sum(row["served"] for row in rows), 1))

    def over(self, arm: str, other: str, stream: str, what: str) -> float:
        """A figure of one arm over that of another."""
        return self.mean(arm, stream, what) / self.mean(other, stream, what)

    def zone(self, stream: str) -> str:
        """The grey zone that costs least, whatever it serves."""
        zones = [arm for arm in self.arms if arm.startswith("grey zone") and arm.endswith(" 0.0")]
        return str(min(zones, key=lambda arm: self.mean(arm, stream, "cost")))

    def fixed(self, stream: str) -> float:
        """What the best threshold serves that answers no more requests wrongly than ours, or 0."""
        most = self.mean(OURS, stream, "wrong")
        thresholds = [arm for arm in self.arms if arm.startswith("threshold")]
        right = [
            self.mean(arm, stream, "right")
            for arm in thresholds
            if self.mean(arm, stream, "wrong") <= most
        ]
        return max(right, default=0.0)


Figure: TypeAlias = Callable[[Runs, str], float]
LINES: list[tuple[str, Figure, Callable[[float], bool]]] = [
    (
        "a judge that is never wrong, and says so: right hits, of those of who knows all (≥ 0.85)",
        lambda runs, s: runs.over(TOLD, "oracle", s, "right"),
        lambda x: x >= 0.85,
    ),
    (
        "the same judge, which does not say how often it errs (≥ 0.85)",
        lambda runs, s: runs.over(UNTOLD, "oracle", s, "right"),
        lambda x: x >= 0.85,
    ),
    (
        "its cost, of the cost of who is told every label for nothing (≤ 1.1)",
        lambda runs, s: runs.over(TOLD, "oracle", s, "cost"),
        lambda x: x <= 1.1,
    ),
    (
        "the same of who knows every label and pays for it",
        lambda runs, s: runs.over("oracle, paying", "oracle", s, "cost"),
        lambda _: True,
    ),
    (
        "its cost, of the cheapest grey zone's (≤ 0.9)",
        lambda runs, s: runs.over(TOLD, runs.zone(s), s, "cost"),
        lambda x: x <= 0.9,
    ),
    (
        "the same of who is told every label for nothing",
        lambda runs, s: runs.over("oracle", runs.zone(s), s, "cost"),
        lambda _: True,
    ),
    (
        "of the hits by meaning of that grey zone, wrong",
        lambda runs, s: runs.wrong(runs.zone(s), s),
        lambda _: True,
    ),
    (
        "nobody judges: right hits, of those of the best threshold with no more wrong answers (≥ 1)",
        lambda runs, s: runs.mean(OURS, s, "right") / (runs.fixed(s) or math.nan),
        lambda x: not x < 1,
    ),
    (
        "the same, of those of the rule that learns per entry (≥ 1.5)",
        lambda runs, s: runs.over(OURS, "per entry 0.02", s, "right"),
        lambda x: x >= 1.5,
    ),
    (
        "of the hits by meaning of that rule, wrong",
        lambda runs, s: runs.wrong("per entry 0.02", s),
        lambda _: True,
    ),
]
"""What is asked of the streams, and when the aim is met."""


def streams() -> list[list[str]]:
    """Matching on five streams, one a column; what misses its aim is in italics."""
    runs = Runs()
    lines = [["", *STREAMS.values()]]
    for what, figure, met in LINES:
        figures = [figure(runs, stream) for stream in STREAMS]
        shown = ["none is" if math.isnan(x) else f"{x:.2f}" for x in figures]
        marked = [cell if met(x) else f"*{cell}*" for cell, x in zip(shown, figures, strict=True)]
        lines.append([what, *marked])
    return lines


def read(name: str) -> dict[str, Any]:
    """A committed result."""
    return results.read(results.FOLDER / f"{name}.json")


def table(lines: Iterable[Sequence[str]]) -> str:
    """Lines of cells as a table, the first its head."""
    head, *others = lines
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *others))


def listed(aims: Iterable[Aim]) -> str:
    """Aims as a table; what is missed is in italics."""
    lines = [("", "aim", "reached", "known besides")]
    for one in aims:
        reached = one.reached if one.met else f"*{one.reached}*"
        lines.append((one.what, one.aim, reached, one.known))
    return table(lines).replace("%", " %").replace("  %", " %")


def written(page: str) -> str:
    """The page with today's tables."""
    made = {
        "matching": listed(matching()),
        "streams": table(streams()),
        "routing": listed(routing()),
        "multiplexing": listed(multiplexing()),
    }
    for name, block in made.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, after = page.index(begin) + len(begin), page.index(end)
        page = page[:before] + block + page[after:]
    return page


def main() -> None:
    """Rewrite the tables, or compare."""
    page = PAGE.read_text(encoding="utf-8")
    made = written(page)
    if "--check" not in sys.argv:
        PAGE.write_text(made, encoding="utf-8")
    elif made != page:
        sys.exit("docs/aims.md is not what the results say: run this script")


if __name__ == "__main__":
    main()

"""When is it the same question? What matchers serve, how often wrongly, and what that costs in all.

    python benchmarks/matching.py --data DIR --work CELLS    # or CACHEMUX_DATA=DIR; an hour on one core

DIR holds `semantic/`: banking77 (PolyAI-LDN/task-specific-datasets @57ec275), clinc150 with its out of
scope questions (clinc/oos-eval @828f809), gptcache_pairs (zilliztech/GPTCache @c59fb3a), polarity_cannot
(dmlls/cannot-dataset @3b94fb5) and multiturn_trec_cast (daltonj/treccastweb @3384661). CELLS keeps the
vectors and every cell that is done, so a run that was cut off goes on.

A stream asks each question of a set once, in an order drawn by the seed; its answer is its label, so two
questions are the same when their labels are. A miss costs 1 and is stored; a hit costs nothing and is
not. Every arm has the vectors of the default encoder and sees the eight stored wordings nearest to a
question. A judge costs 1/20 and is right, or wrong on 2 % or 5 % of the pairs, always on the same; where
it tells how often it errs, that is believed. The judge that comes with the package costs 1/500.

    verified     ours, by its promised error: without a judge, asked only afterwards, or as it pays
    threshold    the nearest at or above a similarity, swept; nothing is learned
    per entry    a logistic curve for each entry, which explores until a lower bound of its chance to be
                 right allows the promise (written from the description of vCache, arXiv 2502.03771)
    grey zone    served from an upper threshold on; between a lower and the upper one a judge is asked
                 afterwards, and what it calls the same is another wording from then on (written from the
                 description of arXiv 2602.13165), swept
    gptcache     GPTCache 0.1.44 as it comes, in an environment of its own (`gptcache_peer.py` says how)
    oracle       is told of every pair in sight whether it is the same; where it pays, it buys an opinion
                 for each answer that it serves, and none in vain

Of the answers served by meaning, what share was wrong: `low` and `high` are the ends of a 95 %
confidence sequence over all of them, and `rejected` says whether at any moment its lower end was above
the promise. `right` is the share of what could be served (the label was asked before) that was served
rightly, exact repeats among it. `cost` is misses and judging, in misses.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import results
from langchain_core.outputs import Generation
from rich.console import Console
from rich.table import Table

from langchain_cachemux.certificate import Certificate
from langchain_cachemux.lab import charts
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.lessons import TRIALS, Lessons
from langchain_cachemux.match import surface
from langchain_cachemux.match import verified as matching
from langchain_cachemux.match.judges import Opinion, Pair, pair_judge_of
from langchain_cachemux.match.local import LocalJudge
from langchain_cachemux.match.verified import Verified
from langchain_cachemux.read import answers
from langchain_cachemux.referee import Referee
from langchain_cachemux.shelf import CANDIDATES, Forgotten
from langchain_cachemux.types import Admission, Entry, Hit, Match, Query, Standing, Usage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_cachemux.referee import When

    Vectors = NDArray[np.float32]

REQUESTS = 5_000
"""Of a stream, at most."""
PRICE = 0.05
"""Of an opinion, in misses."""
LOCAL = 0.002
"""Of one of the judge that comes with the package: 4 ms, where a miss takes 2 s."""
TOLD = 0.0005
"""How often a judge errs at most that says it never does."""
ERRORS = (0.005, 0.01, 0.02, 0.05)
FLAWS = (0.0, 0.02, 0.05)
"""Shares of the pairs about which a judge is wrong."""
SWEPT = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99)
CONTRACTIONS = {
    "can't": "can not",
    "cannot": "can not",
    "won't": "will not",
    "n't": " not",
    "'s": " is",
    "'re": " are",
    "'m": " am",
    "'ve": " have",
    "'ll": " will",
}
EXCLAMATIONS = re.compile(
    "^(?:(?:hey|oh|ah|ooh|uh oh|well|yeah|yes|no|but|and|excuse me|come on|you know|i know)\\b ?)+"
)
IT = re.compile(r"^(?:that|this) (is|was|does|did|may|can|will|would)\b")
GREY = ((0.7, 0.9), (0.7, 0.95), (0.8, 0.95), (0.6, 0.99))
"""Lower and upper thresholds."""


@dataclass(frozen=True)
class Asked:
    """A request."""

    text: str
    label: str
    """What is the same has the same; once drawn, written as an answer is stored."""


@dataclass
class Tally:
    """What came of a stream."""

    promised: float | None = None
    requests: int = 0
    servable: int = 0
    exact: int = 0
    served: int = 0
    wrong: int = 0
    misses: int = 0
    judged: int = 0
    spent: float = 0.0
    """On opinions."""
    rejected: bool = False
    sequence: Certificate = field(default_factory=lambda: Certificate(confidence=0.95, least=1.0))

    def hit(self, *, right: bool) -> None:
        """Count an answer that was served by meaning."""
        self.served += 1
        self.wrong += not right
        self.sequence.placed(1.0, audited=True)
        self.sequence.settled(1.0, float(not right))
        if self.promised is not None and not right:
            self.rejected |= self.sequence.exceeds(self.promised)

    def row(self) -> dict[str, Any]:
        """As a cell of the results."""
        low, high = self.sequence.interval()
        return {
            "requests": self.requests,
            "servable": self.servable,
            "exact": self.exact,
            "served": self.served,
            "wrong": self.wrong,
            "error": self.wrong / self.served if self.served else None,
            "low": low,
            "high": high,
            "rejected": self.rejected,
            "right": (self.exact + self.served - self.wrong) / max(self.servable, 1),
            "judged": self.judged,
            "cost": self.misses + self.spent,
        }


class Desk:
    """Entries and their wordings in arrays: what a cache of boundless capacity would hold.

    Stands in for a `Shelf` and its ledger; a test compares both.
    """

    def __init__(self, size: int, width: int) -> None:
        self.rows = np.zeros((size, width), np.float32)
        self.keys: list[str] = []
        self.texts: list[str] = []
        self.of: dict[str, Entry] = {}
        """The entry of each wording."""
        self.ledger = self
        self.forgotten = Forgotten()

    def near(self, query: Query) -> Iterator[Match]:
        """The wordings near a query, nearest first."""
        n = len(self.keys)
        if not n or query.vector is None:
            return
        similarities = self.rows[:n] @ query.vector
        nearest = np.argpartition(-similarities, min(CANDIDATES, n - 1))[:CANDIDATES]
        for place in sorted(nearest.tolist(), key=lambda place: -similarities[place]):
            key = self.keys[place]
            yield Match(self.of[key], float(similarities[place]), self.texts[place], key)

    def put(self, query: Query, entry: Entry) -> None:
        """Store words that lead to an entry."""
        self.rows[len(self.keys)] = query.vector
        self.keys.append(query.key)
        self.texts.append(query.text)
        self.of[query.key] = entry

    def reword(self, query: Query, of: str, *, answer: str | None = None) -> Admission:
        """Let an entry be asked for in these words too; none is ever replaced by a later answer."""
        del answer
        if query.key in self.of:
            self.of[query.key] = self.of[of]
        else:
            self.put(query, self.of[of])
        return Admission(0)

    def change(self, work: Callable[[], None]) -> None:
        """Do what changes something."""
        work()

    def standing(self, key: str) -> Standing:
        """Every question is asked once."""
        return Standing(key, count=1.0)

    def differ(self, one: str, other: str) -> None:
        """Nothing to remember: a question that was asked is stored."""


Arm = Callable[[Query, str], bool | None]
"""Given a question and its label: whether what it serves is right; None when it serves nothing."""


def run(stream: list[Asked], vectors: Vectors, arm: Callable[[Tally, Desk], Arm]) -> Tally:
    """Send a stream through an arm."""
    tally, desk, seen = Tally(), Desk(len(stream), vectors.shape[1]), set()
    serve = arm(tally, desk)
    for asked, vector in zip(stream, vectors, strict=True):
        tally.requests += 1
        tally.servable += asked.label in seen
        seen.add(asked.label)
        if asked.text in desk.of:
            tally.exact += desk.of[asked.text].answer == asked.label
            continue
        right = serve(Query(asked.text, text=asked.text, vector=vector), asked.label)
        if right is None:
            tally.misses += 1
        else:
            tally.hit(right=right)
    return tally


def store(desk: Desk, query: Query, label: str) -> None:
    """Store a miss as an entry of its own."""
    entry = Entry(query.key, text=query.text, answer=label, slot=len(desk.keys))
    desk.put(query, entry)


def flawed(wrong: float, tally: Tally) -> Callable[[str, str, bool], bool]:
    """A judge that is wrong about a share of the pairs, always about the same."""

    def judge(new: str, stored: str, same: bool) -> bool:  # noqa: FBT001
        tally.judged += 1
        tally.spent += PRICE
        digest = hashlib.sha256(f"{new}\0{stored}".encode()).digest()
        return same ^ (int.from_bytes(digest[:4]) < wrong * 2**32)

    return judge


def ours(
    max_error: float, when: When | None = None, *, judge: Judged | None = None, seed: int = 0
) -> Callable[[Tally, Desk], Arm]:
    """Our matcher, its lessons and its referee, as a cache uses them."""

    def arm(tally: Tally, desk: Desk) -> Arm:
        tally.promised = max_error
        matcher, referee = Verified(max_error, seed=seed), None
        truth: dict[str, str] = {}
        if when is not None and judge is not None:
            asked = pair_judge_of(judge(tally, truth))
            trials = TRIALS / max_error
            referee = Now(asked, when=when, price=lambda u: u.seconds, trials=trials, seed=seed)
        lessons = Lessons(matcher, lambda stored, fresh: stored == fresh, referee)
        lessons.open(desk, None)  # type: ignore[arg-type]

        def serve(query: Query, label: str) -> bool | None:
            truth[query.key] = label
            verdict = lessons.rule(matcher.judge(query, desk.near(query)))
            if isinstance(verdict, Hit):
                return verdict.entry.answer == label
            lesson = lessons.fresh(query, label, 1.0)
            if lesson.same is None:
                store(desk, query, label)
            else:
                desk.reword(query, lesson.same.match.entry.key)
            lessons.ask_later(query, lesson, tally.served / max(len(desk.keys), 1))
            return None

        return serve

    return arm


Judged = Callable[[Tally, dict[str, str]], Any]
"""Makes a judge, given where its opinions are counted and the labels of the questions so far."""


def made(wrong: float, *, told: bool = False) -> Judged:
    """A judge that is wrong about a share of the pairs, and may say so."""

    def judge(tally: Tally, truth: dict[str, str]) -> Any:
        says = flawed(wrong, tally)

        def opinion(new: str, stored: str) -> Opinion:
            same = says(new, stored, truth[new] == truth[stored])
            return Opinion(float(same), usages=(Usage(seconds=PRICE, model="judge"),))

        opinion.error = (wrong or TOLD) if told else None  # type: ignore[attr-defined]
        return opinion

    return judge


class Shipped(LocalJudge):
    """The judge that comes with the package, its opinions counted."""

    def __init__(self, tally: Tally, _: dict[str, str]) -> None:
        super().__init__()
        self._tally = tally

    def judge(self, pair: Pair) -> Opinion:
        """As it says."""
        self._tally.judged += 1
        self._tally.spent += LOCAL
        return replace(super().judge(pair), usages=(Usage(seconds=LOCAL),))


class Now(Referee):
    """A referee without threads: what is asked later is asked at once."""

    def ask(self, pair: Pair) -> Any:
        """Ask in this thread."""
        return self._said(self._opinion(pair), "before")

    def ask_later(self, pair: Pair, told: Callable[[Any], None]) -> bool:
        """Ask in this thread, and tell what was said."""
        said = self._said(self._opinion(pair), "after")
        if said is not None:
            told(said)
        return True


def threshold(similarity: float) -> Callable[[Tally, Desk], Arm]:
    """A static threshold on the similarity."""

    def arm(_: Tally, desk: Desk) -> Arm:
        def serve(query: Query, label: str) -> bool | None:
            nearest = next(desk.near(query), None)
            if nearest is not None and nearest.similarity >= similarity:
                return nearest.entry.answer == label
            store(desk, query, label)
            return None

        return serve

    return arm


def gptcache_peer(environment: Path) -> Callable[[Tally, Desk], Arm]:
    """GPTCache in an environment of its own, where it may install what it likes."""

    def arm(_: Tally, __: Desk) -> Arm:
        path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
        peer = subprocess.Popen(  # noqa: S603 - the user names the environment
            [environment / "bin/python", Path(__file__).parent / "gptcache_peer.py"],
            env={"PATH": path, "HOME": str(environment)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

        def serve(query: Query, label: str) -> bool | None:
            vector = [] if query.vector is None else query.vector.tolist()
            line = json.dumps({"text": query.text, "vector": vector, "answer": label})
            print(line, file=peer.stdin, flush=True)  # it ends when this end is closed
            found = json.loads(peer.stdout.readline()) if peer.stdout else None
            return None if found is None else found == label

        return serve

    return arm


def grey_zone(low: float, high: float, wrong: float = 0.0) -> Callable[[Tally, Desk], Arm]:
    """A threshold, and below it a zone where a judge is asked afterwards."""

    def arm(tally: Tally, desk: Desk) -> Arm:
        says = flawed(wrong, tally)

        def serve(query: Query, label: str) -> bool | None:
            nearest = next(desk.near(query), None)
            if nearest is not None and nearest.similarity >= high:
                return nearest.entry.answer == label
            if nearest is not None and nearest.similarity >= low:
                same = nearest.entry.answer == label
                if says(query.text, nearest.text, same):
                    desk.put(query, nearest.entry)
                    return None
            store(desk, query, label)
            return None

        return serve

    return arm


def oracle(price: float = 0.0) -> Callable[[Tally, Desk], Arm]:
    """Told of every pair in sight whether it is the same, at a price for each answer served."""

    def arm(tally: Tally, desk: Desk) -> Arm:
        def serve(query: Query, label: str) -> bool | None:
            if any(match.entry.answer == label for match in desk.near(query)):
                tally.spent += price
                return True
            store(desk, query, label)
            return None

        return serve

    return arm


class Curve:
    """An entry's logistic curve: how likely it is right at a similarity, at least.

    P(right | s) = 1 / (1 + exp(-g·(s - t))). Of all (t, g) of a grid whose likelihood is within a
    confidence region, the least chance at s; with confidence 1 - e that is a bound, so a question is
    right with at least (1 - e)·bound. It explores with the chance that brings the promise about.
    """

    T, G = (
        grid.ravel() for grid in np.meshgrid(np.linspace(0.5, 1.1, 61), np.geomspace(4, 200, 12))
    )
    DOUBTS = ((0.001, 6.91), (0.01, 4.61), (0.05, 3.0), (0.1, 2.3))
    """e, and by how much a logarithm of a likelihood may fall short: chi-square with two degrees."""

    def __init__(self) -> None:
        self.likelihood = np.zeros(len(self.T))

    def learn(self, similarity: float, *, right: bool) -> None:
        """Take a label."""
        score = self.G * (similarity - self.T)
        self.likelihood -= np.logaddexp(0.0, -score if right else score)

    def explores(self, similarity: float, max_error: float) -> float:
        """The least chance to explore that keeps the promise."""
        chance = 1 / (1 + np.exp(-self.G * (similarity - self.T)))
        short = self.likelihood.max() - self.likelihood
        best = max((1 - e) * chance[short <= limit].min() for e, limit in self.DOUBTS)
        return max(0.0, (1 - max_error - best) / (1 - best)) if best < 1 else 0.0


def per_entry(max_error: float, seed: int = 0) -> Callable[[Tally, Desk], Arm]:
    """A curve for each entry, learned from nothing."""

    def arm(tally: Tally, desk: Desk) -> Arm:
        tally.promised = max_error
        curves: dict[str, Curve] = {}
        draw = random.Random(seed)

        def serve(query: Query, label: str) -> bool | None:
            nearest = next(desk.near(query), None)
            if nearest is not None:
                curve = curves.setdefault(nearest.entry.key, Curve())
                right = nearest.entry.answer == label
                if draw.random() >= curve.explores(nearest.similarity, max_error):
                    return right
                curve.learn(nearest.similarity, right=right)
                if right:
                    return None
            store(desk, query, label)
            return None

        return serve

    return arm


def arms(seed: int) -> dict[str, Callable[[Tally, Desk], Arm]]:
    """All contenders, by name."""
    found = {"oracle": oracle(), "oracle, paying": oracle(PRICE)}
    for error in ERRORS:
        found[f"verified {error}"] = ours(error, seed=seed)
        found[f"per entry {error}"] = per_entry(error)
        for wrong in FLAWS if error >= FLAWS[1] else FLAWS[:1]:
            name = f"verified {error}, judge {wrong}"
            found[name] = ours(error, "auto", judge=made(wrong), seed=seed)
    for wrong in FLAWS:
        told = made(wrong, told=True)
        found[f"verified 0.02, told judge {wrong}"] = ours(0.02, "auto", judge=told, seed=seed)
    found["verified 0.02, judge after"] = ours(0.02, "after", judge=made(0.0), seed=seed)
    found["verified 0.02, local judge"] = ours(0.02, "auto", judge=Shipped, seed=seed)
    found |= {f"threshold {similarity}": threshold(similarity) for similarity in SWEPT}
    for low, high in GREY:
        for wrong in FLAWS:
            found[f"grey zone {low}-{high}, judge {wrong}"] = grey_zone(low, high, wrong)
    return found


def streams(folder: Path, seed: int) -> Iterator[tuple[str, Callable[[], list[Asked]]]]:
    """The streams by name; each is read when it is wanted."""
    for name, read in (
        ("banking77", banking),
        ("clinc150", clinc),
        ("gptcache", gptcache),
        ("polarity", polarity),
        ("cast", cast),
    ):
        yield name, lambda read=read: drawn(read(folder), seed)  # type: ignore[misc]


def drawn(asked: list[Asked], seed: int) -> list[Asked]:
    """A stream of them in a drawn order; a text that has two labels has the first."""
    random.Random(seed).shuffle(asked)
    labels: dict[str, str] = {}
    first = [replace(a, label=labels.setdefault(a.text, a.label)) for a in asked[:REQUESTS]]
    return [replace(a, label=answers.write([Generation(text=a.label)])) for a in first]


def banking(folder: Path) -> list[Asked]:
    """Questions to a bank, an intent each."""
    found = []
    for part in ("train", "test"):
        with gzip.open(folder / f"banking77/{part}.csv.gz", "rt", encoding="utf-8") as file:
            found += [Asked(row["text"], row["category"]) for row in csv.DictReader(file)]
    return found


def clinc(folder: Path) -> list[Asked]:
    """Questions to an assistant, and some out of its scope, which are like no other."""
    with gzip.open(folder / "clinc150/data_full.json.gz", "rt", encoding="utf-8") as file:
        parts = json.load(file)
    pairs = [pair for part in parts.values() for pair in part]
    return [Asked(text, f"oos {text}" if label == "oos" else label) for text, label in pairs]


def gptcache(folder: Path) -> list[Asked]:
    """Sentences and their paraphrases."""
    pairs = json.loads((folder / "gptcache_pairs/gptcache_mock_data.json").read_text("utf-8"))
    return [Asked(p[side], str(n)) for n, p in enumerate(pairs) for side in ("origin", "similar")]


def polarity(folder: Path) -> list[Asked]:
    """Sentences with a paraphrase or a contradiction, and sentences negated.

    A sentence stands in several rows, now "it's", now "hey, that is". Rows that share one are tied: what
    has a label in one has it in all; no row contradicts that. Rows that call a sentence the opposite of
    itself are left out.
    """
    rows: list[tuple[Asked, Asked]] = []
    for path in sorted((folder / "polarity_cannot").glob("*.tsv.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            told = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
        for n, row in enumerate(told):
            if len(row) < 2:
                continue
            name = f"{path.name} {n}"
            opposite = len(row) == 2 or row[2] == "1"
            if not opposite or stated(row[0]) != stated(row[1]):
                other = f"not {name}" if opposite else name
                rows.append((Asked(row[0], name), Asked(row[1], other)))
    return tied([asked for row in rows for asked in row])


def stated(text: str) -> str:
    """What is stated: no case, signs, contractions or exclamations, and one word for it and that."""
    text = text.casefold().replace("\u2019", "'")
    for short, long in CONTRACTIONS.items():
        text = re.sub(rf"{short}\b", long, text)
    return IT.sub(r"it \1", EXCLAMATIONS.sub("", " ".join(re.findall(r"\w+", text))))


def tied(asked: list[Asked]) -> list[Asked]:
    """The same, with one label for all labels of an equal sentence."""
    above: dict[str, str] = {}

    def root(label: str) -> str:
        while above.setdefault(label, label) != label:
            label = above[label]
        return label

    first: dict[str, str] = {}
    for one in asked:
        above[root(one.label)] = root(first.setdefault(stated(one.text), one.label))
    return [replace(one, label=root(one.label)) for one in asked]


def cast(folder: Path) -> list[Asked]:
    """Turns as they were said in conversations; the same when their resolved questions are."""
    found = []
    path = folder / "multiturn_trec_cast/2019_evaluation_topics_annotated_resolved_v1.0.tsv"
    resolved = dict(line.split("\t") for line in path.read_text("utf-8").splitlines() if line)
    for year in (2019, 2020, 2021, 2022):
        for file in sorted((folder / "multiturn_trec_cast").glob(f"{year}*.json.gz")):
            with gzip.open(file, "rt", encoding="utf-8") as lines:
                for topic in json.load(lines):
                    for turn in topic["turn"]:
                        raw = turn.get("raw_utterance") or turn.get("utterance")
                        name = f"{topic['number']}_{turn['number']}"
                        told = turn.get("manual_rewritten_utterance") or resolved.get(name)
                        if raw and told:
                            found.append(Asked(raw, told.casefold().strip(" ?.!")))
    return found


def embedded(stream: list[Asked], work: Path) -> Vectors:
    """The vectors of a stream, kept in the folder of the cells."""
    names = "\0".join(asked.text for asked in stream)
    path = work / f"vectors-{hashlib.sha256(names.encode()).hexdigest()[:16]}.npy"
    if not path.is_file():
        from langchain_cachemux.read.encoder import SentenceEncoder

        vectors = SentenceEncoder().embed_documents([asked.text for asked in stream])
        np.save(path, np.array(vectors, np.float32))
    found: Vectors = np.load(path)
    return found


def measured(
    folder: Path, work: Path, only: str, seed: int, peer: Path | None
) -> list[dict[str, Any]]:
    """Every cell of a seed, those done before from their files."""
    console, rows = Console(stderr=True), []
    for name, read in streams(folder, seed):
        stream: list[Asked] = []
        found = arms(seed) | ({"gptcache": gptcache_peer(peer)} if peer else {})
        for arm, make in found.items():
            path = work / f"{name} {arm} {seed}.json"
            if not path.is_file() and only in f"{name} {arm}":
                stream = stream or read()
                began = time.perf_counter()
                row = run(stream, embedded(stream, work), make).row()
                results.write(path, {"stream": name, "arm": arm, "seed": seed, **row})
                console.print(f"{name}, {arm}: {time.perf_counter() - began:.0f} s", row)
            if path.is_file():
                rows.append(results.read(path))
    return rows


def draw_chart(rows: list[dict[str, Any]], path: Path) -> None:
    """One panel a stream, means of the seeds: what is served rightly over what is served wrongly.

    The floor is what exact repeats are of it, the ceiling what an oracle serves.
    """
    names = list(dict.fromkeys(row["stream"] for row in rows))
    groups = (
        ("threshold", "static thresholds", charts.BLUE, "-", "."),
        ("grey zone", "grey zone, judged afterwards", charts.ORANGE, "", "s"),
        ("per entry", "a curve for each entry", charts.PURPLE, "", "v"),
        ("gptcache", "GPTCache", charts.RED, "", "x"),
        ("verified", "ours", charts.MAIN, "-", "o"),
        ("judged", "ours with a judge", charts.TEAL, "-", "D"),
    )
    with charts.drawing(path, 1, len(names), size=(3.2 * len(names), 3.6)) as panels:
        for name, panel in zip(names, panels[0], strict=True):
            mine = [row for row in rows if row["stream"] == name]
            arms: dict[str, list[dict[str, Any]]] = {}
            for row in mine:
                arms.setdefault(row["arm"], []).append(row)
            for group, label, colour, line, marker in groups:
                found = [_mean(rows) for arm, rows in arms.items() if _group(arm) == group]
                panel.plot(
                    [error for error, _ in found],
                    [right for _, right in found],
                    label=label,
                    color=colour,
                    linestyle=line,
                    marker=marker,
                )
            exact = [row["exact"] / max(row["servable"], 1) for row in mine]
            best = [row["right"] for row in mine if row["arm"] == "oracle"]
            panel.axhline(100 * min(exact), label="exact repeats only", **charts.NO_CACHE)
            panel.axhline(100 * max(best, default=1.0), label="told every pair", **charts.LIMIT)
            panel.set_title(name)
            panel.set_xscale("symlog", linthresh=1.0)
            panel.set_xlim(-0.2, 120)
            panel.set_xlabel("% of hits by meaning wrong")
        panels[0, 0].set_ylabel("% of the servable served rightly")
        panels[0, -1].legend(fontsize=7)


def _group(arm: str) -> str:
    """The line that an arm belongs to; judges that err, or say how, are in the table alone."""
    kind, _, judge = arm.partition(", ")
    if judge and judge != "judge 0.0":
        return ""
    group = "judged" if judge and kind.startswith("verified") else kind.rpartition(" ")[0]
    return group or kind


def _mean(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Of the seeds of an arm: per cent of what it served wrong, and of the servable served rightly."""
    served, wrong = (sum(row[name] for row in rows) for name in ("served", "wrong"))
    return 100 * wrong / max(served, 1), 100 * sum(row["right"] for row in rows) / len(rows)


def main() -> None:
    """Measure, print, write `matching.json` and `matching.png`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CACHEMUX_DATA"))
    parser.add_argument("--work", type=Path, required=True, help="folder of what is done")
    parser.add_argument("--only", default="", help="cells whose name has this in it")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--gptcache", type=Path, help="environment in which GPTCache is installed")
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    told = parser.parse_args()
    folder = told.data and Path(told.data) / "semantic"
    if folder is None or not folder.is_dir():
        sys.exit(
            "The questions are missing: give --data DIR or CACHEMUX_DATA, with semantic/ in it"
        )
    told.work.mkdir(parents=True, exist_ok=True)
    matching.compare = cache(surface.compare)  # type: ignore[attr-defined]
    rows = [
        row
        for seed in told.seeds
        for row in measured(folder, told.work, told.only, seed, told.gptcache)
    ]
    table = Table("stream", "arm", "served", "error", "95 %", "right", "cost")
    for row in rows:
        error = "" if row["error"] is None else f"{row['error']:.2%}"
        ends = f"{row['low']:.2%} … {row['high']:.2%}{' !' if row['rejected'] else ''}"
        share = f"{row['right']:.1%}"
        table.add_row(
            row["stream"], row["arm"], str(row["served"]), error, ends, share, f"{row['cost']:.0f}"
        )
    Console(width=140).print(table)
    command = (
        "CACHEMUX_DATA=DIR python benchmarks/matching.py --work CELLS --seeds 0 1 --gptcache PEER"
    )
    result = {**stamp(command, "sentence-transformers", "torch"), "price": PRICE, "rows": rows}
    results.write(told.out / "matching.json", result)
    draw_chart(rows, told.out / "matching.png")


if __name__ == "__main__":
    main()

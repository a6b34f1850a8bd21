"""Turns of conversations: what is served across them, as they stand and asked again on their own.

    python benchmarks/conversations.py --data DIR    # or CACHEMUX_DATA=DIR; some minutes

DIR holds `semantic/`: multiturn_trec_cast (daltonj/treccastweb @3384661), whose turns come as they were
said and as somebody wrote them to stand on their own; banking77 (PolyAI-LDN/task-specific-datasets
@57ec275) and clinc150 (clinc/oos-eval @828f809).

Every turn is asked after its own conversation, and then once more after another that began with
something else, when it is written out without its last mark, so that as a question its key is another.
Two turns ask the same when what they were written out to is the same but for case and punctuation; an
answer served to another turn is `other`, be that one a rewording of it or not. `could` were written out
before, and `unsaid` are written out with a reference in them all the same, which is compared after equal
turns alone; `held back` would have been served but that labels had to bear such matches out first. Arms:

    turns        as they were said: earlier turns must be equal
    rewritten    by `rewrite=`, which is given what is written out in the data
    questions    what is written out, each asked by itself: the rewritten can come to no more

`dangling` says how often words are taken to refer to something unsaid. Those that should be: turns that
follow others, where whoever wrote them out put something in the place of a pronoun. Those that should
not: first turns, and questions to assistants with no conversation. The rules were written with a look at
some of these very turns and questions, so the shares are no forecast for others.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import results
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration
from rich.console import Console
from rich.table import Table

from langchain_cachemux import Hit, LECCache, Miss
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.match.verified import Verified
from langchain_cachemux.read.dangling import dangles

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.messages import BaseMessage

YEARS = {
    2019: "2019_evaluation_topics_v1.0",
    2020: "2020_manual_evaluation_topics_v1.0",
    2021: "2021_manual_evaluation_topics_v1.0",
    2022: "2022_evaluation_topics_flattened_duplicated_v1.0",
}
WRITTEN_2019 = "2019_evaluation_topics_annotated_resolved_v1.0.tsv"
PRONOUNS = re.compile(
    r"\b(he|him|his|she|her|they|them|their|its?|this|that|these|those|there|ones?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Turn:
    """What somebody said, and the same as it is asked on its own."""

    said: str
    alone: str

    @property
    def label(self) -> str:
        """Equal of turns that ask the same."""
        return " ".join(re.findall(r"\w+", self.alone.casefold()))

    @property
    def answer(self) -> str:
        """One of its own."""
        return "answer " + hashlib.sha256(self.label.encode()).hexdigest()[:12]


def conversations(folder: Path, years: Sequence[int] = tuple(YEARS)) -> list[list[Turn]]:
    """The conversations of some years; a turn that nobody wrote out is a first one, and stands."""
    with (folder / WRITTEN_2019).open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        written = dict(rows)
    found = []
    for year in years:
        with gzip.open(folder / f"{YEARS[year]}.json.gz", "rt", encoding="utf-8") as file:
            topics = json.load(file)
        for topic in topics:
            turns = []
            for turn in topic["turn"]:
                said = (turn.get("raw_utterance") or turn["utterance"]).strip()
                alone = turn.get("manual_rewritten_utterance")
                alone = alone or written.get(f"{topic['number']}_{turn['number']}", said)
                turns.append(Turn(said, alone.strip()))
            found.append(turns)
    return found


def requests(topics: list[list[Turn]]) -> Iterator[tuple[list[BaseMessage], Turn]]:
    """Every turn after its own conversation; then after another, which another turn began."""
    for again in (False, True):
        for place, turns in enumerate(topics):
            said: list[BaseMessage] = []
            first = topics[place - 1][0]
            if again:
                said = [HumanMessage(f"{first.said} ({place})"), AIMessage(first.answer)]
            for turn in turns:
                alone = turn.alone.rstrip("?. ") if again else turn.alone
                yield [*said, HumanMessage(turn.said)], Turn(turn.said, alone)
                said += [HumanMessage(turn.said), AIMessage(turn.answer)]


def served(
    asked: list[tuple[list[BaseMessage], Turn]],
    rewrite: Callable[[list[BaseMessage]], str] | None = None,
    embeddings: Embeddings | None = None,
) -> dict[str, Any]:
    """What a cache with the default matcher serves of a stream, and how it came to it."""
    counts: Counter[str] = Counter(
        dict.fromkeys(("exact", "by meaning", "held back", "other", "right"), 0)
    )
    kinds: list[str] = []

    def heard(event: object) -> None:
        if isinstance(event, Miss):
            counts["held back"] += "a fresh answer is to show first" in event.reason
        if isinstance(event, Hit):
            kinds.append("exact" if event.kind == "exact" else "by meaning")

    seen: set[str] = set()
    match = Verified(0.02, seed=0)
    with LECCache(match=match, rewrite=rewrite, embeddings=embeddings, on_event=heard) as cache:
        for messages, turn in asked:
            prompt = dumps(messages)
            counts["could"] += turn.label in seen
            seen.add(turn.label)
            found = cache.lookup(prompt, "a model")
            if found is None:
                answer = ChatGeneration(message=AIMessage(turn.answer))
                cache.update(prompt, "a model", [answer])
                continue
            right = found[0].text == turn.answer
            counts["right"] += right
            counts["other"] += not right
            counts[kinds[-1]] += 1
        told = cache.stats()
    return {
        "requests": len(asked),
        **counts,
        "unsaid": sum(dangles(turn.alone) for _, turn in asked),
        "audits": told.audits,
        "rewritten": told.rewritten,
        "errors": told.errors,
    }


def arms(topics: list[list[Turn]], embeddings: Embeddings | None = None) -> dict[str, Any]:
    """What each arm serves."""
    asked = list(requests(topics))
    alone = {dumps(messages): turn.alone for messages, turn in asked}

    def rewrite(messages: list[BaseMessage]) -> str:
        return alone[dumps(messages)]

    questions: list[tuple[list[BaseMessage], Turn]]
    questions = [([HumanMessage(turn.alone)], turn) for _, turn in asked]
    return {
        "turns": served(asked, embeddings=embeddings),
        "rewritten": served(asked, rewrite, embeddings=embeddings),
        "questions": served(questions, embeddings=embeddings),
    }


def share(texts: Sequence[str]) -> dict[str, Any]:
    """How many of them dangle."""
    found = sum(map(dangles, texts))
    return {"texts": len(texts), "dangling": found, "share": found / len(texts)}


def referring(topics: list[list[Turn]]) -> list[str]:
    """The turns of which a pronoun was written out."""
    later = [turn for turns in topics for turn in turns[1:]]
    return [t.said for t in later if PRONOUNS.search(t.said) and not PRONOUNS.search(t.alone)]


def banking(folder: Path) -> list[str]:
    """Its questions."""
    rows: list[str] = []
    for name in ("train", "test"):
        with gzip.open(folder / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
            rows += [row[0] for row in csv.reader(file)][1:]
    return rows


def clinc(folder: Path) -> dict[str, list[str]]:
    """Its questions in scope, and out of scope."""
    with gzip.open(folder / "data_full.json.gz", "rt", encoding="utf-8") as file:
        parts = json.load(file)
    found: dict[str, list[str]] = {"in": [], "out of": []}
    for name, rows in parts.items():
        found["out of" if name.startswith("oos") else "in"] += [text for text, _ in rows]
    return found


def main() -> None:
    """Measure, print, write `conversations.json`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CACHEMUX_DATA"))
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    told = parser.parse_args()
    data = told.data and Path(told.data) / "semantic"
    if data is None or not (data / "multiturn_trec_cast").is_dir():
        sys.exit("The conversations are missing: give --data DIR or CACHEMUX_DATA, with semantic/")
    topics = conversations(data / "multiturn_trec_cast")
    scopes = clinc(data / "clinc150")
    dangling = {
        "TREC CAsT, turns of which a pronoun was written out": share(referring(topics)),
        "TREC CAsT, first turns": share([turns[0].said for turns in topics]),
        "Banking77": share(banking(data / "banking77")),
        "CLINC150": share(scopes["in"]),
        "CLINC150, out of scope": share(scopes["out of"]),
    }
    rows = arms(topics)
    table = Table("arm", *next(iter(rows.values())))
    for name, row in rows.items():
        table.add_row(name, *map(str, row.values()))
    Console().print(table)
    for name, row in dangling.items():
        Console().print(f"{name}: {row['dangling']} of {row['texts']} = {row['share']:.1%}")
    command = "CACHEMUX_DATA=DIR python benchmarks/conversations.py"
    result = stamp(command, "langchain-core", "onnxruntime", seeds=[0])
    result = {**result, "matcher": "Verified(0.02)", "arms": rows, "dangling": dangling}
    results.write(told.out / "conversations.json", result)


if __name__ == "__main__":
    main()

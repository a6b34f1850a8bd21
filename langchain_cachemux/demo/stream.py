"""What the demo asks: questions with their right answers, and a stream of requests drawn from them."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError


class NearMiss(NamedTuple):
    """A question that sounds like another one and has other answers."""

    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A question, other ways to ask it, what counts as right, and questions it must not match."""

    id: str
    question: str
    paraphrases: tuple[str, ...]
    answers: tuple[str, ...]
    near: tuple[NearMiss, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the stream; `identity` is what it asks, however it is worded."""

    text: str
    identity: str
    answers: tuple[str, ...]

    def right(self, answer: str) -> bool:
        """True when an accepted answer occurs in `answer` as a whole word."""
        return any(
            re.search(rf"(?<!\w){re.escape(a)}(?!\w)", answer, re.IGNORECASE) for a in self.answers
        )


_LINE = TypeAdapter(Question)


def read_questions(path: Path | None = None) -> list[Question]:
    """Read questions, one JSON object a line; by default those that come with the package.

    Raises:
        ValueError: A line is not a question; the message names file, line and what was expected.
    """
    source = path or files("langchain_cachemux.demo") / "questions.jsonl"
    questions = []
    for number, line in enumerate(source.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            questions.append(_LINE.validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the line"
            msg = (
                f"{path or 'questions.jsonl'}, line {number}: expected an object with id, question,"
                f" paraphrases and answers; {where}: {first['msg']}"
            )
            raise ValueError(msg) from error
    if not questions:
        msg = f"{path}: holds no question"
        raise ValueError(msg)
    return questions


def draw(questions: list[Question], n: int, *, seed: int, skew: float = 1.2) -> list[Request]:
    """Draw a stream: Zipf popularity of questions and of their wordings, and it drifts half-way.

    One request in eight is a near-miss of the question drawn. In the second half a random half of
    the questions trade their popularity.

    Args:
        questions: What may be asked.
        n: Requests.
        seed: Of everything that is drawn.
        skew: Zipf exponent of the popularity.
    """
    rng = random.Random(seed)
    ranks = list(range(len(questions)))
    rng.shuffle(ranks)
    requests = []
    for i in range(n):
        if i == n // 2:
            moved = rng.sample(range(len(ranks)), len(ranks) // 2)
            for place, rank in zip(
                moved, rng.sample([ranks[m] for m in moved], len(moved)), strict=True
            ):
                ranks[place] = rank
        (question,) = rng.choices(questions, [(rank + 1) ** -skew for rank in ranks])
        if question.near and rng.random() < 1 / 8:
            place = rng.randrange(len(question.near))
            text, answers = question.near[place]
            requests.append(Request(text, f"{question.id}~{place}", answers))
        else:
            texts = [question.question, *question.paraphrases]
            (text,) = rng.choices(texts, [1 / (place + 1) for place in range(len(texts))])
            requests.append(Request(text, question.id, question.answers))
    return requests

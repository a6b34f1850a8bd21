"""The main job, on real parts: one stream of questions through four arms, side by side.

Large model only · LFU cache + large · LEC cache + large · LEC cache + multiplexer. Every arm sees the
same requests in the same order and embeds for itself. A (model, prompt) pair is asked once and
replayed to the other arms from a recording, each time charged what the real call took: its seconds, its
dollars at list prices, and its FLOPs, which are what the router saves when they can be counted, because
they do not depend on what else the machine was doing. The encoder's FLOPs and the seconds of the cache
and the router are charged too.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, Self, TextIO

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, HumanMessage, message_to_dict, messages_from_dict
from langchain_core.runnables.base import RunnableSerializable
from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from langchain_cachemux.cache import Event, LECCache
from langchain_cachemux.keep.policies import LFU, robust
from langchain_cachemux.lab.optimum import optimum
from langchain_cachemux.match.threshold import Threshold
from langchain_cachemux.multiplexer import MultiplexedLLM
from langchain_cachemux.route.judges import Accept
from langchain_cachemux.route.prices import Decoder, Price, dollars, flops, seconds, usage_of
from langchain_cachemux.types import Hit, Usage

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable, RunnableConfig

ENCODER = Decoder(layers=6, width=384, feed_forward=1536)
"""all-MiniLM-L6-v2, to count its FLOPs by the same formula."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, other ways to ask it, what counts as right, and questions it must not match."""

    id: str
    question: str
    paraphrases: tuple[str, ...]
    answers: tuple[str, ...]
    near: tuple[tuple[str, tuple[str, ...]], ...] = ()


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


@dataclass(frozen=True, slots=True)
class Pair:
    """A cheap and a dear model, what they are, and the judge of the cheap one's answers."""

    models: Mapping[str, Runnable[Any, Any]]
    """Two, by name, the cheap one first."""
    what: Mapping[str, str]
    accept: Accept | None = None
    decoders: Mapping[str, Decoder] | None = None
    """Their shapes, when FLOPs can be counted."""
    billed: Mapping[str, str] = field(default_factory=dict)
    """The model at whose list price each one's tokens are billed; their own names by default."""
    warm: Callable[[], object] = lambda: None
    """Loads what the first call would wait for."""


@dataclass(slots=True)
class Arm:
    """One arm's account, as it stands."""

    name: str
    unit: str
    """Of `cost`: TFLOP, or seconds when FLOPs cannot be counted."""
    requests: int = 0
    seconds: float = 0.0
    """Of the models."""
    overhead: float = 0.0
    """Seconds that went into embedding, look-ups, routing and storing."""
    flops: float = 0.0
    dollars: float = 0.0
    hits_exact: int = 0
    hits_semantic: int = 0
    wrong_hits: int = 0
    wrong_from_near_misses: int = 0
    """Of the wrong hits, those between a question and one of its own near-misses."""
    right: int = 0
    evicted: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    line: list[float] = field(default_factory=list)
    """The cost after each request."""

    @property
    def cost(self) -> float:
        """What the router saves: FLOPs of models and encoder, or seconds of everything."""
        return self.flops / 1e12 if self.unit == "TFLOP" else self.seconds + self.overhead

    @property
    def accuracy(self) -> float:
        """Share of the requests answered right."""
        return self.right / max(self.requests, 1)


class _Near(TypedDict):
    question: str
    answers: list[str]


class _Line(TypedDict):
    id: str
    question: str
    paraphrases: list[str]
    answers: list[str]
    near: NotRequired[list[_Near]]


_LINE = TypeAdapter(_Line)


def read_questions(path: Path | None = None) -> list[Question]:
    """Read questions, one JSON object a line; by default those that come with the package.

    Raises:
        ValueError: A line is not a question; the message names file, line and what was expected.
    """
    source = path or files("langchain_cachemux.demo") / "questions.jsonl"
    questions = []
    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            item = _LINE.validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the line"
            msg = (
                f"{path or 'questions.jsonl'}, line {number}: expected an object with id, question,"
                f" paraphrases and answers; {where}: {first['msg']}"
            )
            raise ValueError(msg) from error
        question = Question(
            item["id"],
            item["question"],
            tuple(item["paraphrases"]),
            tuple(item["answers"]),
            tuple((near["question"], tuple(near["answers"])) for near in item.get("near", ())),
        )
        questions.append(question)
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


class Recording:
    """Answers of (model, prompt) pairs with what they took; appended to a file as they come.

    Args:
        path: The file; what an earlier run recorded there is not asked again.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._answers: dict[tuple[str, str], dict[str, Any]] = {}
        self._file: TextIO | None = None
        if path is None:
            return
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for line in lines:
            try:
                told = json.loads(line)
            except ValueError:  # a blank, or the last line of a run that was stopped while it wrote
                continue
            self._answers[told["model"], told["prompt"]] = told["answer"]
        self._file = path.open("a", encoding="utf-8")
        self._file.write("\n" if lines else "")

    def __enter__(self) -> Self:
        """Return the recording; its file is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def ask(self, name: str, model: Runnable[Any, Any], prompt: str) -> AIMessage:
        """Return the model's answer, asked now or before; its metadata say what it took then."""
        if (name, prompt) not in self._answers:
            started = time.perf_counter()
            answer = model.invoke([HumanMessage(prompt)])
            answer.response_metadata["seconds"] = time.perf_counter() - started
            self._answers[name, prompt] = message_to_dict(answer)
            if self._file is not None:
                told = {"model": name, "prompt": prompt, "answer": message_to_dict(answer)}
                self._file.write(json.dumps(told) + "\n")
                self._file.flush()
        (message,) = messages_from_dict([json.loads(json.dumps(self._answers[name, prompt]))])
        return AIMessage(**{**message.model_dump(exclude={"type"}), "id": None})


@dataclass(slots=True)
class _Log:
    """What an arm's models were asked since it was looked at, and how long that really took."""

    usages: list[Usage] = field(default_factory=list)
    took: float = 0.0


class _Replayed(RunnableSerializable[LanguageModelInput, AIMessage]):
    """A model behind a recording, as an arm sees it."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    label: str
    model: Any
    recording: Any
    log: Any

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,  # noqa: ARG002
        **_kwargs: Any,
    ) -> AIMessage:
        started = time.perf_counter()
        prompt = input if isinstance(input, str) else str(input[-1].content)  # type: ignore[index,union-attr]
        answer: AIMessage = self.recording.ask(self.label, self.model, prompt)
        self.log.usages.append(replace(usage_of(answer), model=self.label))
        self.log.took += time.perf_counter() - started
        return answer


class Demo:
    """The four arms over one stream; iterate to run it, look at `arms` at any time.

    Args:
        pair: The models.
        questions: Their answers are checked, and their near-misses must not be served.
        requests: The stream.
        capacity: Entries each cache holds.
        similarity: Threshold of a semantic hit.
        recording: Where answers are kept for the other arms.
    """

    def __init__(
        self,
        pair: Pair,
        questions: list[Question],
        requests: list[Request],
        *,
        capacity: int = 15,
        similarity: float = 0.85,
        recording: Recording | None = None,
    ) -> None:
        self.pair = pair
        self.requests = requests
        self.capacity = capacity
        self.similarity = similarity
        self.recording = recording or Recording()
        self._identity = {
            text: question.id
            for question in questions
            for text in (question.question, *question.paraphrases)
        } | {
            near: f"{question.id}~{place}"
            for question in questions
            for place, (near, _) in enumerate(question.near)
        }
        self.small, self.large = pair.models
        self._billed = {name: pair.billed.get(name, name.split(":")[-1]) for name in pair.models}
        self._flops = flops(pair.decoders) if pair.decoders else lambda _: 0.0
        self._price: Price = self._flops if pair.decoders else seconds
        self._unit = "TFLOP" if pair.decoders else "seconds"
        self._tracks = [
            self._track("large only", [self.large], None),
            self._track("LFU cache + large", [self.large], LFU()),
            self._track("LEC cache + large", [self.large], robust(capacity)),
            self._track("LEC cache + multiplexer", list(pair.models), robust(capacity)),
        ]
        self.arms = [track.arm for track in self._tracks]

    def __iter__(self) -> Iterator[tuple[Request, list[str]]]:
        """Run one request through every arm at a time; what came of it in each, in words.

        Loading the encoder is charged to no arm, like loading the models.
        """
        self.pair.warm()
        for track in self._tracks:
            if track.cache is not None:
                track.cache.reader.embeddings.embed_query("warm up")
        for request in self.requests:
            yield request, [self._serve(track, request) for track in self._tracks]

    def report(
        self,
        *,
        optimal: bool = True,
        progress: Callable[[Iterable[Request]], Iterable[Request]] = iter,
    ) -> dict[str, Any]:
        """Return everything as plain data for JSON.

        Args:
            optimal: Also say what the optimum costs, for which the models are asked what no arm did.
            progress: Shows how far that is.
        """
        served = self.requests[: self.arms[-1].requests]
        floors = self._optimum(progress(served)) if optimal else {}
        first, floor = self.arms[0], floors.get("routed", 0.0)
        rows = []
        for arm in self.arms:
            share = arm.cost / first.cost if first.cost else 1.0
            row = {**asdict(arm), "cost": arm.cost, "accuracy": arm.accuracy, "share": share}
            rows.append(
                {**row, "saved": 1 - share, "over_optimum": arm.cost / floor if floor else None}
            )
        return {
            "arms": rows,
            "optimum": floors,
            "requests": len(served),
            "capacity": self.capacity,
            "similarity": self.similarity,
            "models": dict(self.pair.what),
            "billed": self._billed,
        }

    def _optimum(self, served: Iterable[Request]) -> dict[str, float]:
        """The least cost of being as right as the large model, knowing the future.

        Every wording is matched and no near-miss; a routed miss goes to the cheapest model that
        answers it as well as the large one. Being wrong can be cheaper.
        """
        identities, large_costs, routed_costs = [], [], []
        for request in served:
            answers = [self.recording.ask(n, m, request.text) for n, m in self.pair.models.items()]
            usages = [
                replace(usage_of(a), model=n)
                for n, a in zip(self.pair.models, answers, strict=True)
            ]
            costs = [self._price(usage) for usage in usages]
            well = [request.right(str(answer.content)) for answer in answers]
            identities.append(request.identity)
            large_costs.append(costs[1])
            routed_costs.append(min(costs) if well[0] >= well[1] else costs[1])
        unit = 1e12 if self._unit == "TFLOP" else 1.0
        return {
            "large": optimum(identities, large_costs, capacity=self.capacity) / unit,
            "routed": optimum(identities, routed_costs, capacity=self.capacity) / unit,
        }

    def _track(self, name: str, models: list[str], policy: Any) -> _Track:
        log = _Log()
        replayed = {
            model: _Replayed(
                label=model, model=self.pair.models[model], recording=self.recording, log=log
            )
            for model in models
        }
        if policy is None:
            return _Track(Arm(name, self._unit), log, replayed[self.large], None, [])
        events: list[Event] = []
        cache = LECCache(
            capacity=self.capacity,
            policy=policy,
            match=Threshold(self.similarity),
            on_event=events.append,
        )
        accept = self.pair.accept if len(models) > 1 else None
        runnable = MultiplexedLLM(models=replayed, cache=cache, accept=accept, price=self._price)
        return _Track(Arm(name, self._unit), log, runnable, cache, events)

    def _serve(self, track: _Track, request: Request) -> str:
        arm, log = track.arm, track.log
        log.usages, log.took = [], 0.0
        started = time.perf_counter()
        answer = track.runnable.invoke(request.text)
        if track.cache is not None:
            arm.overhead += time.perf_counter() - started - log.took
        arm.requests += 1
        for usage in log.usages:
            arm.calls[usage.model] = arm.calls.get(usage.model, 0) + 1
        arm.seconds += sum(usage.seconds for usage in log.usages)
        arm.flops += sum(map(self._flops, log.usages))
        arm.dollars += sum(map(self._dollars, log.usages))
        arm.right += request.right(str(answer.content))
        outcome = self._outcome(track, request, log.usages)
        arm.line.append(arm.cost)
        return outcome

    def _dollars(self, usage: Usage) -> float:
        try:
            return dollars(replace(usage, model=self._billed[usage.model]))
        except ValueError:  # not on any list
            return 0.0

    def _outcome(self, track: _Track, request: Request, usages: list[Usage]) -> str:
        arm = track.arm
        asked = " → ".join(usage.model for usage in usages)
        if track.cache is None:
            return asked
        verdicts = [event for event in track.events if not hasattr(event, "slot")]
        track.events.clear()
        stats = track.cache.stats()
        arm.hits_exact, arm.hits_semantic = stats.hits_exact, stats.hits_semantic
        arm.evicted = stats.evicted
        for verdict in verdicts:
            if verdict.query.vector is not None:
                arm.flops += ENCODER.flops(len(request.text) // 4 + 2)
            if isinstance(verdict, Hit):
                return self._hit(arm, request, verdict)
        return asked

    def _hit(self, arm: Arm, request: Request, hit: Hit) -> str:
        stored = request.identity if hit.kind == "exact" else self._identity[hit.entry.text]
        if stored == request.identity:
            return f"{hit.kind} hit"
        arm.wrong_hits += 1
        families = {identity.partition("~")[0] for identity in (stored, request.identity)}
        arm.wrong_from_near_misses += len(families) == 1
        return f"WRONG hit: {hit.entry.text}"


@dataclass(frozen=True, slots=True)
class _Track:
    arm: Arm
    log: _Log
    runnable: Runnable[Any, Any]
    cache: LECCache | None
    events: list[Event]

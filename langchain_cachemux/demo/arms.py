"""The main job, on real parts: one stream of questions through four arms, side by side.

Large model only · LFU cache + large · LEC cache + large · LEC cache + multiplexer. Every arm sees the
same requests in the same order and embeds for itself. A (model, prompt) pair is asked once and
replayed to the other arms from a recording, each time charged what the real call took: its seconds, its
dollars at list prices, and its FLOPs, which are what the router saves when they can be counted, because
they do not depend on what else the machine was doing. The encoder's FLOPs and the seconds of the cache
and the router are charged too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages.utils import count_tokens_approximately

from langchain_cachemux.cache import Event, LECCache
from langchain_cachemux.demo.recording import Asked, Recording, Replayed
from langchain_cachemux.demo.stream import Question, Request
from langchain_cachemux.keep.policies import LFU, robust
from langchain_cachemux.lab.optimum import optimum
from langchain_cachemux.match.verified import Verified
from langchain_cachemux.meter import usage_of
from langchain_cachemux.multiplexer import MultiplexedLLM
from langchain_cachemux.route.judges import Accept
from langchain_cachemux.route.prices import Decoder, Price, dollars, flops, seconds
from langchain_cachemux.types import Hit, Usage

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

ENCODER = Decoder(layers=6, width=384, feed_forward=1536)
"""all-MiniLM-L6-v2, to count its FLOPs by the same formula."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A cheap and an expensive model, what they are, and the judge of the cheap one's answers."""

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


class Demo:
    """The four arms over one stream; iterate to run it, look at `arms` at any time.

    Args:
        pair: The models.
        questions: Their answers are checked, and their near-misses must not be served.
        requests: The stream.
        capacity: Entries each cache holds.
        similarity: Least cosine of a semantic hit; by default what is near enough is learned, and of the
            hits at most 2 % may be wrong.
        recording: Where answers are kept for the other arms.
    """

    def __init__(
        self,
        pair: Pair,
        questions: list[Question],
        requests: list[Request],
        *,
        capacity: int = 15,
        similarity: float | None = None,
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
        asked = Asked()
        replayed = {
            model: Replayed(
                label=model, model=self.pair.models[model], recording=self.recording, asked=asked
            )
            for model in models
        }
        if policy is None:
            return _Track(Arm(name, self._unit), asked, replayed[self.large], None, [])
        events: list[Event] = []
        cache = LECCache(
            capacity=self.capacity,
            policy=policy,
            match=Verified(seed=0) if self.similarity is None else self.similarity,
            on_event=events.append,
        )
        accept = self.pair.accept if len(models) > 1 else None
        runnable = MultiplexedLLM(models=replayed, cache=cache, accept=accept, price=self._price)
        return _Track(Arm(name, self._unit), asked, runnable, cache, events)

    def _serve(self, track: _Track, request: Request) -> str:
        arm, asked = track.arm, track.asked
        asked.usages, asked.took = [], 0.0
        started = time.perf_counter()
        answer = track.runnable.invoke(request.text)
        if track.cache is not None:
            arm.overhead += time.perf_counter() - started - asked.took
        arm.requests += 1
        for usage in asked.usages:
            arm.calls[usage.model] = arm.calls.get(usage.model, 0) + 1
        arm.seconds += sum(usage.seconds for usage in asked.usages)
        arm.flops += sum(map(self._flops, asked.usages))
        arm.dollars += sum(map(self._dollars, asked.usages))
        arm.right += request.right(str(answer.content))
        outcome = self._outcome(track, request, asked.usages)
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
                arm.flops += ENCODER.flops(count_tokens_approximately([request.text]))
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
    asked: Asked
    runnable: Runnable[Any, Any]
    cache: LECCache | None
    events: list[Event]

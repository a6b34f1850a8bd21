"""What an answer says of itself: `response_metadata["cachemux"]`, written and read here alone.

A hit and a routed answer each have a form of their own. A message may come from anywhere (another
program's cache, a persisted history, a model that repeats what it read), so what is not of either form
is no news: it is passed over, and never trusted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NotRequired,  # pydantic reads those of typing from 3.12 on
    TypeVar,
)

from annotated_types import Ge, Le
from langchain_core.messages import BaseMessage
from pydantic import ConfigDict, FiniteFloat, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from langchain_cachemux.arguments import expect
from langchain_cachemux.meter import model_named
from langchain_cachemux.read import answers
from langchain_cachemux.read.answers import message_of
from langchain_cachemux.read.recent import Recent
from langchain_cachemux.types import Estimate

if TYPE_CHECKING:
    from langchain_core.outputs import Generation

    from langchain_cachemux.types import Hit

NAME = "cachemux"
Cost = Annotated[FiniteFloat, Ge(0)]
Share = Annotated[FiniteFloat, Ge(0), Le(1)]
M = TypeVar("M", bound=BaseMessage)


class HitMetadata(TypedDict):
    """On an answer that came from a cache."""

    id: NotRequired[str]
    """What `feedback` may name it by, where a multiplexer handed it out."""
    hit: Literal["exact", "semantic", "cache"]
    """`"cache"`: of a cache that does not tell which."""
    similarity: NotRequired[float]
    """Cosine of the question's vector and that of the stored question; 1 when exact."""
    model: str | None
    """Which model had answered; None where nobody knows."""
    cost: Cost
    """Of this answer: 0."""
    saved: Cost
    """About what the model call would have cost, in the user's unit."""
    key: NotRequired[str]
    """What a cache's `feedback` may name it by."""
    p: NotRequired[Share]
    """The chance that both questions ask the same, where the matcher claims one."""
    risk: NotRequired[Share]
    """Upper bound of the chance that they do not."""
    judged: NotRequired[bool]
    """Whether a judge was asked before it was served."""


class EstimateMetadata(TypedDict):
    """A mean and its width; None for what is not a finite number: nothing was known yet."""

    mean: float | None
    width: float | None


class RouteMetadata(TypedDict):
    """On an answer that a multiplexer got from a model."""

    id: NotRequired[str]
    """What `feedback` may name it by."""
    model: str
    """Who gave it."""
    route: str
    """Who was asked first."""
    reason: str
    """Why, in words."""
    escalated: bool
    """Whether a model before did not answer, or not well enough."""
    accepted: NotRequired[bool | None]
    """What the judge said of it; None when it was not asked."""
    estimates: dict[str, EstimateMetadata]
    """Expected cost of each way that was weighed, by the model asked first."""
    cost: Cost
    """Of all calls that were made for it, in the user's unit."""
    seconds: Cost
    """That the models took."""


_FORMS: TypeAdapter[HitMetadata | RouteMetadata] = TypeAdapter(
    HitMetadata | RouteMetadata, config=ConfigDict(extra="ignore", strict=True)
)


def estimates(of: Mapping[str, Estimate]) -> dict[str, EstimateMetadata]:
    """Return estimates as they are told."""
    return {n: {"mean": _finite(e.mean), "width": _finite(e.width)} for n, e in of.items()}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def read(message: BaseMessage | None) -> HitMetadata | RouteMetadata | None:
    """Return what a message says of itself; None when it says nothing, or nothing well-formed."""
    if message is None or NAME not in message.response_metadata:
        return None
    try:
        return _FORMS.validate_python(message.response_metadata[NAME])
    except ValidationError:
        return None


def name_of(answer: BaseMessage | str, field: Literal["id", "key"], *, of: str) -> str:
    """The name that an answer was handed out under, by which `feedback` may mean it.

    Args:
        answer: The message, or the name itself.
        field: What the name is called.
        of: Whose answers are meant: "a cache" or "a multiplexer".

    Raises:
        ValueError: The message has no such name.
    """
    named: Mapping[str, Any] = {field: answer}
    if isinstance(answer, BaseMessage):
        named = read(answer) or {}
    name: Any = named.get(field)
    right = isinstance(name, str)
    expect(right, "answer", f"a message that {of} handed out, or its {field}", answer)
    return str(name)


class Copies:
    """Fresh copies of stored answers; of recent ones it is remembered how they read.

    Args:
        size: Answers remembered.
        longest: Characters of one that is remembered, in JSON.
    """

    def __init__(self, size: int = 1024, *, longest: int = 10_000) -> None:
        self._longest = longest
        self._read: Recent[tuple[list[Generation], list[str | None]]] = Recent(size)

    def handed_out(self, hit: Hit) -> list[Generation]:
        """A fresh copy of the stored answer, which says that it is one.

        Raises:
            ValueError: It is not what `answers.write` returns.
        """
        text = hit.entry.answer
        known = self._read.get(text)
        if known is None:
            generations = answers.read(text)
            models = [None if m is None else model_in(m) for m in map(message_of, generations)]
            if len(text) <= self._longest and answers.is_repeatable(generations):
                self._read.put(text, (generations, models))
                generations = [*map(answers.copied, generations)]
        else:
            generations, models = [*map(answers.copied, known[0])], known[1]
        for generation, model in zip(generations, models, strict=True):
            message = message_of(generation)
            if message is not None:
                message.response_metadata[NAME] = of_hit(hit, model)
        return generations

    def clear(self) -> None:
        """Forget every answer."""
        self._read.clear()


def model_of(generations: Sequence[Generation]) -> str | None:
    """Which model gave an answer; None where nobody knows."""
    message = message_of(generations[0]) if generations else None
    return None if message is None else model_in(message)


def model_in(message: BaseMessage) -> str | None:
    """Which model a message is of, as a multiplexer tells or the provider; None where nobody knows."""
    told = read(message)
    return told["model"] if told else model_named(message.response_metadata) or None


def of_hit(hit: Hit, model: str | None) -> HitMetadata:
    """What an answer from the cache says of itself."""
    told: HitMetadata = {
        "hit": hit.kind,
        "similarity": round(hit.similarity, 4),
        "model": model,
        "cost": 0.0,
        "saved": hit.entry.cost,
        "key": hit.query.key,
    }
    if hit.p is not None and hit.risk is not None:
        told |= {"p": hit.p, "risk": hit.risk, "judged": hit.judged}
    return told


def write(message: M, metadata: HitMetadata | RouteMetadata) -> M:
    """Return a copy of a message that says this of itself."""
    told = {**message.response_metadata, NAME: metadata}
    return message.model_copy(update={"response_metadata": told})

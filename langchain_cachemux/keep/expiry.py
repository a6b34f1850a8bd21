"""How long an answer holds, what it can be found by to be forgotten, and when it is over.

An answer is an entry with an end (`Entry.expires`) and labels (`Entry.labels`), both written when it is
stored. One whose end has come is no answer any more, wherever it is met, and is the first to leave; so
is one of another epoch. Ends are told by the wall clock, because a folder outlives its process.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from langchain_cachemux.arguments import expect, is_number, shown, takes

if TYPE_CHECKING:
    from langchain_cachemux.types import Entry, Query, Wording

Span: TypeAlias = float | timedelta
"""A while, in seconds where it is a number."""
Ttl: TypeAlias = "Span | Callable[[Query], Span | None] | None"
"""How long answers hold: so long, as long as a rule says of a question, or for ever (None)."""
Tags: TypeAlias = "Collection[str] | Callable[[Query], Iterable[str]]"
"""What answers are tagged with: these, or what a rule says of a question."""

SKEW = 60.0
"""Seconds that the clocks of those who share a store may differ by."""
EVERY = 1.0
"""Seconds after which what is over is looked for again, as long as there is traffic."""
SWEPT = 64
"""Answers that are over, forgotten at once: whoever stores one waits for no more."""
RENEWED = 0.05
"""Part of its time that a sliding answer must gain before that is written down."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What was said of the answers to one call, or to all calls of a block."""

    ttl: Span | None = None
    tags: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    """Each within the one before."""


_SAID: ContextVar[Mapping[int, Keeping] | None] = ContextVar("keeping", default=None)
"""By the `id` of the cache that is meant."""


def keeping(
    cache: object,
    *,
    ttl: Span | None = None,
    tags: Collection[str] = (),
    namespace: str | None = None,
) -> AbstractContextManager[None]:
    """Say of the answers that a cache keeps in a block how long they hold, and whose they are.

    Raises:
        ValueError: An argument is of the wrong kind.
    """
    expect(ttl is None or is_span(ttl), "ttl", "seconds > 0 or a timedelta, such as 60", ttl)
    right = namespace is None or (
        isinstance(namespace, str) and namespace and "\0" not in namespace
    )
    expect(right, "namespace", "a name", namespace)
    return _saying(cache, Keeping(ttl, listed(tags), () if namespace is None else (namespace,)))


@contextmanager
def _saying(cache: object, new: Keeping) -> Iterator[None]:
    old = said(cache)
    ttl = old.ttl if new.ttl is None else new.ttl
    both = Keeping(ttl, old.tags + new.tags, old.namespaces + new.namespaces)
    token = _SAID.set({**(_SAID.get() or {}), id(cache): both})
    try:
        yield
    finally:
        _SAID.reset(token)


def said(cache: object) -> Keeping:
    """What was said of the answers that a cache keeps here."""
    return (_SAID.get() or {}).get(id(cache), Keeping())


def run_said(before: Keeping, given: object) -> Keeping:
    """What was said of answers in blocks, and what the config of the run says, which goes before.

    Args:
        before: The former.
        given: The latter, `{"ttl": 60, "tags": ["prices"]}` or a part of it; None when it says nothing.

    Raises:
        ValueError: It says something else.
    """
    if given is None:
        return before
    right = isinstance(given, Mapping) and given.keys() <= {"ttl", "tags"}
    what = 'such as {"ttl": 60, "tags": ["prices"]}'
    expect(right, "metadata['cachemux']", what, given)
    told: Any = given
    ttl, tags = told.get("ttl"), listed(told.get("tags", ()))
    expect(ttl is None or is_span(ttl), "ttl", "seconds > 0 or a timedelta, such as 60", ttl)
    return replace(before, ttl=before.ttl if ttl is None else ttl, tags=before.tags + tags)


class Asked(NamedTuple):
    """Which answers are to be forgotten: those of which all of it holds."""

    labels: tuple[str, ...] = ()
    before: float = math.inf
    """They were made earlier, in seconds since the epoch."""
    contains: str = ""
    """In the words of a question or of its answer, whatever the case."""

    def within(self, namespace: str) -> Asked:
        """The same, of one namespace (`Query.namespace`)."""
        label = () if not namespace else (f"namespace:{namespace}",)
        return self._replace(labels=(*self.labels, *label))

    def found_in(self, wordings: Iterable[Wording], answer: str) -> bool:
        """Whether what it is to contain is in the words asked, or anywhere in the answer."""
        looked_for = self.contains.casefold()
        texts = chain((wording.text for wording in wordings), _texts(answer))
        return any(looked_for in text.casefold() for text in texts)


class Expiry:
    """Writes on answers how long they hold and what they are labelled with, and says which are over.

    Args:
        ttl: How long answers hold.
        tags: What they are tagged with.
        epoch: Which version of prompts, models or documents they are of.
        sliding: Whether a hit begins an answer's time anew.
        clock: Tells the time, in seconds since the epoch.

    Raises:
        ValueError: An argument is of the wrong kind.
    """

    def __init__(
        self,
        ttl: Ttl = None,
        *,
        tags: Tags = (),
        epoch: str = "",
        sliding: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        right = ttl is None or is_span(ttl) or takes(ttl, 1)
        what = "seconds > 0, a timedelta or a plain function (Query) -> seconds, such as Volatile()"
        expect(right, "ttl", what, ttl)
        expect(isinstance(sliding, bool), "sliding", "True or False", sliding)
        expect(takes(clock, 0), "clock", "a plain function that tells the time", clock)
        right = isinstance(epoch, str) and "\0" not in epoch
        expect(right, "epoch", 'a version, as text: "prompt-v3"', epoch)
        given: Any = ttl
        self.ttl: Ttl = _in_seconds(given) if is_span(given) else given
        self.tags: Tags = tags if takes(tags, 1) else listed(tags)
        self.epoch = epoch
        self.sliding = sliding
        self._clock = clock
        self._due = 0.0

    def __repr__(self) -> str:
        """How it was made."""
        told = f"tags={shown(self.tags)}, epoch={self.epoch!r}, sliding={self.sliding}"
        return f"Expiry({shown(self.ttl)}, {told})"

    @property
    def own(self) -> tuple[str, ...]:
        """The label that all answers of this epoch bear; none where there are no epochs."""
        return (f"epoch:{self.epoch}",) if self.epoch else ()

    def clock(self) -> float:
        """The time, in seconds since the epoch."""
        return float(self._clock())

    def holds(self, entry: Entry) -> bool:
        """Whether it is an answer now: its end has not come, and it is of this epoch."""
        return not self.over(entry) and label("epoch", entry.labels) == self.epoch

    def over(self, entry: Entry) -> bool:
        """Whether its end has come; or it was made later than now.

        For of a clock that was set back no answer lives the longer.
        """
        if math.isinf(entry.expires):
            return False
        now = self.clock()
        return not (now < entry.expires and entry.made <= now + SKEW)

    def stamped(
        self, entry: Entry, query: Query, *, model: str | None, given: Keeping
    ) -> Entry | None:
        """Return an answer with its end and its labels; None when it is over at once.

        Args:
            entry: The answer.
            query: What it answers.
            model: Who gave it, if that is known.
            given: What was said of this call.

        Raises:
            ValueError: A rule returned no seconds, or no tags.
        """
        seconds, now = self._seconds(query, given), self.clock()
        if seconds <= 0:
            return None
        labels = [*_namespaces(query.namespace)]
        labels += [f"tag:{tag}" for tag in dict.fromkeys((*self._tags(query), *given.tags))]
        labels += [f"{kind}:{of}" for kind, of in (("model", model), ("epoch", self.epoch)) if of]
        return replace(entry, made=now, expires=now + seconds, labels=tuple(labels))

    def renewed(self, entry: Entry, query: Query, given: Keeping) -> float | None:
        """Until when an answer holds that was just used; None where a use changes nothing.

        It is as if it had been stored by this call. What it would gain is not always worth the write.

        Raises:
            ValueError: As `stamped`.
        """
        if not self.sliding or not math.isfinite(entry.expires):
            return None
        seconds = self._seconds(query, given)
        until = self.clock() + seconds
        gains = until - entry.expires > RENEWED * seconds or math.isinf(until)
        return until if gains else None

    def sees(self, query: Query, entry: Entry) -> bool:
        """Whether an answer is one to whoever asks: of the same namespace, and not over."""
        return label("namespace", entry.labels) == query.namespace and self.holds(entry)

    def parts(self, fresh: Entry, stored: Entry) -> bool:
        """Whether a stored answer cannot stand for a fresh one: it holds longer, or lacks its tags."""
        tags = {one for one in fresh.labels if not one.startswith("model:")}
        return fresh.expires < stored.expires or not tags <= {*stored.labels}

    def due(self) -> bool:
        """Whether it is time to look for what is over."""
        now = self.clock()
        if now < self._due <= now + EVERY:
            return False
        self._due = now + EVERY
        return True

    def asked(
        self,
        *,
        namespace: str | None,
        tag: str | None,
        older_than: Span | None,
        contains: str | None,
        model: str | None,
    ) -> Asked:
        """Return what `Upkeep.invalidate` is asked for, but for the namespace.

        Raises:
            ValueError: Nothing is asked for, or something of a wrong kind.
        """
        given = {"namespace": namespace, "tag": tag, "contains": contains, "model": model}
        for name, value in given.items():
            right = value is None or (isinstance(value, str) and value)
            expect(right, name, "a text that is not empty", value)
        aged = older_than is None or (is_span(older_than) and not isinstance(older_than, bool))
        expect(aged, "older_than", "seconds > 0 or a timedelta", older_than)
        if older_than is None and all(value is None for value in given.values()):
            msg = (
                "invalidate needs namespace, tag, older_than, contains or model; "
                "clear() forgets everything"
            )
            raise ValueError(msg)
        labels = [f"{kind}:{given[kind]}" for kind in ("tag", "model") if given[kind]]
        before = math.inf if older_than is None else self.clock() - _in_seconds(older_than)
        return Asked(tuple(labels), before, contains or "")

    def _seconds(self, query: Query, given: Keeping) -> float:
        ttl: Any = self.ttl if given.ttl is None else given.ttl
        if ttl is not None and not is_span(ttl):
            ttl = ttl(query)
        if ttl is None:
            return math.inf
        right = isinstance(ttl, timedelta) or is_number(ttl)
        expect(right, "ttl", "a rule that returns seconds, a timedelta or None", ttl)
        return _in_seconds(ttl)

    def _tags(self, query: Query) -> tuple[str, ...]:
        return listed(self.tags(query) if callable(self.tags) else self.tags)


def label(kind: str, labels: Iterable[str]) -> str:
    """Return the value of the last label of a kind; empty when there is none."""
    before, found = f"{kind}:", ""
    for one in labels:
        if one.startswith(before):
            found = one[len(before) :]
    return found


def _namespaces(namespace: str) -> Iterator[str]:
    """The labels of a namespace: it is found by any that it is within."""
    parts = namespace.split("/") if namespace else []
    for place in range(len(parts)):
        yield f"namespace:{'/'.join(parts[: place + 1])}"


def _texts(answer: str) -> Iterator[str]:
    """All texts in an answer, without the escapes in which JSON writes them."""
    try:
        left = [json.loads(answer)]
    except ValueError:
        left = [answer]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            left += value.values() if isinstance(value, dict) else value


def is_span(given: Any) -> bool:
    """Whether it is a while that ends some time."""
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    return is_number(seconds) and seconds > 0


def _in_seconds(span: Span) -> float:
    return span.total_seconds() if isinstance(span, timedelta) else float(span)


def listed(given: Any, name: str = "tags") -> tuple[str, ...]:
    """Tags as a tuple.

    Raises:
        ValueError: They are no texts, or one text: that would be a tag for each letter.
    """
    right = not isinstance(given, str | bytes) and isinstance(given, Iterable)
    texts = tuple(given) if right else ()
    right = right and all(isinstance(one, str) and one.strip() for one in texts)
    expect(right, name, 'a list of texts, such as ["prices"]', given)
    return texts

"""`LECCache`: LangChain's cache interface over a ledger, an index and a matcher."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from langchain_core.caches import BaseCache
from langchain_core.outputs import ChatGeneration

from langchain_cachemux.keep.memory import Ledger, MemoryLedger, in_bytes, measured
from langchain_cachemux.keep.policies import Policy, robust
from langchain_cachemux.match.index import ChromaIndex
from langchain_cachemux.match.threshold import Matcher, Threshold
from langchain_cachemux.read import answers, metadata
from langchain_cachemux.read.prompts import Reader, UnstableKeyError
from langchain_cachemux.route.estimators import Estimator, Mean
from langchain_cachemux.route.prices import Price, seconds, usage_of
from langchain_cachemux.route.router import Router
from langchain_cachemux.types import Admission, Entry, Hit, Match, Miss, Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.embeddings import Embeddings
    from langchain_core.outputs import Generation

Event: TypeAlias = Hit | Miss | Admission

CANDIDATES = 8
"""Neighbours fetched for a query, to find one that is held and passes the guards."""
PENDING = 10_000
"""Missed lookups whose stopwatch is remembered until their update."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stats:
    """What a cache did since it was opened; the first three describe what it holds now."""

    entries: int
    size: int
    """Entries, or bytes, as the capacity is counted."""
    capacity: int
    hits_exact: int
    hits_semantic: int
    misses: int
    admitted: int
    """Answers stored; each is acknowledged: it stays until it is evicted or forgotten."""
    bypassed: int
    """Answers that were themselves the least worth keeping."""
    evicted: int
    refused: int
    """Answers that must not be served again, and questions with no stable key."""
    unpriced: int
    """Answers of a model that the price does not know, valued at what others cost."""
    errors: int
    """Faults the chain never saw: a lookup that became a miss, an update that was dropped."""
    saved: float
    """Cost of the misses that the hits would have been, by the lower bound; in the user's unit."""


class LECCache(BaseCache):
    """A semantic cache that forgets the least expected cost.

    Use it anywhere LangChain takes a cache: `set_llm_cache(LECCache())`, or `cache=` of one model.
    A lookup is answered exactly when everything is equal, and by meaning when `match` says that the
    last human words ask the same and all else is equal. The constructor refuses wrong arguments; at
    run time nothing is ever raised into the chain: a lookup that fails is a miss, an update that
    fails is dropped, both logged and counted.

    Args:
        path: Folder that keeps the cache between runs, made when missing, open in one process at a
            time; by default the cache lives in memory.
        capacity: Entries held at most, or bytes when given as text (`"512MB"`).
        embeddings: Any LangChain embeddings; by default all-MiniLM-L6-v2 in this process.
        policy: What is worth keeping; of several, the one whose misses have cost least lately. By
            default `robust`: LEC and its relatives.
        match: What is the same question; by default `Threshold(0.85)` with guards.
        reader: How prompts are read, in place of `Reader(embeddings)`.
        price: Cost of a model call; by default its seconds.
        estimator: What a miss would cost, learned from every miss; by default `Mean`. A
            multiplexer's `Router` values answers at what the routed miss would cost.
        on_event: Called with every `Hit`, `Miss` and `Admission`.

    Raises:
        ValueError: An argument is wrong, or the folder was made with another embedder.
        ImportError: The default embedder is not installed.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        capacity: int | str = 10_000,
        embeddings: Embeddings | None = None,
        policy: Policy | Sequence[Policy] | None = None,
        match: Matcher | None = None,
        reader: Reader | None = None,
        price: Price = seconds,
        estimator: Estimator | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        total, entries = measured(capacity)
        self._in_bytes = in_bytes(capacity)
        if reader is not None and embeddings is not None:
            msg = "embeddings and reader were both given; the reader has embeddings of its own"
            raise ValueError(msg)
        self.reader = reader or Reader(embeddings or _default_embeddings())
        self.match = match or Threshold()
        self.price = price
        self.path = None if path is None else Path(path).resolve()
        """The folder that keeps it; None in memory."""
        self.estimator: Estimator = estimator or Mean()
        self._valued = estimator is not None
        self.on_event = on_event
        policy = robust(entries) if policy is None else policy
        self.ledger: Ledger
        self.index: ChromaIndex
        self._asked: OrderedDict[str, deque[float]] = OrderedDict()
        self._learned: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._saved = 0.0
        self._writing = threading.Lock()
        self._estimating = threading.Lock()
        self._timing = threading.Lock()
        self._closing = ExitStack()
        try:
            if path is None:
                self.ledger, self.index = MemoryLedger(total, policy=policy), ChromaIndex.memory()
                self._closing.callback(self.index.close)
            else:
                self._open(Path(path), total, policy)
        except BaseException:
            self.close()
            raise

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """Return a fresh copy of the stored answer, or None; never raises.

        A chat message's `response_metadata["cachemux"]` says what kind of hit it was, how similar,
        which model had answered and the cost that was saved.
        """
        try:
            return self._find(prompt, llm_string)[1]
        except UnstableKeyError as reason:
            self._refuse(reason)
        except Exception as error:  # noqa: BLE001
            self._fail("lookup", error)
        return None

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Store an answer if it is worth keeping; never raises."""
        try:
            self._update(prompt, llm_string, return_val)
        except UnstableKeyError as reason:
            self._refuse(reason)
        except Exception as error:  # noqa: BLE001
            self._fail("update", error)

    def clear(self, **_kwargs: Any) -> None:
        """Forget every answer and every count."""
        with self._writing:
            self.ledger.clear()
            self.index.clear()
            self._learned.clear()
        with self._timing:
            self._asked.clear()

    def find(self, prompt: str, llm_string: str) -> Hit | Miss:
        """Look a prompt up and say what came of it; a hit counts as a use.

        Raises:
            UnstableKeyError: The prompt has no stable key.
            Exception: Whatever the embedder or the stores raise; `lookup` does not.
        """
        return self._find(prompt, llm_string)[0]

    def _find(self, prompt: str, llm_string: str) -> tuple[Hit | Miss, list[Generation] | None]:
        query = self.reader.read(prompt, llm_string)
        self._start(query)
        verdict = self._exact(query) or self._near(query)
        generations: list[Generation] | None = None
        if isinstance(verdict, Hit):
            try:
                generations = _handed_out(verdict)
            except ValueError as error:
                self._fail("reading a stored answer", error)
                self.ledger.forget(verdict.entry.key)
                verdict = Miss(verdict.query, "the stored answer is unreadable")
        saved = verdict.entry.cost if isinstance(verdict, Hit) else 0.0
        if isinstance(verdict, Hit) and not self.ledger.use(
            verdict.entry.key, credit=verdict.credit, cost=self._worth_by_now(verdict.entry)
        ):
            verdict, generations = Miss(verdict.query, "the entry was evicted just now"), None
        if isinstance(verdict, Hit):
            self._stop(query)
            self._counts[f"hits_{verdict.kind}"] += 1
            self._saved += saved
        else:
            self._counts["misses"] += 1
        self._tell(verdict)
        return verdict, generations

    def _start(self, query: Query) -> None:
        """Start the stopwatch of a miss; equal prompts asked at once have one each."""
        with self._timing:
            self._asked.setdefault(query.key, deque(maxlen=64)).append(time.perf_counter())
            self._asked.move_to_end(query.key)
            while len(self._asked) > PENDING:
                self._asked.popitem(last=False)

    def _stop(self, query: Query) -> float | None:
        """Seconds since the latest start; None when none runs, as another thread's update took it."""
        with self._timing:
            running = self._asked.get(query.key)
            return time.perf_counter() - running.pop() if running else None

    def check(self, *, fix: bool = False) -> list[str]:
        """Compare the index with the ledger, and the ledger with itself.

        Args:
            fix: Also write the rows that the index lacks and delete those it should not have, from
                the vectors that the ledger keeps.

        Returns:
            The problems found, in words; none in a sound cache.
        """
        with self._writing:
            problems = self.ledger.check()
            rows = self.index.rows()
            stale = set(rows)
            for entry in self.ledger:
                if entry.vector is None:
                    continue
                stale.discard(entry.slot)
                if rows.get(entry.slot) != entry.key:
                    problems.append(f"slot {entry.slot}: the index lacks entry {entry.key}")
                    if fix:
                        self.index.put(entry.slot, entry.key, entry.vector, entry.partition)
            if fix:
                self.index.remove(stale)
        return problems

    def value_by(self, estimator: Estimator) -> None:
        """Value answers by `estimator` from now on, unless one was given at construction.

        A multiplexer calls it with its router, so that an answer is worth what the routed miss
        would cost.
        """
        if not self._valued:
            self.estimator = estimator

    def stats(self) -> Stats:
        """Return what the cache holds and did since it was opened."""
        counts = {name: self._counts[name] for name in _COUNTED}
        return Stats(
            entries=len(self.ledger),
            size=self.ledger.size,
            capacity=self.ledger.capacity,
            saved=self._saved,
            **counts,
        )

    def close(self) -> None:
        """Let another process open the folder; the cache must not be used afterwards."""
        self._closing.close()

    def __enter__(self) -> Self:
        """Return the cache; it is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the cache."""
        self.close()

    def _open(self, folder: Path, capacity: int, policy: Policy | Sequence[Policy]) -> None:
        """Lock the folder, open the ledger in it and the index, and make them agree."""
        from filelock import FileLock, Timeout

        from langchain_cachemux.keep.sql import SqlLedger

        if folder.exists() and not folder.is_dir():
            msg = f"path must be a folder, got the file {str(folder)!r}"
            raise ValueError(msg)
        folder.mkdir(parents=True, exist_ok=True)
        folder = folder.resolve()
        try:
            lock = FileLock(folder / "lock", timeout=0, thread_local=False)
            self._closing.enter_context(lock)
        except Timeout:
            msg = (
                f"path {str(folder)!r} is already open, here or in another process; close it there"
            )
            raise ValueError(msg) from None
        ledger = SqlLedger(
            f"sqlite:///{folder / 'ledger.db'}",
            capacity=capacity,
            policy=policy,
            about={
                "embeddings": _name_of(self.reader.embeddings),
                "capacity unit": "bytes" if self._in_bytes else "entries",
            },
        )
        self._closing.callback(ledger.close)
        self.ledger, self.index = ledger, ChromaIndex.folder(folder / "chroma")
        self._closing.callback(self.index.close)
        self.check(fix=True)

    def _exact(self, query: Query) -> Hit | None:
        entry = self.ledger.get(query.key)
        return None if entry is None else Hit(query, entry, "exact")

    def _near(self, query: Query) -> Hit | Miss:
        if not query.text:
            return Miss(query, "only an exact match will do, and there is none")
        query = self.reader.embed(query)
        return self.match.judge(query, self._matches(query))

    def _matches(self, query: Query) -> Iterator[Match]:
        """The entries near a query, nearest first, as far as the ledger confirms them."""
        if query.vector is None:
            return
        near = self.index.nearest(query.vector, query.partition, n=CANDIDATES)
        for neighbour in near:
            entry = self.ledger.get(neighbour.key)
            if (
                entry is not None
                and entry.slot == neighbour.slot
                and entry.partition == query.partition
                and entry.text
            ):
                yield Match(entry, neighbour.similarity)

    def _update(self, prompt: str, llm_string: str, generations: Sequence[Generation]) -> None:
        query = self.reader.read(prompt, llm_string)
        elapsed = self._stop(query)
        reason = answers.objection(generations)
        if reason is not None:
            self._refuse(reason)
            return
        text = answers.write(generations, prompt=prompt)
        if answers.calls_tools(generations):
            query = Query(query.key, query.scope, query.context)
        try:
            query = self.reader.embed(query)
        except Exception as error:  # noqa: BLE001
            self._fail("embedding", error)
        entry = Entry(
            query.key,
            partition=query.partition,
            text="" if query.vector is None else query.text,
            vector=query.vector,
            answer=text,
        )
        if self._in_bytes:
            entry.size = len((text + entry.text).encode())
            entry.size += 0 if entry.vector is None else entry.vector.nbytes
        cost = self._cost(answers.read(text)[0], elapsed)
        with self._writing:
            with self._estimating:
                if cost is not None:
                    self.estimator.learn(query, cost)
                entry.cost = self.estimator.predict(query).lower
            admission = self.ledger.admit(entry)
            self._learned.difference_update(admission.evicted)
            if admission.slot is not None and cost is not None:
                self._learned.add(entry.key)
            if admission.slot is not None and entry.vector is not None:
                self.index.put(admission.slot, entry.key, entry.vector, entry.partition)
            elif admission.slot is not None:
                self.index.blank(admission.slot)
        self._counts["bypassed" if admission.slot is None else "admitted"] += 1
        self._counts["evicted"] += len(admission.evicted)
        self._tell(admission)

    def _worth_by_now(self, entry: Entry) -> float | None:
        """What a routed miss would cost, if the router learned of the entry since opening.

        Without a router nothing is learned of an entry between two of its misses.
        """
        if entry.key not in self._learned or not isinstance(self.estimator, Router):
            return None
        with self._estimating:
            return self.estimator.predict(
                Query(entry.key, text=entry.text, vector=entry.vector)
            ).lower

    def _cost(self, answer: Generation, elapsed: float | None) -> float | None:
        """What the miss cost: as the multiplexer measured it, or the price of the usage."""
        message = answers.message_of(answer)
        told = metadata.read(message)
        if told is not None:
            return told["cost"]
        if elapsed is None and self.price is seconds:
            return None
        try:
            return self.price(usage_of(message, seconds=elapsed or 0.0))
        except (ValueError, LookupError) as error:
            self._counts["unpriced"] += 1
            log.warning("%s; the answer is valued at what others cost", error)
            return None

    def _refuse(self, reason: object) -> None:
        self._counts["refused"] += 1
        log.debug("not cached: %s", reason)

    def _fail(self, what: str, error: Exception) -> None:
        self._counts["errors"] += 1
        log.warning("%s failed, the chain goes on without the cache: %r", what, error)

    def _tell(self, event: Event) -> None:
        if self.on_event is not None:
            try:
                self.on_event(event)
            except Exception as error:  # noqa: BLE001
                self._fail("on_event", error)


_COUNTED = (
    "hits_exact hits_semantic misses admitted bypassed evicted refused unpriced errors".split()
)


def _handed_out(hit: Hit) -> list[Generation]:
    """A fresh copy of the stored answer, which says that it is one."""
    generations = answers.read(hit.entry.answer)
    for generation in generations:
        message = answers.message_of(generation)
        if isinstance(generation, ChatGeneration) and message is not None:
            told = metadata.read(message)
            generation.message = metadata.write(
                message,
                {
                    "hit": hit.kind,
                    "similarity": round(hit.similarity, 4),
                    "model": told["model"] if told else usage_of(message).model or None,
                    "cost": 0.0,
                    "saved": hit.entry.cost,
                },
            )
    return generations


def _default_embeddings() -> Embeddings:
    from langchain_cachemux.read.encoder import SentenceEncoder

    return SentenceEncoder()


def _name_of(embeddings: Embeddings) -> str:
    """A name two embedders share only if their vectors can be compared."""
    kind = type(embeddings)
    known = ("model_name", "model", "model_id", "repo_id", "deployment", "dimensions", "size")
    told = [f"{name}={getattr(embeddings, name)}" for name in known if hasattr(embeddings, name)]
    return " ".join([f"{kind.__module__}.{kind.__qualname__}", *told])

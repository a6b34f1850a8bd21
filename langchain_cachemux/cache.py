"""`LECCache`: LangChain's cache interface over a ledger, an index and a matcher."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from langchain_core.caches import BaseCache

from langchain_cachemux.arguments import expect, is_number, number_of, shown, takes
from langchain_cachemux.background import Workers
from langchain_cachemux.discreet import loggable
from langchain_cachemux.embedder import Embedder
from langchain_cachemux.flight import Flights
from langchain_cachemux.keep.books import Capacity, Rules
from langchain_cachemux.keep.encrypted import Encrypted, seal_of
from langchain_cachemux.keep.expiry import Expiry, Tags, Ttl
from langchain_cachemux.keep.policies import Policy, robust
from langchain_cachemux.lessons import Lesson, lessons_of
from langchain_cachemux.life import ClosedError, Life
from langchain_cachemux.living import pickled
from langchain_cachemux.match.verified import matcher_of
from langchain_cachemux.patience import level
from langchain_cachemux.places import Connected, Servers
from langchain_cachemux.read import answers, metadata
from langchain_cachemux.read.encoder import name_of, reader_of
from langchain_cachemux.read.prompts import Namespace, Reader, UnstableKeyError
from langchain_cachemux.read.runs import watch
from langchain_cachemux.read.twins import Twins
from langchain_cachemux.rewriting import Rewriter
from langchain_cachemux.route.estimators import Estimator
from langchain_cachemux.route.prices import Price, price_of, seconds
from langchain_cachemux.shelf import Shelf
from langchain_cachemux.stats import Counted, Counters, Stats, Stopwatch
from langchain_cachemux.types import Admission, Entry, Hit, Miss, Query
from langchain_cachemux.upkeep import Upkeep
from langchain_cachemux.worth import Worth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.embeddings import Embeddings
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import Generation

    from langchain_cachemux.agree import Same
    from langchain_cachemux.budget import ErrorBudget
    from langchain_cachemux.keep.shared.notes import Notes
    from langchain_cachemux.match.judges import Judging
    from langchain_cachemux.match.threshold import Matcher
    from langchain_cachemux.referee import When
    from langchain_cachemux.rewriting import Rewrite

Event: TypeAlias = Hit | Miss | Admission

COSTS = "costs.zip"
"""What misses have cost, in the folder."""

log = logging.getLogger(__name__)


class LECCache(Upkeep, Connected, BaseCache):
    """A semantic cache that forgets the least expected cost.

    Use it anywhere LangChain takes a cache: `set_llm_cache(LECCache())`, or `cache=` of one model.
    A lookup is answered exactly when everything is equal, and by meaning when `match` says that the
    last human words ask the same and all else is equal. The constructor refuses wrong arguments; at
    run time nothing is ever raised into the chain: a lookup that fails is a miss, an update that
    fails is dropped, both logged and counted.

    Args:
        path: Folder that keeps the cache between runs, made when missing, open in one process at a
            time; by default the cache lives in memory.
        shared: Whether several processes of one machine have the folder open.
        capacity: Entries held at most, or bytes when given as text (`"512MB"`).
        embeddings: Any LangChain embeddings; by default all-MiniLM-L6-v2 in this process.
        policy: What is worth keeping; of several, the one whose misses have cost least lately. By
            default `robust`: LEC and its relatives.
        max_error: Of the answers served from a match by meaning, the share that may be wrong, all along
            the stream; by default 0.02.
        match: What is the same question; by default `Verified(max_error)`. A number is a `Threshold`.
        judge: Asked whether two questions are the same, where that pays: a function
            `(new, stored) -> bool`, a chat model, a `CrossEncoder`, or "local".
        judge_when: "before" has it asked while the question waits, "after" in the background, "auto"
            whichever is expected to cost less. At first it is asked afterwards in any case, until it is
            known how often it errs.
        audit: The least share of hits by meaning that are asked again, to see whether they were right:
            3 % at first, in the end 1 %, by default.
        same: Whether two answers say the same, `(answer, answer) -> bool`; by default `Agree`.
        rewrite: Asks the last turn of a conversation on its own, so that it is compared across
            conversations: a chat model, a function `(messages) -> question`, or "small", the cheapest
            model of the multiplexer. By default turns are compared after equal ones only.
        reader: How prompts are read, in place of `Reader(embeddings)`.
        price: Cost of a model call, or the name of a built-in one: "seconds", by default, or "dollars".
        estimator: What a miss would cost, learned from every miss; by default `Mean`. A
            multiplexer's `Router` values answers at what the routed miss would cost.
        on_event: Called with every `Hit`, `Miss` and `Admission`.
        wait: Seconds that a lookup waits at most while an equal question is being asked; usually less,
            as answers take (`Flights`). At 0 each is asked by itself.
        deadline: Seconds that a folder may take to answer a lookup, beyond the embedding (which has a
            deadline of its own, `Reader(deadline=)`), and to take an update; one that is late is a
            miss, or is dropped, and the folder is spared for a while (`Patience`).
        cacheable: Whether a message may be served again; by default when it ended as whole ones do.
        namespace: Whose answers these are, so that caches that share a store, models that LangChain
            cannot tell apart (two API keys are one to it) and users share none. A function finds it in
            the metadata of the run, `config["metadata"]`; where it raises, nothing is cached.
        ttl: How long an answer holds: seconds, a `timedelta`, or a rule `(Query) -> seconds` such as
            `Volatile()`. By default for ever.
        sliding: Whether a hit begins that time anew; by default it does not.
        tags: What answers can be invalidated by: texts, or a rule `(Query) -> texts`.
        epoch: Version of prompts, models or documents: others are not found, and leave first.
        clock: Tells the time, in seconds since 1970; another one in tests.
        secret: Signs what a folder keeps (HMAC-SHA256), so that nobody without it can change an answer
            there; by default a checksum finds what changed by accident.
        repair: Whether what can be read of a damaged folder is saved; the damaged file stays beside it.
        encrypt: A key, 32 bytes or those in base64: what a folder or a server keeps of prompts, answers
            and vectors is encrypted under it (AES-256-GCM).
        store_prompts: Whether questions are stored beside answers, and their vectors, from which words
            can be told. Without, only equal questions hit.
        read_only: Whether the folder is only read: it may be open elsewhere, or on a disk that cannot be
            written to. Hits are served and not counted there, and no answer is kept; what others keep
            meanwhile is found by equal questions at once, by meaning when it is opened again.

    Raises:
        ValueError: An argument is wrong; or the folder was made with another embedder or secret, or is
            damaged.
        ImportError: What `price` needs is not installed.
    """

    _last: Stats | None = None
    """What it did, once it was closed."""

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        shared: bool = False,
        capacity: int | str = 10_000,
        embeddings: Embeddings | None = None,
        policy: Policy | Sequence[Policy] | None = None,
        max_error: float | None = None,
        match: Matcher | float | None = None,
        judge: Judging | None = None,
        judge_when: When = "auto",
        audit: float | None = None,
        same: Same | None = None,
        rewrite: Rewrite | None = None,
        reader: Reader | None = None,
        price: Price | str = seconds,
        estimator: Estimator | None = None,
        on_event: Callable[[Event], None] | None = None,
        wait: float = 60.0,
        deadline: float = 0.25,
        cacheable: Callable[[AIMessage], bool] | None = None,
        namespace: str | Callable[[Mapping[str, Any]], str] | None = None,
        ttl: Ttl = None,
        sliding: bool = False,
        tags: Tags = (),
        epoch: str = "",
        clock: Callable[[], float] = time.time,
        secret: str | bytes | None = None,
        repair: bool = False,
        encrypt: bytes | str | None = None,
        store_prompts: bool = True,
        read_only: bool = False,
    ) -> None:
        room = Capacity.parse(capacity)
        self.reader = reader = reader_of(reader, embeddings)
        _expect_parts(path, on_event=on_event, cacheable=cacheable, wait=wait, deadline=deadline)
        _expect_place(path, shared=shared, read_only=read_only, store_prompts=store_prompts)
        self.cacheable, self.on_event = cacheable, on_event
        self.namespace = None if namespace is None else Namespace(namespace)
        self.store_prompts, self.read_only = store_prompts, read_only
        self._expiry = Expiry(ttl, sliding=sliding, tags=tags, epoch=epoch, clock=clock)
        self.match = matcher_of(match, max_error=max_error, audit=audit)
        self.price = price_of(price)
        self.rewriter = Rewriter(rewrite, reader=reader, price=self.price)
        self.lessons = lessons_of(
            self.match, judge=judge, when=judge_when, same=same, price=self.price, reader=reader
        )
        """What is learned of pairs of questions; None where the matcher learns nothing."""
        self.path = None if path is None or isinstance(path, Servers) else Path(path).resolve()
        """The folder that keeps it; None in memory, and where it is kept by servers."""
        self._together = path if isinstance(path, Servers) else self.path if shared else None
        self.flights = Flights(wait)
        """Equal questions that are being asked just now."""
        self._stopwatch, self._counters = Stopwatch(), Counters()
        self._copies = metadata.Copies()
        self._worth = Worth(estimator, price=self.price, counters=self._counters)
        self._runs, self._twins = watch(), Twins(named=namespace is not None)
        seal = seal_of(secret=secret, encrypt=encrypt, kept=path is not None)
        self._open(room, policy, deadline=number_of(deadline), seal=seal, repair=repair)

    def _open(self, room: Capacity, policy: Policy | Sequence[Policy] | None, **how: Any) -> None:
        """Open the stores, which are closed once, whoever ends the cache."""
        policy = robust(room.entries) if policy is None else policy
        Rules.parse(capacity=room.total, policy=policy, ghosts=None)
        closing, alone = ExitStack(), None if self._together else self.path
        self._life = life = Life(self, closing.close, folder=alone)
        self._workers = Workers(1 if getattr(self.reader.embeddings, "in_process", False) else 4)
        told = self.store_prompts and not isinstance(how["seal"], Encrypted)
        notes: Path | Notes | None = alone
        how |= {"embeddings": name_of(self.reader.embeddings), "counters": self._counters}
        how |= {"life": life, "closing": closing, "expiry": self._expiry}
        try:
            if self._together is None:
                self._shelf = Shelf.opened(alone, room, policy, read_only=self.read_only, **how)
            else:
                from langchain_cachemux.common import opened

                how["wait"] = self.flights.longest
                self._shelf, self.flights, notes = opened(self._together, room, policy, **how)
            self.notes = notes if told else None
            """Where what is learned of questions may be kept: it can be read there."""
            if self.lessons is not None:
                self.rewriter.judged = self.lessons.matcher.judged
                end = self.lessons.open(self._shelf, notes, read_only=self.read_only)
                closing.callback(end)
            if self.notes is not None and self._worth.is_kept():
                from langchain_cachemux.saved import going_on

                learned, file = {"costs": self._worth}, self.notes / COSTS
                self._worth.changed, end = going_on(file, learned, read_only=self.read_only)
                closing.callback(end)
            closing.callback(self._workers.close)
        except BaseException:
            life.close()
            raise
        self.ledger, self.index = self._shelf.ledger, self._shelf.index
        self._embedder = Embedder(self.reader, self._shelf)

    def __repr__(self) -> str:
        """How it was made."""
        names = ("ledger", "match", "reader", "price", "estimator")
        parts = ", ".join(f"{name}={shown(getattr(self, name))}" for name in names)
        return f"LECCache(unit={self._shelf.unit!r}, {parts})"

    @property
    def estimator(self) -> Estimator:
        """What a miss would cost."""
        return self._worth.estimator

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """Return a fresh copy of the stored answer, or None; never raises.

        A chat message's `response_metadata["cachemux"]` says what kind of hit it was, how similar,
        which model had answered and the cost that was saved.
        """
        found = None
        with self._spared("lookup"), self._shelf.asking():
            query, equal = self._opened(prompt, llm_string)
            verdict = equal or self._judged(self.rewriter.alone(query, prompt))
            brought = self.flights.join(query.key) if isinstance(verdict, Miss) else None
            _, found = self._told(verdict, brought)
        return found

    async def alookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """As `lookup`; what takes the processor runs in threads of the cache's own."""
        found = None
        with self._spared("lookup"), self._shelf.asking():
            query, equal = await self._workers.do(self._opened, prompt, llm_string)
            verdict: Hit | Miss | None = equal
            if verdict is None:
                query = await self._aembedded(await self.rewriter.aalone(query, prompt))
                verdict = await self._workers.do(self._judged, query)
            brought = await self.flights.ajoin(query.key) if isinstance(verdict, Miss) else None
            _, found = await self._workers.do(self._told, verdict, brought)
        return found

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Store an answer if it is worth keeping, and hand it to all who wait; never raises."""
        with self._spared("update"):
            self._update(self._read(prompt, llm_string), prompt, return_val)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """As `update`; what takes the processor runs in threads of the cache's own."""
        with self._spared("update"):
            query = await self._workers.do(self._read, prompt, llm_string)
            query = await self._aembedded(query)
            await self._workers.do(self._update, query, prompt, return_val)

    def warm(self) -> None:
        """Load the encoder and the index, so that no question has to wait for them; never raises."""
        with self._spared("warming up"):
            self.index.nearest(self.reader.vector("Is it warm?"), "", n=1)

    async def aclear(self, **kwargs: Any) -> None:
        """As `clear`."""
        await self._workers.do(partial(self.clear, **kwargs))

    def clear(self, **_kwargs: Any) -> None:
        """Forget every answer and every count."""
        for what in (self._shelf, self._worth, self._stopwatch, self._copies, self.rewriter):
            what.clear()
        if self.lessons is not None:
            self.lessons.clear()

    def find(self, prompt: str, llm_string: str) -> Hit | Miss:
        """Look a prompt up and say what came of it; a hit counts as a use.

        Raises:
            UnstableKeyError: The prompt has no stable key.
            Exception: Whatever the embedder or the stores raise; `lookup` does not.
        """
        query, verdict = self._opened(prompt, llm_string)
        return self._told(verdict or self._near(self.rewriter.alone(query, prompt)))[0]

    def _opened(self, prompt: str, llm_string: str) -> tuple[Query, Hit | None]:
        """A prompt as a query, and the answer to an equal one."""
        query = self._read(prompt, llm_string)
        self._twins.notice(llm_string, query.scope)
        return query, self._exact(query)

    def _judged(self, query: Query) -> Hit | Miss:
        """The verdict on what is near; a fault in it is a miss."""
        try:
            return self._near(query)
        except Exception as error:  # noqa: BLE001
            self._fail("lookup", error)
            return Miss(query, "what is near could not be looked up")

    async def _aembedded(self, query: Query) -> Query:
        """The query as a natively asynchronous embedder embeds it; else as it is."""
        if self.store_prompts:
            with self._spared("embedding"):
                query = await self._embedder.aembed(query)
        return query

    def _brought(self, miss: Miss, brought: Entry | None) -> Hit | Miss:
        """What another call brought meanwhile for an equal question, be it stored or not."""
        query = miss.query
        verdict = self._exact(query)
        if verdict is None and isinstance(brought, Entry) and self._expiry.holds(brought):
            expected = self._worth.expected(query)
            return Hit(query, replace(brought, key=query.key, cost=expected), "exact")
        if verdict is not None:
            self.flights.abandon(query.key)
        return verdict or miss

    def _told(
        self, verdict: Hit | Miss, brought: Entry | None = None
    ) -> tuple[Hit | Miss, list[Generation] | None]:
        """Count and tell what came of a lookup, with the answer to hand out."""
        if isinstance(verdict, Miss):
            verdict = self._brought(verdict, brought)
        generations: list[Generation] | None = None
        if isinstance(verdict, Hit) and verdict.entry.key in self._shelf.doubted:
            verdict = Miss(verdict.query, "a chain that used the answer came to nothing")
        if isinstance(verdict, Hit):
            try:
                generations = self._copies.handed_out(verdict)
            except ValueError as error:
                self._fail("reading a stored answer", error)
                with self._spared("forgetting"):
                    self._shelf.change(partial(self._forget, verdict.entry.key))
                verdict = Miss(verdict.query, "the stored answer is unreadable")
        if isinstance(verdict, Hit):
            self._used(verdict)
            self._runs.used(self, verdict.entry.key)
            kind: Counted = "hits_exact" if verdict.kind == "exact" else "hits_semantic"
            self._counters.add(kind, saved=verdict.entry.cost)
            if verdict.judged:
                self._counters.add("hits_judged")
        else:
            if self._expiry.due():
                self._workers.begin(self._sweep)
            self._counters.add("misses")
            self._stopwatch.start(verdict.query.key)
        self._tell(verdict)
        return verdict, generations

    def _used(self, hit: Hit) -> None:
        """Count a use of a stored answer; it is served whether it can be counted or not."""
        if hit.entry.slot < 0:  # it came from a call that was made at the same time
            return
        with self._spared("counting a hit"):
            self._shelf.use(hit, self._worth.by_now(hit.entry), self._given)

    def _sweep(self) -> None:
        """Forget what is over."""
        with self._spared("sweeping"):
            self._shelf.change(self._shelf.sweep, aloud=False)

    def doubt(self, key: str) -> None:
        """Serve an answer no more, as the chain that used it came to nothing; it is forgotten soon."""
        self._shelf.doubt(key)
        self._workers.begin(self._forget_doubted, key)

    def _forget_doubted(self, key: str) -> None:
        with self._spared("forgetting"), self._shelf.alone(aloud=False):
            if key in self._shelf.doubted:  # no other answer was stored meanwhile
                self._forget(key)
                self._shelf.doubted.discard(key)

    def feedback(self, answer: BaseMessage | str, *, ok: bool) -> bool:
        """Learn whether an answer was right for the question that it was given to.

        A wrong one is not given to that question again: what was another wording is none any more, and
        an answer of its own is forgotten.

        Args:
            answer: The message that was handed out, or its `response_metadata["cachemux"]["key"]`.
            ok: Whether it was right.

        Returns:
            Whether the question is still remembered.

        Raises:
            ValueError: The message did not come from a cache.
        """
        self._life.expect()
        key = metadata.name_of(answer, "key", of="a cache")
        known = self.lessons is not None and self.lessons.feedback(key, ok=ok)
        return (not ok and self._shelf.wrong(key)) or known or self.ledger.get(key) is not None

    def bet_under(self, budget: ErrorBudget) -> None:
        """Serve by meaning under a multiplexer's error budget, which then places the bets.

        Unless the matcher was given one. A multiplexer calls it, so that one promise covers both.
        """
        if self.lessons is not None:
            self.lessons.matcher.lend(budget)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for what is asked of the judge in the background; False when that takes longer."""
        return self.lessons is None or self.lessons.wait(timeout)

    def value_by(self, estimator: Estimator) -> None:
        """Value answers by `estimator` from now on, unless one was given at construction.

        A multiplexer calls it, so that an answer is worth what the routed miss would cost.
        """
        self._worth.lend(estimator)

    def stats(self) -> Stats:
        """Return what the cache holds and did since it was opened; of a closed one, until then."""
        if self._last is not None:
            return self._last
        self._life.expect()
        learned = {} if self.lessons is None else self.lessons.stats()
        learned |= self.rewriter.stats()
        held = {"entries": len(self.ledger), "size": self.ledger.size}
        return self._counters.stats(**held, capacity=self.ledger.capacity, **learned)

    def close(self) -> None:
        """Write what is not written yet, and let another process open the folder.

        Afterwards every lookup is a miss, nothing is stored, and what else is asked raises
        `ClosedError`. A cache that is not closed is so when it is forgotten, or when the program ends.
        """
        with suppress(Exception):
            self._last = self.stats()
        self._life.close()

    __reduce__ = pickled  # a copy of it is itself

    def __enter__(self) -> Self:
        """Return the cache; it is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the cache."""
        self.close()

    def _exact(self, query: Query) -> Hit | None:
        entry = self._shelf.get(query.key)
        return None if entry is None else Hit(query, entry, "exact")

    def _near(self, query: Query) -> Hit | Miss:
        if not query.text or not self.store_prompts:
            return Miss(query, "only an exact match will do, and there is none")
        query = self._embedder.embed(query)
        verdict = self.match.judge(query, self._shelf.near(query))
        return verdict if self.lessons is None else self.lessons.rule(verdict)

    def _update(self, query: Query, prompt: str, generations: Sequence[Generation]) -> None:
        elapsed = self._stopwatch.stop(query.key)
        entry = None
        try:
            reason = answers.objection(generations, self.cacheable)
            if reason is None:
                text = answers.write(generations, prompt=prompt)
                entry = self._expiry.stamped(
                    Entry(query.key, partition=query.partition, answer=text),
                    query,
                    model=metadata.model_of(generations),
                    given=self._given(),
                )
                reason = None if entry else "its time would be over at once"
            if entry is not None:
                self._store(query, entry, generations, elapsed)
            else:
                self._refuse(reason)
        finally:
            self._runs.used(self, query.key)
            if entry is None:
                self.flights.abandon(query.key)
            else:
                self.flights.land(query.key, entry)

    def _store(
        self,
        query: Query,
        entry: Entry,
        generations: Sequence[Generation],
        elapsed: float | None,
    ) -> None:
        if answers.calls_tools(generations) or not self.store_prompts:
            query = replace(query, text="", vector=None)
        try:
            query = self._embedder.embed(query)
        except Exception as error:  # noqa: BLE001
            self._fail("embedding", error)
        words = "" if query.vector is None else query.text
        entry = replace(entry, partition=query.partition, text=words, vector=query.vector)
        cost = self._worth.cost(answers.read(entry.answer)[0], elapsed)
        lesson = Lesson() if self.lessons is None else self.lessons.fresh(query, entry.answer, cost)
        if cost is not None:
            self._worth.learn(query, cost)
        expected = self._worth.expected(query)
        entry = replace(entry, cost=expected, size=self._shelf.size_of(entry))
        like = None if lesson.same is None else lesson.same.match.entry
        by_now = None if like is None else self._worth.by_now(like)
        admission = self._shelf.keep(entry, query, like, cost=by_now)
        self._worth.gone(admission.evicted)
        if admission.slot is not None and cost is not None:
            self._worth.stored(query.key)
        self._tell(admission)
        if self.lessons is not None:
            self.lessons.ask_later(query, lesson, self._counters.hits_per_answer())

    @contextmanager
    def _spared(self, what: str) -> Iterator[None]:
        """Spare the chain a fault; it is logged and counted."""
        try:
            yield
        except UnstableKeyError as reason:
            self._refuse(reason)
        except ClosedError as over:
            log.debug("%s: %s", what, over)
        except Exception as error:  # noqa: BLE001
            self._fail(what, error)

    def _refuse(self, reason: object) -> None:
        self._counters.add("refused")
        log.debug("not cached: %s", reason)

    def _fail(self, what: str, error: Exception) -> None:
        self._counters.add("errors")
        told = loggable(error)
        log.log(level(error), "%s failed, the chain goes on without the cache: %s", what, told)

    def _tell(self, event: Event) -> None:
        if self.on_event is not None:
            try:
                self.on_event(event)
            except Exception as error:  # noqa: BLE001
                self._fail("on_event", error)


def _expect_parts(path: Any, *, on_event: Any, cacheable: Any, wait: Any, deadline: Any) -> None:
    """Refuse what cannot work and no part of the cache refuses; None is the default of the first three.

    Raises:
        ValueError: One of them is of a wrong kind.
    """
    folder = isinstance(path, str | PathLike) and str(path).strip() and "\0" not in str(path)
    for name, given, right, what in (
        ("path", path, folder or isinstance(path, Servers), "a folder, as text or a Path"),
        ("on_event", on_event, takes(on_event, 1), "a plain function of one event"),
        ("cacheable", cacheable, takes(cacheable, 1), "a plain function of one message"),
    ):
        expect(given is None or right, name, what, given)
    expect(is_number(wait) and wait >= 0, "wait", "seconds >= 0, such as 60.0", wait)
    expect(is_number(deadline) and deadline > 0, "deadline", "seconds > 0, such as 0.25", deadline)


def _expect_place(path: Any, *, shared: Any, read_only: Any, store_prompts: Any) -> None:
    """Refuse what says of a place what cannot be.

    Raises:
        ValueError: One of them is of a wrong kind, or does not go with the others.
    """
    switches = {"shared": shared, "read_only": read_only, "store_prompts": store_prompts}
    for name, given in switches.items():
        expect(isinstance(given, bool), name, "True or False", given)
    alone = not path or read_only
    expect(not (alone and shared), "shared", "False without a path or with read_only", shared)

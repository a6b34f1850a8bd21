"""The answers of one cache: its ledger and its index, changed together.

The ledger changes first; a row that it does not confirm, the same key in the same slot, is nothing.
On the way of a prompt the two are asked with patience: what may hang is left at a deadline, and what
cannot be read, searched, counted or written is spared by itself. So an answer that was found is served
whether it can be counted or not, and what cannot be written is still read.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.locks import Lock
from langchain_cachemux.match.index import ChromaIndex
from langchain_cachemux.patience import Patience, together
from langchain_cachemux.stats import Counters
from langchain_cachemux.types import Admission, Match, Query, Wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager, ExitStack
    from pathlib import Path

    from langchain_cachemux.keep.books import Capacity, Ledger
    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.read.prompts import Reader
    from langchain_cachemux.stats import Counted
    from langchain_cachemux.types import Entry

T = TypeVar("T")

LAST = 5.0
"""Seconds that closing waits for a change that is under way."""
CANDIDATES = 8
"""Wordings fetched for a query, to find one that is held and asks the same."""


class Shelf:
    """What is held, by key and by what is near. Safe between threads.

    Args:
        ledger: The truth about what is held.
        index: Where it is near.
        in_bytes: Whether sizes count, those of aliases too.
        counters: Where it is counted what was stored, and what went for it.
        deadline: Seconds in which they have to answer; None where nothing can hang, as in memory.
    """

    def __init__(
        self,
        ledger: Ledger,
        index: ChromaIndex,
        *,
        in_bytes: bool = False,
        counters: Counters | None = None,
        deadline: float | None = None,
    ) -> None:
        self.ledger = ledger
        self.index = index
        self.in_bytes = in_bytes
        self.counters = Counters() if counters is None else counters
        self.deadline = deadline
        self._reading = Patience("reading the ledger", deadline, shares=True)
        self._counting = Patience("counting in the ledger", deadline, shares=True)
        self._searching = Patience("the index", deadline, shares=True)
        self._writing = Patience("writing to the ledger", deadline, shares=True)
        self._closed = False
        self.lock = Lock()
        """Held by whoever changes both."""
        self.doubted: set[str] = set()
        """Answers that a chain came to nothing with: served no more, and forgotten soon."""

    @classmethod
    def opened(
        cls,
        folder: Path | None,
        capacity: Capacity,
        policy: Policy | Sequence[Policy],
        *,
        embeddings: str,
        counters: Counters,
        deadline: float,
        closing: ExitStack,
    ) -> Shelf:
        """Open a ledger and an index that agree, in a folder or in memory.

        Args:
            folder: Where they are kept, locked as long as they are open; None in memory.
            capacity: What the ledger may hold.
            policy: What is worth keeping.
            embeddings: What the vectors were made by.
            counters: As for a shelf.
            deadline: Seconds in which a folder has to answer.
            closing: Closes what was opened.

        Raises:
            ValueError: The path is a file, or the folder was made with another embedder or unit.
        """
        if folder is None:
            index = ChromaIndex.memory()
            closing.callback(index.close)
            memory = MemoryLedger(capacity.total, policy=policy)
            return cls(memory, index, in_bytes=capacity.in_bytes, counters=counters)
        if folder.exists() and not folder.is_dir():
            msg = f"path must be a folder, got the file {str(folder)!r}"
            raise ValueError(msg)
        folder.mkdir(parents=True, exist_ok=True)
        from langchain_cachemux.keep.folder import INDEX, LEDGER, locked
        from langchain_cachemux.keep.sql import SqlLedger

        closing.enter_context(locked(folder))
        ledger = SqlLedger(
            f"sqlite:///{folder / LEDGER}",
            capacity=capacity.total,
            policy=policy,
            about={"embeddings": embeddings, "capacity unit": capacity.unit},
        )
        closing.callback(ledger.close)
        index = ChromaIndex.folder(folder / INDEX)
        closing.callback(index.close)
        shelf = cls(ledger, index, in_bytes=capacity.in_bytes, counters=counters, deadline=deadline)
        shelf.check(fix=True)
        closing.callback(shelf.close)
        return shelf

    def close(self) -> None:
        """Change nothing any more, once whoever is changing something has done so, or takes too long."""
        taken = self.lock.acquire(LAST)
        self._closed = True
        if taken:
            self.lock.release()

    def asking(self) -> AbstractContextManager[None]:
        """All that is asked in the block, in one deadline."""
        return together(self.deadline)

    def get(self, key: str) -> Entry | None:
        """Return the entry that answers `key`, its own or an alias'.

        Raises:
            Exception: It cannot be read, or not in time.
        """
        return self._ask(self._reading, partial(self.ledger.get, key))

    def use(self, key: str, *, credit: float = 1.0, cost: float | None = None) -> None:
        """Count a request answered by `key`.

        Raises:
            Exception: It cannot be counted, or not in time.
        """
        self._ask(self._counting, partial(self.ledger.use, key, credit=credit, cost=cost))

    def change(self, work: Callable[[], T]) -> T:
        """Return what the work returns, done while nobody else changes anything.

        Raises:
            Exception: It cannot be done; or it was late, and may still be done.
        """

        def alone() -> T:
            with self.lock:
                if self._closed:
                    msg = "the cache was closed"
                    raise RuntimeError(msg)
                return work()

        return self._ask(self._writing, alone)

    def check(self, *, fix: bool = False) -> list[str]:
        """Compare the index with the ledger, and the ledger with itself; the problems, in words.

        Args:
            fix: Also make the index what the ledger says it is.
        """
        with self.lock:
            return [*self.ledger.check(), *self.index.check(self.ledger.wordings(), fix=fix)]

    def asked(self, text: str, context: str | None) -> list[str]:
        """The keys of all wordings that are these words, in this context or in any."""
        return [
            one.key
            for one in self.ledger.wordings()
            if text == one.text != "" and (context is None or one.partition.endswith(f":{context}"))
        ]

    def near(self, query: Query) -> Iterator[Match]:
        """The wordings near a query, nearest first, but those that were found to ask something else.

        Raises:
            Exception: They cannot be looked up, or not in time.
        """
        return iter(self._ask(self._searching, lambda: [*self._near(query)]))

    def _near(self, query: Query) -> Iterator[Match]:
        if query.vector is None:
            return
        for row in self.index.nearest(query.vector, query.partition, n=CANDIDATES):
            wording = self.ledger.wording(row.key, asked=query.key)
            if (
                wording is not None
                and wording.entry is not None
                and wording.slot == row.slot
                and wording.entry.partition == query.partition
                and wording.text
                and not (wording.of != row.key and self.ledger.differs(query.key, wording.of))
            ):
                yield Match(wording.entry, row.similarity, wording.text, wording.key)

    def beside(
        self, reader: Reader, prompt: str, llm_string: str | None
    ) -> tuple[Query, list[Match]]:
        """A prompt and what is near it; without `llm_string` mere words, and what is near anywhere."""
        if llm_string is not None:
            query = reader.embed(reader.read(prompt, llm_string))
            return query, list(self.near(query))
        vector = reader.vector(prompt)
        query = Query("", text=prompt, vector=vector)
        found = [
            Match(wording.entry, float(wording.vector @ vector), wording.text, wording.key)
            for wording in self.ledger.wordings()
            if wording.vector is not None and wording.entry is not None
        ]
        return query, sorted(found, key=lambda match: -match.similarity)[:CANDIDATES]

    def keep(
        self, entry: Entry, query: Query, like: Entry | None = None, *, cost: float | None = None
    ) -> Admission:
        """Store an answer; it is counted when it is stored, be that later than was waited for.

        Args:
            entry: The answer.
            query: What was asked.
            like: The stored answer that the question is another wording of, if it is one.
            cost: Of a miss of that one, as it is estimated by now.

        Raises:
            Exception: It cannot be stored; or it was late, and may still be.
        """
        return self.change(partial(self._keep, entry, query, like, cost))

    def _keep(
        self, entry: Entry, query: Query, like: Entry | None, cost: float | None
    ) -> Admission:
        self.doubted.discard(entry.key)
        admission = Admission(None) if like is None else self.reword(query, like.key)
        kept: Counted = "reworded"
        if like is not None and admission.slot is not None:
            self.ledger.use(query.key, cost=cost)
        else:
            admission = self.put(entry)
            kept = "bypassed" if admission.slot is None else "admitted"
        self.counters.add(kept)
        self.counters.add("evicted", len(admission.evicted))
        return admission

    def put(self, entry: Entry) -> Admission:
        """Keep an answer and its row, unless it is the least worth keeping."""
        with self.lock:
            admission = self.ledger.admit(entry)
            if admission.slot is not None and entry.vector is not None:
                self.index.put(admission.slot, entry.key, entry.vector, entry.partition)
            elif admission.slot is not None:
                self.index.blank(admission.slot)
            self._blank(admission)
        return admission

    def reword(self, query: Query, of: str) -> Admission:
        """Let an entry be asked for in these words too; what was stored under them goes."""
        if not query.text or query.vector is None:
            return Admission(None)
        size = len(query.text.encode()) + query.vector.nbytes if self.in_bytes else 0
        with self.lock:
            stored = self.ledger.get(of)
            if stored is None or self.ledger.differs(query.key, stored.key):
                return Admission(None)
            if query.key != stored.key:
                self.forget(query.key, alias=False)
            wording = Wording(query.key, stored.key, query.text, query.vector, size)
            admission = self.ledger.reword(wording)
            if admission.slot is not None:
                self.index.put(admission.slot, query.key, query.vector, query.partition)
            self._blank(admission)
        return admission

    def forget(self, key: str, *, alias: bool = True) -> bool:
        """Forget the answer under a key, or take an alias back; True when there was one."""
        with self.lock:
            wording = self.ledger.wording(key)
            if wording is None or (wording.of != key and not alias):
                return False
            rows = [wording] if wording.of != key else list(self.ledger.wordings(key))
            _ = self.ledger.unword(key) or self.ledger.forget(key)
            for row in rows:
                self.index.blank(row.slot)
        return True

    def wrong(self, key: str) -> bool:
        """Give the answer under a key to that question no more; True when there was one.

        Of an alias the entry stays, and is remembered as another question.
        """
        with self.lock:
            wording = self.ledger.wording(key)
            if wording is not None and wording.of != key:
                self.ledger.differ(key, wording.of)
            return self.forget(key)

    def _ask(self, patience: Patience, work: Callable[[], T]) -> T:
        return work() if self.deadline is None else patience.ask(work)

    def _blank(self, admission: Admission) -> None:
        for slot in admission.vacated:
            self.index.blank(slot)

"""The answers of one cache: its ledger and its index, changed together.

The ledger changes first; a row that it does not confirm, the same key in the same slot, is nothing.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.match.index import ChromaIndex
from langchain_cachemux.types import Admission, Match, Query, Wording

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from langchain_cachemux.keep.books import Capacity, Ledger
    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.read.prompts import Reader
    from langchain_cachemux.types import Entry

CANDIDATES = 8
"""Wordings fetched for a query, to find one that is held and asks the same."""


class Shelf:
    """What is held, by key and by what is near. Safe between threads.

    Args:
        ledger: The truth about what is held.
        index: Where it is near.
        in_bytes: Whether sizes count, those of aliases too.
    """

    def __init__(self, ledger: Ledger, index: ChromaIndex, *, in_bytes: bool = False) -> None:
        self.ledger = ledger
        self.index = index
        self.in_bytes = in_bytes
        self.lock = threading.RLock()
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
        closing: ExitStack,
    ) -> Shelf:
        """Open a ledger and an index that agree, in a folder or in memory.

        Args:
            folder: Where they are kept, locked as long as they are open; None in memory.
            capacity: What the ledger may hold.
            policy: What is worth keeping.
            embeddings: What the vectors were made by.
            closing: Closes what was opened.

        Raises:
            ValueError: The path is a file, or the folder was made with another embedder or unit.
        """
        if folder is None:
            index = ChromaIndex.memory()
            closing.callback(index.close)
            return cls(
                MemoryLedger(capacity.total, policy=policy), index, in_bytes=capacity.in_bytes
            )
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
        shelf = cls(ledger, index, in_bytes=capacity.in_bytes)
        shelf.check(fix=True)
        return shelf

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
        """The wordings near a query, nearest first, but those that were found to ask something else."""
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

    def _blank(self, admission: Admission) -> None:
        for slot in admission.vacated:
            self.index.blank(slot)

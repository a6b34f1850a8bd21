"""The answers of one cache: its ledger and its index, changed together.

The ledger changes first; a row that it does not confirm, the same key in the same slot, is nothing.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from langchain_cachemux.types import Admission, Match, Query, Wording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_cachemux.keep.books import Ledger
    from langchain_cachemux.match.index import ChromaIndex
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
        query = Query("", text=prompt, vector=reader.vector(prompt))
        found = [
            Match(wording.entry, float(wording.vector @ query.vector), wording.text, wording.key)
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

"""Whose vectors are stored: an embedder shows who it is by the vector of one text.

Two embedders of one name may have other weights: a model was fine-tuned in place, or a server was
updated behind its address. What they make of texts cannot be compared then, and nothing else tells. So
the first time that a process embeds anything, it embeds one text more, and compares that with what was
written when vectors were first stored. Where it differs, the questions of this embedder are kept apart
from those of the others, as if they had another context: equal questions are still answered, others
meet only what was stored with its own vectors.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_cachemux.keep.probes import apart
from langchain_cachemux.read.prompts import PROBE

if TYPE_CHECKING:
    from langchain_cachemux.read.prompts import Reader
    from langchain_cachemux.shelf import Shelf
    from langchain_cachemux.types import Entry, Query

OTHER = (
    "the embedder is called what it was, but makes other vectors: its questions are compared with those "
    "that were stored with it, and older answers are found by equal questions alone; export(), clear() "
    "and load(embed=True) embed them anew"
)
LENGTH = (
    "the embedder is called what it was, but its vectors have another length: only equal questions are "
    "answered; export() the answers, and load(embed=True) them into a new folder or database"
)

log = logging.getLogger(__name__)


class _Known(NamedTuple):
    """An embedder that has shown who it is."""

    place: int | None
    """Among those that vectors were stored with; None when its vectors fit beside no others."""


class Embedder:
    """Embeds the questions of one cache, apart from those of other embedders of the same name.

    Args:
        reader: Embeds them.
        shelf: Where their vectors are stored.
    """

    def __init__(self, reader: Reader, shelf: Shelf) -> None:
        self.reader = reader
        self._shelf = shelf
        self._find: Any = getattr(shelf.ledger, "embedder", None)
        """Of a ledger that is kept; in memory all vectors are of one process."""
        self._known: _Known | None = None
        """Once it was asked."""

    def embed(self, query: Query) -> Query:
        """Return the query with its vector, in a context of this embedder's.

        Raises:
            ValueError: As `Reader.embed`.
            Exception: The embedder or the ledger cannot be asked, or not in time.
        """
        query = self.reader.embed(query)
        if query.vector is None:
            return query
        known = self._known or self._asked()
        if known.place is None:
            return replace(query, text="", vector=None)
        context = apart(query.context, known.place)
        return query if context == query.context else replace(query, context=context)

    async def aembed(self, query: Query) -> Query:
        """As `Reader.aembed`; what `embed` will ask for is embedded with it."""
        aembed = getattr(self.reader, "aembed", None)
        if aembed is None:
            return query
        embedded: Query = await aembed(query)
        if self._find is not None and self._known is None and embedded.vector is not None:
            await aembed(replace(query, text=PROBE))
        return embedded

    def moved(self, entry: Entry) -> Entry:
        """Return an entry of another cache as one of this embedder's."""
        known = self._known or self._asked()
        return replace(entry, partition=apart(entry.partition, known.place or 0))

    def _asked(self) -> _Known:
        place: int | None = 0
        if self._find is not None:
            place = self._shelf.change(partial(self._find, self.reader.probe()))
        if place != 0:
            log.warning(LENGTH if place is None else OTHER)
        self._known = _Known(place)
        return self._known

"""Where answers are found: the vectors of the entries held, in a Chroma collection.

The index is a hint. It says which keys are near; the ledger says whether they are held. Every wording
of an entry has a row: its own words, and each alias.

Two choices keep a query at one nearest-neighbour search, however many models, tenants and
conversations share the collection. Rows are *slots*, overwritten in place, because deleted rows go on
costing memory and time. And a query must only meet entries of its own partition (same scope, same
earlier turns), which a metadata filter makes 20 to 100 times slower; so the partition is made part of
the vector. With v the unit vector of the words and h a unit vector of random signs drawn from the
partition's hash, the row is (v, h)/√2, and

    cos(row, row') = (v·v' + h·h') / 2

is (v·v' + 1)/2 within a partition. Between partitions h·h' is about 0 ± 1/8, so a foreign row ranks
behind every row of the own partition that is near enough to be served.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

    from langchain_cachemux.types import Vector, Wording

SIGNS = 64
"""Length of h, the partition's part of a row."""


class Neighbour(NamedTuple):
    """A row near the query: the key written in it, its slot, and the cosine of the words."""

    key: str
    slot: int
    similarity: float


class ChromaIndex:
    """Slots in one Chroma collection.

    Args:
        client: Any Chroma client.
        collection: Name of the collection, created when it is not there; by default a new one,
            deleted when the index is closed.

    Raises:
        ValueError: The collection was not made by this class, or does not measure cosine distance.
    """

    def __init__(self, client: ClientAPI, *, collection: str | None = None) -> None:
        self._client = client
        self._own = collection is None
        self._name = collection or f"cachemux-{uuid4().hex}"
        self._collection = self._opened()

    def __repr__(self) -> str:
        """Where the rows are."""
        return f"ChromaIndex(collection={self._name!r})"

    @classmethod
    def memory(cls) -> ChromaIndex:
        """An index of its own in this process's ephemeral Chroma."""
        import chromadb

        return cls(chromadb.EphemeralClient())

    @classmethod
    def folder(cls, path: Path) -> ChromaIndex:
        """The index kept in a folder by Chroma's persistent client; one process at a time."""
        import chromadb

        return cls(chromadb.PersistentClient(str(path)), collection="cachemux")

    def put(self, slot: int, key: str, vector: Vector, partition: str) -> None:
        """Write a row, over whatever the slot held."""
        self._collection.upsert(
            ids=[str(slot)],
            embeddings=_row(vector, partition)[np.newaxis],
            metadatas=[{"key": key}],
        )

    def nearest(self, vector: Vector, partition: str, *, n: int) -> list[Neighbour]:
        """Return at most `n` rows nearest to `vector`, the most similar first.

        Rows of other partitions come out as if they were less similar than they are.
        """
        found = self._collection.query(
            query_embeddings=_row(vector, partition)[np.newaxis],
            n_results=n,
            include=["distances", "metadatas"],
        )
        distances, metadatas = found["distances"], found["metadatas"]
        if not distances or not metadatas:
            return []
        return [
            Neighbour(str(metadata["key"]), int(slot), min(1.0 - 2.0 * distance, 1.0))
            for slot, distance, metadata in zip(
                found["ids"][0], distances[0], metadatas[0], strict=True
            )
        ]

    def blank(self, slot: int) -> None:
        """Overwrite a row, if there is one, by one that is near nothing."""
        rows = self._collection.get(ids=[str(slot)], include=["embeddings"])["embeddings"]
        if rows is not None and len(rows):
            self.put(slot, "", np.zeros(len(rows[0]) - SIGNS, np.float32), "")

    def rows(self) -> dict[int, str]:
        """Return the key written in each slot."""
        rows: dict[int, str] = {}
        while page := self._collection.get(include=["metadatas"], limit=5000, offset=len(rows)):
            for slot, metadata in zip(page["ids"], page["metadatas"] or [], strict=True):
                rows[int(slot)] = str(metadata["key"])
            if len(page["ids"]) < 5000:  # noqa: PLR2004
                break
        return rows

    def check(self, wordings: Iterable[Wording], *, fix: bool = False) -> list[str]:
        """Compare the rows with the wordings that they should be of; those that lack one, in words.

        Args:
            wordings: All that are held, of all entries.
            fix: Also write the rows that are missing, and delete those of no wording.
        """
        rows, problems = self.rows(), []
        stale = set(rows)
        for wording in wordings:
            if wording.vector is None:
                continue
            slot, key = wording.slot, wording.key
            stale.discard(slot)
            if rows.get(slot) != key:
                what = f"entry {key}" if key == wording.of else f"alias {key} of {wording.of}"
                problems.append(f"slot {slot}: the index lacks {what}")
                if fix:
                    self.put(slot, key, wording.vector, wording.partition)
        if fix:
            self.remove(stale)
        return problems

    def remove(self, slots: Iterable[int]) -> None:
        """Delete rows: for repair only, an eviction overwrites."""
        ids = [str(slot) for slot in slots]
        if ids:
            self._collection.delete(ids=ids)

    def clear(self) -> None:
        """Start over with an empty collection."""
        self._client.delete_collection(self._name)
        self._collection = self._opened()

    def close(self) -> None:
        """Let go of the client, and of a collection that nobody else can name."""
        if self._own:
            self._client.delete_collection(self._name)
        if hasattr(self._client, "close"):
            self._client.close()

    def _opened(self) -> Collection:
        collection = self._client.get_or_create_collection(
            self._name,
            embedding_function=None,
            configuration={"hnsw": {"space": "cosine"}},
            metadata={"cachemux": "slots"},
        )
        space = (collection.configuration_json.get("hnsw") or {}).get("space")
        made_by = (collection.metadata or {}).get("cachemux")
        if space != "cosine" or made_by != "slots":
            msg = f"collection {self._name!r} is not a cache: space {space!r}, made by {made_by!r}"
            raise ValueError(msg)
        return collection


def _row(vector: Vector, partition: str) -> Vector:
    digest = hashlib.sha256(partition.encode()).digest()[: SIGNS // 8]
    signs = np.unpackbits(np.frombuffer(digest, np.uint8)).astype(np.float32) * 2 - 1
    row = np.concatenate([vector, signs / math.sqrt(SIGNS)]) / math.sqrt(2)
    return row.astype(np.float32)

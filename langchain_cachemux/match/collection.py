"""Rows in a Chroma collection: found approximately, kept on a disk or by a server.

Two choices keep a query at one nearest-neighbour search, however many models, tenants and
conversations share the collection. Rows are *slots*, overwritten in place, because deleted rows go on
costing memory and time. And a query should only meet entries of its own partition (same scope, same
earlier turns), which a metadata filter makes 20 to 100 times slower; so the partition is made part of
the vector. With v the unit vector of the words and h a unit vector of the signs of the 64 bits that
mark the partition, the row is (v, h)/√2, and

    cos(row, row') = (v·v' + h·h') / 2

is (v·v' + 1)/2 within a partition. Between partitions h·h' is about 0 ± 1/8, so a foreign row ranks
behind every row of the own partition that is near enough to be served.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import shutil
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np

from langchain_cachemux.match.front import Neighbour, Rows, mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from chromadb.api import ClientAPI
    from chromadb.api.collection_configuration import CreateHNSWConfiguration
    from chromadb.api.models.Collection import Collection
    from numpy.typing import NDArray

    from langchain_cachemux.types import Vector, Wording

SIGNS = 64
"""Length of h, the partition's part of a row."""
HNSW: CreateHNSWConfiguration = {"space": "cosine", "ef_search": 400}
"""How the graph is searched: four times as widely as by default, where it misses every tenth
near-duplicate among 10⁵ rows (benchmarks/results/index.json)."""
PAGE = 5000
"""Rows read at once."""
SPARE = 64 << 20
"""Bytes that must be free on a disk that is written to: Chroma does not survive a full one."""


class ChromaRows:
    """Slots in one Chroma collection.

    Args:
        client: Any Chroma client that is not asynchronous.
        collection: Name of the collection, created when it is not there; by default a new one,
            deleted when it is closed.
        closed: Called once it was closed in good order.

    Raises:
        ValueError: The collection was not made by this class, or does not measure cosine distance.
    """

    def __init__(
        self,
        client: ClientAPI,
        *,
        collection: str | None = None,
        closed: Callable[[], None] | None = None,
    ) -> None:
        self.client = client
        self._closed = closed
        self._own = collection is None
        self.name = collection or f"cachemux-{uuid4().hex}"
        self._collection = self._opened()
        self.most = int(client.get_max_batch_size())
        """Rows that can be written at once."""

    def __repr__(self) -> str:
        """Where the rows are."""
        return f"ChromaRows(collection={self.name!r})"

    def __len__(self) -> int:
        """Slots that were ever written, blank ones too."""
        return self._collection.count()

    def write(self, rows: Rows) -> None:
        """Write rows, over whatever their slots held."""
        for lower in range(0, len(rows.slots), self.most):
            part = slice(lower, lower + self.most)
            self._collection.upsert(
                ids=[str(slot) for slot in rows.slots[part]],
                embeddings=written(rows.vectors[part], rows.marks[part]),
                metadatas=[{"key": key} for key in rows.keys[part]],
            )

    def nearest(self, vector: Vector, mark: np.uint64, *, n: int) -> list[Neighbour]:
        """Return at most `n` rows nearest to `vector`, the most similar first.

        Rows of another mark come out as if they were less similar than they are.
        """
        found = self._collection.query(
            query_embeddings=written(vector[np.newaxis], np.array([mark])),
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
            if metadata["key"]
        ]

    def keys(self) -> dict[int, str]:
        """Return the key written in each slot that is not blank."""
        keys: dict[int, str] = {}
        read = 0
        while page := self._collection.get(include=["metadatas"], limit=PAGE, offset=read):
            read += len(page["ids"])
            for slot, metadata in zip(page["ids"], page["metadatas"] or [], strict=True):
                if metadata["key"]:
                    keys[int(slot)] = str(metadata["key"])
            if len(page["ids"]) < PAGE:
                break
        return keys

    def recall(self, rows: Rows, *, similarity: float) -> float:
        """The share of some rows that are found by a near-duplicate of each; 1 when there is none.

        Args:
            rows: Which; they are written already.
            similarity: Of each near-duplicate, whose direction is random.
        """
        random, found = np.random.default_rng(0), 0
        for slot, vector, mark in zip(rows.slots, rows.vectors, rows.marks, strict=True):
            other = random.normal(size=len(vector))
            other -= (other @ vector) * vector
            other /= np.linalg.norm(other)
            near = similarity * vector + math.sqrt(1 - similarity**2) * other
            found += any(
                one.slot == slot for one in self.nearest(near.astype(np.float32), mark, n=8)
            )
        return found / len(rows.slots) if rows.slots else 1.0

    def remove(self, slots: Iterable[int]) -> None:
        """Delete rows: for repair only, an eviction overwrites."""
        ids = [str(slot) for slot in slots]
        if ids:
            self._collection.delete(ids=ids)

    def clear(self) -> None:
        """Start over with an empty collection."""
        self.client.delete_collection(self.name)
        self._collection = self._opened()

    def leave(self) -> None:
        """Never touch the client again, not even at exit: what Chroma's threads held is its parent's."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.client))

    def close(self, *, sound: bool = True) -> None:
        """Let go of the client, and of a collection that nobody else can name.

        Args:
            sound: Whether the collection is known to be of use.
        """
        if self._own:
            self.client.delete_collection(self.name)
        if hasattr(self.client, "close"):
            self.client.close()
        for part in (self.client, getattr(self.client, "_admin_client", None)):
            session = getattr(getattr(part, "_server", None), "_session", None)
            if session is not None:  # of HTTP, which the client leaves open
                session.close()
        if sound and self._closed is not None:
            self._closed()

    def _opened(self) -> Collection:
        collection = self.client.get_or_create_collection(
            self.name,
            embedding_function=None,
            configuration={"hnsw": HNSW},
            metadata={"cachemux": "slots"},
        )
        graph = collection.configuration_json.get("hnsw") or {}
        space, made_by = graph.get("space"), (collection.metadata or {}).get("cachemux")
        if space != "cosine" or made_by != "slots":
            msg = f"collection {self.name!r} is not a cache: space {space!r}, made by {made_by!r}"
            raise ValueError(msg)
        return collection


class Place:
    """A folder in which one collection is kept at a time, each in a subfolder of its own.

    So one that is of no use never meets the next, whatever of it is still open or cannot be removed. A
    collection is sealed when it is closed: the hash of each of its files is written beside it. Only one
    whose seal is whole is opened again, for Chroma crashes the process on some damaged graphs. What was
    not closed, as after a crash, is made anew from the ledger.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._useless: set[Path] = set()

    @property
    def kept(self) -> Path | None:
        """The subfolder of the collection that is kept there, if there is one."""
        found = [one for one in self.path.glob("rows-*") if one not in self._useless]
        return found[0] if len(found) == 1 else None

    def open(self) -> ChromaRows:
        """Open the collection, a new one where there is none of any use.

        Raises:
            OSError: The folder cannot be written to, or the disk is all but full.
        """
        import chromadb

        if self.path.is_file():
            self.path.unlink()
        self.path.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.path).free < SPARE:
            msg = f"less than {SPARE >> 20} MB are free on the disk of {self.path}"
            raise OSError(msg)
        folder = self.kept
        if folder is not None and not self.sound(folder):
            self.discard()
            self.path.mkdir(parents=True, exist_ok=True)
            folder = None
        folder = folder or self.path / f"rows-{uuid4().hex}"
        self._seal(folder).unlink(missing_ok=True)
        client = chromadb.PersistentClient(str(folder))
        return ChromaRows(client, collection="cachemux", closed=partial(self.seal, folder))

    def sound(self, folder: Path) -> bool:
        """Whether a collection's files are what they were when it was closed."""
        try:
            return bool(json.loads(self._seal(folder).read_text()) == _hashes(folder))
        except (OSError, ValueError):
            return False

    def seal(self, folder: Path) -> None:
        """Write down what the files of a collection are, now that it is closed."""
        being_written = self._seal(folder).with_suffix(".new")
        being_written.write_text(json.dumps(_hashes(folder)))
        being_written.replace(self._seal(folder))

    def check(self, wordings: Iterable[Wording], *, fix: bool = False) -> list[str]:
        """Compare the collection, if one is kept, with the wordings that it should have; in words.

        Args:
            wordings: All that are held.
            fix: Also write what is missing, and delete what should not be there; a collection that
                is damaged is done away with.
        """
        if self.kept is None:
            return []
        if not self.sound(self.kept):
            if fix:
                self.discard()
            return ["the index was damaged or not closed, and is made anew when it is needed"]
        rows = self.open()
        written = rows.keys()
        lacking = [one for one in wordings if one.vector is not None]
        lacking = [one for one in lacking if written.pop(one.slot, "") != one.key]
        if fix:
            for lower in range(0, len(lacking), PAGE):
                rows.write(rows_of(lacking[lower : lower + PAGE]))
            rows.remove(written)
        rows.close()
        stale = [
            f"slot {slot}: the index has {key}, which is not held" for slot, key in written.items()
        ]
        return [*map(lack, lacking), *stale]

    def discard(self) -> None:
        """Do away with whatever is there; what cannot be removed is not used again."""
        if self.path.is_dir() and not self.path.is_symlink():
            self._useless.update(self.path.iterdir())
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)

    def _seal(self, folder: Path) -> Path:
        return self.path / f"{folder.name.removeprefix('rows-')}.json"


def _hashes(folder: Path) -> dict[str, str]:
    """The hash of each file below a folder, by its name there."""
    hashes = {}
    for name in sorted(folder.rglob("*")):
        if name.is_file():
            with name.open("rb") as file:
                told = hashlib.file_digest(file, "sha256").hexdigest()
            hashes[name.relative_to(folder).as_posix()] = told
    return hashes


def lack(wording: Wording) -> str:
    """Say that the row of a wording is missing."""
    of, key = wording.of, wording.key
    what = f"entry {key}" if key == of else f"alias {key} of {of}"
    return f"slot {wording.slot}: the index lacks {what}"


class Sample:
    """Some of many wordings, each as likely as any other (a reservoir)."""

    def __init__(self, size: int) -> None:
        self.wordings: list[Wording] = []
        self._size, self._seen = size, 0
        self._random = np.random.default_rng(0)

    def add(self, wording: Wording) -> None:
        """Take another one, perhaps in the place of one that was taken."""
        self._seen += 1
        full = len(self.wordings) == self._size
        place = int(self._random.integers(self._seen)) if full else len(self.wordings)
        if place < self._size:
            self.wordings[place : place + 1] = [wording]


def rows_of(wordings: Sequence[Wording]) -> Rows:
    """The rows of one or more wordings that have vectors."""
    vectors = np.stack([one.vector for one in wordings if one.vector is not None])
    marks = np.array([mark_of(one.partition) for one in wordings])
    return Rows([one.slot for one in wordings], [one.key for one in wordings], vectors, marks)


def written(vectors: Vector, marks: NDArray[np.uint64]) -> Vector:
    """The rows (v, h)/√2 of vectors of shape (n, d) and the marks of their partitions, shape (n,)."""
    bits = np.unpackbits(marks.view(np.uint8).reshape(-1, SIGNS // 8), axis=1)
    signs = (bits.astype(np.float32) * 2 - 1) / math.sqrt(SIGNS)
    return (np.hstack([vectors, signs]) / math.sqrt(2)).astype(np.float32)

"""The index within its front, beyond it, and where one becomes the other: all say the same."""

import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import chromadb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_cachemux.match.collection import ChromaRows
from langchain_cachemux.match.index import Index
from langchain_cachemux.types import Entry, Wording

LENGTH = 16


def units(n, *, seed=0, length=LENGTH):
    rows = np.random.default_rng(seed).normal(size=(n, length)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def near(vector, cosine, *, seed=7):
    """A unit vector at the given cosine from `vector`."""
    (other,) = units(1, seed=seed, length=len(vector))
    other = other - (other @ vector) * vector
    other /= np.linalg.norm(other)
    return (cosine * vector + np.sqrt(1 - cosine**2) * other).astype(np.float32)


def worded(key, of, slot, vector, partition="p"):
    return Wording(key, of, vector=vector, slot=slot, entry=Entry(of, partition=partition))


def held_of(vectors, partition="p"):
    return [worded(f"k{n}", f"k{n}", n, vector, partition) for n, vector in enumerate(vectors)]


def settled(index, timeout=60.0):
    """Wait until nothing is left to be written, and say whether that came about."""
    return index.flush(timeout)


def until(true, timeout=60.0):
    """Wait until something comes true."""
    ends = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < ends, "it never came true"
        time.sleep(0.01)


@contextmanager
def made(exact, **sizes):
    index = Index.memory(exact=exact, **sizes)
    try:
        yield index
    finally:
        index.close()


@pytest.fixture(params=[1000, 4], ids=["within the front", "beyond it"])
def index(request):
    with made(request.param) as index:
        yield index


# What is near


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(-1, 30), st.sampled_from("ab")), max_size=25),
    st.integers(0, 30),
)
@settings(max_examples=30)
@pytest.mark.parametrize("exact", [1000, 3], ids=["within the front", "beyond it"])
def test_within_a_partition_the_nearest_are_the_most_similar(exact, puts, asked):
    """Whatever was put or blanked, and however much of it Chroma has by then."""
    vectors, held = units(31), {}
    with made(exact) as index:
        for n, (slot, vector, partition) in enumerate(puts):
            if vector < 0:
                index.blank(slot)
                held.pop(slot, None)
            else:
                index.put(slot, f"key-{n}", vectors[vector], partition)
                held[slot] = (f"key-{n}", vector, partition)
        for _ in range(2):
            own = {
                key: float(vectors[v] @ vectors[asked])
                for key, v, partition in held.values()
                if partition == "a"
            }
            found = index.nearest(vectors[asked], "a", n=20)
            told = [(one.key, one.similarity) for one in found if one.key in own]
            assert dict(told) == pytest.approx(own, abs=1e-5)
            assert [s for _, s in told] == pytest.approx(
                sorted(own.values(), reverse=True), abs=1e-5
            )
            assert index.rows() == {slot: key for slot, (key, _, _) in held.items()}
            assert settled(index)
        assert index.faults == 0


def test_the_best_of_two_hundred_sentence_sized_vectors_is_found(index):
    vectors = units(200, length=384)
    for slot, vector in enumerate(vectors):
        index.put(slot, f"key-{slot}", vector, "p")
    for _ in range(2):
        for slot in range(0, 200, 20):
            (best,) = index.nearest(near(vectors[slot], 0.9), "p", n=1)
            assert (best.slot, best.key) == (slot, f"key-{slot}")
            assert best.similarity == pytest.approx(0.9, abs=1e-3)
        assert settled(index)


def test_a_foreign_row_ranks_behind_every_own_one_that_could_be_served(index):
    """Two hundred conversations hold the very words; the own one holds them at the threshold."""
    (vector,) = units(1)
    for slot in range(200):
        index.put(slot, "foreign", vector, f"conversation-{slot}")
    index.put(200, "own", near(vector, 0.85), "mine")
    for _ in range(2):
        first, *others = index.nearest(vector, "mine", n=8)
        assert first.key == "own"
        assert first.similarity == pytest.approx(0.85, abs=1e-3)
        assert all(other.similarity < 0.85 for other in others)
        assert settled(index)


def test_one_search_finds_an_entry_by_whichever_of_its_wordings_is_near(index):
    own, alias = units(2)
    index.put(0, "own", own, "p")
    index.put(1, "alias", alias, "p")
    for vector, key in ((near(own, 0.95), "own"), (near(alias, 0.95), "alias")):
        (found,) = index.nearest(vector, "p", n=1)
        assert (found.key, found.similarity) == (key, pytest.approx(0.95, abs=1e-3))


def test_an_empty_index_has_no_neighbours(index):
    assert index.nearest(units(1)[0], "p", n=8) == []
    assert index.rows() == {}


def test_a_vector_of_another_length_is_near_nothing_and_told_once(index, caplog):
    one, two = units(2)
    index.put(0, "one", one, "p")
    index.put(1, "two", two, "p")
    for slot, vector in enumerate(units(2, length=5)):
        index.put(slot, "misfit", vector, "p")
        assert index.nearest(vector, "p", n=1) == []
    assert index.misfits == 4
    assert index.rows() == {}
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "vectors have length 5, those stored have 16" in caplog.text
    index.clear()
    index.put(0, "other", units(1, length=5)[0], "p")
    assert index.rows() == {0: "other"}


def test_clearing_leaves_an_empty_index_that_works(index):
    vectors = units(30)
    for slot, vector in enumerate(vectors):
        index.put(slot, "old", vector, "p")
    index.clear()
    assert index.rows() == {}
    assert index.nearest(vectors[0], "p", n=1) == []
    index.put(0, "new", vectors[0], "p")
    assert settled(index)
    assert index.rows() == {0: "new"}
    assert [one.key for one in index.nearest(vectors[0], "p", n=3)] == ["new"]


# Checks


def test_a_check_names_the_wordings_whose_rows_are_missing_and_repairs_them_and_no_more(index):
    one, two, three = units(3)
    index.put(0, "entry", one, "p")
    index.put(1, "stale", two, "p")
    index.put(7, "of no wording", two, "p")
    held = [
        worded("entry", "entry", 0, one),
        worded("alias", "entry", 1, two),
        worded("other", "other", 2, three, "q"),
        worded("exact only", "entry", 3, None),
    ]
    problems = [
        "slot 1: the index lacks alias alias of entry",
        "slot 2: the index lacks entry other",
    ]
    assert index.check(held) == problems
    assert index.rows() == {0: "entry", 1: "stale", 7: "of no wording"}
    assert index.check(held, fix=True) == problems
    assert index.rows() == {0: "entry", 1: "alias", 2: "other"}
    assert index.check(held) == []
    for vector, partition, key in ((two, "p", "alias"), (three, "q", "other")):
        found = index.nearest(vector, partition, n=1)[0]
        assert (found.key, found.similarity) == (key, pytest.approx(1, abs=1e-5))


def test_a_check_tells_how_many_near_duplicates_the_collection_finds(monkeypatch):
    held = held_of(units(40))
    with made(8) as index:
        for wording in held:
            index.put(wording.slot, wording.key, wording.vector, "p")
        assert settled(index)
        assert index.check(held) == []
        seldom = index._rows.nearest
        monkeypatch.setattr(
            index._rows,
            "nearest",
            lambda vector, mark, *, n: [
                one for one in seldom(vector, mark, n=n) if one.slot % 4 != 0
            ],
        )
        assert index.check(held) == ["of near-duplicates of 40 wordings, 75.0% are found"]


# Within and beyond


def test_a_small_cache_in_memory_never_imports_chroma():
    """Nor does one in a folder; it would take longer than all else."""
    told = subprocess.run(
        [sys.executable, "-c", SMALL], capture_output=True, text=True, check=True
    ).stdout
    assert told == "False False\n"


SMALL = """
import sys, tempfile
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.outputs import Generation
from langchain_cachemux import LECCache

for folder in (None, tempfile.mkdtemp()):
    with LECCache(folder, embeddings=DeterministicFakeEmbedding(size=16), deadline=60) as cache:
        cache.update("Where is Oslo?", "a model", [Generation(text="In Norway.")])
        assert cache.lookup("Where is Oslo? ", "a model") == [Generation(text="In Norway.")]
    print("chromadb" in sys.modules, end=" " if folder is None else "\\n")
"""


def test_what_is_beyond_the_front_is_held_by_chroma_alone():
    vectors = units(30)
    with made(10) as index:
        for slot, vector in enumerate(vectors):
            index.put(slot, f"k{slot}", vector, "p")
            assert index.nearest(vector, "p", n=1)[0].key == f"k{slot}"
        assert settled(index)
        assert len(index.front) == 0
        assert index._rows.keys() == {slot: f"k{slot}" for slot in range(30)}
        index.put(3, "new", vectors[4], "p")
        assert {one.key for one in index.nearest(vectors[4], "p", n=2)} == {"k4", "new"}
        index.blank(4)
        assert [one.key for one in index.nearest(vectors[4], "p", n=1)] == ["new"]
        assert settled(index)
        assert [one.key for one in index.nearest(vectors[4], "p", n=1)] == ["new"]
        assert 4 not in index.rows()


class Slow:
    """A collection that writes when it is let, and says what it was asked."""

    def __init__(self):
        self.let, self.asked, self.written = threading.Event(), threading.Event(), []
        self.batches, self.fails = 0, False

    def keys(self):
        return {}

    def write(self, rows):
        self.asked.set()
        self.let.wait(60)
        if self.fails:
            msg = "the disk is full"
            raise RuntimeError(msg)
        self.batches += 1
        self.written += zip(rows.slots, rows.keys, strict=True)

    def nearest(self, vector, mark, *, n):
        return []

    def recall(self, rows, *, similarity):
        return 1.0

    def close(self, *, sound=True):
        pass


def test_a_write_that_hangs_keeps_nobody_waiting_and_nothing_is_lost():
    slow, vectors = Slow(), units(40)
    index = Index(lambda: slow, exact=4)
    for slot, vector in enumerate(vectors[:20]):
        index.put(slot, f"k{slot}", vector, "p")
    assert slow.asked.wait(60)
    began = time.monotonic()
    for slot, vector in enumerate(vectors[20:], 20):
        index.put(slot, f"k{slot}", vector, "p")
    for slot, vector in enumerate(vectors):
        assert index.nearest(vector, "p", n=1)[0].slot == slot
    index.blank(7)
    assert len(index.rows()) == 39
    assert index.flush(0.05) is False
    assert time.monotonic() - began < 30
    slow.let.set()
    assert settled(index)
    assert len(index.front) == 0
    assert dict(slow.written) == {n: "" if n == 7 else f"k{n}" for n in range(40)}
    index.close()


def test_closing_waits_for_a_write_that_hangs_as_long_as_it_is_told():
    slow = Slow()
    index = Index(lambda: slow, exact=1)
    for slot, vector in enumerate(units(3)):
        index.put(slot, f"k{slot}", vector, "p")
    assert slow.asked.wait(60)
    began = time.monotonic()
    index.close(0.2)
    assert time.monotonic() - began < 30
    slow.let.set()


def test_a_row_that_changes_while_it_is_written_is_written_again():
    slow, (one, two, three) = Slow(), units(3)
    index = Index(lambda: slow, exact=1)
    index.put(0, "old", one, "p")
    index.put(1, "other", two, "p")
    assert slow.asked.wait(60)
    index.put(0, "new", three, "p")
    slow.let.set()
    assert settled(index)
    assert [key for slot, key in slow.written if slot == 0][-1] == "new"
    index.close()


def test_rows_are_written_together_and_each_once():
    slow, vectors = Slow(), units(3000)
    index = Index(lambda: slow, exact=1)
    for slot, vector in enumerate(vectors):
        index.put(slot, f"k{slot}", vector, "p")
    slow.let.set()
    assert settled(index)
    written = [slot for slot, _ in slow.written]
    assert sorted(written) == list(range(3000))
    assert slow.batches < 300
    index.close()


def test_a_collection_that_fails_is_tried_again_and_every_row_stays_found(caplog):
    slow, vectors = Slow(), units(20)
    slow.fails = True
    slow.let.set()
    index = Index(lambda: slow, exact=4, held=lambda: held_of(vectors))
    for slot, vector in enumerate(vectors):
        index.put(slot, f"k{slot}", vector, "p")
    until(lambda: index.faults >= 4)
    for slot, vector in enumerate(vectors):
        assert index.nearest(vector, "p", n=1)[0].slot == slot
    (told,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert told.startswith("Chroma failed behind the index, and is tried again: RuntimeError at")
    slow.fails = False
    assert settled(index)
    assert {slot for slot, _ in slow.written} == set(range(20))
    index.close()


def test_of_rows_that_cannot_be_written_only_so_many_wait_and_the_rest_is_repaired():
    slow, vectors = Slow(), units(60)
    index = Index(lambda: slow, exact=4, waiting=20, held=lambda: held_of(vectors))
    for slot, vector in enumerate(vectors):
        index.put(slot, f"k{slot}", vector, "p")
    assert slow.asked.wait(60)
    assert len(index._pending) < 40
    assert len(index.front) < 40
    slow.let.set()
    assert settled(index)
    assert {slot for slot, _ in slow.written} == set(range(60))
    index.close()


def test_what_another_process_writes_is_found_here_and_not_written_twice():
    slow, (one, two) = Slow(), units(2)
    slow.let.set()
    index = Index(lambda: slow, shared=True)
    index.put(0, "mine", one, "p")
    index.put(1, "theirs", two, "p", own=False)
    assert index.nearest(two, "p", n=1)[0].key == "theirs"
    assert settled(index)
    assert dict(slow.written) == {0: "mine"}
    index.blank(1, own=False)
    assert index.rows() == {0: "mine"}
    index.close()


def test_threads_that_put_and_search_beyond_the_front_find_what_they_put():
    vectors = units(400, length=32)
    with made(50) as index:
        missed = []

        def work(part):
            for slot in range(part, 400, 4):
                index.put(slot, f"k{slot}", vectors[slot], "p")
                found = index.nearest(vectors[slot], "p", n=1)
                if not found or found[0].key != f"k{slot}":
                    missed.append(slot)

        threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert missed == []
        assert settled(index)
        assert index.rows() == {slot: f"k{slot}" for slot in range(400)}
        assert index.faults == 0


# Chroma


def test_closing_an_index_in_memory_gives_its_collection_back():
    client = chromadb.EphemeralClient()
    before = client.count_collections()
    with made(1) as index:
        for slot, vector in enumerate(units(3)):
            index.put(slot, f"k{slot}", vector, "p")
        assert settled(index)
        assert client.count_collections() == before + 1
    assert client.count_collections() == before


@pytest.mark.parametrize(
    ("space", "metadata"),
    [("cosine", None), ("cosine", {"made": "by another"}), ("l2", {"cachemux": "slots"})],
    ids=["another's", "another's with metadata", "another distance"],
)
def test_a_collection_that_is_no_cache_is_refused_and_left_alone(space, metadata):
    client = chromadb.EphemeralClient()
    name = f"other-{space}-{len(metadata or {})}-{'made' in (metadata or {})}"
    theirs = client.create_collection(
        name,
        embedding_function=None,
        configuration={"hnsw": {"space": space}},
        metadata=metadata,
    )
    theirs.add(ids=["1"], embeddings=[[1.0, 0.0]])
    with pytest.raises(ValueError, match=f"'{name}' is not a cache"):
        ChromaRows(client, collection=name)
    assert client.get_collection(name, embedding_function=None).metadata == metadata
    assert theirs.count() == 1
    client.delete_collection(name)

"""The index against an obvious oracle: all cosines within the partition, by NumPy."""

import chromadb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_cachemux.match.index import ChromaIndex, _row
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


@pytest.fixture
def index():
    made = ChromaIndex.memory()
    yield made
    made._client.delete_collection(made._name)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30), st.sampled_from("ab")), max_size=25),
    st.integers(0, 30),
)
@settings(max_examples=30, deadline=None)
def test_within_a_partition_the_nearest_are_the_most_similar(puts, asked):
    vectors, index, held = units(31), ChromaIndex.memory(), {}
    for n, (slot, vector, partition) in enumerate(puts):
        index.put(slot, f"key-{n}", vectors[vector], partition)
        held[slot] = (f"key-{n}", vector, partition)
    own = {
        key: float(vectors[v] @ vectors[asked])
        for key, v, partition in held.values()
        if partition == "a"
    }
    found = index.nearest(vectors[asked], "a", n=20)
    assert {(f.slot, f.key) for f in found} == {(slot, key) for slot, (key, _, _) in held.items()}
    told = [(f.key, f.similarity) for f in found if f.key in own]
    assert dict(told) == pytest.approx(own, abs=1e-5)
    assert [s for _, s in told] == pytest.approx(sorted(own.values(), reverse=True), abs=1e-5)
    index._client.delete_collection(index._name)


def test_the_best_of_two_hundred_sentence_sized_vectors_is_found(index):
    vectors = units(200, length=384)
    for slot, vector in enumerate(vectors):
        index.put(slot, f"key-{slot}", vector, "p")
    for slot in range(0, 200, 20):
        (best,) = index.nearest(near(vectors[slot], 0.9), "p", n=1)
        assert (best.slot, best.key) == (slot, f"key-{slot}")
        assert best.similarity == pytest.approx(0.9, abs=1e-3)


def test_a_foreign_row_ranks_behind_every_own_one_that_could_be_served(index):
    """Two hundred conversations hold the very words; the own one holds them at the threshold."""
    (vector,) = units(1)
    for slot in range(200):
        index.put(slot, "foreign", vector, f"conversation-{slot}")
    index.put(200, "own", near(vector, 0.85), "mine")
    first, *others = index.nearest(vector, "mine", n=8)
    assert first.key == "own"
    assert first.similarity == pytest.approx(0.85, abs=1e-3)
    assert max(other.similarity for other in others) < 0.85


def test_a_similarity_is_never_above_one(index):
    vectors = units(100, length=384)
    told = []
    for vector in vectors:
        index.put(0, "key", vector, "p")
        told += [found.similarity for found in index.nearest(vector, "p", n=1)]
    assert max(told) <= 1
    assert min(told) == pytest.approx(1, abs=1e-5)


def test_an_empty_index_has_no_neighbours(index):
    assert index.nearest(units(1)[0], "p", n=8) == []
    assert index.rows() == {}


def test_a_slot_is_overwritten_with_key_vector_and_partition(index):
    one, two = units(2)
    index.put(0, "old", one, "p")
    index.put(0, "new", two, "q")
    assert index.rows() == {0: "new"}
    (found,) = index.nearest(two, "q", n=8)
    assert (found.key, found.slot) == ("new", 0)
    assert found.similarity == pytest.approx(1, abs=1e-5)


def test_rows_are_told_and_removed_by_slot(index):
    for slot, vector in enumerate(units(5)):
        index.put(slot, f"key-{slot}", vector, "p")
    assert index.rows() == {slot: f"key-{slot}" for slot in range(5)}
    index.remove([1, 3, 99])
    assert index.rows() == {0: "key-0", 2: "key-2", 4: "key-4"}
    assert {found.slot for found in index.nearest(units(5)[1], "p", n=8)} == {0, 2, 4}
    index.remove([])
    assert len(index.rows()) == 3


def test_more_rows_than_fit_one_page_are_told_and_removed(index):
    vectors = units(6000, length=4)
    for lower in (0, 3000):
        index._collection.upsert(
            ids=[str(slot) for slot in range(lower, lower + 3000)],
            embeddings=np.stack([_row(vector, "p") for vector in vectors[lower : lower + 3000]]),
            metadatas=[{"key": f"key-{slot}"} for slot in range(lower, lower + 3000)],
        )
    assert index.rows() == {slot: f"key-{slot}" for slot in range(6000)}
    index.remove(range(5999))
    assert index.rows() == {5999: "key-5999"}


def worded(key, of, slot, vector, partition="p"):
    return Wording(key, of, vector=vector, slot=slot, entry=Entry(of, partition=partition))


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


def test_one_search_finds_an_entry_by_whichever_of_its_wordings_is_near(index):
    own, alias = units(2)
    index.put(0, "own", own, "p")
    index.put(1, "alias", alias, "p")
    for vector, key in ((near(own, 0.95), "own"), (near(alias, 0.95), "alias")):
        (found,) = index.nearest(vector, "p", n=1)
        assert (found.key, found.similarity) == (key, pytest.approx(0.95, abs=1e-3))


def test_clearing_leaves_an_empty_index_that_works(index):
    (vector,) = units(1)
    index.put(0, "old", vector, "p")
    index.clear()
    assert index.rows() == {}
    index.put(0, "new", vector, "p")
    assert index.rows() == {0: "new"}


def test_two_indexes_in_memory_do_not_see_each_other(index):
    other = ChromaIndex.memory()
    other.put(0, "key", units(1)[0], "p")
    assert index.rows() == {}
    other.clear()


def test_a_collection_is_found_again_by_its_name(index):
    index.put(0, "key", units(1)[0], "p")
    assert ChromaIndex(index._client, collection=index._name).rows() == {0: "key"}


def test_a_folder_keeps_its_rows(tmp_path):
    (vector,) = units(1)
    ChromaIndex.folder(tmp_path).put(3, "key", vector, "p")
    again = ChromaIndex.folder(tmp_path)
    assert again.rows() == {3: "key"}
    assert again.nearest(vector, "p", n=1)[0].key == "key"


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
        ChromaIndex(client, collection=name)
    assert client.get_collection(name, embedding_function=None).metadata == metadata
    assert theirs.count() == 1
    client.delete_collection(name)

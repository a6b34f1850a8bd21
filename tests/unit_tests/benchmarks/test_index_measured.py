"""The benchmark of the index: its queries and counts by hand, and what is kept says what is claimed."""

import index
import numpy as np
import pytest
import results

from langchain_cachemux.match.collection import HNSW
from langchain_cachemux.match.front import Neighbour
from langchain_cachemux.match.index import EXACT, RECALL

OURS = f"ef {HNSW['ef_search']}"


def test_a_near_duplicate_has_the_cosine_that_is_said():
    rng = np.random.default_rng(0)
    vectors = index.units(50, rng)
    near = index.near_duplicates(vectors, rng)
    assert np.linalg.norm(near, axis=1) == pytest.approx(np.ones(50), abs=1e-5)
    assert (near * vectors).sum(1) == pytest.approx(np.full(50, index.SIMILAR), abs=1e-5)


def test_a_row_is_found_when_it_comes_out_first():
    answers = iter([[0, 1], [1, 0], []])

    def search(_):
        return [Neighbour("", slot, 1.0) for slot in next(answers)]

    told = index.searched(search, np.zeros((3, 2), np.float32), [0, 0, 0])
    assert told["recall"] == pytest.approx(1 / 3, abs=1e-4)


@pytest.mark.filterwarnings("ignore:legacy embedding function config")  # of Chroma's own
def test_every_row_is_found_in_few_rows_by_both():
    told = index.measured(120)
    assert (told["front"]["recall"], told["chroma"][OURS]["recall"]) == (1.0, 1.0)
    assert told["filled"]["rows/s"] > 0


def test_what_is_kept_shows_why_the_front_is_as_large_and_chroma_searched_as_widely_as_they_are():
    sizes = {row["rows"]: row for row in results.read(results.FOLDER / "index.json")["sizes"]}
    assert sorted(sizes) == list(index.SIZES)
    for row in sizes.values():
        assert row["front"]["recall"] == 1.0
        assert row["chroma"][OURS]["recall"] >= RECALL
        assert row["filled"]["rows/s"] >= 5000
    assert sizes[100_000]["chroma"]["ef 100"]["recall"] < 0.95
    for n in (1_000, 10_000, EXACT):
        assert sizes[n]["front"]["cpu ms"] < sizes[n]["chroma"][OURS]["cpu ms"]

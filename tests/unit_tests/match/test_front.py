"""The rows in memory against an obvious oracle: all cosines within the partition, by NumPy."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.match.front import FEWEST, Front, mark_of

LENGTH = 16


def units(n, *, seed=0, length=LENGTH):
    rows = np.random.default_rng(seed).normal(size=(n, length)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def put(front, slot, key, vector, partition="p"):
    front.put(slot, key, vector, mark_of(partition))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "drop"]),
        st.integers(0, 90),
        st.integers(0, 30),
        st.sampled_from("ab"),
    ),
    max_size=200,
)


@given(STEPS, st.integers(0, 30), st.integers(1, 12))
def test_the_nearest_of_a_partition_are_those_that_all_cosines_say(steps, asked, n):
    vectors, front, held = units(31), Front(), {}
    for number, (kind, slot, vector, partition) in enumerate(steps):
        if kind == "put":
            put(front, slot, f"key-{number}", vectors[vector], partition)
            held[slot] = (f"key-{number}", vector, partition)
        else:
            front.drop(slot)
            held.pop(slot, None)
    near = {
        (key, slot): float(vectors[v] @ vectors[asked])
        for slot, (key, v, partition) in held.items()
        if partition == "a"
    }
    found = front.nearest(vectors[asked], mark_of("a"), n=n)
    assert [one.similarity for one in found] == pytest.approx(
        sorted(near.values(), reverse=True)[:n], abs=1e-5
    )
    for one in found:
        assert near[one.key, one.slot] == pytest.approx(one.similarity, abs=1e-5)
    assert len({one.slot for one in found}) == len(found)
    assert front.rows() == {slot: key for slot, (key, _, _) in held.items()}
    assert (len(front), set(front)) == (len(held), set(held))


def test_a_thousand_evictions_take_no_more_room():
    front, vectors = Front(), units(1000)
    for number, vector in enumerate(vectors):
        front.drop(number - 50)
        put(front, number, f"{number}", vector)
    assert len(front) == 50
    assert len(front._matrix) == FEWEST


def test_rows_of_one_vector_in_another_partition_are_never_found():
    (vector,), front = units(1), Front()
    for slot in range(200):
        put(front, slot, "foreign", vector, f"conversation-{slot}")
    assert front.nearest(vector, mark_of("mine"), n=8) == []
    put(front, 200, "own", vector, "mine")
    assert [one.key for one in front.nearest(vector, mark_of("mine"), n=8)] == ["own"]


def test_a_similarity_is_never_above_one():
    front, told = Front(), []
    for vector in units(100, length=384):
        put(front, 0, "key", vector)
        told += [one.similarity for one in front.nearest(vector, mark_of("p"), n=1)]
    assert max(told) <= 1
    assert min(told) == pytest.approx(1, abs=1e-5)


def test_a_vector_of_another_length_is_refused_and_finds_nothing_until_all_rows_are_gone():
    front = Front()
    put(front, 0, "key", units(1)[0])
    (other,) = units(1, length=3)
    with pytest.raises(ValueError, match="vector has length 3, those held have 16"):
        put(front, 1, "other", other)
    assert front.nearest(other, mark_of("p"), n=1) == []
    assert front.rows() == {0: "key"}
    front.drop(0)
    put(front, 1, "other", other)
    assert [one.key for one in front.nearest(other, mark_of("p"), n=1)] == ["other"]


def test_rows_taken_are_copies_and_blank_where_there_is_none():
    front = Front()
    one, two = units(2)
    put(front, 5, "one", one)
    taken = front.taken([5, 9], LENGTH)
    put(front, 5, "two", two)
    assert (taken.slots, taken.keys) == ([5, 9], ["one", ""])
    assert np.array_equal(taken.vectors, [one, np.zeros(LENGTH, np.float32)])
    assert taken.marks.tolist() == [int(mark_of("p")), 0]


def test_a_key_is_told_with_its_own_slot_while_rows_come_and_go():
    """Four threads search while one overwrites, drops and grows; a slot's parity is in its key."""
    front, vectors, wrong, done = Front(), units(64), [], threading.Event()
    put(front, 0, "0:0", vectors[0])

    def search():
        while not done.is_set():
            for vector in vectors[:8]:
                found = front.nearest(vector, mark_of("p"), n=8)
                wrong.extend(one for one in found if one.key.split(":")[0] != str(one.slot))

    searching = [threading.Thread(target=search) for _ in range(4)]
    for thread in searching:
        thread.start()
    for number in range(3000):
        slot = number % 700
        put(front, slot, f"{slot}:{number}", vectors[number % 64])
        if number % 3 == 0:
            front.drop(slot)
    done.set()
    for thread in searching:
        thread.join()
    assert wrong == []


def test_a_mark_is_that_of_what_two_partitions_must_share():
    whole = mark_of("scope:gist+all")
    assert whole == mark_of("scope:gist+other") == mark_of("scope:gist")
    assert whole != mark_of("scope:gist+all@1") == mark_of("scope:gist+other@1")
    assert mark_of("scope:all") != mark_of("scope:all@1")

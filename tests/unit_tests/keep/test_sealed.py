"""Rows under a seal: no change of one is read, by whoever it was made."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.keep.rows import entry_of, payload_of, words_of
from langchain_cachemux.keep.sealed import SIGNED, Checksum, DamagedError, message
from langchain_cachemux.types import Entry, Wording

VECTOR = np.array([0.5, -0.25], np.float32)
ENTRY = Entry(
    "key",
    2.0,
    3,
    "s:c",
    "5 mg?",
    VECTOR,
    '["5 mg"]',
    4,
    made=1.5,
    expires=9.5,
    labels=("tag:é", "model:m"),
)
SEALS = [Checksum(), Checksum("secret"), Checksum(b"\xff\0")]


@pytest.mark.parametrize("seal", SEALS)
@pytest.mark.parametrize(
    "entry",
    [
        ENTRY,
        Entry("bare"),
        replace(ENTRY, expires=math.inf, vector=None, labels=()),
        replace(ENTRY, text="\0 \U0001f642"),
    ],
    ids=["all", "nothing", "for ever", "strange words"],
)
def test_an_entry_comes_back_from_its_row_as_it_was(seal, entry):
    row = seal.open("payloads", seal.sign("payloads", payload_of(entry)))
    found = entry_of(row, cost=entry.cost, size=entry.size, slot=entry.slot)
    for field in fields(Entry):
        expected, told = getattr(entry, field.name), getattr(found, field.name)
        if field.name == "vector" and expected is not None:
            expected, told = expected.tobytes(), told.tobytes()
        assert told == expected


def altered(value):
    """Other values that a column may come to hold."""
    if isinstance(value, str):
        return [value + " ", value[:-1], value.encode(), None, value.swapcase() + "x", "\udcff"]
    if isinstance(value, bytes):
        return [value[:-1] + bytes([value[-1] ^ 1]), value[:-1], None, value.hex(), b""]
    return [value + 1, -value - 1, None, str(value), math.nan]


@pytest.mark.parametrize("seal", SEALS)
@pytest.mark.parametrize("name", SIGNED["payloads"])
def test_no_other_value_of_a_column_is_read(seal, name):
    row = seal.sign("payloads", payload_of(ENTRY))
    for other in altered(row[name]):
        with pytest.raises(DamagedError):
            seal.open("payloads", {**row, name: other})
    assert seal.open("payloads", row)["answer"] == '["5 mg"]'


@pytest.mark.parametrize("seal", [None, b"", "text", b"0" * 32, 7])
def test_a_row_without_its_seal_is_not_read(seal):
    row = Checksum().sign("payloads", payload_of(ENTRY))
    with pytest.raises(DamagedError):
        Checksum().open("payloads", {**row, "seal": seal})


def test_only_the_same_secret_opens_a_row_and_only_in_its_table():
    wording = words_of(Wording("key", "of", "text", VECTOR))
    for one in SEALS:
        for other in SEALS:
            row = one.sign("wordings", wording)
            if one is other:
                assert other.open("wordings", row)["of"] == "of"
            else:
                with pytest.raises(DamagedError):
                    other.open("wordings", row)
    pair = Checksum().sign("differences", {"one": "a", "other": "b"})
    with pytest.raises(DamagedError):
        Checksum().open("differences", {**pair, "one": "b", "other": "a"})
    with pytest.raises(DamagedError):
        Checksum().open("wordings", {**pair, "key": "a", "of": "b", "text": "", "vector": None})


VALUES = st.none() | st.text(max_size=3) | st.binary(max_size=3) | st.floats(allow_nan=False)


@given(st.tuples(VALUES, VALUES), st.tuples(VALUES, VALUES))
def test_two_rows_that_differ_are_never_signed_alike(one, other):
    rows = [dict(zip(("one", "other"), pair, strict=True)) for pair in (one, other)]
    alike = message("differences", rows[0]) == message("differences", rows[1])
    assert alike == (list(map(repr, one)) == list(map(repr, other)))


def test_a_secret_is_told_by_neither_its_name_nor_its_repr():
    seal = Checksum("swordfish")
    assert "swordfish" not in repr(seal) + seal.name
    assert len({one.name for one in (seal, Checksum("other"), Checksum())}) == 3
    assert Checksum(b"swordfish").name == seal.name


@pytest.mark.parametrize("secret", ["", b"", 7, ["x"]])
def test_what_is_no_secret_is_refused_without_telling_it(secret):
    with pytest.raises(ValueError, match="secret must be a text or bytes") as refused:
        Checksum(secret)
    assert str(refused.value).endswith(f"got a {type(secret).__name__}")

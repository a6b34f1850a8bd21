"""Rows under AES-GCM: nothing to be read, nothing to be moved, and no key told."""

import base64

import numpy as np
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.keep.encrypted import HIDDEN, Encrypted
from langchain_cachemux.keep.sealed import SIGNED, DamagedError

KEY = bytes(range(32))
VECTOR = np.array([0.5, -0.25], np.float32).tobytes()
ROW = {
    "key": "k",
    "partition": "s:c",
    "text": "Where is Oslo?",
    "vector": VECTOR,
    "answer": '["in Norway"]',
    "made": 1.5,
    "expires": None,
    "labels": '["model:m"]',
}
TEXT = st.text(st.characters(), max_size=20)


@given(text=TEXT, answer=TEXT, vector=st.none() | st.binary(max_size=16))
def test_what_was_sealed_comes_back_as_it_was_and_is_nowhere_in_the_row(text, answer, vector):
    seal, row = Encrypted(KEY), {**ROW, "text": text, "answer": answer, "vector": vector}
    sealed = seal.sign("payloads", row)
    assert {**seal.open("payloads", sealed), "seal": None} == {**row, "seal": None}
    assert (sealed["text"], sealed["answer"], sealed["vector"]) == ("", "", None)
    for hidden in filter(
        lambda one: len(one) > 6, (text.encode("utf-8", "replace"), vector or b"")
    ):
        assert hidden not in sealed["seal"]


def test_half_a_surrogate_comes_back_too():
    seal = Encrypted(KEY)
    row = {"key": "k", "of": "o", "text": "\ud800", "vector": None}
    assert seal.open("wordings", seal.sign("wordings", row))["text"] == "\ud800"


def test_the_same_row_never_reads_the_same_twice():
    seals = {Encrypted(KEY).sign("payloads", ROW)["seal"] for _ in range(9)}
    assert len(seals) == 9


@pytest.mark.parametrize(
    "column", [name for name in SIGNED["payloads"] if name not in ("text", "vector", "answer")]
)
def test_what_stands_in_the_open_cannot_be_changed(column):
    seal = Encrypted(KEY)
    sealed = seal.sign("payloads", ROW)
    for changed in ("other", None, 9.0):
        with pytest.raises(DamagedError, match="not as it was written"):
            seal.open("payloads", {**sealed, column: changed if changed != ROW[column] else 8.0})


def test_no_seal_can_be_put_on_another_row_or_in_another_table():
    seal = Encrypted(KEY)
    pair = {"one": "a", "other": "b"}
    one, other = seal.sign("payloads", ROW), seal.sign("payloads", {**ROW, "key": "other"})
    for table, row in (
        ("payloads", {**one, "seal": other["seal"]}),
        ("differences", {**pair, "seal": one["seal"]}),
        ("payloads", {**ROW, "seal": None}),
        ("payloads", {**ROW, "seal": b""}),
        ("payloads", ROW),
    ):
        with pytest.raises(DamagedError):
            seal.open(table, row)
    assert seal.open("differences", seal.sign("differences", pair))["one"] == "a"


@given(st.data())
def test_no_bit_can_flip(data):
    seal = Encrypted(KEY)
    sealed = seal.sign("payloads", ROW)
    raw = bytearray(sealed["seal"])
    place = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[place // 8] ^= 1 << place % 8
    with pytest.raises(DamagedError):
        seal.open("payloads", {**sealed, "seal": bytes(raw)})


def test_another_key_opens_nothing_and_has_another_name():
    sealed = Encrypted(KEY).sign("payloads", ROW)
    other = Encrypted(Fernet.generate_key())
    with pytest.raises(DamagedError, match="another key"):
        other.open("payloads", sealed)
    assert other.name != Encrypted(KEY).name == Encrypted(KEY).name


def test_a_key_is_bytes_or_base64_as_text_or_bytes():
    names = {
        Encrypted(key).name
        for key in (KEY, base64.urlsafe_b64encode(KEY), base64.urlsafe_b64encode(KEY).decode())
    }
    assert len(names) == 1
    assert Encrypted(Fernet.generate_key().decode()).name not in names


@pytest.mark.parametrize(
    "key", ["correct horse battery staple", "", b"short", bytes(32), bytes(33), 7, None, "c2hvcnQ="]
)
def test_what_is_no_key_is_refused_and_not_told(key):
    with pytest.raises(ValueError, match="encrypt must be 32 bytes, or those in URL-safe") as error:
        Encrypted(key)
    if len(str(key)) > 5:
        assert str(key) not in str(error.value)


def test_its_repr_tells_no_key():
    told = repr(Encrypted(KEY))
    assert told.startswith("Encrypted('aes-256-gcm ")
    for secret in (KEY.hex(), base64.urlsafe_b64encode(KEY).decode(), repr(KEY)):
        assert secret not in told


def test_whatever_is_hidden_is_also_signed():
    assert all({*HIDDEN[table]} <= {*SIGNED[table]} for table in SIGNED)

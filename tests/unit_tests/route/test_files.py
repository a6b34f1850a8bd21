"""A state on disk: what comes back, what is refused, and that nothing is half written."""

import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from langchain_cachemux.route import files

scalars = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
numbers = st.sampled_from([np.dtype(t) for t in ("f8", "f4", "i8", "i4", "bool")]).flatmap(
    lambda t: arrays.arrays(t, arrays.array_shapes(min_dims=0, min_side=0), elements=None)
)
states = st.dictionaries(
    st.text(),
    st.recursive(
        scalars | numbers,
        lambda s: st.lists(s, max_size=4) | st.dictionaries(st.text(), s, max_size=4),
        max_leaves=8,
    ),
    max_size=4,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("states")


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(same(*pair) for pair in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


@given(states)
def test_what_was_written_is_read_whatever_its_keys_are_called(folder, state):
    files.write(folder / "state", state)
    assert same(state, files.read(folder / "state"))


@given(st.data())
def test_a_damaged_file_is_refused_or_holds_what_was_written(folder, data):
    state = {"n": 3, "weights": np.arange(20.0)}
    path = folder / "damaged"
    files.write(path, state)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[at:]
    else:
        content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        assert same(state, files.read(path))
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017


def test_a_file_of_another_version_says_which(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "VERSION", 7)
    files.write(tmp_path / "state", {})
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"state cannot be read .* it is of version 7, this is 1"):
        files.read(tmp_path / "state")


def test_another_programs_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "box", "w") as box:
        box.writestr("state.json", json.dumps({"version": 1}))
    with pytest.raises(ValueError, match=r"box cannot be read .* not one of this package"):
        files.read(tmp_path / "box")


def test_an_array_of_objects_is_neither_written_nor_read(tmp_path):
    with pytest.raises(
        ValueError, match="an array in a state must be of numbers, got dtype object"
    ):
        files.write(tmp_path / "state", {"a": np.array([print])})
    files.write(tmp_path / "state", {"a": np.zeros(1)})
    with zipfile.ZipFile(tmp_path / "evil", "w") as box:
        with zipfile.ZipFile(tmp_path / "state") as good:
            box.writestr("state.json", good.read("state.json"))
        with box.open("0.npy", "w") as part:
            np.lib.format.write_array(part, np.array([Path]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"evil cannot be read .* allow_pickle"):
        files.read(tmp_path / "evil")


def test_what_is_no_plain_value_is_refused_and_what_stood_there_stays(tmp_path):
    files.write(tmp_path / "state", {"n": 1})
    for bad in (object(), {1, 2}, math):
        with pytest.raises(ValueError, match="a state must be of JSON values and arrays, got"):
            files.write(tmp_path / "state", {"n": bad})
    assert files.read(tmp_path / "state") == {"n": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_disk_that_fails_leaves_what_stood_there_and_nothing_else(tmp_path, monkeypatch):
    files.write(tmp_path / "state", {"n": 1})

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match="No space left"):
        files.write(tmp_path / "state", {"n": np.ones(1)})
    assert files.read(tmp_path / "state") == {"n": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_file_that_is_not_there_is_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.read(tmp_path / "nowhere")

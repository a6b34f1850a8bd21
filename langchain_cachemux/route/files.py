"""What was learned, in a file: JSON and arrays in one zip, read without running anything.

A state is made of JSON values, NumPy arrays, and lists and mappings of them; `dump` and `restore` of
an estimator speak of nothing else. So a file can do no more than fill in numbers. One zip is one file to
move, has a checksum of every part, and NumPy reads and writes its arrays without pickle. Safetensors
would do as well, but is no dependency of this package.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from langchain_cachemux.whole import whole

State: TypeAlias = Mapping[str, Any]
"""JSON values, arrays, and further states, by name."""

FORMAT = "langchain-cachemux"
VERSION = 1


def write(path: str | os.PathLike[str], state: State) -> None:
    """Write a state: whole, or not at all.

    Raises:
        ValueError: It holds what is neither JSON nor an array of numbers.
        OSError: The file cannot be written.
    """
    content = packed(state)
    with whole(path) as file:
        file.write(content)


def packed(state: State) -> bytes:
    """Return a state as the content of a file.

    Raises:
        ValueError: It holds what is neither JSON nor an array of numbers.
    """
    arrays: list[np.ndarray[Any, Any]] = []
    head = {"format": FORMAT, "version": VERSION, "state": _plain(state, arrays)}
    text, file = json.dumps(head, allow_nan=False), BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as box:
        box.writestr("state.json", text)
        for n, array in enumerate(arrays):
            with box.open(f"{n}.npy", "w", force_zip64=True) as part:
                np.lib.format.write_array(part, array, allow_pickle=False)
    return file.getvalue()


def read(path: str | os.PathLike[str]) -> State:
    """Read a state.

    Raises:
        ValueError: The file is damaged, of another program, or of another version.
        OSError: The file cannot be read.
    """
    return unpacked(Path(path).read_bytes(), os.fspath(path))


def unpacked(content: bytes, name: str) -> State:
    """Return the state that is the content of a file.

    Raises:
        ValueError: It is damaged, of another program, or of another version.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as box:
            head = json.loads(box.read("state.json"))
            if not isinstance(head, dict) or head.get("format") != FORMAT:
                msg = "it is not one of this package"
                raise ValueError(msg)  # noqa: TRY301
            if head["version"] != VERSION:
                msg = f"it is of version {head['version']!r}, this is {VERSION}"
                raise ValueError(msg)  # noqa: TRY301
            arrays = []
            for n in range(sum(name.endswith(".npy") for name in box.namelist())):
                with box.open(f"{n}.npy") as part:
                    arrays.append(np.lib.format.read_array(part, allow_pickle=False))
            state: State = _filled(head["state"], arrays)
    except (
        Exception
    ) as error:  # what is damaged makes zipfile, zlib, lzma and NumPy raise of all kinds
        msg = f"{name} cannot be read as a saved state: {error}"
        raise ValueError(msg) from error
    return state


def _plain(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    """JSON, in which an array is its number and an infinity its name."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            msg = f"an array in a state must be of numbers, got dtype {value.dtype}"
            raise ValueError(msg)
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if isinstance(value, Mapping):
        return {"map": [[str(key), _plain(item, arrays)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_plain(item, arrays) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    msg = f"a state must be of JSON values and arrays, got {value!r}"
    raise ValueError(msg)


def _filled(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    """The contrary of `_plain`."""
    if isinstance(value, list):
        return [_filled(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "float" in value:
        return float(value["float"])
    return {key: _filled(item, arrays) for key, item in value["map"]}

"""What was asked before: a file of requests, read line by line.

A table has a header line with a column `key` and, if wanted, `time` (seconds), `cost`, `size`, and for
each model a `cost_<model>` and an `ok_<model>`; other columns are ignored. A line of JSON is an object
with the same names, `costs` and `ok` being objects too if wanted: {"costs": {"small": 1, "large": 9}}.

    key     not empty               cost, cost_<model>   a number >= 0, below 1e36
    time    a finite number         ok_<model>           true, false, 1 or 0
    size    an integer from 1 to 10**15

An `ok_<model>` stands beside its `cost_<model>`. A column that is there is filled on every line; in JSON
the first line says which models there are, and all but `key` may be left out. Models come in the order
of their columns. `cost` and `cost_<model>` may stand side by side, `costs` counts where there is more
than one model. A line is never silently repaired or dropped: an empty line is a malformed one.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from langchain_cachemux.types import LARGEST_COST, Request

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Generator, Iterator
    from collections.abc import Set as AbstractSet

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson")
"""What a trace's name may end in, each also with .gz after it."""
LARGEST_SIZE = 10**15
"""Size of an answer at most, a petabyte: floats are exact up to there, and an array can hold it."""


class Trace:
    """The requests of a file, from its first line each time it is iterated.

    No more is held than one line. The file is closed at the end, or when the iterator is; that of a
    `for` loop that stops early is closed with the loop.

    The format is that of the name: .csv, .tsv, .jsonl or .ndjson, each also with .gz. A field of .csv
    may be quoted and is at most `csv.field_size_limit()` characters; in .tsv a quote is a character
    like any other, and no field holds a tab or a line end. Text is UTF-8.

    Args:
        path: The file; it must exist.
        skip_bad: Count malformed lines and go on. A header or a gzip that is malformed still raises.
        sized: Bytes are to be counted: a table without a column `size`, or a line of JSON without a
            size, is malformed. Otherwise it is taken for 1.

    Raises:
        ValueError: The name has no suffix of a known format. While iterating: a line is malformed, with
            the file, the line's number from 1, the value found and what was expected. A quoted field
            over several lines goes by the number of its record's first line.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, skip_bad: bool = False, sized: bool = False
    ) -> None:
        self.path = Path(path)
        self._format = Path(self.path.name.lower().removesuffix(".gz")).suffix
        if self._format not in FORMATS:
            msg = f"path must end in {', '.join(FORMATS)}, or these and .gz, got {str(path)!r}"
            raise ValueError(msg)
        self.skip_bad = skip_bad
        self.sized = sized
        self.skipped = 0
        """Lines that the latest iteration skipped so far."""
        self.length = self.path.stat().st_size
        """Bytes of the file, compressed if it is."""
        self._file: BinaryIO | None = None
        self._position = 0

    @property
    def position(self) -> int:
        """Bytes of the file that the latest iteration has read, of `length`; a buffer at a time."""
        return self._file.tell() if self._file else self._position

    def __iter__(self) -> Generator[Request]:
        """The requests in the order of the file."""
        self.skipped = self._position = 0
        with self.path.open("rb", buffering=0) as file:
            self._file = cast("BinaryIO", file)
            lines = _Lines(self._buffered(file))
            try:
                yield from self._requests(lines)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                msg = f"{self.path}:{lines.number + 1}: a whole gzip was expected: {error}"
                raise ValueError(msg) from error
            finally:
                self._position, self._file = file.tell(), None

    def _buffered(self, file: io.FileIO) -> io.BufferedReader:
        if self.path.suffix.lower() != ".gz":
            return io.BufferedReader(file)
        return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=file)))

    def _requests(self, lines: _Lines) -> Generator[Request]:
        rows, parse = self._reader(lines)
        while True:
            first = lines.number + 1
            try:
                row = next(rows, None)
                if row is None:
                    return
                request = parse(row)
            except (ValueError, csv.Error) as error:
                if not self.skip_bad:
                    raise self._located(first, error) from error
                self.skipped += lines.number - first + 1
                continue
            yield request

    def _reader(self, lines: _Lines) -> tuple[Iterator[Any], Callable[[Any], Request]]:
        """The rows of the file, and what makes a request of one."""
        lines.skip_mark()
        if self._format in (".jsonl", ".ndjson"):
            return lines, _objects(sized=self.sized)
        rows: Iterator[list[str]] = (
            csv.reader(lines, strict=True) if self._format == ".csv" else map(_fields, lines)
        )
        try:
            return rows, _columns(next(rows, []), sized=self.sized)
        except (ValueError, csv.Error) as error:
            raise self._located(1, error) from error

    def _located(self, line: int, error: Exception) -> ValueError:
        return ValueError(f"{self.path}:{line}: {error}")


class _Lines:
    """The lines of a stream, each decoded by itself, so that a bad one can be skipped, and counted."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self.number = 0
        self._stream = stream

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._stream)
        self.number += 1
        return line.decode()

    def skip_mark(self) -> None:
        """Pass over the byte order mark that some programs begin a file with."""
        if self._stream.read(3) != b"\xef\xbb\xbf":
            self._stream.seek(0)


def _fields(line: str) -> list[str]:
    return line.removesuffix("\n").removesuffix("\r").split("\t")


def _columns(header: list[str], *, sized: bool) -> Callable[[list[str]], Request]:
    """Return what makes a request of a row under `header`."""
    names = [name.strip() for name in header]
    at = {name: i for i, name in enumerate(names)}
    costs = [(name.removeprefix("cost_"), name, at[name]) for name in at if name[:5] == "cost_"]
    oks = [(name.removeprefix("ok_"), name, at[name]) for name in at if name[:3] == "ok_"]
    if "key" not in at:
        msg = (
            "a header with a column key was expected, and if wanted time, cost, size, cost_<model>, "
            f"ok_<model>; got {', '.join(names)!r:.500}"
        )
        raise ValueError(msg)
    _beside({model for model, _, _ in costs}, {model for model, _, _ in oks})
    read = {"key", "time", "cost", "size", *(name for _, name, _ in costs + oks)}
    twice = sorted(name for name in read if names.count(name) > 1)
    if twice:
        msg = f"each column was expected once, got {', '.join(twice)} more than once"
        raise ValueError(msg)
    _weighed(at, sized=sized)
    width, key, cost, size, time = len(names), at["key"], *map(at.get, ("cost", "size", "time"))

    def parse(row: list[str]) -> Request:
        if len(row) != width:
            msg = f"{width} fields were expected ({', '.join(names)}), got {len(row)}: {row!r:.80}"
            raise ValueError(msg)
        if not row[key]:
            raise _unlike(row[key], "key", "not empty")
        return Request(
            row[key],
            1.0 if cost is None else _cost("cost", row[cost]),
            1 if size is None else _whole("size", row[size]),
            None if time is None else _time(row[time]),
            {model: _cost(name, row[i]) for model, name, i in costs} if costs else {},
            {model: _truth(name, row[i]) for model, name, i in oks} if oks else {},
        )

    return parse


def _objects(*, sized: bool) -> Callable[[str], Request]:
    """Return what makes a request of a line of JSON; the first it reads says which models there are."""
    known: dict[str, list[str]] = {}

    def by_model(record: dict[str, Any], name: str, prefix: str) -> dict[str, Any]:
        nested = record.get(name, {})
        if not isinstance(nested, dict):
            raise _unlike(nested, name, "an object of values by model")
        flat = {k.removeprefix(prefix): v for k, v in record.items() if k.startswith(prefix)}
        if not nested.keys().isdisjoint(flat):
            msg = f"{name} and {prefix}<model> must not name one model twice, got {sorted(flat)}"
            raise ValueError(msg)
        values = nested | flat
        models = known.get(name, list(values))
        if values.keys() != set(models):
            raise _unlike(sorted(values), name, f"of the models of the first line, {models}")
        return {model: values[model] for model in models}

    def parse(line: str) -> Request:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            msg = f"a JSON object was expected, got {line!r:.80}"
            raise ValueError(msg)  # noqa: TRY004 - the file is wrong, not the caller
        key = record.get("key")
        if not isinstance(key, str) or not key:
            raise _unlike(key, "key", "a string, not empty")
        key.encode()  # half of a surrogate pair, "\ud800", is good JSON but no text
        _weighed(record, sized=sized)
        request = Request(
            key,
            _cost("cost", record["cost"]) if "cost" in record else 1.0,
            _whole("size", record["size"]) if "size" in record else 1,
            None if record.get("time") is None else _time(record["time"]),
            {m: _cost(f"cost_{m}", v) for m, v in by_model(record, "costs", "cost_").items()},
            {m: _truth(f"ok_{m}", v) for m, v in by_model(record, "ok", "ok_").items()},
        )
        if not known:
            _beside(request.costs.keys(), request.ok.keys())
            known.update(costs=list(request.costs), ok=list(request.ok))
        return request

    return parse


def _beside(costs: AbstractSet[str], oks: AbstractSet[str]) -> None:
    """Refuse a model that is judged but has no cost: its name is mistyped."""
    alone = [f"ok_{model}" for model in sorted(oks - costs)]
    if alone:
        msg = f"each ok_<model> was expected beside its cost_<model>, got {', '.join(alone):.500} alone"
        raise ValueError(msg)


def _weighed(names: Collection[str], *, sized: bool) -> None:
    """Refuse a table, or a line of JSON, that says nothing of sizes where they count."""
    if sized and "size" not in names:
        msg = f"size was expected, because bytes are counted; got {', '.join(names)!r:.500}"
        raise ValueError(msg)


def _unlike(value: object, name: str, expected: str) -> ValueError:
    return ValueError(f"{name} must be {expected}, got {value!r:.80}")


_NUMBERS = (str, int, float)  # by exact type: JSON's true is no number, though it is an int
_LEAST = -sys.float_info.max
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def _cost(name: str, value: Any) -> float:
    expected = f"a number >= 0 and below {LARGEST_COST:g}"
    return _number(name, value, 0.0, LARGEST_COST, expected)


def _number(name: str, value: Any, least: float, beyond: float, expected: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if type(value) not in _NUMBERS or not least <= number < beyond or _grouped(value):
        raise _unlike(value, name, expected)
    return number


def _grouped(value: object) -> bool:
    """Whether Python alone would take `value` for a number: it reads 1_000."""
    return type(value) is str and "_" in value


def _time(value: Any) -> float:
    return _number("time", value, _LEAST, math.inf, "a finite number of seconds")


def _whole(name: str, value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = 0
    if type(value) not in (str, int) or not 1 <= number <= LARGEST_SIZE or _grouped(value):
        raise _unlike(value, name, "an integer from 1 to 10**15")
    return number


def _truth(name: str, value: object) -> bool:
    truth = _TRUTHS.get(str(value).lower())
    if truth is None:
        raise _unlike(value, name, "true, false, 1 or 0")
    return truth

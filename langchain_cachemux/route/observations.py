"""What was learned, one line each: a file of JSON from which a router can be fitted again.

    {"time": 1767225600.0, "key": "9f…", "text": "Is 91 prime?", "model": "small", "cost": 0.0004,
     "failed": 1.0, "source": "judge", "reason": "no agreement: 1 of 3"}

The text is the conversation's human words. Nothing is written unless a file is named.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from langchain_cachemux.discreet import loggable
from langchain_cachemux.locks import Lock
from langchain_cachemux.types import Observation

log = logging.getLogger(__name__)

_FORM: TypeAdapter[Observation] = TypeAdapter(Observation)


class Observations:
    """Appends to a file, a whole line at a time; safe between threads, and between processes.

    A line that cannot be written is logged, and breaks nothing.

    Args:
        path: The file, made when missing.

    Raises:
        ValueError: The file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._append("")
        except OSError as error:
            msg = (
                f"observations must be a file that can be written, got {os.fspath(path)!r}: {error}"
            )
            raise ValueError(msg) from error

    def __repr__(self) -> str:
        """Name the file."""
        return f"Observations({str(self.path)!r})"

    def write(self, observation: Observation) -> None:
        """Append one."""
        try:
            self._append(json.dumps(observation, ensure_ascii=False) + "\n")
        except (OSError, ValueError, TypeError) as error:
            log.warning("an observation was not written to %s: %s", self.path, loggable(error))

    def _append(self, line: str) -> None:
        data = line.encode("utf-8", "replace")
        with self._lock, self.path.open("ab", buffering=0) as file:
            file.write(data)


def observed(path: str | os.PathLike[str]) -> Iterator[Observation]:
    """Read a file of observations; a last line that was cut short is passed over.

    Raises:
        ValueError: A line is no observation; told by file, number and what is wrong.
        OSError: The file cannot be read.
    """
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield _FORM.validate_json(line)
            except ValidationError as error:
                if not line.endswith(b"\n"):
                    return
                msg = f"{os.fspath(path)}:{number}: an observation was expected: {_wrong(error)}"
                raise ValueError(msg) from error


def _wrong(error: ValidationError) -> str:
    """The first thing that is wrong, in one line."""
    first = error.errors(include_url=False)[0]
    return (
        f"{'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}, got {first['input']!r:.80}"
    )

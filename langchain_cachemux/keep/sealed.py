"""Rows under a seal: what was changed since it was written, by whatever, is found out when it is read.

A seal signs what never changes of a row, its table's name included, so that no bit can flip and no
answer be moved to another key unseen. `Checksum` writes the row as it is beside its digest. A seal that
also encrypts has the same two methods, and its row reads otherwise.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeAlias

Table: TypeAlias = Literal["payloads", "wordings", "differences"]
Row: TypeAlias = dict[str, Any]
"""By column: text, bytes, a number or None."""

SIGNED: Mapping[Table, tuple[str, ...]] = {
    "payloads": ("key", "partition", "text", "vector", "answer", "made", "expires", "labels"),
    "wordings": ("key", "of", "text", "vector"),
    "differences": ("one", "other"),
}
"""The columns that a seal covers. Keys are hashes by which rows are found, so they stay readable."""


class DamagedError(ValueError):
    """A row is not as it was written."""


class Seal(Protocol):
    """What rows are written and read under. Safe between threads."""

    name: str
    """Which it is: kept with the rows, and compared when they are opened again. It tells no secret."""

    def sign(self, table: Table, row: Row) -> Row:
        """Return a row as it is to be written: with a `seal`, in bytes, and the same other columns."""
        ...

    def open(self, table: Table, row: Row) -> Row:
        """Return a row as it was given to `sign`.

        Raises:
            DamagedError: It is not as it was written, or was written under another seal.
        """
        ...


class Checksum:
    """HMAC-SHA256 of a row (RFC 2104): a mere checksum, or proof of origin with a secret.

    Without one it finds whatever happens by accident. With one, whoever does not know it can write no
    row that is read, but can still put back an older one, or delete.

    Args:
        secret: Known to whoever may write; in text or bytes.

    Raises:
        ValueError: It is neither, or empty.
    """

    def __init__(self, secret: str | bytes | None = None) -> None:
        right = secret is None or (isinstance(secret, str | bytes) and secret)
        if not right:  # its value is told to nobody
            msg = (
                f"secret must be a text or bytes that are not empty, got a {type(secret).__name__}"
            )
            raise ValueError(msg)
        self._secret = (secret.encode() if isinstance(secret, str) else secret) or b""
        which = hmac.digest(self._secret, b"cachemux: which secret", "sha256").hex()[:16]
        self.name = f"hmac-sha256 {which}" if self._secret else "sha256"

    def __repr__(self) -> str:
        """Its kind; the secret is not told."""
        return f"Checksum({self.name!r})"

    def sign(self, table: Table, row: Row) -> Row:
        """As `Seal.sign`; the row stays readable."""
        return {**row, "seal": self._digest(table, row)}

    def open(self, table: Table, row: Row) -> Row:
        """As `Seal.open`."""
        seal = row.get("seal")
        if not isinstance(seal, bytes) or not hmac.compare_digest(seal, self._digest(table, row)):
            msg = f"a row of {table} is not as it was written"
            raise DamagedError(msg)
        return row

    def _digest(self, table: Table, row: Row) -> bytes:
        return hmac.digest(self._secret, message(table, row), "sha256")


def message(table: Table, row: Row) -> bytes:
    """What a seal signs of a row, in bytes: no two rows have the same.

    Raises:
        DamagedError: There is something in it that is never written.
    """
    parts = [_written(row[name]) for name in SIGNED[table]]
    head = f"{table}:{','.join(str(len(part)) for part in parts)};"
    return b"".join([head.encode(), *parts])


def _written(value: Any) -> bytes:
    """A value and its kind."""
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return b"b" + value
    if value is None:
        return b"n"
    if isinstance(value, float | int):
        return b"f" + repr(float(value)).encode()
    msg = f"a {type(value).__name__} is in a row, where none is ever written"
    raise DamagedError(msg)

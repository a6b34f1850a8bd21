"""Rows that only a key opens: AES-GCM, a seal that also encrypts."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from langchain_cachemux.arguments import expect
from langchain_cachemux.extras import needs
from langchain_cachemux.keep.sealed import Checksum, DamagedError, message

if TYPE_CHECKING:
    from langchain_cachemux.keep.sealed import Row, Seal, Table

BYTES = 32
"""Length of a key: AES-256."""
NONCE = 12
"""Bytes drawn for each row. Of one key, some 2^32 rows may be written (NIST SP 800-38D, §8.3)."""
HIDDEN: Mapping[Table, tuple[str, ...]] = {
    "payloads": ("text", "vector", "answer"),
    "wordings": ("text", "vector"),
    "differences": (),
}
"""The columns that are encrypted; the others of a row are signed with them, in the open."""


class Encrypted:
    """AES-256-GCM of what was asked and answered, and of the vectors, from which words can be told.

    All else that a seal covers (`sealed.SIGNED`) is associated data: the key, the partition, when it was
    made, when it ends, its labels. So no row can be put in another's place, and what is read is what was
    written, under this key. Whoever reads the database without it learns how many answers there are, how
    long they are, when they were made, by which model, their tags, and how often each is asked for. As
    with `Checksum`, an older row can be put back, or one deleted.

    Args:
        key: 32 bytes, as a KMS gives them, or those in URL-safe base64, as text or bytes: what
            `cryptography.fernet.Fernet.generate_key()` returns. There is no password, which would be
            guessed: a key is drawn, not thought of.

    Raises:
        ValueError: It is no such key. The message does not tell it.
        ImportError: `cryptography` is not installed.
    """

    def __init__(self, key: bytes | str) -> None:
        raw = key_of(key)
        needs("cryptography", extra="encrypt", purpose="encrypt=")
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._aead = AESGCM(hmac.digest(raw, b"cachemux: rows", "sha256"))
        which = hmac.digest(raw, b"cachemux: which key", "sha256").hex()[:16]
        self.name = f"aes-256-gcm {which}"

    def __repr__(self) -> str:
        """Its kind, and a fingerprint of the key."""
        return f"Encrypted({self.name!r})"

    def sign(self, table: Table, row: Row) -> Row:
        """As `Seal.sign`: what is hidden goes into the seal, and nothing is left in its place."""
        nonce = os.urandom(NONCE)
        open_row, hidden = self._parted(table, row)
        sealed = self._aead.encrypt(nonce, _packed(hidden), message(table, open_row))
        return {**open_row, "seal": nonce + sealed}

    def open(self, table: Table, row: Row) -> Row:
        """As `Seal.open`."""
        from cryptography.exceptions import InvalidTag

        seal = row.get("seal")
        open_row, _ = self._parted(table, row)
        try:
            plain = self._aead.decrypt(seal[:NONCE], seal[NONCE:], message(table, open_row))  # type: ignore[index]
        except (InvalidTag, ValueError, TypeError):
            msg = f"a row of {table} is not as it was written, or was written under another key"
            raise DamagedError(msg) from None
        return {**row, **_unpacked(plain)}

    def _parted(self, table: Table, row: Row) -> tuple[Row, Row]:
        """A row with nothing in the columns that are hidden, and what was there."""
        empty = {name: None if name == "vector" else "" for name in HIDDEN[table]}
        return {**row, **empty}, {name: row[name] for name in HIDDEN[table]}


def seal_of(
    *, secret: str | bytes | None = None, encrypt: bytes | str | None = None, kept: bool = True
) -> Seal:
    """Return what a folder is written under, as its user describes it.

    Args:
        secret: Signs rows.
        encrypt: A key that also encrypts them.
        kept: Whether there is a folder.

    Raises:
        ValueError: They are of the wrong kind, or cannot go together. The message tells neither.
    """
    if encrypt is None:
        return Checksum(secret)
    if not kept or secret is not None:
        msg = "encrypt must be given with a folder (path=), and without secret: a key signs too"
        raise ValueError(msg)
    return Encrypted(encrypt)


def key_of(given: object) -> bytes:
    """Return the 32 bytes of a key, given as such or in base64.

    Raises:
        ValueError: They are none. The message does not tell what was given.
    """
    raw = given if isinstance(given, bytes) else b""
    text = given if isinstance(given, str) else ""
    if len(raw) != BYTES:
        try:
            raw = base64.b64decode(text or raw, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
    right = len(raw) == BYTES and raw != bytes(BYTES)
    what = "32 bytes, or those in URL-safe base64, such as Fernet.generate_key() returns"
    expect(right, "encrypt", what, _Hidden(given))
    return raw


class _Hidden:
    """What an error says of what was given in place of a key."""

    def __init__(self, given: object) -> None:
        self.kind = type(given).__name__

    def __repr__(self) -> str:
        return f"a {self.kind} that is none"


def _packed(hidden: Row) -> bytes:
    """What is hidden of a row, as JSON."""
    texts = {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for name, value in hidden.items()
    }
    return json.dumps(texts, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _unpacked(plain: bytes) -> Row:
    """What `_packed` was given."""
    row: Row = json.loads(plain.decode("utf-8", "surrogatepass"))
    if row.get("vector") is not None:
        row["vector"] = base64.b64decode(row["vector"])
    return row

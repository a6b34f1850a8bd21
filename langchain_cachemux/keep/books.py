"""What every store keeps its books by: how much it may hold."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, SupportsIndex, cast

TYPICAL_BYTES = 4096
"""An entry with its vector, to turn a capacity in bytes into an order of magnitude of entries."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much may be held: so many entries, or so many bytes of them."""

    total: int
    unit: Literal["entries", "bytes"] = "entries"

    @classmethod
    def parse(cls, capacity: int | str) -> Capacity:
        """Read what a user writes: `10_000` entries, or a size with its unit, `"512MB"`.

        Raises:
            ValueError: It is neither, or not positive.
        """
        from pydantic import ByteSize, TypeAdapter, ValidationError

        total, given = 0, cast("object", capacity)
        if isinstance(given, str) and given.strip().casefold().endswith("b"):
            with suppress(ValidationError, OverflowError):
                total = int(TypeAdapter(ByteSize).validate_python(given))
        elif isinstance(given, SupportsIndex) and not isinstance(given, bool):
            total = given.__index__()
        if total <= 0:
            msg = (
                "capacity must be a positive number of entries or a size like '512MB', "
                f"got {capacity!r}"
            )
            raise ValueError(msg)
        return cls(total, "bytes" if isinstance(capacity, str) else "entries")

    @property
    def in_bytes(self) -> bool:
        """Whether sizes count."""
        return self.unit == "bytes"

    @property
    def entries(self) -> int:
        """About how many entries that is."""
        return max(self.total // TYPICAL_BYTES, 1) if self.in_bytes else self.total

"""What came of recent questions and answers, so that it need not be found out again."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from langchain_cachemux.locks import Lock

T = TypeVar("T")


class Recent(Generic[T]):
    """What came of recent texts; the one that was asked about longest ago is forgotten first.

    Args:
        size: Texts remembered.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: OrderedDict[str, T] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> T | None:
        """Return what came of it, if that is remembered."""
        with self._lock:
            value = self._held.get(key)
            if value is not None:
                self._held.move_to_end(key)
            return value

    def put(self, key: str, value: T) -> T:
        """Remember what came of it, and return that."""
        with self._lock:
            self._held[key] = value
            self._held.move_to_end(key)
            if len(self._held) > self._size:
                self._held.popitem(last=False)
        return value

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._held.clear()

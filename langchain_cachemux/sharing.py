"""How one call of a model uses a cache: as it is, afresh, or not at all; and nobody waits in vain."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_cachemux.arguments import expect
from langchain_cachemux.flight import Flight, Flights, leading

if TYPE_CHECKING:
    from langchain_core.caches import BaseCache
    from langchain_core.outputs import Generation

REFRESH = "refresh"


class Sharing:
    """A cache for the time of one call, whose equal questions at once are one.

    An `LECCache` lets its callers wait for one another. Before any other cache they wait here, and look
    when the first has found an answer in it, or has told it one.

    Args:
        cache: Any of LangChain's caches; None when there is none.
        flights: Where the callers of other caches wait.
        use: What the caller said of this call: `False` neither looks nor tells, `"refresh"` only tells.
        ttl: How long the answer to this call holds; by default as the cache says.

    Raises:
        ValueError: `use` is something else, `ttl` is no while, or the cache keeps answers for ever.
    """

    def __init__(
        self, cache: BaseCache | None, flights: Flights, use: Any = None, *, ttl: Any = None
    ) -> None:
        known = use is None or isinstance(use, bool) or use == REFRESH
        expect(known, "cache", 'True, False or "refresh" for one call', use)
        self._said: Callable[[], AbstractContextManager[object]] = nullcontext
        if ttl is not None and cache is not None:
            keeping: Any = getattr(cache, "keeping", None)
            what = f"left out: a {type(cache).__name__} keeps answers as long as it does"
            expect(keeping is not None, "ttl", what, ttl)
            self._said = partial(keeping, ttl=ttl)
            self._said()
        self._cache = None if use is False else cache
        self._looks = use != REFRESH
        self._flights = None if hasattr(cache, "flights") else flights
        self._led: list[Flight] = []

    @property
    def plain(self) -> BaseCache | None:
        """The cache that is asked, where it is none that watches over its callers itself."""
        return self._cache if self._looks and self._flights is not None else None

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """Return what the cache holds, or what another call brought meanwhile."""
        if self._cache is None or not self._looks:
            return None
        with leading() as self._led, self._said():
            self._join(prompt, llm_string)
            return self._landed(prompt, llm_string, self._cache.lookup(prompt, llm_string))

    async def alookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """As `lookup`."""
        if self._cache is None or not self._looks:
            return None
        with leading() as self._led, self._said():
            await self._ajoin(prompt, llm_string)
            found = await self._cache.alookup(prompt, llm_string)
            return self._landed(prompt, llm_string, found)

    def update(self, prompt: str, llm_string: str, generations: Sequence[Generation]) -> None:
        """Tell the cache, and all who wait."""
        if self._cache is not None:
            with self._said():
                self._cache.update(prompt, llm_string, generations)
            self._land(prompt, llm_string)

    async def aupdate(
        self, prompt: str, llm_string: str, generations: Sequence[Generation]
    ) -> None:
        """As `update`."""
        if self._cache is not None:
            with self._said():
                await self._cache.aupdate(prompt, llm_string, generations)
            self._land(prompt, llm_string)

    @contextmanager
    def doubting(self, key: str | None) -> Iterator[None]:
        """Have the answer that goes by a key forgotten when the block cannot use it."""
        try:
            yield
        except Exception:
            doubt = getattr(self._cache, "doubt", None)
            if doubt is not None and key is not None:
                doubt(key)
            raise

    @contextmanager
    def left_on_error(self) -> Iterator[None]:
        """Leave when the block fails, is cancelled or is closed."""
        try:
            yield
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Let those who still wait go on by themselves; nothing when the answer came."""
        for flight in self._led:
            flight.end(None)

    def _join(self, prompt: str, llm_string: str) -> None:
        if self._flights is not None:
            self._flights.join(_key(prompt, llm_string))

    async def _ajoin(self, prompt: str, llm_string: str) -> None:
        if self._flights is not None:
            await self._flights.ajoin(_key(prompt, llm_string))

    def _landed(
        self, prompt: str, llm_string: str, found: Sequence[Generation] | None
    ) -> Sequence[Generation] | None:
        """What was found, with which the others who waited are served too."""
        if found:
            self._land(prompt, llm_string)
        return found

    def _land(self, prompt: str, llm_string: str) -> None:
        if self._flights is not None:
            self._flights.land(_key(prompt, llm_string), "the cache was told")


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()

"""Where a cache is kept that machines share: the addresses of its servers."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import cache, partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import unquote, urlsplit
from weakref import finalize

from langchain_cachemux.arguments import expect

if TYPE_CHECKING:
    from chromadb.api import AsyncClientAPI, ClientAPI


@dataclass(frozen=True, repr=False)
class Servers:
    """Where a cache is kept that machines share; a repr tells no password.

    Raises:
        ValueError: `chroma` is no address of an HTTP server.
    """

    database: str
    """Address of the database, `postgresql+psycopg://user:password@host/name`."""
    chroma: str | Callable[[], ClientAPI | Awaitable[AsyncClientAPI]] | None = None
    """Address of a Chroma server, `https://user:password@host:8000`, or what makes a client, be it one
    that is awaited."""
    collection: str = "cachemux"
    """The collection there that the caches of this database use."""

    def __post_init__(self) -> None:
        """Refuse an address that leads nowhere."""
        if isinstance(self.chroma, str):
            parts = urlsplit(self.chroma)
            right = parts.scheme in {"http", "https"} and parts.hostname
            what = "an address such as 'http://localhost:8000'"
            expect(right, "chroma", what, parts._replace(netloc=parts.hostname or "").geturl())

    def client(self) -> ClientAPI:
        """A client of the Chroma server."""
        if callable(self.chroma):
            made = self.chroma()
            return cast("ClientAPI", Waited(_waited(made)) if isawaitable(made) else made)
        import chromadb
        from chromadb.config import Settings

        parts = urlsplit(self.chroma or "")
        headers = {}
        if parts.username is not None:
            from base64 import b64encode

            told = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Authorization"] = f"Basic {b64encode(told.encode()).decode()}"
        client = chromadb.HttpClient(
            parts.hostname or "",
            parts.port or (443 if parts.scheme == "https" else 80),
            ssl=parts.scheme == "https",
            headers=headers,
            settings=Settings(anonymized_telemetry=False),
        )
        for one in (client, getattr(client, "_admin_client", None)):
            session = getattr(getattr(one, "_server", None), "_session", None)
            if session is not None:  # of HTTP, which a client leaves open
                finalize(client, session.close)
        return client


class Waited:
    """A client whose calls are awaited, or a collection of one, as one that is called.

    The index asks it in threads of its own, which may wait. It is awaited in a loop that nobody else
    uses.

    Args:
        of: The client or the collection.
    """

    def __init__(self, of: Any) -> None:
        self._of = of

    def __getattr__(self, name: str) -> Any:
        """Return what it has by that name; of a call what comes of it."""
        found = getattr(self._of, name)
        return partial(_called, found) if callable(found) else found


def _called(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What comes of a call, awaited where it has to be; a collection is awaited in turn."""
    made = work(*args, **kwargs)
    if not isawaitable(made):
        return made
    found = _waited(made)
    return Waited(found) if hasattr(found, "upsert") else found


def _waited(work: Awaitable[Any]) -> Any:
    """What comes of it."""
    return asyncio.run_coroutine_threadsafe(
        cast("Coroutine[Any, Any, Any]", work), _loop(os.getpid())
    ).result()


@cache
def _loop(_process: int) -> asyncio.AbstractEventLoop:
    """A loop in a thread of its own, started when first needed; a forked process has none of it."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="cachemux chroma", daemon=True).start()
    return loop


class Connected:
    """What can also be opened on servers, in place of a folder."""

    @classmethod
    def connect(
        cls,
        *,
        database: str,
        chroma: str | Callable[[], ClientAPI | Awaitable[AsyncClientAPI]] | None = None,
        collection: str = "cachemux",
        **settings: Any,
    ) -> Self:
        """Open a cache that any number of processes and machines share.

        Args:
            database: Address of its PostgreSQL, `postgresql+psycopg://user:password@host/name`; its
                tables are made where they are missing.
            chroma: Address of a Chroma server, `http://host:8000`, or what makes a client of one, such
                as `lambda: chromadb.AsyncHttpClient("host")`. By default each process searches for
                itself what is near.
            collection: The collection there.
            settings: As of the class, but for `path` and `shared`.

        Raises:
            ValueError: An argument is wrong, or the database was made with another embedder.
            ImportError: What it needs is not installed (`langchain-cachemux[server]`).
            sqlalchemy.exc.SQLAlchemyError: The database cannot be reached.
        """
        place: Any = Servers(database, chroma=chroma, collection=collection)
        make: Any = cls
        cache: Self = make(place, **settings)
        return cache

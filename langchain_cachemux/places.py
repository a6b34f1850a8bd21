"""Where a cache is kept that machines share: the addresses of its servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit
from weakref import finalize

from langchain_cachemux.arguments import expect

if TYPE_CHECKING:
    from chromadb.api import ClientAPI


@dataclass(frozen=True, repr=False)
class Servers:
    """Where a cache is kept that machines share; a repr tells no password.

    Raises:
        ValueError: `chroma` is no address of an HTTP server.
    """

    database: str
    """Address of the database, `postgresql+psycopg://user:password@host/name`."""
    chroma: str | Callable[[], ClientAPI] | None = None
    """Address of a Chroma server, `https://user:password@host:8000`, or what makes a client."""
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
            return self.chroma()
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


class Connected:
    """What can also be opened on servers, in place of a folder."""

    @classmethod
    def connect(
        cls,
        *,
        database: str,
        chroma: str | Callable[[], ClientAPI] | None = None,
        collection: str = "cachemux",
        **settings: Any,
    ) -> Self:
        """Open a cache that any number of processes and machines share.

        Args:
            database: Address of its PostgreSQL, `postgresql+psycopg://user:password@host/name`; its
                tables are made where they are missing.
            chroma: Address of a Chroma server, `http://host:8000`, or what makes a client of one. By
                default each process searches for itself what is near.
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

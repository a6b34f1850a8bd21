"""Servers of the tests' own, and caches that several processes share."""

import sys
from pathlib import Path

import pytest

from langchain_cachemux.keep.shared import connections

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import servers

SECONDS = connections.READING, connections.WRITING


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL that answers; whoever stops it starts it again."""
    try:
        server = servers.Postgres()
    except servers.NoServerError as reason:
        pytest.skip(str(reason))
    with server:
        yield server


@pytest.fixture(scope="session")
def chroma():
    """A Chroma server that answers; whoever stops it starts it again."""
    with servers.Chroma() as server:
        yield server


@pytest.fixture
def impatient(monkeypatch):
    """Statements are given as long as they are elsewhere: the test is about deadlines."""
    monkeypatch.setattr(connections, "READING", SECONDS[0])
    monkeypatch.setattr(connections, "WRITING", SECONDS[1])


@pytest.fixture
def server(impatient):
    """A PostgreSQL of the test's own, that may be stopped."""
    with servers.Postgres() as server:
        yield server


@pytest.fixture
def database(postgres):
    """The address of a database of the test's own."""
    with postgres.database() as url:
        yield url

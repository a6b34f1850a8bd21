"""Servers of the tests' own, and caches that several processes share."""

import sys
from pathlib import Path

import pytest

from langchain_cachemux.keep.shared import connections
from langchain_cachemux.match import index

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import servers

GIVEN = [
    (connections, "READING", connections.READING),
    (connections, "WRITING", connections.WRITING),
    (index, "PATIENCE", index.PATIENCE),
]


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
    """What is asked has as long as it has elsewhere: the test is about deadlines."""
    for given in GIVEN:
        monkeypatch.setattr(*given)


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

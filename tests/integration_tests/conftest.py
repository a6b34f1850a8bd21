"""Servers of the tests' own, and caches that several processes share."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import servers


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
def database(postgres):
    """The address of a database of the test's own."""
    with postgres.database() as url:
        yield url

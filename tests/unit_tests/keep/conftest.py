"""Ledgers of both kinds."""

import pytest

from langchain_cachemux.keep.durable.ledger import SqlLedger
from langchain_cachemux.keep.memory import MemoryLedger


@pytest.fixture
def sql(tmp_path):
    """Open ledgers over SQLite files, by default each its own; all are closed at the end."""
    opened = []

    def make(capacity, policy, ghosts=None, *, name=None, **how):
        url = f"sqlite:///{tmp_path}/{name or len(opened)}.db"
        opened.append(SqlLedger(url, capacity=capacity, policy=policy, ghosts=ghosts, **how))
        return opened[-1]

    yield make
    for ledger in opened:
        ledger.close()


@pytest.fixture(params=["memory", "sql"])
def make(request, sql):
    """Build either ledger from `(capacity, policy, ghosts)`."""
    if request.param == "sql":
        return sql
    return lambda capacity, policy, ghosts=None: MemoryLedger(
        capacity, policy=policy, ghosts=ghosts
    )

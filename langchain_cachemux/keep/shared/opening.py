"""How a shared ledger is opened: its tables made, its rules compared with those of who made it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import sqlalchemy as sa

from langchain_cachemux.arguments import expect
from langchain_cachemux.keep import probes
from langchain_cachemux.keep.shared.books import Course, SharedBooks
from langchain_cachemux.keep.shared.tables import (
    ABOUT,
    FOLLOWED,
    PROCESSES,
    SCHEMA,
    SHARED,
)
from langchain_cachemux.keep.shared.upkeep import fill, recount

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_cachemux.keep.books import Rules
    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.keep.sealed import Seal
    from langchain_cachemux.types import Vector

ENDED = 60.0
"""Seconds after which a process that has not written its row is taken to have ended."""


def made(
    db: sa.Connection,
    *,
    rules: Rules,
    about: Mapping[str, str],
    seal: Seal,
    on: Callable[[int, int], Course],
) -> None:
    """Make what is missing, compare what is there, and take the capacity and the policies given.

    Args:
        db: A transaction.
        rules: Of who opens it.
        about: What the entries are true of.
        seal: What rows are written under.
        on: The course of a place and an era.

    Raises:
        ValueError: The tables were made about something else, or other processes follow other policies.
    """
    if db.dialect.name == "postgresql":
        db.execute(_ONE_AT_A_TIME)
    SHARED.create_all(db)
    stored = {row.name: row.value for row in db.execute(sa.select(ABOUT))}
    given = {"schema": SCHEMA, "seal": seal.name, **about}
    for name, value in given.items():
        if stored.get(name, value) != value:
            msg = f"{name} is {value!r}, but the stored entries were made with {stored[name]!r}"
            raise ValueError(msg)
    kept = {
        **given,
        "capacity": str(rules.capacity),
        "policy": _described(rules.policies),
        "half-lives": json.dumps(rules.half_lives),
    }
    db.execute(sa.delete(ABOUT).where(ABOUT.c.name.in_(kept)))
    db.execute(sa.insert(ABOUT), [{"name": n, "value": v} for n, v in kept.items()])
    if not stored:
        db.execute(sa.insert(FOLLOWED), {"id": 1, "place": 0, "era": 0})
        fill(db, rules.capacity)
        return
    if stored["policy"] != kept["policy"]:
        _change_policy(db, rules, before=json.loads(stored["half-lives"]))
    (row,) = db.execute(sa.select(FOLLOWED)).all()
    books = SharedBooks(rules, on(row.place, row.era), db, seal=seal)
    books.resize(rules.capacity - int(stored["capacity"]))
    books.settle()


def embedder(db: sa.Connection, vector: Vector) -> int | None:
    """Return the place of an embedder among those that vectors are of, in a transaction."""
    if db.dialect.name == "postgresql":
        db.execute(_ONE_AT_A_TIME)
    written = db.scalar(sa.select(ABOUT.c.value).where(ABOUT.c.name == probes.NAME))
    place, told = probes.found(written, vector)
    if told != written:
        db.execute(sa.delete(ABOUT).where(ABOUT.c.name == probes.NAME))
        db.execute(sa.insert(ABOUT), {"name": probes.NAME, "value": told})
    return place


def _change_policy(db: sa.Connection, rules: Rules, *, before: Sequence[float]) -> None:
    """Begin a new era under other policies; each of their counts begins as the nearest that is kept."""
    since = time.time() - ENDED
    others = sa.select(PROCESSES.c.id).where(PROCESSES.c.id != "", PROCESSES.c.seen > since)
    expect(
        db.execute(others).first() is None,
        "policy",
        "that of the other processes that have the cache open; close them, wait a minute and change it",
        [*rules.policies],
    )
    db.execute(sa.update(FOLLOWED).values(place=0, era=FOLLOWED.c.era + 1))
    if [*before] != [*rules.half_lives]:
        recount(db, before, rules.half_lives)


def _described(policies: Sequence[Policy]) -> str:
    """What tells two lists of policies apart; a repr that is an address says nothing."""
    return repr(
        [
            (type(policy).__qualname__, policy.half_life)
            if type(policy).__repr__ is object.__repr__
            else repr(policy)
            for policy in policies
        ]
    )


_ONE_AT_A_TIME = sa.select(sa.func.pg_advisory_xact_lock(0x63616368656D))

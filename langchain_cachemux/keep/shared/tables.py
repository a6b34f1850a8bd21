"""The tables of a ledger that processes share: no row that every request would have to write.

What is held is bounded by room, which lies in a few purses: the sizes of all entries and what is in the
purses come to the capacity at every moment. Who comes takes room from a purse that nobody else has in
hand, or from a victim, which it locks. So nobody waits, and no two take the same.
"""

from __future__ import annotations

import sqlalchemy as sa

SCHEMA = "shared 1"
"""Which tables these are."""

SHARED = sa.MetaData()
ABOUT = sa.Table(
    "about",
    SHARED,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
PURSES = sa.Table(
    "purses",
    SHARED,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("room", sa.BigInteger, sa.CheckConstraint("room >= 0"), nullable=False),
    sa.Column("entries", sa.BigInteger, nullable=False, server_default="0"),
)
"""The room that is free, and how many entries are held, each in parts that only come to a sum."""
ENTRIES = sa.Table(
    "entries",
    SHARED,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("cost", sa.Double, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("uses", sa.Double, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("era", sa.BigInteger, nullable=False),
    sa.Column("worth", sa.Double, nullable=False),
    sa.Index("least", "era", "worth", "last"),
)
"""The numbers; a flush rewrites them, and no answer."""
PAYLOADS = sa.Table(
    "payloads",
    SHARED,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("vector", sa.LargeBinary),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("made", sa.Double, nullable=False),
    sa.Column("expires", sa.Double),
    sa.Column("labels", sa.Text, nullable=False),
    sa.Column("seal", sa.LargeBinary),
    sa.Index("ends", "expires"),
)
"""What of an entry is never changed, but for its end, under a seal."""
SLOTS = sa.Table(
    "slots",
    SHARED,
    sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.Text, unique=True),
    sa.Column("of", sa.Text, index=True),
    sa.Column("size", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("turn", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("text", sa.Text),
    sa.Column("vector", sa.LargeBinary),
    sa.Column("seal", sa.LargeBinary),
    sa.Column("changed", sa.BigInteger, nullable=False, server_default="0", index=True),
    sa.Column("by", sa.Text),
)
"""Who has which row of the index: an entry (`of` is `key`), an alias with its words, nobody (null)."""
_FREE = SLOTS.c.key.is_(None)
sa.Index("free", SLOTS.c.slot, postgresql_where=_FREE, sqlite_where=_FREE)
GHOSTS = sa.Table(
    "ghosts",
    SHARED,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("turn", sa.BigInteger, nullable=False, index=True),
)
DIFFERENCES = sa.Table(
    "differences",
    SHARED,
    sa.Column("one", sa.Text, primary_key=True),
    sa.Column("other", sa.Text, primary_key=True),
    sa.Column("turn", sa.BigInteger, nullable=False, index=True),
)
PROCESSES = sa.Table(
    "processes",
    SHARED,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("losses", sa.JSON, nullable=False),
    sa.Column("era", sa.BigInteger, nullable=False),
    sa.Column("worth", sa.Double),
    sa.Column("seen", sa.Double, nullable=False),
)
"""A row a process, which nobody else writes; those that ended are counted in the row ``."""
LEASES = sa.Table(
    "leases",
    SHARED,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("process", sa.Integer, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)
"""Who asks a model just now, where the database has no locks that end with who holds them."""
NOTES = sa.Table(
    "notes",
    SHARED,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("outcomes", sa.BigInteger, nullable=False),
    sa.Column("written", sa.Double, nullable=False),
)
"""What was learned beside the answers: of matching, of costs, by routers."""
FOLLOWED = sa.Table(
    "followed",
    SHARED,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("era", sa.BigInteger, nullable=False),
)
"""The policy by which worths are; it changes with the era."""

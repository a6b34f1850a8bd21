"""The tables of a ledger in SQL.

Counts, standings with the policies and payloads live apart: a hit rewrites rows of numbers, not an
answer.
"""

from __future__ import annotations

import sqlalchemy as sa

SCHEMA, BEFORE = "3", "2"
"""Which tables these are, and those that `upgrade` makes them of."""

TABLES = sa.MetaData()
ABOUT = sa.Table(
    "about",
    TABLES,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
BOOKS = sa.Table(
    "books",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("now", sa.BigInteger, nullable=False),
    sa.Column("held", sa.Integer, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("slots", sa.Integer, nullable=False),
    sa.Column("leader", sa.Integer, nullable=False),
    sa.Column("ghosts", sa.Integer, nullable=False),
)
ENTRIES = sa.Table(
    "entries",
    TABLES,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("slot", sa.Integer, nullable=False, unique=True),
    sa.Column("cost", sa.Double, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
)
PAYLOADS = sa.Table(
    "payloads",
    TABLES,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("vector", sa.LargeBinary),
    sa.Column("answer", sa.Text, nullable=False),
)
SHADOWS = sa.Table(
    "shadows",
    TABLES,
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("loss", sa.Double, nullable=False),
    sa.Column("victim_worth", sa.Double),
)
STANDINGS = sa.Table(
    "standings",
    TABLES,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("uses", sa.Double, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("worth", sa.Double, nullable=False),
    sa.Index("least", "place", "worth", "last"),
)
STRAYS = sa.Table(
    "strays",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.UniqueConstraint("key", "place"),
    sa.Index("first", "place", "id"),
    sqlite_autoincrement=True,
)
GHOSTS = sa.Table(
    "ghosts",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
FREE = sa.Table("free_slots", TABLES, sa.Column("slot", sa.Integer, primary_key=True))
WORDINGS = sa.Table(
    "wordings",
    TABLES,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("of", sa.Text, nullable=False, index=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("slot", sa.Integer, nullable=False, unique=True),
    sa.Column("turn", sa.BigInteger, nullable=False, unique=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("vector", sa.LargeBinary),
)
DIFFERENCES = sa.Table(
    "differences",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("one", sa.Text, nullable=False),
    sa.Column("other", sa.Text, nullable=False),
    sa.UniqueConstraint("one", "other"),
    sqlite_autoincrement=True,
)


def upgrade(db: sa.Connection) -> dict[str, str]:
    """Make what the tables of the version before lack.

    Returns:
        What is written in `ABOUT`: the schema, and what the entries are true of.
    """
    about = {row.name: row.value for row in db.execute(sa.select(ABOUT))}
    if about.get("schema") == BEFORE:
        TABLES.create_all(db, tables=[WORDINGS, DIFFERENCES])
        db.execute(sa.update(ABOUT).where(ABOUT.c.name == "schema").values(value=SCHEMA))
        about["schema"] = SCHEMA
    return about

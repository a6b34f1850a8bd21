"""The tables of a ledger in SQL.

Counts and payloads live apart: a hit rewrites rows of numbers, not an answer. `ENTRIES`, `PAYLOADS`,
`WORDINGS` and `DIFFERENCES` are the truth of every ledger in SQL, and so are the counts in `GHOSTS`;
what changes of their rows is under no seal. What else there is belongs to whoever keeps the books:
`SqlLedger` writes `BOOKS` and `SHADOWS`, and finds free slots by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

if TYPE_CHECKING:
    from langchain_cachemux.keep.sealed import Seal, Table

SCHEMA, BEFORE = "4", ("2", "3")
"""Which tables these are, and those that `upgrade` makes them of."""
_GONE = ("standings", "strays", "free_slots")
"""Tables of versions before: what the policies would hold, and slots, are found anew."""
BATCH = 1000
"""Rows that are signed at once."""

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
    sa.Column("made", sa.Double),
    sa.Column("expires", sa.Double),
    sa.Column("labels", sa.Text),
    sa.Column("seal", sa.LargeBinary),
)
ENDS = sa.Index("ends", PAYLOADS.c.expires)
SHADOWS = sa.Table(
    "shadows",
    TABLES,
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("loss", sa.Double, nullable=False),
    sa.Column("victim_worth", sa.Double),
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
    sa.Column("seal", sa.LargeBinary),
)
DIFFERENCES = sa.Table(
    "differences",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("one", sa.Text, nullable=False),
    sa.Column("other", sa.Text, nullable=False),
    sa.Column("seal", sa.LargeBinary),
    sa.UniqueConstraint("one", "other"),
    sqlite_autoincrement=True,
)


def upgrade(db: sa.Connection, seal: Seal) -> dict[str, str]:
    """Make what the tables of versions before lack, and sign their rows.

    Args:
        db: A write transaction in which `ABOUT` exists.
        seal: Under which rows are read from now on.

    Returns:
        What is written in `ABOUT`: the schema, and what the entries are true of.
    """
    about = {row.name: row.value for row in db.execute(sa.select(ABOUT))}
    if about.get("schema") not in BEFORE:
        return about
    TABLES.create_all(db, tables=[WORDINGS, DIFFERENCES])
    for table in (PAYLOADS, WORDINGS, DIFFERENCES):
        known = {column["name"] for column in sa.inspect(db).get_columns(table.name)}
        for column in table.c:
            if column.name not in known:
                column_of = sa.schema.CreateColumn(column).compile(dialect=db.dialect)
                db.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {column_of}")
    for name in _GONE:
        db.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
    db.execute(sa.update(PAYLOADS).values(made=0.0, labels="[]"))
    for table in (PAYLOADS, WORDINGS, DIFFERENCES):
        _sign(db, seal, table)
    new = {"schema": SCHEMA, "seal": seal.name}
    db.execute(sa.delete(ABOUT).where(ABOUT.c.name.in_(new)))
    db.execute(sa.insert(ABOUT), [{"name": name, "value": value} for name, value in new.items()])
    return {**about, **new}


def _sign(db: sa.Connection, seal: Seal, table: sa.Table) -> None:
    """Write the seal of every row, and whatever else of it reads otherwise under that."""
    keys, name = list(table.primary_key), cast("Table", table.name)
    own = sa.and_(*[column == sa.bindparam(f"own_{column.name}") for column in keys])
    after: list[Any] = []
    while True:
        page = sa.select(table).order_by(*keys).limit(BATCH)
        rows = db.execute(page.where(keys[0] > after[0]) if after else page).mappings().all()
        if not rows:
            return
        signed = [
            {**{f"own_{key.name}": row[key.name] for key in keys}, **seal.sign(name, dict(row))}
            for row in rows
        ]
        db.execute(sa.update(table).where(own), signed)
        after = [rows[-1][keys[0].name]]

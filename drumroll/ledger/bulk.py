"""Many rows at once."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql
from sqlmodel.sql.sqltypes import UTCDateTime

from drumroll.errors import LedgerError


def insert_new(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> int:
    """Insert the rows that break no unique key, on the caller's transaction; returns how many those were."""
    if not rows:
        return 0
    if connection.dialect.name == "postgresql":
        insert = postgresql.insert(table).on_conflict_do_nothing()
        return connection.execute(insert, [dict(zip(columns, row, strict=True)) for row in rows]).rowcount
    # SQLite takes rows faster than SQLAlchemy can bind their values one by one, so they are bound by column here.
    values = zip(columns, zip(*rows, strict=True), strict=True)
    ready = list(zip(*(_stored(connection, table, name, each) for name, each in values), strict=True))
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    # Table and column names are this package's own; every value is a parameter.
    line = f"INSERT INTO {table.name} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
    return connection.exec_driver_sql(line, ready).rowcount


def _stored(connection: Connection, table: Table, column: str, values: Sequence[Any]) -> Sequence[Any]:
    """A column's values as SQLite stores them. Times repeat a lot: each is converted once."""
    if not isinstance(table.c[column].type, UTCDateTime):
        return values
    times = set(values)
    if any(time.utcoffset() is None for time in times):
        raise LedgerError("a time without a zone was refused", where=f"{table.name}.{column}", remedy="give UTC times")
    bind = table.c[column].type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    stored = {time: bind(time) if bind else time for time in times}
    return [stored[time] for time in values]

"""Statements of the sending path, compiled once.

SQLAlchemy's handling of parameters and rows costs five times what the database does for a row, and as much as the wire;
see `python -m benchmarks fanout`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.types import TypeEngine
from sqlmodel.sql.sqltypes import UTCDateTime


class Lean:
    """One statement with named parameters, compiled for the dialect of whoever executes it."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {}

    def execute(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Any]:
        """All rows, as the driver gives them; values as the driver takes them (`to_driver`)."""
        text, shaped = self._for(connection.dialect)
        return connection.exec_driver_sql(text, shaped(values)).all()

    def execute_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Once for each row of values; how many rows of the table it changed in all."""
        text, shaped = self._for(connection.dialect)
        return connection.exec_driver_sql(text, [shaped(row) for row in rows]).rowcount

    def _for(self, dialect: Dialect) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
        if dialect.name not in self._compiled:
            compiled: Any = self._statement.compile(dialect=dialect)
            names, fixed = compiled.positiontup, dict(compiled.params)
            if names is None:
                self._compiled[dialect.name] = (str(compiled), lambda values: {**fixed, **values})
            else:
                self._compiled[dialect.name] = (
                    str(compiled),
                    lambda values: tuple(map({**fixed, **values}.__getitem__, names)),
                )
        return self._compiled[dialect.name]


def to_driver(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any]:
    """From our values to the driver's, for a column of this type."""
    process: Any = kind.dialect_impl(dialect).bind_processor(dialect)
    if dialect.name == "sqlite" and isinstance(kind, UTCDateTime):
        # What `process` does, at half the cost.
        return lambda at: at.isoformat(" ", "microseconds")[:26] if at is not None and at.tzinfo is UTC else process(at)
    return process if process is not None else lambda value: value


def from_driver(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any]:
    """From the driver's values to ours, for a column of this type; equal ones are read once."""
    process: Any = kind.dialect_impl(dialect).result_processor(dialect, None)
    return lru_cache(maxsize=256)(process) if process is not None else lambda value: value

"""Many rows at once, straight to the driver: tuples, without a dictionary per row."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError

from v3core.store.database import Transaction
from v3core.store.schema import UtcDateTime


def insert_rows(tx: Transaction, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert tuples.

    Args:
        tx: a writing transaction.
        table: where.
        columns: names of the table's columns that the tuples hold, in their order.
        rows: values as the driver takes them; a time is made by `driver_time`.

    Raises:
        DBAPIError: as SQLAlchemy's own inserts do.
    """
    if not rows:
        return
    statement = _statement(tx.dialect.name, table.name, tuple(columns))
    if tx.dialect.name == "sqlite":
        tx.exec_driver_sql(statement, rows)
        return
    try:
        with tx.connection.cursor().copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except tx.dialect.loaded_dbapi.Error as error:
        raise DBAPIError.instance(statement, None, error, tx.dialect.loaded_dbapi.Error, dialect=tx.dialect) from error


def driver_time(tx: Transaction, moment: datetime) -> Any:
    """A time as the driver takes it."""
    process = UtcDateTime().dialect_impl(tx.dialect).bind_processor(tx.dialect)
    return process(moment) if process is not None else moment


@cache
def _statement(dialect: str, table: str, columns: tuple[str, ...]) -> str:
    names = ", ".join(f'"{column}"' for column in columns)
    if dialect == "sqlite":
        return f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})"
    return f"COPY {table} ({names}) FROM STDIN"

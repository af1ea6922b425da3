"""Bulk inserts and reads, directly through the driver: tuples, without a dictionary per row.

Recording and exporting spend most of their time here (`benchmarks/recorder.py`, `benchmarks/export.py`).
"""

import math
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError

from v3core.rollup import Floats
from v3core.store.schema import Transaction, UtcDateTime

_TOGETHER = 768
"""Values in one statement; of more, SQLite makes a slower program."""


def insert_rows(
    tx: Transaction,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    shared: tuple[Any, ...] = (),
) -> None:
    """Insert tuples.

    Args:
        tx: a writing transaction.
        table: where.
        columns: names of the table's columns that are given, in their order.
        rows: values as passed to the driver; convert times with `driver_time`.
        shared: values of the first columns, if they are the same in all rows; `rows` then contain the others.

    Raises:
        DBAPIError: as SQLAlchemy's own inserts do.
    """
    if not rows:
        return
    try:
        if tx.dialect.name == "sqlite":
            _insert_together(tx, table.name, tuple(columns), rows, shared)
        else:
            with tx.connection.cursor().copy(_copy(table.name, tuple(columns))) as copy:
                for row in rows:
                    copy.write_row((*shared, *row))
    except tx.dialect.loaded_dbapi.Error as error:
        statement = f"INSERT INTO {table.name}"
        raise DBAPIError.instance(statement, None, error, tx.dialect.loaded_dbapi.Error, dialect=tx.dialect) from error


def _insert_together(
    tx: Transaction, table: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]], shared: tuple[Any, ...]
) -> None:
    """Several rows to a statement: half the time, and the interpreter's lock is asked for that much less often."""
    cursor = tx.connection.cursor()
    together = max(_TOGETHER // len(columns), 1)
    whole = len(rows) // together * together
    many, one = _insert(table, columns, len(shared), together), _insert(table, columns, len(shared), 1)
    for start in range(0, whole, together):
        cursor.execute(many, (*shared, *chain.from_iterable(rows[start : start + together])))
    for row in rows[whole:]:
        cursor.execute(one, (*shared, *row))
    cursor.close()


def driver_time(tx: Transaction, moment: datetime) -> Any:
    """A time as the driver takes it."""
    process = UtcDateTime().dialect_impl(tx.dialect).bind_processor(tx.dialect)
    return process(moment) if process is not None else moment


@cache
def _insert(table: str, columns: tuple[str, ...], shared: int, rows: int) -> str:
    # "?1" stands for the first value wherever it is; "?" for the one after the largest so far.
    places = [*(f"?{place}" for place in range(1, shared + 1)), *"?" * (len(columns) - shared)]
    values = ", ".join([f"({', '.join(places)})"] * rows)
    return f"INSERT INTO {table} ({_named(columns)}) VALUES {values}"


@cache
def _copy(table: str, columns: tuple[str, ...]) -> str:
    return f"COPY {table} ({_named(columns)}) FROM STDIN"


def _named(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def floats(values: Sequence[Any]) -> Floats:
    """Numbers of rows, or tuples of numbers, as an array; None and what is no number become NaN."""
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        return np.asarray(np.vectorize(_float, otypes=[np.float64])(np.array(values, dtype=object)))


def _float(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan

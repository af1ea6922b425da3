"""Bulk inserts, and reads of episodes, directly through the driver: tuples, without a dictionary per row.

Recording and exporting spend most of their time here (`benchmarks/recorder.py`, `benchmarks/export.py`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from sqlalchemy import Column, Table, select
from sqlalchemy.exc import DBAPIError

from v3core.errors import V3Error
from v3core.metrics import MEAN_RETURN, MEAN_SUCCESS, PER_EXPERT
from v3core.rollup import LONGEST_WINDOW, Floats, Integers, trailing_mean
from v3core.store.schema import Transaction, UtcDateTime, episodes, expert_loads
from v3core.store.trunks import NEWEST, ranges_of

_TOGETHER = 768
"""Values in one statement; of more, SQLite makes a slower program."""


COLUMNS = tuple(
    column.name for column in episodes.c if column.type.python_type in (int, float) and column.name != "episode"
)
"""The numeric columns of the episodes. The newest are at the end: stored buckets that lack them stay readable."""

OUTCOMES = [COLUMNS.index("return"), COLUMNS.index("success")]
REACH = LONGEST_WINDOW - 1
"""Episodes before one that its means reach back to."""
_CHUNK = 4096


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


def metric_names(experts: int) -> tuple[str, ...]:
    """The metrics in the order of a bucket's statistics: `load_1 …`, `hard_load_1 …`, …, then what is per episode."""
    of_experts = [f"{metric.name}_{expert}" for metric in PER_EXPERT for expert in range(1, experts + 1)]
    return (*of_experts, MEAN_RETURN, MEAN_SUCCESS, *COLUMNS)


@dataclass(frozen=True)
class Rows:
    """Episodes one by one, as the pyramid takes them."""

    episode: Integers
    """Numbers, ascending, shape [n]."""
    values: Floats
    """Shape [n, metrics], in the order of `metric_names`."""
    phases: list[str]


def gather(episode: Sequence[int], columns: Floats, per_expert: Floats, phases: list[str], before: Floats) -> Rows:
    """Put what is recorded of episodes into the pyramid's order.

    Args:
        episode: their numbers, ascending.
        columns: shape [n, columns], in the order of `COLUMNS`.
        per_expert: shape [n, 3, experts], in the order of `PER_EXPERT`.
        phases: of each.
        before: return and success of the episodes just before, oldest first, shape [m, 2]; only the last 99 count.
    """
    outcomes = np.concatenate((before, columns[:, OUTCOMES]))
    means = trailing_mean(outcomes, LONGEST_WINDOW, newest=len(columns))
    values = np.concatenate((per_expert.reshape(len(columns), -1), means, columns), axis=1)
    return Rows(np.asarray(episode, dtype=np.int64), values, phases)


def read_rows(tx: Transaction, run_id: str, experts: int, *, after: int = 0, last: int | None = None) -> Iterator[Rows]:
    """Episodes beyond `after`, up to `last`, oldest first, in chunks of bounded size.

    Raises:
        V3Error: if the experts' loads of an episode are missing.
    """
    named = {column.name: column for column in episodes.c}
    wanted = [named[name] for name in COLUMNS]
    before = recent_outcomes(tx, run_id, after)
    every = select(episodes.c.episode, episodes.c.phase, *wanted).order_by(episodes.c.episode).limit(_CHUNK)
    for part, begin, end in ranges_of(tx, run_id, after, last):
        query = every.where(episodes.c.run_id == part, episodes.c.episode <= end)
        while found := fetch_tuples(tx, query.where(episodes.c.episode > begin)):
            numbers = [row[0] for row in found]
            columns = floats([row[2:] for row in found])
            loads = _read_loads(tx, part, begin, numbers[-1])
            if len(loads) != len(found) * experts:
                raise V3Error(
                    "Run {run_id} has {loads} expert loads for {found} episodes of {experts} experts.",
                    run_id=run_id,
                    loads=len(loads),
                    found=len(found),
                    experts=experts,
                )
            per_expert = loads.reshape(len(found), experts, 3).transpose(0, 2, 1)
            yield gather(numbers, columns, per_expert, [row[1] for row in found], before)
            before = np.concatenate((before, columns[:, OUTCOMES]))[-REACH:]
            begin = numbers[-1]
            if len(found) < _CHUNK:
                break


def _read_loads(tx: Transaction, run_id: str, after: int, last: int) -> Floats:
    query = (
        select(*(expert_loads.c[metric.column] for metric in PER_EXPERT))
        .where(expert_loads.c.run_id == run_id, expert_loads.c.episode > after, expert_loads.c.episode <= last)
        .order_by(expert_loads.c.episode, expert_loads.c.expert)
    )
    return floats(fetch_tuples(tx, query)).reshape(-1, 3)


def recent_outcomes(tx: Transaction, run_id: str, upto: int = NEWEST) -> Floats:
    """Return and success of the newest 99 episodes up to one, oldest first, shape [at most 99, 2]."""
    found = newest_rows(tx, run_id, (episodes.c.return_, episodes.c.success), REACH, upto)
    return floats(found).reshape(-1, 2)


def newest_rows(
    tx: Transaction, run_id: str, columns: Sequence[Column[Any]], count: int, upto: int = NEWEST
) -> list[Any]:
    """Columns of the newest `count` episodes up to one, oldest first; part by part, because a trunk may be long."""
    found: list[Any] = []
    for part, after, last in reversed(ranges_of(tx, run_id, 0, upto)):
        c = episodes.c
        query = select(*columns).where(c.run_id == part, c.episode > after, c.episode <= last)
        found += fetch_tuples(tx, query.order_by(c.episode.desc()).limit(count - len(found)))
        if len(found) >= count:
            break
    return found[::-1]


def fetch_tuples(tx: Transaction, query: Any, values: Mapping[str, Any] | None = None) -> list[Any]:
    """Rows straight from the driver: tuples become an array ten times as fast as SQLAlchemy's rows do."""
    cursor = tx.execute(query, values).cursor
    return list(cursor.fetchall()) if cursor is not None else []

"""The tables of a run's records, as streams of rows, for exports and archives."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Float, Integer, Select, String, Table, and_, select

from v3core.metrics import PER_EXPERT
from v3core.store.schema import (
    Transaction,
    UtcDateTime,
    alarms,
    checkpoints,
    commands,
    episodes,
    evaluation_experts,
    evaluations,
    events,
    expert_loads,
    knockouts,
    phase_changes,
    process_samples,
    revisions,
    runs,
    state_maps,
)
from v3core.store.trunks import of_run, ranges_of

FETCHED_ROWS = 2000
"""Rows held in memory at once while a table is streamed."""

_OF_THE_DATABASE = {"id", "run_id", "webhook"}
"""What means something only in the database that it is in."""


class Kind(Enum):
    """The type of a column's values; columns may also be null if the table allows it."""

    INTEGER = "integer"
    FLOAT = "float"
    TEXT = "text"
    TIME = "time"


@dataclass(frozen=True)
class Field:
    """A column as exports and archives know it."""

    name: str
    kind: Kind
    nullable: bool = True
    most: int | None = None
    """Greatest length of a text, or greatest absolute value of an integer; None for no bound."""


@dataclass(frozen=True)
class RunTable:
    """Rows that belong to a run."""

    table: Table
    fields: tuple[Field, ...]
    rows: Select[Any]
    """A column for each field, in an order that is always the same; of all runs."""


def field_of(column: Column[Any]) -> Field:
    """How exports and archives know a column."""
    kind, most = Kind.TEXT, None
    if isinstance(column.type, UtcDateTime):
        kind = Kind.TIME
    elif isinstance(column.type, Float):
        kind = Kind.FLOAT
    elif isinstance(column.type, Integer):
        kind, most = Kind.INTEGER, 2**63 - 1 if isinstance(column.type, BigInteger) else 2**31 - 1
    elif isinstance(column.type, String):
        most = column.type.length
    return Field(column.name, kind, bool(column.nullable), most)


def _of(table: Table, *order: str) -> RunTable:
    columns = [column for column in table.columns if column.name not in _OF_THE_DATABASE]
    return RunTable(table, tuple(map(field_of, columns)), select(*columns).order_by(*(table.c[name] for name in order)))


def _commands() -> RunTable:
    """An edit refers to its curriculum by the number of the revision, which is valid in every database."""
    kept = [column for column in commands.columns if column.name not in {*_OF_THE_DATABASE, "revision_id"}]
    number = select(revisions.c.revision).where(revisions.c.id == commands.c.revision_id).scalar_subquery()
    fields = (*map(field_of, kept), Field("revision", Kind.INTEGER, most=2**31 - 1))
    return RunTable(commands, fields, select(*kept, number.label("revision")).order_by(commands.c.id))


RUN_TABLES = {
    "episodes": _of(episodes, "episode"),
    "expert_loads": _of(expert_loads, "episode", "expert"),
    "evaluations": _of(evaluations, "episode", "number"),
    "evaluation_experts": _of(evaluation_experts, "episode", "expert"),
    "state_maps": _of(state_maps, "episode"),
    "knockouts": _of(knockouts, "episode", "expert", "number"),
    "phase_changes": _of(phase_changes, "phase"),
    "curriculum_revisions": _of(revisions, "revision"),
    "commands": _commands(),
    "checkpoints": _of(checkpoints, "episode"),
    "events": _of(events, "id"),
    "alarms": _of(alarms, "number"),
    "process_samples": _of(process_samples, "number"),
}
"""Name to table; every table of a run but `runs` itself."""

_OF_THIS_MACHINE = {
    "launch",
    "trunk",
    "launcher",
    "node",
    "node_address",
    "needs_label",
    "needs_gpus",
    "max_restarts",
    "restarts",
}
"""The launch environment of a run, private and of no use elsewhere, as is where it is to train; and where a part of its
rows are in this database: exports and archives have them with the others."""

_RUN_COLUMNS = [column for column in runs.columns if column.name not in _OF_THIS_MACHINE]
RUN_FIELDS = tuple(map(field_of, _RUN_COLUMNS))
"""The columns of `runs` that exports and archives know."""


def stream(
    tx: Transaction, name: str, run_id: str, after: int = 0, last: int | None = None
) -> Iterator[tuple[Any, ...]]:
    """The rows of one of `RUN_TABLES`, with those of the trunk, few at a time, as the transaction found them.

    Of `episodes` and `expert_loads` those beyond episode `after`, up to `last`.
    """
    table = RUN_TABLES[name]
    wanted: list[ColumnElement[bool]] = [of_run(tx, table.table, run_id)]
    ranges = ranges_of(tx, run_id, after, last) if name in ("episodes", "expert_loads") else []
    if len(ranges) > 1 or after or last is not None:
        c = table.table.c  # part by part, because they are many, and are not to be sorted
        wanted = [and_(c.run_id == part, c.episode > begin, c.episode <= end) for part, begin, end in ranges]
    for mine in wanted:
        for rows in tx.execution_options(yield_per=FETCHED_ROWS).execute(table.rows.where(mine)).partitions():
            yield from map(tuple, rows)


def run_values(tx: Transaction, run_id: str) -> dict[str, Any]:
    """The row of `runs`, the columns of `RUN_FIELDS`."""
    return dict(tx.execute(select(*_RUN_COLUMNS).where(runs.c.id == run_id)).mappings().one())


def wide_fields(experts: int) -> tuple[Field, ...]:
    """The columns of `wide_episodes`: those of `episodes`, and three for each expert, from 1."""
    loads = (Field(f"{metric.name}_{expert}", Kind.FLOAT) for expert in range(1, experts + 1) for metric in PER_EXPERT)
    return (*RUN_TABLES["episodes"].fields, *loads)


def wide_episodes(
    tx: Transaction, run_id: str, experts: int, after: int = 0, last: int | None = None
) -> Iterator[tuple[Any, ...]]:
    """One row per episode beyond `after`, up to `last`, with its experts' loads; null where an expert has none."""
    loads = groupby(stream(tx, "expert_loads", run_id, after, last), key=lambda row: row[0])
    at, shares = next(loads, (None, iter(())))
    for row in stream(tx, "episodes", run_id, after, last):
        values: list[float | None] = [None] * (experts * len(PER_EXPERT))
        while at is not None and at < row[_EPISODE]:
            at, shares = next(loads, (None, iter(())))
        if at == row[_EPISODE]:
            for _, expert, *of_expert in shares:
                if 0 <= expert < experts:
                    values[expert * 3 : expert * 3 + 3] = of_expert
        yield (*row, *values)


_EPISODE = next(place for place, field in enumerate(RUN_TABLES["episodes"].fields) if field.name == "episode")

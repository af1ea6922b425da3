"""Exporting the records of runs to files: full precision, never sampled, in bounded memory.

CSV, Parquet and JSON, written row by row.
"""

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from v3core.atomic_write import whole_file, whole_folder
from v3core.errors import V3Error
from v3core.metrics import explain
from v3core.phrases import listed
from v3core.store.commands import read_revisions
from v3core.store.database import Database
from v3core.store.history import read_evaluations
from v3core.store.run_tables import (
    RUN_FIELDS,
    RUN_TABLES,
    Field,
    Kind,
    run_values,
    stream,
    wide_episodes,
    wide_fields,
)
from v3core.store.runs import get_run
from v3core.store.schema import Transaction

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP = 20_000
"""Rows that Parquet keeps together, and that lie in memory until they are written."""

Rows = Iterator[Sequence[Any]]


def write_csv(path: Path, fields: Sequence[Field], rows: Rows) -> int:
    """Floats as Python writes them, which reads back to the same bit; `nan`, `inf`, `-inf`; null is empty."""
    times = [place for place, field in enumerate(fields) if field.kind is Kind.TIME]
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields])
        for row in rows:
            count += 1
            values = list(row)
            for place in times:
                values[place] = values[place] and values[place].isoformat()
            writer.writerow(values)
    return count


def write_json(path: Path, fields: Sequence[Field], rows: Rows) -> int:
    """A list of objects, one to a line."""
    with path.open("w", encoding="utf-8") as file:
        count = _write_list(file, fields, rows)
        file.write("\n")
    return count


def _write_list(file: TextIO, fields: Sequence[Field], rows: Rows) -> int:
    """Into an open file. JSON has no NaN and no infinity: they are text, see `to_json`."""
    names = [field.name for field in fields]
    count = 0
    file.write("[")
    for count, row in enumerate(rows, start=1):
        file.write((",\n" if count > 1 else "\n") + to_json(dict(zip(names, row, strict=True))))
    file.write("\n]" if count else "]")
    return count


def write_parquet(path: Path, fields: Sequence[Field], rows: Rows) -> int:
    """64-bit numbers, times in UTC to the microsecond; null and NaN are two things. Metrics carry what they mean."""
    import pyarrow.parquet as pq  # seconds and megabytes to import, and only Parquet needs it

    schema = arrow_schema(fields)
    # Floats hardly ever repeat: a dictionary of them costs time and memory and saves nothing.
    texts = [field.name for field in fields if field.kind is Kind.TEXT]
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=texts) as file:
        for table in arrow_tables(schema, rows):
            file.write_table(table)
            count += len(table)
    return count


def arrow_schema(fields: Sequence[Field]) -> "pa.Schema":
    """64-bit numbers, times in UTC to the microsecond; metrics carry what they mean."""
    import pyarrow as pa

    kinds = {
        Kind.INTEGER: pa.int64(),
        Kind.FLOAT: pa.float64(),
        Kind.TEXT: pa.string(),
        Kind.TIME: pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([pa.field(field.name, kinds[field.kind], metadata=_meaning(field.name)) for field in fields])


def arrow_tables(schema: "pa.Schema", rows: Rows) -> Iterator["pa.Table"]:
    """The rows, `ROW_GROUP` at a time."""
    import pyarrow as pa

    while group := list(islice(rows, ROW_GROUP)):
        columns = zip(*group, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        yield pa.Table.from_arrays(arrays, schema=schema)


FORMS: dict[str, Callable[[Path, Sequence[Field], Rows], int]] = {
    "csv": write_csv,
    "parquet": write_parquet,
    "json": write_json,
}
"""Name, which is also the suffix of the file, to the function that writes it and returns the number of rows."""


def to_json(value: Any, **options: Any) -> str:
    """Strict JSON; NaN and infinities are "NaN", "Infinity" and "-Infinity", times are ISO 8601 with their zone."""
    strict = {"allow_nan": False, "ensure_ascii": False, "default": datetime.isoformat, **options}
    try:
        return json.dumps(value, **strict)
    except ValueError:
        return json.dumps(_spelt(value), **strict)


def _spelt(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _spelt(entry) for key, entry in value.items()}
    return [_spelt(entry) for entry in value] if isinstance(value, list | tuple) else value


def _meaning(column: str) -> dict[str, str] | None:
    metric = explain(column)
    return {"title": metric.title, "unit": metric.unit, "meaning": metric.sentence} if metric else None


EPISODES = "episodes"
WHAT = ("runs", *RUN_TABLES)
"""The tables that can be exported. `episodes` has the experts' loads as columns, `expert_loads` as rows."""

_OF_THE_RUN = tuple(
    replace(field, name="run_id") if field.name == "id" else field
    for name in ("id", "curriculum", "seed", "env")
    for field in RUN_FIELDS
    if field.name == name
)
"""First columns of every row of a run's table, so that a file identifies its run."""


def export_runs(database: Database, run_ids: Sequence[str], target: Path, what: str | None = None) -> int:
    """Write what is recorded of runs to one file; its suffix (.csv, .parquet, .json) chooses the form.

    The file appears whole or not at all, and shows one moment of the database. Columns `run_id`, `curriculum`, `seed`
    and `env` lead each row; where the table has one of that name itself, as episodes have `env`, its own is kept. JSON
    without `what`, a table of `WHAT`, contains each run whole: the run, its configuration, and every table; other
    files contain the episodes.

    Returns:
        The number of rows written; of a whole run as JSON, of its episodes.

    Raises:
        V3Error: for an unknown suffix, table or run, or a place that cannot be written.
    """
    form = target.suffix.lower().removeprefix(".")
    if form not in FORMS:
        raise V3Error(
            "'{name}' has no known file extension; use {join}.",
            name=target.name,
            join=listed([f".{name}" for name in FORMS]),
        )
    if what is not None and what not in WHAT:
        raise V3Error(
            "There is no table '{what}' to export; choose one of {what2}.", what=what, what2=listed(list(WHAT))
        )
    with database.read() as tx:
        for run_id in run_ids:
            get_run(tx, run_id)
        with whole_file(target) as unfinished:
            if form == "json" and what is None:
                return _write_whole_runs(tx, run_ids, unfinished)
            return _write_table(tx, run_ids, what or EPISODES, form, unfinished)


def export_folder(database: Database, run_ids: Sequence[str], folder: Path, form: str) -> int:
    """Write every table to its own file in a new folder, `episodes.csv` and so on; returns how many episodes.

    Raises:
        V3Error: for an unknown run, or a place that cannot be written.
    """
    with database.read() as tx:
        for run_id in run_ids:
            get_run(tx, run_id)
        with whole_folder(folder) as unfinished:
            counts = {what: _write_table(tx, run_ids, what, form, unfinished / f"{what}.{form}") for what in WHAT}
    return counts[EPISODES]


def _write_table(tx: Transaction, run_ids: Sequence[str], what: str, form: str, path: Path) -> int:
    return FORMS[form](path, *table_of(tx, run_ids, what))


def table_of(tx: Transaction, run_ids: Sequence[str], what: str) -> tuple[tuple[Field, ...], Rows]:
    """The columns and rows of a table of `WHAT`, of several runs; the columns of the run lead."""
    experts = max((get_run(tx, run_id).experts for run_id in run_ids), default=0)
    own = _fields(what, experts)
    named = {field.name for field in own}
    leading = () if what == "runs" else tuple(field for field in _OF_THE_RUN if field.name not in named)

    def of_run(run_id: str) -> Rows:
        of_the_run = run_values(tx, run_id) | {"run_id": run_id}
        lead = tuple(of_the_run[field.name] for field in leading)
        return ((*lead, *row) for row in _rows(tx, what, run_id, experts))

    return (*leading, *own), chain.from_iterable(map(of_run, run_ids))


def _fields(what: str, experts: int) -> tuple[Field, ...]:
    if what == "runs":
        return RUN_FIELDS
    return wide_fields(experts) if what == EPISODES else RUN_TABLES[what].fields


def _rows(tx: Transaction, what: str, run_id: str, experts: int) -> Iterator[tuple[Any, ...]]:
    if what == "runs":
        return iter([tuple(run_values(tx, run_id).values())])
    return wide_episodes(tx, run_id, experts) if what == EPISODES else stream(tx, what, run_id)


def _write_whole_runs(tx: Transaction, run_ids: Sequence[str], path: Path) -> int:
    """One object for one run; for several an object with the list `runs`."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        if len(run_ids) == 1:
            count = _write_whole_run(tx, run_ids[0], file)
        else:
            for place, run_id in enumerate(run_ids):
                file.write(",\n" if place else '{"runs": [\n')
                count += _write_whole_run(tx, run_id, file)
            file.write("]}\n")
    return count


_AS_THEY_ARE = (
    "evaluation_experts",
    "state_maps",
    "knockouts",
    "phase_changes",
    "commands",
    "checkpoints",
    "events",
    "alarms",
    "process_samples",
)
"""Tables that a run's JSON has with their columns as they are."""


def _write_whole_run(tx: Transaction, run_id: str, file: TextIO) -> int:
    run = get_run(tx, run_id)
    content = {
        "run": run.to_dict(),
        "config": run.config.model_dump(mode="json", by_alias=True),
        "curriculum_revisions": [revision.to_dict() for revision in read_revisions(tx, run_id)],
        "evaluations": list(map(vars, read_evaluations(tx, run_id))),
    }
    for place, (name, value) in enumerate(content.items()):
        file.write(f'{"," if place else "{"}\n"{name}": {to_json(value)}')
    for name in _AS_THEY_ARE:
        file.write(f',\n"{name}": ')
        _write_list(file, RUN_TABLES[name].fields, stream(tx, name, run_id))
    file.write(f',\n"{EPISODES}": ')
    count = _write_list(file, wide_fields(run.experts), wide_episodes(tx, run_id, run.experts))
    file.write("\n}\n")
    return count

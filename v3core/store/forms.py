"""The forms a table is exported in: CSV, Parquet and JSON, written row by row in bounded memory."""

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from v3core.metrics import explain
from v3core.store.run_tables import Field, Kind

ROW_GROUP = 20_000
"""Rows that Parquet keeps together, and that lie in memory until they are written."""

Row = Sequence[Any]
Write = Callable[[Iterable[Row]], None]
"""Takes rows to be written after those before."""


@contextmanager
def csv_file(path: Path, fields: Sequence[Field]) -> Iterator[Write]:
    """Floats as Python writes them, which reads back to the same bit; `nan`, `inf`, `-inf`; null is empty."""
    times = _times(fields)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields])
        yield lambda rows: writer.writerows(_plain(row, times) for row in rows)


@contextmanager
def json_file(path: Path, fields: Sequence[Field]) -> Iterator[Write]:
    """A list of objects, one to a line."""
    with path.open("w", encoding="utf-8") as file, json_list(file, fields) as write:
        yield write
    with path.open("a", encoding="utf-8") as file:
        file.write("\n")


@contextmanager
def json_list(file: TextIO, fields: Sequence[Field]) -> Iterator[Write]:
    """A list of objects in an open file. JSON has no NaN and no infinity: they are text, see `to_json`."""
    times, names = _times(fields), [field.name for field in fields]
    separator = "\n"

    def write(rows: Iterable[Row]) -> None:
        nonlocal separator
        for row in rows:
            file.write(separator + to_json(dict(zip(names, _plain(row, times), strict=True))))
            separator = ",\n"

    file.write("[")
    yield write
    file.write("]" if separator == "\n" else "\n]")


@contextmanager
def parquet_file(path: Path, fields: Sequence[Field]) -> Iterator[Write]:
    """64-bit numbers, times in UTC to the microsecond; null and NaN are two things. Metrics carry what they mean."""
    import pyarrow as pa  # seconds and megabytes to import, and only Parquet needs it
    import pyarrow.parquet as pq

    kinds = {
        Kind.INTEGER: pa.int64(),
        Kind.FLOAT: pa.float64(),
        Kind.TEXT: pa.string(),
        Kind.TIME: pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema([pa.field(field.name, kinds[field.kind], metadata=_meaning(field.name)) for field in fields])
    waiting: list[Row] = []

    def write_group() -> None:
        columns = zip(*waiting, strict=True) if waiting else ([] for _ in fields)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        file.write_table(pa.Table.from_arrays(arrays, schema=schema))
        waiting.clear()

    def write(rows: Iterable[Row]) -> None:
        for row in rows:
            waiting.append(row)
            if len(waiting) >= ROW_GROUP:
                write_group()

    # Floats hardly ever repeat: a dictionary of them costs time and memory and saves nothing.
    texts = [field.name for field in fields if field.kind is Kind.TEXT]
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=texts) as file:
        yield write
        if waiting:
            write_group()


FORMS: dict[str, Callable[[Path, Sequence[Field]], AbstractContextManager[Write]]] = {
    "csv": csv_file,
    "parquet": parquet_file,
    "json": json_file,
}
"""Name, which is also the suffix of the file, to how it is written."""


def to_json(value: Any, **options: Any) -> str:
    """Strict JSON; NaN and infinities are the texts "NaN", "Infinity" and "-Infinity"."""
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, **options)
    except ValueError:
        return json.dumps(_spelt(value), allow_nan=False, ensure_ascii=False, **options)


def _spelt(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _spelt(entry) for key, entry in value.items()}
    return [_spelt(entry) for entry in value] if isinstance(value, list | tuple) else value


def _meaning(column: str) -> dict[str, str] | None:
    metric = explain(column)
    return {"title": metric.title, "unit": metric.unit, "meaning": metric.sentence} if metric else None


def _times(fields: Sequence[Field]) -> list[int]:
    return [place for place, field in enumerate(fields) if field.kind is Kind.TIME]


def _plain(row: Row, times: list[int]) -> Row:
    """The row with its times as ISO 8601 with their zone."""
    values = list(row)
    for place in times:
        moment: datetime | None = values[place]
        values[place] = None if moment is None else moment.isoformat()
    return values

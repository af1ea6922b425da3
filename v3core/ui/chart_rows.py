"""The rows behind a chart of runs, as CSV: every episode in full precision, not the points on the screen."""

import csv
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from v3core.errors import V3Error
from v3core.messages import translated
from v3core.metrics import AT_EVALUATIONS, CHARTS, DECISIONS, ENTROPY_SHARE, KNOCKOUT, POOLED, of_chart
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.run_tables import RUN_TABLES, stream, wide_episodes, wide_fields
from v3core.store.runs import get_run
from v3core.store.schema import Transaction
from v3core.ui.chart_sources import COMPARE, NUMBERS, OF_SEVERAL, Source
from v3core.ui.language import PARAMETER, of_request
from v3core.ui.own_paths import path_of
from v3core.ui.shared import shared_database

NAME = "v3/rows.csv"
_OF_EVERY_CHART = ("episode", "phase", "step")


def address(source: Source | None = None) -> str:
    """Where the browser gets them, of a chart."""
    path = path_of(NAME)
    if source is None:
        return path
    asked = {"chart": source.chart, "runs": ",".join(source.runs), "metric": source.metric, PARAMETER: source.language}
    return f"{path}?{urlencode(asked)}"


def metrics_of(source: Source) -> list[str]:
    """The names of the metrics that a chart shows, as in `wide_fields`; those per expert without their numbers."""
    if source.chart in OF_SEVERAL:
        if source.metric in POOLED:
            return ["load", "length"]
        return ["routing_entropy" if source.metric == ENTROPY_SHARE else source.metric]
    for chart in CHARTS:
        if chart.name == source.chart:
            more = ["support"] if chart is DECISIONS else []  # exact zeros are drawn from it
            return [*(metric.name for metric in of_chart(chart)), *more]
    return [source.chart.partition("-")[2]]  # a form of the loads


def write_rows(database: Database, source: Source, path: Path) -> None:
    """Write a chart's rows: a line per run and episode, or per run and evaluation where those are compared.

    Raises:
        UnknownRunError: if a run does not exist.
        V3Error: if the chart is none.
    """
    if source.chart == NUMBERS:
        raise V3Error("The numbers at the head of Live have no rows; export the run instead.")
    with path.open("w", encoding="utf-8", newline="") as file, database.read() as tx:
        runs = [get_run(tx, run_id) for run_id in source.runs]
        writer = csv.writer(file, lineterminator="\n")
        if source.chart == COMPARE and source.metric in AT_EVALUATIONS:
            table = "knockouts" if source.metric == KNOCKOUT else "evaluations"
            names = [field.name for field in RUN_TABLES[table].fields]
            writer.writerow(["run", *names])
            writer.writerows((run.id, *row) for run in runs for row in stream(tx, table, run.id))
            return
        experts = max(run.experts for run in runs)
        wanted = metrics_of(source)
        columns = [field.name for field in wide_fields(experts) if _is_wanted(field.name, wanted)]
        writer.writerow(["run", *columns])
        for run in runs:
            writer.writerows(_rows(tx, run, columns))


def _is_wanted(name: str, metrics: Iterable[str]) -> bool:
    stem, _, number = name.rpartition("_")
    return name in _OF_EVERY_CHART or name in metrics or (number.isdecimal() and stem in metrics)


def _rows(tx: Transaction, run: RunRow, columns: list[str]) -> Iterator[list[Any]]:
    places = {field.name: place for place, field in enumerate(wide_fields(run.experts))}
    for row in wide_episodes(tx, run.id, run.experts):
        yield [run.id, *(row[places[name]] if name in places else None for name in columns)]


async def endpoint(request: Request) -> Response:
    """The file; 400 with a sentence for a chart that does not exist, or runs that do not."""
    asked = request.query_params
    try:
        source = Source(asked.get("chart", ""), tuple(asked.get("runs", "").split(",")), asked.get("metric", "return"))
        path = await run_in_threadpool(_written, source)
    except V3Error as error:
        said = translated(error, of_request(request.headers, asked))
        return JSONResponse({"error": said}, status_code=400)
    what = source.metric if source.chart == COMPARE else source.chart
    name = f"{what}-{'-'.join(run[:8] for run in source.runs[:4])}.csv"
    return FileResponse(path, media_type="text/csv", filename=name, background=BackgroundTask(path.unlink))


def _written(source: Source) -> Path:
    with tempfile.NamedTemporaryFile(prefix="v3-rows-", suffix=".csv", delete=False) as file:
        path = Path(file.name)
    try:
        write_rows(shared_database(), source, path)
    except BaseException:
        path.unlink()
        raise
    return path

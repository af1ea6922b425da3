"""The rows behind each chart, as CSV: every episode, every metric of the chart, to the last bit."""

import asyncio
import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from tests.pages.recorded import add_recorded_run
from v3core.jobs.lifecycle import Status
from v3core.metrics import AT_EVALUATIONS, CHARTS, METRICS, of_chart
from v3core.store.database import Database
from v3core.store.history import read_episode
from v3core.store.opening import open_database
from v3core.ui import chart_rows
from v3core.ui.chart_sources import BRANCHES, COMPARE, NUMBERS, Source, loads_chart

EPISODES = 25


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    yield opened
    opened.close()


def written(database: Database, tmp_path: Path, source: Source) -> list[dict[str, str]]:
    path = tmp_path / "rows.csv"
    chart_rows.write_rows(database, source, path)
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_every_episode_is_there_with_all_metrics_of_the_chart(chart, database, tmp_path):
    run_id = add_recorded_run(database, Status.STOPPED, recorded=EPISODES)
    rows = written(database, tmp_path, Source(chart.name, (run_id,)))
    assert [row["episode"] for row in rows] == [str(number) for number in range(1, EPISODES + 1)]
    recorded = read_episode(database, run_id, 17)
    row = rows[16]
    for metric in of_chart(chart):
        if metric.per_expert:
            assert {f"{metric.name}_{expert}" for expert in range(1, 5)} <= set(row)
        elif metric.kind is not str and recorded[metric.name] is not None and math.isfinite(recorded[metric.name]):
            assert float(row[metric.name]) == recorded[metric.name], metric.name
    assert set(row) - {"run", "episode", "phase", "step"} <= {
        *(metric.name for metric in of_chart(chart)),
        "support",
        *(f"{name}_{expert}" for name in METRICS for expert in range(1, 5)),
    }


def test_compared_runs_are_one_file_whatever_their_experts(database, tmp_path):
    runs = tuple(add_recorded_run(database, Status.STOPPED, recorded=count) for count in (EPISODES, 3))
    rows = written(database, tmp_path, Source(COMPARE, runs, "length"))
    assert [row["run"] for row in rows] == [runs[0]] * EPISODES + [runs[1]] * 3
    assert set(rows[0]) == {"run", "episode", "length", "step", "phase"}
    loads = written(database, tmp_path, Source(COMPARE, runs, "most_used_load"))
    assert {name for name in loads[0] if "load" in name} == {f"load_{expert}" for expert in range(1, 5)}
    for name in (*AT_EVALUATIONS, "entropy_share"):
        assert "run" in (written(database, tmp_path, Source(COMPARE, runs, name)) or [{"run": ""}])[0]


def test_trunk_and_branches_have_the_returns_of_all_their_runs(database, tmp_path):
    runs = tuple(add_recorded_run(database, Status.STOPPED, recorded=count) for count in (EPISODES, 3))
    rows = written(database, tmp_path, Source(BRANCHES, runs))
    assert [row["run"] for row in rows] == [runs[0]] * EPISODES + [runs[1]] * 3
    assert all(math.isfinite(float(row["return"])) for row in rows)


def test_a_form_of_the_loads_has_the_load_that_it_shows(database, tmp_path):
    run_id = add_recorded_run(database, Status.STOPPED, recorded=EPISODES)
    (row, *_) = written(database, tmp_path, Source(loads_chart("heatmap", "hard_load"), (run_id,)))
    assert {name for name in row if "load" in name} == {f"hard_load_{expert}" for expert in range(1, 5)}


def answer(monkeypatch, database: Database, query: str) -> Response:
    monkeypatch.setattr(chart_rows, "shared_database", lambda: database)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": query.encode()}
    return asyncio.run(chart_rows.endpoint(Request(scope)))


def test_the_address_of_a_chart_gives_its_file_and_leaves_none_behind(monkeypatch, database):
    run_id = add_recorded_run(database, Status.STOPPED, recorded=EPISODES)
    said = answer(monkeypatch, database, chart_rows.address(Source("return", (run_id,))).partition("?")[2])
    assert isinstance(said, FileResponse)
    assert f'filename="return-{run_id[:8]}.csv"' in said.headers["content-disposition"]
    file = Path(said.path)
    assert len(file.read_text().splitlines()) == 1 + EPISODES
    asyncio.run(said.background())
    assert not file.exists()


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("chart=moon&runs=a", "There is no chart 'moon'."),
        ("chart=return&runs=ffff", "There is no run"),
        ("", "There is no chart"),
        ("chart=return&runs=a,b", "cannot be drawn of 2 runs"),
        (f"chart={NUMBERS}&runs=a", "have no rows"),
    ],
)
def test_what_has_no_rows_is_said_in_a_sentence(monkeypatch, database, query, sentence):
    said = answer(monkeypatch, database, query)
    assert said.status_code == 400
    assert sentence in said.body.decode()


def test_what_has_no_rows_is_said_in_the_language_of_the_page(monkeypatch, database):
    query = chart_rows.address(Source("return", ("ffff",), language="zh_CN")).partition("?")[2]
    assert "没有运行" in answer(monkeypatch, database, query).body.decode()

"""The data of the live page's six charts, of runs of ten thousand, a hundred thousand and a million episodes.

The peers are what others do: a GROUP BY of the database over the raw rows, and reading all rows with pandas, both for
six metrics in a thousand buckets. Prints the size on disk too.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import _bench  # noqa: F401  it puts the project on the path
import _records
import pandas as pd

from v3core.charts.figures import (
    effective_experts_figure,
    entropy_figure,
    expert_loads_figure,
    return_figure,
    rows_figure,
)
from v3core.charts.schedule import schedule_figure
from v3core.charts.series import RunSeries
from v3core.metrics import LOSSES
from v3core.rollup import Series
from v3core.store.curve import read_phase_sums, read_series
from v3core.store.database import Database
from v3core.store.runs import get_run

NEW = 100
METRICS = ("return", "policy_loss", "value_loss", "routing_entropy", "temperature", "lr")


def median_ms(call: Callable[[], object], repeats: int = 15) -> float:
    """Milliseconds a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    return round(statistics.median(times), 2)


def first_look(folder: Path, run_id: str) -> float:
    """Milliseconds of the first read of a connection: nothing is in its cache."""
    db = _records.open_sqlite(folder)
    with db.read():
        pass
    start = time.perf_counter()
    read_series(db, run_id)
    seconds = time.perf_counter() - start
    db.close()
    return seconds * 1000


def draw(db: Database, run_id: str, curve: Series) -> list[Any]:
    """The six figures, ready to be sent."""
    run = get_run(db, run_id)
    series = RunSeries("benchmark", curve, total=run.episodes)
    figures = (return_figure, expert_loads_figure, entropy_figure, effective_experts_figure)
    made = [*(figure(series) for figure in figures), rows_figure(series, LOSSES)]
    return [*made, schedule_figure(series, run.config.curriculum, run.config.base.values())]


def measure(folder: Path, count: int) -> dict[str, Any]:
    """One run alone in its database."""
    folder.mkdir()
    db = _records.open_sqlite(folder)
    run_id = _records.new_run(db, count + NEW)
    start = time.perf_counter()
    _records.fill(db, run_id, count, total=count + NEW)
    filled = time.perf_counter() - start
    before = read_series(db, run_id)
    result: dict[str, Any] = {"episodes": count, "recorded in, s": round(filled, 1)}
    result["six charts' data, ms"] = median_ms(lambda: read_series(db, run_id))
    result["the same by a new connection, ms"] = round(
        statistics.median(first_look(folder, run_id) for _ in range(7)), 2
    )
    middle = {"first": count // 2, "last": count // 2 + count // 10}
    result["a tenth of the run, ms"] = median_ms(lambda: read_series(db, run_id, **middle))
    start = time.perf_counter()
    read_phase_sums(db, run_id)
    result["table of phases, all episodes, ms"] = round((time.perf_counter() - start) * 1000, 1)
    # First the size, before the new episodes: what is left of the log goes into the file.
    db.close()
    path = folder / "v3.db"
    result["bytes"], result["bytes without rollups"] = _sizes(path, folder)
    size = max(count // 1000, 1)
    averages = ", ".join(f'avg("{metric}")' for metric in METRICS)
    grouped = f"SELECT (episode - 1) / {size}, {averages} FROM episodes WHERE run_id = ? GROUP BY 1"
    columns = ", ".join(f'"{metric}"' for metric in METRICS)
    every = f"SELECT episode, {columns} FROM episodes WHERE run_id = ?"
    with closing(connect(path)) as raw:
        result["GROUP BY over raw rows, ms"] = median_ms(lambda: raw.execute(grouped, (run_id,)).fetchall(), 3)

        def with_pandas() -> object:
            frame = pd.read_sql(every, raw, params=(run_id,))
            return frame.groupby((frame["episode"] - 1) // size)[list(METRICS)].mean()

        result["pandas, all rows, ms"] = median_ms(with_pandas, 1)
    db = _records.open_sqlite(folder)
    _records.fill(db, run_id, NEW, first=count + 1, total=count + NEW)
    result["100 new episodes, ms"] = median_ms(lambda: read_series(db, run_id, after=before))
    curve = read_series(db, run_id)
    result["the six figures, plotly, ms"] = median_ms(lambda: draw(db, run_id, curve))
    db.close()
    return result


def _sizes(path: Path, folder: Path) -> tuple[int, int]:
    whole = path.stat().st_size
    copy = folder / "bare.db"
    with closing(connect(path)) as raw:
        raw.execute("VACUUM INTO ?", (str(copy),))
    with closing(connect(copy, isolation_level=None)) as raw:
        raw.execute("DELETE FROM rollups")
        raw.execute("VACUUM")
    bare = copy.stat().st_size
    copy.unlink()
    return whole, bare


def main() -> None:
    """All sizes, one after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--json", action="store_true", help="a JSON list in place of a table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = [measure(Path(folder) / str(count), count) for count in options.episodes]
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name in results[0]:
        print(f"  {name:<36}" + "".join(f"{result[name]:>16,}" for result in results))


if __name__ == "__main__":
    main()

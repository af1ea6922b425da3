"""Sixteen processes that record and twenty that read, on one SQLite file, for a minute.

A writer is what a worker records with, at `--rate` episodes a second; a reader does what an open page does at each
look: the list of runs, and what is new of a run. Each commit is timed, waiting for the file's lock included. At the
end every episode that was recorded is looked for. There is no peer.
"""

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import _bench  # noqa: F401  it puts the project on the path
import _records
import numpy as np

from v3core.store.curve import read_series
from v3core.store.opening import open_database
from v3core.store.runs import list_runs
from v3core.store.writer import EpisodeWriter

LOOK_SECONDS = 1.0
"""Between two looks of a page."""


class _TimedWriter(EpisodeWriter):
    """Notes how long each commit takes."""

    times: list[float]

    def _write(self, *arguments: Any) -> None:
        start = time.perf_counter()
        super()._write(*arguments)
        self.times.append(time.perf_counter() - start)


def write(url: str, folder: Path, run_id: str, seconds: float, rate: int, results: "Queue[Any]") -> None:
    """Record for so long; reports the commits' times and the number of episodes."""
    times: list[float] = []
    count = 0
    try:
        db = open_database(url, folder)
        _TimedWriter.times = times
        writer = _TimedWriter(db, run_id, generation=0, writable_in=["running"])
        rows = _records.drawn(1, round(seconds * rate), total=round(seconds * rate))
        end = time.monotonic() + seconds
        due = time.monotonic() + random.random()
        while time.monotonic() < end:
            time.sleep(max(0.0, due - time.monotonic()))
            due += 0.1
            batch = [row for row, _ in zip(rows, range(rate // 10), strict=False)]
            if not batch:
                break
            writer.record(batch, batch[-1].step)
            count += len(batch)
        writer.close()
        db.close()
        results.put(("writer", run_id, count, times, ""))
    except Exception as error:
        results.put(("writer", run_id, count, times, repr(error)))


def read(url: str, folder: Path, run_ids: list[str], seconds: float, results: "Queue[Any]") -> None:
    """Look for so long."""
    times: list[float] = []
    try:
        db = open_database(url, folder)
        held: dict[str, Any] = {}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(LOOK_SECONDS * random.uniform(0.5, 1.5))
            start = time.perf_counter()
            list_runs(db)
            run_id = random.choice(run_ids)
            held[run_id] = read_series(db, run_id, after=held.get(run_id))
            times.append(time.perf_counter() - start)
        db.close()
        results.put(("reader", "", 0, times, ""))
    except Exception as error:
        results.put(("reader", "", 0, times, repr(error)))


def main() -> None:
    """All at once, then the count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=100, help="episodes a second of each writer")
    parser.add_argument("--json", action="store_true", help="JSON in place of a table")
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    results: Queue[Any] = spawn.Queue()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        db = _records.open_sqlite(folder)
        run_ids = [_records.new_run(db, 1_000_000) for _ in range(options.writers)]
        db.close()
        url = f"sqlite:///{folder / 'v3.db'}"
        tasks = [(write, (url, folder, run_id, options.seconds, options.rate, results)) for run_id in run_ids]
        tasks += [(read, (url, folder, run_ids, options.seconds, results)) for _ in range(options.readers)]
        processes = [spawn.Process(target=task, args=arguments) for task, arguments in tasks]
        for process in processes:
            process.start()
        reports = [results.get() for _ in processes]
        for process in processes:
            process.join()
        db = _records.open_sqlite(folder)
        recorded = {run_id: count for kind, run_id, count, _, _ in reports if kind == "writer"}
        kept = {run_id: read_series(db, run_id).newest for run_id in run_ids}
        rows = {run_id: int(read_series(db, run_id).summary("length").count.sum()) for run_id in run_ids}
        db.close()
    commits = np.array([time for kind, _, _, times, _ in reports if kind == "writer" for time in times]) * 1000
    looks = np.array([time for kind, _, _, times, _ in reports if kind == "reader" for time in times]) * 1000
    result = {
        "errors": sorted(error for *_, error in reports if error),
        "episodes recorded": sum(recorded.values()),
        "episodes lost": sum(recorded.values()) - sum(min(kept[run_id], rows[run_id]) for run_id in run_ids),
        "commits": len(commits),
        "commit, ms: p50, p99, longest": [round(float(np.percentile(commits, at)), 1) for at in (50, 99, 100)],
        "looks": len(looks),
        "look, ms: p50, p99, longest": [round(float(np.percentile(looks, at)), 1) for at in (50, 99, 100)],
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{options.writers} writers of {options.rate} episodes/s, {options.readers} readers, {options.seconds:g} s")
    for name, value in result.items():
        print(f"  {name:<30} {value}")


if __name__ == "__main__":
    main()

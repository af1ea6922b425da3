"""What one PostgreSQL carries: its load per running worker, fitted, and what a page costs beside hundreds of runs.

Each writer is a process of its own with what a worker has: the recorder that looks for commands, the writer with its
heartbeats, and a monitor that looks after the runs of its node. It records episodes of random numbers at the pace of a
run on DoorKey and trains nothing, so that a hundred fit on a small machine. The server is one of its own, as it is
after its installation: it waits for the disk at every commit.

A model is fitted to the figures: processor time of the server per second = base + each · writers + pair · writers².
Where the machine is too busy for the writers to keep their pace, the figures are divided by the part of it that they
kept, and figures of less than half of it are left out of the fit.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import psutil
from _records import EXPERTS, drawn, fill, new_run
from sqlalchemy import create_engine, text

from tests import postgres_server
from v3core.jobs import identity
from v3core.jobs.launcher import create
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.jobs.recorder import Recorder
from v3core.jobs.signals import StopRequest
from v3core.jobs.supervisor import reconcile
from v3core.store.curve import read_series
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.returns import read_sparklines
from v3core.store.runs import get_run, list_runs, update_run
from v3core.store.writer import EpisodeWriter

WRITERS = (1, 10, 50, 100)
SECONDS, WARM_SECONDS = 20.0, 5.0
ROLLOUT_SECONDS, PER_ROLLOUT = 2.0, 4
"""DoorKey-5x5 under its recipe ends about two episodes a second on one core, in rollouts of two seconds."""
LEAST_PACE = 0.5
ON_A_NODE = 16
PLANNED = (1_000, 10_000)
SERVER = {"max_connections": 1000, "listen_addresses": "''", "unix_socket_directories": "."}
_FORK = multiprocessing.get_context("fork")
_COUNTERS = (
    "SELECT xact_commit + xact_rollback, tup_inserted, tup_updated, pg_current_wal_lsn() - '0/0'::pg_lsn, "
    "numbackends FROM pg_stat_database WHERE datname = current_database()"
)


@contextmanager
def server(given: str | None) -> Iterator[str]:
    """The URL of an empty database."""
    if given:
        yield given
        return
    postgres_server.SETTINGS.clear()
    postgres_server.SETTINGS.update(SERVER)
    folder = Path(tempfile.mkdtemp(prefix="v3-postgres-"))
    guardian = _FORK.Process(target=postgres_server.guard, args=(folder, os.getpid()))
    guardian.start()
    try:
        while not (folder / "url").exists():
            assert guardian.is_alive(), "The server did not start."
            time.sleep(0.05)
        yield (folder / "url").read_text()
    finally:
        guardian.terminate()
        guardian.join()


def write(url: str, folder: Path, run_id: str, node: str, begin: Any, end: Any, latencies: Any) -> None:
    """What a worker and its monitor do to the database, in one process."""
    os.environ["V3_NODE"] = node
    db, watched = open_database(url, folder), open_database(url, folder)
    with db.write() as tx:
        update_run(tx, run_id, {**vars(identity.current()), "launcher": "ray"}, only_in=ACTIVE)
    run = get_run(db, run_id)
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=ACTIVE)
    recorder = Recorder(db, run, writer, signalled=StopRequest())
    begin.wait()
    rows = drawn(1, 10**6, total=10**6)
    number, look_at, waits = 0, 0.0, []
    time.sleep((hash(run_id) % 1000) / 1000 * ROLLOUT_SECONDS)
    while not end.is_set():
        due = time.monotonic() + ROLLOUT_SECONDS
        recorder.record([next(rows) for _ in range(PER_ROLLOUT)], (number + PER_ROLLOUT) * 20)
        number += PER_ROLLOUT
        began = time.monotonic()
        writer.flush()
        waits.append(time.monotonic() - began)
        recorder.orders()
        while time.monotonic() < due and not end.is_set():
            recorder.urgent()
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + 1.0
                reconcile(watched)
                watched.disconnect_writer()
            time.sleep(0.1)
    writer.close()
    latencies.put(waits)
    for database in (db, watched):
        database.close()


def measure(url: str, folder: Path, number: int, seconds: float) -> dict[str, float]:
    """The load of a number of writers."""
    db = open_database(url, folder)
    ids = [new_run(db, 10**6) for _ in range(number)]
    begin, end, latencies = _FORK.Event(), _FORK.Event(), _FORK.Queue()
    db.close()
    writers = [
        _FORK.Process(
            target=write, args=(url, folder, run_id, f"node-{number}-{place // ON_A_NODE}", begin, end, latencies)
        )
        for place, run_id in enumerate(ids)
    ]
    for process in writers:
        process.start()
    begin.set()
    time.sleep(WARM_SECONDS + number / 20)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        backend = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        before, used = connection.execute(text(_COUNTERS)).one(), _server_seconds(backend)
        idle, began = psutil.cpu_times().idle, time.monotonic()
        time.sleep(seconds)
        after, spent = connection.execute(text(_COUNTERS)).one(), _server_seconds(backend) - used
        passed = time.monotonic() - began
        busy = 1 - (psutil.cpu_times().idle - idle) / passed / (psutil.cpu_count() or 1)
        page = page_costs(url, folder, ids[0])
    engine.dispose()
    end.set()
    waits = sorted(wait for _ in writers for wait in latencies.get(timeout=120))
    for process in writers:
        process.join()
    db = open_database(url, folder)
    with db.write() as tx:
        for run_id in ids:
            update_run(tx, run_id, {"status": Status.COMPLETED}, only_in=ACTIVE)
    db.close()
    rate = {
        name: float(after[place] - before[place]) / passed
        for place, name in enumerate(("transactions", "rows inserted", "rows updated", "WAL bytes"))
    }
    return {
        "writers": number,
        "pace": round(rate["rows inserted"] / (number * PER_ROLLOUT * (1 + EXPERTS) / ROLLOUT_SECONDS), 2),
        **{name: round(float(value), 1) for name, value in rate.items()},
        "connections": float(after[4]) - 1,
        "server processor seconds per second": round(spent / passed, 3),
        "machine busy": round(busy, 2),
        "commit median ms": round(1000 * statistics.median(waits), 1),
        "commit 95 % ms": round(1000 * waits[int(0.95 * (len(waits) - 1))], 1),
        **page,
    }


def _server_seconds(backend: int) -> float:
    """Processor time of the server to which a backend belongs, with that of its connections that are closed."""
    server_process = psutil.Process(backend).parent()
    assert server_process is not None, "The server must be on this machine."
    times = server_process.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for process in server_process.children():
        try:
            total += sum(process.cpu_times()[:2])
        except psutil.Error:
            continue
    return float(total)


def page_costs(url: str, folder: Path, run_id: str) -> dict[str, float]:
    """Milliseconds that pages wait for the database: the rows of Home, and the charts of Live."""
    db = open_database(url, folder)

    def home(db: Database) -> None:
        runs = list_runs(db)
        read_sparklines(db, runs[:25])

    found = {}
    for name, page in (("Home ms", home), ("Live ms", lambda db: read_series(db, run_id))):
        times = []
        for _ in range(5):
            began = time.perf_counter()
            page(db)
            times.append(1000 * (time.perf_counter() - began))
        found[name] = round(statistics.median(times), 1)
    db.close()
    return found


def fitted(points: list[dict[str, float]]) -> dict[str, Any]:
    """The model, how far it is from the figures, and what it says of more writers."""
    points = [point for point in points if point["pace"] >= LEAST_PACE]
    if len(points) < 3:
        return {"problem": "The machine is too busy: fewer than three figures kept half of the pace."}
    pace = np.array([min(1.0, point["pace"]) for point in points])
    writers = np.array([point["writers"] for point in points])
    spent = np.array([point["server processor seconds per second"] for point in points]) / pace
    terms = np.stack([np.ones(len(writers)), writers, writers**2], axis=1)
    weights = 1 / np.maximum(spent, 1e-3)  # by their ratio: a hundred writers must not drown one
    (base, each, pair), *_ = np.linalg.lstsq(terms * weights[:, None], spent * weights, rcond=None)
    each_of = {
        name: _slope(writers, [point[name] for point in points], 1.0 if name == "connections" else pace)
        for name in ("transactions", "rows inserted", "rows updated", "WAL bytes", "connections")
    }
    return {
        "base": float(base),
        "each": float(each),
        "pair": float(pair),
        "largest error": float(np.abs(terms @ [base, each, pair] / spent - 1).max()),
        "per writer": each_of,
        "planned": {
            str(number): {
                "server cores": float(base + each * number + max(pair, 0.0) * number**2),
                "server cores, linear": float(base + each * number),
                **{name: value * number for name, value in each_of.items()},
            }
            for number in PLANNED
        },
    }


def _slope(writers: Any, values: list[float], pace: Any) -> float:
    """How much more each writer makes it, at full pace."""
    return float(np.polyfit(writers, np.array(values) / pace, 1)[0])


def many_runs(url: str, folder: Path, numbers: tuple[int, ...]) -> list[dict[str, float]]:
    """What Home waits for, with a number of ended runs."""
    db = open_database(url, folder)
    found = []
    for number in numbers:
        known = list_runs(db)
        if not known:
            fill(db, new_run(db, 1000), 1000)
            known = list_runs(db)
        with db.write() as tx:
            for _ in range(number - len(known)):
                run_id = create(tx, known[-1].config, now=datetime.now(UTC))
                update_run(tx, run_id, {"status": Status.COMPLETED, "episode": 1000}, only_in=[Status.QUEUED])
        costs = page_costs(url, folder, known[-1].id)
        began = time.perf_counter()
        reconcile(db)
        found.append({"runs": number, **costs, "look ms": round(1000 * (time.perf_counter() - began), 1)})
    db.close()
    return found


def main() -> None:
    """Measure, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--writers", default=",".join(map(str, WRITERS)), help="numbers of writers, such as 1,10")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    parser.add_argument("--url", help="an empty PostgreSQL database; by default one of an own server")
    asked = parser.parse_args()
    with server(asked.url) as url, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        points = []
        for number in map(int, asked.writers.split(",")):
            points.append(measure(url, folder, number, asked.seconds))
            if not asked.json:
                print(json.dumps(points[-1]), flush=True)
        pages = many_runs(url, folder, (200, 1000, 10_000))
    found = {"points": points, "fit": fitted(points) if len(points) > 2 else None, "pages": pages}
    print(json.dumps(found if asked.json else {"fit": found["fit"], "pages": pages}, indent=1))


if __name__ == "__main__":
    main()

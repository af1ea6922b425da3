"""Processor time of the server for one open page: Runs, Live of a run that has ended, Live of one that trains.

The peer is the same page if every tick draws, once a second. Takes Chromium; nothing trains, but the third run's
episodes are recorded as a worker would.
"""

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import _bench
import _records
import psutil
from playwright.sync_api import Page, expect, sync_playwright
from sqlalchemy import update

from tests.browser.conftest import ARGUMENTS, NAMES
from tests.browser.support import Server, serve
from tests.pages.recorded import add_recorded_run
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.schema import runs
from v3core.store.writer import EpisodeWriter
from v3core.ui.ticks import VARIABLE

ROOT = Path(__file__).resolve().parents[1]
ENDED = 200
EPISODES = 2000
EPISODES_PER_SECOND = 50
SECONDS = float(os.environ.get("V3_BENCH_SECONDS", "20"))
SETTLE_SECONDS = 8.0


@contextmanager
def training(db: Database, run_id: str) -> Iterator[None]:
    """Episodes arrive in this run."""
    over = threading.Event()

    def record() -> None:
        writer = EpisodeWriter(db, run_id, generation=0, writable_in=ACTIVE)
        rows = _records.drawn(1, 100_000, total=100_000)
        while not over.wait(0.2):
            batch = [row for row, _ in zip(rows, range(EPISODES_PER_SECOND // 5), strict=False)]
            writer.record(batch, batch[-1].step)
        writer.close()

    thread = threading.Thread(target=record)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def used(server: Server) -> float:
    """Seconds of processor time of the server so far."""
    times = psutil.Process(server.process.pid).cpu_times()
    return float(times.user + times.system)


def percent(page: Page, server: Server, path: str, mark: str) -> float:
    """Of a core, with this page open and nothing touched."""
    page.goto(f"{server.url}{path}")
    expect(page.get_by_text(mark).first).to_be_visible(timeout=120_000)
    page.wait_for_timeout(SETTLE_SECONDS * 1000)
    before, began = used(server), time.monotonic()
    page.wait_for_timeout(SECONDS * 1000)
    share = 100 * (used(server) - before) / (time.monotonic() - began)
    page.goto("about:blank")
    return round(share, 2)


def measure(folder: Path, tick_seconds: float | None) -> dict[str, float]:
    """Name of a page to its percentage."""
    if tick_seconds:
        os.environ[VARIABLE] = str(tick_seconds)
    else:
        os.environ.pop(VARIABLE, None)
    folder.mkdir()
    server = serve(ROOT / "app.py", folder)
    db = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
    try:
        for _ in range(ENDED):
            add_recorded_run(db, Status.COMPLETED)
        ended = add_recorded_run(db, Status.COMPLETED, episodes=EPISODES, recorded=EPISODES)
        earlier = datetime.now(UTC) - timedelta(hours=5)  # "30 s ago" would have to be drawn each second
        with db.write() as tx:
            tx.execute(update(runs).values(created_at=earlier, started_at=earlier, ended_at=earlier))
        with sync_playwright() as playwright:
            found = next((path for name in NAMES if (path := Path("/usr/bin") / name).exists()), None)
            browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            shares = {
                f"Runs, {ENDED + 1} runs that have ended": percent(page, server, "/", "Import a run"),
                "Live, a run that has ended": percent(page, server, f"/live?run={ended}", "Commands"),
            }
            run_id = add_recorded_run(db, Status.RUNNING, episodes=100_000, recorded=0)
            with training(db, run_id):
                shares["Live, a run that trains"] = percent(page, server, f"/live?run={run_id}", "Commands")
            browser.close()
    finally:
        db.close()
        server.stop()
    return shares


def benchmark() -> list[_bench.Result]:
    """Ours, then the peer."""
    with tempfile.TemporaryDirectory() as folder:
        ours, peer = (measure(Path(folder) / name, tick) for name, tick in (("ours", None), ("peer", 1.0)))
    return [
        _bench.Result(name, share, peer[name], round(peer[name] / max(share, 0.01), 2), "% of a core")
        for name, share in ours.items()
    ]


if __name__ == "__main__":
    _bench.main(benchmark, "Open pages: processor time of the server; the peer draws at every tick")

"""Runs with 500 runs: seconds until its rows are drawn, and processor time of the server for that and for ticks.

The peer is the same page with 25 runs, so the ratio says what the other 475 cost. Takes Chromium; nothing trains, but
the row of one run is changed as a worker would. Goals: 1.5 s, and 50 ms.
"""

import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import _bench
import psutil
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, NAMES
from tests.browser.support import Server, serve
from tests.pages.recorded import add_recorded_run
from tests.wall import add_wall
from v3core.jobs.lifecycle import Status
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.runs import update_run

ROOT = Path(__file__).resolve().parents[1]
RUNS = 500
ALONE = 25
"""Runs of the peer: one page."""
OPENED = 7
TICKS = 12
IDLE_SECONDS = 10.0
PATIENCE = 120_000
EPISODES = 100_000


def used(server: Server) -> float:
    """Seconds of processor time of the server so far."""
    times = psutil.Process(server.process.pid).cpu_times()
    return float(times.user + times.system)


def opening(browser: Browser, server: Server) -> tuple[float, float]:
    """Seconds until the rows are there, in a browser that has been here before, and of the server's processor."""
    page = browser.contexts[0].new_page()
    before, began = used(server), time.monotonic()
    page.goto(server.url)
    expect(page.locator(".v3-runs tbody tr")).to_have_count(25, timeout=PATIENCE)
    took = time.monotonic() - began, used(server) - before
    page.close()
    return took


def of_a_tick(page: Page, server: Server, db: Database, run_id: str) -> float:
    """Milliseconds of processor time for showing one change, beyond those of a page without news."""
    page.goto(server.url)
    expect(page.locator(".v3-runs tbody tr")).to_have_count(25, timeout=PATIENCE)
    page.wait_for_timeout(5000)
    before, began = used(server), time.monotonic()
    page.wait_for_timeout(IDLE_SECONDS * 1000)
    idle = (used(server) - before) / (time.monotonic() - began)
    before, began = used(server), time.monotonic()
    for episode in range(1, TICKS + 1):
        due = datetime.now(UTC) + timedelta(hours=1)
        with db.write() as tx:
            update_run(tx, run_id, {"episode": episode, "heartbeat_due_at": due}, only_in=["running"])
        expect(page.get_by_text(f"{episode} of {EPISODES:,}", exact=False).first).to_be_visible(timeout=PATIENCE)
    return 1000 * (used(server) - before - idle * (time.monotonic() - began)) / TICKS


def measure(browser: Browser, folder: Path, count: int) -> tuple[float, float, float]:
    """Median seconds to open, median milliseconds of the server's processor for that, and for a tick."""
    server = serve(ROOT / "app.py", folder)
    db = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
    try:
        add_wall(db, count - 1)
        run_id = add_recorded_run(db, Status.RUNNING, episodes=EPISODES, recorded=0)
        with db.write() as tx:
            update_run(tx, run_id, {"heartbeat_due_at": datetime.now(UTC) + timedelta(hours=1)}, only_in=["running"])
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        opening(browser, server)
        seconds, processor = map(
            statistics.median, zip(*(opening(browser, server) for _ in range(OPENED)), strict=True)
        )
        milliseconds = of_a_tick(context.new_page(), server, db, run_id)
        context.close()
    finally:
        db.close()
        server.stop()
    return seconds, 1000 * processor, milliseconds


def benchmark() -> list[_bench.Result]:
    """Ours, then the peer."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        found = next((path for name in NAMES if (path := Path("/usr/bin") / name).exists()), None)
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        ours, peer = (measure(browser, Path(folder) / str(count), count) for count in (RUNS, ALONE))
        browser.close()
    return [
        _bench.Result(name, round(mine, 2), round(theirs, 2), round(theirs / max(mine, 0.01), 2), unit)
        for name, mine, theirs, unit in (
            (f"Runs opens, {RUNS} runs", ours[0], peer[0], "s"),
            (f"the same, the server's processor, {RUNS} runs", ours[1], peer[1], "ms"),
            (f"a tick of Runs, {RUNS} runs", ours[2], peer[2], "ms"),
        )
    ]


if __name__ == "__main__":
    _bench.main(benchmark, f"Runs with {RUNS} runs; the peer has {ALONE}")

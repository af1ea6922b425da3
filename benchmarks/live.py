"""What an open Live page costs: bytes to the browser, processor time of the server, and the first chart of a long run.

Takes Chromium. Nothing trains: episodes of random numbers are recorded as a worker does. What the server uses with no
page open is subtracted. Goals are printed beside the figures.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import _bench
import _records
import psutil
from playwright.sync_api import Browser, BrowserContext, Page, Response, WebSocket, sync_playwright

from tests.browser.conftest import ARGUMENTS, NAMES
from tests.browser.support import APP, Server, serve
from tests.pages.recorded import add_recorded_run
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.runs import update_run
from v3core.store.writer import EpisodeWriter

SECONDS = float(os.environ.get("V3_BENCH_SECONDS", "15"))
SETTLE_SECONDS = 6.0
RECORDED, TOTAL = 2_000, 100_000
NEW = 100
TABS = 10
READY = "document.querySelectorAll('.v3-chart[data-drawn]').length > 0"


def figure(name: str, ours: float, goal: float, unit: str) -> _bench.Result:
    """The peer is the goal."""
    return _bench.Result(name, round(ours, 2), goal, round(goal / max(ours, 1e-9), 2), unit)


class Traffic:
    """Bytes that reach the tabs of a context: messages of sockets, and bodies of answers."""

    def __init__(self, context: BrowserContext) -> None:
        self.received = 0
        context.on("page", lambda page: page.on("websocket", self._listen))
        context.on("response", self._answered)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda payload: self._add(len(payload)))

    def _answered(self, response: Response) -> None:
        if "/app/static/" not in response.url and "/static/" not in response.url:
            self._add(int(response.headers.get("content-length", 0)))

    def _add(self, count: int) -> None:
        self.received += count


def fill(db: Database, run_id: str, count: int, *, first: int = 1) -> None:
    """Record episodes in a run that this process is taken to train."""
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=ACTIVE)
    for start in range(first, first + count, 4096):
        rows = list(_records.drawn(start, min(start + 4096, first + count) - 1, total=TOTAL))
        # An undone update is news for the head of the page, and no run has one with every episode.
        writer.record([replace(row, rollbacks=0) for row in rows], rows[-1].step)
    writer.close()
    beat(db, run_id)


def beat(db: Database, run_id: str) -> None:
    """A heartbeat that lasts as long as the benchmark: the run does not stall."""
    now = datetime.now(UTC)
    with db.write() as tx:
        update_run(tx, run_id, {"heartbeat_at": now, "heartbeat_due_at": now + timedelta(hours=5)}, only_in=ACTIVE)


def look(page: Page, server: Server, run_id: str) -> None:
    """Open Live at its first chart, which is not drawn before it is on the screen."""
    page.goto(f"{server.url}/live?run={run_id}")
    for _ in range(1200):  # what arrives above it pushes it down
        page.locator(".v3-chart").first.scroll_into_view_if_needed(timeout=120_000)
        if page.evaluate(READY):
            return
        page.wait_for_timeout(50)


def used(server: Server) -> float:
    """Milliseconds of processor time of the server so far."""
    times = psutil.Process(server.process.pid).cpu_times()
    return 1000 * float(times.user + times.system)


@dataclass
class Bench:
    """A server, its database and a browser."""

    server: Server
    db: Database
    browser: Browser
    recorded: int = RECORDED

    def record(self, run_id: str, count: int = NEW) -> None:
        """New episodes, in one transaction."""
        fill(self.db, run_id, count, first=self.recorded + 1)
        self.recorded += count

    @contextmanager
    def tabs(self, run_id: str, count: int, height: int = 900) -> Iterator[tuple[list[Page], Traffic]]:
        """Tabs with the Live page of a run, once they are at rest."""
        context = self.browser.new_context(viewport={"width": 1280, "height": height})
        traffic = Traffic(context)
        pages = [context.new_page() for _ in range(count)]
        for page in pages:
            look(page, self.server, run_id)
        pages[0].wait_for_timeout(SETTLE_SECONDS * 1000)
        yield pages, traffic
        context.close()

    def per_second(self, page: Page | None, run_id: str | None = None) -> float:
        """Milliseconds of processor time a second; with a run, 100 new episodes a second are recorded meanwhile."""
        before, began = used(self.server), time.monotonic()
        second = 0
        while (left := began + SECONDS - time.monotonic()) > 0:
            if run_id is not None and time.monotonic() > began + second:
                self.record(run_id)
                second += 1
            time.sleep(min(left, 0.02)) if page is None else page.wait_for_timeout(min(left, 0.02) * 1000)
        return (used(self.server) - before) / (time.monotonic() - began)

    def bytes_of_news(self, run_id: str, height: int) -> float:
        """Kilobytes to one tab per 100 new episodes, median of five times."""
        with self.tabs(run_id, 1, height) as (pages, traffic):
            found = []
            for _ in range(5):
                before = traffic.received
                self.record(run_id)
                pages[0].wait_for_timeout(4000)
                found.append((traffic.received - before) / 1000)
        return statistics.median(found)

    def first_chart(self, run_id: str) -> float:
        """Seconds from the address to the first chart, server warm, median of five times."""
        found = []
        for _ in range(6):
            page = self.browser.new_page(viewport={"width": 1280, "height": 900})
            began = time.monotonic()
            look(page, self.server, run_id)
            found.append(time.monotonic() - began)
            page.close()
        return statistics.median(found[1:])


def benchmark(episodes: int) -> list[_bench.Result]:
    """Every figure, one after another."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = serve(APP, Path(folder))
        db = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
        found = next((path for name in NAMES if (path := Path("/usr/bin") / name).exists()), None)
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        try:
            bench = Bench(server, db, browser)
            run_id = add_recorded_run(db, Status.RUNNING, episodes=TOTAL, recorded=0)
            fill(db, run_id, RECORDED)
            figures = [
                figure("bytes per 100 new episodes", bench.bytes_of_news(run_id, 900), 20, "kB"),
                figure("the same with every chart on the screen", bench.bytes_of_news(run_id, 4000), 20, "kB"),
            ]
            alone = bench.per_second(None)
            recording = bench.per_second(None, run_id)
            with bench.tabs(run_id, 1) as (pages, _):
                quiet = bench.per_second(pages[0]) - alone
                busy = bench.per_second(pages[0], run_id) - recording
            with bench.tabs(run_id, TABS) as (pages, _):
                ten = bench.per_second(pages[0], run_id) - recording
            figures += [
                figure("server, a second with nothing new", quiet, 2, "ms"),
                figure("server, a second with 100 new episodes", busy, 15, "ms"),
                figure(f"{TABS} tabs over 1 tab", ten / max(busy, 1e-9), 2, "×"),
            ]
            if episodes:
                long = add_recorded_run(db, Status.RUNNING, episodes=episodes, recorded=0)
                fill(db, long, episodes)
                figures.append(figure(f"first chart of {episodes:,} episodes", bench.first_chart(long), 1.0, "s"))
        finally:
            browser.close()
            db.close()
            server.stop()
    return figures


def main() -> None:
    """A table, or JSON with `--json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=1_000_000, help="of the long run; 0 for none")
    parser.add_argument("--json", action="store_true", help="a JSON list in place of a table")
    options = parser.parse_args()
    figures = benchmark(options.episodes)
    if options.json:
        print(json.dumps([asdict(one) for one in figures], ensure_ascii=False, indent=2))
        return
    print("Open Live pages: ours, the goal, and how many times better than it")
    for one in figures:
        print(f"  {one.name:<44}{one.ours:>12,.2f} {one.peer:>8,.2f} {one.unit:<3} ×{one.ratio:.2f}")


if __name__ == "__main__":
    main()

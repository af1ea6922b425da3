"""What the benchmarks of open Live pages share: a server with runs of random episodes, and Chromium."""

import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import _bench
import _records
import psutil
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Response, WebSocket

from tests.browser.conftest import ARGUMENTS, NAMES
from tests.browser.support import Server
from v3core.jobs.lifecycle import ACTIVE
from v3core.store.database import Database
from v3core.store.runs import update_run
from v3core.store.writer import EpisodeWriter

REST_SECONDS = 4.0
"""Tabs are at rest once nothing was sent to them for so long."""
RECORDED, TOTAL = 2_000, 100_000
NEW = 100
READY = "document.querySelectorAll('.v3-chart[data-drawn]').length > 0"
SHOWN = f"""
() => {{
  const chart = document.querySelector(".v3-chart")
  // What arrives above it pushes it down.
  if (chart && !chart.dataset.drawn) chart.scrollIntoView({{ block: "nearest" }})
  return {READY}
}}
"""
STAMPS = """
window.v3stamps = []
new MutationObserver((changes) => {
  for (const { target } of changes) {
    if (!target.closest("[class*='st-key-return-']")) continue
    const newest = Math.max(...target.querySelector(".v3-chart-plot").data[0].x)
    requestAnimationFrame(() => window.v3stamps.push([newest, Date.now() / 1000]))
  }
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-drawn"] })
"""
"""Notes the newest episode of the chart of returns whenever it has been drawn, and the moment of the next frame."""


def figure(name: str, ours: float, goal: float, unit: str) -> _bench.Result:
    """The peer is the goal."""
    return _bench.Result(name, round(ours, 2), goal, round(goal / max(ours, 1e-9), 2), unit)


def show(title: str, figures: Sequence[_bench.Result], *, as_json: bool) -> None:
    """Print figures beside their goals, as a table or as JSON."""
    if as_json:
        print(json.dumps([asdict(one) for one in figures], ensure_ascii=False, indent=2))
        return
    print(title)
    for one in figures:
        print(f"  {one.name:<60}{one.ours:>12,.2f} {one.peer:>8,.2f} {one.unit:<4} ×{one.ratio:.2f}")


def chromium(playwright: Playwright) -> Browser:
    """The system's, or playwright's own."""
    found = next((path for name in NAMES if (path := Path("/usr/bin") / name).exists()), None)
    return playwright.chromium.launch(executable_path=found, args=ARGUMENTS)


class Traffic:
    """Bytes that reach the tabs of a context: messages of all sockets, and bodies of answers."""

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
    """A heartbeat and a rollout that last as long as the benchmark: the run neither stalls nor is silent."""
    now = datetime.now(UTC)
    later = now + timedelta(hours=5)
    values = {"heartbeat_at": now, "heartbeat_due_at": later, "rollout_at": later}
    with db.write() as tx:
        update_run(tx, run_id, values, only_in=ACTIVE)


def look(page: Page, server: Server, run_id: str) -> None:
    """Open Live at its first chart, which is not drawn before it is on the screen."""
    page.goto(f"{server.url}/live?run={run_id}", wait_until="commit")
    page.wait_for_function(SHOWN, timeout=120_000)


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
    seconds: float
    """How long processor time is measured."""
    recorded: int = RECORDED

    def record(self, run_id: str, count: int = NEW) -> None:
        """New episodes, in one transaction."""
        fill(self.db, run_id, count, first=self.recorded + 1)
        self.recorded += count

    @contextmanager
    def tabs(self, run_id: str, count: int, height: int = 900) -> Iterator[tuple[list[Page], Traffic]]:
        """Tabs with the Live page of a run, once they are at rest."""
        context = self.browser.new_context(viewport={"width": 1280, "height": height})
        context.add_init_script(STAMPS)
        traffic = Traffic(context)
        pages = [context.new_page() for _ in range(count)]
        for page in pages:
            look(page, self.server, run_id)
        for _ in range(2):
            before = -1
            while traffic.received != before:
                before = traffic.received
                pages[0].wait_for_timeout(REST_SECONDS * 1000)
            for page in pages:  # what was drawn above it meanwhile has pushed it down
                page.locator("[class*='st-key-return-'] .v3-chart").scroll_into_view_if_needed()
        yield pages, traffic
        context.close()

    def per_second(self, page: Page | None, run_id: str | None = None) -> float:
        """Milliseconds of processor time a second; with a run, 100 new episodes a second are recorded meanwhile."""
        before, began = used(self.server), time.monotonic()
        second = 0
        while (left := began + self.seconds - time.monotonic()) > 0:
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

    def to_pixel(self, run_id: str, recorded: int, count: int) -> list[float]:
        """Seconds from before an episode is recorded until a frame shows it, for each of so many."""
        ended = {}
        with self.tabs(run_id, 1, 1600) as (
            pages,
            _,
        ):  # so that the chart stays on the screen whatever is drawn above it
            for number in range(recorded + 1, recorded + count + 1):
                ended[number] = time.time()
                fill(self.db, run_id, 1, first=number)
                pages[0].wait_for_timeout(300 + 37 * number % 700)  # at any phase of the looks at the database
            pages[0].wait_for_function(f"window.v3stamps.at(-1)?.[0] >= {recorded + count}", timeout=120_000)
            stamps = pages[0].evaluate("window.v3stamps")
        return [next(at for newest, at in stamps if newest >= number) - moment for number, moment in ended.items()]

    def first_chart(self, run_id: str) -> float:
        """Seconds from the address to the first chart, server warm."""
        page = self.browser.new_page(viewport={"width": 1280, "height": 900})
        began = time.monotonic()
        look(page, self.server, run_id)
        took = time.monotonic() - began
        page.close()
        return took

"""What an open Live page costs: bytes to the browser, processor time of the server, and how soon an episode is seen.

Takes Chromium. Nothing trains but for the last part: episodes of random numbers are recorded as a worker does. What the
server uses with no page open is subtracted. Goals are printed beside the figures. `live_training.py` measures what an
open page takes from training, `live_first_chart.py` the first chart beside TensorBoard and trackio.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import _bench
import numpy as np
import psutil
from _live import RECORDED, TOTAL, Bench, beat, chromium, figure, fill, show
from playwright.sync_api import CDPSession, Playwright, sync_playwright

from tests.browser.support import APP, serve
from tests.pages.recorded import add_recorded_run
from v3core.jobs.lifecycle import Status
from v3core.store.opening import open_database

SECONDS = float(os.environ.get("V3_BENCH_SECONDS", "15"))
TABS = 10
PIXELS = 60
"""Episodes whose way to the screen is timed."""
SAMPLE_SECONDS = 15.0
PER_SAMPLE = 75
"""Episodes that are recorded between two samples of the memory: five a second."""


@contextmanager
def opened(playwright: Playwright) -> Iterator[Bench]:
    """A server and a browser."""
    with tempfile.TemporaryDirectory() as folder:
        server = serve(APP, Path(folder))
        db = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
        browser = chromium(playwright)
        try:
            yield Bench(server, db, browser, SECONDS)
        finally:
            browser.close()
            db.close()
            server.stop()


def costs(bench: Bench, episodes: int) -> list[_bench.Result]:
    """Every figure but that of memory, one after another."""
    run_id = add_recorded_run(bench.db, Status.RUNNING, episodes=TOTAL, recorded=0)
    fill(bench.db, run_id, RECORDED)
    # Before a page was ever open: for half a minute after it is closed, its session still costs something.
    alone = bench.per_second(None)
    recording = bench.per_second(None, run_id)
    figures = [
        figure("bytes per 100 new episodes", bench.bytes_of_news(run_id, 900), 20, "kB"),
        figure("the same with every chart on the screen", bench.bytes_of_news(run_id, 4000), 20, "kB"),
    ]
    with bench.tabs(run_id, 1) as (pages, _):
        quiet = bench.per_second(pages[0]) - alone
        busy = bench.per_second(pages[0], run_id) - recording
    with bench.tabs(run_id, TABS) as (pages, _):
        many_quiet = bench.per_second(pages[0]) - alone
        many = bench.per_second(pages[0], run_id) - recording
    figures += [
        figure("server, a second with nothing new", quiet, 2, "ms"),
        figure("server, a second with 100 new episodes", busy, 15, "ms"),
        figure(f"the same, nothing new, {TABS} tabs", many_quiet, 2 * 2, "ms"),
        figure(f"the same, 100 new episodes, {TABS} tabs", many, 2 * 15, "ms"),
        figure(f"{TABS} tabs over 1 tab", many / max(busy, 1e-9), 2, "×"),
    ]
    seen = add_recorded_run(bench.db, Status.RUNNING, episodes=600, recorded=PIXELS)
    beat(bench.db, seen)
    waits = bench.to_pixel(seen, PIXELS, PIXELS)
    figures += [
        figure("end of an episode to its pixel, median", statistics.median(waits), 1.5, "s"),
        figure("the same, 95th percentile", float(np.quantile(waits, 0.95)), 1.5, "s"),
    ]
    if episodes:
        long = add_recorded_run(bench.db, Status.RUNNING, episodes=episodes, recorded=0)
        fill(bench.db, long, episodes)
        bench.first_chart(long)
        took = statistics.median(bench.first_chart(long) for _ in range(5))
        figures.append(figure(f"first chart of {episodes:,} episodes", took, 1.0, "s"))
    return figures


def memory(bench: Bench, minutes: float) -> list[_bench.Result]:
    """How memory grows while episodes arrive, by a straight line through the second half of the samples."""
    run_id = add_recorded_run(bench.db, Status.RUNNING, episodes=TOTAL, recorded=0)
    fill(bench.db, run_id, RECORDED)
    samples = []
    process = psutil.Process(bench.server.process.pid)
    with bench.tabs(run_id, 1) as (pages, _):
        tab = pages[0].context.new_cdp_session(pages[0])
        began = time.monotonic()
        while (at := time.monotonic() - began) < 60 * minutes:
            samples.append((at / 3600, process.memory_info().rss / 1e6, heap(tab)))
            for _ in range(PER_SAMPLE // 5):
                bench.record(run_id, 5)
                pages[0].wait_for_timeout(1000)
    hours, server, page = np.array(samples)[len(samples) // 2 :].T
    slopes = {name: np.polyfit(hours, values, 1)[0] for name, values in (("server", server), ("tab", page))}
    return [
        figure(f"{name} after {minutes:g} minutes, {values[-1]:.0f} MB: growth", slopes[name], 10, "MB/h")
        for name, values in (("server", server), ("tab", page))
    ]


def heap(tab: CDPSession) -> float:
    """Megabytes that a tab's JavaScript uses, once it is swept."""
    tab.send("HeapProfiler.collectGarbage")
    return float(tab.send("Runtime.getHeapUsage")["usedSize"]) / 1e6


def main() -> None:
    """A table, or JSON with `--json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=1_000_000, help="of the long run; 0 for none")
    parser.add_argument("--minutes", type=float, default=0, help="measure nothing but memory, for so long")
    parser.add_argument("--json", action="store_true", help="a JSON list in place of a table")
    options = parser.parse_args()
    with sync_playwright() as playwright, opened(playwright) as bench:
        figures = memory(bench, options.minutes) if options.minutes else costs(bench, options.episodes)
    show("Open Live pages: ours, the goal, and how many times better than it", figures, as_json=options.json)


if __name__ == "__main__":
    main()

"""What Compare takes in the browser: 100 runs of 100,000 episodes, from the click to the redrawn chart.

Takes Chromium. The runs are those of `comparing.py`: copies of one that was recorded whole, in ten curricula and with
two numbers of epochs. The server has opened the page once before, so that what it reads of ended runs is kept; the
first time is measured too. Each change of grouping is one that the server has not computed before.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import _bench
import _records
from _live import chromium, figure, show
from comparing import EXPERIMENT, GROUPS, SEEDS, copies
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.support import APP, Server, serve
from v3core.store.history import PhaseChangeRow, add_evaluation, add_phase_change
from v3core.store.runs import get_run

TURNS = 5
CHART = "[class*='st-key-groups-'] .v3-chart"
DRAWN = f"document.querySelector(\"{CHART}\")?.dataset.drawn ?? '0'"
IS_WHOLE = f"({DRAWN}) !== '0'"
SETTLED = "!document.querySelector('[data-testid=stApp]').matches('[data-test-script-state=running]')"
FIRST_GOAL, GROUPING_GOAL = 2.0, 0.5
"""Seconds."""


def recorded(data: Path, runs: int, episodes: int) -> None:
    """The runs, in the store of a folder."""
    data.mkdir(parents=True, exist_ok=True)
    db = _records.open_sqlite(data)
    run_id = _records.new_run(db, episodes)
    _records.fill(db, run_id, episodes)
    now, step = datetime.now(UTC), episodes * _records.STEPS
    with db.write() as tx:
        boundaries = get_run(tx, run_id).config.curriculum.boundaries
        for phase, (name, start) in enumerate(
            zip(("warmup", "transition", "fine-tune"), (0, *boundaries), strict=True)
        ):
            add_phase_change(tx, run_id, PhaseChangeRow(phase, name, start, start, start * _records.STEPS, 0, now))
        results = [(0.5 + number / 20, _records.STEPS, None) for number in range(10)]
        add_evaluation(tx, run_id, episode=episodes, step=step, env=_records.ENV, results=results, now=now)
    db.close()
    copies(data, run_id, runs, episodes)


def opened(browser: Browser, server: Server) -> tuple[Page, float]:
    """The page of the experiment, and seconds from its address to its first chart."""
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    page.set_default_timeout(120_000)
    began = time.monotonic()
    page.goto(f"{server.url}/compare?experiment={EXPERIMENT}&show=Groups&metric=return", wait_until="commit")
    page.wait_for_function(IS_WHOLE)
    return page, time.monotonic() - began


def settle(page: Page) -> None:
    """Until the whole page is drawn."""
    page.wait_for_function(SETTLED)
    page.wait_for_timeout(500)
    page.wait_for_function(SETTLED)


def change(page: Page, click: Callable[[], None]) -> float:
    """Seconds from a click to the chart that it leads to."""
    settle(page)
    page.evaluate(f"window.v3before = {DRAWN}")
    began = time.monotonic()
    click()
    page.wait_for_function(f"({DRAWN}) !== window.v3before")
    return time.monotonic() - began


def without(page: Page, title: str) -> float:
    """Take a setting out of the grouping."""
    return change(page, page.get_by_role("button", name=f"Remove {title}").click)


def by(page: Page, title: str) -> float:
    """Group by one more setting."""
    page.get_by_role("combobox", name="Group by").click()
    option = page.get_by_role("option", name=title)
    expect(option).to_be_visible()
    return change(page, option.click)


def benchmark(runs: int, episodes: int, folder: Path) -> list[_bench.Result]:
    """Cold once, warm by turns; groupings, one after another."""
    recorded(folder / "data", runs, episodes)
    server = serve(APP, folder)
    try:
        with sync_playwright() as playwright:
            browser = chromium(playwright)
            page, cold = opened(browser, server)
            settle(page)
            page.close()
            warm = []
            for _ in range(TURNS):
                page, took = opened(browser, server)
                settle(page)
                page.close()
                warm.append(took)
            page, _ = opened(browser, server)
            settle(page)
            groupings = [
                without(page, "Epochs"),
                without(page, "Curriculum"),
                by(page, "Epochs"),
                by(page, "Curriculum"),
            ]
            browser.close()
    finally:
        server.stop()
    what = f"{runs} runs × {episodes:,} episodes"
    return [
        figure(f"first chart of {what}", statistics.median(warm), FIRST_GOAL, "s"),
        figure("the same, of a server that has read none of them", cold, FIRST_GOAL, "s"),
        figure("click to the chart in another grouping", statistics.median(groupings), GROUPING_GOAL, "s"),
        figure("the same, slowest", max(groupings), GROUPING_GOAL, "s"),
    ]


def main() -> None:
    """A table, or JSON with `--json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="a JSON list in place of a table")
    parser.add_argument("--runs", type=int, default=GROUPS * SEEDS)
    parser.add_argument("--episodes", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = benchmark(options.runs, options.episodes, Path(folder))
    show("Compare in the browser: ours, the goal, and how many times better than it", figures, as_json=options.json)


if __name__ == "__main__":
    main()

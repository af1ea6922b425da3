"""The main job in a real browser: start, watch, move a boundary, stop, resume, compare; and a server that restarts."""

import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import APP, ROOT, Server, StartServer, Watched, pick, serve
from tests.processes import kill_all
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.jobs import control
from v3core.store.opening import open_database

ENDLESS = 100_000
"""Episodes of a run that must not end before a test has acted on it, however slow the page."""
ENVIRONMENTS = 8
"""Side by side in the CartPole recipe: as many episodes may end on one step."""


class Records:
    """The database as another program would read it: plain SQL."""

    def __init__(self, data: Path) -> None:
        """Read from this data folder."""
        self._file = data / "v3.db"

    def rows(self, query: str, *values: object) -> list[tuple]:
        """All rows of a query."""
        connection = sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def value(self, query: str, *values: object) -> object:
        """The only value of a query."""
        return self.rows(query, *values)[0][0]

    def status(self, run_id: str) -> str:
        """A run's status."""
        return str(self.value("SELECT status FROM runs WHERE id = ?", run_id))

    def episodes(self, run_id: str) -> int:
        """Recorded episodes of a run; fails on a gap or a double."""
        count, first, last = self.rows(
            "SELECT count(*), min(episode), max(episode) FROM episodes WHERE run_id = ?", run_id
        )[0]
        assert count == 0 or (first, last) == (1, count)
        return int(count)


@pytest.fixture
def served(start_server: StartServer) -> Iterator[Server]:
    """The real app; its workers are ended afterwards, by their own ids."""
    server = start_server(APP)
    yield server
    kill_all(server.data)


def launch(page: Page, server: Server, curriculum: str, episodes: int) -> str:
    """Start a run through the launch page; returns its id."""
    page.goto(f"{server.url}/launch")
    pick(page, "Preset", curriculum)
    field = page.get_by_role("spinbutton", name="Episodes", exact=True)
    field.fill(str(episodes))
    field.press("Enter")
    expect(page.get_by_text("Ends", exact=True).first).to_be_visible()
    # Once the page has taken the number: a click on a page that is being drawn again may be dropped.
    expect(page.get_by_test_id("stBottom")).to_contain_text(f"{episodes:,} episodes")
    page.get_by_role("button", name="Start the run").click()
    page.wait_for_url("**/live?run=*")
    return page.url.partition("run=")[2]


def act(page: Page, button: str) -> None:
    """Press a button of the run; while a script runs, Streamlit shows a Stop button of its own in the header."""
    page.get_by_test_id("stMainBlockContainer").get_by_role("button", name=button, exact=True).click()


def expect_status(page: Page, status: str) -> None:
    """Wait until the live page's badge says so."""
    badge = page.locator(".stMarkdownBadge", has_text=status)
    expect(badge.first).to_be_visible()


def drawn_episode(page: Page) -> int:
    """The newest episode that the return chart shows."""
    return int(
        page.evaluate(
            """() => {
                const shown = document.querySelector('[class*=st-key-return-]');  // not the plan of Launch
                shown?.querySelector('.v3-chart')?.scrollIntoView({block: 'nearest'});  // else it is not drawn
                const chart = shown?.querySelector('.js-plotly-plot');
                const x = chart?._fullData?.[0]?.x;
                return x?.length ? Math.max(...x) : 0;
            }"""
        )
    )


def test_start_watch_move_a_boundary_stop_resume_and_compare(page: Page, served: Server, watched: Watched) -> None:
    run_id = launch(page, served, "v3", ENDLESS)
    records = Records(served.data)

    # New points arrive without a reload.
    wait_for(lambda: drawn_episode(page) > 0, "a first point on the chart")
    page.evaluate("() => { window.stillTheSamePage = true }")
    first = drawn_episode(page)
    wait_for(lambda: drawn_episode(page) > first, "another point on the chart")
    assert page.evaluate("() => window.stillTheSamePage") is True

    # Move the boundary that lies ahead; the recorded phase changes there. It pauses, or it might be past it already.
    database = open_database(f"sqlite:///{served.data / 'v3.db'}", served.data)
    control.pause(database, run_id)
    wait_for(lambda: records.status(run_id) == "paused", "the pause")
    boundary = records.episodes(run_id) + 60
    field = page.get_by_label("warmup ends at episode")
    field.fill(str(boundary))
    field.press("Enter")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text(re.compile(rf"Boundaries {boundary:,}, [\d,]+: applied at episode"))).to_be_visible()
    expect(field).to_have_value(str(boundary))
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()
    control.unpause(database, run_id)
    database.close()
    wait_for(lambda: records.episodes(run_id) > boundary + ENVIRONMENTS, "the run passing the boundary")
    last_of_warmup = records.value("SELECT max(episode) FROM episodes WHERE run_id = ? AND phase = 'warmup'", run_id)
    first_after = records.value("SELECT min(episode) FROM episodes WHERE run_id = ? AND phase = 'transition'", run_id)
    assert boundary <= last_of_warmup < boundary + ENVIRONMENTS
    assert first_after == last_of_warmup + 1
    assert records.rows(
        "SELECT DISTINCT routing FROM episodes WHERE run_id = ? AND episode >= ?", run_id, first_after
    ) == [("sparsemax",)]
    expect(page.get_by_text("transition", exact=True).first).to_be_visible()

    # Stop: the worker ends with a checkpoint, and nothing more is recorded.
    act(page, "Stop")
    expect_status(page, "Stopped")
    stopped_at = records.episodes(run_id)
    assert records.value("SELECT max(episode) FROM checkpoints WHERE run_id = ?", run_id) == stopped_at

    # Resume: it goes on from there, every episode recorded once.
    act(page, "Resume")
    wait_for(lambda: records.episodes(run_id) > stopped_at, "episodes after the resume")
    wait_for(lambda: drawn_episode(page) > stopped_at, "the chart going on")
    act(page, "Stop")
    expect_status(page, "Stopped")

    # Compare it with another curriculum, by a link opened cold.
    other = launch(page, served, "direct-sparsemax", 60)
    wait_for(lambda: records.status(other) == "completed", "the second run completing")
    page.goto(f"{served.url}/compare?runs={run_id[:8]},{other[:8]}")
    wait_for(
        lambda: page.evaluate("() => (document.querySelector('.js-plotly-plot')?.data || []).map(trace => trace.name)"),
        "the comparison",
    )
    names = page.evaluate("() => document.querySelector('.js-plotly-plot').data.map(trace => trace.name)")
    assert any(name.startswith("v3") for name in names)
    assert any(name.startswith("direct-sparsemax") for name in names)
    expect(page.get_by_text("Phase by phase")).to_be_visible()
    assert watched.outside == []

    # Delete asks first, then removes the rows and the files.
    page.goto(served.url)
    page.get_by_role("checkbox", name="Select direct-sparsemax · CartPole-v1 · seed 1").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    wait_for(lambda: not records.rows("SELECT 1 FROM runs WHERE id = ?", other), "the run's deletion")
    assert not (served.data / "runs" / other).exists()
    expect(page.get_by_role("link", name="direct-sparsemax · CartPole-v1 · seed 1")).to_have_count(0)


def test_a_run_goes_on_while_the_server_restarts(page: Page, served: Server) -> None:
    run_id = launch(page, served, "v3", ENDLESS)
    records = Records(served.data)
    wait_for(lambda: records.episodes(run_id) > 0, "a first episode")
    worker = records.value("SELECT pid FROM runs WHERE id = ?", run_id)

    served.stop()
    before = records.episodes(run_id)
    wait_for(lambda: records.episodes(run_id) > before, "episodes while no server runs")

    restarted = serve(APP, served.data.parent)
    try:
        page.goto(f"{restarted.url}/live?run={run_id}")
        expect_status(page, "Running")
        shown = wait_for(lambda: drawn_episode(page), "the chart of the new server")
        wait_for(lambda: drawn_episode(page) > shown, "new points from the old worker")
        assert records.value("SELECT pid FROM runs WHERE id = ?", run_id) == worker
    finally:
        restarted.stop()


def seconds_to_import() -> float:
    """How long a process takes here and now to import what a worker does."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import v3core.cli, v3core.training.trainer"], cwd=ROOT, check=True)
    return time.monotonic() - started


def test_one_click_starts_the_demo_and_draws_within_ten_seconds(page: Page, served: Server) -> None:
    """Or, where the machine is busy, within a few times what the imports take on it, before or after."""
    before = seconds_to_import()
    page.goto(served.url)
    button = page.get_by_role("button", name="Start the demo")
    button.wait_for()
    clicked = time.monotonic()
    button.click()
    wait_for(lambda: drawn_episode(page) > 0, "a first point on the chart")
    waited = time.monotonic() - clicked
    assert waited < 10 or waited < 4 * max(before, seconds_to_import())
    expect(page.get_by_text("Demo: what to look for")).to_be_visible()
    records = Records(served.data)
    assert sorted(records.rows("SELECT curriculum, env FROM runs")) == [
        ("demo-with-curriculum", "CartPole-v1"),
        ("demo-without-curriculum", "CartPole-v1"),
    ]


def test_a_run_deleted_elsewhere_leaves_no_traceback(page: Page, served: Server) -> None:
    run_id = launch(page, served, "v3", ENDLESS)
    expect_status(page, "Running")
    database = open_database(f"sqlite:///{served.data / 'v3.db'}", served.data)
    control.stop(database, run_id)
    assert control.wait_stopped(database, run_id, PATIENCE_SECONDS) == "stopped"
    control.delete(database, run_id)
    database.close()
    page.wait_for_function("() => /There is no run|was deleted/.test(document.body.innerText)")
    expect(page.locator(".stException")).to_have_count(0)
    assert "Traceback" not in served.log.read_text()

"""A newcomer's first minutes, in one go, on a busy machine: from an empty clone to an export of a run of their own."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import ROOT, Server, Watched, free_port, show_chart, wait_until_healthy
from tests.browser.test_main_job import Records, act, drawn_episode, expect_status, launch
from tests.load import busy_machine
from tests.processes import kill_all
from tests.waiting import wait_for
from v3core.jobs import control
from v3core.store.opening import open_database

EPISODES = 120
LONGER = 150


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `git clone` gives: the files that git knows or would take, and nothing else."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    folder = tmp_path / "an empty folder" / "v3-lab"
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def lab(clone: Path, tmp_path: Path) -> Iterator[Server]:
    """What `make run` serves, after it has installed what is missing, beside two processes that never rest."""
    port, log = free_port(), tmp_path / "server.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STREAMLIT_", "V3_", "PYTHON"))}
    with busy_machine():
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "v3core", "serve", "--port", str(port)],
                cwd=clone,
                env=kept,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        server = Server(f"http://127.0.0.1:{port}", process, log, clone / "data")
        try:
            wait_until_healthy(server)
            yield server
        finally:
            server.stop()
            kill_all(server.data)


@pytest.mark.timeout(600)
def test_from_an_empty_clone_to_an_export(page: Page, lab: Server, watched: Watched) -> None:
    demo(page, lab)
    own_run(page, lab)
    assert watched.problems == []
    assert watched.outside == []
    assert "Traceback" not in lab.log.read_text()


def demo(page: Page, lab: Server) -> None:
    """Start it, watch it, compare its runs as they train, stop it."""
    page.goto(lab.url)
    page.get_by_role("button", name="Start the demo").click()
    page.wait_for_url("**/live?run=*")
    wait_for(lambda: drawn_episode(page) > 0, "a first point on the chart")
    expect(page.get_by_text("Demo: what to look for")).to_be_visible()
    records = Records(lab.data)
    wait_for(
        lambda: records.value("SELECT min(episode) FROM runs") > 0,
        "episodes of both runs of the demo",
    )
    page.get_by_role("link", name="Compare them").click()
    page.wait_for_url("**/compare?*")
    expect(page.get_by_text("Demo: how to read this page")).to_be_visible()
    show_chart(page)
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_role("button", name="Stop 2 runs").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop", exact=True).click()
    wait_for(
        lambda: records.rows("SELECT DISTINCT status FROM runs") == [("stopped",)],
        "the demo stopped",
    )


def own_run(page: Page, lab: Server) -> None:
    """Launch a run, stop it, resume it, train it longer, and export it."""
    run_id = launch(page, lab, "v3", EPISODES)
    records = Records(lab.data)
    wait_for(lambda: records.episodes(run_id) > 0, "a first episode")
    with closing(open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)) as database:
        control.pause(database, run_id)  # or it may have ended before the page on a busy machine stops it
    wait_for(lambda: drawn_episode(page) > 0, "a first point on the chart")
    act(page, "Stop")
    expect_status(page, "Stopped")
    before = records.episodes(run_id)
    assert 0 < before < EPISODES
    act(page, "Resume")
    for episode in range(20, EPISODES + 1, 20):  # each has its time: torch trains it, beside two busy processes
        wait_for(lambda episode=episode: records.episodes(run_id) >= episode, f"episode {episode}")
    expect_status(page, "Completed")
    assert records.episodes(run_id) == EPISODES
    field = page.get_by_role("spinbutton", name="Train up to episode")
    field.fill(str(LONGER))
    field.press("Enter")
    act(page, "Train longer")
    wait_for(lambda: records.episodes(run_id) == LONGER, "episodes beyond the first length")
    expect_status(page, "Completed")
    page.get_by_role("button", name="Export", exact=False).first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == f"v3-CartPole-v1-seed-1-{run_id[:8]}.csv"
    with Path(download.value.path()).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["episode"]) for row in rows] == list(range(1, LONGER + 1))
    assert {(row["run_id"], row["seed"], row["curriculum"]) for row in rows} == {(run_id, "1", "v3")}

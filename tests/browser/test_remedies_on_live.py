"""A real run made to collapse: Live says so on top, and the button of a remedy changes what the job trains with."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import APP, ROOT, Server, StartServer, Watched
from tests.browser.test_main_job import Records, expect_status
from tests.processes import kill_all
from tests.waiting import wait_for

COLLAPSING = """
name: collapsing
phases:
  - {name: even, until: {episode: 40}, routing: softmax, load_balance: 0}
  - {name: sharp, until: {episode: 90000}, routing: topk, top_k: 1, top_k_weights: probabilities}
  - {name: end, routing: sparsemax}
"""


@pytest.fixture
def served(start_server: StartServer) -> Iterator[Server]:
    """The real app; its workers are ended afterwards, by their own ids."""
    server = start_server(APP)
    yield server
    kill_all(server.data)


def collapsing(server: Server) -> str:
    """Start a run of sixteen experts of which the router chooses one at a time; returns its id."""
    file = server.data / "collapsing.yaml"
    file.write_text(COLLAPSING, encoding="utf-8")
    slow = ("--set", "policy.experts=16", "--set", "base.lr=1e-6")  # its episodes stay short
    arguments = (
        "sweep",
        "--env",
        "CartPole-v1",
        "--curricula",
        str(file),
        "--seeds",
        "1",
        "--episodes",
        "100000",
        *slow,
    )
    environment = {**os.environ, "V3_DATA_DIR": str(server.data)}
    subprocess.run([sys.executable, "-m", "v3core", *arguments], cwd=ROOT, env=environment, check=True)
    return str(Records(server.data).value("SELECT id FROM runs WHERE parent IS NULL"))


def test_a_collapsing_run_is_named_on_top_and_the_button_changes_the_running_job(
    page: Page, served: Server, watched: Watched
) -> None:
    run_id = collapsing(served)
    records = Records(served.data)
    page.goto(f"{served.url}/live?run={run_id}")
    verdict = page.get_by_test_id("stAlert").filter(has_text="experts dead").first
    expect(verdict).to_contain_text("of 16 experts dead")
    expect(verdict).to_contain_text("raise load balance")
    effective = "SELECT load_balance, episode FROM episodes WHERE run_id = ? ORDER BY episode DESC LIMIT 1"
    assert records.rows(effective, run_id)[0][0] == 0

    page.get_by_role("button", name="Double load balance").first.click()
    wait_for(lambda: records.rows(effective, run_id)[0][0] == 0.01, "the job trains with the remedy")
    assert records.status(run_id) == "running"
    applied = "SELECT applied_episode FROM commands WHERE run_id = ? AND kind = 'edit_curriculum'"
    episode = records.value(applied, run_id)
    used = "SELECT DISTINCT load_balance FROM episodes WHERE run_id = ? AND episode > ? AND phase = 'sharp'"
    first = "SELECT min(episode) FROM episodes WHERE run_id = ? AND load_balance = 0.01"
    assert records.value(first, run_id) > episode
    assert (0.01,) in records.rows(used, run_id, episode)
    expect(page.get_by_text(f"at episode {episode:,}").first).to_be_visible()

    page.get_by_role("button", name="Fork from before it began").first.click()
    fork = "SELECT name, parent_episode FROM runs WHERE parent = ?"
    wait_for(lambda: len(records.rows(fork, run_id)) == 1, "a fork from before the alarm began")
    name, began = records.rows(fork, run_id)[0]
    assert name.endswith("double load balance")
    assert began < records.value("SELECT min(first_episode) FROM alarms WHERE run_id = ?", run_id)

    page.get_by_role("button", name="Mute", exact=True).first.click()
    page.get_by_role("textbox", name="Reason").fill("sixteen are not needed")
    page.get_by_role("textbox", name="Reason").press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Mute", exact=True).click()
    state = "SELECT count(*) FROM alarms WHERE run_id = ? AND state = 'muted' AND reason = 'sixteen are not needed'"
    wait_for(lambda: records.value(state, run_id) == 1, "muted")
    expect(page.get_by_text("Muted: sixteen are not needed")).to_be_visible()
    page.get_by_test_id("stMainBlockContainer").get_by_role("button", name="Stop", exact=True).click()
    expect_status(page, "Stopped")
    assert watched.problems == []

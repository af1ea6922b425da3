"""What if, with real runs: change a phase ahead on Live, press once, and see pairs of forks train and differ."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import APP, ROOT, Server, StartServer, Watched, pick
from tests.browser.test_main_job import Records
from tests.processes import kill_all
from tests.waiting import wait_for

TWO_PHASES = """
name: soft then sparse
phases:
  - {name: soft, until: {episode: 120}, routing: softmax}
  - {name: sparse, routing: sparsemax, load_balance: 0}
"""
QUICK = ("policy.width=8", "policy.heads=1", "policy.layers=1", "ppo.epochs=1", "evaluation.episodes=0")


@pytest.fixture
def served(start_server: StartServer) -> Iterator[Server]:
    """The real app; its workers are ended afterwards, by their own ids."""
    server = start_server(APP)
    yield server
    kill_all(server.data)


def trained(server: Server) -> str:
    """A complete run of two phases; returns its id."""
    file = server.data / "two.yaml"
    file.write_text(TWO_PHASES, encoding="utf-8")
    arguments = ["train", "--env", "CartPole-v1", "--curriculum", str(file), "--episodes", "240", "--name", "parent"]
    settings = [part for setting in QUICK for part in ("--set", setting)]
    environment = {**os.environ, "V3_DATA_DIR": str(server.data)}
    command = [sys.executable, "-m", "v3core", *arguments, *settings]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.split()[-1]


def test_a_phase_is_changed_and_pairs_start_as_one_experiment(page: Page, served: Server, watched: Watched) -> None:
    parent = trained(served)
    records = Records(served.data)
    page.goto(f"{served.url}/live?run={parent}&what-if=true")
    expect(page.get_by_role("button", name="Start 5 pairs")).to_be_disabled()
    balance = page.locator(".st-key-what-if-phase-2").get_by_role("textbox", name="Load balance", exact=True)
    balance.fill("0.05")
    balance.press("Enter")
    pick(page, "Begin with the checkpoint at episode", "120")  # what is typed stays
    expect(page.get_by_text("sparse: load balance 0 to 0.05")).to_be_visible()
    seeds = page.get_by_role("textbox", name="Seeds of the pairs")
    seeds.fill("1-2")
    seeds.press("Enter")
    page.get_by_role("button", name="Start 2 pairs").click()
    expect(page.get_by_text("4 runs started as experiment")).to_be_visible()
    of_forks = "SELECT status, count(*) FROM runs WHERE parent = ? AND experiment LIKE 'What if%' GROUP BY status"
    wait_for(lambda: records.rows(of_forks, parent) == [("completed", 4)], "four forks are complete")
    rows = "SELECT id, seed, curriculum FROM runs WHERE parent = ? ORDER BY created_at"
    assert [row[1:] for row in records.rows(rows, parent)] == [
        (seed, name) for seed in (1, 2) for name in ("soft then sparse", "soft then sparse (edited)")
    ]
    as_it_was, changed = (row[0] for row in records.rows(rows, parent)[:2])
    numbers = 'SELECT episode, "return", step, policy_loss, load_balance FROM episodes WHERE run_id = ? AND episode > ?'
    assert records.rows(numbers, as_it_was, 0) == records.rows(numbers, parent, 120), "to the bit"
    assert {row[4] for row in records.rows(numbers, changed, 0)} == {0.05}

    page.reload()
    tree = page.locator(".st-key-lineage")
    expect(tree.get_by_role("link").filter(has_text="from 120")).to_have_count(5)  # four forks, and their comparison
    expect(tree.get_by_text("soft then sparse (edited) minus soft then sparse")).to_be_visible()
    for chart in tree.locator(".v3-chart").all():
        chart.scroll_into_view_if_needed()
        expect(chart.locator(".js-plotly-plot .main-svg").first).to_be_visible()

    page.get_by_role("button", name="Fork from here").click()
    page.get_by_role("link", name="Watch the fork").click()
    expect(page.get_by_role("heading", name="parent · from")).to_be_visible()
    expect(page.locator(".st-key-lineage").get_by_role("link", name="parent · completed")).to_be_visible()
    assert not watched.problems
    assert not watched.outside

"""Jobs as pages show and steer them, in a real browser: in two tabs, with a double click, and from another page."""

import re
import signal
import time
from contextlib import suppress

from playwright.sync_api import Page, TimeoutError, expect

from tests.browser.support import Server, Watched, pick
from tests.browser.test_main_job import ENDLESS, Records, expect_status, launch
from tests.waiting import wait_for
from v3core.jobs.identity import ProcessIdentity, send_signal


def command_row(page: Page, title: str, place: int = 0) -> list[str]:
    """The texts of a command's row in the panel; the newest of that title has place 0."""
    row = page.locator(".st-key-commands tr", has=page.get_by_text(title, exact=True)).nth(place)
    return row.locator("td").all_inner_texts()


def ask(page: Page, records: Records, button: str, kind: str) -> None:
    """Press a button until its command is there: Streamlit drops a click while the browser connects anew."""
    there = page.get_by_test_id("stMainBlockContainer").get_by_role("button", name=button, exact=True)
    there.wait_for()
    again_at = 0.0

    def asked() -> object:
        nonlocal again_at
        found = records.value("SELECT count(*) FROM commands WHERE kind = ?", kind)
        if not found and time.monotonic() > again_at and there.is_visible():
            again_at = time.monotonic() + 10
            with suppress(TimeoutError):  # its click was taken: it is no longer there
                there.click(timeout=5000)
        return found

    wait_for(asked, f"a command of '{button}'")


def test_a_pause_is_seen_in_two_tabs_and_each_can_end_it(page: Page, lab: Server, watched: Watched) -> None:
    run_id = launch(page, lab, "v3", ENDLESS)
    records = Records(lab.data)
    wait_for(lambda: records.episodes(run_id) > 0, "a first episode")
    other = page.context.new_page()
    other.goto(f"{lab.url}/live?run={run_id}")
    expect_status(other, "Running")

    ask(page, records, "Pause", "pause")
    for tab in (page, other):
        expect_status(tab, "Paused")
        expect(tab.get_by_text(re.compile(r"Pause, .* ago: applied after .* at episode"))).to_be_visible()
    held = records.episodes(run_id)

    ask(other, records, "Checkpoint now", "checkpoint")
    wait_for(lambda: "applied after" in " ".join(command_row(page, "Checkpoint now")), "the checkpoint in the panel")
    title, requested, acknowledged, outcome = command_row(page, "Checkpoint now")
    assert title == "Checkpoint now"
    assert re.fullmatch(r"\d\d:\d\d:\d\d by page", requested)
    assert re.fullmatch(r"after .* seconds?", acknowledged)
    assert re.search(rf"applied after .* seconds? at episode {held:,}", outcome)
    assert records.episodes(run_id) == held, "nothing is trained while it holds"

    ask(other, records, "Unpause", "continue")
    for tab in (page, other):
        expect_status(tab, "Running")
    wait_for(lambda: records.episodes(run_id) > held, "episodes after the pause")
    assert [kind for (kind,) in records.rows("SELECT kind FROM commands ORDER BY id")] == [
        *("pause", "checkpoint", "continue")
    ]
    assert watched.outside == []


def test_a_double_click_starts_once_and_pauses_once(page: Page, lab: Server) -> None:
    page.goto(f"{lab.url}/launch")
    page.get_by_role("spinbutton", name="Episodes", exact=True).fill(str(ENDLESS))
    page.get_by_role("spinbutton", name="Episodes", exact=True).press("Enter")
    expect(page.get_by_text("Ends", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Start the run").dblclick()
    page.wait_for_url("**/live?run=*")
    records = Records(lab.data)
    (run_id,) = wait_for(lambda: records.rows("SELECT id FROM runs"), "the run")[0]
    wait_for(lambda: records.episodes(run_id) > 0, "a first episode")
    assert records.value("SELECT count(*) FROM runs") == 1
    assert page.url.endswith(run_id)

    expect_status(page, "Running")
    page.get_by_test_id("stMainBlockContainer").get_by_role("button", name="Pause", exact=True).dblclick()
    expect_status(page, "Paused")
    assert records.rows("SELECT kind FROM commands") == [("pause",)]
    expect(page.get_by_test_id("stToast")).to_have_count(0)


def test_a_run_that_is_lost_is_reported_on_another_page(page: Page, lab: Server) -> None:
    run_id = launch(page, lab, "v3", ENDLESS)
    records = Records(lab.data)
    wait_for(lambda: records.episodes(run_id) > 0, "a first episode")
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_text("There is only one run; a comparison needs two.")).to_be_visible()

    (owner,) = records.rows("SELECT host, boot_id, pid, pid_started FROM runs")
    send_signal(ProcessIdentity(*owner), signal.SIGKILL)
    expect(page.get_by_test_id("stToast")).to_contain_text(
        re.compile(r"^\s*(link_off)?\s*v3 · CartPole-v1 · seed 1 was lost after [\d,]+ episodes: ")
    )
    assert records.status(run_id) == "lost"


def test_a_sweep_waits_in_the_queue_and_is_stopped_as_one(page: Page, lab: Server) -> None:
    page.goto(f"{lab.url}/launch")
    page.get_by_role("spinbutton", name="Episodes", exact=True).fill(str(ENDLESS))
    page.get_by_role("spinbutton", name="Episodes", exact=True).press("Enter")
    page.get_by_role("textbox", name="Seeds").fill("1-8")
    page.get_by_role("textbox", name="Seeds").press("Enter")
    expect(page.get_by_role("button", name="Start 8 runs")).to_be_visible()
    pick(page, "Compare with", "direct-sparsemax")
    page.keyboard.press("Escape")  # the list of presets stays open for more
    page.get_by_role("button", name="Start 16 runs").click()
    page.wait_for_url("**/experiments?experiment=*")
    records = Records(lab.data)
    assert records.value("SELECT count(DISTINCT experiment) FROM runs") == 1

    page.goto(lab.url)
    expect(page.get_by_text(re.compile(r"16 runs: .*queued"))).to_be_visible()
    # What trains stands first, then what waits, as it will start.
    expect(page.get_by_role("cell", name="1st in the queue")).to_be_visible()
    page.get_by_role("button", name="Stop 16 runs").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop", exact=True).click()
    left = "SELECT count(*) FROM runs WHERE status NOT IN ('stopping', 'stopped')"
    wait_for(lambda: records.value(left) == 0, "all runs being asked to stop")
    assert records.value("SELECT count(*) FROM commands WHERE kind = 'stop'") == 16

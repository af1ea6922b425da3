"""The address of Live names the run that is shown, without a trap in the history."""

import re

from playwright.sync_api import Page, expect

from tests.browser.support import APP, StartServer, Watched
from tests.pages.recorded import add_recorded_run
from tests.processes import kill_all
from v3core.jobs.lifecycle import Status
from v3core.store.opening import open_database


def test_live_names_its_run_in_the_address_and_back_leads_back(
    page: Page, start_server: StartServer, watched: Watched
) -> None:
    server = start_server(APP)
    database = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
    older, newest = (add_recorded_run(database, Status.COMPLETED, name=name) for name in ("older", "newest"))
    database.close()
    page.goto(server.url)
    page.get_by_role("link", name="Live", exact=True).click()
    page.wait_for_url(f"**/live?run={newest}")
    heading = page.get_by_role("heading", name="newest", exact=True)
    expect(heading).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    page.go_forward()
    expect(heading).to_be_visible()
    expect(page).to_have_url(re.compile(newest))
    page.reload()
    expect(heading).to_be_visible()
    page.goto(f"{server.url}/live?run={older}")
    expect(page.get_by_role("heading", name="older", exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile(older))
    assert watched.problems == []


def test_compare_names_what_it_offered_and_back_leads_back(
    page: Page, start_server: StartServer, watched: Watched
) -> None:
    server = start_server(APP)
    database = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
    for name in ("older", "newest"):
        add_recorded_run(database, Status.COMPLETED, name=name)
    database.close()
    page.goto(server.url)
    page.get_by_role("link", name="Compare", exact=True).click()
    page.get_by_role("button", name="Compare the two latest runs").click()
    expect(page).to_have_url(re.compile(r"/compare\?.*runs="))
    metric = page.get_by_role("combobox", name="Metric", exact=True)
    expect(metric).to_be_visible()
    page.reload()
    expect(metric).to_be_visible()
    page.go_back()
    expect(page.get_by_role("button", name="Compare the two latest runs")).to_be_visible()
    assert watched.problems == []


def test_back_after_a_start_leads_back_at_once(page: Page, start_server: StartServer, watched: Watched) -> None:
    """Buttons that open another page add one entry to the history: Start, the demo, an import."""
    server = start_server(APP)
    try:
        page.goto(server.url)
        page.get_by_role("button", name="Start the demo").click()
        page.wait_for_url("**/live?run=*")
        expect(page.get_by_text("Demo: what to look for")).to_be_visible()
        page.go_back()
        expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
        assert "run=" not in page.url
        page.get_by_role("link", name="Launch", exact=True).click()
        start = page.get_by_role("button", name="Start the run")
        expect(start).to_be_enabled()
        start.click()
        page.wait_for_url("**/live?run=*")
        expect(page.get_by_role("heading", name="Live", exact=True)).to_be_visible()  # a person sees a page first
        page.go_back()
        expect(page.get_by_role("heading", name="Launch", exact=True)).to_be_visible()
        expect(start).to_be_enabled()
        assert "run=" not in page.url
        page.go_forward()
        page.wait_for_url("**/live?run=*")
        expect(page.get_by_role("heading", name="Live", exact=True)).to_be_visible()
        assert watched.problems == []
    finally:
        server.stop()
        kill_all(server.data)

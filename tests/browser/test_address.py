"""The address of Live names the run that is shown, without a trap in the history."""

import re

from playwright.sync_api import Page, expect

from tests.browser.support import APP, StartServer, Watched
from tests.pages.recorded import add_recorded_run
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

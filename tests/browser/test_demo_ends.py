"""A page of the demo that is open as its other run ends offers the comparison by itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import ROOT, StartServer, Watched
from tests.pages.recorded import add_recorded_run
from v3core.jobs.demo import NAMES, WITH, WITHOUT
from v3core.jobs.lifecycle import Status, change_status
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.runs import get_run, update_run

SPREAD = (1 / 16,) * 16
COLLAPSED = (0.6, 0.38, 0.02, *(0.0,) * 13)


@pytest.fixture
def db(start_server: StartServer) -> Iterator[tuple[Database, str]]:
    """The store of a server, and the server's address."""
    server = start_server(ROOT / "app.py")
    database = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
    yield database, server.url
    database.close()


def test_the_end_of_the_other_run_leads_to_the_comparison(
    page: Page, watched: Watched, db: tuple[Database, str]
) -> None:
    database, url = db
    ids = {}
    for preset, loads, status in ((WITH, SPREAD, Status.COMPLETED), (WITHOUT, COLLAPSED, Status.RUNNING)):
        ids[preset] = add_recorded_run(database, status, preset=preset, loads=loads, name=NAMES[preset])
        with database.write() as tx:
            update_run(tx, ids[preset], {"experiment": "Demo"}, only_in=tuple(Status))
    with database.write() as tx:  # its page is not drawn again for the sake of "1 s ago"
        update_run(tx, ids[WITH], {"ended_at": datetime.now(UTC) - timedelta(hours=5)}, only_in=("completed",))
    page.goto(f"{url}/live?run={ids[WITH]}")
    expect(page.get_by_text("Demo: what to look for")).to_be_visible()
    expect(page.get_by_text("The demo is complete.")).to_have_count(0)
    with database.write() as tx:
        for status in (Status.RUNNING, Status.COMPLETED):  # it may have been called stalled
            change_status(tx, get_run(tx, ids[WITHOUT]), status, "", actor="test", now=datetime.now(UTC))
    expect(page.get_by_text("The demo is complete.")).to_be_visible()
    page.get_by_role("link", name="Compare the two runs").click()
    expect(page.get_by_text("13 of 16 experts are dead without the curriculum")).to_be_visible()
    expect(page.get_by_label("Metric")).to_have_value("Dead experts")
    assert watched.problems == []

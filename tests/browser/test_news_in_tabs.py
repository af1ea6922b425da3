"""Tabs on which nothing happens are left in peace, and hear of news at once."""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import Server, Watched
from tests.browser.test_main_job import act
from tests.pages.recorded import add_recorded_run
from tests.waiting import PATIENCE_SECONDS
from v3core.jobs import slots
from v3core.jobs.lifecycle import Status
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.runs import update_run
from v3core.ui import ticks

NOTICED_SECONDS = 2.0
"""From a change in one tab to the other: half a second to the look, a second since it was drawn, and the drawing."""
BUSY_FACTOR = 4
"""This machine may be busy with other things: then it takes as many times what a whole page takes on it."""


@pytest.fixture
def db(lab: Server) -> Iterator[Database]:
    """Its database; its one slot is taken by this process, so that nothing trains."""
    database = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    slots.set_slots(database, 1)
    add_recorded_run(database, Status.RUNNING)
    yield database
    database.close()


class Traffic:
    """Messages that a tab's sockets receive."""

    def __init__(self, page: Page) -> None:
        """Of the sockets that the page opens from now on."""
        self.received = 0
        self._page = page
        page.on("websocket", lambda socket: socket.on("framereceived", self._count))

    def _count(self, _: object) -> None:
        self.received += 1

    def within(self, seconds: float) -> int:
        """How many messages come in this time."""
        before = self.received
        self._page.wait_for_timeout(1000 * seconds)
        return self.received - before


def badge(page: Page, status: str) -> None:
    """Wait for the badge of the run's status."""
    expect(page.locator(".stMarkdownBadge", has_text=status).first).to_be_visible()


def test_a_resume_in_one_tab_is_seen_in_another_at_once(page: Page, lab: Server, db: Database) -> None:
    run_id = add_recorded_run(db, Status.STOPPED)
    other = page.context.new_page()
    for tab in (page, other):
        tab.goto(f"{lab.url}/live?run={run_id}")
        badge(tab, "Stopped")
    act(page, "Resume")
    badge(page, "Queued")
    seen = time.monotonic()
    badge(other, "Queued")
    noticed = time.monotonic() - seen
    other.reload()
    badge(other, "Queued")
    drawn = time.monotonic() - seen - noticed
    assert noticed < BUSY_FACTOR * max(NOTICED_SECONDS, drawn)


def test_a_page_of_an_ended_run_is_sent_nothing_until_there_is_news(
    page: Page, lab: Server, db: Database, watched: Watched
) -> None:
    run_id = add_recorded_run(db, Status.COMPLETED)
    with db.write() as tx:  # so that no age on the page is in seconds
        run_row = {"ended_at": None}
        update_run(tx, run_id, run_row, only_in=[Status.COMPLETED])
    traffic = Traffic(page)
    page.goto(f"{lab.url}/live?run={run_id}")
    badge(page, "Completed")
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    ends = time.monotonic() + PATIENCE_SECONDS
    while traffic.within(2 * NOTICED_SECONDS):  # what was drawn while the page was opened
        assert time.monotonic() < ends
    assert traffic.within(ticks.KEEP_SECONDS + 1) == 0  # the browser ticks in this time too
    with db.write() as tx:
        update_run(tx, run_id, {"notes": "read this"}, only_in=[Status.COMPLETED])
    expect(page.get_by_text("read this").first).to_be_visible()
    assert watched.problems == []

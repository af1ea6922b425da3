"""Tabs on which nothing happens are left in peace, and hear of news at once."""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, WebSocket, expect

from tests.browser.support import Server, Watched
from tests.browser.test_main_job import act
from tests.pages.recorded import add_recorded_run
from v3core.jobs import launcher
from v3core.jobs.lifecycle import Status
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.runs import update_run

NOTICED_SECONDS = 2.0
"""From a change in one tab to the other: half a second to the look, a second to the tick, and the drawing."""
BUSY_FACTOR = 4
"""This machine may be busy with other things: then it takes as many times what a whole page takes on it."""


@pytest.fixture
def db(lab: Server) -> Iterator[Database]:
    """Its database; its one slot is taken by this process, so that nothing trains."""
    database = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    launcher.set_slots(database, 1)
    add_recorded_run(database, Status.RUNNING)
    yield database
    database.close()


class Traffic:
    """Messages of a tab's socket."""

    def __init__(self, page: Page) -> None:
        """Of the sockets that the page opens from now on."""
        self.sent = self.received = 0
        page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framesent", self._count_sent)
        socket.on("framereceived", self._count_received)

    def _count_sent(self, _: object) -> None:
        self.sent += 1

    def _count_received(self, _: object) -> None:
        self.received += 1

    def after_ticks(self, page: Page, ticks: int) -> int:
        """How many messages come while the page asks so often."""
        until, before = self.sent + ticks, self.received
        while self.sent < until:
            page.wait_for_timeout(50)
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
    traffic.after_ticks(page, 40)  # what was drawn while the page was opened
    assert traffic.after_ticks(page, 12) == 0
    with db.write() as tx:
        update_run(tx, run_id, {"notes": "read this"}, only_in=[Status.COMPLETED])
    expect(page.get_by_text("read this").first).to_be_visible()
    assert watched.problems == []

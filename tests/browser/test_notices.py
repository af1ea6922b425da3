"""A notice that a dialog's button gives does not replace the dialog, and the page stays whole."""

import os

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import APP, StartServer, Watched
from tests.pages.recorded import add_recorded_run
from v3core.jobs import slots
from v3core.jobs.lifecycle import Status
from v3core.store.opening import open_database
from v3core.store.runs import update_run

ROUNDS = int(os.environ.get("V3_LEAVING", "3"))


@pytest.mark.timeout(300 + 60 * ROUNDS)
def test_notices_leave_dialogs_alone(page: Page, start_server: StartServer, watched: Watched) -> None:
    server = start_server(APP)
    database = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
    slots.set_slots(database, 1)
    add_recorded_run(database, Status.RUNNING)  # takes the slot
    try:
        for number in range(ROUNDS):
            name = f"Both {number}"
            waiting = [add_recorded_run(database, Status.QUEUED) for _ in range(2)]
            with database.write() as tx:
                for run in waiting:
                    update_run(tx, run, {"experiment": name}, only_in=["queued"])
            page.goto(server.url)
            page.get_by_role("button", name="Stop 2 runs").click()
            dialog = page.get_by_role("dialog")
            expect(dialog).to_contain_text(name)
            dialog.get_by_role("button", name="Stop", exact=True).click()
            expect(page.get_by_test_id("stToast").filter(has_text="Stopping 2 runs.")).to_be_visible()
            expect(dialog).to_have_count(0)
            page.wait_for_timeout(500)
            assert watched.problems == []
    finally:
        database.close()

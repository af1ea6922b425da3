"""A dialog stays usable while the page behind it has news, and the page updates again once it is closed."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.support import APP, StartServer, Watched
from tests.pages.recorded import add_recorded_run
from v3core.jobs import slots
from v3core.jobs.lifecycle import Status
from v3core.store.opening import open_database
from v3core.store.runs import update_run
from v3core.ui.ticks import VARIABLE

TICKS_WATCHED = 12
"""Messages of the page's timers after which its parts have surely been drawn, if they are at all."""


def cancel(dialog: Locator) -> None:
    dialog.get_by_role("button", name="Cancel").click()


def dismiss(dialog: Locator) -> None:
    dialog.page.keyboard.press("Escape")


@pytest.mark.parametrize("leave", [cancel, dismiss], ids=lambda leave: leave.__name__)
def test_a_dialog_outlasts_ticks_and_the_page_behind_it_goes_on(
    leave: Callable[[Locator], None],
    page: Page,
    start_server: StartServer,
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "0.15")
    server = start_server(APP)
    database = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
    slots.set_slots(database, 1)
    add_recorded_run(database, Status.RUNNING)  # takes the slot
    run_id = add_recorded_run(database, Status.COMPLETED)
    sent: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    page.goto(f"{server.url}/live?run={run_id}")
    page.get_by_role("button", name="Delete", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("This cannot be undone")
    before = len(sent)
    while len(sent) < before + TICKS_WATCHED:
        page.wait_for_timeout(50)
    leave(dialog)
    expect(dialog).to_have_count(0)
    with database.write() as tx:
        update_run(tx, run_id, {"name": "a new name"}, only_in=["completed"])
    expect(page.get_by_role("heading", name="a new name")).to_be_visible()
    database.close()
    assert watched.problems == []

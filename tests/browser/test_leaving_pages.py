"""However a page is left or rerun, the next one is drawn: with frequent ticks, on a busy machine.

A tick that is still under way when its page is left must not wipe the next one. `make leaving` does each way 20 times.
"""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, WebSocket, expect

from tests.browser.support import APP, Server, Watched, serve
from tests.load import busy_machine
from tests.pages.recorded import add_recorded_run
from tests.processes import kill_all, processes_of
from tests.waiting import PATIENCE_SECONDS
from v3core.archive import write_archive
from v3core.jobs import control, slots
from v3core.jobs.lifecycle import ENDED, Status, change_status
from v3core.store.opening import open_database
from v3core.store.runs import get_run, list_runs
from v3core.ui.ticks import VARIABLE

ROUNDS = int(os.environ.get("V3_LEAVING", "1"))
TICK_SECONDS = 0.15
TICKS_WATCHED = 4
"""How many ticks a page must outlast."""
MARKS = {"/": "Import a run", "/launch": "Names", "/live": "Commands", "/compare": "Runs"}
"""What the main part of a page holds once it is drawn, near its end."""


class Visitor:
    """A browser tab that knows what the server has recorded, and how many messages it has sent."""

    def __init__(self, page: Page, server: Server) -> None:
        """Count what the page's socket sends from now on."""
        self.page, self.server = page, server
        self.database = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
        self.sent = 0
        page.on("websocket", self._count)

    def _count(self, socket: WebSocket) -> None:
        socket.on("framesent", self._sent)

    def _sent(self, _: object) -> None:
        self.sent += 1

    def open(self, path: str = "/") -> None:
        """Open a page by its address, and wait until it ticks."""
        self.page.goto(f"{self.server.url}{path}")
        self.arrived("/" + urlsplit(path).path.strip("/"))

    def arrived(self, path: str) -> None:
        """The page of this path is drawn, and still is after some ticks."""
        main = self.page.get_by_test_id("stMainBlockContainer")
        self.page.wait_for_url(lambda url: urlsplit(url).path == path)
        for _ in range(2):
            expect(main).to_contain_text(MARKS[path])
            sent = self.sent
            deadline = time.monotonic() + PATIENCE_SECONDS
            while self.sent < sent + TICKS_WATCHED and time.monotonic() < deadline:
                self.page.wait_for_timeout(20)
            assert self.sent > sent, "the page does not tick"

    def act(self, button: str) -> None:
        """Click a button in the page's main part."""
        self.page.get_by_test_id("stMain").get_by_role("button", name=button, exact=True).first.click()

    def add(self, status: Status) -> str:
        """Record a run."""
        return add_recorded_run(self.database, status, episodes=40, recorded=0 if status == Status.QUEUED else 12)

    def end(self, run_id: str, status: Status) -> None:
        """Let a run of nobody end."""
        with self.database.write() as tx:
            assert change_status(tx, get_run(tx, run_id), status, "", actor="test", now=datetime.now(UTC))

    def forget_all(self) -> None:
        """No run is left, nor any process of one."""
        for process in processes_of(self.server.data):
            if process.pid != self.server.process.pid:
                process.kill()
        with self.database.write() as tx:
            tx.exec_driver_sql("DELETE FROM runs")


@pytest.fixture(scope="module")
def load() -> Iterator[None]:
    """Two processes that never rest."""
    with busy_machine():
        yield


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real app with one slot, whose pages tick all the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(TICK_SECONDS))
        server = serve(APP, tmp_path_factory.mktemp("leaving"))
    yield server
    server.stop()
    kill_all(server.data)


@pytest.fixture
def visitor(page: Page, lab: Server, load: None) -> Iterator[Visitor]:
    """A tab of its own; the only slot is taken, so that nothing really trains."""
    guest = Visitor(page, lab)
    slots.set_slots(guest.database, 1)
    guest.forget_all()
    guest.add(Status.COMPLETED)
    guest.add(Status.RUNNING)
    yield guest
    guest.database.close()


def follow_links(visitor: Visitor) -> None:
    """Every link of the sidebar, and that of a run."""
    visitor.open("/")
    sidebar = visitor.page.get_by_test_id("stSidebar")
    for name, path in (("Launch", "/launch"), ("Live", "/live"), ("Compare", "/compare"), ("Runs", "/")):
        sidebar.get_by_role("link", name=name).click()
        visitor.arrived(path)
    visitor.page.get_by_test_id("stMainBlockContainer").get_by_role("link", name="a completed run").first.click()
    visitor.arrived("/live")


def go_back_and_forward(visitor: Visitor) -> None:
    """The browser's own buttons."""
    visitor.open("/")
    visitor.page.get_by_test_id("stSidebar").get_by_role("link", name="Launch").click()
    visitor.arrived("/launch")
    visitor.page.get_by_test_id("stSidebar").get_by_role("link", name="Live").click()
    visitor.arrived("/live")
    for step, path in (("back", "/launch"), ("back", "/"), ("forward", "/launch"), ("forward", "/live")):
        visitor.page.evaluate(f"() => history.{step}()")
        visitor.arrived(path)


def pick_another_run(visitor: Visitor) -> None:
    """The picker of Live, whose address names the run that it has chosen by itself."""
    chosen = next(run for run in list_runs(visitor.database) if run.status == Status.COMPLETED)
    visitor.open("/live")
    other = next(run.id for run in list_runs(visitor.database) if run.id != chosen.id)
    visitor.page.wait_for_url(f"**/live?run={other}")
    visitor.page.get_by_role("combobox", name="Run", exact=True).click()
    visitor.page.get_by_role("option", name=f"{chosen.name} · {chosen.id[:6]}").click()
    visitor.page.wait_for_url(f"**/live?run={chosen.id}")
    visitor.arrived("/live")


def launch_a_run(visitor: Visitor) -> None:
    """Start on Launch."""
    visitor.open("/launch")
    visitor.act("Start the run")
    visitor.arrived("/live")


def import_a_run(visitor: Visitor) -> None:
    """The upload of an archive on Runs."""
    archive = visitor.server.data / "archive.v3run"
    if not archive.exists():
        write_archive(visitor.database, visitor.add(Status.COMPLETED), archive)
    visitor.open("/")
    visitor.act("Import a run")
    visitor.page.locator("input[type=file]").set_input_files(archive)
    visitor.page.get_by_text("Under a new id").click()
    expect(visitor.page.get_by_text(archive.name)).to_be_visible()
    visitor.page.get_by_role("button", name="Import", exact=True).click()
    visitor.arrived("/live")


def delete_a_run(visitor: Visitor) -> None:
    """On Live, which then says so and offers the list."""
    run_id = visitor.add(Status.COMPLETED)
    visitor.open(f"/live?run={run_id}")
    visitor.act("Delete")
    visitor.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(visitor.page.get_by_text("was deleted. Choose another run above.")).to_be_visible()
    visitor.page.get_by_role("link", name="All runs", exact=True).click()
    visitor.arrived("/")


def resume_a_run(visitor: Visitor) -> None:
    """On Live, which reruns because the run waits again."""
    run_id = visitor.add(Status.STOPPED)
    visitor.open(f"/live?run={run_id}")
    visitor.act("Resume")
    expect(visitor.page.locator(".stMarkdownBadge", has_text="Queued").first).to_be_visible()
    visitor.arrived("/live")
    control.stop(visitor.database, run_id)


def see_runs_end(visitor: Visitor) -> None:
    """Runs and Live rerun when the last one ends, and a toast says so."""
    for path in ("/", "/live"):
        holder = next(run.id for run in list_runs(visitor.database) if run.status not in ENDED)
        visitor.open(path if path == "/" else f"/live?run={holder}")
        visitor.end(holder, Status.LOST)
        expect(visitor.page.get_by_test_id("stToast").first).to_be_visible()
        visitor.arrived(path)
        visitor.add(Status.RUNNING)


def start_the_demo(visitor: Visitor) -> None:
    """On an empty database; here workers really start."""
    visitor.forget_all()
    visitor.open("/")
    visitor.act("Start the demo")
    visitor.arrived("/live")


WAYS: list[Callable[[Visitor], None]] = [
    follow_links,
    go_back_and_forward,
    pick_another_run,
    launch_a_run,
    import_a_run,
    delete_a_run,
    resume_a_run,
    see_runs_end,
    start_the_demo,
]


@pytest.mark.timeout(300 + 120 * ROUNDS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_page_that_is_left_does_not_wipe_the_next(
    way: Callable[[Visitor], None], visitor: Visitor, watched: Watched
) -> None:
    for _ in range(ROUNDS):
        way(visitor)
    assert watched.problems == []

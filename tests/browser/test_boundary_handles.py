"""Apply and Undo at the handle of a boundary: of a run that trains, of one that is resumed, refused, by keyboard."""

import re
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.support import APP, Server, StartServer, Watched, show_chart
from tests.pages.recorded import add_recorded_run
from tests.processes import kill_all
from tests.waiting import wait_for
from v3core.config import recipe_for
from v3core.curriculum import Curriculum, load_preset, scaled
from v3core.environment_setup import EnvironmentSetup
from v3core.jobs import control, launcher
from v3core.jobs.lifecycle import Status
from v3core.jobs.sweep import expand
from v3core.store.commands import read_revisions
from v3core.store.database import Database
from v3core.store.opening import open_database

ENDLESS = 100_000
DRAGS = 20
MOVE_MS = 12
"""Between two of the 25 moves of a drag: a hand takes a third of a second for 60 pixels."""


@pytest.fixture
def served(start_server: StartServer) -> Iterator[Server]:
    """The real app; its workers are ended afterwards, by their own ids."""
    server = start_server(APP)
    yield server
    kill_all(server.data)


@pytest.fixture
def database(served: Server) -> Iterator[Database]:
    """That of the app."""
    with closing(open_database(f"sqlite:///{served.data / 'v3.db'}", served.data)) as opened:
        yield opened


def opened(page: Page, server: Server, run_id: str) -> None:
    page.goto(f"{server.url}/live?run={run_id}")
    show_chart(page)
    handle(page).wait_for()


def handle(page: Page, index: int = 0) -> Locator:
    return page.locator(f".v3-handle[data-boundary='{index}']")


def buttons(page: Page) -> Locator:
    return page.get_by_role("group", name="Moved boundaries")


def drag(page: Page, index: int, pixels: float) -> int:
    """Drag a boundary as a hand does; returns the episode at which it was dropped."""
    handle(page, index).scroll_into_view_if_needed()
    box = handle(page, index).bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 26):
        page.mouse.move(x + pixels * step / 25, y + step)
        page.wait_for_timeout(MOVE_MS)
    page.mouse.up()
    return int(handle(page, index).get_attribute("aria-valuenow") or 0)


def drawn(page: Page) -> int:
    return int(page.locator(".v3-chart").first.get_attribute("data-drawn") or 0)


def test_twenty_drags_of_twenty_arrive_while_ticks_do_and_are_applied_at_the_handle(
    page: Page, served: Server, database: Database, watched: Watched
) -> None:
    env, recipe = EnvironmentSetup("CartPole-v1"), recipe_for("CartPole-v1")
    planned = [scaled(load_preset("v3"), ENDLESS)]
    (run_id,) = launcher.enqueue(database, expand(planned, [1], env=env, episodes=ENDLESS, recipe=recipe))
    opened(page, served, run_id)
    wait_for(lambda: control.progress_of(database, run_id).episode > 0, "a first episode")
    field = page.get_by_label("transition ends at episode")
    before, refreshes = 0, drawn(page)
    for number in range(DRAGS):
        episode = drag(page, 1, -60 if number % 2 else 55)
        assert episode != before, f"drag {number + 1} moved nothing"
        expect(buttons(page)).to_be_visible()
        expect(field).to_have_value(str(episode))
        before = episode
        if number % 5 == 4:
            buttons(page).get_by_role("button", name="Apply").click()
            wait_for(lambda at=episode: in_force(database, run_id).boundaries[1] == at, "the job's curriculum")
            expect(buttons(page)).to_have_count(0)
            expect(page.get_by_text(re.compile(rf"Boundaries [\d,]+, {episode:,}: applied at episode"))).to_be_visible()
    assert drawn(page) >= refreshes + DRAGS
    states = [revision.state for revision in read_revisions(database, run_id)]
    assert states == ["applied"] * (1 + DRAGS // 5)
    assert watched.problems == []


def in_force(database: Database, run_id: str) -> Curriculum:
    return control.current_curriculum(database, run_id)


def test_what_is_refused_says_why_at_the_handle_as_in_the_editor_and_undo_forgets_it(
    page: Page, served: Server, database: Database, watched: Watched
) -> None:
    run_id = add_recorded_run(database, Status.STOPPED, recorded=5)  # boundaries at 10 and 30 of 40
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, served, run_id)
    handle(page, 1).focus()
    for _ in range(18):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.get_by_label("transition ends at episode")).to_have_value("12")
    handle(page, 0).focus()
    page.keyboard.press("PageUp")
    page.keyboard.press("Enter")
    resume = buttons(page).get_by_role("button", name="Resume with these boundaries")
    page.keyboard.press("Tab")
    expect(resume).to_be_focused()
    page.keyboard.press("Enter")
    why = "Phase 2 'transition' ends at episode 12 but phase 1 'warmup' ends at 20"
    expect(buttons(page).get_by_role("status")).to_contain_text(why)
    expect(page.get_by_test_id("stAlert").filter(has_text=why)).to_be_visible()
    box, chart = buttons(page).bounding_box(), page.locator(".v3-chart").first.bounding_box()
    assert box
    assert chart
    assert chart["x"] <= box["x"]
    assert box["x"] + box["width"] <= chart["x"] + chart["width"] <= 390
    assert chart["y"] <= box["y"]
    assert box["y"] + box["height"] <= chart["y"] + chart["height"]

    page.keyboard.press("Tab")
    expect(buttons(page).get_by_role("button", name="Undo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(buttons(page)).to_have_count(0)
    expect(handle(page, 0)).to_be_focused()
    expect(handle(page, 0)).to_have_attribute("aria-valuenow", "10")
    expect(page.get_by_label("transition ends at episode")).to_have_value("30")
    expect(page.get_by_test_id("stAlert").filter(has_text=why)).to_have_count(0)
    assert in_force(database, run_id).boundaries == (10, 30)

    page.keyboard.press("PageUp")
    page.keyboard.press("Enter")
    expect(resume).to_be_visible()
    resume.click()
    wait_for(lambda: in_force(database, run_id).boundaries == (20, 30), "the run's new curriculum")
    assert watched.problems == []

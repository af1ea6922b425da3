"""Live while it trains, in a real browser: charts get what is new, and only while they are looked at."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.support import APP, Server, Watched, serve
from tests.browser.test_zoom import ask, chart, wait_until, zoom
from tests.pages.recorded import add_recorded_run, record_more
from v3core.jobs.control import delete
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.runs import update_run

REFRESHES = 20


@pytest.fixture
def db(lab: Server) -> Iterator[Database]:
    database = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    yield database
    database.close()


@pytest.fixture
def asked(page: Page) -> list[list[str]]:
    """What the page asks the feed for: the charts of each question."""
    found: list[list[str]] = []

    def note(request: Request) -> None:
        if request.url.endswith("/v3/feed"):
            found.append([one["source"]["chart"] for one in json.loads(request.post_data or "{}")["charts"]])

    page.on("request", note)
    return found


def opened(page: Page, lab: Server, run_id: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 1600})  # what is not on the screen is not drawn
    page.goto(f"{lab.url}/live?run={run_id}")
    wait_until(page, "return-", "node.data.length > 0")


def shown(page: Page, key: str = "return-") -> Any:
    """Every array and name of a chart, as the browser has it."""
    script = "node.data.map(t => [t.name, Array.from(t.x), Array.from(t.y)])"
    return ask(page, key, script)


def wait_for(page: Page, episodes: int) -> None:
    wait_until(page, "return-", f"Math.max(...node.data[0].x) === {episodes}")


def test_zoom_legend_and_hover_stay_over_twenty_refreshes(
    page: Page, lab: Server, db: Database, watched: Watched
) -> None:
    run_id = add_recorded_run(db, Status.RUNNING, episodes=600, recorded=300)
    opened(page, lab, run_id)
    zoom(page, "return-", 0.1, 0.4)
    wait_until(page, "return-", "node._fullLayout.xaxis.range[0] > 50")
    range_of = "[...node._fullLayout.xaxis.range, ...node._fullLayout.yaxis.range]"
    before = ask(page, "return-", range_of)
    page.locator(f"{chart('return-')} .legendtoggle").first.click()
    wait_until(page, "return-", "node._fullData[0].visible === 'legendonly'")
    box = page.locator(f"{chart('return-')} .nsewdrag").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(f"{chart('return-')} .hoverlayer .legend")
    ask(page, "return-", "node.marked = 'the same'")
    for refresh in range(1, REFRESHES + 1):
        record_more(db, run_id, 3)
        wait_for(page, 300 + 3 * refresh)
    assert ask(page, "return-", range_of) == before
    assert ask(page, "return-", "node._fullData[0].visible") == "legendonly"
    assert ask(page, "return-", "node.marked") == "the same"
    assert page.locator(f"{chart('return-')} .hoverlayer .legend").count() == 1
    expect(page.get_by_text("360 of 600 episodes").first).to_be_visible()
    assert not [problem for problem in watched.problems if "404" not in problem]


def test_what_was_appended_is_what_a_fresh_page_has(page: Page, lab: Server, db: Database) -> None:
    run_id = add_recorded_run(db, Status.RUNNING, episodes=3000, recorded=990)
    opened(page, lab, run_id)
    other = page.context.new_page()
    for count in (5, 6, 40, 1):  # one by one, then the buckets double, whole buckets, half of one
        record_more(db, run_id, count)
    wait_for(page, 1042)
    record_more(db, run_id, 2)
    wait_for(page, 1044)
    opened(other, lab, run_id)
    assert shown(page) == shown(other)
    with db.write() as tx:  # a longer plan, as after "Train longer"
        update_run(tx, run_id, {"episodes": 4000}, only_in=ACTIVE)
    wait_until(page, "return-", "node.layout.xaxis.range[1] === 4000")
    opened(other, lab, run_id)
    assert shown(page) == shown(other)


def test_only_what_is_looked_at_is_asked_for(page: Page, lab: Server, db: Database, asked: list[list[str]]) -> None:
    run_id = add_recorded_run(db, Status.RUNNING, episodes=600, recorded=30)
    opened(page, lab, run_id)
    page.set_viewport_size({"width": 1280, "height": 900})
    assert not any("schedule" in charts for charts in asked)
    page.locator("[class*='st-key-schedule-'] .v3-chart").scroll_into_view_if_needed()
    wait_until(page, "schedule-", "node.data.length > 0")
    page.wait_for_function("window.__v3labFeeds !== undefined")
    asked.clear()
    page.wait_for_timeout(2500)  # several questions
    assert asked
    assert not any("return" in charts or "numbers" in charts for charts in asked)
    # Hidden, as a browser hides the tab that another one covers.
    page.evaluate("""() => {
        Object.defineProperty(document, 'hidden', {get: () => window.covered, configurable: true})
        window.covered = true
        document.dispatchEvent(new Event('visibilitychange'))
    }""")
    page.wait_for_timeout(1500)  # what was under way
    asked.clear()
    record_more(db, run_id, 10)
    with db.write() as tx:
        update_run(tx, run_id, {"notes": "written meanwhile"}, only_in=ACTIVE)
    page.wait_for_timeout(3000)
    assert asked == []
    assert page.get_by_text("written meanwhile").count() == 0
    page.evaluate("() => { window.covered = false; document.dispatchEvent(new Event('visibilitychange')) }")
    wait_until(page, "schedule-", "Math.max(...node.data.at(-1).x) === 40")
    expect(page.get_by_text("written meanwhile").first).to_be_attached(timeout=60_000)


def test_an_ended_run_is_asked_for_once_and_a_deleted_one_no_more(
    page: Page, lab: Server, db: Database, asked: list[list[str]], watched: Watched
) -> None:
    run_id = add_recorded_run(db, Status.COMPLETED)
    opened(page, lab, run_id)
    page.wait_for_timeout(2000)
    asked.clear()
    page.wait_for_timeout(2500)
    assert asked == []
    delete(db, run_id)
    expect(page.get_by_text("deleted").first).to_be_visible(timeout=60_000)
    assert not [problem for problem in watched.problems if "404" not in problem]


def test_runs_with_next_to_nothing_are_drawn(page: Page, lab: Server, db: Database, watched: Watched) -> None:
    page.set_viewport_size({"width": 1280, "height": 4000})
    for odd in (
        {"recorded": 0},
        {"recorded": 1, "older": True},  # most columns have no number
        {"preset": "demo-with-curriculum", "episodes": 100, "recorded": 30},
    ):
        run_id = add_recorded_run(db, Status.RUNNING, **odd)
        page.goto(f"{lab.url}/live?run={run_id}&axis=Step")
        page.wait_for_function("document.querySelectorAll('.v3-chart[data-drawn]').length >= 4", timeout=60_000)
    assert not [problem for problem in watched.problems if "404" not in problem]


def test_charts_keep_their_place_when_a_warning_appears_above_them(page: Page, lab: Server, db: Database) -> None:
    run_id = add_recorded_run(db, Status.RUNNING, episodes=2000, recorded=100)
    beat(db, run_id, 3600)
    opened(page, lab, run_id)
    ask(page, "return-", "node.marked = 'the same'")
    beat(db, run_id, -10)  # the watchdog calls it stalled
    expect(page.get_by_text("V3 Lab does not kill it").first).to_be_visible(timeout=60_000)
    assert ask(page, "return-", "node.marked") == "the same"


def beat(db: Database, run_id: str, seconds: float) -> None:
    """A heartbeat whose next one is due in that time."""
    now = datetime.now(UTC)
    values = {"heartbeat_at": now, "heartbeat_due_at": now + timedelta(seconds=seconds)}
    with db.write() as tx:
        update_run(tx, run_id, values, only_in=ACTIVE)


def test_boundaries_are_dragged_twenty_times_while_episodes_arrive(page: Page, lab: Server, db: Database) -> None:
    run_id = add_recorded_run(db, Status.RUNNING, episodes=2000, recorded=100)
    opened(page, lab, run_id)
    handle = page.locator("[class*='st-key-return-'] .v3-handle").first
    field = page.get_by_label("warmup ends at episode")
    handle.wait_for()
    ask(page, "return-", "node.marked = 'the same'")
    beat(db, run_id, -10)  # of a stalled run the head is drawn again every second
    expect(page.get_by_text("V3 Lab does not kill it").first).to_be_visible(timeout=60_000)
    for turn in range(20):
        page.locator(chart("return-")).scroll_into_view_if_needed()
        box = handle.bounding_box()
        assert box
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        before = handle.get_attribute("aria-valuenow")
        page.mouse.move(x, y)
        page.mouse.down()
        for step in range(1, 6):
            page.mouse.move(x + (12 if turn % 2 else -12) * step, y)
            page.wait_for_timeout(30)
            if step == 3:
                record_more(db, run_id, 2)
                beat(db, run_id, -10)
        page.mouse.up()
        wanted = handle.get_attribute("aria-valuenow") or ""
        assert wanted != before, f"drag {turn + 1}"
        expect(field).to_have_value(wanted, timeout=30_000)
    assert ask(page, "return-", "node.marked") == "the same"


def test_a_tab_outlives_a_restart_of_the_server(page: Page, lab: Server, db: Database) -> None:
    run_id = add_recorded_run(db, Status.RUNNING, episodes=600, recorded=30)
    opened(page, lab, run_id)
    lab.stop()
    record_more(db, run_id, 10)
    again = serve(APP, lab.data.parent, port=int(lab.url.rpartition(":")[2]))
    try:
        wait_for(page, 40)
    finally:
        again.stop()

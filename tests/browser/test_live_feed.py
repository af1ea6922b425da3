"""Live while it trains, in a real browser: charts get what is new, and only while they are looked at."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocket, expect
from sqlalchemy import delete as sql_delete

from tests.browser.support import APP, Server, Watched, serve, show_chart
from tests.browser.test_zoom import ask, chart, wait_until, zoom
from tests.pages.recorded import add_recorded_run, record_more
from tests.waiting import PATIENCE_SECONDS
from v3core.jobs.control import delete
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.runs import update_run
from v3core.store.schema import runs

REFRESHES = 20


@pytest.fixture
def db(lab: Server) -> Iterator[Database]:
    database = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    yield database
    database.close()


@pytest.fixture
def asked(page: Page) -> list[list[str]]:
    """What the page says that it shows: the charts of each message."""
    found: list[list[str]] = []

    def note(payload: bytes | str) -> None:
        found.append([one["source"]["chart"] for one in json.loads(payload)["charts"]])

    page.on("websocket", lambda socket: is_feed(socket) and socket.on("framesent", note))
    return found


@pytest.fixture
def pushed(page: Page) -> list[str]:
    """What the server sends of charts."""
    found: list[str] = []
    note_pushed(page, found)
    return found


def note_pushed(page: Page, found: list[str]) -> None:
    page.on("websocket", lambda socket: is_feed(socket) and socket.on("framereceived", lambda text: found.append(text)))


def is_feed(socket: WebSocket) -> bool:
    return socket.url.endswith("/v3/feed")


def cover(page: Page, is_covered: bool) -> None:
    """Hidden, as a browser hides the tab that another one covers, or shown again."""
    page.evaluate(
        """covered => {
            Object.defineProperty(document, 'hidden', {get: () => covered, configurable: true})
            document.dispatchEvent(new Event('visibilitychange'))
        }""",
        is_covered,
    )


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
    assert not watched.problems


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


def test_only_what_is_looked_at_is_pushed(
    page: Page, lab: Server, db: Database, asked: list[list[str]], pushed: list[str]
) -> None:
    run_id = add_recorded_run(db, Status.RUNNING, episodes=600, recorded=30)
    opened(page, lab, run_id)
    page.set_viewport_size({"width": 1280, "height": 900})
    until(page, lambda: "schedule" not in asked[-1])  # below the screen, once what is above it is drawn
    show_chart(page, "schedule-")
    wait_until(page, "schedule-", "node.data.length > 0")
    until(page, lambda: not {"return", "numbers"} & set(asked[-1]))
    assert "schedule" in asked[-1]
    # Nothing is said or sent while nothing is new.
    asked.clear()
    pushed.clear()
    page.wait_for_timeout(2500)
    assert (asked, pushed) == ([], [])
    record_more(db, run_id, 3)
    wait_until(page, "schedule-", "Math.max(...node.data.at(-1).x) === 33")
    assert asked == []
    cover(page, True)
    until(page, lambda: asked == [[]])
    pushed.clear()
    record_more(db, run_id, 7)
    with db.write() as tx:
        update_run(tx, run_id, {"notes": "written meanwhile"}, only_in=ACTIVE)
    page.wait_for_timeout(3000)
    assert pushed == []
    assert page.get_by_text("written meanwhile").count() == 0
    cover(page, False)
    wait_until(page, "schedule-", "Math.max(...node.data.at(-1).x) === 40")
    expect(page.get_by_text("written meanwhile").first).to_be_attached(timeout=60_000)


def until(page: Page, condition: Callable[[], bool]) -> None:
    """Returns once it is true; the page is listened to meanwhile."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < ends
        page.wait_for_timeout(20)


def test_two_tabs_are_sent_the_same(page: Page, lab: Server, db: Database, pushed: list[str]) -> None:
    run_id = add_recorded_run(db, Status.RUNNING, episodes=600, recorded=30)
    opened(page, lab, run_id)
    other = page.context.new_page()
    to_other: list[str] = []
    note_pushed(other, to_other)
    opened(other, lab, run_id)
    for count in (40, 50):
        record_more(db, run_id, 10)
        for tab in (page, other):
            wait_for(tab, count)
        # The same text, to the letter, behind the number of what each has said. What a tab is sent besides, as other
        # charts come onto its screen meanwhile, is for itself.
        until(page, lambda count=count: bool(news_of(count, pushed) & news_of(count, to_other)))
    assert shown(page) == shown(other)
    # One of them is hidden: the other is kept up to date, and the first gets what it lacks when it is shown again.
    cover(page, True)
    record_more(db, run_id, 10)
    wait_for(other, 60)
    cover(page, False)
    wait_for(page, 60)
    assert shown(page) == shown(other)


def news_of(episode: int, pushed: list[str]) -> set[str]:
    """What was sent of charts up to that episode, without the number of what it answers."""
    texts = (text.partition(", ")[2] for text in pushed)
    return {text for text in texts if f'["set",["episode"],{episode}]' in text}


def test_an_ended_run_is_asked_for_once_and_a_deleted_one_no_more(
    page: Page, lab: Server, db: Database, asked: list[list[str]], pushed: list[str], watched: Watched
) -> None:
    run_id = add_recorded_run(db, Status.COMPLETED)
    opened(page, lab, run_id)
    page.wait_for_timeout(2000)
    asked.clear()
    pushed.clear()
    page.wait_for_timeout(2500)
    assert (asked, pushed) == ([], [])
    delete(db, run_id)
    expect(page.get_by_text("deleted").first).to_be_visible(timeout=60_000)
    assert not watched.problems


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
    assert not watched.problems


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


def test_a_run_that_is_deleted_while_its_charts_are_pushed(
    page: Page, lab: Server, db: Database, watched: Watched
) -> None:
    run_id = add_recorded_run(db, Status.RUNNING, episodes=600, recorded=30)
    other = add_recorded_run(db, Status.RUNNING, episodes=600, recorded=30)
    tab = page.context.new_page()
    opened(tab, lab, other)
    opened(page, lab, run_id)
    with db.write() as tx:  # as another process does it, without a moment in which it has ended
        tx.execute(sql_delete(runs).where(runs.c.id == run_id))
    expect(page.get_by_text("deleted").first).to_be_visible(timeout=60_000)
    record_more(db, other, 5)
    wait_for(tab, 35)
    assert not watched.problems


def test_a_tab_outlives_a_restart_of_the_server(page: Page, lab: Server, db: Database) -> None:
    run_id = add_recorded_run(db, Status.RUNNING, episodes=600, recorded=30)
    opened(page, lab, run_id)
    ask(page, "return-", "node.marked = 'the same'")
    lab.stop()
    record_more(db, run_id, 10)
    again = serve(APP, lab.data.parent, port=int(lab.url.rpartition(":")[2]))
    try:
        wait_for(page, 40)
        record_more(db, run_id, 5)
        wait_for(page, 45)
    finally:
        again.stop()


def test_a_server_without_the_connection_says_how_to_start_it(page: Page, lab: Server, db: Database) -> None:
    run_id = add_recorded_run(db, Status.RUNNING, episodes=600, recorded=30)
    page.route_web_socket("**/v3/feed", lambda socket: socket.close())
    page.goto(f"{lab.url}/live?run={run_id}")
    place = page.locator(".v3-chart-message", has_text="there is no connection to ws://").first
    expect(place).to_contain_text("must let WebSockets through")
    page.unroute_all()


_AWAY_WHILE_IT_ARRIVES = """selector => {
    window.WebSocket = class extends WebSocket {
        set onmessage(hear) {
            super.onmessage = async (event) => {
                const chart = this.url.endsWith("/v3/feed") && document.querySelector(selector)
                if (!chart || chart.dataset.drawn) return hear(event)
                window.wasAway = true
                chart.style.marginTop = "20000px"
                await new Promise((left) => new IntersectionObserver(
                    (entries) => entries.at(-1).isIntersecting || left(), { rootMargin: "300px" }
                ).observe(chart))
                await new Promise(requestAnimationFrame) // the page's own observers have heard it too
                hear(event)
                chart.style.marginTop = ""
            }
        }
    }
}"""


def test_what_arrives_while_a_chart_is_off_the_screen_for_a_moment_is_not_lost(
    page: Page, lab: Server, db: Database
) -> None:
    """As while the page above it is still growing. Of a run that has ended nothing is sent twice."""
    run_id = add_recorded_run(db, Status.COMPLETED, episodes=30, recorded=30)
    page.add_init_script(f"({_AWAY_WHILE_IT_ARRIVES})(\"[class*='st-key-return-'] .v3-chart\")")
    opened(page, lab, run_id)
    assert page.evaluate("window.wasAway")


_LATE = """() => {
    window.late = []
    window.WebSocket = class extends WebSocket {
        set onmessage(hear) {
            super.onmessage = (event) => {
                const rests = window.holds && this.url.endsWith("/v3/feed") && event.data.includes('"rests": true')
                rests ? window.late.push(() => hear(event)) : hear(event)
            }
        }
    }
}"""


def test_an_answer_from_before_a_resume_that_comes_late_does_not_let_charts_rest(
    page: Page, lab: Server, db: Database
) -> None:
    run_id = add_recorded_run(db, Status.STOPPED, episodes=600, recorded=30)
    page.add_init_script(f"({_LATE})()")
    opened(page, lab, run_id)
    page.evaluate("window.holds = true")
    with db.write() as tx:  # the page is drawn again, and its charts ask once more
        update_run(tx, run_id, {"reason": "For a while."}, only_in=[Status.STOPPED])
    page.wait_for_function("window.late.length > 0")
    due = datetime.now(UTC) + timedelta(hours=1)
    with db.write() as tx:
        running = {"status": Status.RUNNING, "heartbeat_due_at": due}
        update_run(tx, run_id, running, only_in=[Status.STOPPED])
    expect(page.locator(".stMarkdownBadge", has_text="Running").first).to_be_visible()
    page.evaluate("window.holds = false; window.late.forEach((hear) => hear())")
    record_more(db, run_id, 5)
    wait_for(page, 35)

"""How little a page asks for before its first chart is there."""

from urllib.parse import urlsplit

from playwright.sync_api import Page

from tests.browser.support import Server, Watched, show_chart
from tests.pages.recorded import add_recorded_run
from v3core.jobs.lifecycle import Status
from v3core.store.opening import open_database
from v3core.ui.plotly_js import address


def test_a_page_with_a_chart_connects_at_once_and_loads_plotly_once(lab: Server, page: Page, watched: Watched) -> None:
    db = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    run_id = add_recorded_run(db, Status.COMPLETED)
    db.close()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.on("websocket", lambda socket: asked.append(urlsplit(socket.url).path))
    page.goto(f"{lab.url}/live?run={run_id}")
    show_chart(page)
    assert [path for path in asked if path.startswith("/live/")] == [], "it knows where its server is"
    assert asked.index("/_stcore/stream") < asked.index("/v3/feed")
    assert asked.count(address()) == 1
    assert page.evaluate("window.Plotly.version") in page.evaluate("document.querySelector('script[src*=plotly]').src")
    page.get_by_role("link", name="Launch").first.click()  # modules that come later, and pages without a document
    page.get_by_role("heading", name="Launch").wait_for()
    assert watched.problems == []


def test_the_first_chart_of_a_page_waits_for_no_frame(lab: Server, page: Page) -> None:
    db = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    run_id = add_recorded_run(db, Status.COMPLETED)
    db.close()
    page.add_init_script("""
        const later = window.requestAnimationFrame
        window.requestAnimationFrame = (act) => (act.name === "drawNext" ? 0 : later(act))
    """)
    page.goto(f"{lab.url}/live?run={run_id}")
    show_chart(page)


def test_plotly_that_cannot_be_loaded_is_asked_for_once_more_and_said(lab: Server, page: Page) -> None:
    db = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    run_id = add_recorded_run(db, Status.COMPLETED)
    db.close()
    page.route(f"**{address()}*", lambda route: route.abort())
    page.goto(f"{lab.url}/live?run={run_id}")
    page.get_by_text("The chart could not be drawn").first.wait_for()
    page.unroute_all()
    page.reload()
    show_chart(page)

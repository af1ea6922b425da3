"""Every page with runs of every kind: nothing on the console, nothing cut, nothing wider than the screen."""

import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Locator, Page, TimeoutError, expect

from tests.browser.support import APP, Server, Watched, keep_in_view, serve, too_wide
from tests.browser.test_reading_out import CUT
from tests.pages.kinds import add_each_kind, add_experts
from tests.pages.recorded import add_recorded_run
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.opening import open_database


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """The real app with a run of each kind and a run as people have it, and their ids by name."""
    server = serve(APP, tmp_path_factory.mktemp("kinds"))
    try:
        db = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
        made = add_each_kind(db)
        db.close()
        yield server, made
    finally:
        server.stop()


def look_at_all(page: Page) -> None:
    """Bring every chart onto the screen, one after the other, until it is drawn or says why there is nothing."""
    place = 0
    while place < (charts := page.locator(".v3-chart")).count():
        settled(charts.nth(place))
        place += 1


def settled(chart: Locator) -> None:
    message = chart.locator(".v3-chart-message")
    keep_in_view(chart, lambda: chart.get_attribute("data-drawn") or message.text_content())
    assert "could not be drawn" not in (message.text_content() or "")


def drawn(page: Page, title: str) -> None:
    expect(page.get_by_role("heading", name=title, exact=True, level=1)).to_be_visible()
    expect(page.locator("[data-testid=stSkeleton]")).to_have_count(0)


CLOSED = "[data-testid=stMain] details:not([open]) > summary"


def open_all(page: Page) -> None:
    """Open every closed section of a page; one that moved under the click, as charts above it were drawn, again."""
    for _ in range(100):
        if not (before := page.locator(CLOSED).count()):
            return
        page.locator(CLOSED).first.click()
        with suppress(TimeoutError):
            fewer = f"before => document.querySelectorAll('{CLOSED}').length < before"
            page.wait_for_function(fewer, arg=before, timeout=10_000)
    raise AssertionError("a section cannot be opened")


def test_live_of_runs_of_any_kind_complains_of_nothing(
    page: Page, served: tuple[Server, dict[str, str]], watched: Watched
) -> None:
    server, made = served
    for kind, run_id in made.items():
        page.goto(f"{server.url}/live?run={run_id}&experts=true")
        drawn(page, "Live")
        page.get_by_text("Optimisation health").click()
        look_at_all(page)
        assert (kind, page.get_by_text("could not be displayed").count(), watched.problems) == (kind, 0, [])
    assert watched.outside == []


def test_the_other_pages_of_all_of_them_complain_of_nothing(
    page: Page, served: tuple[Server, dict[str, str]], watched: Watched
) -> None:
    server, made = served
    page.goto(server.url)
    expect(page.locator(".v3-runs tbody tr")).to_have_count(len(made))
    together = ",".join(made.values())
    for metric in ("Return", "Dead+experts", "Approximate+KL"):
        page.goto(f"{server.url}/compare?runs={together}&metric={metric}")
        drawn(page, "Compare")
        look_at_all(page)
    for query in ("", "?experiment=Of+all+kinds"):
        page.goto(f"{server.url}/experiments{query}")
        drawn(page, "Of all kinds" if query else "Experiments")
        look_at_all(page)
    page.goto(f"{server.url}/claims")
    drawn(page, "Claims")
    look_at_all(page)
    page.goto(f"{server.url}/launch?from={made['64 experts']}")
    drawn(page, "Launch")
    look_at_all(page)
    assert watched.problems == watched.outside == []


def test_a_run_deleted_while_its_charts_are_looked_at(page: Page, lab: Server, watched: Watched) -> None:
    db = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    names = ("gone", "other", "third")
    gone, other, third = (add_recorded_run(db, Status.COMPLETED, name=name, evaluated=(20,)) for name in names)
    add_experts(db, gone, 4)
    page.goto(f"{lab.url}/live?run={gone}&experts=true")
    drawn(page, "Live")
    look_at_all(page)
    compare = page.context.new_page()
    compare.goto(f"{lab.url}/compare?runs={gone},{other},{third}")
    drawn(compare, "Compare")
    look_at_all(compare)
    control.delete(db, gone)
    said = page.get_by_text(re.compile("was deleted|There is no run"))
    with suppress(TimeoutError):  # a chart that asks late may notice it before, and take the buttons away
        page.get_by_role("radio", name="Step", exact=True).click(timeout=10_000)  # whatever is done next
    expect(said).to_be_visible()
    compare.get_by_role("radio", name="Episode", exact=True).click()
    expect(compare.get_by_text("The run 'gone' was deleted.")).to_be_visible()
    look_at_all(compare)
    db.close()
    assert watched.problems == []


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_cut_or_wider_than_the_screen(
    page: Page, served: tuple[Server, dict[str, str]], watched: Watched, width: int
) -> None:
    """Every page with realistic content, and all sections of Live open."""
    server, made = served
    page.set_viewport_size({"width": width, "height": 900})
    together = f"{made['real']},{made['64 experts']},{made['imported']}"
    found = {}
    for address, title in (
        ("/", "Runs"),
        ("/launch", "Launch"),
        (f"/live?run={made['real']}&experts=true&state=Episode+1,+step+0", "Live"),
        (f"/live?run={made['no numbers']}", "Live"),
        (f"/compare?runs={together}", "Compare"),
    ):
        page.goto(server.url + address)
        drawn(page, title)
        open_all(page)
        look_at_all(page)
        cut = [text for text in page.evaluate(CUT) if text.strip()]
        found[address] = [*too_wide(page), *cut]
    assert {address: what for address, what in found.items() if what} == {}
    assert watched.problems == []

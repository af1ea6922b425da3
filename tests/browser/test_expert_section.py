"""The section about the experts in Chromium: its link, its switches in the address, what is drawn, on a phone too."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import Server, Watched
from tests.pages.test_experts_on_live import evaluated
from v3core.store.expert_records import add_knockouts
from v3core.store.opening import open_database
from v3core.store.runs import get_run


@pytest.fixture
def run(lab: Server) -> str:
    """A run with two evaluations and a knock-out."""
    db = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    run_id = evaluated(db)
    results = {expert: [(50.0 + number, 5, None) for number in range(3)] for expert in (-1, 1, 2, 3)}
    with db.write() as tx:
        now = get_run(tx, run_id).created_at
        add_knockouts(tx, run_id, episode=20, results=results | {0: [(9.0, 9, None)] * 3}, now=now)
    db.close()
    return run_id


def plot(page: Page, key: str) -> None:
    """Bring a chart onto the screen, and wait until it is drawn."""
    chart = page.locator(f"[class*='st-key-{key}'] .v3-chart")
    chart.scroll_into_view_if_needed()
    expect(chart).to_have_attribute("data-drawn", re.compile("."))


def test_a_link_leads_to_all_charts_and_switches_are_in_the_address(
    page: Page, lab: Server, run: str, watched: Watched
) -> None:
    page.goto(f"{lab.url}/live?run={run}&experts=true")
    for key in ("area-load", "decisions", "actions", "distances", "distance-history", "map", "knockout"):
        plot(page, f"{key}-{run}")
    colours = page.evaluate(
        """run => Object.fromEntries(["area-load", "actions", "map"].map((key) => [
            key,
            document.querySelector(`[class*='st-key-${key}-${run}'] .v3-chart-plot`)._fullData
                .find((trace) => trace.name === "Expert 4"),
        ].map((part) => part?.name ? (part.marker?.color ?? part.line.color) : part)))""",
        run,
    )
    assert len(set(colours.values())) == 1, "an expert has one colour everywhere"
    assert page.get_by_text("Needed: 1; idle: 2, 3, 4.").count() == 1

    for label, parameter in (
        ("Heatmap", "loads=Heatmap"),
        ("Hard load", "share=Hard"),
        ("Where it is used", "states=Where"),
    ):
        choice = page.get_by_role("radio", name=label)
        choice.focus()
        page.keyboard.press("Space")  # by keyboard alone
        expect(page).to_have_url(re.compile(re.escape(parameter)))
    plot(page, f"heatmap-hard_load-{run}")
    page.reload()
    plot(page, f"heatmap-hard_load-{run}")
    assert "Not used at all: 1." in page.inner_text("body")
    assert watched.problems == watched.outside == []


def test_on_a_phone_nothing_is_wider_than_the_screen(page: Page, lab: Server, run: str, watched: Watched) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{lab.url}/live?run={run}&experts=true")
    for key in ("area-load", "actions", "distances", "map", "knockout"):
        plot(page, f"{key}-{run}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert watched.problems == []

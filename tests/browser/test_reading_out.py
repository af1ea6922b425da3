"""What a screen reader says of the pages, and that no label is cut, on a desk and on a telephone."""

import re
from collections import Counter

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import Server, show_chart
from tests.pages.recorded import add_recorded_run
from v3core.jobs.lifecycle import Status
from v3core.metrics import METRICS
from v3core.store.opening import open_database

OWN = {"Open", "Increment", "Decrement", "Clear all", "Download plot as a PNG", "Reset zoom (double click)"}
"""Streamlit's and plotly's own parts of a field or a chart; they stand in it, and that has a name."""

CUT = """() => {
    const main = document.querySelector("[data-testid=stMain]")
    const cut = [...main.querySelectorAll("*")].filter((node) => {
        const style = getComputedStyle(node)
        const hides = style.overflowX === "hidden" || style.textOverflow === "ellipsis"
        return hides && node.clientWidth > 1 && node.textContent.trim() && node.scrollWidth > node.clientWidth + 1
    })
    const drawn = [...main.querySelectorAll("svg text")].filter((node) => node.textContent.includes("…"))
    return [...cut, ...drawn].map((node) => node.textContent.slice(0, 80))
}"""


@pytest.fixture
def runs(lab: Server) -> list[str]:
    """Runs of one name and several states."""
    db = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    statuses = (Status.COMPLETED, Status.STOPPED, Status.FAILED)
    made = [
        add_recorded_run(db, status, name=f"v3 · CartPole-v1 · seed {seed}", success=True, reason="It broke.")
        for seed, status in enumerate(statuses)
    ]
    db.close()
    return made


def names(page: Page) -> Counter[str]:
    """How often each name of a button or link is read out."""
    said = page.locator("[data-testid=stMain]").aria_snapshot()
    found = re.findall(r'- (?:button|link) "((?:[^"\\]|\\.)*)"', said)
    return Counter(name for name in found if name not in OWN)


@pytest.mark.parametrize("width", [1280, 390])
def test_every_control_says_what_it_does_and_no_label_is_cut(page, lab, runs, width):
    page.set_viewport_size({"width": width, "height": 2400})
    for address, title, ready in (
        ("/", "Runs", ".v3-runs tbody tr"),
        (f"/live?run={runs[1]}", "Live", "[class*=st-key-schedule] .v3-chart[data-drawn]"),
        (f"/compare?runs={runs[0]},{runs[1]}", "Compare", ".v3-chart[data-drawn]"),
    ):
        page.goto(lab.url + address)
        if title == "Live":  # a chart is drawn once it is on the screen
            show_chart(page, "schedule")
        page.wait_for_selector(ready)
        if title == "Runs":
            for seed in range(3):
                expect(page.get_by_role("checkbox", name=f"Select v3 · CartPole-v1 · seed {seed}")).to_be_visible()
            expect(page.get_by_role("img", name="Return from 21.0 to 45.0, lowest 21.0, highest 45.0")).to_have_count(3)
            page.get_by_role("checkbox", name="Select v3 · CartPole-v1 · seed 1").check()
            expect(page.get_by_role("button", name="Resume", exact=True)).to_be_visible()
        expect(page.locator("[data-stale=true]")).to_have_count(0)
        assert page.get_by_role("heading", level=1).all_inner_texts() == [title]
        said = names(page)
        assert {name: count for name, count in said.items() if count > 1} == {}
        assert [name for name in said if name == "Help" or name.endswith(" icon")] == []
        assert page.evaluate(CUT) == []
        if title == "Runs":
            assert {"Resume", "Delete", "v3 · CartPole-v1 · seed 1"} <= set(said)
        if title == "Live":
            assert "About Return" in said
            page.get_by_role("button", name="About Return").click()
            expect(page.get_by_text(METRICS["return"].meaning)).to_be_visible()

"""Entries of legends that are hidden are in the address: a reload, a copied link and "back" hide the same."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import Server, Watched, pick, show_chart
from tests.pages.recorded import add_recorded_run
from v3core import metrics
from v3core.jobs.lifecycle import Status
from v3core.store.opening import open_database

LOADS, COMPARED = f"{metrics.LOADS.name}-", "compare"


@pytest.fixture
def runs(lab: Server) -> tuple[str, str]:
    """Two runs that have ended."""
    db = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    lengths = {"older": 60, "newer": 40}
    first, second = (
        add_recorded_run(db, Status.COMPLETED, name=name, episodes=length, recorded=length)
        for name, length in lengths.items()
    )
    db.close()
    return first, second


def hidden(page: Page, key: str) -> Any:
    """Names of the hidden traces of a chart that is drawn."""
    show_chart(page, key)
    script = "node => node._fullData.filter(one => one.visible === 'legendonly').map(one => one.name)"
    return page.eval_on_selector(f"[class*='st-key-{key}'] .v3-chart-plot", script)


def toggle(page: Page, key: str, entry: str) -> None:
    """A click on an entry of the legend, and the chart drawn after it."""
    show_chart(page, key)
    place = page.locator(f"[class*='st-key-{key}'] .legend .traces").filter(has_text=entry).first
    place.locator(".legendtoggle").click()


def test_hidden_entries_are_in_the_address_and_add_nothing_to_the_history(
    page: Page, lab: Server, runs: tuple[str, str], watched: Watched
) -> None:
    page.goto(f"{lab.url}/live?run={runs[1]}")
    show_chart(page, LOADS)
    entries = page.evaluate("history.length")
    toggle(page, LOADS, "Expert 2")
    expect(page).to_have_url(re.compile(r"hidden=[^&]*Expert_2"))
    assert page.evaluate("history.length") == entries
    assert hidden(page, LOADS) == ["Expert 2"]
    address = page.url

    page.reload()
    assert hidden(page, LOADS) == ["Expert 2"]
    other = page.context.new_page()
    other.goto(address)
    assert hidden(other, LOADS) == ["Expert 2"]

    # Another page does not take it along, and "back" brings it back.
    other.get_by_role("link", name="Compare", exact=True).click()
    other.wait_for_url(re.compile("/compare"))
    assert "hidden=" not in other.url
    other.go_back()
    assert hidden(other, LOADS) == ["Expert 2"]

    # Shown again, it leaves the address.
    toggle(other, LOADS, "Expert 2")
    expect(other).not_to_have_url(re.compile("hidden="))
    assert hidden(other, LOADS) == []
    assert watched.problems == []


def test_another_run_shows_all_entries_and_back_hides_them(page: Page, lab: Server, runs: tuple[str, str]) -> None:
    page.goto(f"{lab.url}/live?run={runs[0]}")
    toggle(page, LOADS, "Expert 1")
    expect(page).to_have_url(re.compile("hidden="))
    pick(page, "Run", re.compile(runs[1][:6]))
    expect(page).to_have_url(re.compile(runs[1]))
    page.locator(f"[class*='st-key-{LOADS}{runs[1]}'] .v3-chart").wait_for(state="attached")
    assert "hidden=" not in page.url
    assert hidden(page, f"{LOADS}{runs[1]}") == []
    page.go_back()
    expect(page).to_have_url(re.compile(runs[0]))
    page.locator(f"[class*='st-key-{LOADS}{runs[0]}'] .v3-chart").wait_for(state="attached")
    assert hidden(page, f"{LOADS}{runs[0]}") == ["Expert 1"]


def test_compare_hides_the_same_lines_after_a_reload(page: Page, lab: Server, runs: tuple[str, str]) -> None:
    page.goto(f"{lab.url}/compare?runs={','.join(runs)}")
    toggle(page, COMPARED, "older")
    expect(page).to_have_url(re.compile("hidden="))
    before = hidden(page, COMPARED)
    assert before
    page.reload()
    assert hidden(page, COMPARED) == before


@pytest.mark.parametrize("broken", ["moon", "..", "loads.", ".a", "loads.nobody_1", "a.b,,<i>", "," * 400])
def test_what_cannot_be_read_hides_nothing(
    page: Page, lab: Server, runs: tuple[str, str], broken: str, watched: Watched
) -> None:
    page.goto(f"{lab.url}/live?run={runs[1]}&hidden={broken}")
    assert hidden(page, LOADS) == []
    toggle(page, LOADS, "Expert 3")
    expect(page).to_have_url(re.compile(r"hidden=[^&]*Expert_3"))
    assert hidden(page, LOADS) == ["Expert 3"]
    assert watched.problems == []

"""No click is lost to a script that was stopped and ends beside the run that follows."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.apps.clicks_app import SECONDS
from tests.browser.support import StartServer, Watched

APP = Path(__file__).parent / "apps" / "clicks_app.py"


@pytest.fixture
def lab(page: Page, start_server: StartServer) -> Page:
    """The page, drawn."""
    page.goto(start_server(APP).url)
    expect(page.get_by_role("button", name="Ask")).to_be_visible()
    return page


def test_a_part_takes_clicks_after_the_page_before_it_was_stopped(lab: Page, watched: Watched) -> None:
    toggle = lab.get_by_text("Slow", exact=True)
    toggle.click()
    expect(lab.get_by_text("It is slow.")).to_be_visible()
    toggle.click()
    expect(lab.get_by_role("button", name="Ask")).to_be_enabled()
    lab.wait_for_timeout(1000 * SECONDS)  # the slow one ends, and must not take the part with it
    lab.get_by_role("button", name="Ask").click()
    expect(lab.get_by_role("dialog")).to_contain_text("Is it open?")
    assert watched.problems == []

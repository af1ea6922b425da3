"""A page of which nothing is drawn says so, beside Streamlit's tree, and offers to reload."""

import re

from playwright.sync_api import Page, expect

from tests.browser.support import Server

LOSSES = {
    "nothing of the app is left": "document.getElementById('root').remove()",
    "its main part is empty": "document.querySelector('[data-testid=stMainBlockContainer]').replaceChildren()",
}


def test_a_page_that_is_lost_offers_to_reload_and_a_drawn_one_does_not(page: Page, lab: Server) -> None:
    notice = page.get_by_role("alert").filter(has_text="could not be displayed")
    for width, loss in zip((1280, 390), LOSSES.values(), strict=True):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"{lab.url}/launch")
        start = page.get_by_role("button", name="Start the run")
        expect(start).to_be_visible()
        expect(notice).to_have_count(0)
        page.evaluate(f"() => {{ {loss} }}")
        expect(notice).to_be_visible()
        expect(notice).to_have_css("background-color", re.compile(r"rgb"))
        page.get_by_role("button", name="Reload").click()
        expect(start).to_be_visible()
        expect(notice).to_have_count(0)

"""A file of plotly that ran and left no plotly: charts load it once more, whenever they come to ask."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route

import v3core.ui
from v3core.ui.page_start import document

SCRIPT = (Path(v3core.ui.__file__).parent / "plotly_page.js").read_text(encoding="utf-8")
LOAD = """
(url) => Promise.race([
  loadPlotly(url, { not_plotly: "not plotly" }).then((found) => found.version, (error) => error.message),
  new Promise((resolve) => setTimeout(resolve, 5000, "nothing came")),
])
"""


@pytest.mark.parametrize("broken", [1, 2])
def test_a_file_that_left_no_plotly_is_loaded_again(page: Page, broken: int) -> None:
    """`broken`: how often the file is not plotly, the first time of which is that of the page's own tag."""
    tag = re.search(r"<script async.*?</script>", document("live", {}) or "")
    asked: list[str] = []

    def answer(route: Route) -> None:
        if route.request.url.endswith("/live"):
            assert tag is not None
            route.fulfill(body=f"<html><head>{tag[0]}</head></html>", content_type="text/html")
            return
        asked.append(route.request.url)
        whole = len(asked) > broken
        route.fulfill(body="window.Plotly = {version: 'whole'}" if whole else "0", content_type="text/javascript")

    page.route("**/*", answer)
    page.goto("http://lab.invalid/live")
    page.wait_for_load_state("load")
    page.add_script_tag(content=SCRIPT)
    url = page.evaluate("document.querySelector('script[src]').getAttribute('src')")
    for _ in range(broken - 1):
        assert page.evaluate(LOAD, url) == "not plotly"
    assert page.evaluate(LOAD, url) == "whole"
    assert len(asked) == broken + 1

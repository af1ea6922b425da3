"""The section about the experts in Chromium: its link, its switches in the address, what is drawn, on a phone too."""

import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from tests.browser.support import Server, Watched, nothing_scrolls_sideways, show_chart
from tests.pages.recorded import add_recorded_run, record_more
from tests.pages.test_experts_on_live import evaluated
from v3core.jobs.lifecycle import Status
from v3core.store.expert_records import add_knockouts
from v3core.store.opening import open_database
from v3core.store.runs import get_run
from v3core.store.schema import expert_loads


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


def test_a_link_leads_to_all_charts_and_switches_are_in_the_address(
    page: Page, lab: Server, run: str, watched: Watched
) -> None:
    page.goto(f"{lab.url}/live?run={run}&experts=true")
    for key in ("area-load", "decisions", "actions", "distances", "distance-history", "map", "knockout"):
        show_chart(page, f"{key}-{run}")
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
    show_chart(page, f"heatmap-hard_load-{run}")
    page.reload()
    show_chart(page, f"heatmap-hard_load-{run}")
    assert "Not used at all: 1." in page.inner_text("body")
    assert watched.problems == watched.outside == []


def test_the_address_of_the_section_opens_it_and_scrolls_to_it(
    page: Page, lab: Server, run: str, watched: Watched
) -> None:
    page.goto(f"{lab.url}/live?run={run}&section=experts")
    show_chart(page, f"area-load-{run}")
    page.wait_for_function(_TOP_IN_VIEW)
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY", "the keyboard continues from there"
    page.mouse.move(500, 400)
    page.mouse.wheel(0, 2000)  # whoever scrolls is not taken back
    page.wait_for_function(f"!({_TOP_IN_VIEW})()")
    page.wait_for_timeout(500)  # a few looks of the scroller
    assert not page.evaluate(f"({_TOP_IN_VIEW})()")
    page.locator(".st-key-experts summary").first.click()
    expect(page.locator(f"[class*='st-key-area-load-{run}']")).to_have_count(0)
    expect(page.locator(f"[class*='st-key-loads-{run}']")).to_have_count(1)  # shown by the page again
    assert watched.problems == []


_TOP_IN_VIEW = """() => {
    const top = document.querySelector('.st-key-experts')?.getBoundingClientRect().top
    return top >= 0 && top < 200
}"""


def of_map(page: Page, run: str, expression: str) -> Any:
    """An expression over `node`, the plot of the map."""
    return page.evaluate(
        f"run => {{ const node = document.querySelector(`[class*='st-key-map-${{run}}'] .v3-chart-plot`);"
        f" return {expression} }}",
        run,
    )


def test_a_click_on_the_map_shows_the_state_and_the_map_zooms(
    page: Page, lab: Server, run: str, watched: Watched
) -> None:
    page.goto(f"{lab.url}/live?run={run}&experts=true")
    show_chart(page, f"map-{run}")
    place = """(() => { const { xaxis, yaxis } = node._fullLayout, box = node.getBoundingClientRect()
        return [box.left + xaxis._offset + xaxis.l2p(1), box.top + yaxis._offset + yaxis.l2p(1)] })()"""
    page.mouse.move(*of_map(page, run, place))
    page.mouse.click(*of_map(page, run, place))
    expect(page.get_by_text("Expert 4 has the largest gate, 80%.")).to_be_visible()
    expect(page.get_by_text("Scenario: forest")).to_be_visible()
    expect(page).to_have_url(re.compile(r"state=Episode[+]2%2C[+]step[+]5"))
    page.wait_for_function(
        "run => document.querySelector(`[class*='st-key-map-${run}'] .v3-chart-plot`)._fullData.length === 3", arg=run
    )

    whole = of_map(page, run, "[...node._fullLayout.xaxis.range]")
    left, top, width, height = of_map(
        page,
        run,
        """(() => { const box = node.getBoundingClientRect(), size = node._fullLayout._size
            return [box.left + size.l, box.top + size.t, size.w, size.h] })()""",
    )
    page.mouse.move(left + width * 0.25, top + height * 0.25)
    page.mouse.down()
    page.mouse.move(left + width * 0.75, top + height * 0.75, steps=5)
    page.mouse.up()
    zoomed = of_map(page, run, "[...node._fullLayout.xaxis.range, ...node._fullLayout.yaxis.range]")
    assert zoomed[1] - zoomed[0] < 0.6 * (whole[1] - whole[0])
    page.get_by_role("radio", name="By scenario").click()
    page.wait_for_function(
        "run => document.querySelector(`[class*='st-key-map-${run}'] .v3-chart-plot`)._fullData[0].name === 'road'",
        arg=run,
    )
    assert of_map(page, run, "[...node._fullLayout.xaxis.range, ...node._fullLayout.yaxis.range]") == zoomed
    page.mouse.dblclick(left + width / 2, top + height / 2)
    page.wait_for_function(
        """([run, whole]) => String(document.querySelector(`[class*='st-key-map-${run}'] .v3-chart-plot`)
            ._fullLayout.xaxis.range) === String(whole)""",
        arg=[run, whole],
    )
    page.reload()
    expect(page.get_by_text("Expert 4 has the largest gate, 80%.")).to_be_visible()
    assert watched.problems == []


@pytest.mark.parametrize("metric", ["load", "hard_load"])
def test_areas_and_heatmap_in_the_browser_agree_with_the_rows(
    page: Page, lab: Server, run: str, watched: Watched, metric: str
) -> None:
    """Written as a worker writes, sent by the feed, drawn by plotly, and more rows meanwhile."""
    db = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    other = add_recorded_run(db, Status.RUNNING, name="trains", episodes=400, recorded=25)
    with db.write() as tx:
        different = expert_loads.c.episode * 0.001 + expert_loads.c.expert * 0.01
        tx.execute(update(expert_loads).where(expert_loads.c.run_id == other).values({metric: different}))
    share = {"load": "Soft+load", "hard_load": "Hard+load"}[metric]
    drawn = {}
    for form, read in (
        ("area", "node.data.filter((trace) => trace.stackgroup).map((trace) => [...trace.y])"),
        ("heatmap", "node.data[0].z.map((row) => [...row])"),
    ):
        loads = {"area": "Areas", "heatmap": "Heatmap"}[form]
        page.goto(f"{lab.url}/live?run={other}&experts=true&share={share}&loads={loads}")
        show_chart(page, f"{form}-{metric}-{other}")
        record_more(db, other, 10)
        with db.read() as tx:
            c = expert_loads.c
            query = select(c[metric]).where(c.run_id == other).order_by(c.episode, c.expert)
            rows = np.array(tx.execute(query).scalars().all()).reshape(-1, 4)
        node = f"document.querySelector(`[class*='st-key-{form}-{metric}-{other}'] .v3-chart-plot`)"
        count = f"node.data.at({-1 if form == 'heatmap' else 0}).x.length"
        page.wait_for_function(f"count => {{ const node = {node}; return {count} === count }}", arg=len(rows))
        drawn[form] = np.array(page.evaluate(f"() => {{ const node = {node}; return {read} }}"))
        assert pytest.approx(rows) == drawn[form].T if form == "area" else drawn[form] == pytest.approx(rows)
    db.close()
    assert watched.problems == []


def test_on_a_phone_nothing_is_wider_than_the_screen(page: Page, lab: Server, run: str, watched: Watched) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{lab.url}/live?run={run}&experts=true")
    for key in ("area-load", "actions", "distances", "map", "knockout"):
        show_chart(page, f"{key}-{run}")
    nothing_scrolls_sideways(page)
    assert watched.problems == []

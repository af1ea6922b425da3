"""The live chart in a real browser: what must survive a tick, what reaches Python, and how it looks."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import Server, StartServer, Watched, nothing_scrolls_sideways

APP = Path(__file__).parent / "apps" / "live_chart_app.py"
PLOT = ".st-key-return .v3-chart-plot"
HANDLE = ".st-key-return .v3-handle"


@pytest.fixture
def server(start_server: StartServer, tmp_path: Path) -> Server:
    """The test page, from a folder of its own: plotly.min.js is put beside it."""
    script = tmp_path / "app.py"
    shutil.copy(APP, script)
    return start_server(script)


@pytest.fixture(autouse=True)
def nothing_is_wrong(
    watched: Watched,
    request: pytest.FixtureRequest,
    server: Server,
    page: Page,
) -> Iterator[None]:
    """No errors on the console, and no request to anywhere else, in any of these tests."""
    yield
    if "missing" not in request.node.name:
        assert watched.problems == []
    assert watched.outside == []


def opened(page: Page, server: Server, query: str = "one", charts: int = 1) -> None:
    page.goto(f"{server.url}/?{query}")
    page.wait_for_function(f"document.querySelectorAll('.v3-chart[data-drawn]').length === {charts}")


def ask(page: Page, script: str) -> Any:
    """A JavaScript expression on the return chart's node."""
    return page.eval_on_selector(PLOT, f"node => {script}")


def episodes(page: Page) -> int:
    found = re.search(r"count=(\d+)", page.get_by_text("count=").inner_text())
    assert found
    return int(found[1])


def wait_for_ticks(page: Page, count: int = 3) -> None:
    """Until the chart was drawn with new data `count` more times."""
    drawn = int(page.locator(".st-key-return .v3-chart").get_attribute("data-drawn") or 0)
    page.wait_for_function(
        f"Number(document.querySelector('.st-key-return .v3-chart').dataset.drawn) >= {drawn + count}"
    )


def settled(page: Page) -> str:
    """How often the chart was drawn, once the browser has shown it unchanged for a while of its own time."""
    return str(
        page.eval_on_selector(
            ".st-key-return .v3-chart",
            """async chart => {
                let drawn = chart.dataset.drawn
                for (let frames = 0; frames < 60; frames++) {
                    await new Promise(requestAnimationFrame)
                    if (chart.dataset.drawn !== drawn) [drawn, frames] = [chart.dataset.drawn, 0]
                }
                return drawn
            }""",
        )
    )


def box(page: Page, selector: str) -> dict[str, float]:
    found = page.locator(selector).bounding_box()
    assert found
    return dict(found)


def plot_area(page: Page) -> dict[str, float]:
    """Where in the window the return chart's axes are."""
    return dict(
        ask(
            page,
            """{
                const [at, {l, t, w, h}] = [node.getBoundingClientRect(), node._fullLayout._size]
                return {x: at.x + l, y: at.y + t, width: w, height: h}
            }""",
        )
    )


def drag_handle(page: Page, index: int, by: float, *, steps: int = 8) -> None:
    grip = box(page, f"{HANDLE}[data-boundary='{index}']")
    x, y = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by, y + 30, steps=steps)


def test_node_zoom_hover_and_legend_survive_ticks(page: Page, server: Server) -> None:
    opened(page, server)
    before = episodes(page)
    ask(page, "node.marked = node.querySelector('.main-svg').marked = 'the same'")
    plot = plot_area(page)
    x, y, width, height = plot["x"], plot["y"], plot["width"], plot["height"]
    page.mouse.move(x + 0.1 * width, y + 0.2 * height)
    page.mouse.down()
    page.mouse.move(x + 0.25 * width, y + 0.9 * height, steps=5)
    page.mouse.up()
    page.wait_for_function(f"document.querySelector('{PLOT}')._fullLayout.xaxis.range[0] > 50")
    zoomed = ask(page, "({x: node._fullLayout.xaxis.range, y: node._fullLayout.yaxis.range})")
    assert zoomed["x"] == pytest.approx([100, 250], abs=5)
    page.locator(f"{PLOT} .legendtoggle").first.click()
    page.wait_for_function(f"document.querySelector('{PLOT}')._fullData[0].visible === 'legendonly'")
    page.mouse.move(x + 0.5 * width, y + 0.5 * height)
    page.wait_for_selector(f"{PLOT} .hoverlayer .legend")

    wait_for_ticks(page)

    assert episodes(page) > before
    assert ask(page, "[node.marked, node.querySelector('.main-svg').marked]") == ["the same", "the same"]
    assert ask(page, "({x: node._fullLayout.xaxis.range, y: node._fullLayout.yaxis.range})") == zoomed
    assert ask(page, "node._fullData[0].visible") == "legendonly"
    assert page.locator(f"{PLOT} .hoverlayer .legend").count() == 1

    page.mouse.dblclick(x + 0.5 * width, y + 0.6 * height)
    page.wait_for_function(f"document.querySelector('{PLOT}')._fullLayout.xaxis.range[1] === 1000")
    page.wait_for_function(f"document.querySelector('{PLOT}')._fullLayout.yaxis.range[1] > 470")


def test_a_zoom_ends_at_ten_episodes_and_shows_each_of_them(page: Page, server: Server) -> None:
    opened(page, server)
    plot = plot_area(page)
    zoomed = f"document.querySelector('{PLOT}')._fullLayout.xaxis.range"
    for width in (16, 10):
        page.mouse.move(plot["x"] + 0.1 * plot["width"], plot["y"] + 0.5 * plot["height"])
        page.mouse.down()
        page.mouse.move(plot["x"] + 0.115 * plot["width"], plot["y"] + 0.5 * plot["height"], steps=5)
        page.mouse.up()
        page.wait_for_function(f"{zoomed}[1] - {zoomed}[0] < {width} + 0.001")
    wait_for_ticks(page)
    start, end = ask(page, "node._fullLayout.xaxis.range")
    assert end - start == pytest.approx(10)
    shown = ask(page, "[...node.querySelectorAll('.xtick text')].map(text => text.textContent)")
    assert shown == [str(number) for number in range(int(start) + 1, int(end) + 1)]


def test_dragged_boundary_reaches_python_while_ticks_arrive(page: Page, server: Server) -> None:
    opened(page, server)
    expect(page.locator(HANDLE)).to_have_count(1)  # the first boundary, 250, is behind episode 300
    before = episodes(page)
    per_pixel = ask(page, "1000 / node._fullLayout.xaxis._length")
    drag_handle(page, 1, by=-100)
    page.wait_for_function(
        "previous => Number(/count=(\\d+)/.exec(document.body.innerText)[1]) > previous + 10", arg=before
    )
    expect(page.locator(f"{HANDLE}.v3-moving span")).to_contain_text("transition → fine-tune")
    page.mouse.up()

    moves = page.get_by_text("moves=")
    expect(moves).to_contain_text("(1, ")
    found = re.search(r"\((\d+), (\d+)\)", moves.inner_text())
    assert found
    episode = int(found[2])
    assert episode == pytest.approx(750 - 100 * per_pixel, abs=1.5)
    expect(page.get_by_text("returned=")).to_contain_text(f"BoundaryMove(index=1, episode={episode})")
    page.wait_for_function(
        f"document.querySelector('{PLOT}')._fullLayout.shapes.some(s => s.name === 'boundary:1' && s.x0 === {episode})"
    )
    wait_for_ticks(page, 2)
    assert moves.inner_text().count("(") == 1  # one drag, one move


def test_boundary_moves_by_keyboard_and_not_into_the_past(page: Page, server: Server) -> None:
    opened(page, server, "one&step=0&start=700")
    handle = page.locator(HANDLE)
    handle.focus()
    expect(handle).to_have_attribute("aria-valuenow", "750")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(handle).to_have_attribute("aria-valuetext", "episode 761")
    page.keyboard.press("Enter")
    expect(page.get_by_text("moves=")).to_contain_text("[(1, 761)]")

    drag_handle(page, 1, by=-400)
    page.mouse.up()
    expect(page.get_by_text("moves=")).to_contain_text("(1, 701)")

    handle.focus()
    page.keyboard.press("PageUp")
    page.keyboard.press("Escape")
    expect(handle).to_have_attribute("aria-valuenow", "701")


def test_boundary_returns_to_the_plan_that_python_keeps(page: Page, server: Server) -> None:
    opened(page, server, "one&step=0&keep")
    drag_handle(page, 1, by=-60)
    page.mouse.up()
    expect(page.get_by_text("moves=")).to_contain_text("(1, ")
    expect(page.locator(HANDLE)).to_have_attribute("aria-valuenow", "750")


def test_boundary_asked_for_stays_marked_beside_the_plan(page: Page, server: Server) -> None:
    opened(page, server, "one&wanted")
    drag_handle(page, 1, by=-60)
    page.mouse.up()
    expect(page.get_by_text("moves=")).to_contain_text("(1, ")
    wait_for_ticks(page, 2)
    found = re.search(r"\(1, (\d+)\)", page.get_by_text("moves=").inner_text())
    assert found
    expect(page.locator(f"{HANDLE}.v3-moved")).to_have_attribute("aria-valuenow", found[1])
    assert ask(page, "node._fullLayout.shapes.find(shape => shape.name === 'boundary:1').x0") == 750


def test_charts_of_a_group_zoom_together_and_names_follow(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 1280, "height": 4000})  # what is not on the screen is not drawn
    opened(page, server, "step=0&start=600", charts=7)
    plot = plot_area(page)
    page.mouse.move(plot["x"] + 0.3 * plot["width"], plot["y"] + 60)
    page.mouse.down()
    page.mouse.move(plot["x"] + 0.5 * plot["width"], plot["y"] + 62, steps=5)
    page.mouse.up()
    ranges = """() => ['return', 'loads', 'losses', 'compare'].map(
        key => document.querySelector(`.st-key-${key} .v3-chart-plot`)._fullLayout.xaxis.range.map(Math.round))"""
    page.wait_for_function(f"({ranges})().slice(0, 3).every(range => range[0] > 0)")
    returned, loads, losses, compare = page.evaluate(ranges)
    assert returned == loads == losses == pytest.approx([300, 500], abs=5)
    assert compare == [0, 1000]
    shown = ask(page, "node._fullLayout.annotations.filter(a => a.visible && a.text).map(a => a.text)")
    assert shown == ["transition"]


def test_one_crosshair_stands_in_all_charts_and_a_strip_has_their_values(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 1280, "height": 3000})
    opened(page, server, "step=0&start=600", charts=7)
    plot = plot_area(page)
    page.mouse.move(plot["x"] + 0.4 * plot["width"], plot["y"] + 60)
    strip = page.locator(".v3-strip")
    expect(strip).to_be_visible()
    expect(strip.locator("b")).to_have_text(re.compile(r"^Episode (39\d|40\d)$"))
    episode = int(strip.locator("b").inner_text().split()[1])
    shown = ask(
        page,
        f"""(trace => Number(trace.y[Array.from(trace.x).indexOf({episode})].toPrecision(4)))(
            node.data.find(trace => trace.name === 'Mean of last 100'))""",
    )
    expect(strip).to_contain_text(f"Mean of last 100 {shown}")
    expect(strip).to_contain_text("Expert 1 ")
    expect(strip).to_contain_text("%")
    for key in ("loads", "entropy", "losses", "schedule"):
        expect(page.locator(f".st-key-{key} .v3-cursor")).to_have_count(1)
    expect(page.locator(".st-key-compare .v3-cursor")).to_have_count(0)
    assert page.locator("[data-testid='stMain']").bounding_box()["x"] == strip.bounding_box()["x"]  # not under the menu
    page.mouse.move(5, 5)
    expect(strip).to_have_count(0)
    expect(page.locator(".v3-cursor")).to_have_count(0)


def test_theme_is_followed_live(page: Page, server: Server) -> None:
    opened(page, server, "one&step=0")
    colour = "node._fullLayout.font.color"
    assert ask(page, colour) == "#101820"
    ask(page, "node.marked = 'the same'")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"document.querySelector('{PLOT}')._fullLayout.font.color === '#e4eaf0'")
    assert ask(page, "node._fullLayout.hoverlabel.bgcolor") == "#10151c"
    assert ask(page, "getComputedStyle(node.closest('.stApp')).backgroundColor") == "rgb(16, 21, 28)"
    assert ask(page, "node.marked") == "the same"


def test_chart_follows_the_page_width(page: Page, server: Server) -> None:
    opened(page, server, "one&step=0")
    wide = box(page, PLOT)["width"]
    page.set_viewport_size({"width": 420, "height": 900})
    page.wait_for_function(f"document.querySelector('{PLOT} .main-svg').clientWidth < {wide / 2}")
    assert ask(page, "node.querySelector('.main-svg').clientWidth === node.clientWidth")
    nothing_scrolls_sideways(page)


def test_chart_names_itself_and_unchanged_figures_are_not_drawn_again(page: Page, server: Server) -> None:
    opened(page, server, "one&step=0")
    chart = page.locator(".st-key-return .v3-chart")
    expect(chart).to_have_attribute(
        "aria-label", re.compile(r"Return per episode of v3 · seed 1: 300 of 1,000 episodes")
    )
    assert (
        ask(page, "node.querySelectorAll('.modebar-btn').length") == 0
    )  # no upload to a cloud, and nothing in the way
    drawn = settled(page)
    page.get_by_role("button", name="Rerun the page").click()
    expect(page.get_by_text("reruns=2")).to_be_visible()
    assert settled(page) == drawn
    assert chart.get_attribute("data-drawn") == drawn


def test_missing_plotly_is_reported_in_the_chart_s_place(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?one&step=0&without_plotly")
    message = page.locator(".v3-chart-message")
    expect(message).to_contain_text("The chart could not be drawn: /app/static/plotly.min.js")


def test_picture_and_data_are_downloaded_by_keyboard(page: Page, server: Server) -> None:
    opened(page, server, "one&step=0")
    tools = page.locator(".st-key-return .v3-chart-tools")
    for name, ending, beginning in (
        ("Download the picture as PNG", "png", b"\x89PNG"),
        ("Download the picture as SVG", "svg", b"<svg"),
        ("Download the points drawn as CSV", "csv", b'"trace","x","y","z"\n'),
    ):
        with page.expect_download() as found:
            tools.get_by_label(name).focus()
            page.keyboard.press("Enter")
        assert found.value.suggested_filename == f"return-v3-seed-1.{ending}"
        content = Path(found.value.path()).read_bytes()
        assert content.startswith(beginning)
    rows = [line.split(",") for line in content.decode().splitlines()[1:]]
    drawn = ask(page, "node.data.map(trace => trace.x.length).reduce((sum, count) => sum + count)")
    assert len(rows) == drawn
    assert ['"Episode"', "1"] in [row[:2] for row in rows]
    expect(tools.get_by_role("button", name="Reset zoom")).to_be_hidden()

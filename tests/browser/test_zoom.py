"""Zooming into a long run: the server is asked for finer buckets, down to single episodes, and nothing jumps back."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.browser.support import Server, Watched, show_chart
from tests.pages.recorded import add_recorded_run
from tests.waiting import wait_for
from v3core.jobs.lifecycle import Status
from v3core.store.opening import open_database

LONG, SHORT = 1200, 30


@pytest.fixture
def runs(lab: Server) -> tuple[str, str]:
    """A long run and a short one."""
    db = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    long, short = (add_recorded_run(db, Status.COMPLETED, episodes=n, recorded=n) for n in (LONG, SHORT))
    db.close()
    return long, short


def chart(key: str) -> str:
    return f"[class*='st-key-{key}'] .v3-chart-plot"


def ask(page: Page, key: str, script: str) -> Any:
    """A JavaScript expression on a chart's node."""
    return page.eval_on_selector(chart(key), f"node => {script}")


def wait_until(page: Page, key: str, script: str) -> None:
    """Until a JavaScript expression on a chart's node is true."""
    page.wait_for_function(
        f"selector => {{ const node = document.querySelector(selector); return node?._fullLayout && ({script}) }}",
        arg=chart(key),
    )


def zoom(page: Page, key: str, start: float, end: float) -> None:
    """Draw a zoom box over a part of the episode axis."""
    page.locator(chart(key)).scroll_into_view_if_needed()
    x, y, width, height = ask(
        page,
        key,
        """{
            const [at, {l, t, w, h}] = [node.getBoundingClientRect(), node._fullLayout._size]
            return [at.x + l, at.y + t, w, h]
        }""",
    )
    page.mouse.move(x + start * width, y + height / 2)
    page.mouse.down()
    page.mouse.move(x + end * width, y + height / 2, steps=6)
    page.mouse.up()


def test_live_shows_single_episodes_of_a_long_run(
    page: Page, lab: Server, runs: tuple[str, str], watched: Watched
) -> None:
    page.goto(f"{lab.url}/live?run={runs[0]}")
    everything = page.get_by_text("Drawn: 600 buckets of 2 episodes, 1,200 episodes")
    expect(everything).to_be_visible()
    wait_until(page, "return-", "node.data[1].name === 'Mean of 2 episodes'")
    zoom(page, "return-", 0.5, 0.55)
    expect(page.get_by_text(re.compile(r"Drawn: \d+ of 1,200 episodes"))).to_be_visible()
    wait_until(page, "return-", "node.data[0].name === 'Episode'")
    for key in ("return-", "loads-", "schedule-"):
        show_chart(page, key)
        wait_until(page, key, "node._fullLayout.xaxis.range[0] > 500")
        start, end = ask(page, key, "node._fullLayout.xaxis.range")
        assert start == pytest.approx(600, abs=10)
        assert end - start == pytest.approx(60, abs=10)
    page.locator(chart("return-")).scroll_into_view_if_needed()
    page.mouse.dblclick(*middle(page, "return-"))
    expect(everything).to_be_visible()
    wait_until(page, "return-", "node._fullLayout.xaxis.range[1] === 1200")
    assert not [problem for problem in watched.problems if "404" not in problem]


def test_compare_reads_finer_buckets_too(page: Page, lab: Server, runs: tuple[str, str]) -> None:
    page.goto(f"{lab.url}/compare?runs={','.join(runs)}")
    wait_until(page, "compare", "node._fullData[0]._length === 600")
    zoom(page, "compare", 0.5, 0.55)
    wait_until(page, "compare", "node._fullData[0]._length > 60 && node._fullData[0]._length < 500")
    assert ask(page, "compare", "node._fullLayout.xaxis.range")[0] == pytest.approx(600, abs=10)
    assert ask(page, "compare", "node._fullData[0].x[1] - node._fullData[0].x[0]") == 1


def test_a_copied_address_opens_the_same_view_and_a_zoom_adds_nothing_to_the_history(
    page: Page, lab: Server, runs: tuple[str, str], watched: Watched
) -> None:
    page.goto(lab.url)
    page.get_by_role("link", name=re.compile(".*")).first.wait_for()
    page.goto(f"{lab.url}/live?run={runs[0]}")
    wait_until(page, "return-", "node.data[1].name === 'Mean of 2 episodes'")
    entries = page.evaluate("history.length")
    zoom(page, "return-", 0.5, 0.55)
    wait_until(page, "return-", "node.data[0].name === 'Episode'")
    page.get_by_text("So far", exact=True).click()
    page.get_by_text("10", exact=True).click()
    page.get_by_text("Optimisation health").click()
    for parameter in (r"extent=So(\+|%20)far", "smooth=10", "health=true", r"zoom=\d+(\.\d+)?\.\.\d+(\.\d+)?"):
        expect(page).to_have_url(re.compile(parameter))
    assert page.evaluate("history.length") == entries
    shown = ask(page, "return-", "node._fullLayout.xaxis.range")
    assert shown == pytest.approx([600, 660], abs=10)

    other = page.context.new_page()
    other.goto(page.url)
    wait_until(other, "return-", "node.data[0].name === 'Episode'")
    wait_until(other, "return-", "node.data.some(trace => trace.name === 'Mean of last 10')")
    assert ask(other, "return-", "node._fullLayout.xaxis.range") == pytest.approx(shown, abs=0.01)
    other.locator(chart("updates-")).wait_for(state="attached")

    # Back and forward keep it; another page does not take it along.
    other.get_by_role("link", name="Compare", exact=True).click()
    other.wait_for_url(re.compile("/compare"))
    assert "zoom=" not in other.url
    other.go_back()
    wait_until(other, "return-", "node._fullLayout.xaxis.range[0] > 500")
    assert "zoom=" in other.url
    reset = other.get_by_role("button", name="Reset zoom").first
    reset.focus()
    other.keyboard.press("Enter")
    wait_until(other, "return-", "node._fullLayout.xaxis.range[0] === 0")
    expect(other).not_to_have_url(re.compile("zoom="))
    assert not [problem for problem in watched.problems if "404" not in problem]


def test_a_zoom_that_is_left_while_the_page_comes_back_is_left_for_good(
    page: Page, lab: Server, runs: tuple[str, str]
) -> None:
    """Streamlit's answers to both pages put the address of before in its place."""
    held: list[str | bytes] | None = None

    def connect(to_page: WebSocketRoute) -> None:
        server = to_page.connect_to_server()
        server.on_message(lambda message: to_page.send(message) if held is None else held.append(message))
        pages.append(to_page)

    pages: list[WebSocketRoute] = []
    page.route_web_socket(re.compile("_stcore/stream"), connect)
    page.goto(f"{lab.url}/live?run={runs[0]}&zoom=600..660")
    wait_until(page, "return-", "node._fullLayout.xaxis.range[0] === 600")
    before = page.locator(chart("return-")).element_handle()

    held = []
    page.get_by_role("link", name="Compare", exact=True).click()
    page.wait_for_url(re.compile("/compare"))
    # Only a script run that ended removes the charts. Messages come while the page is asked something.
    wait_for(lambda: page.title() and _has_ended(held, b"Choose two or more runs to compare"))
    page.go_back()
    page.wait_for_url(re.compile("zoom="))
    page.get_by_role("button", name="Reset zoom").first.click()
    expect(page).not_to_have_url(re.compile("zoom="))
    answers, held = held, None
    for answer in answers:
        pages[-1].send(answer)

    page.wait_for_function("node => !node.isConnected", arg=before)
    wait_until(page, "return-", "node._fullLayout.xaxis.range[0] === 0")
    expect(page).not_to_have_url(re.compile("zoom="))


def _has_ended(messages: list[str | bytes] | None, text: bytes) -> bool:
    """Whether the script run that sent the text has sent its end."""
    sent = [message for message in messages or () if isinstance(message, bytes)]
    first = next((place for place, message in enumerate(sent) if text in message), len(sent))
    ends = [end for end in map(ForwardMsg.FromString, sent[first:]) if end.HasField("script_finished")]
    return any(end.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY for end in ends)


@pytest.mark.parametrize(
    "broken", ["moon", "5..2", "-1..3", "1e400..2e400", "0..1e300", "..", "NaN..3", "5..5", "9" * 400]
)
def test_a_zoom_that_cannot_be_read_is_ignored(page: Page, lab: Server, runs: tuple[str, str], broken: str) -> None:
    page.goto(f"{lab.url}/live?run={runs[1]}&zoom={broken}")
    wait_until(page, "return-", "node._fullLayout.xaxis.range[0] === 0 && node._fullLayout.xaxis.range[1] === 30")
    expect(page).not_to_have_url(re.compile("zoom="))


def test_another_run_is_one_entry_in_the_history_and_has_a_zoom_of_its_own(
    page: Page, lab: Server, runs: tuple[str, str]
) -> None:
    page.goto(f"{lab.url}/live?run={runs[0]}&zoom=600..660")
    wait_until(page, "return-", "node._fullLayout.xaxis.range[0] === 600")
    entries = page.evaluate("history.length")
    picker = page.get_by_role("combobox", name="Run", exact=True)
    picker.click()
    page.get_by_role("option", name=re.compile(runs[1][:6])).click()
    expect(page).to_have_url(re.compile(runs[1]))
    wait_until(page, "return-", "node._fullLayout.xaxis.range[1] === 30")
    assert "zoom=" not in page.url
    assert page.evaluate("history.length") == entries + 1
    page.go_back()
    wait_until(page, "return-", "node._fullLayout.xaxis.range[0] === 600")


def middle(page: Page, key: str) -> tuple[float, float]:
    box = page.locator(chart(key)).bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

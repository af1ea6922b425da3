"""Runs with five hundred runs: the filter, several runs at once, the address, a phone, and the keyboard alone."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import func, select

from tests.browser.support import APP, Server, Watched, nothing_scrolls_sideways, serve
from tests.browser.test_reading_out import CUT
from tests.pages.recorded import add_recorded_run
from tests.wall import add_wall
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.runs import list_runs, update_run
from v3core.store.schema import runs

RUNS = 500
PAGE = 25
BEYOND = """() => [...document.querySelectorAll(".v3-runs tbody *, .v3-runs .narrow *")]
    .filter((it) => it.getBoundingClientRect().right > innerWidth).length"""
ON_SCREEN = """() => [...document.querySelectorAll(".v3-runs tbody tr")]
    .filter((row) => row.getBoundingClientRect().bottom <= innerHeight).length"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real app with 500 runs."""
    server = serve(APP, tmp_path_factory.mktemp("home"))
    database = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
    add_wall(database, RUNS)
    database.close()
    yield server
    server.stop()


@pytest.fixture
def database(served: Server) -> Iterator[Database]:
    """Its store."""
    opened = open_database(f"sqlite:///{served.data / 'v3.db'}", served.data)
    yield opened
    opened.close()


@pytest.fixture
def home(page: Page, served: Server, watched: Watched) -> Iterator[Page]:
    """Runs, drawn; at the end nothing was complained about."""
    page.goto(served.url)
    expect(rows(page)).to_have_count(PAGE)
    yield page
    assert watched.problems == []


def rows(page: Page):
    return page.locator(".v3-runs tbody tr")


def fill(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Filter").fill(text)
    page.keyboard.press("Enter")


def test_the_filter_finds_and_all_that_it_finds_is_tagged_and_deleted(home: Page, database: Database) -> None:
    wanted = [run for run in list_runs(database) if run.status == Status.FAILED and "paper" in (run.tags or "")]
    assert 5 < len(wanted) < PAGE
    fill(home, "status:failed env:MiniGrid tag:paper")
    expect(rows(home)).to_have_count(len(wanted))
    expect(home).to_have_url(re.compile(r"[?&]q=status%3Afailed"))
    home.get_by_role("button", name=f"Select all {len(wanted)}").click()
    expect(home.get_by_text(f"{len(wanted)} selected")).to_be_visible()

    home.get_by_role("button", name="Edit tags").click()
    dialog = home.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Add").fill("checked")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    fill(home, "tag:checked -tag:nothing")
    expect(rows(home)).to_have_count(len(wanted))
    assert {run.id for run in list_runs(database) if "checked" in (run.tags or "")} == {run.id for run in wanted}

    home.get_by_role("button", name=f"Delete {len(wanted)}").click()
    expect(dialog).to_contain_text("Frees ")
    dialog.get_by_role("button", name=f"Delete {len(wanted)} runs").click()
    expect(home.get_by_text("No runs match; clear the filter to see all runs.")).to_be_visible()
    with database.read() as tx:
        assert tx.execute(select(func.count()).select_from(runs)).scalar_one() == RUNS - len(wanted)
    fill(home, "status:faild")
    expect(home.get_by_text("“status:faild”: it names no status; did you mean status:failed?")).to_be_visible()
    expect(rows(home)).to_have_count(0)


def test_what_is_selected_stays_so_while_rows_move_and_runs_go(home: Page, database: Database) -> None:
    """Positions change under the selection; what is done is done to the runs that were chosen."""
    found = list_runs(database)
    chosen, gone, kept = found[3], found[4], found[5]
    for run in (chosen, gone):
        home.locator(f"input[aria-label='Select {run.name}']").first.check()
    expect(home.get_by_text("2 selected")).to_be_visible()
    running = add_recorded_run(database, Status.RUNNING, recorded=0, name="a newcomer")
    with database.write() as tx:
        due = datetime.now(UTC) + timedelta(hours=1)
        update_run(tx, running, {"heartbeat_due_at": due}, only_in=["running"])
    expect(rows(home).first).to_contain_text("a newcomer")
    expect(rows(home).first.get_by_role("checkbox")).not_to_be_checked()
    assert home.locator("tr.selected").count() == 2
    control.delete(database, gone.id)
    expect(home.get_by_text("1 selected")).to_be_visible()
    home.get_by_role("button", name="Delete", exact=True).click()
    home.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(home.locator("tr.selected")).to_have_count(0)
    left = {run.id for run in list_runs(database)}
    assert (chosen.id in left, kept.id in left) == (False, True)
    with database.write() as tx:
        update_run(tx, running, {"status": "stopped"}, only_in=["running"])
    control.delete(database, running)


def test_the_address_has_filter_order_and_page_and_back_leads_back(home: Page) -> None:
    fill(home, "v3 env:CartPole")
    expect(home).to_have_url(re.compile("q=v3"))
    home.get_by_role("button", name="Mean", exact=True).click()
    expect(home).to_have_url(re.compile("sort=-mean"))
    expect(home.get_by_role("columnheader", name="Mean")).to_have_attribute("aria-sort", "descending")
    expect(rows(home).first).to_contain_text("400.5")
    home.get_by_role("button", name="Mean", exact=True).click()
    expect(rows(home).first).to_contain_text("55.5")
    home.go_back()
    expect(rows(home).first).to_contain_text("400.5")
    link = rows(home).first.get_by_role("link")
    before = link.inner_text()
    home.get_by_role("button", name="Page 2", exact=True).click()
    expect(home).to_have_url(re.compile("page=2"))
    expect(link).not_to_have_text(before)
    name = link.inner_text()
    link.click()
    expect(home.get_by_role("heading", name=name, exact=True)).to_be_visible()
    expect(home).to_have_url(re.compile("/live\\?run="))
    home.go_back()
    expect(home).to_have_url(re.compile("page=2"))
    expect(rows(home).first.get_by_role("link")).to_have_text(name)
    expect(home.get_by_role("textbox", name="Filter")).to_have_value("v3 env:CartPole")
    home.go_forward()
    expect(home.get_by_role("heading", name=name, exact=True)).to_be_visible()
    home.go_back()
    home.reload()
    expect(rows(home).first.get_by_role("link")).to_have_text(name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_cut_and_nothing_scrolls_sideways(home: Page, width: int, scheme: str) -> None:
    home.emulate_media(color_scheme=scheme)
    home.set_viewport_size({"width": width, "height": 900})
    rows(home).first.get_by_role("checkbox").check()
    expect(home.get_by_text("1 selected")).to_be_visible()
    assert home.evaluate(CUT) == []
    nothing_scrolls_sideways(home)
    assert home.evaluate(BEYOND) == 0
    if width == 390:
        assert home.get_by_role("textbox", name="Filter").bounding_box()["width"] > 300  # its example is not cut
        home.get_by_role("combobox", name="Sort by").select_option(label="Mean ↓")
        expect(home).to_have_url(re.compile("sort=-mean"))
        expect(rows(home).first).to_contain_text("590.5")


CONTRAST = """(it) => {
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number)
    const luminance = (colour) => {
        const [r, g, b] = colour.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    const page = numbers(getComputedStyle(document.querySelector("[data-testid=stApp]")).backgroundColor)
    const [r, g, b, opacity = 1] = numbers(getComputedStyle(it).backgroundColor)
    const behind = luminance([r, g, b].map((v, place) => opacity * v + (1 - opacity) * page[place]))
    const text = luminance(numbers(getComputedStyle(it).color).slice(0, 3))
    return (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05)
}"""
"""Of an element's text with what is behind it, as WCAG 2.1 defines it."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_chosen_can_be_read(home: Page, scheme: str) -> None:
    home.emulate_media(color_scheme=scheme)
    pill = home.locator("button[data-variant=pills]").filter(has_text="Completed")
    pill.click()
    expect(home.locator("button[data-selected=true]")).to_have_text("Completed")
    home.mouse.move(0, 0)
    assert pill.evaluate(CONTRAST) >= 4.5


def test_fifteen_rows_fit_on_a_screen(home: Page) -> None:
    fill(home, "-status:failed env:CartPole")
    expect(rows(home).first).to_contain_text("CartPole")
    home.wait_for_function(f"({ON_SCREEN})() >= 15")


def test_everything_is_done_by_the_keyboard(home: Page, database: Database) -> None:
    keyboard = home.keyboard
    keyboard.press("?")
    sheet = home.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_contain_text("Select all runs from the last selected one to this one")
    keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    keyboard.press("/")
    field = home.get_by_role("textbox", name="Filter")
    expect(field).to_be_focused()
    keyboard.type("env:Acrobot status:lost ?")
    expect(sheet).to_have_count(0)  # a question mark in a field is a character
    keyboard.press("Backspace")
    keyboard.press("Enter")
    expect(rows(home).first).to_contain_text("Acrobot")
    keyboard.press("Tab")
    keyboard.press("j")
    keyboard.press("x")
    keyboard.press("j")
    keyboard.press("j")
    keyboard.press("Shift+X")
    expect(home.get_by_text("3 selected")).to_be_visible()
    keyboard.press("k")
    keyboard.press("x")
    expect(home.get_by_text("2 selected")).to_be_visible()
    for _ in range(80):  # back to the buttons above the table
        keyboard.press("Shift+Tab")
        if "Edit tags" in home.evaluate("() => document.activeElement.innerText"):
            break
    keyboard.press("Enter")
    dialog = home.get_by_role("dialog")
    expect(dialog).to_be_visible()
    for _ in range(10):
        if home.evaluate("() => document.activeElement.getAttribute('aria-label')") == "Add":
            break
        keyboard.press("Tab")
    keyboard.type("typed")
    for _ in range(10):
        keyboard.press("Tab")
        if "Save" in home.evaluate("() => document.activeElement.innerText"):
            break
    keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    assert sum("typed" in (run.tags or "") for run in list_runs(database)) == 2
    keyboard.press("g")
    keyboard.press("c")
    home.wait_for_url("**/compare*")
    expect(home.get_by_role("heading", name="Compare", exact=True)).to_be_visible()
    keyboard.press("g")
    keyboard.press("r")
    expect(rows(home)).to_have_count(PAGE)
    keyboard.press("j")
    keyboard.press("Enter")
    home.wait_for_url("**/live?run=*")


def test_a_key_of_the_list_is_left_to_other_pages(home: Page, served: Server) -> None:
    """`/` moves to the filter where there is one; elsewhere the browser has it, and a search by keyboard works."""
    listen = (
        "() => { window.left = []; window.addEventListener('keydown', (e) => left.push([e.key, e.defaultPrevented])) }"
    )
    home.keyboard.press("/")
    expect(home.get_by_role("textbox", name="Filter")).to_be_focused()
    for path, heading in (("launch", "Launch"), ("compare", "Compare")):
        home.goto(f"{served.url}/{path}")
        expect(home.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        home.wait_for_function("() => window.__v3labFrame?.listens")
        home.evaluate(listen)
        home.keyboard.press("/")
        home.wait_for_function("() => window.left.length === 1")
        assert home.evaluate("() => window.left") == [["/", False]]
        home.keyboard.press("?")
        expect(home.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
        home.keyboard.press("Escape")
    home.keyboard.press("g")
    home.keyboard.press("r")
    expect(rows(home)).to_have_count(PAGE)
    home.keyboard.press("/")
    expect(home.get_by_role("textbox", name="Filter")).to_be_focused()

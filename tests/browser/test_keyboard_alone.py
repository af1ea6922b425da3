"""Without a mouse, from the list of runs to a muted alarm; and what has the focus can be seen everywhere."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import Server, Watched
from tests.pages.kinds import DEAD, add_experts
from tests.pages.recorded import add_recorded_run
from v3core.jobs.lifecycle import Status
from v3core.store.alarms import read_alarms
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.schema import runs as runs_table

MOST_TABS = 200

HERE = """() => {
    const it = document.activeElement
    const label = it.getAttribute('aria-label') || it.labels?.[0]?.innerText || it.innerText || it.title || ''
    return label.trim()
}"""

# What has the focus looks different without it: an outline, a ring, another colour, on it or around it.
UNSEEN = """async () => {
    const LOOKS = ['boxShadow', 'borderColor', 'backgroundColor', 'textDecorationLine', 'opacity', 'color']
    const it = document.activeElement
    if (!it || it === document.body) return null
    if (it.closest('canvas')) return null // a cell of a table, which draws its ring into the picture
    const looks = () => {
        const found = []
        for (let node = it, level = 0; node instanceof Element && level < 10; node = node.parentElement, level++) {
            for (const pseudo of [null, '::before', '::after']) {
                const style = getComputedStyle(node, pseudo)
                found.push(style.outlineStyle === 'none' ? '' : style.outlineWidth + style.outlineColor)
                for (const name of LOOKS)
                    found.push(style[name])
            }
        }
        return found.join('|')
    }
    const focused = looks()
    it.blur()
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve))
    await frame() // some rings are drawn by React
    await frame()
    const at_rest = looks()
    it.focus({ preventScroll: true })
    await frame()
    if (focused !== at_rest) return null
    return `${it.tagName} ${it.className} ${(it.getAttribute('aria-label') || it.innerText || '').slice(0, 60)}`
}"""


NUMBER = """() => {
    const known = (window.__seen ??= new Map())
    if (!known.has(document.activeElement)) known.set(document.activeElement, known.size)
    return known.get(document.activeElement)
}"""


@pytest.fixture
def db(lab: Server) -> Iterator[Database]:
    """The store of the app, with runs of which two are tagged `paper`, one of them with alarms."""
    opened = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    add_recorded_run(opened, Status.STOPPED, name="without a tag")
    plain = add_recorded_run(opened, Status.COMPLETED, name="complete", recorded=40)
    dead = add_recorded_run(opened, Status.RUNNING, name="dying", loads=DEAD, evaluated=(20,))
    add_experts(opened, dead, 4)
    with opened.write() as tx:
        tx.execute(runs_table.update().where(runs_table.c.id.in_([plain, dead])).values(tags="paper"))
    yield opened
    opened.close()


def tab_to(page: Page, label: str, *, back: bool = False) -> None:
    """Press Tab until what has the focus is called so."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        if re.fullmatch(label, page.evaluate(HERE), re.DOTALL):
            return
    pytest.fail(f"{MOST_TABS} tabs did not lead to {label!r}, but to {page.evaluate(HERE)!r}.")


GROUP = """() => {
    const group = document.activeElement.closest('[role=radiogroup], [data-testid=stButtonGroup]')
    return (group?.innerText ?? '').split("\\n")
}"""


def choose(page: Page, label: str) -> None:
    """Move to an option of a switch, whose other options are reached by arrow keys or by Tab, and take it."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        options = page.evaluate(GROUP)
        for _ in options if label in options else ():
            if page.evaluate(HERE) == label:
                page.keyboard.press("Space")
                return
            page.keyboard.press("ArrowRight")
    pytest.fail(f"There is no {label!r}.")


def test_from_the_list_of_runs_to_a_muted_alarm(page: Page, lab: Server, db: Database, watched: Watched) -> None:
    keyboard = page.keyboard
    page.goto(lab.url)
    rows = page.locator(".v3-runs tbody tr")
    expect(rows).to_have_count(3)

    keyboard.press("/")
    expect(page.get_by_role("textbox", name="Filter")).to_be_focused()
    keyboard.type("tag:paper")
    keyboard.press("Enter")
    expect(rows).to_have_count(2)
    keyboard.press("Tab")
    for _ in range(2):
        keyboard.press("j")
        keyboard.press("x")
    expect(page.get_by_text("2 selected")).to_be_visible()
    while page.evaluate(HERE) != "dying":
        keyboard.press("k")
    keyboard.press("Enter")
    page.wait_for_url("**/live?run=*")
    expect(page.get_by_role("heading", name="dying", exact=True)).to_be_visible()

    tab_to(page, r".*Mute")
    keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Mute this alarm?")
    tab_to(page, "Reason")
    keyboard.type("two are enough")
    tab_to(page, r".*Mute")
    keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(page.get_by_text("Muted: two are enough")).to_be_visible()
    assert "two are enough" in {alarm.reason for run in _ids(db) for alarm in read_alarms(db, run)}

    choose(page, "Step")
    expect(page).to_have_url(re.compile("axis=Step"))
    choose(page, "100")
    expect(page).to_have_url(re.compile("smooth=100"))
    tab_to(page, r"(?:.*\n)?Experts")
    keyboard.press("Enter")
    expect(page.locator("[class*='st-key-area-load'] .v3-chart")).to_have_count(1)
    expect(page).to_have_url(re.compile("experts=true"))

    keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_be_visible()
    keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    assert watched.problems == []


def _ids(db: Database) -> list[str]:
    with db.read() as tx:
        return [row.id for row in tx.execute(runs_table.select())]


def test_what_has_the_focus_is_seen_on_every_page(page: Page, lab: Server, db: Database, watched: Watched) -> None:
    pair = _ids(db)
    unseen = {}
    for address, title in (
        ("/", "Runs"),
        (f"/live?run={pair[-1]}&experts=true", "Live"),
        (f"/compare?runs={','.join(pair[:2])}", "Compare"),
        ("/launch", "Launch"),
    ):
        page.goto(lab.url + address)
        expect(page.get_by_role("heading", name=title, exact=True, level=1)).to_be_visible()
        page.add_style_tag(content="*, *::before, *::after { transition: none !important; animation: none !important }")
        seen = set()
        for _ in range(MOST_TABS):
            page.keyboard.press("Tab")
            if (problem := page.evaluate(UNSEEN)) is not None:
                unseen.setdefault(title, set()).add(problem)
            here = page.evaluate(NUMBER)
            if here in seen and len(seen) > 10:
                break
            seen.add(here)
        assert len(seen) > 10
    assert unseen == {}
    assert watched.problems == []

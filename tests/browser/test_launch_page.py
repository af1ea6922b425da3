"""Launch in a real browser: what is in sight, what is cut, and what Enter does in the field of the environment."""

import re

import psutil
from playwright.sync_api import Page, expect

from tests.browser.support import ROOT, StartServer, Watched, show_chart
from tests.processes import processes_of
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.store.opening import open_database
from v3core.store.runs import get_run, list_runs

SIZES = [(1280, 800), (390, 844)]
CUT = """() => {
  const cut = [];
  for (const element of document.querySelectorAll('[data-testid=stMain] *')) {
    if (!element.checkVisibility() || element.clientWidth < 5) continue;
    const style = getComputedStyle(element);
    const hides = style.textOverflow === 'ellipsis' || element.getAttribute('role') === 'combobox'
      || (style.overflowX === 'hidden' && !element.children.length);
    if (hides && element.scrollWidth > element.clientWidth + 1) cut.push(element.value || element.textContent);
  }
  return cut;
}"""
"""Texts of labels, buttons, captions and chosen options that do not fit their place."""


def launch(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.get_by_role("heading", name="Launch")).to_be_visible()
    expect(page.get_by_text("Add a phase")).to_be_attached()
    show_chart(page)
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_attached()


def bar(page: Page):
    return page.get_by_test_id("stBottom")


def test_start_is_in_sight_wherever_one_scrolls_and_no_label_is_cut(
    page: Page, start_server: StartServer, watched: Watched
):
    server = start_server(ROOT / "app.py")
    launch(page, f"{server.url}/launch")
    page.get_by_text("Recipe CartPole-v1:").click()
    expect(page.get_by_role("textbox", name="Minibatch", exact=True)).to_be_visible()
    page.get_by_text("More settings").click()
    expect(page.get_by_role("textbox", name="Z-loss").first).to_be_visible()
    start = bar(page).get_by_role("button", name="Start the run")
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        main = page.get_by_test_id("stMain")
        length = main.evaluate("element => element.scrollHeight")
        assert length > 2 * height, "the page fits the window, so that nothing is shown by this test"
        for part in (0.0, 0.3, 0.6, 1.0):
            main.evaluate("(element, top) => element.scrollTo(0, top)", part * length)
            expect(start).to_be_in_viewport(ratio=1)
            expect(bar(page).get_by_text("1 run")).to_be_in_viewport(ratio=1)
            expect(bar(page).get_by_text("Time unknown")).to_be_in_viewport(ratio=1)
            box = start.bounding_box()
            assert box is not None
            covering = "([x, y]) => document.elementFromPoint(x, y).closest('[data-testid=stBottom]') !== null"
            assert page.evaluate(covering, [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
        page.wait_for_function(f"({CUT})().length === 0")  # a new width is laid out in a moment
    epochs = page.get_by_role("textbox", name="Epochs", exact=True)
    epochs.fill("0")
    epochs.press("Enter")
    expect(bar(page).get_by_text("give a whole number from 1 to 100")).to_be_in_viewport(ratio=1)
    expect(start).to_be_disabled()
    assert watched.problems == []


def test_part_of_an_id_and_enter_asks_which_one_is_meant(page: Page, start_server: StartServer):
    server = start_server(ROOT / "app.py")
    launch(page, f"{server.url}/launch")
    field = page.get_by_role("combobox", name="Environment", exact=True)
    for typed, meant in (("DoorKey", "MiniGrid-DoorKey-5x5-v0"), ("Acrobot", "Acrobot-v1")):
        field.click()
        field.press_sequentially(typed, delay=20)
        field.press("Enter")
        question = bar(page).get_by_text(f"Which environment do you mean by '{typed}'? Choose one.")
        expect(question).to_be_visible()
        expect(bar(page).get_by_role("button", name="Start the run")).to_be_disabled()
        page.get_by_role("button", name=meant, exact=True).click()
        expect(question).to_be_hidden()
        expect(field).to_have_value(meant)
        expect(page).to_have_url(re.compile(f"env={meant}"))
        expect(bar(page).get_by_role("button", name="Start the run")).to_be_enabled()


def test_a_run_started_here_is_forked_from_the_server_s_warm_process(page: Page, start_server: StartServer):
    server = start_server(ROOT / "app.py")
    launch(page, f"{server.url}/launch")

    def warm():
        return [found for found in processes_of(server.data) if "v3core.jobs.warm" in found.cmdline()]

    (process,) = wait_for(warm)
    assert process.ppid() == server.process.pid
    wait_for(lambda: process.name() == "v3lab-warm")
    field = page.get_by_role("spinbutton", name="Episodes", exact=True)
    field.fill("100000")  # it must not have ended when the server has
    field.press("Enter")
    expect(bar(page)).to_contain_text("100,000 episodes")
    bar(page).get_by_role("button", name="Start the run").click()
    expect(page.get_by_role("heading", name="Live")).to_be_visible()
    database = open_database(f"sqlite:///{server.data / 'v3.db'}")
    try:
        (run,) = list_runs(database)
        wait_for(lambda: get_run(database, run.id).episode)
        worker = psutil.Process(get_run(database, run.id).pid)
    finally:
        database.close()
    assert worker.name() == "v3lab-worker"
    server.stop()
    process.wait(PATIENCE_SECONDS)
    assert worker.is_running()

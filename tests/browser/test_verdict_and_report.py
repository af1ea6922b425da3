"""From an experiment to its verdict on Compare, other groups, and a report that opens from disk without a network."""

from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.support import Server, Watched, nothing_scrolls_sideways
from tests.comparison.made import made_run, with_epochs
from tests.waiting import PATIENCE_SECONDS
from v3core.store.opening import open_database
from v3core.store.runs import update_run

NAME = "Zwei <b>& mehr"


@pytest.fixture
def experiment(lab: Server) -> str:
    """Two curricula with two numbers of epochs, five seeds each."""
    db = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    runs = [
        made_run(
            db,
            curriculum=curriculum,
            seed=seed,
            recipe=with_epochs(epochs),
            returns=[level + seed] * 20,
            evaluations=[(20, float(level + seed))],
        )
        for curriculum, level in (("v3", 400), ("switch", 100))
        for epochs in (1, 2)
        for seed in range(1, 6)
    ]
    with db.write() as tx:
        for run in runs:
            update_run(tx, run.id, {"experiment": NAME}, only_in=["completed"])
    db.close()
    return NAME


def drawn(page: Page, key: str) -> None:
    """Wait until a chart is drawn, which it is not before it is looked at."""
    chart = page.locator(f"[class*='st-key-{key}']").first
    chart.scroll_into_view_if_needed()
    expect(chart.locator(".main-svg").first).to_be_visible()


def test_from_an_experiment_to_its_verdict_to_its_report(
    page: Page, browser: Browser, lab: Server, watched: Watched, experiment: str, tmp_path: Path
) -> None:
    page.goto(f"{lab.url}/experiments")
    page.locator(".st-key-experiment-0").get_by_role("link", name="Compare").click()
    page.wait_for_url("**/compare?*")
    verdict = page.locator(".st-key-verdict")
    expect(verdict).to_contain_text("v3 · epochs=1")
    expect(verdict).to_contain_text("5 seeds each")
    for key in ("groups-", "finals-", "sweep-ppo-epochs", "parallel-", "phases-", "timelines"):
        drawn(page, key)
    page.set_viewport_size({"width": 390, "height": 844})
    nothing_scrolls_sideways(page)
    page.set_viewport_size({"width": 1280, "height": 900})

    page.goto(f"{lab.url}/compare?{urlencode({'experiment': NAME, 'by': 'Curriculum'})}")
    expect(verdict).to_contain_text("v3 ends 300 above switch in mean return of evaluations (95 % interval")
    expect(verdict).to_contain_text("10 seeds each")
    expect(verdict).to_contain_text("ppo.epochs")
    drawn(page, "groups-")

    with page.expect_download() as download:
        page.get_by_role("button", name="Report").click()
    assert download.value.suggested_filename == "Zwei-b-mehr.html"
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    context = browser.new_context(offline=True)
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    report, complaints = context.new_page(), []
    report.on("console", lambda message: complaints.append(message.text))
    report.on("pageerror", lambda error: complaints.append(str(error)))
    report.on("request", lambda request: complaints.append(request.url) if request.url != file.as_uri() else None)
    report.goto(file.as_uri())
    expect(report.get_by_role("heading", name=NAME, level=1)).to_be_visible()
    figures = report.locator("[data-figure]").count()
    assert figures > 5
    expect(report.locator("[data-figure] .main-svg:first-child")).to_have_count(figures)
    report.emulate_media(media="print")
    report.set_viewport_size({"width": 700, "height": 900})  # a sheet of paper: nothing scrolls there
    beyond = "nodes => nodes.filter(node => node.getBoundingClientRect().right > innerWidth + 1).length"
    assert report.eval_on_selector_all("table, pre, .figure", beyond) == 0
    assert len(report.pdf()) > 20_000
    context.close()
    assert complaints == []
    assert watched.problems == watched.outside == []

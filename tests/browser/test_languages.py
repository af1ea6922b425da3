"""Each page in English and in Chinese, on a desk and on a telephone: no word of the other language, nothing cut.

And in a third language, whose texts are longer by two fifths. What is chosen stays so when the language is switched
while a run trains.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import patient_context
from tests.browser.support import APP, ROOT, Server, Watched, serve, show_chart, too_wide
from tests.browser.test_every_page import look_at_all, open_all
from tests.browser.test_reading_out import CUT
from tests.browser.test_replay_player import trained_in
from tests.browser.test_zoom import ask, wait_until, zoom
from tests.browser.words_on_pages import WORDS, english_in, han_in
from tests.longer_language import CODE, LETTER, write_longer
from tests.pages.kinds import EXPERIMENT, add_each_kind
from tests.pages.recorded import record_more
from tests.waiting import wait_for
from v3core.messages import speaking
from v3core.report import as_html, gather
from v3core.store.opening import open_database
from v3core.ui.run_columns import CHOICES, COLUMNS

DESK, TELEPHONE = 1280, 390
HEIGHT = 900
CHINESE, ENGLISH = "zh-CN", "en"
GROUP = EXPERIMENT.replace(" ", "+")
SETTLES_SECONDS = 20
"""How long what is drawn may take to be as it should; it is looked at again until then."""
TOO_WIDE = """() => [document.documentElement.scrollWidth - innerWidth].filter((more) => more > 0).map(String)"""
ADDRESSES = {
    "Runs": f"/?{'&'.join(f'columns={COLUMNS[name].title}' for name in CHOICES)}",
    "Launch": "/launch?from={64 experts}",
    "Launch of several tasks": "/launch?env=MT3",
    "Experiments": "/experiments",
    "Experiment": f"/experiments?experiment={GROUP}",
    "Live": "/live?run={real}&experts=true&health=true&process=true&state=Episode+1,+step+0",
    "Live of nothing": "/live?run={no numbers}&experts=true",
    "Live of a trained run": "/live?run={trained}&experts=true",
    "Compare": "/compare?runs={real},{64 experts},{imported}",
    "Replay": "/replay?run={trained}",
    "Claims": "/claims",
    "Tour": "/tour?run={real}",
}


NARROW = """() => [...document.querySelectorAll("[data-testid=stMarkdownContainer] :is(th, td)")]
    .filter((cell) => {
        const {paddingLeft, paddingRight, fontSize} = getComputedStyle(cell)
        const room = cell.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight)
        return cell.checkVisibility() && cell.innerText.length > 3 && room < 4 * parseFloat(fontSize)
    })
    .map((cell) => cell.innerText)"""
"""Cells of tables in which a line has three Chinese characters or fewer."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """The real app with a run of each kind and one that was trained, and their ids by name."""
    folder = tmp_path_factory.mktemp("languages")
    trained = trained_in(folder / "data", "--env CartPole-v1 --episodes 24 --evaluate 2 --evaluate-every 12")
    server = serve(APP, folder)
    try:
        db = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
        made = add_each_kind(db) | {"trained": trained}
        db.close()
        yield server, made
    finally:
        server.stop()


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[tuple[Page, Watched]]:
    """One tab for all pages, which has the server's files after the first, and what it complained about."""
    watched = Watched()
    context = patient_context(browser, watched)
    yield context.new_page(), watched
    context.close()


def visit(page: Page, server: Server, made: dict[str, str], name: str, language: str) -> None:
    """Open a page in a language on a desk, with all its sections."""
    page.set_viewport_size({"width": DESK, "height": HEIGHT})
    address = ADDRESSES[name].format_map(made)
    page.goto(f"{server.url}{address}{'&' if '?' in address else '?'}lang={language}")
    unfold(page, language)


def unfold(page: Page, language: str) -> None:
    """Wait until a page is there in a language, then open its sections and look at its charts."""
    expect(page.locator("html")).to_have_attribute("lang", language)
    drawn(page)
    open_all(page)
    drawn(page)
    look_at_all(page)


def drawn(page: Page) -> None:
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    expect(page.locator("[data-testid=stMain] h1")).to_be_visible()
    for unfinished in ("[data-testid=stSkeleton]", "[data-stale=true]"):
        expect(page.locator(unfinished)).to_have_count(0)


def lasting(find: Callable[[], list[str]]) -> list[str]:
    """What is found on a page, and does not go away once all of it is drawn."""
    with suppress(AssertionError):
        wait_for(lambda: not find(), seconds=SETTLES_SECONDS)
    return find()


def ill_laid_out(page: Page) -> list[str]:
    """What is cut or makes a page wider than the screen, at both widths."""
    found = []
    for width in (DESK, TELEPHONE):
        page.set_viewport_size({"width": width, "height": HEIGHT})
        found += [f"{width}: {text}" for text in lasting(lambda: cut_or_wide(page))]
    page.set_viewport_size({"width": DESK, "height": HEIGHT})
    return found


def cut_or_wide(page: Page) -> list[str]:
    for chart in page.locator(".v3-chart").all():
        chart.scroll_into_view_if_needed()  # off the screen it keeps the width of before
    narrow = [f"narrow: {text}" for text in page.evaluate(NARROW)]
    return [*too_wide(page), *narrow, *(text for text in page.evaluate(CUT) if text.strip())]


def within_menus(page: Page) -> list[str]:
    """The words of each popover, opened one after the other."""
    found = []
    body = page.locator("[data-testid=stPopoverBody]")
    for button in page.locator("[data-testid=stMain] [data-testid=stPopoverButton]").all():
        button.click()
        expect(body).to_be_visible()
        drawn(page)
        found += page.evaluate(WORDS, "[data-testid=stPopoverBody]")
        page.keyboard.press("Escape")
        expect(body).to_have_count(0)
    return found


LONG = {"Launch of several tasks", "Live of nothing", "Live of a trained run"}
"""Most of these is seen on other pages."""


@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.long] * (one in LONG)) for one in ADDRESSES])
def test_a_page_is_in_one_language_and_nothing_of_it_is_cut(
    tab: tuple[Page, Watched], served: tuple[Server, dict[str, str]], name: str
) -> None:
    (page, watched), (server, made) = tab, served
    visit(page, server, made, name, ENGLISH)
    found = {
        "Chinese": lasting(lambda: han_in(page.evaluate(WORDS))),
        "cut in English": ill_laid_out(page),
    }
    page.get_by_role("button", name="中文").click()
    unfold(page, CHINESE)
    found |= {
        "English": lasting(lambda: english_in(page.evaluate(WORDS))),
        "English in menus": english_in(within_menus(page)),
        "cut in Chinese": ill_laid_out(page),
        "complaints": [*watched.problems],
    }
    watched.problems.clear()
    assert {what: texts for what, texts in found.items() if texts} == {}


def test_a_report_is_in_one_language(
    tab: tuple[Page, Watched], served: tuple[Server, dict[str, str]], tmp_path: Path
) -> None:
    (page, watched), (server, _made) = tab, served
    db = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
    found = {}
    for language, others in (("en", han_in), ("zh_CN", english_in)):
        with speaking(language):
            file = tmp_path / f"{language}.html"
            file.write_text(as_html(gather(db, EXPERIMENT, "1.2.3")), encoding="utf-8")
        page.goto(file.as_uri())
        page.wait_for_selector(".main-svg")
        found[language] = others(page.evaluate(WORDS))
        for width in (DESK, TELEPHONE):
            page.set_viewport_size({"width": width, "height": HEIGHT})
            found[f"{language} at {width}"] = lasting(lambda: page.evaluate(TOO_WIDE))
    db.close()
    assert {what: texts for what, texts in found.items() if texts} == {}
    assert watched.problems == []


def test_a_switch_while_a_run_trains_keeps_what_is_chosen_and_zoomed(
    page: Page, served: tuple[Server, dict[str, str]], watched: Watched
) -> None:
    server, made = served
    db = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
    page.goto(f"{server.url}/live?run={made['real']}&lang=en")
    page.get_by_text("Optimisation health").click()
    page.get_by_role("radio", name="10", exact=True).click()
    show_chart(page, "return-")
    zoom(page, "return-", 0.2, 0.5)
    expect(page).to_have_url(re.compile(r"zoom=\d+(\.\d+)?\.\.\d+(\.\d+)?"))
    before = ask(page, "return-", "node._fullLayout.xaxis.range")
    chosen = re.search(r"zoom=[\d.]+", page.url)[0]

    record_more(db, made["real"], 5)
    page.get_by_role("button", name="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", CHINESE)
    expect(page.get_by_role("heading", name="实时", level=1)).to_be_visible()
    record_more(db, made["real"], 5)
    page.locator(".v3-numbers").scroll_into_view_if_needed()
    expect(page.locator(".v3-numbers")).to_contain_text("35/40")  # it still ticks
    for parameter in (chosen, "health=true", "smooth=10", "lang=zh"):
        assert parameter in page.url
    show_chart(page, "return-")
    wait_until(page, "return-", "/[\u3400-\u9fff]/.test(node.data.map(trace => trace.name).join())")
    assert ask(page, "return-", "node._fullLayout.xaxis.range") == pytest.approx(before, abs=0.01)
    expect(page.get_by_role("radio", name="10", exact=True)).to_be_checked()
    show_chart(page, "updates-")
    db.close()
    assert watched.problems == []


@pytest.fixture(scope="module")
def served_longer(served: tuple[Server, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app with the longer language beside English, on the same data: its catalogue is in another folder."""
    folder = tmp_path_factory.mktemp("longer")
    write_longer(folder / "locale")
    shipped = (ROOT / "asgi.py").read_text(encoding="utf-8").replace('"app.py"', f'"{APP}"')
    first = f"from pathlib import Path\nfrom v3core import messages\nmessages.LOCALE = Path('{folder / 'locale'}')\n"
    script = folder / "longer.py"
    script.write_text(first + shipped, encoding="utf-8")
    server = serve(script, folder, V3_DATA_DIR=str(served[0].data), V3_DATABASE_URL="")
    yield server
    server.stop()


@pytest.mark.parametrize("name", ["Runs", "Launch", "Experiment", "Live", "Compare", "Replay", "Claims", "Tour"])
def test_texts_that_are_longer_by_two_fifths_are_not_cut(
    tab: tuple[Page, Watched], served: tuple[Server, dict[str, str]], served_longer: Server, name: str
) -> None:
    page, watched = tab
    visit(page, served_longer, served[1], name, CODE)
    assert LETTER in page.locator("[data-testid=stSidebar]").inner_text()
    assert ill_laid_out(page) == []
    assert watched.problems == []

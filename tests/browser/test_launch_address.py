"""A copied address of Launch, a reload and "back" open the same form: recipe, arguments, wrappers and phases."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.support import Server, Watched
from tests.processes import kill_all


def field(page: Page, label: str, place: int = 0) -> Locator:
    """A field by its label."""
    return page.get_by_role("textbox", name=label, exact=True).nth(place)


def fill(page: Page, label: str, text: str, place: int = 0) -> None:
    """Typed, and sent to the server."""
    field(page, label, place).fill(text)
    page.keyboard.press("Enter")


def test_a_copied_link_opens_launch_with_the_same_form(page: Page, lab: Server, watched: Watched) -> None:
    page.goto(f"{lab.url}/launch")
    page.get_by_text(re.compile("^Recipe .*base values")).click()
    fill(page, "Epochs", "3")
    expect(page).to_have_url(re.compile(r"ppo\.epochs"))
    page.get_by_text("Arguments and wrappers").click()
    fill(page, "Wrappers", "TimeLimit(max_episode_steps=200)")
    expect(page).to_have_url(re.compile("TimeLimit"))
    fill(page, "Temperature", "0.7", 1)
    expect(page).to_have_url(re.compile(r"=0\.7"))
    expect(page.get_by_role("button", name="Start the run")).to_be_enabled()

    def is_the_same(shown: Page) -> None:
        expect(field(shown, "Epochs")).to_have_value("3")
        expect(field(shown, "Wrappers")).to_have_value("TimeLimit(max_episode_steps=200)")
        expect(field(shown, "Temperature", 1)).to_have_value("0.7")
        expect(shown.get_by_text(re.compile("1 changed")).first).to_be_visible()

    other = page.context.new_page()
    other.goto(page.url)
    is_the_same(other)
    page.reload()
    is_the_same(page)
    try:
        page.get_by_role("button", name="Start the run").click()
        page.wait_for_url("**/live?run=*")
        expect(page.get_by_role("heading", name="Live", exact=True)).to_be_visible()
        assert "epochs" not in page.url
        page.go_back()
        is_the_same(page)
    finally:
        kill_all(lab.data)
    assert watched.problems == []


def test_a_bad_value_in_the_address_is_said_at_its_field(page: Page, lab: Server, watched: Watched) -> None:
    page.goto(f"{lab.url}/launch")
    page.get_by_text(re.compile("^Recipe .*base values")).click()
    fill(page, "Epochs", "3")
    expect(page).to_have_url(re.compile(r"ppo\.epochs"))
    bad = re.sub(r"(ppo\.epochs[^=]*)=3", r"\1=moon", page.url)
    other = page.context.new_page()
    other.goto(bad)
    expect(other.get_by_text(re.compile("moon.*whole number|whole number.*moon")).first).to_be_attached()
    expect(other.get_by_role("button", name="Start the run")).to_be_disabled()
    assert watched.problems == []

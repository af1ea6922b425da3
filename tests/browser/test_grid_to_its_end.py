"""From Launch's grid to the experiment's page to its end, in a real browser with real runs."""

import re

from playwright.sync_api import Page, expect

from tests.browser.support import Server, Watched, nothing_scrolls_sideways, pick
from tests.browser.test_main_job import Records

EPISODES = 30


def test_a_grid_is_launched_watched_to_its_end_and_enlarged(page: Page, lab: Server, watched: Watched) -> None:
    records = Records(lab.data)
    page.goto(f"{lab.url}/launch")
    episodes = page.get_by_role("spinbutton", name="Episodes", exact=True)
    episodes.fill(str(EPISODES))
    episodes.press("Enter")
    page.get_by_role("textbox", name="Seeds").fill("1-2")
    page.get_by_role("textbox", name="Seeds").press("Enter")
    expect(page.get_by_role("button", name="Start 2 runs")).to_be_visible()
    pick(page, "Compare with", "direct-sparsemax")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Start 4 runs")).to_be_visible()

    # A path that does not exist names close ones; one that a phase has is swept.
    page.get_by_role("button", name="Vary a setting").click()
    path = page.get_by_role("combobox", name="Setting", exact=True)
    path.fill("ppo.epoch")
    path.press("Enter")
    values = page.get_by_role("textbox", name="Values")
    values.fill("1, 2")
    values.press("Enter")
    expect(page.get_by_text("There is no setting 'ppo.epoch'. Did you mean ppo.epochs").first).to_be_visible()
    expect(page.get_by_test_id("stBottom").get_by_role("button", name=re.compile("Start"))).to_be_disabled()
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("button", name="Start 4 runs").click()

    page.wait_for_url("**/experiments?experiment=*")
    name = str(records.value("SELECT DISTINCT experiment FROM runs"))
    expect(page.get_by_role("heading", name=name, exact=True, level=1)).to_be_visible()
    expect(page.get_by_text(f"4 of 4 runs completed · {4 * EPISODES} of {4 * EPISODES} episodes")).to_be_visible()
    expect(page.get_by_text(re.compile("^.*Undecided between .*"))).to_be_visible()
    expect(page.locator(".v3-runs tbody tr")).to_have_count(4)
    assert records.rows("SELECT curriculum, seed, status FROM runs ORDER BY created_at") == [
        (curriculum, seed, "completed") for seed in (1, 2) for curriculum in ("v3", "direct-sparsemax")
    ]

    # More seeds, by keyboard alone, after what they cost.
    page.get_by_role("button", name="Add 5 seeds").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text(re.compile(r"with seeds 3 to 7: 10 runs · 300 episodes"))).to_be_visible()
    seeds = dialog.get_by_role("spinbutton", name="Seeds")
    seeds.fill("1")
    seeds.press("Enter")
    dialog.get_by_role("button", name="Start 2 runs").press("Enter")
    expect(page.get_by_text(f"6 of 6 runs completed · {6 * EPISODES} of {6 * EPISODES} episodes")).to_be_visible()
    assert records.value("SELECT count(*) FROM runs WHERE seed = 3 AND status = 'completed'") == 2

    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator(".v3-runs tbody tr")).to_have_count(6)
    nothing_scrolls_sideways(page)
    page.get_by_role("button", name="All experiments").click()
    expect(page.get_by_role("heading", name="Experiments", level=1)).to_be_visible()
    page.get_by_role("button", name=name).click()
    expect(page.get_by_role("heading", name=name, exact=True, level=1)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Experiments", level=1)).to_be_visible()
    assert watched.problems == watched.outside == []

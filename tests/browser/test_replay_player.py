"""Replay in Chromium: a recorded episode plays, is scrubbed, jumps, is compared and downloaded; all from real files."""

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import APP, ROOT, Server, StartServer, Watched, nothing_scrolls_sideways
from v3core.environments.nethack import ids
from v3core.insight.jumps import jumps
from v3core.insight.replays import Replay
from v3core.jobs.kept_replays import read_replays, recorded_replays
from v3core.store.history import read_checkpoints
from v3core.store.opening import open_database

PLAYER = ".v3-replay[data-step]"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data folder with a real run of CartPole, evaluated twice: `(folder, run id)`."""
    data = tmp_path_factory.mktemp("trained") / "data"
    return data, trained_in(data, "--env CartPole-v1 --episodes 120 --evaluate 3 --evaluate-every 60")


def trained_in(data: Path, options: str) -> str:
    """The id of a run that was trained here and now."""
    data.mkdir(parents=True, exist_ok=True)
    small = ("--set", "ppo.rollout_steps=64", "--set", "ppo.environments=4")
    done = subprocess.run(
        [sys.executable, "-m", "v3core", "train", *options.split(), *small],
        env={**os.environ, "V3_DATA_DIR": str(data), "V3_DATABASE_URL": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()[-1]


@pytest.fixture
def lab(start_server: StartServer, trained: tuple[Path, str], tmp_path: Path) -> Server:
    """The app on a copy of that folder."""
    shutil.copytree(trained[0], tmp_path / "server-0" / "data", dirs_exist_ok=True)
    return start_server(APP)


@pytest.fixture
def run(trained: tuple[Path, str]) -> str:
    return trained[1]


@pytest.fixture
def recorded(lab: Server, run: str) -> Iterator[dict[int, dict[str, Replay]]]:
    """The recorded replays of each evaluation."""
    db = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    yield {episode: read_replays(db, run, episode) for episode in recorded_replays(db, run)}
    db.close()


@pytest.fixture
def checkpoints(lab: Server, run: str) -> list[int]:
    """After how many episodes there are checkpoints: one of each phase."""
    db = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    found = [checkpoint.episode for checkpoint in read_checkpoints(db, run)]
    db.close()
    return found


def at(page: Page, step: int) -> None:
    """Wait until a step is shown by everything: player, cursor, panel."""
    expect(page.locator(PLAYER)).to_have_attribute("data-step", str(step))


def frame_shown(page: Page, frame: int, side: int = 0) -> None:
    expect(page.locator(".v3-replay-screen canvas").nth(side)).to_have_attribute("data-frame", str(frame))


def test_an_episode_plays_is_scrubbed_and_jumps_to_a_switch(
    page: Page, lab: Server, run: str, recorded: dict[int, dict[str, Replay]], watched: Watched
) -> None:
    newest = max(recorded)
    replay = recorded[newest]["median"]
    steps = len(replay)
    page.goto(f"{lab.url}/replay?run={run}&step=3")
    at(page, 3)
    frame_shown(page, 2)
    expect(page.locator(".v3-replay-step")).to_have_attribute("data-step", "3")
    gate = page.get_by_role("row", name=re.compile("^Expert 1 ")).first
    assert float(gate.inner_text().split()[2]) == pytest.approx(replay.gates[2, 0], rel=1e-6)
    expect(page.get_by_role("combobox", name="Layer")).to_be_visible()  # the inside is there, and its graph drawn
    page.wait_for_selector(".v3-replay-graph .plot-container")

    page.keyboard.press("ArrowRight")
    at(page, 4)
    page.keyboard.press("Home")
    at(page, 1)
    page.get_by_role("combobox", name="Speed").select_option("4")
    page.get_by_role("button", name="Play", exact=True).click()
    at(page, steps + 1)  # to its end, and what was seen last
    frame_shown(page, steps)
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    expect(page.get_by_text(f"After {steps} steps")).to_be_visible()
    expect(page).to_have_url(re.compile(rf"step={steps + 1}\b"))

    found = jumps(replay)
    switches = found["switches"]
    assert switches, "the run must have one for this test"
    page.keyboard.press("Home")
    page.get_by_role("button", name="Next switch").click()
    at(page, switches[0])
    if len(switches) > 1:
        page.keyboard.press("s")
        at(page, switches[1])
    errors = found["value_errors"]
    page.keyboard.press("End")  # after the last step, which can be no error
    page.get_by_role("button", name="Largest value errors").click()
    at(page, errors[0])
    page.get_by_role("button", name="Largest value errors").click()
    at(page, errors[1 % len(errors)])

    page.get_by_role("combobox", name="Steps that the chart shows").select_option("25")
    shown = "[...document.querySelector('.v3-replay-plot')._fullLayout.xaxis.range]"
    first = (errors[1 % len(errors)] - 1) // 25 * 25
    page.wait_for_function(f"{shown}[0] === {first + 0.5}")
    assert page.evaluate(shown) == [first + 0.5, first + 26.5]
    page.get_by_role("combobox", name="Steps that the chart shows").select_option("")
    page.get_by_role("slider", name="Step").fill(str(steps // 2))
    at(page, steps // 2)
    frame_shown(page, steps // 2 - 1)
    box = page.locator(".v3-replay-plot .nsewdrag").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + 1, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 10, steps=4)
    page.mouse.up()
    step = int(page.locator(PLAYER).get_attribute("data-step") or 0)
    assert step == pytest.approx(0.8 * (steps + 1), abs=2)
    expect(page).to_have_url(re.compile(rf"step={step}\b"))
    page.reload()
    at(page, step)
    frame_shown(page, step - 1)
    assert not watched.problems
    assert watched.outside == []


def test_two_replays_of_one_seed_play_in_step_and_a_seed_is_played(
    page: Page,
    lab: Server,
    run: str,
    recorded: dict[int, dict[str, Replay]],
    checkpoints: list[int],
    watched: Watched,
) -> None:
    late = max(recorded)
    early = min(checkpoints)
    assert early < late
    page.goto(f"{lab.url}/replay?run={run}&episode={late}&with={run}&with_episode={early}")
    expect(page.locator(".v3-replay-side")).to_have_count(2)
    frame_shown(page, 0)
    frame_shown(page, 0, side=1)
    page.keyboard.press("ArrowRight")
    frame_shown(page, 1)
    frame_shown(page, 1, side=1)
    page.get_by_label("Clear value").last.click()
    expect(page.locator(".v3-replay-side")).to_have_count(1)
    expect(page).not_to_have_url(re.compile("with"))
    field = page.get_by_role("combobox", name="Episode, or a seed")
    field.fill("7")
    field.press("Enter")
    expect(page).to_have_url(re.compile("seed=7"))
    expect(page.get_by_text("played with seed 7").first).to_be_visible()
    frame_shown(page, 0)
    page.go_back()
    expect(page).not_to_have_url(re.compile("seed=7"))
    expect(page.get_by_text("median").first).to_be_visible()
    assert not watched.problems


def test_the_video_has_every_frame(page: Page, lab: Server, run: str, recorded: dict[int, dict[str, Replay]]) -> None:
    replay = recorded[max(recorded)]["median"]
    page.goto(f"{lab.url}/replay?run={run}")
    frame_shown(page, 0)
    page.get_by_role("button", name="Download").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="MP4").click()
    with av.open(io.BytesIO(Path(download.value.path()).read_bytes())) as video:
        assert sum(1 for _ in video.decode(video=0)) == len(replay) + 1
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert len(Path(download.value.path()).read_text().splitlines()) == len(replay) + 1


def test_live_plays_the_newest_median_and_leads_to_it(
    page: Page, lab: Server, run: str, recorded: dict[int, dict[str, Replay]], watched: Watched
) -> None:
    page.goto(f"{lab.url}/live?run={run}")
    picture = page.locator(".v3-replay-picture canvas")
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_attribute("data-frame", re.compile("[1-9]"))
    picture.click()
    expect(page).to_have_url(re.compile(rf"/replay\?run={run}&episode={max(recorded)}"))
    frame_shown(page, 0)
    assert not watched.problems


def test_on_a_phone_nothing_is_wider_than_the_screen(page: Page, lab: Server, run: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{lab.url}/replay?run={run}")
    frame_shown(page, 0)
    expect(page.locator(".v3-replay-step")).to_have_attribute("data-step", "1")
    nothing_scrolls_sideways(page)


def test_a_terminal_of_80_columns_takes_the_whole_width(page: Page, start_server: StartServer, tmp_path: Path) -> None:
    missing = [package for package in ids.PACKAGES if not ids.is_installed(package)]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: {ids.how_to_install()}")
    options = "--env MiniHack-Room-5x5-v0 --steps 512 --scale --evaluate 1 --set evaluation.knockout=0"
    run = trained_in(tmp_path / "server-0" / "data", options)
    lab = start_server(APP)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{lab.url}/replay?run={run}")
    frame_shown(page, 0)
    canvas = page.locator(".v3-replay-screen canvas")
    whole = page.locator(".v3-replay-top").bounding_box()
    shown = canvas.bounding_box()
    assert whole
    assert shown
    assert shown["width"] == pytest.approx(whole["width"], abs=2)
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_function(f"document.querySelector('.v3-replay-screen canvas').clientWidth < {shown['width']}")
    narrow = canvas.bounding_box()
    assert narrow
    assert narrow["width"] > 500, "it can be read, and is scrolled"
    nothing_scrolls_sideways(page)

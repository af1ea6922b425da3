"""Take the screenshots of both READMEs from the running app: `make screenshots`.

Trains two real runs and an experiment of ten to their end, and one more that is still running, in a data folder of its
own, then photographs every page, and the list of five hundred runs: in English light and dark, in Chinese light. Takes
some ten minutes on two cores.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.support import ROOT, Server, serve
from tests.wall import add_wall
from v3core.curriculum import load_preset
from v3core.jobs.demo import METRIC, WITH, WITHOUT
from v3core.jobs.lifecycle import ENDED
from v3core.messages import say, speaking, spoken, translation
from v3core.store.opening import open_database

IMAGES = ROOT / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
VIEWS: tuple[tuple[str, str, Literal["light", "dark"]], ...] = (
    ("en", "", "light"),
    ("en", "", "dark"),
    ("zh_CN", "zh-CN/", "light"),
)
"""Language, folder within the pictures, and colours."""
WIDTH = 1360
EXPERIMENT = "With or without a curriculum"


def main() -> None:
    """Train, serve, photograph."""
    with tempfile.TemporaryDirectory() as folder:
        server = serve(ROOT / "app.py", Path(folder))
        try:
            with_curriculum = train(server, WITH, 1)
            without = train(server, WITHOUT, 1)
            train_experiment(server)
            running = start_from_browser_queue(server)
            photograph_all(server, with_curriculum, without, running)
            subprocess.run(  # it may have completed meanwhile
                [sys.executable, "-m", "v3core", "stop", running],
                cwd=ROOT,
                env=environment(server),
                capture_output=True,
                check=False,
            )
        finally:
            server.stop()


def environment(server: Server) -> dict[str, str]:
    """Variables of a command on the server's data folder."""
    return {"PATH": "/usr/bin:/bin", "HOME": str(server.data), "V3_DATA_DIR": str(server.data)}


def command(server: Server, *arguments: str) -> str:
    """A command line call on the server's data folder; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "v3core", *arguments],
        cwd=ROOT,
        env=environment(server),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def train(server: Server, curriculum: str, seed: int) -> str:
    """Train a run to its end, as long as its preset is written for; returns its id."""
    length = str(load_preset(curriculum).episodes)
    printed = command(
        server,
        *("train", "--env", "CartPole-v1", "--curriculum", curriculum, "--episodes", length, "--seed", str(seed)),
        *("--evaluate-every", "50", "--set", "evaluation.knockout=10"),
    )
    return printed.split()[-1]


def train_experiment(server: Server) -> None:
    """Two curricula with five seeds each, through the queue of the server."""
    command(
        server,
        *("sweep", "--env", "CartPole-v1", "--curricula", f"{WITH},{WITHOUT}", "--seeds", "1-5"),
        *("--episodes", str(load_preset(WITH).episodes), "--experiment", EXPERIMENT),
    )
    while [run for run in json.loads(command(server, "runs", "--json")) if run["status"] not in ENDED]:
        time.sleep(5)


def start_from_browser_queue(server: Server) -> str:
    """A run in the background: one that was begun and stopped, and now goes on."""
    printed = subprocess.Popen(
        [sys.executable, "-m", "v3core", "train", "--env", "CartPole-v1", "--seed", "2", "--episodes", "800"],
        cwd=ROOT,
        env=environment(server),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    time.sleep(15)  # so that there is something to see
    printed.terminate()
    output, _ = printed.communicate()
    run_id = output.split()[-1]
    command(server, "resume", run_id)
    return run_id


def photograph_all(server: Server, with_curriculum: str, without: str, running: str) -> None:
    """Every page."""
    executable = next((path for path in map(shutil.which, BROWSERS) if path), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        for folder, scheme, page in pages(browser):
            photograph(page, f"{server.url}/live?run={running}", f"{folder}running-{scheme}", 2300, charts=7)
        for folder, scheme, page in pages(browser):  # after them, because the run soon completes
            photograph(page, f"{server.url}/live?run={with_curriculum}", f"{folder}live-{scheme}", 2300, charts=7)
            photograph_process(page, f"{server.url}/live?run={with_curriculum}", f"{folder}process-{scheme}")
            photograph_alarms(page, f"{server.url}/live?run={without}", f"{folder}alarms-{scheme}")
            experts = f"{server.url}/live?run={with_curriculum}&experts=true"
            photograph_experts(page, experts, f"{folder}experts-{scheme}")
            photograph_replay(page, f"{server.url}/replay?run={with_curriculum}&step=40", f"{folder}replay-{scheme}")
            photograph(page, f"{server.url}/launch", f"{folder}launch-{scheme}", 1760, charts=1)
            compared = urlencode({"experiment": EXPERIMENT, "metric": METRIC})
            photograph(page, f"{server.url}/compare?{compared}", f"{folder}compare-{scheme}", 1650, charts=2)
            which = urlencode({"experiment": EXPERIMENT})
            photograph(page, f"{server.url}/experiments?{which}", f"{folder}experiment-{scheme}", 1100, charts=0)
            photograph(page, f"{server.url}/claims", f"{folder}claims-{scheme}", 1300, charts=0)
            photograph_sweep(page, server, f"{folder}queue-{scheme}")
        photograph_wall(browser)
        browser.close()


def pages(browser: Browser) -> Iterator[tuple[str, str, Page]]:
    """A page of a browser for each of `VIEWS`, with its folder and colours; until the next, its language is spoken."""
    for language, folder, scheme in VIEWS:
        (IMAGES / folder).mkdir(parents=True, exist_ok=True)
        context = browser.new_context(
            viewport={"width": WIDTH, "height": 900},
            color_scheme=scheme,
            reduced_motion="reduce",
            locale=language.replace("_", "-"),
        )
        with speaking(language):
            yield folder, scheme, context.new_page()
        context.close()


def photograph_replay(page: Page, url: str, name: str) -> None:
    """A step of a replay with its graph."""
    page.set_viewport_size({"width": WIDTH, "height": 1750})
    page.goto(url)
    page.locator(".v3-replay-screen canvas[data-frame]").wait_for()
    page.locator(".v3-replay-graph .main-svg").first.wait_for()
    page.wait_for_timeout(2500)
    page.screenshot(path=IMAGES / f"{name}.png")
    print(IMAGES / f"{name}.png")


def photograph_alarms(page: Page, url: str, name: str) -> None:
    """The verdict on top of a run with dead experts, and its alarms with the evidence of the first."""
    page.set_viewport_size({"width": WIDTH, "height": 5000})
    page.goto(url)
    page.locator(".st-key-alarms summary").first.click()
    page.locator("[class*=st-key-evidence-chart] .main-svg").first.wait_for()
    page.wait_for_timeout(2500)
    end = page.locator(".st-key-alarms").bounding_box()
    assert end is not None
    height = end["y"] + end["height"] + 24
    page.screenshot(path=IMAGES / f"{name}.png", clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
    print(IMAGES / f"{name}.png")


def photograph_process(page: Page, url: str, name: str) -> None:
    """What a run's process spent its time on."""
    page.set_viewport_size({"width": WIDTH, "height": 5000})
    page.goto(url)
    panel = page.get_by_test_id("stExpander").filter(has=page.get_by_text(translation("Process"), exact=True))
    panel.locator("summary").click()
    panel.locator(".main-svg").first.wait_for()
    page.wait_for_timeout(2500)
    panel.screenshot(path=IMAGES / f"{name}.png")
    print(IMAGES / f"{name}.png")


def photograph_wall(browser: Browser) -> None:
    """The list of five hundred runs, on a server of its own, with one pinned and two selected."""
    with tempfile.TemporaryDirectory() as data:
        server = serve(ROOT / "app.py", Path(data))
        try:
            database = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
            add_wall(database, 500)
            database.close()
            for folder, scheme, page in pages(browser):
                page.goto(server.url)
                for row in (0, 2):
                    page.locator(".v3-runs tbody tr").nth(row).get_by_role("checkbox").check()
                page.get_by_text(say("**{chosen:,} selected**", chosen=2).strip("*")).wait_for()
                page.wait_for_timeout(2500)
                page.screenshot(path=IMAGES / f"{folder}wall-{scheme}.png")
                print(IMAGES / f"{folder}wall-{scheme}.png")
        finally:
            server.stop()


def photograph_experts(page: Page, url: str, name: str) -> None:
    """The section about the experts, once all of its charts are drawn; they are only where they can be seen."""
    page.set_viewport_size({"width": WIDTH, "height": 8000})
    page.goto(url)
    section = page.get_by_test_id("stExpander").filter(has_text=translation("Load over time"))
    for key in ("area-load", "decisions", "actions", "distances", "distance-history", "map", "knockout"):
        section.locator(f"[class*='st-key-{key}'] .main-svg").first.wait_for()
    page.wait_for_timeout(2500)
    section.screenshot(path=IMAGES / f"{name}.png")
    print(IMAGES / f"{name}.png")


def photograph_sweep(page: Page, server: Server, name: str) -> None:
    """A sweep that waits in the queue, which is then stopped as one."""
    experiment = f"Warmup or not, {spoken()}, {name.rpartition('-')[2]}"
    command(
        server,
        *("sweep", "--env", "CartPole-v1", "--curricula", "v3,direct-sparsemax", "--seeds", "3-6"),
        *("--experiment", experiment),
    )
    photograph(page, f"{server.url}/", name, 1100, charts=0)
    command(server, "stop", "--experiment", experiment)


def photograph(page: Page, url: str, name: str, height: int, *, charts: int) -> None:
    """One page once its charts are drawn."""
    page.set_viewport_size({"width": WIDTH, "height": 5000})  # charts that are not on the screen are not drawn
    page.goto(url)
    page.get_by_role("heading").first.wait_for()
    if charts:
        page.locator(".js-plotly-plot .main-svg").nth(charts - 1).wait_for()
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.wait_for_timeout(2500)  # fonts, legends and the last tick
    page.screenshot(path=IMAGES / f"{name}.png")
    print(IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()

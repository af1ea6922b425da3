"""A real Chromium and real Streamlit servers. Nothing here leaves 127.0.0.1."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

from tests.browser.support import APP, Server, StartServer, Watched, serve
from tests.processes import kill_all
from tests.waiting import PATIENCE_SECONDS

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]
expect.set_options(timeout=PATIENCE_SECONDS * 1000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder drives a browser."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium: the system's, or the one that playwright installed. Without any, CI fails and a desk skips."""
    with sync_playwright() as playwright:
        found = next((path for path in map(shutil.which, NAMES) if path), None)
        try:
            launched = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        except Error as error:
            sentence = "Chromium cannot be started; install it, or run `python -m playwright install chromium`."
            if os.environ.get("CI", "").lower() in {"1", "true"}:
                pytest.fail(f"{sentence}\n{error}")
            pytest.skip(sentence)
        yield launched
        launched.close()


@pytest.fixture
def watched() -> Watched:
    """What the test's page complained about and asked for."""
    return Watched()


@pytest.fixture
def page(browser: Browser, watched: Watched) -> Iterator[Page]:
    """A fresh page, 1280 × 900, light; its console and requests are in `watched`."""
    context = patient_context(browser, watched)
    yield context.new_page()
    context.close()


def patient_context(browser: Browser, watched: Watched) -> BrowserContext:
    """A context of its own, as patient as every test, whose console and requests are in `watched`."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    watched.watch(context)
    return context


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """`start_server(script)` serves a Streamlit script with the project's configuration and a data folder of its own.

    Servers are stopped when the test ends.
    """
    servers: list[Server] = []

    def start(script: Path) -> Server:
        servers.append(serve(script, tmp_path / f"server-{len(servers)}"))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
        kill_all(server.data)


@pytest.fixture
def lab(start_server: StartServer) -> Server:
    """The real app."""
    return start_server(APP)

"""A real Chromium and real Streamlit servers. Nothing here leaves 127.0.0.1."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]
START_SECONDS = 60
STOP_SECONDS = 10


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


@dataclass
class Watched:
    """What a page complained about and asked for."""

    problems: list[str] = field(default_factory=list)
    """Errors on the console and uncaught exceptions."""
    outside: list[str] = field(default_factory=list)
    """Requests to anything but this machine."""

    def watch(self, context: BrowserContext) -> None:
        """Listen to every page of a context."""
        context.on("console", lambda message: self._note(message.text) if message.type == "error" else None)
        context.on("weberror", lambda error: self._note(str(error.error)))
        context.on("request", lambda request: self._request(request.url))

    def _note(self, text: str) -> None:
        self.problems.append(text)

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname not in {"127.0.0.1", "localhost"}:
            self.outside.append(url)


@pytest.fixture
def watched() -> Watched:
    """What the test's page complained about and asked for."""
    return Watched()


@pytest.fixture
def page(browser: Browser, watched: Watched) -> Iterator[Page]:
    """A fresh page, 1280 × 900, light; its console and requests are in `watched`."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    watched.watch(context)
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    yield opened
    context.close()


@dataclass(frozen=True)
class Server:
    """A Streamlit server of its own process group."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path
    data: Path
    """Its V3_DATA_DIR."""

    def stop(self) -> None:
        """End the server, and only it: by its own process id."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_SECONDS)


StartServer = Callable[[Path], Server]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """`start_server(script)` serves a Streamlit script with the project's configuration and a data folder of its own.

    Servers are stopped when the test ends.
    """
    servers: list[Server] = []

    def start(script: Path) -> Server:
        server = _start(script, tmp_path / f"server-{len(servers)}")
        servers.append(server)
        _wait_until_healthy(server)
        return server

    yield start
    for server in servers:
        server.stop()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(script: Path, folder: Path) -> Server:
    data = folder / "data"
    data.mkdir(parents=True)
    port = free_port()
    log = folder / "server.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")} | {
        "PYTHONPATH": str(ROOT),
        "V3_DATA_DIR": str(data),
        "V3_DATABASE_URL": f"sqlite:///{data / 'v3.db'}",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}"],
            cwd=ROOT,  # where .streamlit/config.toml is
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Server(f"http://127.0.0.1:{port}", process, log, data)


def _wait_until_healthy(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=1):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    server.stop()
    pytest.fail(f"The server did not start:\n{server.log.read_text(errors='replace')}")

"""Streamlit servers for browser tests, and an ear to what a page says and asks for."""

import fcntl
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Locator, Page, TimeoutError

from tests.waiting import PATIENCE_SECONDS, wait_for

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app.py"
SIDEWAYS = """() => [document.documentElement, document.querySelector("[data-testid=stMain]")].flatMap((part) => {
    const more = part.scrollWidth - part.clientWidth;
    if (more <= 0) return [];
    const beyond = [...part.querySelectorAll("*")].findLast((it) => it.getBoundingClientRect().right > innerWidth + 1);
    return [`${part.tagName} is wider by ${more}: ${beyond?.outerHTML.slice(0, 200)}`];
})"""
_SHIPPED = {ROOT / "app.py": ROOT / "asgi.py"}
"""What `serve` runs for the dashboard."""


@dataclass
class Watched:
    """What a page complained about and asked for."""

    problems: list[str] = field(default_factory=list)
    """Errors on the console and uncaught exceptions."""
    outside: list[str] = field(default_factory=list)
    """Requests to anything but this machine."""

    def watch(self, context: BrowserContext) -> None:
        """Listen to every page of a context."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self._note(str(error.error)))
        context.on("request", lambda request: self._request(request.url))

    def _console(self, message: ConsoleMessage) -> None:
        # A page opened by its own address looks for the server under that address first: Streamlit's way.
        if message.type == "error" and "/_stcore/" not in message.location.get("url", ""):
            self._note(message.text)

    def _note(self, text: str) -> None:
        self.problems.append(text)

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname not in {"127.0.0.1", "localhost"}:
            self.outside.append(url)


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
                self.process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(PATIENCE_SECONDS)


StartServer = Callable[[Path], Server]


_held: list[IO[str]] = []
"""Locks on the ports that this process was given, until it ends."""


def free_port() -> int:
    """A port of 127.0.0.1 for a server that is started later; no other test process is given the same.

    It is below those that the system gives to sockets that ask for none, which it may do before the server starts.
    """
    folder = Path(tempfile.gettempdir()) / f"v3-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for port in random.sample(range(20_000, 32_000), 1000):
        lock = (folder / str(port)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _held.append(lock)
        return port
    raise RuntimeError("All ports from 20000 to 31999 are taken.")


def serve(script: Path, folder: Path, port: int | None = None, **variables: str) -> Server:
    """Serve a Streamlit script with the project's configuration; `folder` takes its data and its log.

    Returns once it answers, on a free port unless one is given. Its environment has the variables too.
    """
    server = _start(script, folder, port or free_port(), variables)
    wait_until_healthy(server)
    return server


def _start(script: Path, folder: Path, port: int, variables: dict[str, str]) -> Server:
    data = Path(variables.get("V3_DATA_DIR", folder / "data"))
    data.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")} | {
        "PYTHONPATH": str(ROOT),
        "V3_DATA_DIR": str(data),
        "V3_DATABASE_URL": f"sqlite:///{data / 'v3.db'}",
        **variables,
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", str(_SHIPPED.get(script, script)), f"--server.port={port}"],
            cwd=ROOT,  # where .streamlit/config.toml is
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Server(f"http://127.0.0.1:{port}", process, log, data)


def wait_until_healthy(server: Server) -> None:
    """Return once the server answers; fail with its log if it does not."""

    def answers() -> bool:
        assert server.process.poll() is None, "the server ended"
        return is_healthy(server.url)

    try:
        wait_for(answers, "the server answers")
    except AssertionError as error:
        server.stop()
        pytest.fail(f"The server did not start: {error}\n{server.log.read_text(errors='replace')}")


def keep_in_view(chart: Locator, done: Callable[[], object]) -> None:
    """Scroll to a chart until that is true: off the screen it is not drawn, and what arrives above pushes it there."""

    def seen() -> bool:
        try:
            chart.scroll_into_view_if_needed()
        except Error as error:
            if "not attached" not in error.message:
                raise
            return False  # it was drawn again under the scroll
        return bool(done())

    wait_for(seen, f"{chart} is not drawn", pause=0.1)


def show_chart(page: Page, key: str | None = None) -> None:
    """Bring the chart of that key, or the page's first one, onto the screen, and wait until it is drawn."""
    chart = page.locator(f"[class*='st-key-{key}'] .v3-chart" if key else ".v3-chart").first
    keep_in_view(chart, lambda: chart.get_attribute("data-drawn"))


def too_wide(page: Page) -> list[str]:
    """Whether the page scrolls sideways, and by which element."""
    return list(page.evaluate(SIDEWAYS))


def nothing_scrolls_sideways(page: Page) -> None:
    """Fail if the page is wider than the screen once it is laid out, which a new width is in a moment."""
    with suppress(AssertionError):
        wait_for(lambda: not too_wide(page))
    wide = too_wide(page)
    assert not wide, wide


def pick(page: Page, field: str, option: str | re.Pattern[str]) -> None:
    """Choose from a field's list, which is opened again if it closed: it does so when the page moves under it."""
    one = page.get_by_role("option", name=option, exact=isinstance(option, str))

    def picked() -> bool:
        try:
            if not one.is_visible():
                page.get_by_role("combobox", name=field, exact=True).click(timeout=5000)
            one.click(timeout=2000)
        except TimeoutError:
            return False
        return True

    wait_for(picked, f"{option} in the list of {field}")


def is_healthy(url: str) -> bool:
    """Whether a server answers there."""
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=PATIENCE_SECONDS):
            return True
    except OSError:  # refused, reset, or an error for an answer
        return False

"""`demo` given in a terminal shows what it has started: in a browser where there is one, else by its address."""

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.browser.support import free_port
from tests.processes import kill_all
from tests.served import served
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def terminal(tmp_path):
    """Give `demo` in a terminal: the process, and a function that returns what it has printed so far."""
    (browser := tmp_path / "browser").write_text(f"#!/bin/sh\necho \"$1\" >>'{tmp_path}/opened'\n")
    browser.chmod(0o755)
    started, printed = [], {}

    def give(**variables):
        ours, theirs = pty.openpty()
        cleaned = {name: value for name, value in os.environ.items() if not name.startswith(("V3_", "STREAMLIT_"))}
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            cleaned.pop(name, None)
        settings = {"PYTHONPATH": str(ROOT), "BROWSER": f"{browser} %s", "V3_MAX_WORKERS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "v3core", "demo"],
            cwd=tmp_path,
            env=cleaned | settings | variables,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        os.set_blocking(ours, False)
        printed[ours] = b""
        started.append(process)

        def said():
            with suppress(BlockingIOError, OSError):
                while part := os.read(ours, 4096):
                    printed[ours] += part
            return printed[ours].decode()

        return process, said

    yield give
    for process in started:
        process.kill()
        process.wait()
    kill_all(tmp_path / "data")
    for descriptor in printed:
        os.close(descriptor)


def test_it_serves_the_dashboard_and_opens_its_first_run(terminal, tmp_path):
    port, opened = free_port(), tmp_path / "opened"
    process, said = terminal(DISPLAY=":0", STREAMLIT_SERVER_PORT=str(port), STREAMLIT_SERVER_BASE_URL_PATH="lab")
    wait_for(lambda: opened.exists() and opened.read_text(), "a browser is opened")
    first = said().split()[0]
    page = f"http://127.0.0.1:{port}/lab/live?run={first}"
    assert opened.read_text() == f"{page}\n"
    assert process.poll() is None, "it has become the server"
    assert f"Page: {page}" in said()


def test_where_a_dashboard_answers_it_only_names_the_page(terminal, tmp_path):
    with served(tmp_path, V3_MAX_WORKERS="1") as server:
        process, said = terminal(STREAMLIT_SERVER_PORT=str(server.port))
        assert wait_for(lambda: (said(), process.poll() == 0)[1], "it ends")
        assert f"Page: http://127.0.0.1:{server.port}/live?run={said().split()[0]}" in said()
        assert not (tmp_path / "opened").exists(), "there is no desktop"


def test_elsewhere_it_prints_the_ids_and_opens_nothing(tmp_path):
    variables = {
        "PYTHONPATH": str(ROOT),
        "V3_DATA_DIR": str(tmp_path / "data"),
        "DISPLAY": ":0",
        "BROWSER": "/bin/false %s",
    }
    command = [sys.executable, "-m", "v3core", "demo"]
    given = {"cwd": tmp_path, "env": os.environ | variables, "check": True, "timeout": 60, "text": True}
    try:
        first = subprocess.run(command, capture_output=True, **given)
        again = json.loads(subprocess.run([*command, "--json"], stdout=subprocess.PIPE, **given).stdout)
    finally:
        kill_all(tmp_path / "data")
    assert first.stdout.split() == [run["id"] for run in again["runs"]]
    assert f"http://127.0.0.1:8501{again['compare']} compares its runs" in first.stderr
    assert set(again) == {"experiment", "runs", "compare"}

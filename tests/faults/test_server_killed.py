"""SIGKILL of the dashboard's server while it has runs training."""

import json
import os
import signal
import subprocess
import sys

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.browser.support import ROOT, free_port, is_healthy
from tests.faults.board import newest_recorded
from tests.faults.checks import assert_sound, committed
from tests.pages.run_list import cells, table
from tests.processes import monitor_of
from tests.runs import assert_whole, tiny_config, wait_until
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.runs import get_run, list_runs

# In one process group, as pages do it in one process: the server, and what puts runs into the queue and starts them.
SERVER_THAT_STARTS_RUNS = """
import os, subprocess, sys
from v3core.config import RunConfig
from v3core.jobs.launcher import enqueue
from v3core.store.opening import open_database

server = subprocess.Popen([sys.executable, "-m", "v3core", "serve", "--port", sys.argv[1]])
enqueue(open_database(), [RunConfig.model_validate_json(config) for config in sys.argv[2:]])
server.wait()
"""


@pytest.fixture
def serve(tmp_path):
    """Start a process in a group of its own, with a port for a server; returns it once the server answers."""
    started = []

    def begin(command, port):
        with (tmp_path / "server.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        started.append(process)
        wait_for(lambda: process.poll() is not None or _answers(port), "the server answers")
        assert process.poll() is None, (tmp_path / "server.log").read_text()
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_runs_train_on_without_the_server_and_a_new_one_shows_them(db, spied, serve):
    configs = [tiny_config(episodes=10**6, seed=seed, name=f"run {seed}") for seed in (1, 2, 3)]
    texts = [config.model_dump_json(by_alias=True) for config in configs]
    port = free_port()
    server = serve([sys.executable, "-c", SERVER_THAT_STARTS_RUNS, str(port), *texts], port)
    wait_for(lambda: len(list_runs(db)) == 3, "the runs are queued")
    runs = [wait_until(db, run.id, episode=20) for run in list_runs(db)]
    monitors = [monitor_of(run.pid) for run in runs]

    before = {run.id: committed(db, run.id) for run in runs}
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    wait_for(lambda: not _answers(port), "the server is gone")
    for run in runs:
        wait_until(db, run.id, episode=len(before[run.id]) + 100)

    port = free_port()
    serve([sys.executable, "-m", "v3core", "serve", "--port", str(port)], port)
    # On a busy machine a heartbeat may be late, and the run stalled until it comes.
    wait_for(lambda: _reported() == {run.id: "running" for run in runs}, "the command line says that they run")
    wait_for(lambda: _shown() == ["Running"] * 3, "the page says that they run")
    for run, monitor in zip(runs, monitors, strict=True):
        assert get_run(db, run.id).pid == run.pid
        assert monitor_of(run.pid) == monitor
        control.stop(db, run.id)
    for run in runs:
        assert control.wait_stopped(db, run.id, PATIENCE_SECONDS) == Status.STOPPED
        assert committed(db, run.id)[: len(before[run.id])] == before[run.id]
        assert len(assert_whole(db, run.id)) == newest_recorded(spied, run.pid)
    assert_sound(db)


def _answers(port):
    return is_healthy(f"http://127.0.0.1:{port}")


def _reported():
    """What the command line says of each run."""
    command = [sys.executable, "-m", "v3core", "runs", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {run["id"]: run["status"] for run in json.loads(done.stdout)}


def _shown():
    """The statuses on the page of runs."""
    st.cache_resource.clear()
    st.cache_data.clear()
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    assert not app.exception
    st.cache_resource.clear()
    return [cells(app, row["id"])["status"]["badge"] for row in table(app)["rows"]]

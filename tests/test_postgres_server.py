"""The PostgreSQL server of the tests ends with their session, also with one that is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import postgres_server
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[1]
SESSION = """
import os, sys
from tests import postgres_server
os.environ.pop("PYTEST_XDIST_WORKER", None)
postgres_server.begin_session()
print(os.environ[postgres_server.FOLDER], flush=True)
print(postgres_server.server_url(), flush=True)
if sys.stdin.readline() == "end\\n":
    postgres_server.end_session()
"""


@pytest.mark.skipif(postgres_server.binaries() is None, reason="PostgreSQL is not installed")
@pytest.mark.parametrize("end", ["as it should", "killed"])
def test_the_server_ends_with_its_session(end):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    session = subprocess.Popen([sys.executable, "-c", SESSION], env=environment, text=True, **pipes)
    folder = Path(session.stdout.readline().strip())
    assert session.stdout.readline().startswith("postgresql+psycopg://")
    server = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    if end == "killed":
        session.send_signal(signal.SIGKILL)
    session.communicate("end\n" if end != "killed" else None, timeout=60)
    wait_for(lambda: not folder.exists() and not Path(f"/proc/{server}").exists(), "the server still runs")


def test_it_is_never_left_out_in_continuous_integration():
    script = (
        "from tests import postgres_server\n"
        "postgres_server.binaries = lambda: None\n"
        "from tests import databases\n"
        "print(databases.MISSING)\n"
    )
    for ci, left_out in (("", "True\n"), ("true", "False\n")):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "CI": ci, "V3_TEST_POSTGRES_URL": ""}
        command = [sys.executable, "-c", script]
        assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == left_out

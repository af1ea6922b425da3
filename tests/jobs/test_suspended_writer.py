"""A worker that is suspended in the middle of a write to PostgreSQL: its run can be stopped all the same."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.databases import POSTGRES
from tests.jobs.conftest import ROOT
from tests.processes import suspend
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store import dialect
from v3core.store.runs import get_run

pytestmark = pytest.mark.parametrize("db", [POSTGRES], indirect=True)
WRITES = """
import sys
from v3core.store import dialect
from v3core.store.opening import open_database
from v3core.store.runs import get_run
dialect.IDLE_SECONDS = 8
with open_database().write() as tx:
    get_run(tx, sys.argv[1], for_update=True)
    print("writes", flush=True)
    sys.stdin.read()
"""


def test_a_stop_waits_until_the_write_is_undone_and_is_accepted(db, run_in):
    run_id = run_in(Status.RUNNING)
    environment = {**os.environ, "V3_DATABASE_URL": db.url, "V3_DATA_DIR": str(db.data_dir), "PYTHONPATH": str(ROOT)}
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITES, run_id],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert writer.stdout.readline() == "writes\n"
        suspend(writer.pid)
        began = time.monotonic()
        assert control.stop(db, run_id) is Status.STOPPING
        assert time.monotonic() - began > 1  # else nothing was locked
        assert get_run(db, run_id).status == Status.STOPPING
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()


def test_such_a_write_is_undone_long_before_others_give_up(db):
    assert dialect.IDLE_SECONDS * 2 <= dialect.BUSY_TIMEOUT_SECONDS

"""SIGKILL of a worker with its monitor while a server runs and no page is open."""

import random
import time

import psutil
import pytest

from tests.faults.checks import assert_sound
from tests.faults.scale import SEED, STATUS_SECONDS, WHOLE
from tests.processes import processes_of
from tests.runs import tiny_config
from tests.served import served
from tests.waiting import wait_for
from v3core.jobs import control
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import ENDED, Status
from v3core.store.runs import get_run

TIMES = 20 if WHOLE else 2
RANDOM_SECONDS = 8.0
"""A kill comes within so long after the launch: while the worker starts, or trains."""


@pytest.mark.timeout(300 + 40 * TIMES)
def test_a_server_finds_the_death_of_worker_and_monitor_by_itself(db, folder, tmp_path, busy):
    chance, took = random.Random(SEED), []
    with served(tmp_path, V3_DATA_DIR=str(folder)):
        run_id = enqueue(db, [tiny_config(episodes=10**6)])[0]
        for number in range(TIMES):
            wait_for(lambda: get_run(db, run_id).pid is not None, "it has a process")
            moment = time.monotonic() + chance.random() * RANDOM_SECONDS * (number > 0)  # once as soon as it has one
            wait_for(lambda moment=moment: time.monotonic() >= moment)
            status = get_run(db, run_id).status
            killed_at = time.monotonic()
            _kill_all_of(folder, run_id)
            wait_for(lambda: get_run(db, run_id).status in ENDED, f"lost, not {status}", seconds=STATUS_SECONDS)
            took.append((round(time.monotonic() - killed_at, 1), status))
            assert get_run(db, run_id).status == Status.LOST
            control.resume(db, run_id)
    print(f"Seed {SEED}: seconds until `lost`, and what the run was: {took}")
    assert_sound(db)


def _kill_all_of(folder, run_id):
    """Its monitor and its worker, whatever of them there is."""
    for _ in range(2):  # one may start the other meanwhile
        for process in processes_of(folder):
            try:
                if run_id in process.cmdline():
                    process.kill()
            except psutil.NoSuchProcess:
                continue

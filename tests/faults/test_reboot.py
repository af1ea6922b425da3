"""A restart of the machine while runs train."""

import os
import signal
import sqlite3

from tests.faults.checks import assert_sound, database_file
from tests.processes import monitor_of
from tests.runs import assert_whole, wait_until
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.jobs import control
from v3core.jobs.identity import is_alive, process_of
from v3core.jobs.lifecycle import Status
from v3core.jobs.supervisor import reconcile
from v3core.store.runs import get_run

# What the rows look like after it: written under another boot, and not of the last two seconds.
REBOOTED = """
UPDATE runs SET boot_id = 'the boot before', heartbeat_at = datetime(heartbeat_at, '-1 minute'),
heartbeat_due_at = datetime(heartbeat_due_at, '-1 minute')
"""


def test_a_run_of_the_boot_before_is_lost_at_the_first_look_and_resumes(db, start):
    run_id = start(episodes=10**6)
    run = wait_until(db, run_id, episode=50)
    for pid in (monitor_of(run.pid).pid, run.pid):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(process_of(run)), "its death: it might write a heartbeat until then")
    with sqlite3.connect(database_file(db)) as connection:
        connection.execute(REBOOTED)
    connection.close()
    assert reconcile(db) == [run_id]
    lost = get_run(db, run_id)
    assert (lost.status, lost.reason) == (Status.LOST, "The machine was restarted during training.")

    control.resume(db, run_id)
    wait_until(db, run_id, episode=20)
    control.stop(db, run_id)
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
    assert_whole(db, run_id)
    assert_sound(db)

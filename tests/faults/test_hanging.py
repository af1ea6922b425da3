"""Environments that keep a worker from stopping: it is stopped all the same, and the run says by what."""

import pytest

from tests.faults.checks import assert_sound
from tests.processes import processes_of
from tests.runs import assert_whole, wait_until
from tests.waiting import wait_for
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.readers import read_events
from v3core.store.runs import get_run

TERMED = "It did not stop within 10 seconds; SIGTERM ended it."
KILLED = "It did not stop within 20 seconds, nor on SIGTERM, and was killed (SIGKILL)."
STEPS = {
    "faulty:Slow-v0": (TERMED, ["sigterm", "stopped"]),
    "faulty:HangsInPython-v0": (KILLED, ["sigterm", "sigkill", "stopped"]),
    "faulty:HangsInC-v0": (KILLED, ["sigterm", "sigkill", "stopped"]),
}
STATUS_SECONDS = 10


@pytest.mark.timeout(180)
def test_a_worker_that_does_not_stop_is_stopped_and_its_children_with_it(db, folder, start):
    runs = {env: start(env=env, episodes=10**6) for env in STEPS}
    for env, run_id in runs.items():
        wait_until(db, run_id)
        if env != "faulty:Slow-v0":  # the child tells that the step which hangs was reached
            wait_for(lambda run_id=run_id: _children(folder, get_run(db, run_id).pid), 30, f"{env} hangs")
    silent = runs["faulty:HangsInC-v0"]
    wait_for(lambda: get_run(db, silent).status == Status.STALLED, STATUS_SECONDS, "the silent one is stalled")

    for run_id in runs.values():
        assert control.stop(db, run_id) == Status.STOPPING
    for env, run_id in runs.items():
        reason, steps = STEPS[env]
        # Nobody helps: the monitors see to it.
        run = wait_until(db, run_id, status=Status.STOPPED)
        assert run.reason == reason, env
        asked = [event.kind for event in read_events(db, run_id)].index("stopping")
        assert [event.kind for event in read_events(db, run_id)][asked + 1 :] == steps, env
        assert_whole(db, run_id)
    wait_for(lambda: not processes_of(folder), 15, "no process is left")
    assert_sound(db)


def _children(folder, worker):
    return [process for process in processes_of(folder) if process.ppid() == worker]

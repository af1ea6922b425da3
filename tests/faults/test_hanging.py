"""Environments that keep a worker from stopping: it is stopped all the same, and the run says by what."""

import pytest

from tests.faults.board import UPDATE, Board, board_of
from tests.faults.checks import assert_sound
from tests.faults.scale import STATUS_SECONDS
from tests.processes import processes_of
from tests.runs import assert_whole, tiny_config, wait_until
from tests.waiting import wait_for
from v3core.config import PPOConfig
from v3core.jobs import control
from v3core.jobs.launcher import enqueue
from v3core.jobs.launchers.local import LocalLauncher
from v3core.jobs.lifecycle import Status
from v3core.store.commands import read_commands
from v3core.store.history import read_checkpoints, read_events
from v3core.store.runs import get_run

KILLED = "The run did not stop within 20 seconds, nor after SIGTERM, and was killed (SIGKILL)."
STEPS = {
    "faulty:Slow-v0": (None, ["stopped"]),  # it looks between two steps
    "faulty:HangsInPython-v0": (KILLED, ["sigterm", "sigkill", "stopped"]),
    "faulty:HangsInC-v0": (KILLED, ["sigterm", "sigkill", "stopped"]),
}


@pytest.mark.long
def test_a_worker_that_does_not_stop_is_stopped_and_its_children_with_it(db, folder, start):
    runs = {env: start(env=env, episodes=10**6) for env in STEPS}
    for env, run_id in runs.items():
        wait_until(db, run_id)
        if env != "faulty:Slow-v0":  # the child tells that the step which hangs was reached
            wait_for(lambda run_id=run_id: _children(folder, get_run(db, run_id).pid), f"{env} hangs")
    silent = runs["faulty:HangsInC-v0"]
    # Perhaps it hung before its first heartbeat: then the launcher's promise counts.
    patience = LocalLauncher.start_seconds + STATUS_SECONDS
    wait_for(lambda: get_run(db, silent).status == Status.STALLED, "the silent one is stalled", seconds=patience)

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
    wait_for(lambda: not processes_of(folder), "no process is left")
    assert_sound(db)


def test_a_stop_in_the_middle_of_a_long_update_needs_no_signal(db, spied, busy):
    """An update of 204,800 gradient steps, far longer than a stop waits, on a machine that others keep busy."""
    config = tiny_config(episodes=10**6)
    long = config.model_copy(update={"ppo": PPOConfig(environments=4, rollout_steps=1024, minibatch=2, epochs=100)})
    run_id = enqueue(db, [long])[0]
    run = wait_until(db, run_id)
    board = wait_for(lambda: board_of(spied, run.pid).exists() and Board(board_of(spied, run.pid)))
    wait_for(lambda: board.is_in(UPDATE), "an update began")
    assert control.stop(db, run_id) == Status.STOPPING
    stopped = wait_until(db, run_id, status=Status.STOPPED)
    assert (stopped.reason, stopped.episode) == (None, 0)
    (command,) = read_commands(db, run_id)
    assert (command.value, command.rejected_reason) == (None, None)
    assert [event.kind for event in read_events(db, run_id)][-2:] == ["stopping", "stopped"]
    assert read_checkpoints(db, run_id)[-1].episode == 0
    assert_sound(db)


def _children(folder, worker):
    return [process for process in processes_of(folder) if process.ppid() == worker]

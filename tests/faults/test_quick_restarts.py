"""Starts and stops in quick succession: each stop ends the start before it and none after, and no process is left."""

import random

import pytest

from tests.faults.checks import assert_sound
from tests.faults.scale import SEED, WHOLE
from tests.processes import processes_of
from tests.runs import assert_whole, wait_until
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.commands import read_commands
from v3core.store.runs import get_run

TIMES = 50 if WHOLE else 4


@pytest.mark.long
@pytest.mark.timeout(300 + 20 * TIMES)
def test_a_stop_ends_the_start_before_it_and_none_after(db, folder, start):
    print(f"V3_FAULTS_SEED={SEED}")
    chance = random.Random(SEED)
    run_id = start(episodes=10**6)
    for _ in range(TIMES):
        _let_be(db, run_id, chance)
        assert control.stop(db, run_id) == Status.STOPPING
        refused = _resume(db, run_id)  # unless it has ended already
        if refused:
            assert "only a run that has ended can be resumed" in refused
            assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
            assert not [command for command in read_commands(db, run_id) if command.applied_at is None]
            control.resume(db, run_id)
        assert get_run(db, run_id).status in {Status.STARTING, Status.RUNNING}

    wait_until(db, run_id, episode=get_run(db, run_id).episode + 300)  # no stop of before ends it
    control.stop(db, run_id)
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
    assert_whole(db, run_id)
    assert_sound(db)
    wait_for(lambda: not processes_of(folder), "no process is left")


def _resume(db, run_id):
    """Resume it; returns the sentence with which that is refused."""
    try:
        control.resume(db, run_id)
    except V3Error as refused:
        return str(refused)
    return None


def _let_be(db, run_id, chance):
    """Nothing; until it has a process; until it trains; or until it has trained a while."""
    episode = get_run(db, run_id).episode
    stage = chance.choice(["claimed", "adopted", "running", "training"])
    if stage == "adopted":
        wait_for(lambda: get_run(db, run_id).pid is not None)
    elif stage != "claimed":
        wait_until(db, run_id, episode=episode + chance.randrange(100) if stage == "training" else 0)

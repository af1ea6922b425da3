"""A disk that is full while a run trains: a small file system of its own takes the data folder."""

import pytest

from tests.disks import fill, small_disk
from tests.faults.checks import assert_sound, committed
from tests.faults.processes import processes_of
from tests.runs import assert_whole, wait_until
from tests.waiting import wait_for
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.runs import get_run


@pytest.fixture
def folder(folder):
    """The data folder, on a disk of its own."""
    with small_disk(folder, "size=8m") as disk:
        yield disk


def test_a_full_disk_fails_the_run_with_that_sentence_and_it_goes_on_once_there_is_room(db, folder, start):
    run_id = start(episodes=10**6)
    wait_until(db, run_id, episode=100)
    control.checkpoint(db, run_id)
    wait_until(db, run_id, episode=get_run(db, run_id).episode + 100)
    before = committed(db, run_id)
    fill(folder)
    run = wait_until(db, run_id, status=Status.FAILED)
    assert "full" in run.reason or "No space left" in run.reason
    assert "free some space" in run.reason
    assert "\n" not in run.reason
    assert committed(db, run_id)[: len(before)] == before
    assert_whole(db, run_id)
    assert_sound(db)
    wait_for(lambda: not processes_of(folder), 15, "no process is left")

    (folder / "ballast").unlink()
    control.resume(db, run_id)
    wait_until(db, run_id, episode=run.episode + 50)
    control.stop(db, run_id)
    assert control.wait_stopped(db, run_id, 30) == Status.STOPPED
    assert_whole(db, run_id)
    assert_sound(db)

"""A disk that is full while a run trains: a small file system of its own takes the data folder."""

import pytest

from tests.disks import fill, small_disk
from tests.faults.checks import assert_sound, committed
from tests.processes import processes_of
from tests.runs import assert_whole, wait_until
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.jobs import control
from v3core.jobs.lifecycle import RESUMABLE, Status
from v3core.jobs.supervisor import reconcile
from v3core.store.runs import get_run


@pytest.fixture
def folder(folder):
    """The data folder, on a disk of its own."""
    with small_disk(folder, "size=8m") as disk:
        yield disk


def test_a_full_disk_fails_runs_with_that_sentence_and_they_go_on_once_there_is_room(db, folder, start, monkeypatch):
    monkeypatch.setenv("V3_MAX_WORKERS", "2")
    runs = [start(episodes=10**6, seed=seed) for seed in (1, 2)]
    waiting = start(episodes=30, seed=3)
    for run_id in runs:
        wait_until(db, run_id, episode=100)
    before = {run_id: committed(db, run_id) for run_id in runs}
    fill(folder)
    ended = [wait_until(db, run_id, status=Status.FAILED) for run_id in runs]
    for run in ended:
        assert "full" in run.reason or "No space left" in run.reason
        assert "free some space" in run.reason
        assert "\n" not in run.reason
        assert committed(db, run.id)[: len(before[run.id])] == before[run.id]
        assert_whole(db, run.id)
    assert_sound(db)

    (folder / "ballast").unlink()
    reconcile(db)
    if get_run(db, waiting).status in RESUMABLE:  # its turn came while there was no room
        assert "free some space" in get_run(db, waiting).reason
        control.resume(db, waiting)
    wait_until(db, waiting, status=Status.COMPLETED)
    for run in ended:
        control.resume(db, run.id)
    for run in ended:
        wait_until(db, run.id, episode=run.episode + 50)
        control.stop(db, run.id)
    for run in ended:
        assert control.wait_stopped(db, run.id, PATIENCE_SECONDS) == Status.STOPPED
        assert_whole(db, run.id)
    assert_sound(db)
    wait_for(lambda: not processes_of(folder), "no process is left")

"""Stop, resume, edit, delete: what is allowed when, and what it leaves behind."""

import dataclasses
import signal
import sys

import pytest

from v3core.curriculum import with_boundaries
from v3core.errors import V3Error
from v3core.jobs import control, identity
from v3core.jobs.files import log_file, run_folder
from v3core.jobs.lifecycle import ACTIVE, ENDED, Status
from v3core.store.commands import read_open_commands
from v3core.store.history import CheckpointRow, add_checkpoint
from v3core.store.readers import read_events, read_revisions
from v3core.store.runs import get_run, list_runs, update_run

NOBODY = dataclasses.replace(identity.current(), started=1.0)


def sleeper(_run_id):
    return [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_queued_run_is_stopped_directly(db, run_in, status_of):
    run_id = run_in(Status.QUEUED)
    assert control.stop(db, run_id) == Status.STOPPED
    assert status_of(run_id) == Status.STOPPED
    assert get_run(db, run_id).reason == "Stopped while it waited in the queue."


@pytest.mark.parametrize("status", [Status.STARTING, Status.RUNNING])
def test_a_run_with_a_process_is_asked_to_stop_once(db, run_in, status_of, status):
    run_id = run_in(status, process=NOBODY)
    assert control.stop(db, run_id) == control.stop(db, run_id) == Status.STOPPING
    assert status_of(run_id) == Status.STOPPING
    assert [command.kind for command in read_open_commands(db, run_id)] == ["stop"]


def test_a_running_worker_is_signalled_and_a_starting_one_is_not(db, run_in, spawn):
    """A process that is starting may not handle the signal yet, and would die of it."""
    script = "import time; print('up', flush=True); time.sleep(60)"
    starting, running = spawn(script), spawn(script)
    for process, status in ((starting, Status.STARTING), (running, Status.RUNNING)):
        assert process.stdout.readline() == "up\n"
        control.stop(db, run_in(status, process=identity.of_pid(process.pid)))
    assert running.wait(10) == -signal.SIGTERM
    assert starting.poll() is None


@pytest.mark.parametrize("status", sorted(ENDED))
def test_an_ended_run_cannot_be_stopped(db, run_in, status):
    run_id = run_in(status)
    before = get_run(db, run_id)
    with pytest.raises(V3Error, match=f"^Run {run_id[:8]} 'tiny' is {status} already; there is nothing to stop.$"):
        control.stop(db, run_id)
    assert get_run(db, run_id) == before


@pytest.mark.parametrize("act", [control.stop, control.resume, control.delete, control.current_curriculum])
def test_an_unknown_run_is_named(db, act):
    with pytest.raises(V3Error, match="There is no run '12'; list them with"):
        act(db, "12")


@pytest.mark.parametrize("status", [Status.QUEUED, *sorted(ACTIVE), Status.COMPLETED])
def test_only_an_incomplete_run_that_ended_can_be_resumed(db, run_in, status):
    run_id = run_in(status)
    before = get_run(db, run_id)
    with pytest.raises(V3Error, match=r"there is no more to train|only a run that has ended can be resumed"):
        control.resume(db, run_id, command=sleeper)
    assert get_run(db, run_id) == before


@pytest.mark.parametrize("status", [Status.STOPPED, Status.FAILED, Status.LOST])
def test_a_resumed_run_starts_again_from_its_checkpoint(db, run_in, status):
    run_id = run_in(status)
    (db.data_dir / "c.pt").write_bytes(b"x")
    with db.write() as tx:
        update_run(tx, run_id, {"episode": 25, "step": 250, "reason": "Why."}, only_in=[status])
        add_checkpoint(tx, run_id, CheckpointRow(20, 200, "c.pt", get_run(db, run_id).created_at))
    control.resume(db, run_id, command=sleeper)
    run = get_run(db, run_id)
    assert (run.status, run.generation, run.episode, run.step) == (Status.STARTING, 1, 20, 200)
    assert (run.reason, run.ended_at) == (None, None)
    messages = [event.message for event in read_events(db, run_id) if event.kind == "queued"]
    assert messages[1] == "Resumes from the checkpoint at episode 20."


def test_a_run_without_checkpoint_says_that_it_begins_again(db, run_in):
    run_id = run_in(Status.FAILED)
    control.resume(db, run_id, command=sleeper)
    messages = [event.message for event in read_events(db, run_id) if event.kind == "queued"]
    assert messages[1] == "Resumes from the beginning: it has no checkpoint."


@pytest.mark.parametrize("status", [Status.QUEUED, Status.STOPPED, Status.FAILED, Status.LOST])
def test_an_edit_of_a_run_without_process_holds_at_once(db, run_in, status):
    run_id = run_in(status)
    with db.write() as tx:
        update_run(tx, run_id, {"episode": 10}, only_in=[status])
    edited = with_boundaries(control.current_curriculum(db, run_id), [45])
    control.request_edit(db, run_id, edited, actor="page")
    assert control.current_curriculum(db, run_id) == edited
    newest = read_revisions(db, run_id)[-1]
    assert (newest.revision, newest.state, newest.applied_episode, newest.actor) == (2, "applied", 10, "page")


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_an_edit_of_a_run_with_a_process_waits_for_it(db, run_in, status):
    run_id = run_in(status)
    before = control.current_curriculum(db, run_id)
    control.request_edit(db, run_id, with_boundaries(before, [45]))
    assert control.current_curriculum(db, run_id) == before
    assert read_revisions(db, run_id)[-1].state == "pending"
    assert [command.kind for command in read_open_commands(db, run_id)] == ["edit_curriculum"]


@pytest.mark.parametrize(
    ("status", "episode", "boundary", "sentence"),
    [
        (Status.COMPLETED, 0, 45, "is complete; its curriculum can no longer be changed"),
        (Status.RUNNING, 10, 10, "would end at episode 10, but the run is already at 10; choose 11 or later"),
        (Status.STOPPED, 30, 45, "ended at episode 30 and the run is at 30; only what lies ahead can be changed"),
        (Status.QUEUED, 0, 60, "ends at episode 60, but the run has only 60 episodes"),
    ],
)
def test_an_edit_that_cannot_be_is_refused_and_leaves_nothing(db, run_in, status, episode, boundary, sentence):
    run_id = run_in(status)
    with db.write() as tx:
        update_run(tx, run_id, {"episode": episode}, only_in=[status])
    with pytest.raises(V3Error, match=sentence):
        control.request_edit(db, run_id, with_boundaries(control.current_curriculum(db, run_id), [boundary]))
    assert len(read_revisions(db, run_id)) == 1
    assert read_open_commands(db, run_id) == []


@pytest.mark.parametrize("status", [Status.QUEUED, *sorted(ENDED)])
def test_deleting_removes_rows_and_files(db, run_in, status):
    run_id, other = run_in(status), run_in(status)
    for each in (run_id, other):
        log_file(each).parent.mkdir(parents=True)
        log_file(each).write_text("x")
    control.delete(db, run_id)
    assert [run.id for run in list_runs(db)] == [other]
    assert not run_folder(run_id).exists()
    assert log_file(other).exists()


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_a_run_with_a_process_cannot_be_deleted(db, run_in, status):
    run_id = run_in(status)
    log_file(run_id).parent.mkdir(parents=True)
    with pytest.raises(V3Error, match=f"is {status}; stop it before you delete it"):
        control.delete(db, run_id)
    assert get_run(db, run_id).status == status
    assert run_folder(run_id).exists()


def test_a_queued_run_without_any_file_can_be_deleted(db, run_in):
    control.delete(db, run_in(Status.QUEUED))
    assert list_runs(db) == []

"""Stop, resume, edit, delete: what is allowed when, and what it leaves behind."""

import dataclasses
import sys
import uuid
import zipfile

import pytest

from tests.processes import another_host
from v3core.curriculum import with_boundaries
from v3core.errors import V3Error
from v3core.jobs import control, identity, launcher, slots
from v3core.jobs.checkpoints import newest_whole
from v3core.jobs.files import log_file, run_folder
from v3core.jobs.launcher import drain
from v3core.jobs.lifecycle import ACTIVE, ENDED, Status
from v3core.store.commands import read_commands, read_revisions
from v3core.store.history import CheckpointRow, add_checkpoint, read_events
from v3core.store.runs import get_run, list_runs, update_run
from v3core.store.schema import STORED

ELSEWHERE = another_host()
NOBODY = dataclasses.replace(identity.current(), pid_started=1.0)


def sleeper(_run_id):
    return [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_queued_run_is_stopped_directly(db, run_in, status_of):
    run_id = run_in(Status.QUEUED)
    assert control.stop(db, run_id) == Status.STOPPED
    assert status_of(run_id) == Status.STOPPED
    assert get_run(db, run_id).reason == "Stopped while waiting in the queue."


@pytest.mark.parametrize("status", [Status.STARTING, Status.RUNNING])
def test_a_run_with_a_process_is_asked_to_stop_once(db, run_in, status_of, status):
    run_id = run_in(status, process=NOBODY)
    assert control.stop(db, run_id) == control.stop(db, run_id) == Status.STOPPING
    assert status_of(run_id) == Status.STOPPING
    assert [command.kind for command in read_commands(db, run_id, only_open=True)] == ["stop"]


@pytest.mark.parametrize("status", sorted(ENDED & STORED))
def test_an_ended_run_cannot_be_stopped(db, run_in, status):
    run_id = run_in(status)
    before = get_run(db, run_id)
    with pytest.raises(V3Error, match=f"^Run {run_id[:8]} 'tiny' is already {status}; there is nothing to stop.$"):
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
    with pytest.raises(V3Error, match=r"train it longer on Live, or with: |only a run that has ended can be resumed"):
        control.resume(db, run_id, command=sleeper)
    assert get_run(db, run_id) == before


def whole(file):
    """Write what a checkpoint looks like from outside."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data", b"x" * 100)


@pytest.fixture
def with_checkpoints(db, run_in):
    """A run that ended at episode 25 with checkpoints at 10 and 20: `with_checkpoints(status)`; ids and files."""

    def make(status, **values):
        run_id = run_in(status, **values)
        files = [db.data_dir / f"{run_id}-{episode}.pt" for episode in (10, 20)]
        with db.write() as tx:
            update_run(tx, run_id, {"episode": 25, "step": 250, "reason": "Why."}, only_in=[status])
            for episode, file in zip((10, 20), files, strict=True):
                whole(file)
                row = CheckpointRow(episode, episode * 10, file.name, get_run(db, run_id).created_at)
                add_checkpoint(tx, run_id, row)
        return run_id, *files

    return make


def queued_messages(db, run_id):
    return [event.message for event in read_events(db, run_id) if event.kind == "queued"]


@pytest.mark.parametrize("status", [Status.STOPPED, Status.FAILED, Status.LOST])
def test_a_resumed_run_waits_for_its_worker_to_read_its_checkpoint(db, with_checkpoints, status):
    run_id, *_ = with_checkpoints(status)
    control.resume(db, run_id, command=sleeper)
    run = get_run(db, run_id)
    assert (run.status, run.generation, run.episode, run.step) == (Status.STARTING, 1, 25, 250)  # nothing deleted yet
    assert (run.reason, run.ended_at, run.traceback) == (None, None, None)
    assert queued_messages(db, run_id)[1] == "Resuming from the checkpoint at episode 20."


def test_a_damaged_newest_checkpoint_is_reported_and_the_one_before_taken(db, with_checkpoints):
    run_id, _, newest = with_checkpoints(Status.LOST)
    newest.write_bytes(newest.read_bytes()[:60])
    assert newest_whole(db, run_id).episode == 10
    control.resume(db, run_id, command=sleeper)
    assert queued_messages(db, run_id)[1] == (
        "Resuming from the checkpoint at episode 10; the newest, at episode 20, is gone or damaged."
    )


def test_a_run_whose_checkpoints_are_gone_is_not_resumed_and_keeps_its_episodes(db, with_checkpoints):
    run_id, *files = with_checkpoints(Status.LOST)
    for file in files:
        file.unlink()
    before = get_run(db, run_id)
    with pytest.raises(V3Error, match=r"cannot be resumed: its checkpoints are gone or damaged .*; restore one"):
        control.resume(db, run_id, command=sleeper)
    assert get_run(db, run_id) == before
    assert len(queued_messages(db, run_id)) == 1


def test_a_run_that_never_trained_begins(db, run_in):
    run_id = run_in(Status.FAILED)
    control.resume(db, run_id, command=sleeper)
    assert queued_messages(db, run_id)[1] == "Resuming from the beginning."


def test_a_run_of_another_host_is_resumed_only_if_that_is_asked_for(db, with_checkpoints):
    run_id, *_ = with_checkpoints(Status.STOPPED, process=ELSEWHERE)
    before = get_run(db, run_id)
    with pytest.raises(V3Error, match=r"was trained on host 'another'; .* resume .* --take-over"):
        control.resume(db, run_id, command=sleeper)
    assert get_run(db, run_id) == before
    control.resume(db, run_id, take_over=True, command=sleeper)
    assert get_run(db, run_id).host == identity.this_host()


@pytest.mark.parametrize(
    "act", [control.stop, control.pause, control.unpause, control.checkpoint, control.request_edit]
)
def test_a_run_that_trains_on_another_host_takes_no_command_here(db, run_in, act):
    run_id = run_in(Status.RUNNING, process=ELSEWHERE)
    before = get_run(db, run_id)
    edit = [with_boundaries(control.current_curriculum(db, run_id), [45])] if act is control.request_edit else []
    with pytest.raises(V3Error, match=r"trains on host 'another'; run the command there|it is not paused"):
        act(db, run_id, *edit)
    assert get_run(db, run_id) == before
    assert read_commands(db, run_id) == []


def test_a_resume_may_bring_other_boundaries(db, with_checkpoints):
    run_id, *_ = with_checkpoints(Status.STOPPED)
    edited = with_boundaries(control.current_curriculum(db, run_id), [45])
    control.resume(db, run_id, "page", curriculum=edited, command=sleeper)
    assert control.current_curriculum(db, run_id) == edited
    newest = read_revisions(db, run_id)[-1]
    assert (newest.revision, newest.state, newest.applied_episode, newest.actor) == (2, "applied", 20, "page")


def test_a_resume_with_boundaries_that_will_not_do_changes_nothing(db, with_checkpoints):
    run_id, *_ = with_checkpoints(Status.STOPPED)
    before = get_run(db, run_id)
    past = with_boundaries(control.current_curriculum(db, run_id), [15])
    with pytest.raises(V3Error, match="would end at episode 15, but the run is already at 20"):
        control.resume(db, run_id, curriculum=past, command=sleeper)
    assert get_run(db, run_id) == before
    assert len(read_revisions(db, run_id)) == 1


@pytest.mark.parametrize("status", sorted(ENDED & STORED))
@pytest.mark.parametrize("act", [control.pause, control.unpause, control.checkpoint, "priority"])
def test_ended_runs_take_no_command(db, run_in, status, act):
    run_id = run_in(status)
    before = get_run(db, run_id)
    with pytest.raises(V3Error, match=f"^Run {run_id[:8]} 'tiny' is already {status}; "):
        control.set_priority(db, run_id, 3) if act == "priority" else act(db, run_id)
    assert get_run(db, run_id) == before
    assert read_commands(db, run_id) == []


@pytest.mark.parametrize("status", [Status.QUEUED, Status.STARTING, Status.STOPPING])
@pytest.mark.parametrize("act", [control.pause, control.unpause, control.checkpoint])
def test_only_a_run_that_trains_holds_or_saves(db, run_in, status, act):
    run_id = run_in(status)
    with pytest.raises(V3Error, match=f"^Run {run_id[:8]} 'tiny' is {status}; "):
        act(db, run_id)
    assert read_commands(db, run_id) == []


def test_a_running_run_cannot_go_on(db, run_in):
    with pytest.raises(V3Error, match="is running; it is not paused"):
        control.unpause(db, run_in(Status.RUNNING))


def test_a_command_asked_twice_is_one(db, run_in):
    run_id = run_in(Status.RUNNING)
    for act in (control.pause, control.checkpoint, control.pause, control.checkpoint):
        act(db, run_id)
    assert [row.kind for row in read_commands(db, run_id, only_open=True)] == ["pause", "checkpoint"]
    edited = with_boundaries(control.current_curriculum(db, run_id), [45])
    for _ in range(2):
        control.request_edit(db, run_id, edited)
    assert [row.state for row in read_revisions(db, run_id)] == ["applied", "pending"]


def test_the_highest_priority_starts_first_then_the_oldest(db, run_in, monkeypatch):
    slots.set_slots(db, 2)
    oldest, urgent, newest = (run_in(Status.QUEUED) for _ in range(3))
    control.set_priority(db, urgent, 5)
    control.set_priority(db, urgent, 5)
    control.set_priority(db, newest, -1)
    assert drain(db, sleeper) == [urgent, oldest]
    (row,) = read_commands(db, urgent)
    assert (row.kind, row.value, row.is_open, row.applied_episode) == ("priority", "5", False, 0)
    with pytest.raises(V3Error, match="Priority 1001 is out of range; choose from −1000 to 1000"):
        control.set_priority(db, newest, 1001)


def test_an_experiment_is_stopped_at_one_stroke(db, config, monkeypatch):
    slots.set_slots(db, 1)
    monkeypatch.setattr(launcher, "worker_command", sleeper)
    monkeypatch.setattr(launcher, "drain", lambda db: drain(db, sleeper))
    ids = launcher.enqueue(db, [config()] * 3, "one")
    (other,) = launcher.enqueue(db, [config()], "two")
    assert control.stop_experiment(db, "one") == 3
    assert [get_run(db, run).status for run in ids] == [Status.STOPPING, Status.STOPPED, Status.STOPPED]
    assert get_run(db, other).status == Status.QUEUED
    with pytest.raises(V3Error, match="There is no experiment 'three'"):
        control.stop_experiment(db, "three")
    assert control.stop_experiment(db, "two") == 1
    with pytest.raises(V3Error, match="No run of experiment 'two' is queued or active here"):
        control.stop_experiment(db, "two")


def test_a_double_click_on_start_starts_once(db, config, monkeypatch):
    monkeypatch.setattr(launcher, "drain", lambda _db: [])
    token = str(uuid.uuid4())
    ids = launcher.enqueue(db, [config(), config(seed=2)], token=token)
    assert launcher.enqueue(db, [config(), config(seed=2)], token=token) == ids
    assert len(list_runs(db)) == 2
    assert launcher.enqueue(db, [config()], token=str(uuid.uuid4())) != ids[:1]


@pytest.mark.parametrize("status", [Status.RUNNING, *sorted(ENDED & STORED)])
def test_any_run_can_be_noted_on(db, run_in, status):
    run_id = run_in(status)
    control.annotate(db, run_id, tags="good, seed-1  good", notes=" Why not? ")
    run = get_run(db, run_id)
    assert (run.tags, run.notes, run.status) == ("good seed-1", "Why not?", status)
    assert read_events(db, run_id)[-1].message == "New tags and notes."
    control.annotate(db, run_id, tags="")
    assert (get_run(db, run_id).tags, get_run(db, run_id).notes) == (None, "Why not?")
    with pytest.raises(V3Error, match="notes are longer than 10,000 characters"):
        control.annotate(db, run_id, notes="x" * 10_001)


def test_an_edit_of_a_waiting_run_holds_at_once(db, run_in):
    run_id = run_in(Status.QUEUED)
    with db.write() as tx:
        update_run(tx, run_id, {"episode": 10}, only_in=[Status.QUEUED])
    edited = with_boundaries(control.current_curriculum(db, run_id), [45])
    control.request_edit(db, run_id, edited, actor="page")
    assert control.current_curriculum(db, run_id) == edited
    newest = read_revisions(db, run_id)[-1]
    assert (newest.revision, newest.state, newest.applied_episode, newest.actor) == (2, "applied", 10, "page")
    assert not read_commands(db, run_id)[-1].is_open


@pytest.mark.parametrize("status", sorted(ACTIVE - {Status.STOPPING}))
def test_an_edit_of_a_run_with_a_process_waits_for_it(db, run_in, status):
    run_id = run_in(status)
    before = control.current_curriculum(db, run_id)
    control.request_edit(db, run_id, with_boundaries(before, [45]))
    assert control.current_curriculum(db, run_id) == before
    assert read_revisions(db, run_id)[-1].state == "pending"
    assert [command.kind for command in read_commands(db, run_id, only_open=True)] == ["edit_curriculum"]


@pytest.mark.parametrize(
    ("status", "episode", "boundary", "sentence"),
    [
        (Status.COMPLETED, 0, 45, "is already completed; its curriculum cannot be changed"),
        (Status.RUNNING, 10, 10, "would end at episode 10, but the run is already at 10; choose 11 or later"),
        (Status.RUNNING, 30, 45, "ended at episode 30 and the run is at 30; only future phases can be changed"),
        (Status.STOPPED, 10, 45, "is already stopped; resume it with other boundaries"),
        (Status.STOPPING, 10, 45, "is stopping; its curriculum cannot be changed"),
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
    assert read_commands(db, run_id, only_open=True) == []


@pytest.mark.parametrize("status", [Status.QUEUED, *sorted(ENDED & STORED)])
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

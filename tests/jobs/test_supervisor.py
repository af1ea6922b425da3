"""A run without a process is found out, a process that lives is never called dead."""

import dataclasses
import os
import signal
import sys
from datetime import timedelta

import pytest
from sqlalchemy import event

from tests.processes import another_host
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.jobs import control, identity, slots, supervisor
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.jobs.supervisor import reconcile
from v3core.store.commands import STOP, add_command, read_commands
from v3core.store.history import read_events
from v3core.store.runs import get_run, list_runs, update_run

LONG = timedelta(days=1)
AFTER_MONITOR = timedelta(seconds=4.1)


@pytest.fixture
def dead():
    """The identity of a process that is no more."""
    return dataclasses.replace(identity.current(), pid_started=1.0)


@pytest.mark.parametrize(
    ("status", "ended", "reason"),
    [
        (Status.STARTING, Status.LOST, "The worker process ended before training started; see the log."),
        (Status.RUNNING, Status.LOST, "The worker process exited unexpectedly: it was killed, or ran out of memory."),
        (Status.STOPPING, Status.STOPPED, "The worker process ended before it could write a final checkpoint."),
    ],
)
def test_a_run_whose_process_died_is_ended_at_once(db, run_in, dead, status, ended, reason):
    run_id = run_in(status, process=dead)
    heard = get_run(db, run_id).heartbeat_at
    assert reconcile(db, heard + timedelta(seconds=1)) == []  # its monitor may know more
    assert reconcile(db, heard + AFTER_MONITOR) == [run_id]
    run = get_run(db, run_id)
    assert (run.status, run.reason) == (ended, reason)
    assert run.ended_at is not None
    assert read_events(db, run_id)[-1].actor == "supervisor"
    assert reconcile(db) == []


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_a_process_that_lives_is_never_called_dead_however_late_its_heartbeat(db, run_in, status):
    run_id = run_in(status)
    promised = get_run(db, run_id).heartbeat_due_at
    assert reconcile(db, promised) == []
    reconcile(db, promised + LONG)
    silent = status in {Status.RUNNING, Status.PAUSED}
    assert get_run(db, run_id).status == (Status.STALLED if silent else status)
    if silent:
        event = read_events(db, run_id)[-1]
        assert event.message == "No heartbeat for 86410 seconds; the process is alive and is left alone."


def test_a_heartbeat_that_comes_meanwhile_is_believed(db, run_in, monkeypatch):
    """The row is read, then the heartbeat comes, then the change is tried."""
    run_id = run_in(Status.RUNNING)
    now = get_run(db, run_id).heartbeat_due_at + LONG
    alive = identity.is_alive

    def heard_meanwhile(process):
        with db.write() as tx:
            update_run(tx, run_id, {"heartbeat_due_at": now + LONG}, only_in=[Status.RUNNING])
        return alive(process)

    monkeypatch.setattr(identity, "is_alive", heard_meanwhile)
    assert reconcile(db, now) == []
    assert get_run(db, run_id).status == Status.RUNNING


def test_after_a_restart_of_the_machine_a_run_is_lost(db, run_in):
    run_id = run_in(Status.RUNNING, process=dataclasses.replace(identity.current(), boot_id="before"))
    reconcile(db, get_run(db, run_id).heartbeat_at + AFTER_MONITOR)
    assert get_run(db, run_id).reason == "The machine was restarted during training."


def test_a_run_of_another_machine_is_lost_when_it_is_silent_for_long(db, run_in):
    run_id = run_in(Status.RUNNING, process=another_host())
    due = get_run(db, run_id).heartbeat_due_at
    assert reconcile(db, due + timedelta(seconds=59)) == []
    assert reconcile(db, due + timedelta(seconds=61)) == [run_id]
    assert get_run(db, run_id).reason == "The heartbeat of the worker on another has been overdue for too long."


def test_a_run_whose_launcher_died_before_it_started_a_process_waits_again(db, run_in, monkeypatch):
    slots.set_slots(db, 1)
    run_in(Status.RUNNING)  # keeps the slot
    run_id = run_in(Status.STARTING, process=dataclasses.replace(identity.current(), pid=None, pid_started=None))
    due = get_run(db, run_id).heartbeat_due_at
    assert reconcile(db, due - timedelta(seconds=1)) == []
    assert run_id in reconcile(db, due + timedelta(seconds=1))
    run = get_run(db, run_id)
    assert (run.status, run.host, run.heartbeat_at) == (Status.QUEUED, None, None)
    assert read_events(db, run_id)[-1].message.startswith("The launcher died before it started the worker process")


def test_a_stop_between_claim_and_start_waits_for_the_launcher(db, run_in):
    """However long it takes on a busy machine to start a process; unless the launcher died."""
    run_id = run_in(Status.STOPPING, process=dataclasses.replace(identity.current(), pid=None, pid_started=None))
    due = get_run(db, run_id).heartbeat_due_at
    assert reconcile(db, due - timedelta(seconds=1)) == []
    assert reconcile(db, due + timedelta(seconds=1)) == [run_id]
    assert get_run(db, run_id).status == Status.STOPPED


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True)
time.sleep(60)
"""


def test_a_worker_that_will_not_stop_is_killed_with_all_it_started(db, run_in, spawn, monkeypatch):
    process = spawn(STUBBORN)
    child = identity.of_pid(int(process.stdout.readline()))
    stubborn = identity.of_pid(process.pid)
    monkeypatch.setattr(supervisor, "KILL_SECONDS", PATIENCE_SECONDS)
    run_id = run_in(Status.RUNNING, process=stubborn)
    control.stop(db, run_id)
    asked = read_commands(db, run_id)[0].requested_at

    def step(seconds):
        changed = reconcile(db, asked + timedelta(seconds=seconds))
        return changed, read_commands(db, run_id)[0].value, identity.is_alive(stubborn)

    assert step(9) == ([], None, True)
    assert step(11) == ([], "SIGTERM", True)
    assert step(19) == ([], "SIGTERM", True)
    assert step(21) == ([run_id], "SIGKILL", False)
    run = get_run(db, run_id)
    assert (run.status, run.reason) == (
        Status.STOPPED,
        "The run did not stop within 20 seconds, nor after SIGTERM, and was killed (SIGKILL).",
    )
    assert [event.kind for event in read_events(db, run_id)][-3:] == ["sigterm", "sigkill", "stopped"]
    assert not read_commands(db, run_id)[0].is_open
    wait_for(lambda: not identity.is_alive(child))


def test_a_worker_that_ends_on_sigterm_says_so(db, run_in, spawn):
    process = spawn("import time; print('up', flush=True); time.sleep(60)")
    assert process.stdout.readline() == "up\n"
    run_id = run_in(Status.RUNNING, process=identity.of_pid(process.pid))
    control.stop(db, run_id)
    asked = read_commands(db, run_id)[0].requested_at
    assert reconcile(db, asked + timedelta(seconds=11)) == []
    assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    assert reconcile(db, asked + timedelta(seconds=13)) == [run_id]
    run = get_run(db, run_id)
    assert (run.status, run.reason) == (
        Status.STOPPED,
        "The run did not stop within 10 seconds and was terminated (SIGTERM).",
    )


def test_another_process_with_the_pid_of_a_worker_is_not_killed(db, run_in, dead):
    """The pid is this test's own."""
    assert dead.pid == os.getpid()
    run_id = run_in(Status.STOPPING, process=dead)
    with db.write() as tx:
        add_command(tx, run_id, STOP, actor="me", now=get_run(db, run_id).created_at)
    assert reconcile(db, get_run(db, run_id).created_at + LONG) == [run_id]


def test_with_nothing_to_do_there_is_one_query_and_no_write(db, run_in):
    for status in (Status.STOPPED, Status.COMPLETED, Status.FAILED, Status.LOST):
        run_in(status)
    statements = []
    for engine in (db._reader, db.writing_engine):
        event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    reconcile(db)
    assert [statement for statement in statements if not statement.startswith(("BEGIN", "SET"))] == [
        statement for statement in statements if statement.startswith("SELECT")
    ]
    assert sum(statement.startswith("SELECT") for statement in statements) == 1
    assert "BEGIN IMMEDIATE" not in statements


def test_the_place_of_a_lost_run_goes_to_the_next(db, run_in, dead, monkeypatch):
    slots.set_slots(db, 1)
    lost = run_in(Status.RUNNING, process=dead)
    waiting = run_in(Status.QUEUED)
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    now = get_run(db, lost).heartbeat_at + AFTER_MONITOR
    assert reconcile(db, now, command=lambda _id: sleeper) == [lost, waiting]
    assert {run.id: run.status for run in list_runs(db)} == {lost: Status.LOST, waiting: Status.STARTING}

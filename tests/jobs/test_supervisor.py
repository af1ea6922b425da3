"""A run without a process is found out, a process that lives is never called dead."""

import dataclasses
import os
import sys
from datetime import timedelta

import pytest
from sqlalchemy import event

from tests.waiting import wait_for
from v3core.jobs import control, identity
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.jobs.supervisor import reconcile
from v3core.store.commands import STOP, add_command
from v3core.store.readers import read_events
from v3core.store.runs import get_run, list_runs

LONG = timedelta(days=1)


@pytest.fixture
def dead():
    """The identity of a process that is no more."""
    return dataclasses.replace(identity.current(), started=1.0)


@pytest.mark.parametrize(
    ("status", "ended", "reason"),
    [
        (Status.STARTING, Status.LOST, "Its worker process ended before it began to train; its log may say why."),
        (Status.RUNNING, Status.LOST, "Its worker process died without a word: it was killed, or ran out of memory."),
        (Status.STOPPING, Status.STOPPED, "Its worker process ended before it could write a last checkpoint."),
    ],
)
def test_a_run_whose_process_died_is_ended_at_once(db, run_in, dead, status, ended, reason):
    run_id = run_in(status, process=dead)
    assert reconcile(db) == [run_id]
    run = get_run(db, run_id)
    assert (run.status, run.reason) == (ended, reason)
    assert run.ended_at is not None
    assert read_events(db, run_id)[-1].actor == "supervisor"
    assert reconcile(db) == []


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_a_process_that_lives_is_never_called_dead_however_late_its_heartbeat(db, run_in, status):
    run_id = run_in(status)
    now = get_run(db, run_id).heartbeat_due_at + LONG
    assert reconcile(db, now) == []
    assert get_run(db, run_id).status == status


def test_after_a_restart_of_the_machine_a_run_is_lost(db, run_in):
    run_id = run_in(Status.RUNNING, process=dataclasses.replace(identity.current(), boot_id="before"))
    reconcile(db)
    assert get_run(db, run_id).reason == "The machine was restarted while it trained."


def test_a_run_of_another_machine_is_lost_when_it_is_silent_for_long(db, run_in):
    run_id = run_in(Status.RUNNING, process=dataclasses.replace(identity.current(), host="another"))
    due = get_run(db, run_id).heartbeat_due_at
    assert reconcile(db, due + timedelta(seconds=59)) == []
    assert reconcile(db, due + timedelta(seconds=61)) == [run_id]
    assert get_run(db, run_id).reason == "Nothing was heard from its worker on another for too long."


def test_a_launcher_that_died_between_claim_and_start_leaves_a_lost_run(db, run_in):
    run_id = run_in(Status.STARTING, process=dataclasses.replace(identity.current(), pid=None, started=None))
    due = get_run(db, run_id).heartbeat_due_at
    assert reconcile(db, due - timedelta(seconds=1)) == []
    assert reconcile(db, due + timedelta(seconds=1)) == [run_id]
    assert get_run(db, run_id).reason == "Its launcher died before it started the worker process."


def test_a_worker_that_will_not_stop_is_killed_with_all_it_started(db, run_in, spawn):
    script = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    process = spawn(script)
    child = identity.of_pid(int(process.stdout.readline()))
    stubborn = identity.of_pid(process.pid)
    run_id = run_in(Status.RUNNING, process=stubborn)
    control.stop(db, run_id)
    asked = get_run(db, run_id).heartbeat_at
    assert reconcile(db, asked + timedelta(seconds=14)) == []
    assert identity.is_alive(stubborn)
    assert reconcile(db, asked + timedelta(seconds=17)) == [run_id]
    run = get_run(db, run_id)
    assert (run.status, run.reason) == (
        Status.STOPPED,
        "The worker did not stop within 15 seconds and was killed.",
    )
    assert not identity.is_alive(stubborn)
    wait_for(lambda: not identity.is_alive(child), 5)


def test_another_process_with_the_pid_of_a_worker_is_not_killed(db, run_in, dead):
    """The pid is this test's own."""
    assert dead.pid == os.getpid()
    run_id = run_in(Status.STOPPING, process=dead)
    with db.write() as tx:
        add_command(tx, run_id, STOP, now=get_run(db, run_id).created_at)
    assert reconcile(db, get_run(db, run_id).created_at + LONG) == [run_id]


def test_with_nothing_to_do_there_is_one_query_and_no_write(db, run_in):
    for status in (Status.STOPPED, Status.COMPLETED, Status.FAILED, Status.LOST):
        run_in(status)
    statements = []
    for engine in (db._reader, db._writer):
        event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    reconcile(db)
    assert [statement for statement in statements if not statement.startswith(("BEGIN", "SET"))] == [
        statement for statement in statements if statement.startswith("SELECT")
    ]
    assert sum(statement.startswith("SELECT") for statement in statements) == 1
    assert "BEGIN IMMEDIATE" not in statements


def test_the_place_of_a_lost_run_goes_to_the_next(db, run_in, dead, monkeypatch):
    monkeypatch.setenv("V3_MAX_WORKERS", "1")
    lost = run_in(Status.RUNNING, process=dead)
    waiting = run_in(Status.QUEUED)
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert reconcile(db, command=lambda _id: sleeper) == [lost, waiting]
    assert {run.id: run.status for run in list_runs(db)} == {lost: Status.LOST, waiting: Status.STARTING}

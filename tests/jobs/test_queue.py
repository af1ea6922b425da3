"""The queue: each run is started once, in order, and never more at a time than there are slots."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from tests.jobs.conftest import ROOT
from tests.processes import another_host
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.errors import V3Error
from v3core.jobs import launcher, slots
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.jobs.logs import read_log_tail
from v3core.store.history import read_events
from v3core.store.runs import get_run, list_runs

# Stands in for a worker: takes the run, holds its slot for a moment, ends it and looks for the next.
FAKE_WORKER = """
import sys, time
from datetime import UTC, datetime
from v3core.jobs.launcher import drain
from v3core.jobs.lifecycle import Status, change_status
from v3core.jobs.worker import adopt
from v3core.store.opening import open_database
from v3core.store.runs import runs_in
from v3core.jobs.lifecycle import ACTIVE

def command(run_id):
    return [sys.executable, "-c", script, run_id, script]

run_id, script = sys.argv[1:]
db = open_database()
run = adopt(db, run_id)
def move(to):
    with db.write() as tx:
        assert change_status(tx, run, to, "m", actor="worker", now=datetime.now(UTC))
        return len(runs_in(tx, ACTIVE))
busiest = move(Status.RUNNING)
for _ in range(10):
    with db.read() as tx:
        busiest = max(busiest, len(runs_in(tx, ACTIVE)))
    time.sleep(0.01)
print("busiest", busiest, flush=True)
move(Status.COMPLETED)
drain(db, command)
"""


def printed_by(script, arguments):
    """What processes print as JSON that run a script, one with each argument, from the moment that all are ready."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, argument],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for argument in arguments
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    return [json.loads(process.communicate(timeout=PATIENCE_SECONDS)[0]) for process in processes]


def fake_command(run_id):
    return [sys.executable, "-c", FAKE_WORKER, run_id, FAKE_WORKER]


def no_command(_run_id):
    return [sys.executable, "-c", "input()"]  # ends at once: its input is closed


def test_eight_processes_drain_twenty_runs_without_a_double_start(db, config, monkeypatch):
    slots.set_slots(db, 3)
    monkeypatch.setattr(launcher, "drain", lambda _db: [])
    ids = launcher.enqueue(db, [config()] * 20)
    script = (
        "import sys, json\n"
        "from v3core.jobs.launcher import drain\n"
        "from v3core.store.opening import open_database\n"
        "db = open_database()\n"
        "print('ready', flush=True); input()\n"
        "script = sys.argv[1]\n"
        "print(json.dumps(drain(db, lambda run_id: [sys.executable, '-c', script, run_id, script])))\n"
    )
    claimed = [run_id for mine in printed_by(script, [FAKE_WORKER] * 8) for run_id in mine]
    assert sorted(claimed) == sorted(set(claimed))
    for count in range(1, len(ids) + 1):  # each has its time: together they are twenty starts of Python
        wait_for(lambda count=count: sum(run.status == Status.COMPLETED for run in list_runs(db)) >= count)
    for run_id in ids:
        kinds = [event.kind for event in read_events(db, run_id)]
        assert kinds == ["queued", "starting", "running", "completed"]
    busiest = [int(read_log_tail(run_id).split()[-1]) for run_id in ids]
    assert max(busiest) == 3
    claimed_at = {run_id: read_events(db, run_id)[1].at for run_id in ids}
    assert sorted(ids, key=claimed_at.__getitem__) == ids


def test_no_run_starts_while_the_slots_are_taken(db, config, run_in, status_of, monkeypatch):
    slots.set_slots(db, 2)
    run_in(Status.RUNNING)
    run_in(Status.STOPPING)
    (waiting,) = launcher.enqueue(db, [config()])
    assert launcher.drain(db, no_command) == []
    assert status_of(waiting) == Status.QUEUED


def test_a_slot_that_another_process_takes_meanwhile_is_not_given_twice(db, run_in, status_of, monkeypatch):
    slots.set_slots(db, 1)
    first, second = run_in(Status.QUEUED), run_in(Status.QUEUED)

    def another_is_quicker(tx):
        assert launcher.claim(tx, get_run(tx, second), now=datetime.now(UTC), actor="another")

    monkeypatch.setattr(launcher, "lock_queue", another_is_quicker)
    assert launcher.drain(db, no_command) == []
    assert (status_of(first), status_of(second)) == (Status.QUEUED, Status.STARTING)


def test_runs_of_another_machine_take_no_slot_here(db, run_in, monkeypatch):
    slots.set_slots(db, 1)
    run_in(Status.RUNNING, process=another_host())
    waiting = run_in(Status.QUEUED)
    assert launcher.drain(db, no_command) == [waiting]


def test_a_claimed_run_knows_its_process_and_promises_a_heartbeat(db, run_in):
    run_id = run_in(Status.QUEUED)
    assert launcher.drain(db, lambda _id: [sys.executable, "-c", "import time; time.sleep(60)"]) == [run_id]
    run = get_run(db, run_id)
    assert run.status == Status.STARTING
    assert None not in (run.pid, run.pid_started, run.host, run.boot_id)
    assert run.heartbeat_due_at > run.heartbeat_at


def test_a_worker_that_cannot_be_started_fails_its_run(db, run_in, status_of):
    run_id = run_in(Status.QUEUED)
    launcher.drain(db, lambda _id: ["/nowhere/python"])
    assert status_of(run_id) == Status.FAILED
    assert get_run(db, run_id).reason == "The worker process could not be started: No such file or directory."


def test_what_a_process_prints_is_in_the_log_of_its_run(db, run_in):
    run_id = run_in(Status.QUEUED)
    script = "import os, sys; print(os.environ['OMP_NUM_THREADS']); sys.exit('an error')"
    launcher.drain(db, lambda _id: [sys.executable, "-c", script])
    wait_for(lambda: read_log_tail(run_id) == "1\nan error")


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "9" * 5000])
def test_a_wrong_number_of_slots_is_refused_and_nothing_queued(db, config, monkeypatch, text):
    monkeypatch.setenv("V3_MAX_WORKERS", text)
    with pytest.raises(V3Error, match=f"V3_MAX_WORKERS is '{text}'; set it to a whole number from 1 to 10,000."):
        launcher.enqueue(db, [config()])
    assert list_runs(db) == []


def test_slots_are_the_cores_if_nothing_else_is_said(db):
    slots.set_slots(db, None)
    assert slots.slots(db) == os.cpu_count()


def test_who_queues_a_run_sets_the_limit_and_nobody_else_exceeds_it(db, config, run_in, monkeypatch):
    with monkeypatch.context() as shell:
        shell.setattr(launcher, "drain", lambda _db: [])
        shell.setenv("V3_MAX_WORKERS", "1")
        launcher.enqueue(db, [config()])
    run_in(Status.RUNNING)
    for text in ("", "8"):
        monkeypatch.setenv("V3_MAX_WORKERS", text)
        assert (slots.slots(db), launcher.drain(db, no_command)) == (1, [])
    slots.set_slots(db, 2)
    assert len(launcher.drain(db, no_command)) == 1


def test_the_limit_is_of_one_machine(db, monkeypatch):
    slots.set_slots(db, 3)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(slots, "this_machine", lambda: "another")
        assert slots.slots(db) == os.cpu_count()
        slots.set_slots(db, 1)
    assert slots.slots(db) == 3


def test_runs_keep_the_order_and_experiment_they_were_queued_with(db, config, monkeypatch):
    monkeypatch.setattr(launcher, "drain", lambda _db: [])
    ids = launcher.enqueue(db, [config(name=str(number)) for number in range(5)], experiment="seeds")
    assert [run.id for run in reversed(list_runs(db))] == ids
    assert {run.experiment for run in list_runs(db)} == {"seeds"}
    assert ACTIVE.isdisjoint(run.status for run in list_runs(db))


DASHBOARD = """
import json, sys
from dataclasses import replace
from datetime import UTC, datetime
from v3core.jobs import identity
from v3core.jobs.launcher import drain
from v3core.jobs.lifecycle import Status, change_status
from v3core.store.opening import open_database
from v3core.store.runs import get_run, runs_in

name = sys.argv[1]
identity.this_host = identity.this_machine = identity.this_boot = lambda: name
db = open_database()
print("ready", flush=True)
input()
claimed = []
while True:
    found = drain(db, lambda run_id: ["/bin/true"])
    claimed += found
    for run_id in found:
        for status in (Status.RUNNING, Status.COMPLETED):
            with db.write() as tx:
                assert change_status(tx, get_run(tx, run_id), status, "m", actor="worker", now=datetime.now(UTC))
    with db.read() as tx:
        if not runs_in(tx, {Status.QUEUED}):
            break
print(json.dumps(claimed))
"""


def test_dashboards_of_two_machines_share_200_queued_runs_and_start_none_twice(db, config, monkeypatch):
    """Each has slots of its own."""
    monkeypatch.setattr(launcher, "drain", lambda _db: [])
    ids = launcher.enqueue(db, [config()] * 200)
    claimed = printed_by(DASHBOARD, ["one", "two"])
    assert sorted([*claimed[0], *claimed[1]]) == sorted(ids)
    assert all(len(mine) >= 20 for mine in claimed), "one did all the work"
    assert {get_run(db, run_id).host for run_id in ids} == {"one", "two"}
    for run_id in ids:
        assert [event.kind for event in read_events(db, run_id)] == ["queued", "starting", "running", "completed"]

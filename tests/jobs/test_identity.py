"""Telling a process from any other that has its pid."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.jobs.conftest import ROOT
from tests.waiting import wait_for
from v3core.jobs import identity
from v3core.jobs.lifecycle import Status
from v3core.jobs.supervisor import reconcile
from v3core.store.commands import read_commands
from v3core.store.runs import get_run, update_run

HERE = identity.current()


def test_this_process_is_alive():
    me = identity.current()
    assert me.pid == os.getpid()
    assert identity.is_alive(me) is True


@pytest.mark.parametrize(
    ("change", "alive"),
    [
        ({"pid_started": 1.0}, False),
        ({"boot_id": "before"}, False),
        ({"pid": None}, False),
        ({"pid_started": None}, False),
        ({"machine": "another", "boot_id": "another", "host": "another"}, None),
        # A container of this machine sees the same boot, and other processes under the same pids.
        ({"pid_namespace": "pid:[1]"}, None),
        # Cloned machines share an id, and two machines may share a name: only both together say that it is this one.
        ({"boot_id": "another", "host": "another"}, None),
        ({"boot_id": "another", "machine": "another"}, None),
        # Rows of schema 4 have neither machine nor namespace.
        ({"boot_id": "before", "machine": "", "pid_namespace": ""}, False),
        ({"boot_id": "before", "machine": "", "pid_namespace": "", "host": "another"}, None),
        ({"pid_started": 1.0, "machine": "", "pid_namespace": "", "host": "another"}, None),
    ],
)
def test_another_process_is_not_taken_for_it(change, alive):
    other = dataclasses.replace(identity.current(), **change)
    assert identity.is_alive(other) is alive
    assert identity.send_signal(other, signal.SIGKILL) is False  # or this test would end here


def test_a_zombie_is_dead():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    found = identity.of_pid(process.pid)
    assert identity.is_alive(found) is True
    process.kill()
    wait_for(lambda: identity.is_alive(found) is False)  # nobody has waited for it yet
    process.communicate()
    assert identity.is_alive(found) is False


def test_a_group_is_signalled_only_by_its_leader(spawn):
    """Killing a foreground run must not kill the shell script that started it."""
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "child.wait(); print('outlived it', flush=True); input()\n"
    )
    leader = spawn(script, stdin=subprocess.PIPE)
    member = identity.of_pid(int(leader.stdout.readline()))
    assert identity.send_signal(member, signal.SIGKILL, whole_group=True)
    assert leader.stdout.readline() == "outlived it\n"
    other = spawn(script, stdin=subprocess.PIPE)
    child = identity.of_pid(int(other.stdout.readline()))
    assert identity.send_signal(identity.of_pid(other.pid), signal.SIGKILL, whole_group=True)
    wait_for(lambda: not identity.is_alive(child))


def unshared(*options):
    """The beginning of a command that runs in namespaces of its own; skips where this user may not make them."""
    command = ["unshare", *options]
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip(f"{' '.join(command)} is not allowed here")
    return command


def given(db, prefix, *arguments):
    """Give a command through the program `prefix`."""
    words = [*prefix, sys.executable, "-m", "v3core", *arguments]
    variables = {**os.environ, "V3_DATA_DIR": str(db.data_dir), "V3_DATABASE_URL": db.url}
    return subprocess.run(words, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60)


def test_runs_obey_after_the_host_has_another_name(db, run_in):
    renamed = [*unshared("--uts"), "sh", "-c", 'hostname another-name && exec "$@"', "sh"]
    run_id, dead = run_in(Status.RUNNING), run_in(Status.RUNNING, process=dataclasses.replace(HERE, pid_started=1.0))
    with db.write() as tx:
        heard = {"heartbeat_at": datetime.now(UTC) - timedelta(minutes=1)}
        update_run(tx, dead, heard, only_in=[Status.RUNNING])
    result = given(db, renamed, "pause", run_id)
    assert (result.returncode, result.stderr) == (0, "")
    assert [command.kind for command in read_commands(db, run_id, only_open=True)] == ["pause"]
    assert get_run(db, dead).status == Status.LOST
    assert given(db, renamed, "slots").stdout == "4 runs can train at once on this machine; 1 active now.\n"


def test_a_container_of_this_machine_does_not_take_other_pids_for_its_own(db, run_in):
    contained = unshared("--pid", "--fork", "--mount-proc")
    run_id = run_in(Status.RUNNING)
    with db.write() as tx:
        due = {
            "heartbeat_at": datetime.now(UTC) - timedelta(hours=1),
            "heartbeat_due_at": datetime.now(UTC) + timedelta(hours=1),
        }
        update_run(tx, run_id, due, only_in=[Status.RUNNING])
    assert json.loads(given(db, contained, "runs", "--json").stdout)[0]["status"] == "running"
    refused = given(db, contained, "pause", run_id)
    assert "run the command there" in refused.stderr


@pytest.mark.parametrize(("label", "patience"), [("mine", 5), ("another", 60)])
def test_a_silent_run_is_lost_sooner_where_the_machine_is_the_same(db, run_in, label, patience):
    machine = HERE.machine if label == "mine" else label
    run_id = run_in(Status.RUNNING, process=dataclasses.replace(HERE, machine=machine, boot_id="b", host="renamed"))
    due = get_run(db, run_id).heartbeat_due_at
    assert reconcile(db, due + timedelta(seconds=patience - 1)) == []
    assert reconcile(db, due + timedelta(seconds=patience + 1)) == [run_id]

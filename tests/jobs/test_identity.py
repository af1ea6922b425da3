"""Telling a process from any other that has its pid."""

import dataclasses
import os
import signal
import subprocess
import sys

import pytest

from tests.waiting import wait_for
from v3core.jobs import identity


def test_this_process_is_alive():
    me = identity.current()
    assert me.pid == os.getpid()
    assert identity.is_alive(me) is True


@pytest.mark.parametrize(
    ("change", "alive"),
    [
        ({"started": 1.0}, False),
        ({"boot_id": "before"}, False),
        ({"pid": None}, False),
        ({"started": None}, False),
        ({"host": "another"}, None),
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
    wait_for(lambda: identity.is_alive(found) is False, 5)  # nobody has waited for it yet
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
    wait_for(lambda: not identity.is_alive(child), 5)

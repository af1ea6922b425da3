"""SIGKILL of monitors, of a monitor with its worker, and of a launcher in the middle of its work."""

import json
import os
import signal
import subprocess
import sys

from tests.browser.support import ROOT
from tests.faults.board import newest_recorded
from tests.faults.checks import assert_sound
from tests.faults.scale import STATUS_SECONDS
from tests.processes import monitor_of, processes_of
from tests.runs import assert_whole, tiny_config, wait_until
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.jobs import control
from v3core.jobs.launchers.local import LocalLauncher
from v3core.jobs.lifecycle import Status
from v3core.jobs.supervisor import reconcile
from v3core.store.history import read_events
from v3core.store.runs import get_run, list_runs

# Dies as if killed at that very moment: the run is claimed, and there is no process for it yet.
DYING_LAUNCHER = """
import os, signal, sys
from v3core.config import RunConfig
from v3core.jobs import launcher
from v3core.jobs.launchers.local import LocalLauncher
from v3core.store.opening import open_database

LocalLauncher.start = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
launcher.enqueue(open_database(), [RunConfig.model_validate_json(sys.argv[1])])
"""


def test_without_its_monitor_a_worker_trains_on_and_another_runs_monitor_finds_its_death(db, spied, start):
    orphan, other = start(episodes=10**6, seed=1), start(episodes=10**6, seed=2)
    run = wait_until(db, orphan, episode=50)
    wait_until(db, other, episode=50)
    monitor_of(run.pid).kill()
    wait_until(db, orphan, episode=get_run(db, orphan).episode + 100)
    reconcile(db)
    assert get_run(db, orphan).status == Status.RUNNING
    assert get_run(db, orphan).pid == run.pid

    os.kill(run.pid, signal.SIGKILL)
    # Nobody calls `runs`, no page is open.
    wait_for(lambda: get_run(db, orphan).status == Status.LOST, "another run's monitor notices", seconds=STATUS_SECONDS)
    assert get_run(db, orphan).reason == "The worker process exited unexpectedly: it was killed, or ran out of memory."
    control.stop(db, other)
    assert control.wait_stopped(db, other, PATIENCE_SECONDS) == Status.STOPPED
    assert get_run(db, other).episode == newest_recorded(spied, get_run(db, other).pid)
    for run_id in (orphan, other):
        assert_whole(db, run_id)
    assert_sound(db)


def test_the_death_of_worker_and_monitor_at_once_is_reported_by_the_next_look(db, folder, start):
    run_id = start(episodes=10**6)
    run = wait_until(db, run_id, episode=50)
    monitor = monitor_of(run.pid)
    for pid in (monitor.pid, run.pid):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: _reported(run_id) == Status.LOST, "`runs` says that it is lost", seconds=STATUS_SECONDS)
    wait_for(lambda: not processes_of(folder), "no process is left")

    control.resume(db, run_id)
    wait_until(db, run_id, episode=get_run(db, run_id).episode + 50)
    control.stop(db, run_id)
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
    assert_whole(db, run_id)
    assert_sound(db)


def test_a_monitor_killed_while_its_worker_starts_leaves_no_run_that_starts_for_ever(db, folder, start, monkeypatch):
    def spawn(*arguments):
        monitors.append(original(*arguments))
        return monitors[-1]

    original, monitors = LocalLauncher.start, []
    monkeypatch.setattr(LocalLauncher, "start", spawn)
    run_id = start(episodes=10**6)
    os.kill(monitors[0], signal.SIGKILL)
    wait_for(
        lambda: _looked_at(db, run_id) in {Status.LOST, Status.RUNNING}, "lost, or running", seconds=STATUS_SECONDS
    )
    if get_run(db, run_id).status == Status.LOST:
        wait_for(lambda: not processes_of(folder), "no process is left")
        control.resume(db, run_id)
    wait_until(db, run_id, episode=10)
    assert_sound(db)


def test_a_run_whose_launcher_died_before_it_started_goes_back_to_the_queue_and_runs(db):
    config = tiny_config(episodes=20).model_dump_json(by_alias=True)
    died = subprocess.run([sys.executable, "-c", DYING_LAUNCHER, config], cwd=ROOT)
    assert died.returncode == -signal.SIGKILL
    run_id = list_runs(db)[0].id
    assert (get_run(db, run_id).status, get_run(db, run_id).pid) == (Status.STARTING, None)
    wait_for(lambda: _looked_at(db, run_id) == Status.COMPLETED, "completed")
    reported = [event.kind for event in read_events(db, run_id) if event.kind in set(Status)]
    assert reported == ["queued", "starting", "queued", "starting", "running", "completed"]
    assert_whole(db, run_id)


def _looked_at(db, run_id):
    """The status of a run after a look, as a page takes one every second."""
    reconcile(db)
    return get_run(db, run_id).status


def _reported(run_id):
    """What the command line says of a run."""
    command = [sys.executable, "-m", "v3core", "runs", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return next(run["status"] for run in json.loads(done.stdout) if run["id"] == run_id)

"""What becomes of a run whose worker could not say so itself: the process beside it knows."""

import errno
import io
import os
import shutil
import signal
import sys

import psutil
import pytest

from tests.jobs.conftest import assert_whole
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.errors import V3Error
from v3core.jobs import control, identity, monitor, slots
from v3core.jobs.identity import process_of
from v3core.jobs.lifecycle import Status
from v3core.jobs.signals import StopRequest
from v3core.store.history import read_events
from v3core.store.runs import get_run

ENDLESS = 1_000_000

# What an environment does at its 8,000th step, some episodes later; until then CartPole.
ENVIRONMENT = """
import ctypes, os, signal, subprocess, sys, time
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv

class Deadly(CartPoleEnv):
    steps = 0

    def step(self, action):
        Deadly.steps += 1
        if Deadly.steps == 8000:
            self.die()
        return super().step(action)

    def die(self):
        {act}

gym.register("Deadly-v0", entry_point=Deadly, max_episode_steps=500)
"""


@pytest.fixture
def start_deadly(start, tmp_path, monkeypatch):
    """Start a run whose environment does something at its 8,000th step: `start_deadly("os._exit(3)")`."""

    def begin(act):
        (tmp_path / "deadly_env.py").write_text(ENVIRONMENT.format(act=act))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return start(env="deadly_env:Deadly-v0", episodes=ENDLESS)

    return begin


@pytest.mark.parametrize(
    ("act", "status", "reason"),
    [
        ("os._exit(3)", Status.LOST, "The worker process exited unexpectedly with code 3; see the log."),
        ("os._exit(0)", Status.LOST, "The worker process exited unexpectedly: it was killed, or ran out of memory."),
        (
            "ctypes.string_at(0)",
            Status.FAILED,
            "The worker process crashed with SIGSEGV, probably in native code; see the log.",
        ),
        ("os.kill(os.getpid(), signal.SIGKILL)", Status.LOST, "The worker process was killed (SIGKILL) from outside;"),
        (
            "sys.exit('bye')",
            Status.FAILED,
            "Environment deadly_env:Deadly-v0, copy 4, failed at step 2000: step(action) raised SystemExit: bye; fix",
        ),
    ],
)
def test_a_death_without_a_word_is_reported_with_its_cause(db, start_deadly, wait_until, act, status, reason):
    run_id = start_deadly(act)
    run = wait_until(run_id, status=status)
    assert run.reason.startswith(reason)
    assert_whole(db, run_id)
    actor = "worker" if "SystemExit" in reason else "monitor"
    assert read_events(db, run_id)[-1].actor == actor


def test_what_an_environment_started_does_not_outlive_its_worker(db, start_deadly, wait_until, tmp_path):
    file = tmp_path / "pid"
    sleeper = f"[{sys.executable!r}, '-c', 'import time; time.sleep(600)']"
    started = f"open({str(file)!r}, 'w').write(str(subprocess.Popen({sleeper}).pid))"
    run_id = start_deadly(f"{started}; os._exit(3)")
    wait_until(run_id, status=Status.LOST)
    wait_for(lambda: not identity.is_alive(identity.of_pid(int(file.read_text()))))


def test_a_run_goes_on_without_its_monitor(db, start, wait_until):
    """Its end is then found by whoever looks."""
    run_id = start(episodes=ENDLESS)
    run = wait_until(run_id, episode=10)
    monitor = psutil.Process(run.pid).ppid()
    os.kill(monitor, signal.SIGKILL)
    wait_until(run_id, episode=run.episode + 50)
    assert identity.is_alive(process_of(run))
    control.stop(db, run_id)
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED


def test_a_monitor_that_is_told_to_end_stops_its_run_and_starts_no_other(db, start, wait_until, monkeypatch):
    slots.set_slots(db, 1)
    run_id, waiting = start(episodes=ENDLESS), start(episodes=ENDLESS, seed=2)
    monitor = psutil.Process(wait_until(run_id, episode=10).pid).parent()
    monitor.terminate()
    run = wait_until(run_id, status=Status.STOPPED)
    assert run.reason == "Stopped by SIGTERM."
    wait_for(lambda: not monitor.is_running() or monitor.status() == psutil.STATUS_ZOMBIE)
    assert get_run(db, waiting).status == Status.QUEUED


def test_a_worker_that_is_killed_while_it_starts_is_reported(db, start, wait_until):
    run_id = start(episodes=ENDLESS)

    def worker():
        mine = [child for child in psutil.Process().children(recursive=True) if run_id in child.cmdline()]
        return next((child for child in mine if child.parent() in mine), None)

    wait_for(worker).kill()
    assert "killed (SIGKILL) from outside" in wait_until(run_id, status=Status.LOST).reason


def test_a_log_on_a_full_disk_does_not_end_a_monitor(db, monkeypatch):
    class FullDisk(io.StringIO):
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    def cannot(_):
        raise V3Error("The database cannot be written.")

    watch = monitor._Monitor("a run", os.getpid(), StopRequest(), -1)
    monkeypatch.setattr(monitor, "reconcile", cannot)
    monkeypatch.setattr(sys, "stdout", FullDisk())
    watch._look(db)


def test_a_monitor_whose_data_folder_is_gone_ends(db, start, wait_until, tmp_path):
    if not db.url.startswith("sqlite"):
        pytest.skip("a PostgreSQL database does not lie in the data folder")
    run = wait_until(start(episodes=ENDLESS), episode=10)
    monitor = psutil.Process(run.pid).parent()
    shutil.rmtree(tmp_path.rename(tmp_path.with_name("deleted")))  # at one stroke: the run is writing into it
    os.kill(run.pid, signal.SIGKILL)
    wait_for(lambda: not monitor.is_running() or monitor.status() == psutil.STATUS_ZOMBIE)

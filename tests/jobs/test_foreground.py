"""Training in the foreground: recorded like any run, Ctrl-C is a graceful stop."""

import signal
import subprocess

import pytest

from tests.episode_table import read_episodes
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.jobs import worker
from v3core.jobs.launcher import drain
from v3core.jobs.lifecycle import Status
from v3core.jobs.logs import read_log_tail
from v3core.jobs.worker import train_here
from v3core.store.history import read_checkpoints
from v3core.store.runs import get_run, list_runs

SCRIPT = """
import sys
from v3core.config import RunConfig
from v3core.jobs.worker import train_here
from v3core.store.opening import open_database
run_id, status = train_here(open_database(), RunConfig.model_validate_json(sys.argv[1]), lambda progress: None)
print(run_id, status)
"""


def test_a_run_in_the_foreground_is_recorded_like_any_other(db, config):
    seen = []
    run_id, status = train_here(db, config(episodes=40), seen.append)
    assert status == Status.COMPLETED
    assert read_episodes(db, run_id)["episode"].tolist() == list(range(1, 41))
    episodes = [progress.episode for progress in seen]
    assert (episodes == sorted(episodes), episodes[-1], seen[-1].episodes) == (True, 40, 40)
    assert seen[-1].mean_return == pytest.approx(get_run(db, run_id).mean_return)
    assert seen[-1].mean_count == 10
    assert read_log_tail(run_id).endswith("Completed at episode 40.")


def test_ctrl_c_twice_stops_once_with_a_checkpoint(db, config, spawn):
    process = spawn(SCRIPT, config(episodes=1_000_000).model_dump_json(by_alias=True), stderr=subprocess.PIPE)
    run_id = wait_for(lambda: [run.id for run in list_runs(db) if run.episode > 10])[0]
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (output, errors, process.returncode) == (f"{run_id} stopped\n", "", 0)
    run = get_run(db, run_id)
    assert (run.status, run.reason) == (Status.STOPPED, "Stopped by Ctrl-C.")
    assert read_checkpoints(db, run_id)[-1].episode == run.episode
    assert read_episodes(db, run_id).last == run.episode


def test_a_failure_in_the_foreground_is_a_failed_run(db, config):
    run_id, status = train_here(db, config(env="Nowhere-v0"), lambda _progress: None)
    assert status == get_run(db, run_id).status == Status.FAILED
    assert "Nowhere-v0" in get_run(db, run_id).reason


def test_no_queue_can_take_a_foreground_run(db, config, monkeypatch):
    adopt, taken = worker.adopt, []

    def another_looks_first(db, run_id):
        taken.extend(drain(db, lambda _id: ["/nowhere/python"]))
        return adopt(db, run_id)

    monkeypatch.setattr(worker, "adopt", another_looks_first)
    assert train_here(db, config(episodes=20), lambda _progress: None)[1] == Status.COMPLETED
    assert taken == []

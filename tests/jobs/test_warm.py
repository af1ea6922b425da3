"""Workers forked from a warm process: exactly what new processes are, or else new processes."""

import asyncio
import dataclasses
import os

import psutil
import pytest

from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.jobs import warm
from v3core.jobs.kept_replays import recorded_replays
from v3core.jobs.launcher import enqueue
from v3core.jobs.launchers import processes
from v3core.jobs.launchers.processes import keep_warm
from v3core.jobs.lifecycle import Status
from v3core.jobs.logs import read_log_tail
from v3core.jobs.replay_making import Wanted, begin, progress, read_made
from v3core.store.runs import get_run

DRAWS = """
import random
import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv

class Draws(CartPoleEnv):
    def __init__(self, **_):
        super().__init__()
        print("drawn", random.random(), np.random.random(), flush=True)

gym.register("Draws-v0", entry_point=Draws)
"""


@pytest.fixture
def steady(monkeypatch):
    """No variable that pytest changes in every phase of a test."""
    original = processes.surroundings

    def surroundings(*arguments):
        found = original(*arguments)
        del found.environment["PYTEST_CURRENT_TEST"]
        return found

    monkeypatch.setattr(processes, "surroundings", surroundings)


@pytest.fixture
def kept(db, steady, monkeypatch):
    """A warm process, ready, in a process that may have one."""
    monkeypatch.setattr(warm, "_wanted", True)
    keep_warm(db)
    wait_for(warm.is_ready)
    yield warm._process
    warm.end()


@pytest.fixture
def no_new_process(monkeypatch):
    """Nothing may be started but by forking."""
    monkeypatch.setattr(processes, "start_process", lambda *_: pytest.fail("a new process was started"))


def test_a_forked_worker_trains_to_the_end_on_its_own(db, config, kept, no_new_process, wait_until):
    run_id = enqueue(db, [config(episodes=100_000)])[0]
    wait_until(run_id, episode=5)
    run = get_run(db, run_id)
    worker = psutil.Process(run.pid)
    monitor = worker.parent()
    assert monitor.ppid() == kept._process.pid
    assert {os.getsid(worker.pid), os.getsid(monitor.pid), os.getsid(kept._process.pid)} == {
        worker.pid,
        monitor.pid,
        kept._process.pid,
    }
    assert worker.environ()["V3_DATA_DIR"] == str(db.data_dir)
    assert "Training CartPole-v1" in read_log_tail(run_id).splitlines()[0]
    warm.end()
    episode = get_run(db, run_id).episode
    wait_until(run_id, episode=episode + 5)
    worker.kill()  # which its monitor sees, as that of any worker does
    wait_until(run_id, status=Status.LOST)
    wait_for(lambda: not monitor.is_running())


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
def test_a_replay_is_made_by_a_fork(db, make, train, kept, no_new_process):
    run_id = make()
    assert train(run_id) is Status.COMPLETED
    wanted = Wanted(run_id, recorded_replays(db, run_id)[-1], None)
    begin(db, wanted)
    wait_for(lambda: progress(db, wanted).stage == "done")
    assert read_made(db, wanted).frames == len(read_made(db, wanted).replay) + 1


def test_forked_workers_do_not_draw_the_same_numbers(db, kept, tmp_path, monkeypatch):
    """Of generators that no seed is given to: the warm process has drawn theirs."""
    warm.end()
    (tmp_path / "draws.py").write_text(DRAWS)
    monkeypatch.chdir(tmp_path)
    keep_warm(db)
    wait_for(warm.is_ready)
    lines = []
    for name in ("one", "other"):
        with (tmp_path / name).open("wb") as log:
            assert warm.fork(warm._process._surroundings, ["graph", "draws:Draws-v0"], log)
        wait_for(lambda name=name: "actions" in (tmp_path / name).read_text())
        lines.append(next(line for line in (tmp_path / name).read_text().splitlines() if line.startswith("drawn")))
    _, python, numpy = zip(*(line.split() for line in lines), strict=True)
    assert python[0] != python[1]
    assert numpy[0] != numpy[1]


@pytest.mark.parametrize("other", ["python", "folder", "environment", "sources"])
def test_another_process_than_the_warm_one_is_is_not_forked(kept, tmp_path, monkeypatch, other):
    here = kept._surroundings
    with (tmp_path / "log").open("wb") as log:
        if other == "sources":
            newest = warm._newest_source()
            monkeypatch.setattr(warm, "_newest_source", lambda: newest + 1)
        else:
            value = here.environment | {"V3_NATIVE": "0", "GYM_X": "1"} if other == "environment" else "/other"
            here = dataclasses.replace(here, **{other: value})
        assert warm.fork(here, ["--version"], log) is None
        monkeypatch.undo()
        assert warm.fork(kept._surroundings, ["--version"], log)
    wait_for(lambda: (tmp_path / "log").read_text().startswith("v3lab"))


def test_a_run_with_other_variables_gets_a_new_process(db, config, kept, monkeypatch, wait_until):
    monkeypatch.setenv("GYM_OTHER", "1")
    run_id = enqueue(db, [config(episodes=100_000)])[0]
    wait_until(run_id, episode=1)
    assert "worker" in psutil.Process(get_run(db, run_id).pid).cmdline()


def test_without_a_warm_process_that_answers_a_new_one_is_started(db, config, kept, wait_until):
    kept._process.kill()
    run_id = enqueue(db, [config(episodes=100_000)])[0]
    wait_until(run_id, episode=1)
    assert "worker" in psutil.Process(get_run(db, run_id).pid).cmdline()
    keep_warm(db)
    assert warm._process is not kept
    wait_for(warm.is_ready)


def test_one_that_does_not_answer_is_ended_so_that_no_run_is_started_twice(db, kept, tmp_path, monkeypatch):
    psutil.Process(kept._process.pid).suspend()
    kept._channel.settimeout(0.1)
    with (tmp_path / "log").open("wb") as log:
        assert warm.fork(kept._surroundings, ["--version"], log) is None
    assert kept._process.poll() is not None


def test_it_ends_with_its_server_and_when_nobody_needs_it(kept):
    kept._channel.close()
    assert kept._process.wait(PATIENCE_SECONDS) == 0


def test_only_a_server_has_one_from_when_launch_is_opened(db, monkeypatch):
    assert warm._process is None
    keep_warm(db)
    assert warm._process is None
    monkeypatch.setattr("v3core.jobs.watchdog.ensure_watchdog", lambda: None)
    monkeypatch.setattr(warm, "_wanted", False)
    import asgi

    async def serve():
        async with asgi.looking_after_runs(None):
            return warm._wanted

    monkeypatch.setattr(asgi, "ensure_watchdog", lambda: None)
    assert asyncio.run(serve())

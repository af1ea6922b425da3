"""A store of its own for every test of jobs, small runs, and no process left behind."""

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.databases import BACKENDS, empty_database
from tests.waiting import wait_for
from v3core.config import BaseConfig, PolicyConfig, PPOConfig, Recipe, build_run_config
from v3core.curriculum import parse
from v3core.jobs import identity
from v3core.jobs.launcher import claim, create, enqueue
from v3core.jobs.lifecycle import ENDED, Status, change_status
from v3core.jobs.logs import read_log_tail
from v3core.jobs.supervisor import process_of
from v3core.store.database import Database
from v3core.store.readers import read_episodes
from v3core.store.runs import get_run, list_runs, need_run, update_run

ROOT = Path(__file__).resolve().parents[2]

# The smallest network at a learning rate at which CartPole's episodes stay short: hundreds of episodes a second.
TINY = Recipe(
    name="tiny",
    match=("*",),
    base=BaseConfig(lr=1e-6),
    ppo=PPOConfig(environments=4, rollout_steps=32, minibatch=128, epochs=1),
    policy=PolicyConfig(width=4, heads=1, layers=1, experts=2),
)


@pytest.fixture(params=BACKENDS)
def db(request, tmp_path, monkeypatch):
    """An open, empty store; workers of its runs are killed at the end."""
    monkeypatch.setenv("V3_MAX_WORKERS", "4")
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    with empty_database(request.param, tmp_path) as url:
        monkeypatch.setenv("V3_DATABASE_URL", url)
        database = Database.open()
        yield database
        for run in list_runs(database):
            if run.pid != os.getpid():
                identity.send_signal(process_of(run), signal.SIGKILL, whole_group=True)
        database.close()


@pytest.fixture
def config():
    """Make a config: `config(episodes=…, boundary=…)`; two phases, or one if the boundary is None."""

    def make(*, episodes=60, boundary=None, env="CartPole-v1", name="tiny", seed=1):
        first = f"{{name: early, until: {{episode: {boundary}}}, routing: softmax}}, " if boundary else ""
        curriculum = parse(f"{{name: test, phases: [{first}{{name: late, routing: sparsemax}}]}}")
        return build_run_config(name=name, env=env, seed=seed, episodes=episodes, curriculum=curriculum, recipe=TINY)

    return make


@pytest.fixture
def run_in(db, config):
    """Insert a run that is in a given status, belonging to a given process: `run_in(Status.RUNNING)` returns its id."""
    paths = {
        Status.QUEUED: [],
        Status.STARTING: [Status.STARTING],
        Status.RUNNING: [Status.STARTING, Status.RUNNING],
        Status.PAUSED: [Status.STARTING, Status.RUNNING, Status.PAUSED],
        Status.STALLED: [Status.STARTING, Status.RUNNING, Status.STALLED],
        Status.STOPPING: [Status.STARTING, Status.RUNNING, Status.STOPPING],
        Status.STOPPED: [Status.STARTING, Status.RUNNING, Status.STOPPING, Status.STOPPED],
        Status.COMPLETED: [Status.STARTING, Status.RUNNING, Status.COMPLETED],
        Status.FAILED: [Status.STARTING, Status.FAILED],
        Status.LOST: [Status.STARTING, Status.LOST],
    }

    def insert(status, *, process=None, chosen=None, now=None, **values):
        now = now or datetime.now(UTC)
        process = process or identity.current()
        with db.write() as tx:
            run_id = create(tx, chosen or config(boundary=30), now=now)
            for step in paths[status]:
                if step is Status.STARTING:
                    claim(tx, need_run(tx, run_id), now=now, actor="test")
                    who = {"host": process.host, "boot_id": process.boot_id}
                    who |= {"pid": process.pid, "pid_started": process.started}
                    update_run(tx, run_id, who | values, only_in=[step])
                else:
                    assert change_status(tx, run_id, step, actor="test", message="m", now=now)
        return run_id

    return insert


@pytest.fixture
def status_of(db):
    """The status of a run now."""
    return lambda run_id: Status(get_run(db, run_id).status)


@pytest.fixture
def spawn(tmp_path):
    """Start a Python script as a process of its own session, with the project importable; killed at the end."""
    import subprocess

    started = []

    def start(script, *arguments, **options):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", script, *map(str, arguments)]
        process = subprocess.Popen(
            command, env=environment, cwd=tmp_path, start_new_session=True, stdout=subprocess.PIPE, text=True, **options
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def start(db, config):
    """Queue a run and start its worker: `start(episodes=…)` returns its id."""
    return lambda **options: enqueue(db, [config(**options)])[0]


@pytest.fixture
def wait_until(db, status_of):
    """Wait until a run has reached a status, or an episode; fails with its log if it ends otherwise."""

    def wait(run_id, *, status=None, episode=0):
        def reached():
            run = get_run(db, run_id)
            if status is None:
                assert run.status not in ENDED, f"{run.status}: {run.reason}\n{read_log_tail(run_id)}"
                return run.status == Status.RUNNING and run.episode >= episode
            assert run.status not in ENDED or run.status == status, f"{run.reason}\n{read_log_tail(run_id)}"
            return run.status == status

        wait_for(reached, 60, f"run is {status_of(run_id)}, not {status}, {episode}")
        return get_run(db, run_id)

    return wait


def assert_whole(db, run_id, loads_known=None):
    """Every episode is recorded once, with its loads (all, or the first so many); nothing runs backwards."""
    table, run = read_episodes(db, run_id), get_run(db, run_id)
    assert table["episode"].tolist() == list(range(1, run.episode + 1))
    assert (table["step"][1:] >= table["step"][:-1]).all()
    assert (table["at"][1:] >= table["at"][:-1]).all()
    assert abs(table.loads.sum(axis=1)[:loads_known] - 1).max() < 1e-5
    return table

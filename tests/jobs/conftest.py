"""A store of its own for every test of jobs, small runs, and no process left behind."""

import os
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from tests import runs
from tests.databases import BACKENDS, empty_database
from tests.processes import kill_all
from tests.runs import TINY, tiny_config
from tests.runs import assert_whole as assert_whole
from v3core.config import EvaluationConfig, build_run_config
from v3core.curriculum import parse
from v3core.jobs import identity, recorder
from v3core.jobs.launcher import claim, create, enqueue
from v3core.jobs.lifecycle import Status, change_status
from v3core.jobs.signals import StopRequest
from v3core.jobs.slots import set_slots
from v3core.jobs.worker import adopt, train_run
from v3core.store.opening import open_database
from v3core.store.runs import get_run, update_run
from v3core.training import trainer

FOUR_PHASES = """
{name: test, phases: [
  {name: first, until: {episode: 12}, routing: softmax, temperature: {from: 2.0, to: 1.0}},
  {name: second, until: {step: 700}, routing: topk, top_k: 1, top_k_weights: probabilities, bias_speed: 0.01},
  {name: third, until: {metric: length, at_least: 1, window: 5, min_episodes: 10}, routing: gumbel, jitter: 0.1},
  {name: last, routing: sparsemax}]}
"""


ROOT = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(config, items):
    """On PostgreSQL all that needs no worker process, and of what does, the tests marked `every_database`.

    A worker takes seconds to start, and which database it was started for matters to few of those tests.
    """
    left_out = [item for item in items if "[postgresql" in item.name and _starts_worker(item)]
    items[:] = [item for item in items if item not in set(left_out)]
    config.hook.pytest_deselected(items=left_out)


def _starts_worker(item):
    costly = {"start", "wait_until", "kept"} & set(item.fixturenames)
    return bool(costly) and not any(item.iter_markers("every_database"))


@pytest.fixture(params=BACKENDS)
def db(request, tmp_path, monkeypatch):
    """An open, empty store; workers of its runs are killed at the end."""
    monkeypatch.delenv("V3_MAX_WORKERS", raising=False)
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    with empty_database(request.param, tmp_path) as url:
        monkeypatch.setenv("V3_DATABASE_URL", url)
        database = open_database()
        set_slots(database, 4)
        yield database
        database.close()
        kill_all(tmp_path)


@pytest.fixture
def config():
    """Make a config: `config(episodes=…, boundary=…)`; two phases, or one if the boundary is None."""
    return tiny_config


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
                    claim(tx, get_run(tx, run_id), now=now, actor="test")
                    update_run(tx, run_id, vars(process) | values, only_in=[step])
                else:
                    began = {"started_at": now} if step is Status.RUNNING else {}
                    assert change_status(tx, get_run(tx, run_id), step, "m", actor="test", now=now, values=began)
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
def wait_until(db):
    """Wait until a run has reached a status, or an episode; fails with its log if it ends otherwise."""
    return partial(runs.wait_until, db)


@pytest.fixture
def make(db, monkeypatch):
    """Queue a run that no process takes: `make()` returns its id."""
    monkeypatch.setattr("v3core.jobs.control.drain", lambda *_: [])

    def queued(
        episodes=None,
        curriculum=FOUR_PHASES,
        every=10,
        seed=3,
        env="CartPole-v1",
        steps=None,
        memory="none",
        balance_on="softmax",
    ):
        policy, ppo = TINY.policy.model_copy(update={"memory": memory}), {"balance_on": balance_on}
        parts = {"policy": policy, "ppo": TINY.ppo.model_copy(update=ppo)}
        recipe = TINY.model_copy(update=parts | {"evaluation": EvaluationConfig(episodes=2, every=every)})
        parsed, episodes = parse(curriculum), 60 if episodes is steps is None else episodes
        config = build_run_config(
            name="same", env=env, seed=seed, episodes=episodes, steps=steps, curriculum=parsed, recipe=recipe
        )
        with db.write() as tx:
            return create(tx, config, now=datetime.now(UTC))

    return queued


@pytest.fixture
def train(db, monkeypatch):
    """Train a queued run in this process, to its end or until after so many of its rollouts it dies."""

    def until(run_id, rollouts=None, every=None, then=None):
        """`every`: a checkpoint is due after each multiple of so many rollouts; `then`: called instead of dying."""
        clock = iter(range(10**6))
        # The clock is looked at twice in a rollout after which a checkpoint is written.
        monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", float("inf") if every is None else 2 * every - 0.5)
        defaults = trainer.train.__kwdefaults__ | {"clock": lambda: next(clock)}
        monkeypatch.setattr(trainer.train, "__kwdefaults__", defaults)
        original, count = recorder.Recorder.record, iter(range(10**6))

        def record(self, episodes, step):
            original(self, episodes, step)
            if rollouts is not None and next(count) + 1 >= rollouts:
                if then is None:
                    raise MemoryError("killed")
                then()

        monkeypatch.setattr(recorder.Recorder, "record", record)
        status = train_run(db, adopt(db, run_id), StopRequest())
        monkeypatch.setattr(recorder.Recorder, "record", original)
        return status

    return until

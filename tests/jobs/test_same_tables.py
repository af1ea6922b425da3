"""A run that was disturbed has recorded, in every table, what one that never was has: nothing lost, nothing twice."""

import pytest

from tests.runs import TINY
from tests.same_tables import ASKED, MAY_DIFFER, assert_same_tables
from tests.training.conftest import assert_same_checkpoint
from v3core.config import EvaluationConfig, build_run_config
from v3core.curriculum import parse
from v3core.jobs import control, recorder
from v3core.jobs.launcher import create
from v3core.jobs.lifecycle import Status
from v3core.jobs.signals import StopRequest
from v3core.jobs.worker import adopt, train_run
from v3core.store.readers import read_checkpoints
from v3core.store.runs import get_run
from v3core.store.schema import metadata, phase_changes
from v3core.training import trainer

CURRICULUM = """
{name: test, phases: [
  {name: first, until: {episode: 12}, routing: softmax, temperature: {from: 2.0, to: 1.0}},
  {name: second, until: {step: 700}, routing: topk, top_k: 1, bias_speed: 0.01},
  {name: third, until: {metric: length, at_least: 1, window: 5, min_episodes: 10}, routing: gumbel, jitter: 0.1},
  {name: last, routing: sparsemax}]}
"""


@pytest.fixture
def make(db, monkeypatch):
    """Queue a run that no process takes: `make()` returns its id."""
    monkeypatch.setattr(control, "drain", lambda *_: [])
    recipe = TINY.model_copy(update={"evaluation": EvaluationConfig(episodes=2, every=10)})

    def queued(episodes=60, curriculum=CURRICULUM):
        config = build_run_config(
            name="same", env="CartPole-v1", seed=3, episodes=episodes, curriculum=parse(curriculum), recipe=recipe
        )
        with db.write() as tx:
            return create(tx, config, now=control.datetime.now(control.UTC))

    return queued


@pytest.fixture
def train(db, monkeypatch):
    """Train a queued run in this process, to its end or until after so many of its rollouts it dies."""

    def until(run_id, rollouts=None, every=None):
        """`every`: a checkpoint is due after every rollout that is a multiple of it."""
        clock = iter(range(10**6))
        # The clock is looked at twice in a rollout after which a checkpoint is written.
        monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", float("inf") if every is None else 2 * every - 0.5)
        defaults = trainer.train.__kwdefaults__ | {"clock": lambda: next(clock)}
        monkeypatch.setattr(trainer.train, "__kwdefaults__", defaults)
        original, count = recorder.Recorder.record, iter(range(10**6))

        def record(self, episodes, step):
            original(self, episodes, step)
            if rollouts is not None and next(count) + 1 >= rollouts:
                raise MemoryError("killed")

        monkeypatch.setattr(recorder.Recorder, "record", record)
        status = train_run(db, adopt(db, run_id), StopRequest())
        monkeypatch.setattr(recorder.Recorder, "record", original)
        return status

    return until


@pytest.fixture
def undisturbed(make, train):
    """A run that trained from its beginning to its end."""
    run_id = make()
    assert train(run_id) is Status.COMPLETED
    return run_id


@pytest.mark.parametrize("every", [None, 3])
@pytest.mark.parametrize("deaths", [[1, 1], [6], [9, 2, 5], [12, 12]])
def test_whatever_a_resume_deletes_is_recorded_again(db, make, train, undisturbed, deaths, every):
    """Killed before its first boundary, after it, right after a checkpoint or long after the last, and again."""
    run_id = make()
    for rollouts in deaths:
        if train(run_id, rollouts, every) is Status.COMPLETED:
            break
        control.resume(db, run_id)
    if get_run(db, run_id).status != Status.COMPLETED:
        assert train(run_id) is Status.COMPLETED
    assert get_run(db, run_id).generation > 0
    assert_same_tables(db, run_id, undisturbed)
    mine, other = (db.data_dir / read_checkpoints(db, run)[-1].path for run in (run_id, undisturbed))
    assert_same_checkpoint(mine, other)


def test_a_row_that_an_older_version_lost_is_written_at_the_next_resume(db, make, train, undisturbed):
    run_id = make()
    assert train(run_id, 9) is Status.FAILED
    with db.write() as tx:
        tx.execute(phase_changes.delete().where(phase_changes.c.run_id == run_id, phase_changes.c.phase == 0))
    control.resume(db, run_id)
    assert train(run_id) is Status.COMPLETED
    assert_same_tables(db, run_id, undisturbed)


def test_every_table_is_compared(db, undisturbed, make, train):
    """A table or a column that is added is compared unless somebody says why not."""
    assert MAY_DIFFER.keys() | ASKED.keys() <= metadata.tables.keys()
    for name, columns in MAY_DIFFER.items():
        assert columns.keys() <= set(metadata.tables[name].c.keys())
    other = make(episodes=59)
    assert train(other) is Status.COMPLETED
    with pytest.raises(AssertionError):
        assert_same_tables(db, other, undisturbed)

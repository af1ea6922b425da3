"""Experiments in the store: started from a grid, looked at, enlarged, stopped and resumed as one."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from tests.runs import TINY
from v3core.curriculum import parse
from v3core.environment_setup import EnvironmentSetup
from v3core.errors import V3Error
from v3core.jobs import control, experiments, housekeeping, launcher
from v3core.jobs.experiments import Candidate, Grid, add_seeds, list_experiments, progress_of, resume_failed, start
from v3core.jobs.forks import Change, fork_all
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import Status
from v3core.store import schema
from v3core.store.experiment_rows import read_experiment
from v3core.store.history import read_checkpoints
from v3core.store.runs import get_run, update_run

CARTPOLE, ACROBOT = EnvironmentSetup("CartPole-v1"), EnvironmentSetup("Acrobot-v1")
ONE, TWO = (
    Candidate(parse(f"{{name: {name}, phases: [{{name: only, routing: {name}}}]}}"))
    for name in ("softmax", "sparsemax")
)
SWEPT = [("phases.only.load_balance", ("0.1", "0.2"))]


@pytest.fixture(autouse=True)
def _nothing_starts(monkeypatch):
    for module in ("launcher", "control", "forks"):
        monkeypatch.setattr(f"v3core.jobs.{module}.drain", lambda *_, **__: [])


def grid(seeds=(1, 2), curricula=(ONE, TWO), environments=(CARTPOLE,), settings=(), episodes=20):
    recipes = {setup.env_id: TINY for setup in environments}
    return Grid(curricula, environments, seeds, settings, episodes, recipes=recipes)


def end(db, run_id, status, **values):
    with db.write() as tx:
        update_run(tx, run_id, {"status": status, "ended_at": datetime.now(UTC), **values}, only_in=tuple(Status))


def test_a_grid_starts_as_one_experiment_which_is_recorded_as_asked(db):
    name, ids = start(db, grid(settings=SWEPT, environments=(CARTPOLE, ACROBOT)))
    assert name == "softmax or sparsemax · CartPole-v1, Acrobot-v1 · load_balance 0.1, 0.2 · seeds 1–2"
    progress = progress_of(db, name)
    assert [run.id for run in progress.runs] == ids
    assert progress.launches == (
        {
            "curricula": ["softmax", "sparsemax"],
            "environments": ["CartPole-v1", "Acrobot-v1"],
            "seeds": [1, 2],
            "settings": {"phases.only.load_balance": ["0.1", "0.2"]},
            "episodes": 20,
            "runs": 16,
        },
    )
    assert (progress.counts, progress.episode, progress.episodes) == ({"queued": 16}, 0, 320)
    second, _ = start(db, grid(settings=SWEPT, environments=(CARTPOLE, ACROBOT)))
    assert second == f"{name} (2)"


def test_a_double_click_starts_and_records_a_grid_once(db):
    token = "4b1c2a52-6a6d-4a6e-8c7c-0d5f6ad0a001"
    assert start(db, grid(), "E", token=token) == start(db, grid(), "E", token=token)
    assert len(progress_of(db, "E").runs) == 4
    assert progress_of(db, "E").deleted == 0


def test_nothing_is_queued_or_recorded_if_a_run_of_the_grid_cannot_be(db):
    with pytest.raises(V3Error, match="has no phase 'nowhere'"):
        start(db, grid(settings=[("phases.nowhere.lr", ("1",))]), "E")
    with pytest.raises(V3Error, match="line break"):
        start(db, grid(), "a\nb")
    assert list_experiments(db) == []
    with db.read() as tx:
        assert read_experiment(tx, "E") is None


def test_seeds_are_added_to_everything_that_is_compared(db):
    _, ids = start(db, grid(settings=SWEPT), "E", priority=0)
    control.extend(db, ids[0], 40)  # one run was trained longer, under its name of then
    more = [get_run(db, run_id) for run_id in add_seeds(db, "E", 3)]
    assert [run.seed for run in more] == [3] * 4 + [4] * 4 + [5] * 4
    assert [run.name for run in more[:2]] == [
        get_run(db, run_id).name.replace("seed 1", "seed 3") for run_id in ids[:2]
    ]
    before = {run.config.curriculum.model_dump_json() for run in progress_of(db, "E").runs}
    assert {run.config.curriculum.model_dump_json() for run in more} == before
    assert {run.config.episodes for run in more} == {20}
    assert progress_of(db, "E").launches[-1] == {"seeds": [3, 4, 5], "runs": 12}


def test_two_requests_for_more_seeds_at_once_add_them_once(db, monkeypatch):
    start(db, grid(), "E")
    seen = progress_of(db, "E")
    first = add_seeds(db, "E", 2)
    monkeypatch.setattr(experiments, "progress_of", lambda *_: seen)  # as a second tab that has read before
    assert add_seeds(db, "E", 2) == first
    assert len(list_experiments(db)[0].runs) == 4 + 4
    assert list_experiments(db)[0].deleted == 0


def test_two_requests_for_different_numbers_of_seeds_train_none_twice(db, monkeypatch):
    start(db, grid(), "E")
    seen = progress_of(db, "E")
    fewer = add_seeds(db, "E", 2)
    monkeypatch.setattr(experiments, "progress_of", lambda *_: seen)  # as a second tab that has read before
    more = add_seeds(db, "E", 3)
    assert more[: len(fewer)] == fewer
    runs = list_experiments(db)[0].runs
    assert len(runs) == len(seen.runs) + len(more)
    assert len({(run.curriculum, run.seed, run.config_json) for run in runs}) == len(runs)


def test_an_experiment_of_before_there_were_records_can_do_the_same(db, config):
    enqueue(db, [config(seed=seed, name="mine") for seed in (4, 9)], "Old")
    progress = progress_of(db, "Old")
    assert (progress.launches, progress.deleted) == ((), 0)
    more = [get_run(db, run_id) for run_id in add_seeds(db, "Old", 2)]
    assert [(run.seed, run.name) for run in more] == [(10, "mine · seed 10"), (11, "mine · seed 11")]
    assert [found.name for found in list_experiments(db)] == ["Old"]
    assert control.stop_experiment(db, "Old") == 4


def test_the_largest_seed_is_followed_by_free_ones(db, config):
    enqueue(db, [config(seed=seed) for seed in (0, 2**32 - 1)], "Old")
    assert [get_run(db, run_id).seed for run_id in add_seeds(db, "Old", 2)] == [1, 2]


@pytest.mark.parametrize("number", [0, -1])
def test_no_seeds_are_not_added(db, number):
    start(db, grid(), "E")
    with pytest.raises(V3Error, match="choose 1 or more"):
        add_seeds(db, "E", number)


def test_failed_and_lost_runs_are_resumed_and_others_left(db):
    _, ids = start(db, grid(), "E")
    for run_id, status in zip(ids, (Status.FAILED, Status.LOST, Status.STOPPED, Status.COMPLETED), strict=True):
        end(db, run_id, status, reason="why", host=None)
    assert [run.id for run in progress_of(db, "E").failed] == ids[:2]
    assert progress_of(db, "E").is_over
    outcome = resume_failed(db, "E")
    assert set(outcome.done) | set(outcome.refused) == set(ids[:2])
    assert get_run(db, ids[2]).status == Status.STOPPED
    end(db, ids[2], Status.COMPLETED)
    with pytest.raises(V3Error, match="No run of experiment 'E' is stopped"):
        experiments.resume_stopped(db, "E")


def test_deleted_runs_are_counted_and_with_the_last_the_record_goes(db):
    _, ids = start(db, grid(), "E")
    housekeeping.delete(db, ids[0])
    assert (progress_of(db, "E").deleted, len(progress_of(db, "E").runs)) == (1, 3)
    for run_id in ids[1:]:
        housekeeping.delete(db, run_id)
    with db.read() as tx:
        assert read_experiment(tx, "E") is None
    with pytest.raises(V3Error, match="There is no experiment 'E'"):
        progress_of(db, "E")


def test_an_unknown_experiment_names_close_ones(db):
    start(db, grid(), "Balance of load")
    with pytest.raises(V3Error, match=r"no experiment 'balance of lod'\. Did you mean Balance of load\?"):
        progress_of(db, "balance of lod")


@pytest.mark.parametrize("spec", [None, "", "{", "3", '"text"', "[1, null]", '[{"runs": "many"}]', '{"runs": 3}'])
def test_a_record_that_makes_no_sense_is_ignored(db, spec):
    start(db, grid(), "E")
    with db.write() as tx:
        tx.execute(update(schema.experiments).values(spec=spec))
    progress = progress_of(db, "E")
    assert (len(progress.runs), progress.deleted) == (4, 0)
    assert progress.to_dict()["runs"] == 4


def test_more_seeds_of_forks_begin_at_the_checkpoint_of_the_others(db, make, train):
    parent = make()
    train(parent)
    (*_, checkpoint) = [row.episode for row in read_checkpoints(db, parent) if row.episode < 60]
    with_change = Change(seed=1, assignments=("ppo.epochs=3", "episode_facts.x=game.x"))
    fork_all(db, parent, [Change(seed=1), with_change], episode=checkpoint, experiment="What if")
    added = [get_run(db, run_id) for run_id in add_seeds(db, "What if", 2)]
    assert [(run.seed, run.config.ppo.epochs, run.config.episode_facts) for run in added] == [
        (seed, epochs, facts)
        for seed in (2, 3)
        for epochs, facts in ((get_run(db, parent).config.ppo.epochs, {}), (3, {"x": "game.x"}))
    ]
    assert {(run.parent, run.parent_episode) for run in added} == {(parent, checkpoint)}
    assert {run.config.curriculum for run in added} == {get_run(db, parent).config.curriculum}
    for row in read_checkpoints(db, parent):
        (db.data_dir / row.path).unlink()
    with pytest.raises(V3Error, match="is gone or damaged"):
        add_seeds(db, "What if", 1)
    assert len(progress_of(db, "What if").runs) == 6


def test_thousands_of_runs_are_queued_and_stopped_in_several_commits(db, monkeypatch):
    monkeypatch.setattr("v3core.jobs.launcher.TOGETHER", 3)
    monkeypatch.setattr("v3core.jobs.control.TOGETHER", 3)
    token, created = "4b1c2a52-6a6d-4a6e-8c7c-0d5f6ad0a002", launcher.create

    def cut_off(tx, config, **more):
        if config.seed == 3:
            raise MemoryError("killed")
        return created(tx, config, **more)

    monkeypatch.setattr("v3core.jobs.launcher.create", cut_off)
    with pytest.raises(MemoryError):
        start(db, grid(seeds=(1, 2, 3, 4)), "E", token=token)
    assert len(progress_of(db, "E").runs) == 3  # whole commits only
    monkeypatch.setattr("v3core.jobs.launcher.create", created)
    _, ids = start(db, grid(seeds=(1, 2, 3, 4)), "E", token=token)
    assert [run.id for run in progress_of(db, "E").runs] == ids
    assert (len(ids), progress_of(db, "E").deleted) == (8, 0)
    end(db, ids[0], Status.COMPLETED)
    assert control.stop_experiment(db, "E") == 7
    assert progress_of(db, "E").counts == {"completed": 1, "stopped": 7}


def test_runs_that_wait_are_stopped_before_those_that_train(db, run_in, monkeypatch):
    start(db, grid(), "E")
    training = run_in(Status.RUNNING)
    with db.write() as tx:
        update_run(tx, training, {"experiment": "E"}, only_in=[Status.RUNNING])
    asked, stop = [], control._stop
    monkeypatch.setattr(control, "_stop", lambda tx, run, *more: (asked.append(run.status), stop(tx, run, *more)))
    control.stop_experiment(db, "E")
    assert asked == [Status.QUEUED] * 4 + [Status.RUNNING]

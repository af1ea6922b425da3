"""What the database computes of the tasks of a run, against a plain loop."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from v3core.store.history import add_evaluation, read_evaluations
from v3core.store.task_records import read_task_evaluation, read_task_points, read_tasks
from v3core.store.writer import EpisodeWriter


@pytest.fixture
def recorded(db, new_run, episode):
    """A run of two tasks, and its episodes."""
    run_id, random = new_run(db), np.random.default_rng(4)
    rows = [
        episode(
            number,
            task="A-v0" if random.random() < 0.3 else "B-v0",
            return_=math.nan if number == 7 else float(random.integers(10)),
            success=float(random.integers(2)),
            length=int(random.integers(1, 50)),
            loads=tuple(random.dirichlet(np.ones(4)).tolist()),
        )
        for number in range(1, 61)
    ]
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    writer.record(rows, rows[-1].step)
    writer.close()
    return run_id, rows


@pytest.mark.parametrize(("after", "last"), [(0, 60), (20, 45)])
def test_the_results_of_tasks_are_those_of_their_episodes(db, recorded, after, last):
    run_id, rows = recorded
    found = {result.task: result for result in read_tasks(db, run_id, after=after, last=last)}
    assert set(found) == {"A-v0", "B-v0"}
    for task, result in found.items():
        mine = [row for row in rows if row.task == task and after < row.episode <= last]
        lengths = np.array([row.length for row in mine])
        assert (result.episodes, result.steps) == (len(mine), lengths.sum())
        assert result.return_ == pytest.approx(np.nanmean([row.return_ for row in mine]))
        assert result.success == pytest.approx(np.mean([row.success for row in mine]))
        pooled = lengths @ np.array([row.loads for row in mine]) / lengths.sum()
        assert result.loads == pytest.approx(pooled)  # not the mean over episodes


def test_the_curves_of_tasks_have_a_point_for_each_part_of_the_run(db, recorded):
    run_id, rows = recorded
    points = read_task_points(db, run_id, last=60, parts=6)
    assert len(points) == 12
    for point in points:
        part = (point.episode - 1) // 10
        mine = [row for row in rows if row.task == point.task and (row.episode - 1) // 10 == part]
        assert (point.episode, point.episodes) == (mine[-1].episode, len(mine))
        assert point.return_ == pytest.approx(np.nanmean([row.return_ for row in mine]))
        assert point.success == pytest.approx(np.mean([row.success for row in mine]))


def test_a_run_on_one_environment_has_no_tasks(db, new_run, episode):
    run_id = new_run(db)
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    writer.record([episode(1), episode(2)], 20)
    writer.close()
    assert read_tasks(db, run_id, after=0, last=2) == []
    assert read_task_points(db, run_id, last=2, parts=20) == []
    assert read_task_evaluation(db, run_id) == {}


def test_the_newest_evaluation_has_its_own_figures_for_each_task(db, new_run):
    run_id, now = new_run(db), datetime.now(UTC)
    with db.write() as tx:
        for at, results in (
            (10, [(9.0, 5, 1.0)] * 4),
            (20, [(1.0, 5, 1.0), (2.0, 5, None), (3.0, 5, 0.0), (math.nan, 5, None)]),
        ):
            add_evaluation(
                tx, run_id, episode=at, step=at, env="A + B", results=results, now=now, tasks=["A", "B", "A", "B"]
            )
    found = read_task_evaluation(db, run_id)
    assert found["A"] == (2, 2.0, 0.5)
    assert found["B"][:2] == (2, 2.0)
    assert math.isnan(found["B"][2])
    assert read_evaluations(db, run_id)[-1].tasks == ("A", "B", "A", "B")


def test_an_episode_without_known_loads_does_not_count_among_the_steps_that_loads_are_of(db, new_run, episode):
    run_id, unknown = new_run(db), (math.nan,) * 4
    rows = [
        episode(1, task="A-v0", length=30, loads=(0.5, 0.5, 0.0, 0.0)),
        episode(2, task="A-v0", length=90, loads=unknown),
        episode(3, task="A-v0", length=10, loads=(0.1, 0.9, 0.0, 0.0)),
        episode(4, task="B-v0", length=10, loads=unknown),
    ]
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    writer.record(rows, rows[-1].step)
    writer.close()
    one, other = sorted(read_tasks(db, run_id, after=0, last=4), key=lambda result: result.task)
    assert one.loads == pytest.approx((0.4, 0.6, 0.0, 0.0))
    assert one.steps == 130
    assert all(map(math.isnan, other.loads))

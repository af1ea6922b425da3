"""Tasks of groups of runs on several environments."""

import math

import pytest

from tests.comparison.made import STEPS, made_run
from v3core.comparison import compare
from v3core.comparison.task_results import group_tasks, lowest_words
from v3core.store.database import Database
from v3core.store.history import add_evaluation

ONE, OTHER = "CartPole-v0", "CartPole-v1"
BOTH = f"{ONE} + {OTHER}"


def test_each_task_is_the_mean_of_the_runs_that_count(db: Database) -> None:
    returns = [10.0, 20.0] * 10
    runs = [made_run(db, seed=seed, env=BOTH, returns=returns, solved={ONE: 1, OTHER: 0.1 * seed}) for seed in (1, 2)]
    runs.append(made_run(db, seed=3, env=BOTH, returns=returns, solved={ONE: 0, OTHER: 0}, status="running"))
    one, other = group_tasks(db, runs, compare(db, runs, metric="return"))
    assert [(task.group, task.task, task.runs, task.return_) for task in (one, other)] == [
        ("v3", ONE, 2, 10),
        ("v3", OTHER, 2, 20),
    ]
    assert (one.success, one.lowest_success) == (1, 1)
    assert (other.success, other.lowest_success) == (pytest.approx(0.15), pytest.approx(0.1))
    assert one.effective_experts == pytest.approx(math.exp(-0.25 * math.log(0.25) - 0.75 * math.log(0.75)))
    assert (one.specialisation, math.isnan(one.evaluated_success)) == (0, True)
    assert lowest_words([one, other]) == ["v3: the lowest success is in CartPole-v1, 15%."]
    described = other.to_dict()
    assert (described["return"], math.isnan(described["evaluated_success"])) == (20, True)


def test_evaluations_say_of_a_task_whether_it_is_solved(db: Database) -> None:
    run = made_run(db, env=BOTH, returns=[1.0] * 20, solved={ONE: 0.2, OTHER: 0.9})
    with db.write() as tx:
        results, at = [(5.0, STEPS, 1.0), (7.0, STEPS, 0.0)], run.ended_at
        assert at is not None
        add_evaluation(tx, run.id, episode=20, step=200, env=BOTH, results=results, tasks=[ONE, OTHER], now=at)
    tasks = group_tasks(db, [run], compare(db, [run]))
    assert [(task.evaluated_return, task.evaluated_success) for task in tasks] == [(5, 1), (7, 0)]
    assert lowest_words(tasks) == ["v3: the lowest success is in CartPole-v1, 0%."]
    at_step = group_tasks(db, [run], compare(db, [run], metric="return", until=100))
    assert [(task.success, math.isnan(task.evaluated_success)) for task in at_step] == [(0.2, True), (0.9, True)]


def test_tasks_are_those_at_the_step_of_the_comparison_and_of_its_phase(db: Database) -> None:
    returns = [1.0] * 10 + [5.0] * 10
    run = made_run(db, env=BOTH, returns=returns, early=10, solved={ONE: 1, OTHER: 1})
    assert {task.return_ for task in group_tasks(db, [run], compare(db, [run], metric="return"))} == {5}
    found = compare(db, [run], metric="return", until=10 * STEPS)
    assert {task.return_ for task in group_tasks(db, [run], found)} == {1}


def test_runs_on_one_environment_have_none(db: Database) -> None:
    run = made_run(db, returns=[1.0] * 10)
    assert group_tasks(db, [run], compare(db, [run], metric="return")) == []

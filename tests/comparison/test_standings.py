"""What an experiment says so far, from runs that have ended and others."""

import math

from tests.comparison.made import made_groups, made_run, with_epochs
from v3core.comparison.standings import standings_of
from v3core.comparison.varied import varied


def test_groups_are_what_the_experiment_varies_within_an_environment(db):
    runs = [
        made_run(db, curriculum=name, load_balance=balance, env=env, recipe=with_epochs(epochs), evaluations=[(10, 5)])
        for env, epochs in (("CartPole-v1", 1), ("Acrobot-v1", 2))
        for name in ("one", "two")
        for balance in (0.1, 0.2)
    ]
    assert varied(runs) == ("curriculum", "phases.late.load_balance")
    assert [(standing.result.env, standing.result.name) for standing in standings_of(db, runs).groups] == [
        (env, f"{name} · load_balance={balance}")
        for env in ("Acrobot-v1", "CartPole-v1")
        for name in ("one", "two")
        for balance in ("0.1", "0.2")
    ]


def test_one_curriculum_is_one_group_whatever_the_seeds_and_lengths(db):
    runs = [made_run(db, seed=seed, returns=[1.0] * length) for seed, length in ((1, 10), (2, 20))]
    (standing,) = standings_of(db, runs).groups
    assert (standing.result.name, len(standing.result.runs)) == ("v3", 2)


def test_finals_are_of_completed_runs_and_what_is_so_far_of_all(db):
    runs = made_groups(db, {"one": [10, 20]})
    runs.append(made_run(db, curriculum="one", seed=3, returns=[90.0] * 4, status="running"))
    runs.append(made_run(db, curriculum="one", seed=4, status="queued"))
    (standing,) = standings_of(db, runs).groups
    assert (standing.result.final.n, standing.result.final.value) == (2, 15)
    assert standing.so_far.n == 3
    assert (standing.result.unfinished, standing.result.failed) == (2, 0)


def test_without_evaluations_returns_are_compared(db):
    runs = [made_run(db, seed=seed, returns=[float(seed)] * 10) for seed in (1, 3)]
    standings = standings_of(db, runs)
    assert (standings.comparison.metric, standings.groups[0].result.final.value) == ("return", 2)


def test_an_experiment_that_has_not_begun_has_groups_without_numbers(db):
    runs = [made_run(db, seed=seed, status="queued") for seed in (1, 2)]
    found = standings_of(db, runs).to_dict()["groups"][0]
    assert math.isnan(found["so_far"]["value"])
    assert (found["so_far"]["n"], found["final"]["n"], len(found["runs"])) == (0, 0, 2)

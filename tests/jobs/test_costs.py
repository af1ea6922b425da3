"""What a launch costs, from runs that were recorded on this machine."""

from dataclasses import replace

import pytest

from tests.comparison.made import START, STEPS, made_run
from tests.runs import tiny_config
from v3core.insight.duration import Duration, Pace
from v3core.jobs import costs
from v3core.jobs.costs import cost_of, seconds_left
from v3core.jobs.identity import current
from v3core.store.runs import get_run, update_run

EPISODES, SECONDS = 20, 2.0
"""Of an earlier run, and of each of its episodes."""


@pytest.fixture(autouse=True)
def _two_slots(monkeypatch):
    monkeypatch.setattr(costs, "slots", lambda _: 2)


def trained_here(db, env="CartPole-v1", **more):
    run = made_run(db, env=env, returns=[1.0] * EPISODES, planned=EPISODES, **more)
    with db.write() as tx:
        update_run(tx, run.id, vars(current()), only_in=[run.status])
    return get_run(db, run.id)


def pace(database, run):
    """A steady run: its episodes on the clock."""
    numbers = list(range(1, run.episode + 1))
    slower = 3 if run.env == "Acrobot-v1" else 1
    return Pace(numbers, [STEPS * number for number in numbers], [SECONDS * slower * number for number in numbers])


def configs(env, count, episodes=EPISODES):
    return [tiny_config(env=env, episodes=episodes, seed=seed) for seed in range(count)]


def test_a_grid_over_environments_takes_what_each_of_them_took(db):
    trained_here(db)
    trained_here(db, env="Acrobot-v1")
    cost = cost_of(db, [*configs("CartPole-v1", 4), *configs("Acrobot-v1", 4)], pace)
    assert (cost.runs, cost.episodes, cost.steps) == (8, 8 * EPISODES, 8 * EPISODES * STEPS)
    assert cost.duration == Duration(pytest.approx(320), pytest.approx(320))  # 4 × 40 s and 4 × 120 s on two slots
    assert cost.amount() == "8 runs · 160 episodes · about 1,600 environment steps"
    assert "1 earlier run of CartPole-v1" in cost.time()
    assert "and 1 earlier run of Acrobot-v1" in cost.time()


def test_a_thinned_run_is_no_measure_because_the_times_of_its_episodes_are_gone(db):
    run = trained_here(db)
    assert cost_of(db, configs("CartPole-v1", 1), pace).duration is not None
    with db.write() as tx:
        update_run(tx, run.id, {"thinned_at": START}, only_in=[run.status])
    assert cost_of(db, configs("CartPole-v1", 1), pace).duration is None


def test_one_environment_that_was_never_trained_makes_the_whole_unknown(db):
    trained_here(db)
    cost = cost_of(db, [*configs("CartPole-v1", 1), *configs("Acrobot-v1", 1)], pace)
    assert (cost.steps, cost.duration) == (None, None)
    assert cost.time() == "Time unknown: no earlier run of Acrobot-v1 on this machine."


def test_a_run_whose_configuration_cannot_be_read_is_no_problem(db):
    broken = trained_here(db)
    with db.write() as tx:
        update_run(tx, broken.id, {"config": "{}"}, only_in=[broken.status])
    trained_here(db, name="whole")
    assert cost_of(db, configs("CartPole-v1", 1), pace).duration is not None


def test_the_time_left_is_that_of_what_trains_and_waits_shared_by_the_slots(db):
    trained_here(db)
    waiting = [made_run(db, seed=seed, status="queued", planned=EPISODES) for seed in range(4)]
    assert seconds_left(db, waiting, pace) == pytest.approx(4 * EPISODES * SECONDS / 2)
    half = made_run(db, seed=9, status="queued", returns=[1.0] * 10, planned=EPISODES)
    assert seconds_left(db, [half], pace) == pytest.approx(EPISODES * SECONDS / 2)
    training = made_run(db, seed=8, status="running", returns=[1.0] * 10, planned=EPISODES)
    assert seconds_left(db, [training], pace) is None  # its speed is not known yet
    with db.write() as tx:
        update_run(tx, training.id, {"episodes_per_second": 0.05}, only_in=["running"])
    assert seconds_left(db, [get_run(db, training.id), *waiting[:1]], pace) == pytest.approx(200)
    assert seconds_left(db, [], pace) == 0


def test_the_time_left_of_many_runs_that_are_alike_is_measured_once(db):
    """Also where the configuration of one that waits cannot be read, which is then as unknown as a new one."""
    trained_here(db)
    waiting = [made_run(db, seed=seed, status="queued", planned=EPISODES) for seed in range(5)]
    reads = []
    assert seconds_left(db, waiting, lambda *args: reads.append(args) or pace(*args)) == pytest.approx(100)
    assert len(reads) == 1
    with db.write() as tx:
        update_run(tx, waiting[0].id, {"config": "{}"}, only_in=["queued"])
    assert seconds_left(db, [replace(get_run(db, waiting[0].id), status="queued")], pace) == pytest.approx(40)

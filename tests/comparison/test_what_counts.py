"""Which episodes, runs and phases a comparison is of."""

import math

import numpy as np
import pytest
from sqlalchemy import update

from tests.comparison.made import START, STEPS, made_run
from tests.runs import TINY
from v3core.comparison import compare
from v3core.comparison.curves import on_grid
from v3core.comparison.looking import Grouping, answer
from v3core.comparison.pictures import curve_pictures
from v3core.comparison.tables import mean_words
from v3core.config import EvaluationConfig
from v3core.metrics import COMPARED, MOST_USED_LOAD, POOLED, POOLED_EXPERTS
from v3core.report.gathering import ROUTING
from v3core.rollup import mean_window
from v3core.store.database import Database
from v3core.store.runs import list_runs
from v3core.store.schema import runs as run_table


def steps_to(db: Database, returns: list[float], threshold: float) -> float | None:
    """Of a run with these returns."""
    run = made_run(db, returns=returns)
    (group,) = compare(db, [run], metric="return", threshold=threshold).groups
    return group.runs[0].steps_to


def test_the_step_of_a_threshold_is_that_of_an_episode_not_of_a_bucket(db: Database) -> None:
    """1,600 episodes are read in buckets of 4; the mean of 100 is 0.5 with the fiftieth episode of the rise."""
    for rise in (801, 802, 803, 804):
        returns = [float(number >= rise) for number in range(1, 1601)]
        assert steps_to(db, returns, 0.5) == (rise + 49) * STEPS


def test_of_600_episodes_in_buckets_of_2_it_is_so_too(db: Database) -> None:
    for rise in (301, 302):
        assert steps_to(db, [float(number >= rise) for number in range(1, 601)], 0.5) == (rise + 29) * STEPS


def test_a_threshold_that_is_reached_with_the_last_step_is_reached(db: Database) -> None:
    assert steps_to(db, [0.0] * 19 + [1000.0], 100) == 20 * STEPS


@pytest.mark.parametrize(("until", "final"), [(40, None), (50, 10), (99, 10), (100, 20)])
def test_the_newest_evaluation_by_a_step_counts_there(db: Database, until: int, final: float | None) -> None:
    run = made_run(db, returns=[1.0] * 12, evaluations=[(5, 10.0), (10, 20.0)])
    (found,) = compare(db, [run], until=until).groups[0].runs
    assert found.final == final if final else found.left_out == "has no mean return of evaluations"


@pytest.mark.parametrize(("episodes", "step"), [(20, 120), (19, 100)])
def test_ten_evaluations_are_enough_to_say_when_a_threshold_was_reached(db: Database, episodes: int, step: int) -> None:
    """Else the training return does: it is at the threshold with the first mean over 10 episodes."""
    recipe = TINY.model_copy(update={"evaluation": EvaluationConfig(episodes=2, every=2)})
    evaluations = [(at, 500.0 * (at >= 12)) for at in range(2, episodes + 1, 2)]
    run = made_run(db, returns=[500.0] * episodes, evaluations=evaluations, recipe=recipe, planned=episodes)
    (found,) = compare(db, [run]).groups[0].runs
    assert found.steps_to == step


def test_of_a_thinned_run_only_evaluations_say_when_a_threshold_was_reached(db: Database) -> None:
    recipe = TINY.model_copy(update={"evaluation": EvaluationConfig(episodes=2, every=1)})
    evaluations = [(at, 500.0 * (at >= 12)) for at in range(1, 21)]
    run = made_run(db, returns=[500.0] * 20, evaluations=evaluations, recipe=recipe, planned=20)
    with db.write() as tx:
        tx.execute(update(run_table).where(run_table.c.id == run.id).values(thinned_at=START))
    unknown, known = (compare(db, list_runs(db), metric=metric, threshold=100) for metric in ("return", "evaluation"))
    (of_return,), (of_evaluation,) = unknown.groups[0].runs, known.groups[0].runs
    assert (np.isnan(of_return.steps_to), of_evaluation.steps_to) == (True, 120)
    assert [any("were thinned" in note for note in found.notes) for found in (unknown, known)] == [True, False]


def test_a_threshold_that_holds_from_the_start_is_reached_with_the_first_whole_mean(db: Database) -> None:
    assert steps_to(db, [1.0] * 1600, 0.5) == 100 * STEPS
    assert steps_to(db, [1.0] * 1600, 2.0) == float("inf")


def test_crossings_are_exact_for_any_returns(db: Database) -> None:
    random = np.random.default_rng(3)
    returns = np.cumsum(random.normal(0.05, 1, 900)).round(3)
    means = np.convolve(returns, np.ones(90) / 90, "valid")
    first = int(np.flatnonzero(means >= 12)[0]) + 90
    found = steps_to(db, returns.tolist(), 12)
    # Within a bucket a mean may touch the threshold and fall below it again before the bucket ends.
    assert found is not None
    assert first * STEPS <= found <= (first + 3) * STEPS


def test_each_environments_final_values_are_over_episodes_that_suit_its_own_runs(db: Database) -> None:
    rising = [float(number) for number in range(1, 401)]
    long = made_run(db, env="CartPole-v1", returns=rising)
    short = made_run(db, env="Acrobot-v1", returns=[-100.0] * 20)
    alone = compare(db, [long], metric="return").groups[0].final.value
    together = {group.env: group.final.value for group in compare(db, [long, short], metric="return").groups}
    assert mean_window(400) != mean_window(20)
    assert together["CartPole-v1"] == alone == pytest.approx(np.mean(rising[-mean_window(400) :]))


def test_final_values_are_of_the_phase_in_force(db: Database) -> None:
    """Of 400 episodes the window is 40; the last phase began 15 episodes ago, with returns of another kind."""
    returns = [240.0] * 385 + [160.0] * 15
    runs = [made_run(db, seed=1, returns=returns, early=385), made_run(db, seed=2, returns=returns, early=360)]
    found = compare(db, runs, metric="return")
    (group,) = found.groups
    assert found.mean_over == {"CartPole-v1": 40}
    assert [(run.final, run.mean_of) for run in group.runs] == [(160, 15), (pytest.approx(210), 40)]
    (note,) = (note for note in found.notes if "phase in force" in note)
    assert note == (
        "The phase in force has fewer than 40 episodes in 1 run, whose final value is of those alone: v3 1 (15)."
    )
    (group,) = compare(db, runs, metric="return", until=385 * STEPS).groups
    assert [(run.final, run.mean_of) for run in group.runs] == [(240, 40), (240, 25)], "in force at that step"
    (group,) = compare(db, runs, metric="recent_dead_experts").groups
    assert [run.mean_of for run in group.runs] == [None, None], "over a window of its own"


@pytest.mark.parametrize(("early", "straddling", "first"), [(0, (), 0.8), (12, (), 0.8), (12, (13, 15), 2 / 3)])
def test_loads_are_pooled_by_steps_before_they_are_judged(
    db: Database, early: int, straddling: tuple[int, ...], first: float
) -> None:
    """Episodes with one expert each, of 40 and 10 steps by turns: none has both, and neither expert has all steps."""
    run = made_run(db, returns=[1.0] * 20, loads=[(40, (1, 0)), (10, (0, 1))], early=early, straddling=straddling)
    finals = {metric: compare(db, [run], metric=metric).groups[0].final.value for metric in (*POOLED, "load_cv")}
    assert finals == {
        MOST_USED_LOAD: pytest.approx(first),
        POOLED_EXPERTS: pytest.approx(math.exp(-first * math.log(first) - (1 - first) * math.log(1 - first))),
        "load_cv": 0.5,
    }
    (group,) = (found := compare(db, [run], metric=MOST_USED_LOAD)).groups
    assert [one.mean_of for one in group.runs] == [8 if early else 10]
    assert str(mean_words(found)).startswith("Of each run it is over all steps of the last 10 episodes of the phase in")
    if not straddling:
        grid = on_grid(db, [run], MOST_USED_LOAD, "episode", points=4, window=10)
        assert np.isnan(grid.y[0, 0])
        assert grid.y[0, 1:] == pytest.approx([0.8] * 3)


def test_a_phase_of_straddling_episodes_alone_has_no_pooled_loads(db: Database) -> None:
    run = made_run(db, returns=[1.0] * 20, loads=[(40, (1, 0)), (10, (0, 1))], early=18, straddling=(19, 20))
    (found,) = compare(db, [run], metric=MOST_USED_LOAD).groups[0].runs
    assert found.left_out == "has no load of the most used expert"


def test_a_copy_of_a_run_is_in_no_band(db: Database) -> None:
    runs = [made_run(db, seed=seed, returns=[float(seed)] * 10) for seed in (1, 2, 2)]
    found = answer(db, runs, "return", Grouping(("curriculum",)))
    assert len(found.copies) == 1
    ((picture,), _) = curve_pictures(db, runs, "return", Grouping(("curriculum",)), found)
    assert "2 runs" in picture.figure.layout.meta["alt"]


def test_phases_that_never_began_are_counted(db: Database) -> None:
    runs = [
        made_run(db, seed=seed, returns=[1.0] * 10, ended_in="late" if seed == 1 else "early") for seed in (1, 2, 3)
    ]
    (note,) = (note for note in compare(db, runs, metric="return").notes if "began" in note)
    assert note == (
        "2 complete runs ended before late began, so that a part of the curriculum was never trained: v3 2, v3 3."
    )


def test_reports_draw_metrics_that_are_compared() -> None:
    assert set(ROUTING) <= set(COMPARED)

"""What a run of a study comes to."""

import math

import numpy as np
import pytest

from v3core.claims.study_outcomes import OUTCOMES, Recorded
from v3core.insight.task_loads import TaskResult


def recorded(lengths, returns, loads, **others):
    length = np.array(lengths, dtype=float)
    values = {
        "step": length.cumsum(),
        "length": length,
        "returns": np.array(returns, dtype=float),
        "loads": np.array(loads, dtype=float),
        "close": np.zeros(len(length)),
        "boundaries": (),
        "evaluation": (),
        "successes": (),
        "complete": (),
        "without": {},
        "seconds": 1.0,
    }
    return Recorded(**(values | others))


def of(outcome, run):
    return OUTCOMES[outcome].of(run)


def test_an_expert_is_dead_by_its_load_over_the_steps_at_the_end_not_by_episodes():
    early, long, short = [0.0, 1.0], [0.985, 0.015], [1.0, 0.0]
    # 90 of the last 100 steps are one episode, in which the second expert has 1.5 %: 1.35 % of all, 0.14 % by episodes.
    run = recorded([900, 90, *[1] * 10], [0] * 12, [early, long, *[short] * 10])
    assert of("dead_experts", run) == 0
    assert of("dead_experts", recorded([900, 60, *[4] * 10], [0] * 12, [early, long, *[short] * 10])) == 1
    assert of("largest_load", run) == pytest.approx(1 - 0.0135)


def test_falls_are_measured_below_what_was_reached_before_and_drops_across_boundaries():
    rising = [10.0] * 50 + [20.0] * 50
    falling = [10.0] * 40 + [50.0] * 20 + [30.0] * 40
    run = recorded([10] * 100, falling, [[1.0]] * 100, boundaries=(600.0,))
    assert of("largest_fall", run) == 20
    assert of("boundary_drop", run) == 20
    assert of("final_return", run) == 30
    assert of("mean_return", run) == pytest.approx(26)
    steady = recorded([10] * 100, rising, [[1.0]] * 100, boundaries=(500.0,))
    assert of("largest_fall", steady) == 0
    assert of("boundary_drop", steady) == -10


def test_ties_count_in_the_steps_before_each_boundary():
    close = np.zeros(100)
    close[45:50] = 0.5
    run = recorded([10] * 100, [0] * 100, [[1.0]] * 100, close=close, boundaries=(500.0, 900.0))
    assert of("ties_before", run) == pytest.approx(0.25)


def test_ties_are_a_share_of_steps_not_of_episodes():
    # The first half of the last twentieth before the boundary is one episode with ties, the rest 25 without.
    lengths, close = [450, 25, *[1] * 25, 500], [0, 1, *[0] * 25, 0]
    run = recorded(lengths, [0] * 28, [[1.0]] * 28, close=np.array(close, float), boundaries=(500.0,))
    assert of("ties_before", run) == pytest.approx(0.5)
    assert math.isnan(of("ties_before", recorded([450, 550], [0, 0], [[1.0]] * 2, boundaries=(440.0,))))


def test_knock_outs_say_how_much_each_expert_matters():
    run = recorded([1], [0], [[0.5, 0.5]], complete=(100.0, 100.0), without={0: (98.0, 96.0), 1: (0.0, 20.0)})
    assert of("knockout_drop", run) == pytest.approx((3 + 90) / 2)
    assert of("needed_experts", run) == 1


def test_of_several_environments_the_worst_and_how_they_share_the_experts():
    def task(name, loads):
        return TaskResult(name, episodes=5, steps=50, return_=0.0, success=1.0, loads=loads)

    apart = (task("A", (1.0, 0.0)), task("B", (0.0, 1.0)))
    run = recorded([1], [0], [[0.5, 0.5]], tasks=apart, evaluated_tasks={"A": 0.9, "B": 0.2})
    assert of("lowest_success", run) == 0.2
    assert of("task_specialisation", run) == pytest.approx(math.log(2))
    alike = recorded([1], [0], [[0.5, 0.5]], tasks=(task("A", (0.5, 0.5)), task("B", (0.5, 0.5))))
    assert of("task_specialisation", alike) == 0


@pytest.mark.parametrize("outcome", sorted(set(OUTCOMES) - {"seconds"}))
def test_what_was_not_measured_is_no_number(outcome):
    empty = recorded([], [], np.zeros((0, 2)))
    assert math.isnan(of(outcome, empty))

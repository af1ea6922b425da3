"""How tasks share experts, against scipy and by worked examples."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from v3core.insight.task_loads import in_order, task_distances, task_specialisation


def test_tasks_that_share_no_expert_are_told_apart_by_it():
    assert task_specialisation([[1, 0], [0, 1]], [10, 10]) == pytest.approx(math.log(2))
    assert task_distances([[1, 0], [0, 1]]) == pytest.approx(np.array([[0, 1], [1, 0]]))


def test_tasks_that_use_the_experts_alike_are_not():
    assert task_specialisation([[0.3, 0.7], [0.3, 0.7]], [1, 1000]) == pytest.approx(0, abs=1e-12)
    assert task_distances([[0.3, 0.7], [0.3, 0.7]]) == pytest.approx(np.zeros((2, 2)), abs=1e-7)


def test_the_share_of_a_task_is_that_of_its_steps():
    loads, steps = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([30, 10])
    together = loads * (steps / steps.sum())[:, None]
    expected = (together * np.log(together / (together.sum(1, keepdims=True) * together.sum(0)))).sum()
    assert task_specialisation(loads, steps) == pytest.approx(expected)
    assert task_specialisation(loads, steps) != pytest.approx(task_specialisation(loads, [1, 1]), rel=0.01)
    assert math.isnan(task_specialisation(np.empty((0, 2)), []))


def test_distances_are_those_of_scipy():
    loads = np.random.default_rng(1).dirichlet(np.full(5, 0.4), 4)
    found = task_distances(loads)
    for one in range(4):
        for other in range(4):
            assert found[one, other] == pytest.approx(jensenshannon(loads[one], loads[other], base=2), abs=1e-7)


def test_results_are_in_the_order_of_the_run():
    assert in_order("cabz", "bac") == ["b", "a", "c", "z"]


def test_nothing_is_said_of_loads_that_are_not_known():
    assert math.isnan(task_specialisation([[0.5, 0.5], [math.nan, math.nan]], [10, 10]))

"""What loads say about experts, against values worked by hand."""

import math

import numpy as np
import pytest

from v3core.insight.loads import dead_experts, effective_experts, load_entropy


def test_loads_are_shared_by_as_many_as_their_entropy_says():
    assert effective_experts([0.5, 0.5, 0.0]) == pytest.approx(2.0)
    assert effective_experts([1.0, 0.0, 0.0]) == pytest.approx(1.0)
    assert math.isnan(effective_experts([math.nan, 0.5]))
    assert math.isnan(effective_experts([]))


def test_each_row_has_its_own_entropy():
    rows = np.array([[0.25] * 4, [1.0, 0.0, 0.0, 0.0], [0.5, math.nan, 0.5, 0.0]])
    np.testing.assert_allclose(load_entropy(rows), [math.log(4), 0.0, math.nan])
    np.testing.assert_allclose(effective_experts(rows), [4.0, 1.0, math.nan])
    assert load_entropy(np.empty((0, 4))).shape == (0,)


def test_an_expert_below_one_percent_is_dead():
    assert dead_experts([0.5, 0.495, 0.005]) == 1
    assert dead_experts([0.25] * 4) == 0
    assert dead_experts([math.nan] * 4) is dead_experts([]) is None, "not known"

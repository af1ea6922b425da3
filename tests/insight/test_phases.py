"""What loads say about experts, against values worked by hand."""

import math

import pytest

from v3core.insight.phases import dead_experts, effective_experts


def test_loads_are_shared_by_as_many_as_their_entropy_says():
    assert effective_experts([0.5, 0.5, 0.0]) == pytest.approx(2.0)
    assert effective_experts([1.0, 0.0, 0.0]) == pytest.approx(1.0)
    assert math.isnan(effective_experts([math.nan, 0.5]))
    assert math.isnan(effective_experts([]))


def test_an_expert_below_one_percent_is_dead():
    assert dead_experts([0.5, 0.495, 0.005]) == 1
    assert dead_experts([0.25] * 4) == 0

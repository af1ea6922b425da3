"""Correlations within groups, beside scipy's and beside a regression with a mean for each group."""

import math

import numpy as np
import pytest
from scipy import stats

from v3core.insight.correlation import correlation_within


@pytest.mark.parametrize("runs", [5, 12])
@pytest.mark.parametrize("seed", range(5))
def test_of_one_group_it_is_scipys(seed, runs):
    x, y = np.random.default_rng(seed).normal(size=(2, runs))
    found, wanted = correlation_within([(x, y)]), stats.pearsonr(x, y)
    interval = wanted.confidence_interval()
    assert found.estimate.value == pytest.approx(wanted.statistic)
    assert found.p == pytest.approx(wanted.pvalue)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((interval.low, interval.high))


def test_of_several_groups_its_p_is_that_of_the_slope_beside_their_means():
    random = np.random.default_rng(7)
    groups = np.repeat(np.arange(3), 6)
    x = random.normal(size=18) + 5 * groups
    y = 0.6 * x - 9 * groups + random.normal(size=18)
    found = correlation_within([(x[groups == one], y[groups == one]) for one in range(3)])
    design = np.column_stack([x, *(groups == one for one in range(3))]).astype(float)
    solution, (squares,), *_ = np.linalg.lstsq(design, y, rcond=None)
    degrees = 18 - 4
    error = math.sqrt(squares / degrees * np.linalg.inv(design.T @ design)[0, 0])
    assert found.p == pytest.approx(2 * stats.t.sf(abs(solution[0] / error), degrees))
    assert found.estimate.n == 18


def test_an_interval_misses_what_is_not_there_once_in_twenty():
    random = np.random.default_rng(1)
    missed = 0
    for _ in range(800):
        groups = random.normal(size=(3, 2, 8)) + random.normal(size=(3, 2, 1)) * 10
        missed += correlation_within(list(groups)).estimate.excludes(0)
    assert 0.03 <= missed / 800 <= 0.07


@pytest.mark.parametrize(
    ("groups", "n"),
    [
        ([], 0),
        ([([1], [2]), ([3], [4])], 0),
        ([([1, 2, 3], [1, 2, 4])], 3),
        ([([1, 2], [2, 5]), ([3, 5], [1, 1.5]), ([3, 4], [1, 3])], 6),  # of which three means were estimated
        ([([1, 1, 1, 1, 1, 1], [1, 2, 3, 4, 5, 6])], 6),
        ([([0.1] * 10, [0.3] * 10)], 10),  # whose means are not 0.1 and 0.3 to the last bit
        ([([0.1] * 10, list(range(10)))], 10),
        ([([1, math.nan, 3, 4, math.inf], [1, 2, 3, math.nan, 5])], 2),
    ],
)
def test_of_few_runs_or_none_that_differ_there_is_no_interval(groups, n):
    found = correlation_within(groups)
    assert (found.estimate.low, found.p, found.estimate.n) == (None, None, n)
    if n == 10:
        assert math.isnan(found.estimate.value)


def test_a_line_is_a_correlation_of_one():
    found = correlation_within([([1, 2, 3, 4, 5], [2, 4, 6, 8, 10]), ([1, 2], [9, 11])])
    assert found.estimate.value == pytest.approx(1)
    assert found.p == pytest.approx(0, abs=1e-12)


def test_rounding_makes_no_correlation_beyond_minus_one_or_one():
    for seed in range(100):
        x = np.random.default_rng(seed).normal(size=7)
        for slope in (-3, 3):
            estimate = correlation_within([(x, slope * x + 1)]).estimate
            assert -1 <= estimate.value <= 1
            assert -1 <= estimate.low <= estimate.high <= 1

"""What a knock-out says of an expert."""

import math

import numpy as np
import pytest
import scipy.stats

from v3core.insight.removals import Verdict, interval, largest_loss, removals


def test_the_interval_covers_the_mean_as_often_as_it_says():
    random = np.random.default_rng(0)
    for count in (2, 5, 12, 40):
        covered = 0
        for _ in range(2000):
            found = interval(random.normal(3, 2, count).tolist())
            covered += found.low <= 3 <= found.high
        assert covered / 2000 == pytest.approx(0.95, abs=0.02), count


def test_too_few_episodes_have_no_interval():
    one = interval([4.0, math.nan, math.inf])
    assert (one.mean, one.count) == (4.0, 1)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert interval([]).count == 0
    assert math.isnan(interval([math.nan]).mean)


@pytest.mark.parametrize(
    ("complete", "without", "verdict"),
    [
        ([500.0] * 10, [9.0, 10, 9, 11, 10, 9, 9, 10, 12, 9], Verdict.NEEDED),
        ([500.0] * 10, [500.0] * 10, Verdict.IDLE),
        ([500.0, 490] * 5, [495.0, 492] * 5, Verdict.IDLE),
        ([10.0, 12, 11, 9], [100.0, 120, 90, 110], Verdict.HARMFUL),
        ([10.0, 500, 20, 480], [480.0, 15, 500, 20], Verdict.UNCLEAR),
        ([500.0], [9.0], Verdict.UNCLEAR),  # one episode shows nothing
        ([0.0] * 5, [0.0] * 5, Verdict.IDLE),
        ([-200.0, -150, -180], [-500.0, -460, -480], Verdict.NEEDED),
        ([math.nan] * 3, [1.0] * 3, Verdict.UNCLEAR),
    ],
)
def test_verdicts(complete, without, verdict):
    (removal,) = removals(complete, {0: without})
    assert removal.verdict is verdict


def test_pairs_are_compared_not_means():
    """Episodes differ by hundreds, but each loses ten without the expert."""
    complete = [100.0, 300, 500, 700, 900]
    (removal,) = removals(complete, {2: [value - 10 - place % 2 for place, value in enumerate(complete)]})
    assert removal.expert == 2
    assert removal.difference.mean == pytest.approx(-10.4)
    assert removal.difference.high < 0
    assert removal.verdict is Verdict.IDLE  # ten of five hundred
    assert removal.returns.low < 500 < removal.returns.high


def test_the_largest_loss_is_that_of_the_expert_that_is_missed_most():
    assert largest_loss([10.0, math.inf, 20.0], {0: [5.0, 5.0], 1: [30.0, 30.0]}) == 10
    assert largest_loss([10.0], {0: [12.0]}) == -2
    assert math.isnan(largest_loss([10.0], {}))
    assert math.isnan(largest_loss([10.0], {0: [math.nan]}))


@pytest.mark.parametrize("count", [*range(2, 40), 201, 1001])
def test_the_width_of_an_interval_is_that_of_students_t(count):
    accuracy = 5e-4 if count <= 11 else 3 / (count - 1) ** 3 + 5e-8  # a table, then its expansion
    values = np.random.default_rng(count).normal(3, 2, count)
    found = interval(values.tolist())
    half = (found.high - found.low) / 2 / values.std(ddof=1) * math.sqrt(count)
    assert half == pytest.approx(scipy.stats.t.ppf(0.975, count - 1), abs=accuracy)
    assert found.high + found.low == pytest.approx(2 * values.mean())

"""The newest returns and the speed of a run."""

import pytest

from v3core.rollup import mean_window
from v3core.store.recent import RecentReturns, Speed


@pytest.mark.parametrize(
    ("episodes", "window"), [(1, 10), (99, 10), (260, 26), (600, 60), (1000, 100), (1_000_000, 100)]
)
def test_the_window_fits_the_run(episodes, window):
    assert mean_window(episodes) == window


def test_the_mean_is_of_the_newest_in_the_window():
    returns = RecentReturns(100, [1000.0, *range(1, 100)])
    assert returns.mean == (1000 + sum(range(1, 100))) / 100
    returns.add(100.0)
    assert (returns.mean, returns.latest) == (sum(range(1, 101)) / 100, 100.0)


def test_without_episodes_there_is_no_mean():
    assert (RecentReturns(10).mean, RecentReturns(10).latest) == (None, None)
    assert RecentReturns(10, [None, 2.0]).mean == 2.0


def test_speed_is_that_of_the_last_ten_seconds():
    speed = Speed()
    assert speed.measure(100.0, 5000) is None
    assert speed.measure(102.0, 5200) == 100.0
    for second in range(103, 130):
        measured = speed.measure(float(second), 5200 + (second - 102) * 10)
    assert measured == 10.0
    for second in range(130, 150):
        measured = speed.measure(float(second), 5470)
    assert measured == 0.0

"""The newest returns and the speed of a run."""

from v3core.store.recent import RecentReturns, Speed


def test_the_mean_is_of_the_newest_hundred():
    returns = RecentReturns([1000.0, *range(1, 100)])
    assert returns.mean == (1000 + sum(range(1, 100))) / 100
    returns.add(100.0)
    assert (returns.mean, returns.latest) == (sum(range(1, 101)) / 100, 100.0)


def test_without_episodes_there_is_no_mean():
    assert (RecentReturns().mean, RecentReturns().latest) == (None, None)
    assert RecentReturns([None, 2.0]).mean == 2.0


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

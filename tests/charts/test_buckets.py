"""Downsampling: stable under append, loses no spike, weighs the mean right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from v3core.charts.buckets import Buckets, bucket_size, drawn_words, group, moving_average
from v3core.rollup import MAX_BUCKETS, Summary

VALUES = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")), st.just(float("inf"))), min_size=1, max_size=300
).map(lambda values: np.array(values, dtype=np.float64))
LIMITS = st.integers(1, 40)


def downsample(episode: np.ndarray, values: np.ndarray, limit: int = MAX_BUCKETS) -> tuple[Buckets, Summary]:
    buckets = group(episode, limit)
    return buckets, buckets.summary(values)


def episodes(count: int) -> np.ndarray:
    return np.arange(1, count + 1)


@given(VALUES, VALUES, LIMITS)
def test_complete_buckets_never_move(before: np.ndarray, appended: np.ndarray, limit: int) -> None:
    after = np.concatenate((before, appended))
    old, old_summary = downsample(episodes(len(before)), before, limit)
    new, new_summary = downsample(episodes(len(after)), after, limit)
    if new.size != old.size:  # another level: complete old buckets are halves, quarters … of new ones
        assert new.size % old.size == 0
        return
    complete = len(before) // old.size
    np.testing.assert_array_equal(new.x[:complete], old.x[:complete])
    for column in ("minimum", "maximum", "mean", "count"):
        np.testing.assert_array_equal(
            getattr(new_summary, column)[:complete], getattr(old_summary, column)[:complete], err_msg=column
        )


@given(VALUES, LIMITS)
def test_each_bucket_tells_what_its_episodes_are(values: np.ndarray, limit: int) -> None:
    buckets, summary = downsample(episodes(len(values)), values, limit)
    assert len(buckets.x) == -(-len(values) // buckets.size) <= limit
    for index in range(len(buckets.x)):
        inside = values[index * buckets.size : (index + 1) * buckets.size]
        finite = inside[np.isfinite(inside)]
        assert summary.count[index] == len(finite)
        if not len(finite):
            assert np.isnan([summary.minimum[index], summary.maximum[index], summary.mean[index]]).all()
            continue
        assert summary.minimum[index] == finite.min()
        assert summary.maximum[index] == finite.max()
        assert summary.mean[index] == pytest.approx(finite.mean(), abs=1e-9 * (1 + np.abs(finite).max()))


@given(VALUES, LIMITS)
def test_extremes_are_kept_and_means_weigh_right(values: np.ndarray, limit: int) -> None:
    _, summary = downsample(episodes(len(values)), values, limit)
    finite = values[np.isfinite(values)]
    if not len(finite):
        assert np.isnan(summary.mean).all()
        return
    assert np.nanmin(summary.minimum) == finite.min()
    assert np.nanmax(summary.maximum) == finite.max()
    weighted = np.nansum(summary.mean * summary.count) / summary.count.sum()
    assert weighted == pytest.approx(finite.mean(), abs=1e-9 * (1 + np.abs(finite).max()))


@given(st.integers(1, 10**9), st.integers(1, 5000))
def test_size_is_the_smallest_power_of_two_that_fits(last: int, limit: int) -> None:
    size = bucket_size(last, limit)
    assert size & (size - 1) == 0
    assert -(-last // size) <= limit
    assert size == 1 or -(-last // (size // 2)) > limit


@given(st.sets(st.integers(1, 200), min_size=1), LIMITS)
def test_missing_episodes_are_gaps(numbers: set[int], limit: int) -> None:
    episode = np.array(sorted(numbers))
    buckets, summary = downsample(episode, episode.astype(float), limit)
    for x, lowest, count in zip(buckets.x, summary.minimum, summary.count, strict=True):
        first = (x - 1) // buckets.size * buckets.size + 1
        inside = [number for number in numbers if first <= number < first + buckets.size]
        assert count == len(inside)
        assert (np.isnan(lowest) and not inside) or lowest == min(inside)


@given(VALUES, st.integers(1, 20))
def test_moving_average_is_the_mean_of_the_window(values: np.ndarray, window: int) -> None:
    average = moving_average(values, window)
    for row in range(len(values)):
        seen = values[max(0, row + 1 - window) : row + 1]
        finite = seen[np.isfinite(seen)]
        expected = finite.mean() if len(finite) else np.nan
        assert average[row] == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_bucket_of_no_episodes_is_empty() -> None:
    buckets, summary = downsample(np.empty(0, dtype=int), np.empty(0))
    assert len(buckets.x) == len(summary.mean) == len(buckets.last(np.empty(0))) == 0


@pytest.mark.parametrize(
    ("count", "age", "sentence"),
    [
        (0, None, "No episodes yet"),
        (1, 0.4, "Drawn: 1 episode; newest 0 s old"),
        (412, None, "Drawn: all 412 episodes"),
        (1000, 2, "Drawn: all 1,000 episodes; newest 2 s old"),
        (1001, 130, "Drawn: 501 buckets of 2 episodes, 1,001 episodes; newest 2 min old"),
    ],
)
def test_caption_says_what_is_drawn_of_what_there_is(count: int, age: float | None, sentence: str) -> None:
    buckets = group(episodes(count))
    assert drawn_words(len(buckets.x), buckets.size, count, age) == sentence


def test_a_million_episodes_are_grouped_at_once() -> None:
    buckets = group(episodes(1_000_000))
    assert (buckets.size, len(buckets.x)) == (1024, 977)

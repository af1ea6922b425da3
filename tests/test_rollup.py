"""Buckets: they lose no spike, weigh means right, leave gaps, and their trailing means are means."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.charts.made import made_curve
from tests.store.reference import assert_summary_is, plain_summary
from v3core.rollup import COUNT, Series, bucket_size, combine, singles, spread_out, summarise, trailing_mean

VALUES = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")), st.just(float("inf"))), min_size=1, max_size=300
)
LIMITS = st.integers(1, 40)


@given(st.integers(1, 10**9), st.integers(1, 5000))
def test_size_is_the_smallest_power_of_two_that_fits(last: int, limit: int) -> None:
    size = bucket_size(last, limit)
    assert size & (size - 1) == 0
    assert -(-last // size) <= limit
    assert size == 1 or -(-last // (size // 2)) > limit


@given(VALUES, LIMITS)
def test_each_bucket_says_what_its_episodes_are(values: list[float], limit: int) -> None:
    curve = made_curve({"return": values}, limit=limit)
    assert len(curve) == -(-len(values) // curve.size) <= limit
    assert_summary_is(curve.summary("return"), plain_summary(values, curve.size))


@given(VALUES, LIMITS)
def test_fewer_buckets_are_those_that_the_episodes_give(values: list[float], limit: int) -> None:
    fewer = made_curve({"return": values}).in_at_most(limit)
    expected = made_curve({"return": values}, limit=limit)
    assert (fewer.size, fewer.episode.tolist()) == (expected.size, expected.episode.tolist())
    assert_summary_is(fewer.summary("return"), plain_summary(values, expected.size))


@given(st.sets(st.integers(1, 200), min_size=1), st.integers(0, 5))
def test_missing_episodes_are_gaps(episodes: set[int], power: int) -> None:
    size, rows = 2**power, np.array(sorted(episodes), dtype=np.int64)
    found, stats = spread_out(*summarise((rows - 1) // size, rows[:, None].astype(float)))
    curve = Series(size, found, stats, ("return",), 0, max(episodes))
    summary = curve.summary("return")
    assert curve.episode.tolist()[-1] == max(episodes)
    for number, lowest, count in zip(found.tolist(), summary.minimum, summary.count, strict=True):
        inside = [episode for episode in episodes if number * size < episode <= (number + 1) * size]
        assert count == len(inside)
        assert (np.isnan(lowest) and not inside) or lowest == min(inside)


@given(VALUES, st.integers(0, 4))
def test_buckets_of_rows_are_their_single_buckets_combined(values: list[float], power: int) -> None:
    rows = np.array(values)[:, None]
    belongs = np.arange(len(rows)) // 2**power
    (numbers, stats), (also, combined) = summarise(belongs, rows), combine(belongs, singles(rows))
    np.testing.assert_array_equal(numbers, also)
    np.testing.assert_allclose(stats, combined, rtol=1e-12, atol=1e-9)


@given(VALUES, st.integers(1, 20))
def test_a_trailing_mean_is_the_mean_of_the_window(values: list[float], window: int) -> None:
    average = made_curve({"value_loss": values}).trailing("value_loss", window)
    for row in range(len(values)):
        seen = np.array(values[max(0, row + 1 - window) : row + 1])
        finite = seen[np.isfinite(seen)]
        expected = finite.mean() if len(finite) else np.nan
        assert average[row] == pytest.approx(expected, abs=1e-6, nan_ok=True)


@given(VALUES, st.integers(1, 20), st.data())
def test_the_newest_trailing_means_are_those_of_all_to_the_bit(
    values: list[float], window: int, data: st.DataObject
) -> None:
    newest = data.draw(st.integers(0, len(values)))
    rows = np.array(values)
    expected = trailing_mean(rows, window)[len(rows) - newest :]
    np.testing.assert_array_equal(trailing_mean(rows, window, newest=newest), expected)


def test_a_trailing_mean_of_large_buckets_spans_whole_ones_but_for_the_one_that_is_recorded() -> None:
    values = np.arange(64.0)
    curve = made_curve({"return": values, "value_loss": values}, limit=4)
    assert (curve.size, curve.span_of(10), curve.span_of(16), curve.span_of(17)) == (16, 16, 16, 32)
    assert curve.trailing("value_loss", 17).tolist() == [7.5, 15.5, 31.5, 47.5]
    assert (
        curve.trailing("value_loss", 100).tolist() == curve.trailing("return", 100).tolist() == [7.5, 15.5, 23.5, 31.5]
    )
    long = made_curve({"return": np.arange(1024.0)}, limit=2)
    assert long.trailing("return", 100).tolist() == [np.arange(412, 512).mean(), np.arange(924, 1024).mean()]


def test_no_episodes_are_no_buckets() -> None:
    nothing = made_curve({"return": []})
    assert len(nothing) == len(nothing.summary("return").mean) == len(nothing.trailing("return", 10)) == 0
    assert len(nothing.in_at_most(1)) == 0


def test_a_metric_that_does_not_exist_is_an_error() -> None:
    curve = made_curve({"return": [1.0]})
    with pytest.raises(KeyError, match="gate_entropies"):
        curve.summary("gate_entropies")
    with pytest.raises(KeyError, match="gate_entropies"):
        curve.trailing("gate_entropies", 100)


def test_larger_buckets_are_the_same_episodes() -> None:
    curve = made_curve({"return": np.arange(100.0)})
    coarser = curve.coarser(8)
    assert coarser.stats[:, COUNT, -1].sum() == 0
    assert_summary_is(coarser.summary("return"), plain_summary(list(range(100)), 8))


@given(VALUES, LIMITS, st.integers(1, 40), st.integers(0, 200))
def test_a_mean_is_full_where_all_of_its_episodes_have_a_number(
    values: list[float], limit: int, window: int, first: int
) -> None:
    """Of a view, too, which knows nothing of the episodes before it."""
    whole = made_curve({"return": values}, limit=limit)
    first = min(first, len(whole) - 1)
    curve = replace(whole, numbers=whole.numbers[first:], stats=whole.stats[first:])
    size, begin, span = curve.size, first * curve.size, curve.span_of(window)
    assert span % size == 0
    assert window <= span < window + size
    for place, number in enumerate(curve.numbers.tolist()):
        end = (number + 1) * size
        spans = end <= len(values) and end - begin >= window
        seen = values[max(begin, end - span) : end]
        assert curve.reach[place] == min(end, len(values)) - begin
        assert curve.spans(window)[place] == curve.is_reached("return", window)[place] == spans
        assert curve.has_all("return", window)[place] == bool(np.isfinite(seen).all())
        assert curve.is_full("return", window)[place] == (spans and bool(np.isfinite(seen).all()))


def test_a_recorded_mean_is_reached_with_its_hundredth_episode() -> None:
    curve = made_curve({"return": np.ones(130)}, limit=13)
    assert curve.size == 16
    assert curve.episode[curve.is_reached("return", 100)].tolist() == [112, 128, 130]
    assert curve.episode[curve.is_reached("return", 99)].tolist() == [112, 128]
    assert made_curve({"return": np.ones(100)}).is_reached("return", 100).sum() == 1
    assert (curve.spanned("return", 100), curve.spanned("return", 99), curve.spanned("length", 100)) == (100, 112, 112)


@given(st.integers(0, 60), st.integers(1, 60), st.integers(1, 20))
def test_a_view_is_in_as_small_buckets_as_fit(first: int, count: int, limit: int) -> None:
    numbers = np.arange(first, first + count)
    view = Series(2, numbers, np.ones((count, 5, 1)), ("return",), 0, (first + count) * 2)
    found = view.in_at_most(limit)
    fitting = [size for size in (2, 4, 8, 16, 32, 64, 128, 256) if len(set(numbers * 2 // size)) <= max(limit, 2)]
    if first == 0 and limit == 1:
        assert len(found) == 1
    elif count > limit:
        assert found.size == fitting[0]
    else:
        assert found is view
    assert found.newest == view.newest


def test_buckets_of_buckets_weigh_by_what_they_hold() -> None:
    values = [1.0, 2.0, float("nan"), 4.0, 50.0, float("nan"), float("nan"), float("nan"), 9.0, 9.0, 9.0]
    once = made_curve({"return": values})
    twice = once.coarser(4).coarser(8)
    assert (twice.size, twice.numbers.tolist(), twice.episode.tolist()) == (8, [0, 1], [8, 11])
    assert_summary_is(twice.summary("return"), plain_summary(values, 8))
    assert twice.summary("return").mean[0] == 57 / 4
    assert once.coarser(4).has_all("return", 4).tolist() == [False, False, True]


def test_a_gap_is_filled_with_as_many_empty_buckets_as_are_missing() -> None:
    numbers, stats = spread_out(np.array([2, 5]), np.ones((2, 5, 1)))
    assert numbers.tolist() == [2, 3, 4, 5]
    assert stats[:, COUNT, 0].tolist() == [1, 0, 0, 1]
    assert np.isnan(stats[1:3, 0, 0]).all()
    nothing = np.empty(0, dtype=np.int64), np.empty((0, 5, 1))
    assert spread_out(*nothing)[0].shape == (0,)

"""Fewer points than episodes, without losing a spike and without shimmer as episodes are appended."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.rollup import MAX_BUCKETS, Floats, Summary, bucket_size


@dataclass(frozen=True)
class Buckets:
    """How the episodes of a run are grouped: `size` episodes each, aligned at episode 1.

    Bucket i holds the episodes i·size + 1 … (i + 1)·size, whatever is appended later; only the newest can be partial.
    """

    size: int
    """Episodes per bucket: a power of two."""
    starts: NDArray[np.int64]
    """Row at which each bucket begins, shape [buckets]; equal to the next one's where a bucket is empty."""
    x: NDArray[np.int64]
    """Last recorded episode of each bucket: where it is drawn, shape [buckets]."""
    rows: int
    """Rows grouped."""

    def summary(self, values: Floats) -> Summary:
        """Extremes, mean and count of each bucket of a column of shape [rows]; infinities count as missing."""
        if not self.rows:
            nothing = np.empty(0)
            return Summary(nothing, nothing, nothing, np.empty(0, dtype=np.int64), nothing)
        last = self.last(values)
        values = np.where(np.isfinite(values), values, np.nan)
        known = ~np.isnan(values)
        count = self._reduce(np.add, known.astype(np.int64), 0)
        total = self._reduce(np.add, np.where(known, values, 0.0), 0.0)
        with np.errstate(invalid="ignore"):
            mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        minimum, maximum = self._reduce(np.fmin, values, np.nan), self._reduce(np.fmax, values, np.nan)
        # A mean of equal numbers can leave their range by one rounding.
        return Summary(minimum, maximum, np.clip(mean, minimum, maximum), count, last)

    def last(self, values: Floats) -> Floats:
        """Value at the last row of each bucket; NaN where a bucket is empty."""
        if not self.rows:
            return np.empty(0)
        ends = np.append(self.starts[1:], self.rows)
        return np.where(ends > self.starts, values[np.maximum(ends - 1, 0)], np.nan)

    def _reduce(self, how: np.ufunc, values: NDArray[Any], empty: float) -> NDArray[Any]:
        ends = np.append(self.starts[1:], self.rows)
        filled = ends > self.starts
        result = np.full(len(self.starts), empty, dtype=values.dtype)
        # Empty buckets end where the next filled one begins, so leaving them out moves no border.
        result[filled] = how.reduceat(values, self.starts[filled])
        return result


def group(episode: NDArray[Any], limit: int = MAX_BUCKETS) -> Buckets:
    """Group ascending episode numbers, shape [n], into at most `limit` buckets."""
    if not len(episode):
        return Buckets(1, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), 0)
    size = bucket_size(int(episode[-1]), limit)
    first, newest = (int(episode[0]) - 1) // size, (int(episode[-1]) - 1) // size
    edges = np.arange(first, newest + 1, dtype=np.int64) * size
    starts = np.searchsorted(episode, edges + 1).astype(np.int64)
    x = edges + size
    x[-1] = int(episode[-1])
    return Buckets(size, starts, x, len(episode))


def moving_average(values: Floats, window: int) -> Floats:
    """Mean of the last `window` finite values' rows up to each row, of fewer at the beginning; shape [n].

    Missing values are left out of the mean; where a whole window is missing the result is NaN.
    """
    known = np.isfinite(values)
    total = np.concatenate(([0.0], np.cumsum(np.where(known, values, 0.0))))
    count = np.concatenate(([0], np.cumsum(known)))
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - window, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((total[end] - total[start]) / (count[end] - count[start]), dtype=np.float64)


def drawn_words(buckets: int, size: int, count: int, newest_age_seconds: float | None = None) -> str:
    """What a chart draws of what there is, as in `Drawn: 500 buckets of 2 episodes, 1,000 episodes; newest 2 s old`."""
    if not count:
        return "No episodes yet"
    drawn = f"Drawn: {buckets:,} buckets of {size:,} episodes, {count:,} episodes"
    if size == 1 and buckets < count:
        drawn = f"Drawn: {buckets:,} of {count:,} episodes"
    elif size == 1:
        drawn = f"Drawn: all {count:,} episodes" if count > 1 else "Drawn: 1 episode"
    return drawn if newest_age_seconds is None else f"{drawn}; newest {_age(newest_age_seconds)} old"


def _age(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"

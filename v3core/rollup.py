"""Buckets of numbers: extremes, mean, count and last value of consecutive episodes, made and merged without loss.

A bucket of `size` episodes holds the episodes number·size + 1 … (number + 1)·size, whatever is appended later. Sizes
are powers of two, so that a coarser bucket is made of whole finer ones. Plain arrays: the store writes them, charts
draw them.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from v3core.messages import _

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MINIMUM, MAXIMUM, MEAN, COUNT, LAST = range(5)
"""Places of the statistics in an array of shape [buckets, 5, metrics]."""
STATISTICS = 5

MAX_BUCKETS = 1000
"""Points of a chart, where nothing is known of its width."""

LONGEST_WINDOW = 100
"""Episodes that the trailing means of a long run are over; buckets keep these means, see `mean_window`."""
SHORTEST_WINDOW = 10


def mean_window(episodes: int) -> int:
    """Episodes that the trailing mean of a run of this many is over: a tenth of them, from 10 to 100.

    A fixed window of 100 would be most of a short run: its mean would be a straight ramp that shows nothing. Of a run,
    take `Length.mean_window`, which knows how many it has where its steps end it.
    """
    return min(max(episodes // 10, SHORTEST_WINDOW), LONGEST_WINDOW)


NEWEST_WINDOW = _(
    "the newest {longest_window} that began in the phase in force, or all while there are fewer; no value before there "
    "are {shortest_window}",
    longest_window=LONGEST_WINDOW,
    shortest_window=SHORTEST_WINDOW,
)
"""The episodes that a recorded metric of a window is over, as `training.statistics.RecentRouting` keeps them."""


MEAN_WINDOW = _(
    "a tenth of the run's episodes, planned or expected from its steps so far, at least {shortest_window} and at most "
    "{longest_window}",
    shortest_window=SHORTEST_WINDOW,
    longest_window=LONGEST_WINDOW,
)
"""`Length.mean_window` in words."""


@dataclass(frozen=True)
class Summary:
    """One metric, per bucket, shape [buckets]; NaN if a bucket has no finite value: a gap."""

    minimum: Floats
    maximum: Floats
    mean: Floats
    count: NDArray[np.int64]
    """Finite values in the bucket."""
    last: Floats
    """Value of the bucket's last episode, finite or not; NaN if it has none."""


def bucket_size(last_episode: int, limit: int = MAX_BUCKETS, first_episode: int = 1) -> int:
    """The smallest power of two that puts the episodes from the first to the last into at most `limit` buckets."""
    # Two episodes on both sides of a border of all sizes never share a bucket.
    limit = max(limit, 1 if first_episode == 1 else 2)
    size = 1
    while (last_episode - 1) // size - (first_episode - 1) // size + 1 > limit:
        size *= 2
    return size


def singles(values: Floats) -> Floats:
    """Rows as buckets of one episode each: [n, metrics] to [n, 5, metrics]. Infinities count as missing."""
    finite = np.isfinite(values)
    known = np.where(finite, values, np.nan)
    return np.stack((known, known, known, finite.astype(np.float64), values), axis=1)


def summarise(numbers: Integers, values: Floats) -> tuple[Integers, Floats]:
    """Put rows into buckets: what `combine` makes of `singles`, in less time.

    Args:
        numbers: the bucket that each row belongs to, ascending, shape [n].
        values: shape [n, metrics].
    """
    starts = _starts(numbers)
    finite = np.isfinite(values)
    stats = np.empty((len(starts), STATISTICS, values.shape[1]))
    if not len(starts):
        return numbers, stats
    known, summable = values, values
    if not finite.all():
        known, summable = np.where(finite, values, np.nan), np.where(finite, values, 0.0)
    stats[:, COUNT] = np.add.reduceat(finite, starts, axis=0, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.add.reduceat(summable, starts, axis=0)
    _merge_into(stats, starts, known, known, total)
    stats[:, LAST] = values[np.append(starts[1:], len(numbers)) - 1]
    return numbers[starts], stats


def combine(numbers: Integers, stats: Floats) -> tuple[Integers, Floats]:
    """Merge neighbours of the same number.

    Args:
        numbers: the bucket that each part belongs to, ascending, shape [n].
        stats: statistics of each part, oldest first, shape [n, 5, metrics].

    Returns:
        The different numbers, shape [b], and their statistics, shape [b, 5, metrics].
    """
    repeated = np.flatnonzero(np.diff(numbers) == 0)
    if not len(repeated):
        return numbers, stats
    # Of a long run only the last few are in parts; those before are what they are.
    single = int(repeated[0])
    numbers, done, stats = numbers[single:], (numbers[:single], stats[:single]), stats[single:]
    starts = _starts(numbers)
    count = stats[:, COUNT]
    merged = np.empty((len(starts), *stats.shape[1:]))
    merged[:, COUNT] = np.add.reduceat(count, starts, axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.add.reduceat(np.where(count > 0, stats[:, MEAN] * count, 0.0), starts, axis=0)
    _merge_into(merged, starts, stats[:, MINIMUM], stats[:, MAXIMUM], total)
    merged[:, LAST] = stats[np.append(starts[1:], len(numbers)) - 1, LAST]
    return np.concatenate((done[0], numbers[starts])), np.concatenate((done[1], merged))


def _starts(numbers: Integers) -> NDArray[np.intp]:
    return np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 1))


def _merge_into(merged: Floats, starts: NDArray[np.intp], minimum: Floats, maximum: Floats, total: Floats) -> None:
    """Fill in extremes and mean, where the counts are there already."""
    merged[:, MINIMUM] = np.fmin.reduceat(minimum, starts, axis=0)
    merged[:, MAXIMUM] = np.fmax.reduceat(maximum, starts, axis=0)
    with np.errstate(invalid="ignore"):
        mean = total / merged[:, COUNT]
    # A mean of equal numbers can leave their range by one rounding, a sum of huge ones that of all numbers.
    merged[:, MEAN] = np.clip(mean, merged[:, MINIMUM], merged[:, MAXIMUM])


def spread_out(numbers: Integers, stats: Floats) -> tuple[Integers, Floats]:
    """Put an empty bucket wherever a number is missing between the first and the last."""
    if not len(numbers) or numbers[-1] - numbers[0] + 1 == len(numbers):
        return numbers, stats
    everything = np.arange(numbers[0], numbers[-1] + 1, dtype=np.int64)
    filled = np.full((len(everything), *stats.shape[1:]), np.nan)
    filled[:, COUNT] = 0.0
    filled[numbers - numbers[0]] = stats
    return everything, filled


def trailing_mean(
    values: Floats, window: int, count: NDArray[Any] | None = None, *, newest: int | None = None
) -> Floats:
    """Mean of the finite ones of the last `window` values up to each row; NaN if there are none.

    The result of a row depends on its window alone, to the last bit, however the rows are cut into batches.

    Args:
        values: shape [n] or [n, metrics].
        window: a number of rows.
        count: how many numbers each value is the mean of, of the same shape; by default 1.
        newest: number of rows, at the end, that the means are for; by default all.
    """
    rows = len(values) if newest is None else newest
    reached = slice(max(len(values) - (window - 1 + rows), 0), None)
    values = values[reached]
    count = np.isfinite(values) if count is None else np.where(np.isfinite(values), count[reached], 0)
    before = np.zeros((window + rows - len(values), *values.shape[1:]))
    with np.errstate(invalid="ignore", over="ignore"):
        total, known = (
            sliding_window_view(np.concatenate((before, part)), window, axis=0)[1:]
            for part in (np.where(count > 0, values * count, 0.0), count)
        )
        return np.asarray(np.ascontiguousarray(total).sum(axis=-1) / known.sum(axis=-1), dtype=np.float64)


@dataclass(frozen=True)
class Series:
    """Metrics of consecutive episodes in buckets; buckets between them that hold no episode are empty.

    Bucket b contains the episodes b·size + 1 … (b + 1)·size, so that buckets do not move as episodes are added.
    """

    size: int
    """Episodes per bucket: a power of two."""
    numbers: Integers
    """Which buckets, shape [n]."""
    stats: Floats
    """Minimum, maximum, mean, count and last value, shape [n, 5, metrics]."""
    metrics: tuple[str, ...]
    experts: int
    newest: int
    """Number of the last episode read, or the one before the first if there is none: the cursor."""

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def episode(self) -> Integers:
        """Newest episode that each bucket can hold; of the last bucket, the newest that it does. Shape [n]."""
        return np.minimum((self.numbers + 1) * self.size, self.newest)

    def summary(self, metric: str) -> Summary:
        """One metric.

        Raises:
            KeyError: if it was not read, or does not exist.
        """
        if metric not in self.metrics:
            raise KeyError(metric)
        stats = self.stats[:, :, self.metrics.index(metric)]
        count = stats[:, COUNT].astype(np.int64)
        return Summary(stats[:, MINIMUM], stats[:, MAXIMUM], stats[:, MEAN], count, stats[:, LAST])

    def coarser(self, size: int) -> "Series":
        if size == self.size:
            return self
        numbers, stats = combine(self.numbers // (size // self.size), self.stats)
        return replace(self, size=size, numbers=numbers, stats=stats)

    def in_at_most(self, buckets: int) -> "Series":
        if len(self) <= buckets:
            return self
        return self.coarser(bucket_size(self.newest, buckets, int(self.numbers[0]) * self.size + 1))

    def trailing(self, metric: str, window: int) -> Floats:
        """Mean of a metric over the last `window` episodes up to each bucket's end; over whole buckets, see `span_of`.

        NaN if there is no number. The means of 100 episodes that are recorded are exact.
        """
        if self._is_recorded(metric, window):
            return self.summary(f"mean_{metric}").last
        found = self.summary(metric)
        return trailing_mean(found.mean, self.span_of(window) // self.size, found.count)

    def is_reached(self, metric: str, window: int) -> NDArray[np.bool_]:
        """Whether there are as many episodes up to each bucket's end as `trailing` is to be the mean of; shape [n]."""
        return self.episode >= window if self._is_recorded(metric, window) else self.spans(window)

    def spans(self, window: int) -> NDArray[np.bool_]:
        """The same of any mean over whole buckets: not of the newest one until it is full."""
        return np.asarray((self.reach >= window) & (self.episode == (self.numbers + 1) * self.size), dtype=np.bool_)

    def is_full(self, metric: str, window: int) -> NDArray[np.bool_]:
        """Whether, besides, each of these episodes has a number; shape [n]."""
        return self.is_reached(metric, window) & self.has_all(metric, window)

    def has_all(self, metric: str, window: int) -> NDArray[np.bool_]:
        """Whether no episode of the buckets that a window spans is without a number; shape [n]."""
        missing = self.episode - self.numbers * self.size - self.summary(metric).count
        sums = np.concatenate((np.zeros(self.span_of(window) // self.size, dtype=np.int64), np.cumsum(missing)))
        return np.asarray(sums[len(sums) - len(self) :] == sums[: len(self)], dtype=np.bool_)

    def spanned(self, metric: str, window: int) -> int:
        """Episodes that `trailing` is the mean of."""
        return window if self._is_recorded(metric, window) else self.span_of(window)

    def _is_recorded(self, metric: str, window: int) -> bool:
        """Whether these trailing means are recorded, and so exact."""
        return window == LONGEST_WINDOW and f"mean_{metric}" in self.metrics

    @property
    def reach(self) -> Integers:
        """Number of episodes from the first that was read to each bucket's end, shape [n]."""
        return self.episode - (int(self.numbers[0]) * self.size if len(self) else 0)

    def span_of(self, window: int) -> int:
        """Episodes that a trailing mean of `window` really spans here."""
        return -(-window // self.size) * self.size

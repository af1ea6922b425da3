"""What a chart draws of a run: a point per episode, or per bucket of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from v3core.charts.buckets import Buckets, group, moving_average
from v3core.charts.series import Curve, RunSeries
from v3core.rollup import LONGEST_WINDOW, MAX_BUCKETS, Floats, Integers, Summary, bucket_size

PER_EXPERT: dict[str, Callable[[RunSeries], Floats]] = {
    "load": lambda series: series.loads,
    "expert_grad_norm": lambda series: series.expert_grad_norms,
}


@dataclass(frozen=True)
class Points:
    """Places along the episode axis, and each metric's value there."""

    size: int
    """Episodes per point."""
    x: Integers
    """Last recorded episode of each, shape [points]."""
    summary: Callable[[str], Summary]
    """A metric: a column, or `load_1 …`, `expert_grad_norm_1 …`; one that was not recorded holds no number."""
    trailing: Callable[[str, int], Floats]
    """Mean of a metric over the last so many episodes up to each point; over whole buckets where those are larger."""


def drawn_points(series: RunSeries, limit: int | None = None) -> Points:
    """What is looked at, in at most `limit` points; by default as many as were read, or 1000."""
    curve = series.view or series.curve
    return _of_episodes(series, limit or MAX_BUCKETS) if curve is None else _of_curve(curve, limit)


def all_points(series: RunSeries) -> Points:
    """The whole run, whatever part of it is looked at."""
    return _of_episodes(series, MAX_BUCKETS) if series.curve is None else _of_curve(series.curve, None)


def window_of(size: int, window: int) -> int:
    """Episodes that a trailing mean of `window` really spans in buckets of a size."""
    return -(-window // size) * size


def _of_episodes(series: RunSeries, limit: int) -> Points:
    buckets: Buckets = group(series.episode, limit)

    def values(metric: str) -> Floats:
        name, _, expert = metric.rpartition("_")
        if name in PER_EXPERT and expert.isdigit():
            return PER_EXPERT[name](series)[:, int(expert) - 1]
        return series.column(metric)

    return Points(
        buckets.size,
        buckets.x,
        lambda metric: buckets.summary(values(metric)),
        lambda metric, window: buckets.last(moving_average(values(metric), window)),
    )


def _of_curve(curve: Curve, limit: int | None) -> Points:
    episode = curve.episode
    if limit is not None and len(episode):
        first = int(episode[0] - 1) // curve.size * curve.size + 1
        curve = curve.coarser(max(bucket_size(int(episode[-1]), limit, first), curve.size))

    def summary(metric: str) -> Summary:
        if metric in curve.metrics:
            return curve.summary(metric)
        nothing = np.full(len(curve.episode), np.nan)
        return Summary(nothing, nothing, nothing, np.zeros(len(nothing), dtype=np.int64), nothing)

    def trailing(metric: str, window: int) -> Floats:
        if window == LONGEST_WINDOW and f"mean_{metric}" in curve.metrics:
            return curve.summary(f"mean_{metric}").last
        found = summary(metric)
        return trailing_buckets(found.mean, found.count, -(-window // curve.size))

    return Points(curve.size, curve.episode, summary, trailing)


def trailing_buckets(mean: Floats, count: Integers, buckets: int) -> Floats:
    """Mean over the last so many buckets, each weighted by the numbers it holds; NaN where they hold none."""
    total = np.concatenate(([0.0], np.cumsum(np.where(count > 0, mean * count, 0.0))))
    known = np.concatenate(([0], np.cumsum(count)))
    end = np.arange(1, len(mean) + 1)
    start = np.maximum(end - buckets, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((total[end] - total[start]) / (known[end] - known[start]), dtype=np.float64)

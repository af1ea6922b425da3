"""A metric of `COMPARED` in the buckets of a run."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from v3core.insight.loads import effective_experts
from v3core.metrics import ENTROPY_SHARE, MOST_USED_LOAD, POOLED, WINDOWED
from v3core.rollup import Floats, Integers, Series, trailing_mean


@dataclass(frozen=True)
class Loads:
    """Loads of the experts in some buckets, of which a metric of `POOLED` is computed."""

    shares: Floats
    """Mean over the episodes of each bucket, shape [n, experts]."""
    steps: Floats
    """Of these episodes, shape [n]."""

    def only(self, chosen: NDArray[np.bool_]) -> "Loads":
        """Those of some of the buckets."""
        return replace(self, shares=self.shares[chosen], steps=self.steps[chosen])

    def pooled(self, buckets: int) -> Floats:
        """Loads over all steps of the last `buckets` up to each together, shape [n, experts]; NaN if none is known."""
        if buckets <= 1:
            return self.shares
        steps = np.where(np.isfinite(self.shares).all(axis=1), self.steps, 0.0)[:, None]
        with np.errstate(invalid="ignore"):
            return _trailing_sum(np.where(steps > 0, self.shares * steps, 0.0), buckets) / _trailing_sum(steps, buckets)

    def trailing(self, metric: str, buckets: int) -> Floats:
        """A metric of `POOLED` over the same steps, shape [n]."""
        loads = self.pooled(buckets)
        if metric == MOST_USED_LOAD:
            return loads.max(axis=1) if loads.shape[1] else np.full(len(loads), np.nan)
        return effective_experts(loads)


def _trailing_sum(values: Floats, rows: int) -> Floats:
    """Sum of the last rows up to each, shape [n, m]: what `trailing_mean` sums, sooner for many columns."""
    padded = np.concatenate((np.zeros((rows - 1, values.shape[1])), values))
    total = np.zeros_like(values)
    for first in range(rows):
        total += padded[first : first + len(values)]
    return total


def loads_of(curve: Series, metric: str = "load") -> Loads:
    """The loads, or the hard loads, of all experts."""
    of_each = [curve.summary(f"{metric}_{expert}") for expert in range(1, curve.experts + 1)]
    shares = np.column_stack([load.mean for load in of_each]) if of_each else np.empty((len(curve), 0))
    length = curve.summary("length")
    return Loads(shares, np.asarray(length.mean * length.count, dtype=np.float64))


def measured(curve: Series, metric: str) -> tuple[Floats, Integers]:
    """The mean of each bucket, and how many episodes it is the mean of, shape [n]; of any metric but evaluations.

    Of one of `WINDOWED`, the value at the bucket's end, which is of one episode; of one of `POOLED`, that of the
    bucket's mean loads.

    Raises:
        KeyError: if there is no such metric.
    """
    if metric == ENTROPY_SHARE:
        most = np.log(curve.experts) if curve.experts > 1 else np.nan
        found = curve.summary("routing_entropy")
        return np.asarray(found.mean / most, dtype=np.float64), found.count
    if metric in POOLED:
        return loads_of(curve).trailing(metric, 1), curve.summary("length").count
    recorded = curve.summary(metric)
    if metric in WINDOWED:
        return recorded.last, np.isfinite(recorded.last).astype(np.int64)
    if metric == "effective_experts" and not recorded.count.any() and curve.experts:
        # Runs of schema 1 recorded the loads alone: those of each bucket's last episode are at hand.
        loads = [curve.summary(f"load_{expert}").last for expert in range(1, curve.experts + 1)]
        return effective_experts(np.column_stack(loads)), curve.summary("length").count
    return recorded.mean, recorded.count


def trailing(curve: Series, metric: str, window: int) -> Floats:
    """A metric as `measured`, over the last `window` episodes up to each bucket's end, in whole buckets; shape [n]."""
    buckets = curve.span_of(window) // curve.size
    if metric in POOLED:
        return loads_of(curve).trailing(metric, buckets)
    values, counts = measured(curve, metric)
    return trailing_mean(values, buckets, counts)

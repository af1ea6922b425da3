"""A metric of `COMPARED` in the buckets of a run."""

import numpy as np

from v3core.insight.loads import effective_experts, pooled_loads
from v3core.metrics import ENTROPY_SHARE, MOST_USED_LOAD, WINDOWED
from v3core.rollup import Floats, Integers, Series


def recent_loads(curve: Series, window: int) -> Floats:
    """Load of each expert over all steps of the last `window` episodes, in whole buckets; shape [experts]."""
    steps = curve.summary("length")
    span = curve.span_of(window) // curve.size
    weight = (steps.mean * steps.count)[-span:]
    loads = [curve.summary(f"load_{expert}").mean[-span:] for expert in range(1, curve.experts + 1)]
    return pooled_loads(np.column_stack(loads), weight)


def measured(curve: Series, metric: str) -> tuple[Floats, Integers]:
    """The mean of each bucket, and how many episodes it is the mean of, shape [n]; of any metric but evaluations.

    Of one of `WINDOWED`, the value at the bucket's end, which is of one episode.

    Raises:
        KeyError: if there is no such metric.
    """
    if metric == ENTROPY_SHARE:
        most = np.log(curve.experts) if curve.experts > 1 else np.nan
        found = curve.summary("routing_entropy")
        return np.asarray(found.mean / most, dtype=np.float64), found.count
    if metric == MOST_USED_LOAD:
        of_each = [curve.summary(f"load_{expert}") for expert in range(1, curve.experts + 1)]
        return np.max([load.mean for load in of_each], axis=0), of_each[0].count
    recorded = curve.summary(metric)
    if metric in WINDOWED:
        return recorded.last, np.isfinite(recorded.last).astype(np.int64)
    if metric == "effective_experts" and not recorded.count.any() and curve.experts:
        # Runs of schema 1 recorded the loads alone: those of each bucket's last episode are at hand.
        loads = [curve.summary(f"load_{expert}").last for expert in range(1, curve.experts + 1)]
        return effective_experts(np.column_stack(loads)), curve.summary("length").count
    return recorded.mean, recorded.count

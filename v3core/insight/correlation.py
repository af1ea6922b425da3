"""The correlation of two numbers of runs, within groups. Pure functions; a value that is NaN is no value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from v3core.insight.bootstrap import CONFIDENCE
from v3core.insight.estimates import ENOUGH_SEEDS, Estimate
from v3core.rollup import Floats

FEWEST_DEGREES = 3
"""Of freedom that an interval takes."""


@dataclass(frozen=True)
class Correlation:
    """Of two numbers, with the interval and the p of no correlation."""

    estimate: Estimate
    """Pearson's r, NaN if it is not defined; n counts runs."""
    p: float | None
    """Two-sided; None without an interval."""


def correlation_within(groups: Sequence[tuple[Sequence[float] | Floats, Sequence[float] | Floats]]) -> Correlation:
    """Pearson's correlation after each group's means are taken away: what differs between groups does not make it.

    The interval is that of Fisher's z transform (1921), the p that of Student's t; each group costs one degree of
    freedom, as a mean that was estimated does.

    Args:
        groups: two values for each run of a group, in the same order; groups of one run say nothing and do not count.
    """
    centred = [deviations(pair) for first, second in groups if len(pair := _both(first, second)) > 1]
    runs = sum(len(pair) for pair in centred)
    if not runs:
        return Correlation(Estimate(math.nan, None, None, 0), None)
    x, y = np.concatenate(centred).T
    spread = math.sqrt(float(x @ x) * float(y @ y))
    value = min(1.0, max(-1.0, float(x @ y) / spread)) if spread > 0 else math.nan
    degrees = runs - len(centred) - 1
    if math.isnan(value) or runs < ENOUGH_SEEDS or degrees < FEWEST_DEGREES:
        return Correlation(Estimate(value, None, None, runs), None)
    if abs(value) == 1:
        return Correlation(Estimate(value, value, value, runs), 0.0)
    from scipy import special  # its distributions: scipy.stats takes a second to import, and workers need neither

    beside = float(special.ndtri((1 + CONFIDENCE) / 2)) / math.sqrt(degrees - 1)
    low, high = (math.tanh(math.atanh(value) + side * beside) for side in (-1, 1))
    p = float(2 * special.stdtr(degrees, -abs(value) * math.sqrt(degrees / (1 - value**2))))
    return Correlation(Estimate(value, low, high, runs), p)


def deviations(pairs: Floats) -> Floats:
    """Values [runs, 2] minus their means; exactly 0 where all are the same, whose mean may differ by rounding."""
    if not len(pairs):
        return pairs
    found: Floats = np.where(np.ptp(pairs, axis=0) == 0, 0.0, pairs - pairs.mean(axis=0))
    return found


def _both(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> Floats:
    """The pairs of which both are finite, [runs, 2]."""
    pairs = np.column_stack((np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)))
    return pairs[np.isfinite(pairs).all(axis=1)]

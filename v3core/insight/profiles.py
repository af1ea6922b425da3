"""Several environments together: scores normalised by stated bounds, their aggregates, and performance profiles.

The names and definitions are those of Agarwal et al. (2021) and rliable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from v3core.insight.bootstrap import (
    REPETITIONS,
    generator,
    interval,
    remembered,
    resampled_counts,
    resampled_pooled_iqm,
)
from v3core.insight.estimates import ENOUGH_SEEDS, Estimate, estimated, known
from v3core.rollup import Floats

Aggregate = Literal["iqm", "mean", "median", "optimality_gap"]
AGGREGATES: tuple[Aggregate, ...] = ("iqm", "mean", "median", "optimality_gap")
TARGET = 1.0
"""The normalised score up to which the optimality gap counts: the upper bound."""


@dataclass(frozen=True)
class Bounds:
    """The values of an environment that become 0 and 1."""

    low: float
    high: float

    def normalise(self, values: Sequence[float] | Floats) -> Floats:
        """As `(value − low)/(high − low)`, without values that are missing."""
        return np.asarray((known(values) - self.low) / (self.high - self.low))


@remembered
def aggregates(scores: Sequence[Floats]) -> dict[Aggregate, Estimate]:
    """Interquartile mean, mean, median and optimality gap over environments; the runs of each are resampled.

    Mean and median are of the environments' mean scores, the others of all runs together.

    Args:
        scores: per environment, the normalised scores of its runs; none may be empty. `n` is the smallest number.
    """
    n = min(len(stratum) for stratum in scores)
    values, resampled = _of(scores, [np.ones((1, len(stratum))) for stratum in scores]), _resampled(scores)
    return {name: estimated(float(values[name][0]), resampled[name], n) for name in AGGREGATES}


def _resampled(scores: Sequence[Floats]) -> dict[Aggregate, Floats]:
    random = generator("aggregates", *scores)
    return _of(scores, [resampled_counts(random, len(stratum), REPETITIONS) for stratum in scores])


def _of(scores: Sequence[Floats], counts: Sequence[Floats]) -> dict[Aggregate, Floats]:
    """Each aggregate of resamples, shape [repetitions], in which each score is as often as counted."""
    means = np.stack([each @ stratum / len(stratum) for each, stratum in zip(counts, scores, strict=True)])
    below = sum(each @ np.minimum(stratum, TARGET) for each, stratum in zip(counts, scores, strict=True))
    return {
        "iqm": resampled_pooled_iqm(scores, counts),
        "mean": means.mean(axis=0),
        "median": np.median(means, axis=0),
        "optimality_gap": TARGET - np.asarray(below) / sum(map(len, scores)),
    }


@dataclass(frozen=True)
class Profile:
    """The share of runs whose score exceeds each of some values, each of shape [values]."""

    scores: Floats
    share: Floats
    low: Floats
    """Pointwise 95 % interval; NaN if an environment has fewer than 5 runs."""
    high: Floats
    n: int
    """Smallest number of runs of an environment."""


@remembered
def performance_profile(scores: Sequence[Floats], at: Floats) -> Profile:
    """The share of runs, in all environments together, whose normalised score exceeds each of the values `at`."""
    n, total = min(map(len, scores)), sum(map(len, scores))
    above = [(stratum[:, None] > at).astype(np.float64) for stratum in scores]
    share = sum(part.sum(axis=0) for part in above) / total
    low, high = np.full((2, len(at)), np.nan)
    if n >= ENOUGH_SEEDS:
        random = generator("profile", *scores)
        parts = [resampled_counts(random, len(part)) @ part for part in above]
        low, high = interval(np.sum(parts, axis=0) / total)
    return Profile(at, np.asarray(share), low, high, n)

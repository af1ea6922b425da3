"""Estimates of a group, and of the difference between two. Pure functions; a value that is NaN is no value."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from v3core.insight.bootstrap import (
    CONFIDENCE,
    REPETITIONS,
    generator,
    interval,
    iqm,
    remembered,
    resampled_counts,
    resampled_iqm,
)
from v3core.messages import _
from v3core.rollup import Floats

Confidence = Literal["points", "exploratory", "interval"]

FEW_SEEDS, ENOUGH_SEEDS = 3, 5
"""With fewer values than the first there are only points, from the second on there are intervals."""


def confidence_of(count: int) -> Confidence:
    """What as many values support: points only, an exploratory look, or an interval."""
    if count < FEW_SEEDS:
        return "points"
    return "exploratory" if count < ENOUGH_SEEDS else "interval"


@dataclass(frozen=True)
class Estimate:
    """A number that was estimated from `n` runs, with its 95 % interval if they are 5 or more."""

    value: float
    """NaN of no runs."""
    low: float | None
    high: float | None
    n: int

    @property
    def confidence(self) -> Confidence:
        """`points` under 3 runs, `exploratory` of 3 or 4, `interval` of 5 and more."""
        return confidence_of(self.n)

    def excludes(self, value: float) -> bool:
        """Whether the interval is there and does not contain the value."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high


def with_interval(estimate: Estimate, words: Callable[[float], str], unit: str = "") -> str:
    """As in `12 % (3 to 20)`, in these words, the unit after the first; the interval where there is one."""
    value = words(estimate.value) + unit
    if estimate.low is None or estimate.high is None:
        return value
    return _("{value} ({low} to {high})", value=value, low=words(estimate.low), high=words(estimate.high))


def estimated(value: float, resampled: Floats, n: int) -> Estimate:
    """With the interval of `resampled` values, shape [repetitions], if there are enough runs.

    None either if more of the resamples have no value than lie outside the interval at one end.
    """
    undefined = np.isnan(resampled)
    if confidence_of(n) != "interval" or undefined.mean() > (1 - CONFIDENCE) / 2:
        return Estimate(float(value), None, None, n)
    low, high = interval(resampled[~undefined])
    return Estimate(float(value), float(low), float(high), n)


def known(values: Sequence[float] | Floats) -> Floats:
    """Those that are numbers; infinities are."""
    array = np.asarray(values, dtype=np.float64)
    return array[~np.isnan(array)]


@remembered
def iqm_of(values: Sequence[float] | Floats) -> Estimate:
    """Interquartile mean with its bootstrap interval."""
    numbers = known(values)
    if not len(numbers):
        return Estimate(math.nan, None, None, 0)
    column = numbers[:, None]
    return estimated(iqm(column)[0], resampled_iqm(column, generator("iqm", numbers))[:, 0], len(numbers))


@remembered
def difference_of(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> Estimate:
    """Interquartile mean of the first minus that of the second; both are resampled, independently.

    `n` is the smaller number of runs.
    """
    a, b = known(first), known(second)
    if not len(a) or not len(b):
        return Estimate(math.nan, None, None, 0)
    value = iqm(a[:, None])[0] - iqm(b[:, None])[0]
    of_a, of_b = (
        resampled_iqm(part[:, None], generator("difference", side, a, b))[:, 0]
        for side, part in (("first", a), ("second", b))
    )
    return estimated(value, of_a - of_b, min(len(a), len(b)))


@remembered
def paired_difference(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> Estimate:
    """Mean difference of values that belong together, such as those of the same seed; pairs are resampled.

    Args:
        first: one value per pair.
        second: the others, in the same order.
    """
    differences = known(np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64))
    if not len(differences):
        return Estimate(math.nan, None, None, 0)
    counts = resampled_counts(generator("paired", differences), len(differences))
    return estimated(differences.mean(), counts @ differences / len(differences), len(differences))


@remembered
def probability_of_improvement(first: Sequence[Floats], second: Sequence[Floats]) -> Estimate:
    """The chance that a run of the first group exceeds one of the second, ties counting half; mean over environments.

    Mann and Whitney's U, divided by the number of pairs. Each environment's runs are resampled by themselves.

    Args:
        first: per environment, the values of the runs.
        second: the same of the second group.
    """
    pairs = [(known(a), known(b)) for a, b in zip(first, second, strict=True)]
    pairs = [(a, b) for a, b in pairs if len(a) and len(b)]
    if not pairs:
        return Estimate(math.nan, None, None, 0)
    values, resampled = 0.0, np.zeros(REPETITIONS)
    for place, (a, b) in enumerate(pairs):
        wins = (a[:, None] > b) + 0.5 * (a[:, None] == b)
        values += float(wins.mean())
        of_a = resampled_counts(generator("improvement", "first", place, a, b), len(a))
        of_b = resampled_counts(generator("improvement", "second", place, a, b), len(b))
        resampled += ((of_a @ wins) * of_b).sum(axis=1) / wins.size
    return estimated(values / len(pairs), resampled / len(pairs), min(len(part) for pair in pairs for part in pair))


def steps_to_threshold(steps: Floats, values: Floats, threshold: float) -> float:
    """The first of these steps at which the value is at least a threshold; infinity if it never is, NaN of no values.

    Args:
        steps: ascending, shape [points].
        values: shape [points]; NaN is no value.
        threshold: in the unit of the values.
    """
    has = ~np.isnan(values)
    if not has.any():
        return math.nan
    reached = np.flatnonzero(has & (values >= threshold))
    return float(steps[reached[0]]) if len(reached) else math.inf


@remembered
def change_in_percent(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> Estimate:
    """How much less the interquartile mean of the first is than that of the second, in per cent of the second.

    For numbers above 0, such as steps; a run that never came there is infinite. NaN if both are infinite.
    """
    a, b = known(first), known(second)
    if not len(a) or not len(b):
        return Estimate(math.nan, None, None, 0)
    of_a, of_b = (
        np.append(iqm(part[:, None]), resampled_iqm(part[:, None], generator("change", side, a, b))[:, 0])
        for side, part in (("first", a), ("second", b))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        change = 100 * (1 - of_a / of_b)
    return estimated(change[0], change[1:], min(len(a), len(b)))

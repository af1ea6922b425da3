"""Estimates over the runs of a group, and tests between two groups. Pure functions; a value that is NaN is no value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations, product
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special  # its distributions: scipy.stats takes a second to import

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
from v3core.rollup import Floats

Confidence = Literal["points", "exploratory", "interval"]

FEW_SEEDS, ENOUGH_SEEDS = 3, 5
"""With fewer values than the first there are only points, from the second on there are intervals."""
LEVEL = 0.05
"""Of significance."""
POWER = 0.8
"""The chance to find a difference that `seeds_needed` is for."""
MOST_SEEDS = 1000
"""`seeds_needed` finds no number beyond."""
EXACT = 200_000
"""Most arrangements that a permutation test goes through; of more, it draws `DRAWN` at random."""
DRAWN = 9999


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


def welch(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> float | None:
    """Two-sided p of Welch's t-test; None where it is not defined: under 2 values, or no variance in either group."""
    a, b = known(first), known(second)
    if min(len(a), len(b)) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        return None
    of_a, of_b = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    degrees = (of_a + of_b) ** 2 / (of_a**2 / (len(a) - 1) + of_b**2 / (len(b) - 1))
    return float(2 * special.stdtr(degrees, -abs(a.mean() - b.mean()) / math.sqrt(of_a + of_b)))


@remembered
def permutation_test(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> float | None:
    """Two-sided p of the difference of means if runs had been assigned to the groups at random; None of no runs.

    Over all assignments if they are at most `EXACT`, else over random ones. Infinite values are compared by rank.
    """
    a, b = known(first), known(second)
    if not len(a) or not len(b):
        return None
    pooled = _finite(np.concatenate((a, b)))
    size = len(pooled)
    exact = math.comb(size, len(a)) <= EXACT
    # The sum of the pooled values is the same in all: that of the first group says all.
    observed = float(pooled[: len(a)].sum())
    if exact and len(a) == len(b):
        # The other half of all assignments has the groups exchanged.
        half = pooled[0] + _assignments(size - 1, len(a) - 1) @ pooled[1:]
        return _two_sided(np.concatenate((half, pooled.sum() - half)), observed, pooled, exact=True)
    chosen = _assignments(size, len(a)) if exact else _drawn(generator("permutation", a, b), size, len(a))
    return _two_sided(chosen @ pooled, observed, pooled, exact=exact)


@remembered
def paired_permutation_test(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> float | None:
    """The same for values that belong together: the sign of each difference is what chance could have decided."""
    differences = known(np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64))
    if not len(differences) or not np.isfinite(differences).all():
        return None
    exact = 2 ** len(differences) <= EXACT
    if exact:
        signs = _signs(len(differences))
    else:
        signs = generator("signs", differences).choice([-1.0, 1.0], (DRAWN, len(differences)))
    return _two_sided(signs @ differences, float(differences.sum()), differences, exact=exact)


def _two_sided(sums: Floats, observed: float, values: Floats, *, exact: bool) -> float:
    """Twice the smaller tail, as in scipy; sums that differ by rounding only are equal."""
    margin = 1e-12 * max(float(np.abs(values).sum()), 1e-300)
    more = 0 if exact else 1
    tails = ((sums <= observed + margin).sum(), (sums >= observed - margin).sum())
    return min(1.0, 2 * (int(min(tails)) + more) / (len(sums) + more))


def _finite(values: Floats) -> Floats:
    if np.isfinite(values).all():
        return values
    return np.unique(values, return_inverse=True)[1].astype(np.float64)


@lru_cache(maxsize=4)
def _assignments(size: int, chosen: int) -> NDArray[np.bool_]:
    """All choices of so many out of `size`, as rows."""
    count = math.comb(size, chosen)
    places = np.fromiter(chain.from_iterable(combinations(range(size), chosen)), np.intp, count * chosen)
    rows = np.zeros((count, size), dtype=np.bool_)
    rows[np.arange(count)[:, None], places.reshape(count, chosen)] = True
    return rows


def _drawn(random: np.random.Generator, size: int, chosen: int) -> NDArray[np.bool_]:
    """Choices at random."""
    rows = np.zeros((DRAWN, size), dtype=np.bool_)
    places = random.random((DRAWN, size)).argpartition(chosen - 1, axis=1)[:, :chosen]
    np.put_along_axis(rows, places, True, axis=1)
    return rows


@lru_cache(maxsize=4)
def _signs(size: int) -> Floats:
    return np.array(list(product((-1.0, 1.0), repeat=size)))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P values corrected for their number by Holm's method, in their order; None stays None and does not count."""
    tested = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - rank)))
        corrected[place] = largest
    return corrected


def seeds_needed(
    first: Sequence[float] | Floats, second: Sequence[float] | Floats, *, level: float = LEVEL
) -> int | None:
    """Seeds per group at which a t-test finds the difference seen in 80 % of cases; None if over 1,000, or unknown.

    Unknown: under 2 values in a group, no difference, or no variance.
    """
    a, b = known(first), known(second)
    if min(len(a), len(b)) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    difference, variance = abs(a.mean() - b.mean()), (a.var(ddof=1) + b.var(ddof=1)) / 2
    return _seeds_for(float(difference / math.sqrt(variance)), level) if difference > 0 and variance > 0 else None


def power_of(effect: float, seeds: int, level: float = LEVEL) -> float:
    """The chance that a two-sided t-test of two groups of as many seeds finds a difference of `effect` deviations."""
    degrees, shift = 2 * seeds - 2, effect * math.sqrt(seeds / 2)
    critical = special.stdtrit(degrees, 1 - level / 2)
    return float(1 - special.nctdtr(degrees, shift, critical) + special.nctdtr(degrees, shift, -critical))


@lru_cache(maxsize=256)
def _seeds_for(effect: float, level: float) -> int | None:
    low, high = 1, 2
    # Upwards, because far beyond the answer scipy's distribution is no number any more.
    while power_of(effect, high, level) < POWER:
        if high >= MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(effect, middle, level) >= POWER else (middle, high)
    return high


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

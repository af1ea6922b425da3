"""Tests between two groups, their correction, and how many seeds they need. Pure functions; NaN is no value."""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, combinations, count, product

import numpy as np
from numpy.typing import NDArray

from v3core.insight.bootstrap import generator, remembered
from v3core.insight.estimates import ENOUGH_SEEDS, known
from v3core.rollup import Floats

LEVEL = 0.05
"""Of significance."""
POWER = 0.8
"""The chance to find a difference that `seeds_needed` is for."""
MOST_SEEDS = 1000
"""`seeds_needed` finds no number beyond."""
EXACT = 200_000
"""Most arrangements that a permutation test goes through; of more, it draws some at random."""
DRAWN = 9999
"""Fewest that it draws."""
DRAWN_PER_TEST = 200
"""Drawn for each test of a family at least: the smallest p is then 0.01 after its correction."""

_ROWS = 4096


def welch(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> float | None:
    """Two-sided p of Welch's t-test; None where it is not defined: under 2 values, or no variance in either group."""
    from scipy import special  # its distributions: scipy.stats takes a second to import, and workers need neither

    a, b = known(first), known(second)
    if min(len(a), len(b)) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        return None
    of_a, of_b = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    degrees = (of_a + of_b) ** 2 / (of_a**2 / (len(a) - 1) + of_b**2 / (len(b) - 1))
    return float(2 * special.stdtr(degrees, -abs(a.mean() - b.mean()) / math.sqrt(of_a + of_b)))


@remembered
def permutation_test(
    first: Sequence[float] | Floats, second: Sequence[float] | Floats, *, tests: int = 1
) -> float | None:
    """Two-sided p of the difference of means if runs had been assigned to the groups at random; None of no runs.

    Over all assignments if they are at most `EXACT`, else over random ones. Infinite values are compared by rank.

    Args:
        first: a value per run.
        second: those of the other group.
        tests: size of the family for which p will be corrected; the more, the more assignments are drawn.
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
        half = pooled[0] + _sums(_assignments(size - 1, len(a) - 1), pooled[1:])
        return _two_sided(np.concatenate((half, pooled.sum() - half)), observed, pooled, exact=True)
    chosen = _assignments(size, len(a)) if exact else _drawn(size, len(a), max(DRAWN, DRAWN_PER_TEST * tests))
    return _two_sided(_sums(chosen, pooled), observed, pooled, exact=exact)


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


def _sums(chosen: NDArray[np.bool_], values: Floats) -> Floats:
    """`chosen @ values`, in parts that stay in the processor's cache as numbers: twice as fast."""
    parts = range(0, len(chosen), _ROWS)
    return np.concatenate([chosen[begin : begin + _ROWS].astype(np.float64) @ values for begin in parts])


def _finite(values: Floats) -> Floats:
    if np.isfinite(values).all():
        return values
    return np.unique(values, return_inverse=True)[1].astype(np.float64)


@lru_cache(maxsize=4)
def _assignments(size: int, chosen: int) -> NDArray[np.bool_]:
    """Every way to choose `chosen` of `size`, as rows."""
    count = math.comb(size, chosen)
    places = np.fromiter(chain.from_iterable(combinations(range(size), chosen)), np.intp, count * chosen)
    rows = np.zeros((count, size), dtype=np.bool_)
    rows[np.arange(count)[:, None], places.reshape(count, chosen)] = True
    return rows


@lru_cache(maxsize=4)
def _drawn(size: int, chosen: int, count: int) -> NDArray[np.bool_]:
    """Choices at random, the same for all groups of these sizes: they take longer than the sums over them."""
    random = generator("permutation", size, chosen, count)
    rows = np.zeros((count, size), dtype=np.bool_)
    places = random.random((count, size)).argpartition(chosen - 1, axis=1)[:, :chosen]
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
) -> float | None:
    """Seeds per group at which a t-test finds the difference seen in 80 % of cases; infinite if over 1,000.

    At least as many as an interval needs, and with which a permutation test can be below the level at all.
    None if it is unknown: under 2 values in a group, no difference, or no variance.
    """
    a, b = known(first), known(second)
    if min(len(a), len(b)) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    difference, variance = abs(a.mean() - b.mean()), (a.var(ddof=1) + b.var(ddof=1)) / 2
    if not (difference > 0 and variance > 0):
        return None
    return max(_seeds_for(float(difference / math.sqrt(variance)), level), _fewest_seeds(level), ENOUGH_SEEDS)


def _fewest_seeds(level: float) -> int:
    """With which the smallest p of a two-sided permutation test of two equal groups is below the level."""
    return next(seeds for seeds in count(2) if 2 / math.comb(2 * seeds, seeds) < level)


def power_of(effect: float, seeds: int, level: float = LEVEL) -> float:
    """The chance that a two-sided t-test of two groups of as many seeds finds a difference of `effect` deviations."""
    from scipy import special  # as above

    degrees, shift = 2 * seeds - 2, effect * math.sqrt(seeds / 2)
    critical = special.stdtrit(degrees, 1 - level / 2)
    return float(1 - special.nctdtr(degrees, shift, critical) + special.nctdtr(degrees, shift, -critical))


@lru_cache(maxsize=256)
def _seeds_for(effect: float, level: float) -> float:
    low, high = 1, 2
    # Upwards, because far beyond the answer scipy's distribution is no number any more.
    while power_of(effect, high, level) < POWER:
        if high >= MOST_SEEDS:
            return math.inf
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(effect, middle, level) >= POWER else (middle, high)
    return high

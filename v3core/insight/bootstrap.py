"""Bootstraps over runs, vectorised: a matrix of weights times the sorted values, not one resample after another.

Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (NeurIPS 2021), and its library
rliable, with which these are compared in tests. Random numbers come from counters (Philox) whose key is a hash of the
data, so that the same data give the same intervals everywhere and always.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from hashlib import blake2b
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np

from v3core.insight.recent import Recent
from v3core.rollup import Floats

REPETITIONS = 2000
CONFIDENCE = 0.95
TRIMMED = 0.25
"""Share that the interquartile mean leaves out at each end."""

_KEPT = 2048
_PERCENTILES = (100 * (1 - CONFIDENCE) / 2, 100 * (1 + CONFIDENCE) / 2)


def generator(*identity: str | int | float | Floats) -> np.random.Generator:
    """Random numbers that depend on nothing but these values: the same in every process, whatever was drawn before."""
    return np.random.Generator(np.random.Philox(key=int.from_bytes(_digest(identity), "little")))


def _digest(values: Any) -> bytes:
    """Of numbers, texts, arrays, and sequences of them."""
    digest = blake2b(digest_size=16)
    for part in values:
        if isinstance(part, np.ndarray):
            content = repr(part.shape).encode() + np.ascontiguousarray(part).tobytes()
        elif isinstance(part, list | tuple):
            content = _digest(part)
        else:
            content = repr(part).encode()
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.digest()


_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def remembered(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Keeps the newest results of a function of numbers, so that a page that is drawn again computes nothing."""
    kept: Recent[bytes, tuple[_Result]] = Recent(_KEPT)

    @wraps(function)
    def call(*given: _Given.args, **named: _Given.kwargs) -> _Result:
        key = _digest((*given, *sorted(named.items())))
        found = kept.get(key) or kept.put(key, (function(*given, **named),))
        return found[0]

    return call


def resampled_counts(random: np.random.Generator, size: int, repetitions: int = REPETITIONS) -> Floats:
    """How often each of `size` values is drawn in each resample of as many, shape [repetitions, size]."""
    drawn = random.integers(0, size, (repetitions, size)) + size * np.arange(repetitions)[:, None]
    return np.bincount(drawn.ravel(), minlength=repetitions * size).reshape(repetitions, size).astype(np.float64)


def cut_of(count: int) -> int:
    """How many of `count` values the interquartile mean leaves out at each end; none of fewer than four."""
    return int(TRIMMED * count)


def iqm_weights(counts: Floats) -> Floats:
    """The weight of each value, sorted, in the interquartile mean of resamples in which it is as often as counted.

    Args:
        counts: shape [repetitions, values]; each row has the same sum.

    Returns:
        Weights of the same shape; each row sums to 1.
    """
    drawn = round(float(counts[0].sum()))
    cut = cut_of(drawn)
    until = np.cumsum(counts, axis=1)
    kept = np.minimum(until, drawn - cut) - np.maximum(until - counts, cut)
    return np.asarray(np.maximum(kept, 0.0, out=kept) / (drawn - 2 * cut))


def weighted(weights: Floats, values: Floats) -> Floats:
    """`weights @ values`, where a weight of 0 leaves out even an infinite value."""
    infinite = np.isinf(values)
    if not infinite.any():
        return weights @ values
    result = weights @ np.where(infinite, 0.0, values)
    for sign in (np.inf, -np.inf):
        result = np.where((weights > 0) @ (values == sign).astype(np.float64) > 0, sign, result)
    return np.asarray(result)


@lru_cache(maxsize=64)
def _single(size: int) -> Floats:
    return iqm_weights(np.ones((1, size)))


def iqm(values: Floats) -> Floats:
    """Interquartile mean of the numbers in each column, NaN where there is none; infinities count.

    As `scipy.stats.trim_mean(…, 0.25)`: a quarter of the values, rounded down, is left out at each end.

    Args:
        values: shape [runs, columns].

    Returns:
        Shape [columns].
    """
    return np.asarray(_by_count(values, _single)[0])


def resampled_iqm(values: Floats, random: np.random.Generator, repetitions: int = REPETITIONS) -> Floats:
    """The interquartile mean of each column in resamples of its runs; NaN where there is none.

    Each column by itself is distributed as in a bootstrap of its runs. Ranks are resampled, not runs, so that one
    matrix of weights serves all columns with as many numbers; columns of one repetition do not belong together.

    Args:
        values: shape [runs, columns].
        random: from `generator`.
        repetitions: number of resamples.

    Returns:
        Shape [repetitions, columns].
    """
    return _by_count(values, lambda size: iqm_weights(resampled_counts(random, size, repetitions)), repetitions)


def _by_count(values: Floats, weights_of: Callable[[int], Floats], rows: int = 1) -> Floats:
    known = np.sort(values, axis=0)  # NaN last
    counts = (~np.isnan(values)).sum(axis=0)
    result = np.full((rows, values.shape[1]), np.nan)
    for size in np.unique(counts[counts > 0]).tolist():
        here = counts == size
        # A mean of equal numbers can leave their range by one rounding.
        result[:, here] = np.clip(weighted(weights_of(size), known[:size, here]), known[0, here], known[size - 1, here])
    return result


def interval(resampled: Floats) -> tuple[Floats, Floats]:
    """Lower and upper end of the 95 % interval, by percentiles over the first axis; NaN stays NaN."""
    # Between two infinities there is nothing to interpolate.
    method: Literal["inverted_cdf", "linear"] = "inverted_cdf" if np.isinf(resampled).any() else "linear"
    low, high = np.percentile(resampled, _PERCENTILES, axis=0, method=method)
    return np.asarray(low), np.asarray(high)


def resampled_pooled_iqm(strata: Sequence[Floats], counts: Sequence[Floats]) -> Floats:
    """Interquartile mean over all values of several strata together, each resampled by itself; shape [repetitions].

    Args:
        strata: values, shape [values of the stratum] each.
        counts: of each stratum from `resampled_counts`.
    """
    pooled = np.concatenate(strata)
    order = np.argsort(pooled, kind="stable")
    return weighted(iqm_weights(np.concatenate(counts, axis=1)[:, order]), pooled[order])

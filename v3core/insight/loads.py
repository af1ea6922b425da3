"""Statistics of expert loads (mean gate weights): how the experts share the work."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from v3core.metrics import DEAD_LOAD


def load_entropy(loads: ArrayLike) -> NDArray[np.float64]:
    """H(E[α]) in nats of loads of shape [..., experts], shape [...]; NaN where one of them is not a number."""
    shares = np.asarray(loads, dtype=np.float64)
    known = np.isfinite(shares).all(axis=-1) & (shares.shape[-1] > 0)
    terms = shares * np.log(np.where(shares > 0, shares, 1.0))
    return np.where(known, -terms.sum(axis=-1), np.nan)


def effective_experts(loads: ArrayLike) -> NDArray[np.float64]:
    """exp(H(E[α])): how many experts share the load; shapes and NaN as of `load_entropy`."""
    return np.exp(load_entropy(loads))


def pooled_loads(loads: ArrayLike, steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Loads [experts] over all steps of some episodes together, of loads [episodes, experts] and steps [episodes].

    The mean of the loads would count the steps of a short episode more than those of a long one.
    """
    return np.asarray(np.average(np.asarray(loads, dtype=np.float64), axis=0, weights=steps), dtype=np.float64)


def dead_experts(loads: ArrayLike) -> int | None:
    """Experts with a load below 1 %, which is what dead means wherever the product says so: of pooled loads.

    None where a load is not a number, or there is none: comparisons with NaN would count no expert as dead.
    """
    shares = np.asarray(loads, dtype=np.float64)
    return int((shares < DEAD_LOAD).sum()) if len(shares) and np.isfinite(shares).all() else None

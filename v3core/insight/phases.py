"""What the loads of a phase say about its experts."""

from collections.abc import Sequence

import numpy as np

DEAD_LOAD = 0.01
"""An expert whose mean load over a phase is below this took no part worth the name."""


def effective_experts(mean_loads: Sequence[float]) -> float:
    """exp(H(E[α])): how many experts share the load; NaN where the loads are not known."""
    loads = np.asarray(mean_loads, dtype=np.float64)
    if not len(loads) or not np.isfinite(loads).all():
        return float("nan")
    present = loads[loads > 0]
    return float(np.exp(-(present * np.log(present)).sum()))


def dead_experts(mean_loads: Sequence[float]) -> int:
    """Experts with a mean load below 1 %."""
    return sum(load < DEAD_LOAD for load in mean_loads)

"""Made-up runs for charts: their buckets are put together by the store's own functions, as those of pages are."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from v3core.rollup import MAX_BUCKETS, STATISTICS, Series, bucket_size, summarise
from v3core.store.bulk import COLUMNS, gather, metric_names


def made_curve(
    columns: Mapping[str, Any],
    *,
    loads: Any = None,
    hard_loads: Any = None,
    expert_grad_norms: Any = None,
    limit: int = MAX_BUCKETS,
) -> Series:
    """Episodes from 1 as pages read them.

    Args:
        columns: a recorded column's name to its values, shape [n]; those left out were not recorded.
        loads: shape [n, experts]; by default there are no experts.
        hard_loads: shape [n, experts].
        expert_grad_norms: shape [n, experts].
        limit: buckets at most.
    """
    count = len(next(iter(columns.values()))) if columns else len(loads)
    loads = np.empty((count, 0)) if loads is None else np.asarray(loads, dtype=np.float64)
    names, experts = metric_names(loads.shape[1]), loads.shape[1]
    if not count:
        return Series(1, np.empty(0, dtype=np.int64), np.empty((0, STATISTICS, len(names))), names, experts, 0)
    values = np.full((count, len(COLUMNS)), np.nan)
    values[:, COLUMNS.index("length")] = 10
    for name, column in columns.items():
        values[:, COLUMNS.index(name)] = column
    per_expert = np.full((count, 3, experts), np.nan)
    per_expert[:, 0] = loads
    if hard_loads is not None:
        per_expert[:, 1] = hard_loads
    if expert_grad_norms is not None:
        per_expert[:, 2] = expert_grad_norms
    rows = gather(range(1, count + 1), values, per_expert, [""] * count, np.empty((0, 2)))
    size = bucket_size(count, limit)
    return Series(size, *summarise((rows.episode - 1) // size, rows.values), names, experts, count)

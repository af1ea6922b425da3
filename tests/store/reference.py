"""The pyramid worked out the plain way, from a list of episodes, to hold the real one against."""

import math
from collections.abc import Sequence

import numpy as np
from sqlalchemy import select

from v3core.rollup import Summary
from v3core.store.database import Database
from v3core.store.rollups import LEVELS, TOGETHER
from v3core.store.schema import rollups


def stored_rows(db: Database, run_id: str) -> dict[tuple[int, int], tuple[str, bytes]]:
    """All rows of a run's pyramid: (size, number) to the phases and the bytes."""
    with db.read() as tx:
        query = select(rollups.c.size, rollups.c.number, rollups.c.phases, rollups.c.stats)
        return {
            (size, number): (phases, bytes(stats))
            for size, number, phases, stats in tx.execute(query.where(rollups.c.run_id == run_id))
        }


def full_rows(count: int) -> set[tuple[int, int]]:
    """The rows that a run of so many episodes has."""
    return {(size, number) for size in LEVELS for number in range(count // (TOGETHER * size))}


def plain_summary(values: Sequence[float], size: int) -> np.ndarray:
    """Per bucket (minimum, maximum, mean, count, last) of a list of values; NaN where a bucket has no number."""
    found = []
    for start in range(0, len(values), size):
        part = values[start : start + size]
        known = [value for value in part if math.isfinite(value)]
        mean = math.fsum(known) / len(known) if known else math.nan
        extremes = (min(known), max(known)) if known else (math.nan, math.nan)
        found.append((*extremes, mean, len(known), part[-1]))
    return np.array(found, dtype=np.float64).reshape(-1, 5)


def assert_summary_is(summary: Summary, expected: np.ndarray) -> None:
    """A read summary is the plain one; means but for rounding."""
    np.testing.assert_array_equal(summary.minimum, expected[:, 0])
    np.testing.assert_array_equal(summary.maximum, expected[:, 1])
    np.testing.assert_allclose(summary.mean, expected[:, 2], rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(summary.count, expected[:, 3])
    np.testing.assert_array_equal(summary.last, expected[:, 4])

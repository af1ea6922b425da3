"""Returns of runs for lists: coarse curves, and means up to an episode. A few short reads, however long a run is."""

import math

import numpy as np
from sqlalchemy import bindparam, select

from v3core.rollup import COUNT, MEAN, STATISTICS, Floats, Integers, bucket_size
from v3core.store.bulk import fetch_tuples, floats, metric_names
from v3core.store.database import Database
from v3core.store.pace import RecentReturns
from v3core.store.rollups import LEVELS, TOGETHER, full_rows
from v3core.store.run_row import RunRow
from v3core.store.schema import Transaction, episodes, rollups
from v3core.store.trunks import ranges_of, rollup_ranges

POINTS = 32
"""Most points of a coarse curve."""

_STORED = (
    select(rollups.c.number, rollups.c.stats)
    .where(rollups.c.run_id == bindparam("run"), rollups.c.size == bindparam("size"))
    .where(rollups.c.number.between(bindparam("first"), bindparam("last")))
    .order_by(rollups.c.number)
)
_RETURNS = (
    select(episodes.c.episode, episodes.c.return_, episodes.c.phase)
    .where(episodes.c.run_id == bindparam("run"))
    .where(episodes.c.episode > bindparam("after"), episodes.c.episode <= bindparam("last"))
    .order_by(episodes.c.episode)
)


def _returns(tx: Transaction, run_id: str, after: int, last: int) -> list[tuple[int, float | None, str]]:
    """Numbers, returns and phases of the episodes beyond `after` up to `last`."""
    ranges = ranges_of(tx, run_id, after, last)
    return [
        row
        for part, begin, end in ranges
        for row in fetch_tuples(tx, _RETURNS, {"run": part, "after": begin, "last": end})
    ]


def read_sparkline(tx: Transaction, run: RunRow, points: int = POINTS) -> Floats:
    """Mean returns of equally many consecutive episodes each, at most `points` of them; NaN where none is finite.

    Reads the coarsest stored level that is fine enough, finer ones for what that does not reach yet, and at last fewer
    than 64 single episodes.
    """
    if not run.episode:
        return np.empty(0)
    size = bucket_size(run.episode, points)
    place = metric_names(run.experts).index("return")
    parts: list[tuple[Integers, Floats, Floats]] = []
    reached = 0
    for level in reversed([level for level in LEVELS if level <= size]):
        rows = TOGETHER * level
        first, last = reached // rows, full_rows(run.episode, level) - 1
        stored = [
            row
            for part, begin, end in rollup_ranges(tx, run.id, rows, first, last)
            for row in fetch_tuples(tx, _STORED, {"run": part, "size": level, "first": begin, "last": end})
        ]
        for number, blob in stored:
            if number * rows != reached:
                break  # a gap, left by a version without these rows: read from the finer levels
            stats = np.frombuffer(blob, dtype="<f8").reshape(TOGETHER, STATISTICS, -1)[:, :, place]
            buckets = (reached + level * np.arange(TOGETHER)) // size
            parts.append((buckets, stats[:, MEAN], stats[:, COUNT]))
            reached += rows
    single = _returns(tx, run.id, reached, run.episode)
    if single:
        numbers, returns = floats([row[:2] for row in single]).T
        parts.append(((numbers.astype(np.int64) - 1) // size, returns, np.isfinite(returns).astype(np.float64)))
    total, count = np.zeros((2, (run.episode - 1) // size + 1))
    for buckets, means, counts in parts:
        known = counts > 0
        np.add.at(total, buckets[known], means[known] * counts[known])
        np.add.at(count, buckets[known], counts[known])
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count)


def read_sparklines(database: Database, runs: list[RunRow], points: int = POINTS) -> list[Floats]:
    """The coarse curve of each run."""
    with database.read() as tx:
        return [read_sparkline(tx, run, points) for run in runs]


def read_mean_return(tx: Transaction, run_id: str, last: int, window: int) -> float:
    """The mean return that a run had at an episode: of the newest `window` up to `last` in the phase of that one.

    NaN if none of them is finite, or a row of the window was thinned.
    """
    first = max(0, last - window)
    rows = _returns(tx, run_id, first, last)
    recent = RecentReturns(window)
    for _, value, phase in rows:
        recent.add(value, phase)
    return math.nan if len(rows) < last - first or recent.mean is None else recent.mean

"""Reading a run as a curve: as many points as a chart is wide, at a cost that does not depend on the run's length."""

from dataclasses import replace

import numpy as np

from v3core.rollup import (
    MAX_BUCKETS,
    STATISTICS,
    Floats,
    Integers,
    Series,
    bucket_size,
    combine,
    singles,
    spread_out,
)
from v3core.store.bulk import metric_names, read_rows
from v3core.store.database import Database
from v3core.store.rollups import LEVELS, experts_of, newest_episode, read_pyramid
from v3core.store.schema import Transaction

_MANY = 2048
"""With more new episodes than this, buckets are read instead of single episodes."""


def read_series(
    database: Database,
    run_id: str,
    *,
    first: int = 1,
    last: int | None = None,
    width: int = MAX_BUCKETS,
    after: Series | None = None,
) -> Series:
    """The episodes of a range, in at most `width` buckets.

    A resumed run may replace episodes that were read before: read without `after` when `RunRow.generation` has changed.

    Args:
        database: an open store.
        run_id: full id.
        first: number of the first episode; the first bucket is read from its own beginning.
        last: number of the last episode; by default the newest.
        width: maximum number of distinct points.
        after: what was read before with the same arguments: only what is newer is read now.

    Raises:
        UnknownRunError: if there is no such run.
    """
    with database.read() as tx:
        if after is None:
            return _read(tx, run_id, first, last, width)
        return _follow(tx, run_id, after, first, last, width)


def _read(tx: Transaction, run_id: str, first: int, last: int | None, width: int) -> Series:
    experts = experts_of(tx, run_id)
    names = metric_names(experts)
    newest = newest_episode(tx, run_id)
    end = newest if last is None else min(last, newest)
    size = bucket_size(max(end, first), width, first)
    # Counted from 0; a bucket is read whole, or not at all.
    start, stop = (first - 1) // size * size, -(-end // size) * size
    pieces: list[tuple[int, Integers, Floats]] = []
    levels = [level for level in LEVELS if level <= size]
    found, missing = read_pyramid(tx, run_id, experts, [(start, stop)], levels)
    for level, stored in found:
        cuts = np.flatnonzero(np.diff(stored.numbers) != 1) + 1
        for numbers, stats in zip(np.split(stored.numbers, cuts), np.split(stored.stats, cuts), strict=True):
            if len(numbers):
                pieces.append((int(numbers[0]) * level, *combine(numbers // (size // level), stats)))
    for begin, until in missing:
        for rows in read_rows(tx, run_id, experts, after=begin, last=until):
            belongs = (rows.episode - 1) // size
            pieces.append((int(rows.episode[0]) - 1, *combine(belongs, singles(rows.values))))
    pieces.sort(key=lambda piece: piece[0])
    nothing = (np.empty(0, dtype=np.int64), np.empty((0, STATISTICS, len(names))))
    drawn = spread_out(*_joined([nothing, *((numbers, stats) for _, numbers, stats in pieces)]))
    reached = min(newest, (int(drawn[0][-1]) + 1) * size) if len(drawn[0]) else start
    return Series(size, *drawn, names, experts, reached)


def _joined(parts: list[tuple[Integers, Floats]]) -> tuple[Integers, Floats]:
    """Joins consecutive levels; where one ends within a bucket, the next continues. Copies the data once."""
    joined: list[tuple[Integers, Floats]] = []
    for numbers, stats in parts:
        if joined and len(numbers) and joined[-1][0][-1] == numbers[0]:
            before, filled = joined.pop()
            both = np.concatenate((before[-1:], numbers[:1])), np.concatenate((filled[-1:], stats[:1]))
            pieces = [(before[:-1], filled[:-1]), combine(*both), (numbers[1:], stats[1:])]
        else:
            pieces = [(numbers, stats)]
        joined += [piece for piece in pieces if len(piece[0])]
    if not joined:
        return parts[0]
    return np.concatenate([piece[0] for piece in joined]), np.concatenate([piece[1] for piece in joined])


def _follow(tx: Transaction, run_id: str, before: Series, first: int, last: int | None, width: int) -> Series:
    newest = newest_episode(tx, run_id)
    if newest - before.newest > _MANY:
        return _read(tx, run_id, first, last, width)
    for rows in read_rows(tx, run_id, before.experts, after=before.newest, last=last):
        newest = int(rows.episode[-1])
        larger = before.coarser(max(bucket_size(newest, width, first), before.size))
        belongs, newer = (rows.episode - 1) // larger.size, singles(rows.values)
        # Only the last bucket can still grow.
        open_ = max(len(larger) - 1, 0)
        grown = combine(
            np.concatenate((larger.numbers[open_:], belongs)), np.concatenate((larger.stats[open_:], newer))
        )
        numbers, stats = spread_out(*grown)
        before = replace(
            larger,
            numbers=np.concatenate((larger.numbers[:open_], numbers)),
            stats=np.concatenate((larger.stats[:open_], stats)),
            newest=newest,
        )
    return before

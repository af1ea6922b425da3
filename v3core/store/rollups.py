"""The rollup pyramid: buckets of 16, 64, 256 … episodes, four to a row, written in the transaction of the row's end.

Only full rows are written. What is newer is read from the finer levels, and at last from the episodes, so nothing is
ever written twice, and taking a run back to an episode deletes the rows that reach beyond it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, delete, func, select

from v3core.errors import V3Error
from v3core.rollup import COUNT, STATISTICS, Floats, Integers, combine, summarise
from v3core.store.bulk import (
    COLUMNS,
    OUTCOMES,
    REACH,
    Rows,
    fetch_tuples,
    gather,
    insert_rows,
    metric_names,
    read_rows,
    recent_outcomes,
)
from v3core.store.database import Database
from v3core.store.run_row import RULES
from v3core.store.runs import get_run
from v3core.store.schema import Transaction, episodes, rollups, runs
from v3core.store.trunks import fork_begin, rollup_ranges

LEVELS = (16, 64, 256, 1024, 4096, 16_384)
"""Episodes per bucket, each four times the previous: a row of a level is one bucket of the next."""
TOGETHER = 4
"""Buckets of a row: one of two kilobytes would leave half of a database's page empty."""

_INSERTED = ("run_id", "size", "number", "phases", "stats")

Phases = list[tuple[str, ...]]
"""Per row or bucket, the phases it spans, in their order."""


@dataclass(frozen=True)
class Buckets:
    """Buckets of one size, without empty ones."""

    numbers: Integers
    """Ascending, shape [n]."""
    stats: Floats
    """Shape [n, 5, metrics]."""
    phases: Phases

    def only(self, chosen: NDArray[np.bool_]) -> "Buckets":
        if chosen.all():
            return self
        places = np.flatnonzero(chosen)
        return Buckets(self.numbers[places], self.stats[places], [self.phases[place] for place in places.tolist()])


class Pyramid:
    """The latest records of a run that are not in the pyramid yet."""

    def __init__(self, run_id: str, experts: int) -> None:
        """Of a run without episodes."""
        self.run_id = run_id
        self._shape = (0, STATISTICS, len(metric_names(experts)))
        self._rows = Rows(np.empty(0, dtype=np.int64), np.empty((0, self._shape[2])), [])
        nothing = Buckets(np.empty(0, dtype=np.int64), np.empty(self._shape), [])
        self._waiting = [nothing] * len(LEVELS)
        self._unwritten: list[tuple[Any, ...]] = []
        self._recent = np.empty((0, 2))
        self.whole_until = 0
        """Stored rows beyond this episode are not right, and are to be deleted before what this object adds."""

    @classmethod
    def restore(cls, tx: Transaction, run_id: str) -> "Pyramid":
        """The pyramid of a run as recorded, ready to continue; missing rows are added with the next ones."""
        experts = experts_of(tx, run_id)
        made = cls(run_id, experts)
        made.whole_until = _whole_until(tx, run_id)
        reach = 0
        for level in reversed(range(len(LEVELS))):
            size = LEVELS[level]
            last = full_rows(made.whole_until, size) * TOGETHER - 1
            stored = read_buckets(tx, run_id, size, experts=experts, first=reach // size, last=last)
            rows = stored.numbers // TOGETHER
            if level + 1 < len(LEVELS):
                made._waiting[level + 1] = Buckets(*combine(rows, stored.stats), _spanned(rows, stored.phases))
            if len(rows):
                reach = int(rows[-1] + 1) * TOGETHER * size
        for episodes_left in read_rows(tx, run_id, experts, after=reach):
            made._unwritten += made.add(episodes_left)
        made._recent = recent_outcomes(tx, run_id)
        return made

    def record(
        self, episode: Sequence[int], columns: Floats, per_expert: Floats, phases: list[str]
    ) -> list[tuple[Any, ...]]:
        """Add episodes that were just recorded; the arguments are those of `gather`.

        Returns:
            The rows that are full now, for `insert_rollups`.
        """
        rows = gather(episode, columns, per_expert, phases, self._recent)
        self._recent = np.concatenate((self._recent, columns[:, OUTCOMES]))[-REACH:]
        full, self._unwritten = self._unwritten + self.add(rows), []
        return full

    def add(self, rows: Rows) -> list[tuple[Any, ...]]:
        newest = int(rows.episode[-1])
        episode = np.concatenate((self._rows.episode, rows.episode))
        values = np.concatenate((self._rows.values, rows.values))
        names = self._rows.phases + rows.phases
        numbers = (episode - 1) // LEVELS[0]
        # All up to the last bucket that the newest episode leaves finished.
        cut = int(np.searchsorted(numbers, newest // LEVELS[0]))
        self._rows = Rows(episode[cut:], values[cut:].copy(), names[cut:])
        phases = _spanned(numbers[:cut], [(name,) for name in names[:cut]])
        numbers, stats = summarise(numbers[:cut], values[:cut])
        made: list[tuple[Any, ...]] = []
        for level, size in enumerate(LEVELS):
            waiting = self._waiting[level]
            numbers = np.concatenate((waiting.numbers, numbers))
            stats = np.concatenate((waiting.stats, stats))
            phases = waiting.phases + phases
            row = numbers // TOGETHER
            cut = int(np.searchsorted(row, newest // (TOGETHER * size)))
            self._waiting[level] = Buckets(numbers[cut:], stats[cut:].copy(), phases[cut:])
            row, numbers, stats, phases = row[:cut], numbers[:cut], stats[:cut], phases[:cut]
            made += self._full_rows(size, numbers, stats, phases)
            numbers, stats, phases = *combine(row, stats), _spanned(row, phases)
        return made

    def _full_rows(self, size: int, numbers: Integers, stats: Floats, phases: Phases) -> list[tuple[Any, ...]]:
        rows, place = np.unique(numbers // TOGETHER, return_inverse=True)
        slots = np.full((len(rows), TOGETHER, *self._shape[1:]), np.nan, dtype="<f8")
        slots[:, :, COUNT] = 0.0
        slots[place, numbers % TOGETHER] = stats
        spanned: list[list[tuple[str, ...]]] = [[()] * TOGETHER for _ in rows]
        for row, number, names in zip(place.tolist(), (numbers % TOGETHER).tolist(), phases, strict=True):
            spanned[row][number] = names
        return [
            (self.run_id, size, row, json.dumps(names), slot.tobytes())
            for row, names, slot in zip(rows.tolist(), spanned, slots, strict=True)
        ]


def _spanned(numbers: Integers, phases: Phases) -> Phases:
    """The phases of each bucket, from those of its parts."""
    ends = [*(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)] if len(numbers) else []
    return [tuple(dict.fromkeys(chain(*phases[start:end]))) for start, end in zip([0, *ends[:-1]], ends, strict=False)]


def insert_rollups(tx: Transaction, rows: list[tuple[Any, ...]]) -> None:
    """Write full rows, in the transaction of the episodes that filled them."""
    insert_rows(tx, rollups, _INSERTED, rows)


def rebuild_rollups(tx: Transaction, run_id: str) -> None:
    """Rebuild the pyramid of a run from its episodes, in bounded memory.

    Raises:
        V3Error: if the run does not exist, or lacks loads of its experts.
    """
    tx.execute(delete(rollups).where(rollups.c.run_id == run_id))
    for full in _from_episodes(tx, run_id):
        insert_rollups(tx, full)


def build_rollups(database: Database, run_id: str) -> None:
    """Make the pyramid of a run that has none, in short writing transactions: for an import, which others wait for."""
    with database.read() as reading:
        for full in _from_episodes(reading, run_id):
            with database.write() as tx:
                insert_rollups(tx, full)


def _from_episodes(tx: Transaction, run_id: str) -> Iterator[list[tuple[Any, ...]]]:
    experts = experts_of(tx, run_id)
    pyramid, begin = Pyramid(run_id, experts), fork_begin(tx, run_id)
    for full in map(pyramid.add, read_rows(tx, run_id, experts)):
        yield [row for row in full if row[2] >= full_rows(begin, row[1])]  # the others are the trunk's


def cut_rollups(tx: Transaction, run_id: str, episode: int) -> None:
    """Delete the rows that reach beyond an episode."""
    beyond = (rollups.c.number + 1) * TOGETHER * rollups.c.size > episode
    tx.execute(delete(rollups).where(rollups.c.run_id == run_id, beyond))


def full_rows(episode: int, size: int) -> int:
    return episode // (TOGETHER * size)


def newest_episode(tx: Transaction, run_id: str) -> int:
    """Number of the newest episode that is recorded; 0 if there is none."""
    query = select(func.max(episodes.c.episode)).where(episodes.c.run_id == run_id)
    return tx.execute(query).scalar_one() or fork_begin(tx, run_id)


def _whole_until(tx: Transaction, run_id: str) -> int:
    """The newest episode, or the end of what is whole if a row is missing before it.

    A worker of a version without a pyramid, which keeps training while the database is migrated, leaves such gaps.
    """
    whole = newest_episode(tx, run_id)
    for size in LEVELS:
        number = rollups.c.number
        numbers = [
            row[0]
            for part, first, last in rollup_ranges(tx, run_id, TOGETHER * size, 0, full_rows(whole, size))
            for row in fetch_tuples(
                tx,
                select(number)
                .where(rollups.c.run_id == part, rollups.c.size == size, number.between(first, last))
                .order_by(number),
            )
        ]
        first_missing = next((place for place, found in enumerate(numbers) if found != place), len(numbers))
        if first_missing < full_rows(whole, size):
            whole = first_missing * TOGETHER * size
    return whole


def experts_of(tx: Transaction, run_id: str) -> int:
    """Number of experts of a run.

    Raises:
        UnknownRunError: if there is no such run.
    """
    experts = tx.execute(select(runs.c.experts).where(runs.c.id == run_id)).scalar_one_or_none()
    # A run that is being imported is in no list, and has its number all the same.
    if experts is None or not RULES["experts"].fits(experts):
        return get_run(tx, run_id).experts
    return experts


_ROWS = (
    select(rollups.c.number, rollups.c.phases, rollups.c.stats)
    .where(rollups.c.run_id == bindparam("run"), rollups.c.size == bindparam("size"))
    .where(rollups.c.number.between(bindparam("first"), bindparam("last")))
    .order_by(rollups.c.number)
)


def read_buckets(tx: Transaction, run_id: str, size: int, *, experts: int, first: int, last: int) -> Buckets:
    """The stored buckets of one of the sizes `LEVELS`, numbers from `first` to `last`, without empty ones."""
    found = [
        row
        for part, begin, end in rollup_ranges(tx, run_id, TOGETHER * size, first // TOGETHER, last // TOGETHER)
        for row in fetch_tuples(tx, _ROWS, {"run": part, "size": size, "first": begin, "last": end})
    ]
    try:
        stats = _unpack([row[2] for row in found], len(metric_names(experts)))
        phases = [tuple(map(str, names)) for row in found for names in _parsed(row[1])]
    except (ValueError, TypeError):
        raise V3Error(
            "The stored buckets of run {run_id} are damaged; its episodes can still be exported.", run_id=run_id[:8]
        ) from None
    numbers = np.array([row[0] for row in found], dtype=np.int64)[:, None] * TOGETHER + np.arange(TOGETHER)
    numbers = numbers.reshape(-1)
    # Every episode has a length.
    filled = stats[:, COUNT, -len(COLUMNS) + COLUMNS.index("length")] > 0
    return Buckets(numbers, stats, phases).only(filled & (numbers >= first) & (numbers <= last))


Spans = list[tuple[int, int]]
"""Ranges of episodes, counted from 0 up to and without the second number; ascending."""


def read_pyramid(
    tx: Transaction,
    run_id: str,
    experts: int,
    newest: int,
    spans: Spans,
    levels: Sequence[int],
    fits: Callable[[int, Buckets], NDArray[np.bool_]] = lambda _, found: found.numbers >= 0,
) -> tuple[list[tuple[int, Buckets]], Spans]:
    """The largest stored buckets within ranges of episodes, by their sizes, and the ranges that none covers.

    Of the sizes `levels`, which ascend; `fits` says which buckets of a size may be used, shape [buckets]. `newest` is
    the run's newest episode.
    """
    found: list[tuple[int, Buckets]] = []
    for size in reversed(levels):
        full = full_rows(newest, size) * TOGETHER  # rows of later numbers are of episodes that are gone
        left: Spans = []
        for begin, end in spans:
            stored = read_buckets(
                tx, run_id, size, experts=experts, first=-(-begin // size), last=min(end // size, full) - 1
            )
            stored = stored.only(fits(size, stored))
            found.append((size, stored))
            starts, ends = np.append(stored.numbers * size, end), np.append(begin, (stored.numbers + 1) * size)
            gaps = np.flatnonzero(starts > ends)
            left += zip(ends[gaps].tolist(), starts[gaps].tolist(), strict=True)
        spans = left
    return found, spans


@lru_cache(maxsize=256)
def _parsed(phases: str) -> list[list[str]]:
    """Most rows span one phase: a few texts, read often."""
    parsed: list[list[str]] = json.loads(phases)
    return parsed


def _unpack(blobs: Sequence[bytes], metrics: int) -> Floats:
    """Statistics of stored rows, shape [buckets, 5, metrics]; of metrics added since, nothing is known."""
    if {len(blob) for blob in blobs} <= {8 * TOGETHER * STATISTICS * metrics}:
        return np.frombuffer(b"".join(blobs), dtype="<f8").reshape(-1, STATISTICS, metrics)
    stats = np.full((len(blobs), TOGETHER, STATISTICS, metrics), np.nan)
    stats[:, :, COUNT] = 0.0
    for place, blob in enumerate(blobs):
        values = np.frombuffer(blob, dtype="<f8").reshape(TOGETHER, STATISTICS, -1)
        stats[place, :, :, : values.shape[2]] = values
    return stats.reshape(-1, STATISTICS, metrics)

"""Reading a run for pages: as a curve of as many points as a chart is wide, and its phases, exact over all episodes.

What it costs does not depend on the run's length.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import case, func, select

from v3core.insight.loads import load_entropy, pooled_loads
from v3core.rollup import (
    COUNT,
    MAX_BUCKETS,
    MAXIMUM,
    MEAN,
    MINIMUM,
    STATISTICS,
    Floats,
    Integers,
    Series,
    bucket_size,
    combine,
    singles,
    spread_out,
    trailing_mean,
)
from v3core.store.bulk import floats, metric_names, read_rows
from v3core.store.database import Database
from v3core.store.history import LARGEST
from v3core.store.rollups import LEVELS, Buckets, experts_of, newest_episode, read_pyramid
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run
from v3core.store.schema import Transaction, episodes, expert_loads, runs
from v3core.store.trunks import of_run

_MANY = 2048
"""With more new episodes than this, buckets are read instead of single episodes."""
_SMALLEST = 1e-150
"""Of a smaller distance, the square is 0 or no number: see `LARGEST`."""
SUMMED = ("return", "success", "router_shift", "router_shift_last", "routing_entropy", "specialisation")
"""The metrics that phases are described by."""
_OUTCOMES = 4
"""Of those the first are of the phase in which an episode ends, whenever it began."""
_EVERY, _OWN = range(2)


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
    if size < LEVELS[0] and _lacks_rows(tx, run_id, start, min(stop, newest)):
        size = LEVELS[0]
        start, stop = (first - 1) // size * size, -(-end // size) * size
    pieces: list[tuple[int, Integers, Floats]] = []
    levels = [level for level in LEVELS if level <= size]
    found, missing = read_pyramid(tx, run_id, experts, newest, [(start, stop)], levels)
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


def _lacks_rows(tx: Transaction, run_id: str, after: int, last: int) -> bool:
    """Whether a run was thinned within a range of episodes: most of them are then in buckets only."""
    if tx.execute(select(runs.c.thinned_at).where(runs.c.id == run_id)).scalar_one_or_none() is None:
        return False
    c = episodes.c
    mine = (c.run_id == run_id, c.episode > after, c.episode <= last)
    return tx.execute(select(func.count()).where(*mine)).scalar_one() < last - after


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


@dataclass(frozen=True)
class PhaseSums:
    """One phase of a run, from every episode recorded of it.

    Numbers that are not finite, or beyond 1e150, count as missing.
    """

    phase: str
    first_episode: int
    last_episode: int
    episodes: int
    steps: int
    """Environment steps of its episodes."""
    count: Floats
    """Number of values per metric, shape [2, metrics]: of every episode, and of its own.

    The routing of an episode that began in an earlier phase is of both, so that it is not its own.
    """
    mean: Floats
    """Their means, shape [2, metrics]; NaN of nothing."""
    squares: float = 0.0
    """Sum of the squared distances of the returns from their mean."""
    closing_return: float = math.nan
    """Mean return of its last `RunRow.mean_window` episodes, or of all if it has fewer."""
    closing_loads: tuple[float, ...] = ()
    """Load of each expert over all steps of those of these episodes that began in the phase.

    Empty if there is none; NaN of an expert whose load is not known.
    """
    closing_specialisation: float = math.nan
    """Specialisation over the same steps, in nats."""

    @property
    def _means(self) -> Floats:
        """Over its own episodes, or over all if none belongs entirely to it."""
        return np.asarray(np.where(self.count[_OWN] > 0, self.mean[_OWN], self.mean[_EVERY]))

    def __getitem__(self, metric: str) -> float:
        """The mean of one metric; NaN if it has no value."""
        return float(self._means[SUMMED.index(metric)])

    @property
    def deviation(self) -> float:
        """Sample standard deviation of the returns; NaN of fewer than two."""
        count = self.count[_EVERY, 0]
        return math.sqrt(self.squares / (count - 1)) if count > 1 else math.nan

    def followed_by(self, newer: "PhaseSums") -> "PhaseSums":
        """Both merged; `newer` was read from where this ended."""
        count = self.count + newer.count
        total = sum(np.where(part.count > 0, part.mean * part.count, 0.0) for part in (self, newer))
        with np.errstate(invalid="ignore"):
            mean = np.asarray(total / count)
        squares = self.squares + newer.squares
        if self.count[_EVERY, 0] and newer.count[_EVERY, 0]:
            distance = float(newer.mean[_EVERY, 0] - self.mean[_EVERY, 0])
            squares += distance**2 * float(self.count[_EVERY, 0] * newer.count[_EVERY, 0] / count[_EVERY, 0])
        return replace(
            newer,
            first_episode=self.first_episode,
            episodes=self.episodes + newer.episodes,
            steps=self.steps + newer.steps,
            count=count,
            mean=mean,
            squares=squares,
        )


def merged(before: Sequence[PhaseSums], newer: Sequence[PhaseSums]) -> tuple[PhaseSums, ...]:
    """The phases of both, in the order of training; `newer` was read from where `before` ended."""
    phases = {sums.phase: sums for sums in before}
    for sums in newer:
        known = phases.get(sums.phase)
        phases[sums.phase] = known.followed_by(sums) if known else sums
    return tuple(phases.values())


def read_phase_sums(database: Database, run_id: str, *, after: int = 0) -> tuple[PhaseSums, ...]:
    """The phases of the episodes beyond `after`, in the order of training.

    Buckets of the pyramid that lie in one phase tell all but the deviations; only around the phases' ends are the
    episodes read one by one. After the newest `last_episode` that was read before, they are to be `merged` with those.

    Raises:
        UnknownRunError: if there is no such run.
    """
    with database.read() as tx:
        run = get_run(tx, run_id)
        names = metric_names(run.experts)
        places = [names.index(name) for name in SUMMED]
        newest = newest_episode(tx, run_id)
        fits = partial(in_one_phase, names, places)
        found, spans = read_pyramid(tx, run_id, run.experts, newest, [(after, newest)], LEVELS, fits)
        parts = [part for size, stored in found for part in _of_buckets(stored, size, names, places)]
        for begin, end in spans:
            parts += _read_span(tx, run, names, places, begin, end)
        phases = merged((), sorted(parts, key=lambda part: part.first_episode))
        return tuple(_completed(tx, run, sums) for sums in phases)


def in_one_phase(names: Sequence[str], places: list[int], size: int, stored: Buckets) -> NDArray[np.bool_]:
    """Which buckets hold episodes of one phase, each of them wholly its own."""
    steps, length = (stored.stats[:, :, names.index(name)] for name in ("phase_steps", "length"))
    # No episode has more steps of its phase than steps: with the same mean, all have as many.
    own = (steps[:, COUNT] == size) & ((steps == length).all(axis=1) | (steps[:, MINIMUM] >= length[:, MAXIMUM]))
    alone = np.array([len(phases) == 1 for phases in stored.phases], dtype=bool)
    extremes = stored.stats[:, [MINIMUM, MAXIMUM]][:, :, places]
    small = ~(np.abs(extremes) > LARGEST).any(axis=(1, 2))
    return np.asarray(alone & small & (length[:, COUNT] == size) & (own | (steps[:, COUNT] == 0)))


def _of_buckets(stored: Buckets, size: int, names: Sequence[str], places: list[int]) -> Iterator[PhaseSums]:
    steps = np.rint(stored.stats[:, MEAN, names.index("length")] * size).astype(int).tolist()
    for bucket, number in enumerate(stored.numbers.tolist()):
        count, mean = (np.tile(stored.stats[bucket, kind, places], (2, 1)) for kind in (COUNT, MEAN))
        phase = stored.phases[bucket][0]
        yield PhaseSums(phase, number * size + 1, (number + 1) * size, size, steps[bucket], count, mean)


def _read_span(
    tx: Transaction, run: RunRow, names: Sequence[str], places: list[int], begin: int, end: int
) -> Iterator[PhaseSums]:
    for rows in read_rows(tx, run.id, run.experts, after=begin, last=end):
        values = np.where(np.abs(rows.values) <= LARGEST, rows.values, np.nan)
        length = values[:, names.index("length")]
        own = ~(values[:, names.index("phase_steps")] < length)  # also if unknown
        every = values[:, places].T
        of_own = np.where(own | (np.arange(len(places)) < _OUTCOMES)[:, None], every, np.nan)
        phases = np.array(rows.phases, dtype=object)
        for phase in dict.fromkeys(rows.phases):
            here = phases == phase
            parts = np.stack((every[:, here], of_own[:, here]))
            count = (~np.isnan(parts)).sum(axis=2, dtype=np.float64)
            with np.errstate(invalid="ignore"):
                mean = np.nansum(parts, axis=2) / count
            first, last = rows.episode[here][[0, -1]].tolist()
            yield PhaseSums(phase, first, last, int(here.sum()), int(length[here].sum()), count, mean)


def _completed(tx: Transaction, run: RunRow, sums: PhaseSums) -> PhaseSums:
    """Adds what parts cannot provide: the deviation of the returns, and what the last episodes were like."""
    c = episodes.c
    here = (of_run(tx, episodes, run.id), c.phase == sums.phase, c.episode <= sums.last_episode)
    distance = c.return_ - sums["return"]
    is_finite = func.abs(c.return_) <= LARGEST  # to PostgreSQL, NaN is greater than all numbers
    squares = func.sum(case((is_finite & (func.abs(distance) > _SMALLEST), distance * distance)))
    found = tx.execute(select(squares, func.count()).where(*here, c.episode >= sums.first_episode)).one()
    # Where some of its episodes are in buckets only, nothing says how far theirs were from the mean.
    squared = (found[0] or 0.0) if found[1] >= sums.episodes else math.nan
    columns = (c.return_, c.length, c.phase_steps, c.routing_entropy, c.episode)
    last = select(*columns).where(*here).order_by(c.episode.desc()).limit(run.mean_window)
    rows = [tuple(row) for row in tx.execute(last)]
    if not rows:
        return replace(sums, squares=squared)
    table = floats(rows)
    closing = table[:, 0]
    sums = replace(sums, squares=squared, closing_return=float(trailing_mean(closing, len(closing), newest=1)[0]))
    own = ~(table[:, 2] < table[:, 1])  # also if unknown
    if not own.any():
        return sums
    _, steps, _, entropy, numbers = table[own].T
    entropy[np.abs(entropy) > LARGEST] = np.nan
    loads = pooled_loads(_loads_of(tx, run, numbers), steps)
    specialisation = float(load_entropy(loads) - np.average(entropy, weights=steps)) if len(loads) else math.nan
    return replace(
        sums,
        closing_loads=tuple(loads.tolist()),
        closing_specialisation=max(0.0, specialisation) if math.isfinite(specialisation) else math.nan,
    )


def _loads_of(tx: Transaction, run: RunRow, numbers: Floats) -> Floats:
    """Loads [episodes, experts] of the episodes with these numbers, the newest first; NaN where none is recorded."""
    first, last = int(numbers.min()), int(numbers.max())
    found = np.full((last - first + 1, run.experts), np.nan)
    c = expert_loads.c
    query = select(c.episode, c.expert, c.load)
    here = (of_run(tx, expert_loads, run.id), c.episode >= first, c.episode <= last, c.expert < run.experts)
    rows = floats([tuple(row) for row in tx.execute(query.where(*here))]).reshape(-1, 3)
    rows[~(np.abs(rows[:, 2]) <= LARGEST), 2] = np.nan
    places = rows[:, :2].astype(np.int64)
    found[places[:, 0] - first, places[:, 1]] = rows[:, 2]
    return np.asarray(found[numbers.astype(np.int64) - first])

"""Statistics of each phase of a run: exact, over all its episodes, updated by cursor."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import case, func, select

from v3core.rollup import COUNT, MAXIMUM, MEAN, MINIMUM, Floats, trailing_mean
from v3core.store.bulk import floats
from v3core.store.database import Database
from v3core.store.rollups import (
    LEVELS,
    TOGETHER,
    Buckets,
    full_rows,
    metric_names,
    newest_episode,
    read_buckets,
    read_rows,
)
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run
from v3core.store.schema import Transaction, episodes

_LARGEST, _SMALLEST = 1e150, 1e-150
"""Beyond, sums and squares leave the numbers, and PostgreSQL refuses the whole query."""


@dataclass(frozen=True)
class Mean:
    """A mean that others can be merged into; NaN of nothing."""

    count: int = 0
    mean: float = math.nan
    squares: float = 0.0
    """Sum of squared distances from the mean."""

    def __add__(self, other: "Mean") -> "Mean":
        """The mean of both."""
        if not other.count or not self.count:
            return self if self.count else other
        count, distance = self.count + other.count, other.mean - self.mean
        return Mean(
            count,
            self.mean + distance * other.count / count,
            self.squares + other.squares + distance * distance * self.count * other.count / count,
        )

    @property
    def deviation(self) -> float:
        """Sample standard deviation; NaN of fewer than two."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else math.nan


@dataclass(frozen=True)
class Split:
    """A mean over the episodes of a phase, and over its own: the routing of one that began before it is of both."""

    every: Mean = Mean()
    own: Mean = Mean()

    def __add__(self, other: "Split") -> "Split":
        """The means of both."""
        return Split(self.every + other.every, self.own + other.own)

    @property
    def mean(self) -> float:
        """Over its own episodes, or over all if none belongs entirely to it."""
        return self.own.mean if self.own.count else self.every.mean


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
    means: Mapping[str, Split]
    """By the names of `_summed`."""
    closing_return: float = math.nan
    """Mean return of its last `RunRow.mean_window` episodes, or of all if it has fewer."""

    def __getitem__(self, metric: str) -> Split:
        """The mean of one metric."""
        return self.means[metric]

    @property
    def returns(self) -> Mean:
        """Of the episodes' returns."""
        return self.means["return"].every

    @property
    def loads(self) -> list[float]:
        """Mean gate weight per expert."""
        return [split.mean for metric, split in self.means.items() if metric.startswith("load_")]

    def followed_by(self, newer: "PhaseSums") -> "PhaseSums":
        """Both merged; `newer` was read from where this ended."""
        return PhaseSums(
            self.phase,
            self.first_episode,
            newer.last_episode,
            self.episodes + newer.episodes,
            self.steps + newer.steps,
            {metric: split + newer.means[metric] for metric, split in self.means.items()},
            newer.closing_return,
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
    episodes read one by one.

    Args:
        database: an open store.
        run_id: full id.
        after: the newest `last_episode` read before, whose phases are then `merged` with these.

    Raises:
        UnknownRunError: if there is no such run.
    """
    with database.read() as tx:
        run = get_run(tx, run_id)
        experts = run.experts
        parts: list[PhaseSums] = []
        newest = newest_episode(tx, run_id)
        spans = [(after + 1, newest)]
        for size in reversed(LEVELS):
            # Rows of later numbers are of episodes that are gone.
            stored = full_rows(newest, size) * TOGETHER
            found, spans = _read_level(tx, run_id, size, experts, spans, stored)
            parts += found
        for first, last in spans:
            parts += _read_span(tx, run_id, experts, first, last)
        phases = merged((), sorted(parts, key=lambda part: part.first_episode))
        return tuple(_completed(tx, run, sums) for sums in phases)


Spans = list[tuple[int, int]]
"""First and last episodes of ranges, ascending."""


def _read_level(
    tx: Transaction, run_id: str, size: int, experts: int, spans: Spans, buckets: int
) -> tuple[list[PhaseSums], Spans]:
    """The buckets of a size that lie within the spans; and the spans that remain."""
    found: list[PhaseSums] = []
    left: Spans = []
    for first, last in spans:
        reached = first
        if last - first + 1 >= size:
            end = min(last // size, buckets) - 1
            stored = read_buckets(tx, run_id, size, experts=experts, first=-(-(first - 1) // size), last=end)
            for place in np.flatnonzero(_in_one_phase(stored, size, experts)).tolist():
                part = _of_bucket(stored, place, size, experts)
                if reached < part.first_episode:
                    left.append((reached, part.first_episode - 1))
                found.append(part)
                reached = part.last_episode + 1
        if reached <= last:
            left.append((reached, last))
    return found, left


def _in_one_phase(stored: Buckets, size: int, experts: int) -> NDArray[np.bool_]:
    """Which buckets hold episodes of one phase, each of them wholly its own."""
    names = metric_names(experts)
    steps, length = (stored.stats[:, :, names.index(name)] for name in ("phase_steps", "length"))
    # No episode has more steps of its phase than steps: with the same mean, all have as many.
    own = (steps[:, COUNT] == size) & ((steps == length).all(axis=1) | (steps[:, MINIMUM] >= length[:, MAXIMUM]))
    alone = np.array([len(phases) == 1 for phases in stored.phases], dtype=bool)
    extremes = stored.stats[:, [MINIMUM, MAXIMUM]][:, :, [names.index(name) for name in _summed(experts)]]
    small = ~(np.abs(extremes) > _LARGEST).any(axis=(1, 2))
    return np.asarray(alone & small & (length[:, COUNT] == size) & (own | (steps[:, COUNT] == 0)))


_OUTCOMES = ("return", "success", "router_shift")
"""Metrics of an episode that are those of its phase, whenever it began."""


def _summed(experts: int) -> list[str]:
    """The metrics that phases are described by."""
    loads = [f"load_{expert}" for expert in range(1, experts + 1)]
    return [*_OUTCOMES, "routing_entropy", "specialisation", *loads]


def _of_bucket(stored: Buckets, place: int, size: int, experts: int) -> PhaseSums:
    names = metric_names(experts)

    def mean(metric: str) -> Mean:
        at = names.index(metric)
        count = int(stored.stats[place, COUNT, at])
        return Mean(count, float(stored.stats[place, MEAN, at])) if count else Mean()

    number = int(stored.numbers[place])
    return PhaseSums(
        phase=stored.phases[place][0],
        first_episode=number * size + 1,
        last_episode=(number + 1) * size,
        episodes=size,
        steps=round(mean("length").mean * size),
        means={metric: Split(mean(metric), mean(metric)) for metric in _summed(experts)},
    )


def _read_span(tx: Transaction, run_id: str, experts: int, first: int, last: int) -> Iterator[PhaseSums]:
    """The phases of a range, from its episodes."""
    names = metric_names(experts)
    for rows in read_rows(tx, run_id, experts, after=first - 1, last=last):
        values = np.where(np.abs(rows.values) <= _LARGEST, rows.values, np.nan)
        length = values[:, names.index("length")]
        own = ~(values[:, names.index("phase_steps")] < length)  # also if unknown
        phases = np.array(rows.phases, dtype=object)
        for phase in dict.fromkeys(rows.phases):
            here = phases == phase
            yield PhaseSums(
                phase,
                int(rows.episode[here][0]),
                int(rows.episode[here][-1]),
                int(here.sum()),
                int(length[here].sum()),
                {
                    metric: Split(_mean(column[here]), _mean(column[here if metric in _OUTCOMES else here & own]))
                    for metric in _summed(experts)
                    for column in [values[:, names.index(metric)]]
                },
            )


def _mean(values: Floats) -> Mean:
    known = values[~np.isnan(values)]
    return Mean(len(known), float(known.mean())) if len(known) else Mean()


def _completed(tx: Transaction, run: RunRow, sums: PhaseSums) -> PhaseSums:
    """Adds what parts cannot provide: the deviation of the returns, and the mean of the last ones."""
    c = episodes.c
    here = (c.run_id == run.id, c.phase == sums.phase, c.episode <= sums.last_episode)
    distance = c.return_ - sums.returns.mean
    is_finite = func.abs(c.return_) <= _LARGEST  # to PostgreSQL, NaN is greater than all numbers
    squares = select(func.sum(case((is_finite & (func.abs(distance) > _SMALLEST), distance * distance))))
    squared = tx.execute(squares.where(*here, c.episode >= sums.first_episode)).scalar_one() or 0.0
    last = select(c.return_).where(*here).order_by(c.episode.desc()).limit(run.mean_window)
    closing = floats(tx.execute(last).scalars().all())
    returns = Mean(sums.returns.count, sums.returns.mean, squared)
    return replace(
        sums,
        means={**sums.means, "return": Split(returns, returns)},
        closing_return=float(trailing_mean(closing, len(closing))[-1]),
    )

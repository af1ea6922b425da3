"""Runs on one grid: what several runs were like at the same steps, and their band."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from v3core.insight.bootstrap import generator, interval, iqm, remembered, resampled_iqm
from v3core.insight.estimates import ENOUGH_SEEDS
from v3core.rollup import Floats, Integers

Axis = Literal["step", "episode", "seconds"]
AXES: tuple[Axis, ...] = ("step", "episode", "seconds")
"""`seconds` are of training: time in the queue and pauses do not count."""


@dataclass(frozen=True)
class Grid:
    """A metric of runs at the same places of an axis."""

    metric: str
    axis: Axis
    since_phase: str | None
    """The phase whose beginning is 0; None for the beginning of the run."""
    x: Floats
    """Shape [points], ascending; ends where the longest run is."""
    y: Floats
    """Shape [runs, points]; NaN before a run has a value, and beyond what it has reached."""
    run_ids: tuple[str, ...]
    """Of each row of `y`."""
    notes: tuple[str, ...] = ()
    """Sentences about runs that are missing here."""

    @property
    def n(self) -> Integers:
        """Runs that have a value at each x, shape [points]."""
        return np.asarray((~np.isnan(self.y)).sum(axis=0), dtype=np.int64)

    @property
    def common(self) -> float | None:
        """The last x at which all runs have a value; None if there is none."""
        everywhere = np.flatnonzero(self.n == len(self.run_ids))
        return float(self.x[everywhere[-1]]) if len(everywhere) and len(self.run_ids) else None

    def only(self, run_ids: Collection[str]) -> "Grid":
        """Some of its runs, on the same grid."""
        rows = [row for row, run_id in enumerate(self.run_ids) if run_id in run_ids]
        return replace(self, y=self.y[rows], run_ids=tuple(self.run_ids[row] for row in rows), notes=())


@dataclass(frozen=True)
class Band:
    """The interquartile mean of runs with its pointwise 95 % interval, each of shape [points]."""

    x: Floats
    iqm: Floats
    """NaN where no run has a value."""
    low: Floats
    """NaN where fewer than 5 runs have one."""
    high: Floats
    n: Integers
    """Runs that each is of."""


def band(grid: Grid) -> Band:
    """The band of a group's runs; the same numbers give the same band."""
    low, high = np.full((2, len(grid.x)), np.nan)
    enough = grid.n >= ENOUGH_SEEDS
    if enough.any():
        low[enough], high[enough] = _interval(grid.y[:, enough])
    return Band(grid.x, iqm(grid.y), low, high, grid.n)


@remembered
def _interval(values: Floats) -> tuple[Floats, Floats]:
    return interval(resampled_iqm(values, generator("band", values)))

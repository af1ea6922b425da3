"""What charts draw: one run's recorded episodes, its phases and what lies ahead. Plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.curriculum import Curriculum, Progress, settings_at
from v3core.curriculum.settings import BaseValues

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PhaseBand:
    """One phase on the episode axis, in completed episodes: in force from `start` up to `end`."""

    name: str
    start: int
    end: int
    planned: bool = False
    """True for a phase that the run has not reached."""
    routing: str = ""


@dataclass(frozen=True)
class Boundary:
    """A planned boundary between two phases: phase `index` ends once `episode` episodes are complete."""

    index: int
    episode: int
    earliest: int
    """The first episode it can be moved to."""
    latest: int
    """The last episode it can be moved to."""
    label: str
    """Between which phases, as in `warmup → transition`."""


@dataclass(frozen=True)
class RunSeries:
    """The recorded part of one run, n episodes in order, and the plan for the rest."""

    name: str
    """Shown in legends and read out to those who cannot see the chart."""
    episode: NDArray[Any]
    """Episode numbers from 1, ascending, shape [n]."""
    columns: Mapping[str, NDArray[Any]]
    """Recorded columns by their names in the store, each of shape [n]."""
    loads: Floats
    """Mean gate weight per episode and expert, shape [n, experts]."""
    bands: Sequence[PhaseBand] = ()
    boundaries: Sequence[Boundary] = field(default=())
    """Those still ahead."""
    total: int = 0
    """Episodes planned; 0 if that is not known."""

    def __len__(self) -> int:
        """Episodes recorded."""
        return len(self.episode)

    @property
    def completed(self) -> int:
        """The newest episode's number; 0 before the first."""
        return int(self.episode[-1]) if len(self.episode) else 0

    @property
    def experts(self) -> int:
        """Number of experts."""
        return int(self.loads.shape[1]) if self.loads.ndim == 2 else 0

    @property
    def end(self) -> int:
        """Where the episode axis ends: at the plan's end, or at the newest episode if that is later."""
        return max(self.total, self.completed, 1)

    def column(self, name: str) -> Floats:
        """A column as floats; all NaN if it was not recorded."""
        if name not in self.columns:
            return np.full(len(self), np.nan)
        return np.asarray(self.columns[name], dtype=np.float64)


def phase_bands(curriculum: Curriculum, *, episodes: int, changes: Sequence[tuple[str, int]] = ()) -> list[PhaseBand]:
    """The phases of a run: the recorded ones where they really began, the others where they are planned.

    Args:
        curriculum: the revision in force.
        episodes: length of the run.
        changes: name and completed episodes of each recorded phase change, the first phase (at 0) included.
    """
    bands: list[PhaseBand] = []
    begun = [start for _, start in changes] or [0]
    planned_starts, planned_ends = (0, *curriculum.boundaries), (*curriculum.boundaries, episodes)
    for index, phase in enumerate(curriculum.phases):
        planned = index >= len(begun)
        start = bands[-1].end if planned else begun[index]
        end = begun[index + 1] if index + 1 < len(begun) else max(start, planned_ends[index])
        routing = settings_at(curriculum, Progress(planned_starts[index], episodes), BaseValues(lr=1.0)).routing
        bands.append(PhaseBand(phase.name, start, end, planned, routing))
    return bands


def boundaries_ahead(curriculum: Curriculum, *, completed: int, episodes: int) -> list[Boundary]:
    """The boundaries that a run at `completed` episodes has not passed, and how far each can be moved."""
    ends = curriculum.boundaries
    return [
        Boundary(
            index=index,
            episode=end,
            earliest=max(completed, ends[index - 1] if index else 0) + 1,
            latest=(ends[index + 1] if index + 1 < len(ends) else episodes) - 1,
            label=f"{curriculum.phases[index].name} → {curriculum.phases[index + 1].name}",
        )
        for index, end in enumerate(ends)
        if end > completed
    ]

"""What charts draw: one run's recorded episodes, its phases and what lies ahead. Plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from v3core.curriculum import BaseValues, Curriculum, PhaseStart, Progress, planned_starts, settings_at
from v3core.curriculum.ends import format_end
from v3core.rollup import Floats, Integers, Summary


@dataclass(frozen=True)
class PhaseBand:
    """One phase on the episode axis, in completed episodes: in force from `start` up to `end`."""

    name: str
    start: int
    end: int
    planned: bool = False
    """True for a phase that the run has not reached."""
    routing: str = ""
    until: str = ""
    """What ends it, where that is no episode: `end` is then where it ended, or the latest that is known."""


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
class EvaluationPoint:
    """One evaluation: episodes played apart from training, without exploration or learning."""

    episode: int
    """Complete training episodes at the time."""
    count: int
    """Episodes played."""
    mean: float
    """Mean return."""
    lowest: float
    highest: float
    success: float
    """Share of its episodes that solved the task; NaN where the environment does not say."""
    env: str = ""


class Curve(Protocol):
    """Metrics of consecutive episodes in buckets, as a store reads them."""

    @property
    def size(self) -> int:
        """Episodes per bucket."""

    @property
    def episode(self) -> Integers:
        """Newest episode of each bucket, ascending."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what `summary` knows; `load_1 …` and `expert_grad_norm_1 …` are per expert."""

    def summary(self, metric: str) -> Summary:
        """One metric, per bucket."""

    def coarser(self, size: int) -> "Curve":
        """The same in larger buckets."""


@dataclass(frozen=True)
class RunSeries:
    """The recorded part of one run, n episodes in order, and the plan for the rest.

    Of a long run n is the number of buckets of `curve`: an episode stands for its bucket, of which it is the last.
    """

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
    starts: Sequence[PhaseStart] = ()
    """Where the recorded phases really began."""
    expert_grad_norms: Floats = field(default_factory=lambda: np.empty((0, 0)))
    """Norm of the gradient of each expert's parameters, shape [n, experts], NaN where it was not recorded."""
    evaluations: Sequence[EvaluationPoint] = ()
    """Oldest first."""
    curve: Curve | None = None
    """All episodes in buckets; None where they are at hand one by one."""
    view: Curve | None = None
    """The part of the run that is looked at, in smaller buckets; None for all of it."""
    newest_at: datetime | None = None
    """When the newest episode was recorded."""

    @classmethod
    def of_curve(cls, curve: Curve, *, name: str, experts: int, **plan: Any) -> "RunSeries":
        """A run whose episodes are at hand in buckets; `plan` are the fields that the run's records do not hold."""
        last = {metric: curve.summary(metric).last for metric in curve.metrics}

        def per_expert(what: str) -> Floats:
            columns = [last[f"{what}_{expert}"] for expert in range(1, experts + 1)]
            return np.column_stack(columns) if columns else np.empty((len(curve.episode), 0))

        return cls(
            name,
            curve.episode,
            last,
            per_expert("load"),
            expert_grad_norms=per_expert("expert_grad_norm"),
            curve=curve,
            **plan,
        )

    def __len__(self) -> int:
        """Episodes at hand, or buckets of them."""
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

    def has(self, *names: str) -> bool:
        """Whether any of these columns holds a number; one that was not recorded holds none."""
        if self.curve is not None:
            known = [name for name in names if name in self.curve.metrics]
            return any(bool(self.curve.summary(name).count.any()) for name in known)
        return any(bool(np.isfinite(self.column(name)).any()) for name in names)


def phase_bands(curriculum: Curriculum, *, episodes: int, starts: Sequence[PhaseStart] = ()) -> list[PhaseBand]:
    """The phases of a run: the recorded ones where they really began, the others where they are planned.

    A phase after one that ends by steps, or by a trigger without `max_episodes`, has no place until it begins.

    Args:
        curriculum: the revision in force.
        episodes: length of the run.
        starts: where each recorded phase began, the first phase included.
    """
    begun = max(len(starts), 1)
    known = planned_starts(curriculum, starts)
    ends = [*(start.episode for start in known[1:]), max(episodes, known[-1].episode)]
    bands: list[PhaseBand] = []
    for index, (phase, start, end) in enumerate(zip(curriculum.phases, known, ends, strict=False)):
        here = Progress(start.episode, episodes, start.step, known[: index + 1])
        routing = settings_at(curriculum, here, BaseValues(lr=1.0)).routing
        until = "" if phase.until is None or phase.until.episode is not None else format_end(phase.until)
        bands.append(PhaseBand(phase.name, start.episode, end, index >= begun, routing, until))
    return bands


def boundaries_ahead(curriculum: Curriculum, *, completed: int, episodes: int) -> list[Boundary]:
    """The boundaries planned at an episode that a run at `completed` has not passed, and how far each can be moved."""
    planned = [(index, end) for index, end in enumerate(curriculum.planned_ends) if end is not None]
    ends = [0, *(end for _, end in planned), episodes]
    return [
        Boundary(
            index=index,
            episode=end,
            earliest=max(completed, ends[place]) + 1,
            latest=ends[place + 2] - 1,
            label=f"{curriculum.phases[index].name} → {curriculum.phases[index + 1].name}",
        )
        for place, (index, end) in enumerate(planned)
        if end > completed
    ]

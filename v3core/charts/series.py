"""The input of charts: one run's recorded episodes, its phases and future boundaries. Plain data."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from v3core.curriculum import BaseValues, Curriculum, PhaseStart, Progress, planned_starts, settings_at
from v3core.curriculum.typed import format_end
from v3core.messages import Message, _
from v3core.rollup import Floats, Series, mean_window

_WITH_LAST_PHASE = (4, 3)
_UNKNOWN_EPISODES = 100
_OF_SO_FAR, _OF_LAST = _("Mean of the {count:,} so far, not {window:,}"), _("Mean of last {count:,}")


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
    """How it ends, if not by episode: `end` is then the actual end, or the latest known one."""


@dataclass(frozen=True)
class Boundary:
    """A planned boundary: phase `index` ends once `episode` episodes are complete, or from `earliest` to `latest`."""

    index: int
    episode: int
    earliest: int
    latest: int
    label: str
    """Between which phases, as in `warmup → transition`."""


@dataclass(frozen=True)
class EvaluationPoint:
    """One evaluation: `count` episodes played apart from training, after `episode` of training, and their returns."""

    episode: int
    count: int
    mean: float
    lowest: float
    highest: float
    success: float
    """Share of its episodes that solved the task; NaN where the environment does not say."""
    env: str = ""
    knockout: float = math.nan
    """What the return loses without the expert that is missed most; NaN without a knock-out."""


@dataclass(frozen=True)
class RunSeries:
    """The recorded part of one run, in buckets of episodes, and the plan for the rest."""

    name: str
    """Shown in legends and read out to those who cannot see the chart."""
    curve: Series
    """The whole run."""
    bands: Sequence[PhaseBand] = ()
    boundaries: Sequence[Boundary] = ()
    """Those still ahead."""
    total: int = 0
    """Episodes planned or, where steps are, expected; 0 if that is not known."""
    steps: int = 0
    """Environment steps planned; 0 where episodes alone are."""
    usual_window: int = 0
    """Episodes that means of the run are over; 0 for what `total` gives."""
    starts: Sequence[PhaseStart] = ()
    """Where the recorded phases really began."""
    expected: Sequence[PhaseStart] = ()
    """These, and where later phases are expected to begin, in a run whose steps are planned; empty in others."""
    evaluations: Sequence[EvaluationPoint] = ()
    """Oldest first."""
    view: Series | None = None
    """The visible part of the run, in smaller buckets; None for all of it."""
    newest_at: datetime | None = None
    """When the newest episode was recorded."""
    window: int = 0
    """Episodes that lines are a mean of: 1 for none, 0 for what each chart has of its own."""
    seconds: Floats | None = None
    """Wall time since the run was created, at the end of each bucket of `curve`, shape [n]; None if it was not read."""

    def __len__(self) -> int:
        """Buckets of episodes: 0 before the first episode."""
        return len(self.curve)

    @property
    def shown(self) -> Series:
        """What is drawn."""
        return self.view or self.curve

    @property
    def completed(self) -> int:
        """The last episode's number; 0 before the first."""
        return int(self.curve.episode[-1]) if len(self) else 0

    @property
    def experts(self) -> int:
        """Number of experts."""
        return self.curve.experts

    @property
    def end(self) -> int:
        """Where the episode axis ends: at the plan's end, or at the newest episode if that is later."""
        return max(self.total, self.completed, 1)

    @property
    def mean_over(self) -> int:
        """Window of the charts that have a mean of their own."""
        return self.window or self.usual_window or mean_window(self.end)

    def mean_words(self, *, exact: bool = True, rate: bool = False) -> Message:
        """As in `Mean of last 100`; with fewer episodes, `Mean of the 42 so far, not 100`. It starts where it is full.

        Without `exact`, a mean is over whole buckets. Of a `rate`, `Rate in last 100`.
        """
        window, completed = self.mean_over, self.curve.newest
        if 0 < completed < window:
            so_far = _("Rate in the {count:,} so far, not {window:,}") if rate else _OF_SO_FAR
            return _(so_far, count=completed, window=window)
        last = _("Rate in last {count:,}") if rate else _OF_LAST
        return _(last, count=window if exact else self.shown.span_of(window))

    def newest(self, metric: str) -> float:
        """A metric in the last episode; NaN before the first."""
        return float(self.curve.summary(metric).last[-1]) if len(self) else math.nan

    def has(self, *metrics: str) -> bool:
        """Whether any of these metrics has a value."""
        return any(bool(self.curve.summary(metric).count.any()) for metric in metrics)

    def of_experts(self, metric: str) -> list[str]:
        """The names of a metric that each expert has: `load_1`, `load_2` …"""
        return [f"{metric}_{expert}" for expert in range(1, self.experts + 1)]


def end_of_axis(curriculum: Curriculum, expected: int | None) -> int:
    """Where an axis of episodes ends: at those expected or, as long as nothing is known, with room for the last phase.

    Where steps end a run, nothing is known before its first episode is complete.
    """
    if expected is not None:
        return expected
    last = planned_starts(curriculum)[-1].episode
    return -(-last * _WITH_LAST_PHASE[0] // _WITH_LAST_PHASE[1]) or _UNKNOWN_EPISODES


def up_to(bands: Sequence[PhaseBand], end: int) -> list[PhaseBand]:
    """The phases that begin before `end`, up to there: later ones may never begin."""
    return [replace(band, end=min(band.end, end)) for band in bands if band.start < end or not band.planned]


def expected_starts(
    curriculum: Curriculum, starts: Sequence[PhaseStart], episode_at: Callable[[int], int]
) -> tuple[PhaseStart, ...]:
    """As `planned_starts`, with phases after one that ends by steps at the episode that is expected at that step."""
    known = planned_starts(curriculum, starts)
    while len(known) < len(curriculum.phases):
        until = curriculum.phases[len(known) - 1].until
        if until is None or until.step is None:
            break
        next_one = PhaseStart(max(known[-1].episode, episode_at(until.step)), until.step)
        known = planned_starts(curriculum, (*known, next_one))
    return known


def phase_bands(
    curriculum: Curriculum,
    *,
    episodes: int,
    starts: Sequence[PhaseStart] = (),
    expected: Sequence[PhaseStart] = (),
) -> list[PhaseBand]:
    """The phases of a run: the recorded ones at their actual starts, the others as `expected`, or else as planned.

    A phase after one that ends by steps, or by a trigger without `max_episodes`, has no planned place until it begins.
    """
    begun = max(len(starts), 1)
    known = tuple(expected) or planned_starts(curriculum, starts)
    ends = [*(start.episode for start in known[1:]), max(episodes, known[-1].episode)]
    bands: list[PhaseBand] = []
    for index, (phase, start, end) in enumerate(zip(curriculum.phases, known, ends, strict=False)):
        here = Progress(start.episode, episodes, start.step, known[: index + 1])
        routing = settings_at(curriculum, here, BaseValues(lr=1.0)).routing
        until = "" if phase.until is None or phase.until.episode is not None else format_end(phase.until)
        bands.append(PhaseBand(phase.name, start.episode, end, index >= begun, routing, until))
    return bands


def phases_in_steps(curriculum: Curriculum, steps: int | None) -> list[PhaseBand]:
    """The phases on an axis of environment steps; empty where one ends elsewhere, or the run has no budget of steps."""
    ends = [None if phase.until is None else phase.until.step for phase in curriculum.phases[:-1]]
    known = [end for end in ends if end is not None]
    if steps is None or len(known) < len(ends):
        return []
    places = [0, *known, max([steps, *known])]
    bands = []
    for index, phase in enumerate(curriculum.phases):
        starts = tuple(PhaseStart(0, place) for place in places[: index + 1])
        here = Progress(0, 1, places[index], starts, steps)
        routing = settings_at(curriculum, here, BaseValues(lr=1.0)).routing
        bands.append(PhaseBand(phase.name, places[index], places[index + 1], index > 0, routing))
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

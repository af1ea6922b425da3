"""Cached episodes of runs: read once, shared by all open pages, and updated incrementally."""

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

import numpy as np

from v3core.charts.series import (
    EvaluationPoint,
    RunSeries,
    boundaries_ahead,
    end_of_axis,
    expected_starts,
    phase_bands,
    up_to,
)
from v3core.curriculum import Curriculum, PhaseStart
from v3core.insight.removals import largest_loss
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.rollup import LONGEST_WINDOW, Floats, Series
from v3core.store.curve import PhaseSums, merged, read_phase_sums, read_series
from v3core.store.database import Database
from v3core.store.expert_records import read_knockouts
from v3core.store.history import EvaluationRow, read_episode, read_evaluations, read_phase_changes, read_times
from v3core.store.run_row import RunRow
from v3core.store.thinning import seconds_between

_RUNS_KEPT = 64
_PHASES_KEPT = 4096
_MAX_POINTS = 2000
_VIEWS_KEPT = 8


@dataclass(frozen=True)
class VisibleRange:
    """The part of the episode axis that is zoomed to, and its width on the screen."""

    first: int
    last: int
    pixels: int
    window: int = 0
    """Episodes before it that means reach back to, if they are more than usual."""


@dataclass
class _Recorded:
    """The episodes of one generation of a run, as far as any page has read them; another length is another window."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    curve: Series | None = None
    newest_at: datetime | None = None
    evaluations: tuple[EvaluationPoint, ...] = ()
    newest_evaluation: tuple[int, int] = (0, 0)
    """Episode and step of the last of them."""
    times: dict[int, datetime] = field(default_factory=dict)
    """When episodes were recorded, of those that anybody has asked for."""
    views: "OrderedDict[VisibleRange, Series]" = field(default_factory=OrderedDict)
    """Parts of the run in smaller buckets, those read last at the end."""


@dataclass
class _Phases:
    """The phases of one generation of a run: small, so that those of many runs are kept."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    sums: tuple[PhaseSums, ...] = ()


@lru_cache(maxsize=_PHASES_KEPT)
def _phases(url: str, run_id: str, generation: int, mean_window: int) -> _Phases:  # noqa: ARG001
    return _Phases()


@lru_cache(maxsize=_RUNS_KEPT)
def _recorded(url: str, run_id: str, generation: int, planned: int) -> _Recorded:  # noqa: ARG001
    return _Recorded()


def load_series(
    database: Database, run: RunRow, curriculum: Curriculum | None = None, *, visible: VisibleRange | None = None
) -> RunSeries:
    """Everything recorded of `run` so far, in buckets, with the actual starts of its phases and future boundaries.

    Each generation is read separately, because a resume may replace episodes. `curriculum` is that in force, where the
    caller has it; the `visible` part is also read in smaller buckets.
    """
    if curriculum is None:
        curriculum = control.current_curriculum(database, run.id)
    held = _recorded(database.url, run.id, run.generation, run.episodes)
    with held.lock:
        if held.curve is None or held.curve.newest < run.episode:
            held.curve = read_series(database, run.id, after=held.curve)
            newest = read_episode(database, run.id, held.curve.newest)
            held.newest_at = newest["at"] if newest else None
        _read_evaluations(database, run, held)
        curve, evaluations, newest_at = held.curve, held.evaluations, held.newest_at
        view = _view(database, run, held, visible) if visible is not None and curve.size > 1 else None
    starts = tuple(PhaseStart(change.episode, change.step) for change in read_phase_changes(database, run.id))
    ahead = boundaries_ahead(curriculum, completed=curve.newest, episodes=run.episodes)
    total = max(end_of_axis(curriculum, run.expected_episodes), curve.newest)
    expected = _expected(run, curriculum, starts, curve.newest, total)
    bands = phase_bands(curriculum, episodes=total, starts=starts, expected=expected)
    return RunSeries(
        name=run.name,
        curve=curve,
        bands=bands if run.steps is None else up_to(bands, total),
        boundaries=[] if run.status == Status.COMPLETED else [one for one in ahead if one.episode < total],
        total=total,
        steps=run.steps or 0,
        usual_window=run.mean_window,
        starts=starts,
        expected=expected,
        evaluations=evaluations,
        view=view,
        newest_at=newest_at,
    )


def _expected(
    run: RunRow, curriculum: Curriculum, starts: Sequence[PhaseStart], newest: int, total: int
) -> tuple[PhaseStart, ...]:
    """Where the phases of a run whose steps are planned are expected to begin: the rest of its steps is even."""
    if run.steps is None or not run.episode or run.steps <= run.step:
        return ()
    per_step = (total - newest) / (run.steps - run.step)
    return expected_starts(curriculum, starts, lambda step: newest + max(0, round((step - run.step) * per_step)))


def load_seconds(database: Database, run: RunRow, curve: Series) -> Floats:
    """Wall time from the run's creation to the end of each bucket, shape [n]: pauses count."""
    held = _recorded(database.url, run.id, run.generation, run.episodes)
    ends = [int(episode) for episode in curve.episode]
    with held.lock:
        times = held.times | read_times(database, run.id, [end for end in ends if end not in held.times])
        held.times = {end: times[end] for end in ends if end in times}
        seconds = {end: (at - run.created_at).total_seconds() for end, at in held.times.items()}
    return seconds_between(database, run, curve.episode, seconds, lambda at: (at - run.created_at).total_seconds())


def load_phases(database: Database, run: RunRow) -> tuple[PhaseSums, ...]:
    """What each phase of a run was like so far, from every episode; only those since the last look are read."""
    held = _phases(database.url, run.id, run.generation, run.mean_window)
    with held.lock:
        read = max((phase.last_episode for phase in held.sums), default=0)
        if read < run.episode:
            held.sums = merged(held.sums, read_phase_sums(database, run.id, after=read))
        return held.sums


def _read_evaluations(database: Database, run: RunRow, held: _Recorded) -> None:
    """Those since the last look; the newest may be another by now: the one at the end of a run replaces one there."""
    known, step = held.newest_evaluation
    newer = read_evaluations(database, run.id, after=known - 1)
    if newer and (newer[0].episode, newer[0].step) == (known, step):
        del newer[0]
    if not newer:
        return
    losses = {row.episode: largest_loss(row.complete, row.without) for row in read_knockouts(database, run.id)}
    kept = tuple(point for point in held.evaluations if point.episode < newer[0].episode)
    held.evaluations = kept + tuple(_point(row, losses.get(row.episode, math.nan)) for row in newer)
    held.newest_evaluation = (newer[-1].episode, newer[-1].step)


def _view(database: Database, run: RunRow, held: _Recorded, visible: VisibleRange) -> Series | None:
    """The visible range with as much again around it, so that a small move shows no edge; None if the curve will do."""
    # Means reach back as far.
    around = max((visible.last - visible.first) // 2 + 1, LONGEST_WINDOW, visible.window)
    first, last = max(visible.first - around, 1), visible.last + around
    view = held.views.pop(visible, None)
    if view is None or view.newest < min(last, run.episode):
        width = min(2 * visible.pixels, _MAX_POINTS)
        view = read_series(database, run.id, first=first, last=last, width=width, after=view)
    held.views[visible] = view
    while len(held.views) > _VIEWS_KEPT:
        held.views.popitem(last=False)
    return view if held.curve is not None and len(view) and view.size < held.curve.size else None


def _point(row: EvaluationRow, knockout: float) -> EvaluationPoint:
    returns = [value for value in row.returns if np.isfinite(value)]
    known = [value for value in row.successes if value is not None]
    return EvaluationPoint(
        episode=row.episode,
        count=len(row.returns),
        mean=float(np.mean(returns)) if returns else float("nan"),
        lowest=min(returns, default=float("nan")),
        highest=max(returns, default=float("nan")),
        success=float(np.mean(known)) if known else float("nan"),
        env=row.env,
        knockout=knockout,
    )

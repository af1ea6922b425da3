"""Cached episodes of runs: read once, shared by all open pages, and updated incrementally."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import numpy as np
import streamlit as st

from v3core.charts.series import EvaluationPoint, RunSeries, boundaries_ahead, phase_bands
from v3core.curriculum import Curriculum, PhaseStart
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.rollup import LONGEST_WINDOW, Series
from v3core.store.curve import PhaseSums, merged, read_phase_sums, read_series
from v3core.store.database import Database
from v3core.store.history import EvaluationRow, read_episode, read_evaluations, read_phase_changes
from v3core.store.run_row import RunRow
from v3core.ui.live_chart import VisibleRange

_RUNS_KEPT = 64
_MAX_POINTS = 2000


@dataclass
class _Recorded:
    """The episodes of one generation of a run, as far as any page has read them; another length is another window."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    curve: Series | None = None
    newest_at: datetime | None = None
    evaluations: tuple[EvaluationPoint, ...] = ()
    phases: tuple[PhaseSums, ...] = ()


@st.cache_resource(max_entries=_RUNS_KEPT, show_spinner=False)
def _recorded(url: str, run_id: str, generation: int, planned: int) -> _Recorded:  # noqa: ARG001  the cache's key
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
        known = held.evaluations[-1].episode if held.evaluations else 0
        held.evaluations += tuple(map(_point, read_evaluations(database, run.id, after=known)))
        curve, evaluations, newest_at = held.curve, held.evaluations, held.newest_at
    starts = tuple(PhaseStart(change.episode, change.step) for change in read_phase_changes(database, run.id))
    ahead = boundaries_ahead(curriculum, completed=curve.newest, episodes=run.episodes)
    return RunSeries(
        name=run.name,
        curve=curve,
        bands=phase_bands(curriculum, episodes=run.episodes, starts=starts),
        boundaries=[] if run.status == Status.COMPLETED else ahead,
        total=run.episodes,
        starts=starts,
        evaluations=evaluations,
        view=_view(database, run, curve, visible),
        newest_at=newest_at,
    )


def load_phases(database: Database, run: RunRow) -> tuple[PhaseSums, ...]:
    """What each phase of a run was like so far, from every episode; only those since the last look are read."""
    held = _recorded(database.url, run.id, run.generation, run.episodes)
    with held.lock:
        read = max((phase.last_episode for phase in held.phases), default=0)
        if read < run.episode:
            held.phases = merged(held.phases, read_phase_sums(database, run.id, after=read))
        return held.phases


def visible_range(charts: str) -> VisibleRange | None:
    """What charts that share a zoom are zoomed to, as of the run with this id; None for all of it."""
    found: VisibleRange | None = st.session_state.get(f"visible-{charts}")
    return found


def remember_range(charts: str) -> Callable[[VisibleRange | None], None]:
    """The callback of these charts for zooming."""
    return partial(st.session_state.__setitem__, f"visible-{charts}")


def _view(database: Database, run: RunRow, curve: Series, visible: VisibleRange | None) -> Series | None:
    """The visible range with as much again around it, so that a small move shows no edge; None if `curve` will do."""
    key = f"view-{run.id}"
    if visible is None or curve.size == 1:
        st.session_state.pop(key, None)
        return None
    around = max((visible.last - visible.first) // 2 + 1, LONGEST_WINDOW)  # means reach back as far
    first, last = max(visible.first - around, 1), visible.last + around
    of = (run.generation, visible)
    held, before = st.session_state.get(key, (None, None))
    if held != of:
        before = None
    if before is None or before.newest < min(last, run.episode):
        width = min(2 * visible.pixels, _MAX_POINTS)
        before = read_series(database, run.id, first=first, last=last, width=width, after=before)
        st.session_state[key] = (of, before)
    return before if len(before) and before.size < curve.size else None


def _point(row: EvaluationRow) -> EvaluationPoint:
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
    )

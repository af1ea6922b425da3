"""What pages know of runs' episodes: read once, shared by all open pages, and only what is new at each look."""

import threading
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import streamlit as st

from v3core.charts.series import EvaluationPoint, RunSeries, boundaries_ahead, phase_bands
from v3core.curriculum import KNOBS, Curriculum, PhaseStart
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.database import Database
from v3core.store.readers import EpisodeTable, EvaluationRow, read_episodes, read_evaluations, read_phase_changes
from v3core.store.runs import RunRow

_RUNS_KEPT = 64

SHOWN = (
    *("phase", "phase_steps", "return", "length", "success", "step", "at"),
    *("policy_loss", "value_loss", "load_balance_loss", "action_entropy"),
    *("approx_kl", "clip_fraction", "router_shift", "grad_norm", "explained_variance", "dormant_share", "rollbacks"),
    *("routing_entropy", "load_entropy", "specialisation", "effective_experts", "support", "load_cv"),
    *KNOBS,
)
"""The recorded columns that a chart or a table shows; no other is read."""


@dataclass
class _Recorded:
    """The episodes of one generation of a run, as far as any page has read them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    table: EpisodeTable | None = None
    evaluations: tuple[EvaluationPoint, ...] = ()


@st.cache_resource(max_entries=_RUNS_KEPT, show_spinner=False)
def _recorded(url: str, run_id: str, generation: int) -> _Recorded:  # noqa: ARG001  they are the cache's key
    return _Recorded()


def load_series(database: Database, run: RunRow, curriculum: Curriculum | None = None) -> RunSeries:
    """Everything recorded of `run` so far, with its phases where they really began and what lies ahead.

    A resume may replace episodes, so each generation of a run is read anew.
    """
    if curriculum is None:
        curriculum = control.current_curriculum(database, run.id)
    held = _recorded(database.url, run.id, run.generation)
    with held.lock:
        if held.table is None:
            held.table = read_episodes(database, run.id, columns=SHOWN)
        elif held.table.last < run.episode:
            newer = read_episodes(database, run.id, after=held.table.last, columns=SHOWN)
            held.table = held.table.followed_by(newer) if len(newer) else held.table
        newest = held.evaluations[-1].episode if held.evaluations else 0
        held.evaluations += tuple(map(_point, read_evaluations(database, run.id, after=newest)))
        table, evaluations = held.table, held.evaluations
    starts = tuple(PhaseStart(change.episode, change.step) for change in read_phase_changes(database, run.id))
    ahead = boundaries_ahead(curriculum, completed=table.last, episodes=run.episodes)
    return RunSeries(
        name=run.name,
        episode=table["episode"],
        columns=table.columns,
        loads=table.loads,
        bands=phase_bands(curriculum, episodes=run.episodes, starts=starts),
        boundaries=[] if run.status == Status.COMPLETED else ahead,
        total=run.episodes,
        starts=starts,
        expert_grad_norms=table.expert_grad_norms,
        evaluations=evaluations,
    )


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


def newest_at(series: RunSeries) -> datetime | None:
    """When the newest episode was recorded."""
    if not len(series):
        return None
    moment: datetime = series.columns["at"][-1]
    return moment

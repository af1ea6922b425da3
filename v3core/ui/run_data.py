"""What pages know of runs' episodes: read once, shared by all open pages, and only what is new at each look."""

import threading
from dataclasses import dataclass, field
from datetime import datetime

import streamlit as st

from v3core.charts.series import RunSeries, boundaries_ahead, phase_bands
from v3core.curriculum import Curriculum, PhaseStart
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.database import Database
from v3core.store.readers import EpisodeTable, read_episodes, read_phase_changes
from v3core.store.runs import RunRow

_RUNS_KEPT = 64


@dataclass
class _Recorded:
    """The episodes of one generation of a run, as far as any page has read them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    table: EpisodeTable | None = None


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
            held.table = read_episodes(database, run.id)
        elif held.table.last < run.episode:
            newer = read_episodes(database, run.id, after=held.table.last)
            held.table = held.table.followed_by(newer) if len(newer) else held.table
        table = held.table
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
    )


def newest_at(series: RunSeries) -> datetime | None:
    """When the newest episode was recorded."""
    if not len(series):
        return None
    moment: datetime = series.columns["at"][-1]
    return moment

"""The head of the live page: what the run is, how it stands, and what can be done with it."""

import math

import numpy as np
import streamlit as st

from v3core.charts.series import RunSeries
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.store.database import Database
from v3core.store.runs import RunRow
from v3core.ui.actions import run_actions
from v3core.ui.status import age, number, plain, status_badge


def run_header(database: Database, run: RunRow) -> None:
    """Name, badge, actions, progress and the newest figures; an ended run says how it ended."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            st.subheader(plain(run.name), anchor=False, width="content")
            status_badge(run.status)
        run_actions(database, run, compact=False, key="live")
    _outcome(run)
    st.progress(min(run.episode / run.episodes, 1.0), text=_progress(run))
    with st.grid("auto", min_column_width=150, gap="small"):
        st.metric("Phase", plain(run.phase or "–"), border=True)
        st.metric("Mean return, last 100", number(run.mean_return), border=True)
        st.metric("Latest return", number(run.latest_return), border=True)
        st.metric("Steps", f"{run.step:,}", border=True)
        if run.status in ACTIVE:
            st.metric("Steps per second", number(run.steps_per_second, 0), border=True)


def _progress(run: RunRow) -> str:
    parts = [f"{run.episode:,} of {run.episodes:,} episodes"]
    if run.status in ACTIVE and run.heartbeat_at is not None:
        parts.append(f"worker heard {age(run.heartbeat_at)} ago")
        rate = run.episodes_per_second
        if rate and run.episode < run.episodes and math.isfinite(rate):
            parts.append(f"about {_duration((run.episodes - run.episode) / rate)} left")
    elif run.ended_at is not None:
        parts.append(f"ended {age(run.ended_at)} ago")
    return " · ".join(parts)


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _outcome(run: RunRow) -> None:
    status = Status(run.status)
    if status is Status.FAILED:
        st.error(plain(run.reason or "") or "See the log below.", title=f"Failed after {run.episode:,} episodes")
    elif status is Status.LOST:
        st.error(
            f"{plain(run.reason or '') or 'The worker process died.'} Resume goes on from its newest checkpoint.",
            title=f"Lost after {run.episode:,} episodes",
        )
    elif status is Status.STOPPED:
        st.info(plain(run.reason or "") or "Resume goes on from its checkpoint.", icon=":material/pause_circle:")
    elif status is Status.COMPLETED:
        st.success(f"All {run.episodes:,} episodes are trained.", icon=":material/check_circle:")


def rollback_warning(series: RunSeries) -> None:
    """One sentence if updates were undone; nothing otherwise."""
    rollbacks = series.column("rollbacks")
    undone = np.nanmax(rollbacks) if series.has("rollbacks") else 0
    if undone > 0:
        newest = int(series.episode[np.flatnonzero(rollbacks == undone)[0]])
        updates = "1 update was" if undone == 1 else f"{undone:,.0f} updates were"
        which = "at episode" if undone == 1 else "the newest at episode"
        st.warning(
            f"{updates} undone because a number was not finite, {which} {newest:,}; "
            "none of them left a trace in the policy.",
            icon=":material/undo:",
        )

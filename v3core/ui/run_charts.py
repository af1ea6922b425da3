"""The charts of the live page."""

from datetime import UTC, datetime
from functools import partial

import gymnasium
import streamlit as st

from v3core.charts.buckets import drawn_caption
from v3core.charts.figures import (
    expert_loads_figure,
    losses_figure,
    return_figure,
    routing_entropy_figure,
    schedule_figure,
)
from v3core.charts.knobs import knobs_in_use
from v3core.charts.series import RunSeries
from v3core.curriculum import Curriculum
from v3core.jobs.lifecycle import ACTIVE
from v3core.store.runs import RunRow
from v3core.ui.boundary_editor import drafts, remember_drag
from v3core.ui.live_chart import live_chart
from v3core.ui.run_data import newest_at


def run_charts(run: RunRow, series: RunSeries, curriculum: Curriculum) -> bool:
    """Return, expert loads, routing entropy, losses and schedule.

    Returns:
        Whether a boundary was just dragged in the return chart; the boundary editor then holds where to.
    """
    group = f"run-{run.id}"
    with st.container(border=True):
        _head("Return", "Each episode's undiscounted return, and the mean of the last 100.")
        figure = return_figure(series, threshold=reward_threshold(run.env))
        drag = live_chart(
            figure,
            key=f"return-{run.id}",
            height=320,
            editable=bool(series.boundaries),
            on_boundary=partial(remember_drag, run.id),
            wanted=drafts(run.id, curriculum),
            zoom_group=group,
        )
        newest = newest_at(series)
        waited = (datetime.now(UTC) - newest).total_seconds() if newest and run.status in ACTIVE else None
        st.caption(drawn_caption(series.episode, waited))
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        _head("Expert loads", "Mean gate weight of each expert over an episode; they sum to 1.")
        live_chart(expert_loads_figure(series), key=f"loads-{run.id}", height=300, zoom_group=group)
    with right.container(border=True, height="stretch"):
        _head(
            "Routing entropy",
            "Mean entropy of the gate weights: ln N when all experts share alike, 0 when one decides.",
        )
        live_chart(routing_entropy_figure(series), key=f"entropy-{run.id}", height=300, zoom_group=group)
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        _head("Losses", "Of the update that learned from the rollout in which the episode ended.")
        live_chart(losses_figure(series), key=f"losses-{run.id}", height=480, zoom_group=group)
    with right.container(border=True, height="stretch"):
        _head("Schedule", "What the curriculum plans, and what the optimiser, the router and the loss really used.")
        base = run.config.base.values()
        knobs = knobs_in_use(curriculum, base)
        schedule = schedule_figure(series, curriculum, base, knobs=knobs, height=max(480, 60 + 90 * len(knobs)))
        live_chart(schedule, key=f"schedule-{run.id}", zoom_group=group)
    return drag is not None


def _head(title: str, meaning: str) -> None:
    st.markdown(f"**{title}**", help=meaning)


@st.cache_data(max_entries=256, show_spinner=False)
def reward_threshold(env: str) -> float | None:
    """The return at which Gymnasium calls the environment solved, if it says so."""
    spec = gymnasium.registry.get(env)
    return None if spec is None else spec.reward_threshold

"""The charts of the live page."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import gymnasium
import plotly.graph_objects as go
import streamlit as st

from v3core.charts.experts import effective_experts_figure, expert_gradients_figure
from v3core.charts.figures import (
    LOSSES,
    expert_loads_figure,
    losses_figure,
    return_figure,
    routing_entropy_figure,
    schedule_figure,
    success_figure,
)
from v3core.charts.frame import drawn_words
from v3core.charts.health import NETWORK, UPDATES, health_figure
from v3core.charts.knobs import knobs_in_use
from v3core.charts.series import RunSeries
from v3core.curriculum import Curriculum
from v3core.jobs.lifecycle import ACTIVE
from v3core.store.run_row import RunRow
from v3core.ui.boundary_editor import drafts, remember_drag
from v3core.ui.live_chart import live_chart
from v3core.ui.moments import age
from v3core.ui.run_data import remember_range, visible_range
from v3core.ui.text import about, md, plain

NOTHING_RECORDED = "Nothing of this is recorded for this run."


def run_charts(run: RunRow, series: RunSeries, curriculum: Curriculum) -> bool:
    """Return, success, the experts' charts, losses and schedule; the optimisation's health once it is opened.

    Returns:
        Whether a boundary was just dragged in the return chart; the boundary editor then holds where to.
    """
    group = f"run-{run.id}"
    with st.container(border=True):
        _head(
            "Return",
            f"Each episode's undiscounted return, and the mean of the last {run.mean_window}. Evaluations are episodes "
            "apart from training, without exploration: their mean, and the range from the lowest to the highest.",
        )
        figure = return_figure(series, threshold=reward_threshold(run.env))
        drag = live_chart(
            figure,
            key=f"return-{run.id}",
            height=320,
            editable=bool(series.boundaries),
            on_boundary=partial(remember_drag, run.id),
            wanted=drafts(run.id, curriculum),
            zoom_group=group,
            on_range=remember_range(run.id),
            visible=visible_range(run.id),
        )
        # Of a moment that is given: the age alone is no reason to draw all the charts again.
        waited = age(series.newest_at, datetime.now(UTC)) if series.newest_at and run.status in ACTIVE else ""
        st.caption(plain(drawn_words(series, waited)))
    if series.has("success"):
        with st.container(border=True):
            _head("Success rate", "Share of episodes that solved the task, as the environment says.")
            live_chart(
                success_figure(series),
                key=f"success-{run.id}",
                zoom_group=group,
                on_range=remember_range(run.id),
                visible=visible_range(run.id),
            )
    for pair in _pairs(run, curriculum):
        for column, chart in zip(st.columns(2), pair, strict=True):
            with column.container(border=True, height="stretch"):
                _draw(run, series, chart)
    _health(run, series)
    return drag is not None


@dataclass(frozen=True)
class _Chart:
    key: str
    title: str
    meaning: str
    figure: Callable[[RunSeries], go.Figure]
    recorded: Callable[[RunSeries], bool]
    """Whether the run has a number to draw."""


def _pairs(run: RunRow, curriculum: Curriculum) -> list[tuple[_Chart, _Chart]]:
    base = run.config.base.values()
    knobs = knobs_in_use(curriculum, base)
    return [
        (
            _Chart(
                "loads",
                "Expert loads",
                "Mean gate weight of each expert over an episode; they sum to 1.",
                expert_loads_figure,
                lambda series: series.has(*series.of_experts("load")),
            ),
            _Chart(
                "entropy",
                "Routing entropy and specialisation",
                "E[H(α)]: entropy of a step's gates, ln N when all experts share alike, 0 when one decides. H(E[α]): "
                "the same of the mean gates. Their difference is how much the state tells of the expert: 0 if every "
                "step is routed alike.",
                routing_entropy_figure,
                lambda series: series.has("routing_entropy", "load_entropy", "specialisation"),
            ),
        ),
        (
            _Chart(
                "effective",
                "Effective experts and support",
                "exp of the load's entropy: how many experts share an episode's work. Support: how many have a gate "
                "above 0 at a step, in the mean.",
                effective_experts_figure,
                lambda series: series.has("effective_experts", "support"),
            ),
            _Chart(
                "gradients",
                "Gradient of each expert",
                "Norm of the gradient of an expert's parameters before clipping: one that stays at 0 does not learn.",
                expert_gradients_figure,
                lambda series: series.has(*series.of_experts("expert_grad_norm")),
            ),
        ),
        (
            _Chart(
                "losses",
                "Losses",
                "Of the update that learned from the rollout in which the episode ended.",
                losses_figure,
                lambda series: series.has(*LOSSES),
            ),
            _Chart(
                "schedule",
                "Schedule",
                "What the curriculum plans, and what the optimiser, the router and the loss really used.",
                lambda series: schedule_figure(
                    series, curriculum, base, knobs=knobs, height=max(480, 60 + 90 * len(knobs))
                ),
                lambda _: True,
            ),
        ),
    ]


def _draw(run: RunRow, series: RunSeries, chart: _Chart) -> None:
    """One chart under its title; a sentence where the run has episodes but recorded nothing of it."""
    _head(chart.title, chart.meaning)
    if len(series) and not chart.recorded(series):
        st.caption(NOTHING_RECORDED)
    else:
        live_chart(
            chart.figure(series),
            key=f"{chart.key}-{run.id}",
            zoom_group=f"run-{run.id}",
            on_range=remember_range(run.id),
            visible=visible_range(run.id),
        )


def _health(run: RunRow, series: RunSeries) -> None:
    """Closed at first, and computed only while it is open."""
    expander = st.expander(
        "Optimisation health", icon=":material/monitor_heart:", key=f"health-{run.id}", on_change="rerun"
    )
    if not expander.open:
        return
    with expander:
        left, right = st.columns(2)
        with left:
            _draw(
                run,
                series,
                _Chart(
                    "updates",
                    "Updates",
                    "How far an update moves the policy and its routing. Clip fraction: share of samples whose ratio "
                    "left PPO's clip range. Router shift: total variation between the gates as acted and as learned.",
                    partial(health_figure, columns=UPDATES, name="updates"),
                    lambda series: series.has(*UPDATES),
                ),
            )
        with right:
            _draw(
                run,
                series,
                _Chart(
                    "network",
                    "Network",
                    "Explained variance: 1 is a perfect prediction of returns, 0 as good as their mean. Dormant: units "
                    "that are hardly active (at most 2.5 % of their layer's mean).",
                    partial(health_figure, columns=NETWORK, name="network"),
                    lambda series: series.has(*NETWORK),
                ),
            )


def _head(title: str, meaning: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(md("**{}**", title), width="content")
        about(title, meaning)


@st.cache_data(max_entries=256, show_spinner=False)
def reward_threshold(env: str) -> float | None:
    """The return at which Gymnasium calls the environment solved, if it says so."""
    spec = gymnasium.registry.get(env)
    return None if spec is None else spec.reward_threshold

"""The charts of the live page."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import gymnasium
import plotly.graph_objects as go
import streamlit as st

from v3core import metrics
from v3core.charts import figures
from v3core.charts.frame import drawn_words
from v3core.charts.schedule import schedule_figure
from v3core.charts.series import RunSeries
from v3core.curriculum import Curriculum
from v3core.jobs.lifecycle import ACTIVE
from v3core.metrics import Chart, of_chart
from v3core.store.run_row import RunRow
from v3core.ui.boundary_editor import drafts, remember_drag
from v3core.ui.live_chart import live_chart
from v3core.ui.run_data import remember_range, visible_range
from v3core.ui.status import age
from v3core.ui.text import about, md, plain

NOTHING_RECORDED = "This run did not record these metrics."


def run_charts(run: RunRow, series: RunSeries, curriculum: Curriculum) -> bool:
    """All charts of a run; returns whether a boundary was just dragged, whose new position the editor then has."""
    with st.container(border=True):
        _head(metrics.RETURN)
        drag = live_chart(
            figures.return_figure(series, threshold=reward_threshold(run.env)),
            key=f"return-{run.id}",
            editable=bool(series.boundaries),
            on_boundary=partial(remember_drag, run.id),
            wanted=drafts(run.id, curriculum),
            **_zoom(run),
        )
        # Of a moment that is given: the age alone is no reason to draw all the charts again.
        waited = age(series.newest_at, datetime.now(UTC)) if series.newest_at and run.status in ACTIVE else ""
        st.caption(plain(drawn_words(series, waited)))
    if series.has("success"):
        with st.container(border=True):
            _draw(run, series, metrics.SUCCESS, figures.success_figure)
    schedule = partial(schedule_figure, curriculum=curriculum, base=run.config.base.values())
    losses = partial(figures.rows_figure, chart=metrics.LOSSES)
    pairs = (
        [(metrics.LOADS, figures.expert_loads_figure), (metrics.ENTROPY, figures.entropy_figure)],
        [(metrics.EFFECTIVE, figures.effective_experts_figure), (metrics.GRADIENTS, figures.expert_gradients_figure)],
        [(metrics.LOSSES, losses), (metrics.SCHEDULE, schedule)],
    )
    for pair in pairs:
        _pair(run, series, *pair)
    health = st.expander(
        "Optimisation health", icon=":material/monitor_heart:", key=f"health-{run.id}", on_change="rerun"
    )
    if health.open:  # closed at first, and computed only while it is open
        with health:
            rows = [(chart, partial(figures.rows_figure, chart=chart)) for chart in (metrics.UPDATES, metrics.NETWORK)]
            _pair(run, series, *rows, border=False)
    return drag is not None


def _pair(
    run: RunRow, series: RunSeries, *charts: tuple[Chart, Callable[[RunSeries], go.Figure]], border: bool = True
) -> None:
    for column, (chart, figure) in zip(st.columns(2), charts, strict=True):
        with column.container(border=border, height="stretch"):
            _draw(run, series, chart, figure)


def _draw(run: RunRow, series: RunSeries, chart: Chart, figure: Callable[[RunSeries], go.Figure]) -> None:
    """One chart under its title; a sentence where the run has episodes but recorded nothing of it."""
    _head(chart)
    recorded = any(
        series.has(*(series.of_experts(metric.name) if metric.per_expert else [metric.name]))
        for metric in of_chart(chart)
    )
    if len(series) and chart is not metrics.SCHEDULE and not recorded:
        st.caption(NOTHING_RECORDED)
    else:
        live_chart(figure(series), key=f"{chart.name}-{run.id}", **_zoom(run))


def _zoom(run: RunRow) -> dict[str, Any]:
    """All charts of a run share their zoom."""
    return {"zoom_group": f"run-{run.id}", "on_range": remember_range(run.id), "visible": visible_range(run.id)}


def _head(chart: Chart) -> None:
    """Its title, and a hint that says what each of its metrics means."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(md("**{}**", chart.title), width="content")
        explained = [] if chart is metrics.SCHEDULE else [(metric.label, metric.sentence) for metric in of_chart(chart)]
        about(chart.title, chart.about, explained)


@st.cache_data(max_entries=256, show_spinner=False)
def reward_threshold(env: str) -> float | None:
    """The return at which Gymnasium calls the environment solved, if it says so."""
    spec = gymnasium.registry.get(env)
    return None if spec is None else spec.reward_threshold

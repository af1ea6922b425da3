"""The charts of the live page."""

import streamlit as st

from v3core import metrics
from v3core.charts.look import Look
from v3core.charts.series import RunSeries
from v3core.curriculum import Curriculum
from v3core.metrics import Chart, of_chart
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui import boundary_editor
from v3core.ui.chart_sources import Source
from v3core.ui.live_chart import live_chart
from v3core.ui.look_controls import look_controls, zoom_group
from v3core.ui.text import about, md

_HEIGHTS = {metrics.RETURN: 320, metrics.SUCCESS: 220, metrics.LOSSES: 684, metrics.SCHEDULE: 684}
"""Of those that are not 300 pixels high, until they have arrived."""


def run_charts(
    database: Database, run: RunRow, curriculum: Curriculum, series: RunSeries, *, experts_open: bool
) -> bool:
    """All charts of a run; returns whether boundaries were just changed at their handles, so that the editor follows.

    Without the loads of the experts while the section about the experts, which shows them, is open.

    Nothing of them is computed here: each asks for its data while it is on the screen.
    """
    begun = {band.name: band.start for band in series.bands if not band.planned}
    look = look_controls(begun, steps_planned=series.steps > 0)
    with st.container(border=True):
        chart_head(metrics.RETURN)
        drag = live_chart(
            Source(metrics.RETURN.name, (run.id,), look=look),
            key=f"return-{run.id}",
            height=_HEIGHTS[metrics.RETURN],
            editing=boundary_editor.at_handles(database, run, curriculum) if series.boundaries else None,
            zoom_group=zoom_group(run.id, look),
        )
    with st.container():  # empty without success, so that the charts below keep their place
        if series.has("success"):
            with st.container(border=True):
                _draw(run, metrics.SUCCESS, look)
    with st.container():
        if experts_open:  # which shows the loads
            with st.container(border=True):
                _draw(run, metrics.ENTROPY, look)
        else:
            _pair(run, look, metrics.LOADS, metrics.ENTROPY)
    pairs = (
        (metrics.EFFECTIVE, metrics.GRADIENTS),
        (metrics.LOSSES, metrics.SCHEDULE),
    )
    for pair in pairs:
        _pair(run, look, *pair)
    health = st.expander(
        md("Optimisation health"), icon=":material/monitor_heart:", key="health", on_change="rerun", bind="query-params"
    )
    if health.open:
        with health:
            _pair(run, look, metrics.UPDATES, metrics.NETWORK, border=False)
    return boundary_editor.acted_at_handles(database, run, curriculum) or drag is not None


def _pair(run: RunRow, look: Look, *charts: Chart, border: bool = True) -> None:
    for column, chart in zip(st.columns(2), charts, strict=True):
        with column.container(border=border, height="stretch"):
            _draw(run, chart, look)


def _draw(run: RunRow, chart: Chart, look: Look) -> None:
    """One chart under its title."""
    chart_head(chart)
    live_chart(
        Source(chart.name, (run.id,), look=look),
        key=f"{chart.name}-{run.id}",
        height=_HEIGHTS.get(chart, 300),
        zoom_group=zoom_group(run.id, look),
    )


def chart_head(chart: Chart) -> None:
    """Its title, and a hint that says what each of its metrics means."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(md("**{}**", chart.title), width="content")
        explained = [] if chart is metrics.SCHEDULE else [(metric.label, metric.sentence) for metric in of_chart(chart)]
        about(chart.title, chart.about, explained)

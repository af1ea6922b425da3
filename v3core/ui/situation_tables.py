"""Routing by situation, in the section of Live about the experts and on Compare: which expert plays which."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from v3core.charts.situation_figures import HEIGHT, situation_figure
from v3core.comparison.newest import NEWEST_WORDS, window_of, window_words
from v3core.comparison.situation_rows import (
    DISTANCE,
    DISTANCE_WORDS,
    LOADS_WORDS,
    STEPS,
    run_situation_rows,
    situation_rows,
)
from v3core.comparison.tables import Row, is_share
from v3core.insight.situation_loads import situation_points, situation_results
from v3core.jobs.retention import thinned_caption
from v3core.messages import _, said, say
from v3core.recall import recalled
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.situation_records import GrowingSituations, has_situations
from v3core.ui import news, shell, ticks
from v3core.ui.live_chart import live_chart
from v3core.ui.task_tables import PARTS
from v3core.ui.text import about, md


def situation_tables(database: Database, run: RunRow) -> None:
    """The table and the charts; nothing for a run whose environment declares no situations."""
    if has_situations(database, run.id, last=run.episode):
        with st.container(border=True):
            ticks.ticking(5, news.of_charts(database, run.id))(shell.show_errors()(_section))(database, run.id)


@st.cache_resource(max_entries=4, show_spinner=False)
def _read_before(url: str, run_id: str, generation: int) -> tuple[GrowingSituations, GrowingSituations]:  # noqa: ARG001
    """Of the newest episodes, and of the whole run: a second to read again where there are 100,000."""
    return GrowingSituations(), GrowingSituations()


def _section(database: Database, run_id: str) -> None:
    run = shell.run_or_rerun(database, run_id)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(md("**Routing by situation**"), width="content")
        about(_("Routing by situation"), LOADS_WORDS, [(DISTANCE, DISTANCE_WORDS)])
    if (sentence := thinned_caption(run)) is not None:
        st.caption(md(":material/compress: {}", sentence))
    of_window, of_all = _read_before(database.url, run.id, run.generation)
    window = window_of(database, run)
    newest = of_window.read(database, run.id, after=window.after, last=window.last)
    results = situation_results(newest)
    if not results:
        st.caption(md("None of the newest episodes has recorded its situations."))
        return
    _table(situation_rows(results))
    st.caption(md("Of {window}, charts of the whole run.", window=window_words(window)))
    episodes = of_all.read(database, run.id, after=0, last=run.episode)
    curves = situation_points(episodes, last=run.episode, parts=PARTS)
    shown = [name for result in results if (name := result.name) in curves]
    shown += [name for name in curves if name not in shown]
    for first in range(0, len(shown), 2):
        for column, name in zip(st.columns(2), shown[first : first + 2], strict=False):
            with column:
                st.markdown(md("{}", recalled(name)))
                figure = situation_figure(run.name, name, curves[name], last=run.episode)
                live_chart(figure, key=f"situation-{name}-{run.id}", height=HEIGHT)


def compared_situations(database: Database, runs: Sequence[RunRow], names: Sequence[str]) -> None:
    """On Compare: a row per run and situation, of runs whose environment declares any."""
    rows = run_situation_rows(database, runs, names)
    if rows:
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.subheader(md("Routing by situation"), anchor=False, width="content")
            about(_("Routing by situation"), LOADS_WORDS, [(DISTANCE, DISTANCE_WORDS)])
        _table(rows)
        st.caption(md("Of {newest}.", newest=NEWEST_WORDS))


def _table(rows: Sequence[Row]) -> None:
    columns = dict.fromkeys(column for row in rows for column in row)
    forms = {column: "percent" for column in columns if is_share(column)} | {STEPS: "localized", DISTANCE: "%.3f"}
    st.dataframe(
        pd.DataFrame(said(rows)),
        hide_index=True,
        width="stretch",
        column_config=said({name: st.column_config.NumberColumn(format=form) for name, form in forms.items()}),
        alt=say("Load of each expert in each situation"),
    )

"""Runs on several environments: how each task goes, and which experts it uses, on Live and Compare.

On Live nothing is read while the section is closed.
"""

import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from v3core.charts.task_figures import tasks_figure
from v3core.comparison.newest import NEWEST_WORDS, window_of, window_words
from v3core.comparison.tables import is_share
from v3core.comparison.task_results import (
    BETWEEN_TASKS_WORDS,
    RunTasks,
    has_tasks,
    read_run_tasks,
    run_task_rows,
    task_names,
)
from v3core.insight.task_loads import in_order, task_distances
from v3core.jobs.retention import thinned_caption
from v3core.messages import _, say, translated
from v3core.metrics import METRICS
from v3core.store.database import Database
from v3core.store.phase_window import PhaseWindow
from v3core.store.run_row import RunRow
from v3core.store.task_records import read_task_points
from v3core.ui import news, shell, ticks
from v3core.ui.live_chart import live_chart
from v3core.ui.text import about, md

PARTS = 20
"""Of a run, over which the curves of its tasks have a point each."""

_SPECIALISATION = _(
    "Mutual information of expert and task over the window, H(Σ pₜ·αₜ) − Σ pₜ·H(αₜ), with αₜ the loads of a task "
    "and pₜ its share of the steps: 0 if all tasks use the experts alike, at most the entropy of the tasks (Cover & "
    "Thomas, Elements of Information Theory, section 2.3)."
)
_DISTANCE = _(
    "Jensen-Shannon distance of the loads of two tasks, √divergence with logarithms of base 2: 0 if they use the "
    "experts alike, 1 if they share none (Endres & Schindelin, IEEE Trans. Inf. Theory 49, 2003)."
)


def task_section(database: Database, run: RunRow) -> None:
    """The section of Live; there is none for a run on one environment."""
    if not has_tasks(run):
        return
    section = st.expander(md("Tasks"), icon=":material/category:", key="tasks", on_change="rerun", bind="query-params")
    if section.open:
        with section:
            ticks.ticking(5, news.of_charts(database, run.id))(shell.show_errors()(_section))(database, run.id)


def _section(database: Database, run_id: str) -> None:
    run = shell.run_or_rerun(database, run_id)
    if (sentence := thinned_caption(run)) is not None:
        st.caption(md(":material/compress: {}", sentence))
    window = window_of(database, run)
    newest = read_run_tasks(database, run, window)
    if not newest.results:
        st.caption(md("No episode is complete yet."))
        return
    points = read_task_points(database, run.id, last=run.episode, parts=PARTS)
    tasks = in_order({point.task for point in points}, task_names(run))
    of_success = {task: [(point.episode, point.success) for point in points if point.task == task] for task in tasks}
    of_return = {task: [(point.episode, point.return_) for point in points if point.task == task] for task in tasks}
    knows_success = any(not math.isnan(point.success) for point in points)
    columns = st.columns(2) if knows_success else [st.container()]
    with columns[-1]:
        figure = tasks_figure(run.name, of_return, title=METRICS["return"].title, share=False)
        live_chart(figure, key=f"tasks-return-{run.id}", height=320)
    if knows_success:
        with columns[0]:
            figure = tasks_figure(run.name, of_success, title=METRICS["success"].title, share=True)
            live_chart(figure, key=f"tasks-success-{run.id}", height=320)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(md("**{}**", _("Tasks and experts")), width="content")
        about(
            _("Tasks and experts"), _("Loads are pooled by steps."), [(METRICS["load"].label, METRICS["load"].sentence)]
        )
    _table(newest.rows(), alt=say("Results and expert loads of each task"))
    _specialisation(window, newest)


def _table(rows: Sequence[dict[str, object]], *, alt: str) -> None:
    table = pd.DataFrame(rows).dropna(axis="columns", how="all")
    numbers: dict[str, str] = {_("Return"): "%.3f", _("Evaluation return"): "%.3f", _("Steps"): "localized"}
    numbers |= {str(name): "percent" for name in table if is_share(str(name))}
    titles = {str(name): translated(name) for row in rows for name in row}  # a frame's columns are mere strings
    config = {
        titles[name]: st.column_config.NumberColumn(format=form) for name, form in numbers.items() if name in table
    }
    st.dataframe(table.rename(columns=titles), hide_index=True, column_config=config, alt=alt)


def _specialisation(window: PhaseWindow, newest: RunTasks) -> None:
    words, known = window_words(window), newest.comparable
    if not known:
        st.caption(md("Of {window}.", window=words))
        return
    distances = task_distances([result.loads for result in known])
    pairs = [(distances[i, j], i, j) for i in range(len(known)) for j in range(i)]
    _distance, first, second = max(pairs)
    left, right = st.columns(2)
    left.metric(md("Specialisation between tasks (nats)"), f"{newest.specialisation:.3f}", help=md(_SPECIALISATION))
    right.metric(md("Mean distance of tasks"), f"{sum(pair[0] for pair in pairs) / len(pairs):.3f}", help=md(_DISTANCE))
    farthest = _(
        "{task} and {task2}, {distances:.3f}",
        task=known[second].task,
        task2=known[first].task,
        distances=distances[first, second],
    )
    st.caption(
        md(
            "Of {window}. The tasks that use the experts most differently: {farthest}.",
            window=words,
            farthest=farthest,
        )
    )


def compared_tasks(database: Database, runs: Sequence[RunRow], names: Sequence[str]) -> None:
    """On Compare: a row per run and task, of those runs that train on several environments."""
    rows = run_task_rows(database, runs, names)
    if not rows:
        return
    st.subheader(md("Task by task"), anchor=False)
    _table(rows, alt=say("Results and expert loads of each task of each run"))
    st.caption(md("Of {newest}. {between}", newest=NEWEST_WORDS, between=BETWEEN_TASKS_WORDS))

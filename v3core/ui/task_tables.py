"""Runs on several environments: how each task goes, and which experts it uses, on Live and Compare.

On Live nothing is read while the section is closed.
"""

import math
from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from v3core.charts.task_figures import tasks_figure
from v3core.comparison.groups import is_readable
from v3core.insight.task_loads import TaskResult, in_order, task_distances, task_specialisation
from v3core.jobs.retention import thinned_caption
from v3core.messages import Message, _, say, translated
from v3core.metrics import METRICS
from v3core.store.database import Database
from v3core.store.phase_window import PhaseWindow, read_phase_window
from v3core.store.run_row import RunRow
from v3core.store.task_records import read_task_evaluation, read_task_points, read_tasks
from v3core.ui import news, shell, ticks
from v3core.ui.live_chart import live_chart
from v3core.ui.status import counted
from v3core.ui.text import about, md

PARTS = 20
"""Of a run, over which the curves of its tasks have a point each."""
MIN_WINDOW, MAX_WINDOW = 100, 5000
"""Newest episodes of a phase that the table is of: a tenth of the run's, within these bounds."""
MAX_EXPERTS = 16
"""With more, the table has no column for each."""

_SPECIALISATION = _(
    "Mutual information of expert and task over the window, H(Σ pₜ·αₜ) − Σ pₜ·H(αₜ), with αₜ the loads of a task "
    "and pₜ its share of the steps: 0 if all tasks use the experts alike, at most the entropy of the tasks (Cover & "
    "Thomas, Elements of Information Theory, section 2.3)."
)
_DISTANCE = _(
    "Jensen-Shannon distance of the loads of two tasks, √divergence with logarithms of base 2: 0 if they use the "
    "experts alike, 1 if they share none (Endres & Schindelin, IEEE Trans. Inf. Theory 49, 2003)."
)


def window_of(database: Database, run: RunRow) -> PhaseWindow:
    """The newest episodes of the phase in force, as many as are looked at."""
    most = min(max(run.episode // 10, MIN_WINDOW), MAX_WINDOW)
    return read_phase_window(database, run.id, last=run.episode, most=most)


def window_words(window: PhaseWindow) -> Message:
    """As in `the newest 25 episodes of phase 'late'`."""
    return _("the newest {episodes} of phase '{phase}'", episodes=counted(window.count, "episode"), phase=window.phase)


NEWEST_WORDS = _(
    "the newest episodes of the phase that each run is in, or ended in: a tenth of the run's, at least {least}, or all "
    "of the phase if it has fewer",
    least=MIN_WINDOW,
)


def has_tasks(run: RunRow) -> bool:
    """Whether it trains on several environments, in any of its phases."""
    return bool(task_names(run))


def task_names(run: RunRow) -> tuple[str, ...]:
    """The tasks of the run and of its phases, each once."""
    config = run.config
    ids = [config.environment, *(config.environment.in_phase(one.env, {}) for one in config.curriculum.phases)]
    return tuple(dict.fromkeys(name for setup in ids for name in setup.task_names))


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
    results = _newest(database, run, window)
    if not results:
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
    evaluated = read_task_evaluation(database, run.id)
    rows = [_row(result) | _evaluated(evaluated, result.task) for result in results]
    _table(rows, alt=say("Results and expert loads of each task"))
    _specialisation(window, results)


def _newest(database: Database, run: RunRow, window: PhaseWindow) -> list[TaskResult]:
    results = {one.task: one for one in read_tasks(database, run.id, after=window.after, last=window.last)}
    return [results[task] for task in in_order(results, task_names(run))]


def _row(result: TaskResult) -> dict[str, object]:
    loads: dict[str, object] = {
        _("Expert {number}", number=number): load for number, load in enumerate(result.loads[:MAX_EXPERTS], 1)
    }
    return {
        _("Task"): result.task,
        _("Episodes"): result.episodes,
        _("Steps"): result.steps,
        _("Return"): result.return_,
        _("Success"): result.success,
        **(loads if len(result.loads) <= MAX_EXPERTS else {}),
    }


def _evaluated(found: Mapping[str, tuple[int, float, float]], task: str) -> dict[str, object]:
    if not found:
        return {}
    _episodes, mean, success = found.get(task, (0, math.nan, math.nan))
    return {_("Evaluation return"): mean, _("Evaluation success"): success}


def _table(rows: Sequence[dict[str, object]], *, alt: str) -> None:
    table = pd.DataFrame(rows).dropna(axis="columns", how="all")
    numbers: dict[str, str] = {_("Return"): "%.3f", _("Evaluation return"): "%.3f", _("Steps"): "localized"}
    numbers |= {_("Success"): "percent", _("Evaluation success"): "percent"}
    numbers |= {str(name): "percent" for name in table if str(name).startswith("Expert ")}
    titles = {str(name): translated(name) for row in rows for name in row}  # a frame's columns are mere strings
    config = {
        titles[name]: st.column_config.NumberColumn(format=form) for name, form in numbers.items() if name in table
    }
    st.dataframe(table.rename(columns=titles), hide_index=True, column_config=config, alt=alt)


def _specialisation(window: PhaseWindow, results: Sequence[TaskResult]) -> None:
    words = window_words(window)
    known = _comparable(results)
    if not known:
        st.caption(md("Of {window}.", window=words))
        return
    loads, steps = [result.loads for result in known], [result.steps for result in known]
    distances = task_distances(loads)
    pairs = [(distances[i, j], i, j) for i in range(len(known)) for j in range(i)]
    _distance, first, second = max(pairs)
    left, right = st.columns(2)
    left.metric(
        md("Specialisation between tasks (nats)"), f"{task_specialisation(loads, steps):.3f}", help=md(_SPECIALISATION)
    )
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


def _comparable(results: Sequence[TaskResult]) -> list[TaskResult]:
    """The tasks whose loads are known; none if they, or the experts, are fewer than two."""
    known = [result for result in results if not any(map(math.isnan, result.loads))]
    return known if len(known) > 1 and len(known[0].loads) > 1 else []


def compared_tasks(database: Database, runs: Sequence[RunRow], names: Sequence[str]) -> None:
    """On Compare: a row per run and task, of those runs that train on several environments."""
    rows: list[dict[str, object]] = []
    for run, name in zip(runs, names, strict=True):
        if not is_readable(run) or not has_tasks(run):
            continue
        results = _newest(database, run, window_of(database, run))
        known = _comparable(results)
        evaluated = read_task_evaluation(database, run.id)
        between = task_specialisation([result.loads for result in known], [result.steps for result in known])
        for result in results:
            row = _row(result) | _evaluated(evaluated, result.task)
            rows.append({_("Run"): name} | row | {_("Specialisation between tasks"): between})
    if not rows:
        return
    st.subheader(md("Task by task"), anchor=False)
    _table(rows, alt=say("Results and expert loads of each task of each run"))
    st.caption(
        md(
            "Of {newest}. Specialisation between tasks is the mutual information of expert and task in nats, the same "
            "for all rows of a run.",
            newest=NEWEST_WORDS,
        )
    )

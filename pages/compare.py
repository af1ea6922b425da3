"""Compare: which group of runs is better, and whether that is certain; also each run as a line, and its phases."""

from collections.abc import Callable

import streamlit as st

from v3core.charts.compare import metrics_of
from v3core.charts.series import RunSeries
from v3core.comparison import grouped, settings_that_differ
from v3core.comparison.looking import Grouping, answer
from v3core.comparison.run_traces import traces_of
from v3core.comparison.varied import varied
from v3core.errors import V3Error
from v3core.jobs.lifecycle import Status
from v3core.messages import _, say, translated
from v3core.metrics import COMPARED
from v3core.phrases import stored
from v3core.store.database import DatabaseBusyError
from v3core.store.run_row import RunRow, distinct_names
from v3core.ui import news, shell, ticks
from v3core.ui.chart_sources import COMPARE, NO_EPISODES, Source
from v3core.ui.compare_curricula import differing_settings, text_difference, timelines
from v3core.ui.compare_groups import (
    all_environments,
    by_phase,
    curves,
    finals,
    group_controls,
    phases_of,
    sweeps,
    verdict,
)
from v3core.ui.demo_guide import how_to_read
from v3core.ui.fact_tables import compared_facts
from v3core.ui.lineage import lineages
from v3core.ui.live_chart import live_chart
from v3core.ui.look_controls import look_controls, zoom_group
from v3core.ui.option_labels import follow_language
from v3core.ui.phase_table import phase_table
from v3core.ui.report_download import report_download
from v3core.ui.run_data import load_phases, load_series
from v3core.ui.run_picker import pick_runs
from v3core.ui.situation_tables import compared_situations
from v3core.ui.task_tables import compared_tasks
from v3core.ui.text import md, plain

GROUP_SECONDS = 10.0
"""The statistics of groups and phases hardly change from one episode to the next."""
GROUPS, RUNS = _("Groups"), _("Runs")

database = shell.page("Compare")
shell.reconcile(database)
st.title(md("Compare"), anchor=False)
with shell.or_stop():
    runs = pick_runs(database)


def readable(rows: list[RunRow], read: Callable[[RunRow], object]) -> list[RunRow]:
    """Those whose records can be read; a sentence for each of the others."""
    found = []
    for run in rows:
        try:
            if run.status == Status.UNREADABLE:
                raise V3Error(stored(run.reason or ""))
            read(run)
        except DatabaseBusyError:
            raise
        except V3Error as error:
            st.error(md("**{}** is omitted. {}", run.name, error), icon=":material/database_off:")
        else:
            found.append(run)
    return found


settings = settings_that_differ(runs)
several = any(len(group.runs) > 1 for group in grouped(runs, varied(runs)))
with st.container(horizontal=True, vertical_alignment="bottom"):
    follow_language("show", [GROUPS, RUNS], plain)
    shown = st.segmented_control(
        md("Show"),
        [GROUPS, RUNS],
        format_func=plain,
        default=GROUPS if several else RUNS,
        required=True,
        key="show",
        bind="query-params",
        help=md("Groups of runs with their mean and interval, or each run as a line with its phases."),
    )
    which_metric = st.container(width=320)
with shell.or_stop():
    if shown == GROUPS:  # what the curves need, of every run; all metrics of one run per group say what is offered
        runs = readable(runs, lambda run: traces_of(database, [run], "return"))
        asked = [group.runs[0] for group in grouped(runs, varied(runs))]
    else:
        asked = runs
    series: dict[str, RunSeries] = {}
    asked = readable(asked, lambda run: series.setdefault(run.id, load_series(database, run)))
    compared = [series[run.id] for run in asked]
    runs = asked if shown == RUNS else runs
if not runs:
    st.stop()


def label_of(name: str) -> str:
    """Of a metric."""
    label: str = translated(COMPARED[name].label)
    return label


offered = metrics_of(compared)
follow_language("metric", offered, label_of)
metric = which_metric.selectbox(
    md("Metric"), offered, format_func=label_of, key="metric", bind="query-params", placeholder=say("Choose an option")
)

if shown == GROUPS:
    with shell.or_stop():
        grouping = group_controls(runs, settings, phases_of(runs))
else:
    # In the order in which the runs begin them; the first phase of each starts with its run.
    begun = {band.name: band.start for one in compared for band in one.bands if not band.planned}
    look = look_controls(dict(sorted(begun.items(), key=lambda phase: phase[1])), compared=True)
    grouping = Grouping(varied(runs))


def current(run_ids: list[str]) -> list[RunRow]:
    """The runs as they are now; empty while none has finished an episode."""
    rows = shell.runs_or_rerun(database, run_ids)
    return rows if any(run.episode for run in rows) else []


@ticks.ticking(2, *(news.of_milestones(database, run.id) for run in runs))
@shell.show_errors()
def overlay(run_ids: list[str]) -> None:
    """Each run as a line; the chart asks for what is new by itself."""
    shell.reconcile(database)
    now = current(run_ids)
    if not now:
        st.info(md(NO_EPISODES), icon=":material/hourglass_empty:")
        return
    how_to_read(database, now)
    with st.container(border=True):
        group = zoom_group("-".join(run_ids), look)
        live_chart(Source(COMPARE, tuple(run_ids), metric, look), key="compare", height=520, zoom_group=group)


@ticks.ticking(GROUP_SECONDS, *(news.of_charts(database, run.id) for run in runs))
@shell.show_errors()
def groups(run_ids: list[str]) -> None:
    """What the groups come to, drawn again when there is more of them."""
    shell.reconcile(database)
    now = current(run_ids)
    if not now:
        if shown == GROUPS:
            st.info(md(NO_EPISODES), icon=":material/hourglass_empty:")
        return
    found = answer(database, now, metric, grouping)
    verdict(found)
    if shown == GROUPS:
        how_to_read(database, now)
        curves(database, now, metric, grouping, found)
        finals(found)
        sweeps(now, settings, found, grouping.by)
        all_environments(found)


@ticks.ticking(GROUP_SECONDS, *(news.of_charts(database, run.id) for run in runs))
@shell.show_errors()
def phases(run_ids: list[str]) -> None:
    """Boxes and the table of phases, of what is recorded; drawn again when there is more of it."""
    now = current(run_ids)
    if not now:
        return
    st.subheader(md("Phase by phase"), anchor=False)
    now = readable(now, lambda run: load_phases(database, run))
    if shown == GROUPS:
        by_phase(database, now, metric, grouping.by)
    phase_table(database, now, distinct_names(now))
    compared_tasks(database, now, distinct_names(now))
    compared_facts(database, now, distinct_names(now))
    compared_situations(database, now, distinct_names(now))


def shared_experiment(rows: list[RunRow]) -> str | None:
    """The experiment that all of these runs belong to."""
    names = {run.experiment for run in rows}
    return names.pop() if len(names) == 1 else None


ids = [run.id for run in runs]
if shown == RUNS:
    overlay(ids)
groups(ids)
phases(ids)
with shell.show_errors():
    st.subheader(md("Curricula and settings"), anchor=False)
    timelines(runs)
    differing_settings(runs, settings)
    text_difference(runs)
    lineages(database, runs)
    if (experiment := shared_experiment(runs)) is not None:
        report_download(
            database,
            experiment,
            has_episodes=any(run.episode for run in runs),
            by=grouping.by,
            metric=metric,
            threshold=grouping.threshold,
        )

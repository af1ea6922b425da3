"""Compare: overlays several runs, with the phases of each and statistics of each phase."""

import streamlit as st

from v3core.charts.compare import metrics_of
from v3core.errors import V3Error
from v3core.jobs.lifecycle import Status
from v3core.metrics import COMPARED
from v3core.store.database import DatabaseBusyError
from v3core.store.run_row import RunRow
from v3core.ui import news, shell, ticks
from v3core.ui.chart_sources import COMPARE, NO_EPISODES, Source
from v3core.ui.demo_guide import how_to_read
from v3core.ui.live_chart import live_chart
from v3core.ui.look_controls import look_controls, zoom_group
from v3core.ui.phase_table import phase_table
from v3core.ui.run_data import load_phases, load_series
from v3core.ui.run_picker import distinct_names, pick_runs
from v3core.ui.text import md

TABLE_SECONDS = 10.0
"""The statistics of a phase hardly change from one episode to the next."""

database = shell.page("Compare")
shell.reconcile(database)
st.title("Compare", anchor=False)
with shell.or_stop():
    runs = pick_runs(database)


def readable(runs: list[RunRow]) -> list[RunRow]:
    """Those whose records can be read; a sentence for each of the others."""
    found = []
    for run in runs:
        try:
            if run.status == Status.UNREADABLE:
                raise V3Error(run.reason or "")
            load_series(database, run)
            load_phases(database, run)
        except DatabaseBusyError:
            raise
        except V3Error as error:
            st.error(md("**{}** is omitted. {}", run.name, error), icon=":material/database_off:")
        else:
            found.append(run)
    return found


with shell.or_stop():
    runs = readable(runs)
    compared = [load_series(database, run) for run in runs]
if not runs:
    st.stop()

metric = st.selectbox(
    "Metric",
    metrics_of(compared),
    format_func=lambda name: COMPARED[name].label,
    key="metric",
    bind="query-params",
    width=320,
)


# In the order in which the runs begin them; the first phase of each starts with its run.
begun = {band.name: band.start for one in compared for band in one.bands if not band.planned}
look = look_controls(dict(sorted(begun.items(), key=lambda phase: phase[1])), compared=True)


@ticks.ticking(2, *(news.of_milestones(database, run.id) for run in runs))
@shell.show_errors()
def comparison(run_ids: list[str]) -> None:
    """The overlay, which asks for what is new by itself, and the table."""
    shell.reconcile(database)
    current = [shell.run_or_rerun(database, run_id) for run_id in run_ids]
    if not any(run.episode for run in current):
        st.info(NO_EPISODES, icon=":material/hourglass_empty:")
        return
    how_to_read(database, current)
    with st.container(border=True):
        group = zoom_group("-".join(run_ids), look)
        live_chart(Source(COMPARE, tuple(run_ids), metric, look), key="compare", height=520, zoom_group=group)


@ticks.ticking(TABLE_SECONDS, *(news.of_charts(database, run.id) for run in runs))
@shell.show_errors()
def by_phase(run_ids: list[str]) -> None:
    """The table, of what is recorded; drawn again when there is more of it, not at every heartbeat."""
    current = [shell.run_or_rerun(database, run_id) for run_id in run_ids]
    if not any(run.episode for run in current):
        return
    st.subheader("Phase by phase", anchor=False)
    phase_table(database, current, distinct_names(current))


comparison([run.id for run in runs])
by_phase([run.id for run in runs])

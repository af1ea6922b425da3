"""Live: one run as it trains; future phase boundaries can be moved."""

import streamlit as st

from v3core.jobs import control
from v3core.jobs.launchers.chosen import chosen
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.jobs.logs import read_log_tail
from v3core.messages import _
from v3core.store.commands import read_commands
from v3core.store.run_row import RunRow
from v3core.ui import news, shell, ticks
from v3core.ui.alarm_list import active, alarm_list, load_alarms, verdict
from v3core.ui.boundary_editor import boundary_editor
from v3core.ui.demo_guide import what_to_look_for
from v3core.ui.expert_cockpit import expert_cockpit, is_open
from v3core.ui.fact_tables import fact_section
from v3core.ui.lineage import lineage
from v3core.ui.phase_editor import phase_editor
from v3core.ui.process_panel import process_panel
from v3core.ui.replay_picture import replay_picture
from v3core.ui.run_actions import notes_editor, train_longer
from v3core.ui.run_charts import run_charts
from v3core.ui.run_data import load_series
from v3core.ui.run_files import run_checkpoints, run_exports
from v3core.ui.run_header import rollback_warning, run_header
from v3core.ui.run_history import command_panel, run_history
from v3core.ui.run_picker import pick_run
from v3core.ui.run_settings import run_parameters, run_settings
from v3core.ui.task_tables import task_section
from v3core.ui.text import md, plain
from v3core.ui.what_if import what_if
from v3core.ui.what_really_happened import what_really_happened

LOG_LINES = 200

database = shell.page("Live")
shell.reconcile(database)
st.title(md("Live"), anchor=False)
head = st.container(horizontal=True, vertical_alignment="center")
with shell.or_stop():
    run = pick_run(database, head)
with head, shell.show_errors():
    notes_editor(database, run)

if run.status == Status.UNREADABLE:
    run_header(database, run, [])
    st.stop()

UNFINISHED = ACTIVE | {Status.QUEUED}


# A waiting run says what the launcher lacks.
waits_on = [news.of_launcher(database)] if run.status == Status.QUEUED else []


# The end of another run counts too: the demo's next step waits for both of its runs.
@ticks.ticking(1, news.of_milestones(database, run.id), news.of_ends(database), *waits_on)
@shell.show_errors()
def live(run_id: str, was_unfinished: bool, experts_open: bool) -> None:
    """Everything of the run that changes while it trains; its numbers and charts ask for what is new by themselves."""
    shell.reconcile(database)
    run = shell.run_or_rerun(database, run_id)
    if was_unfinished != (run.status in UNFINISHED):
        st.rerun()  # ended, or resumed: what does not tick changes too
    curriculum = control.current_curriculum(database, run.id)
    # Whatever comes and goes in the head, the charts keep their place on the page: in another, the browser would make
    # new ones, and a boundary that is being dragged would be lost.
    head, charts = st.container(), st.container()
    with head:
        alarms, computed = load_alarms(database, run)
        verdict(alarms)
        run_header(database, run, read_commands(database, run.id), has_alarms=bool(active(alarms)))
        what_to_look_for(database, run)
        run_settings(database, run, curriculum)
        series = load_series(database, run, curriculum)
        rollback_warning(series)
        alarm_list(database, run, alarms, computed, series, curriculum)
        if not len(series):
            nothing_yet(run)  # the charts below show the plan meanwhile
    with charts:
        is_edited = run_charts(database, run, curriculum, series, experts_open=experts_open)
    if is_edited:
        st.rerun()  # the boundary editor below shows what was dragged


def nothing_yet(run: RunRow) -> None:
    """Why there is nothing to see before the first episode."""
    text = {
        Status.QUEUED: _("Waiting for a free slot; the run starts automatically."),
        Status.STARTING: _("The worker process is starting. The first episodes arrive in a few seconds."),
        Status.RUNNING: _("Training has started. The first episode is not finished yet."),
        Status.PAUSED: _("Paused before the first episode finished."),
        Status.STALLED: _("No episode is finished yet, and the worker process sends no heartbeats."),
        Status.STOPPING: _("Stopping before the first episode finished."),
    }.get(Status(run.status), _("The run ended before the first episode finished."))
    if run.status == Status.QUEUED and chosen().waits_for(run):  # which the head of the page says
        text = _("Not started yet; the run starts automatically once it has what it needs.")
    st.info(plain(text), icon=":material/hourglass_empty:")


live(run.id, run.status in UNFINISHED, is_open(run.id))
replay_picture(database, run)
expert_cockpit(database, run)
with shell.show_errors():
    task_section(database, run)
with shell.show_errors():
    fact_section(database, run)
editors = (train_longer, boundary_editor, phase_editor, what_if, what_really_happened)
parts = (lineage, *editors, process_panel, run_exports, run_checkpoints)
for part in parts:
    with shell.show_errors():
        part(database, run)
with shell.show_errors():
    run_parameters(run)


@ticks.ticking(1, news.of_milestones(database, run.id))
@shell.show_errors()
def record(run_id: str) -> None:
    """What was asked of the run, and what happened to it."""
    with st.container(border=True, key="commands"):
        command_panel(database, run_id, read_commands(database, run_id))
    run_history(database, run_id)


record(run.id)

has_failed = run.status in (Status.FAILED, Status.LOST)
if st.session_state.setdefault("log:of", run.id) != run.id:
    st.session_state["log:of"] = run.id
    if has_failed:
        st.session_state["log"] = True  # that of the run before was perhaps closed
with st.expander(
    md("Log"),
    icon=":material/terminal:",
    expanded=has_failed and "log" not in st.session_state,
    key="log",
    on_change="rerun",
    bind="query-params",
):

    @ticks.ticking(3, news.of_log(database, run.id))
    @shell.show_errors()
    def log() -> None:
        """The newest lines of the worker's output."""
        tail = read_log_tail(run.id, LOG_LINES, database.place)
        if tail:
            st.code(tail, language="log", height=320, wrap_lines=True)
            st.caption(md("Shows up to {log_lines} lines; the full log is in the run's folder.", log_lines=LOG_LINES))
        else:
            st.caption(md("The log is still empty."))

    log()

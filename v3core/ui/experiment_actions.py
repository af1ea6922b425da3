"""What can be done with all runs of an experiment at once: more seeds, stop, resume, archives."""

from collections.abc import Callable
from shlex import quote

import streamlit as st

from v3core.errors import V3Error
from v3core.jobs import experiments
from v3core.jobs.costs import cost_of
from v3core.jobs.experiments import MORE_SEEDS, Progress
from v3core.jobs.lifecycle import ENDED, Status
from v3core.jobs.several import Outcome
from v3core.jobs.sweep import MAX_SEEDS
from v3core.messages import Message, _
from v3core.paths import COMMAND
from v3core.store.database import Database
from v3core.ui.clicks import ACTOR, asking, confirm, dialog, or_notice
from v3core.ui.notices import notify
from v3core.ui.run_picker import compare_link
from v3core.ui.run_selection import offer_archives
from v3core.ui.start_bar import read_pace
from v3core.ui.status import counted
from v3core.ui.text import md, plain

_RESULT = "experiment-result"


def experiment_actions(database: Database, progress: Progress) -> None:
    """Buttons for all runs of the experiment, and what was refused of the last one."""
    name = progress.name
    stoppable = [run for run in progress.runs if run.status not in ENDED and run.status != Status.STOPPING]
    stopped = progress.counts.get(Status.STOPPED, 0)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="experiment-actions"):
        if asking(md("Add {more_seeds} seeds", more_seeds=MORE_SEEDS), icon=":material/add:", key="add-seeds"):
            _ask_for_seeds(database, name)
        if asking(
            md("Stop {stoppable}", stoppable=counted(len(stoppable), "run")),
            icon=":material/stop_circle:",
            key="stop-all",
            disabled=not stoppable,
            help=None if stoppable else md("No run of this experiment trains or waits."),
        ):
            _confirm_stop(database, name, len(stoppable))
        st.button(
            md("Resume {failed:,} failed", failed=len(progress.failed)),
            icon=":material/resume:",
            key="resume-failed",
            disabled=not progress.failed,
            help=md("Continues those that failed or were lost, each from its newest intact checkpoint.")
            if progress.failed
            else md("No run has failed."),
            on_click=_resume,
            args=(database, name, "failed"),
        )
        if stopped:
            st.button(
                md("Resume {stopped:,} stopped", stopped=stopped),
                icon=":material/resume:",
                key="resume-stopped",
                on_click=_resume,
                args=(database, name, "stopped"),
            )
        if asking(md("Archive all"), icon=":material/folder_zip:", key="archive-all"):
            command = f"{COMMAND} experiment {quote(name)} --archive FOLDER"
            offer_archives(database, list(progress.runs), command)
        if len(progress.runs) > 1:
            compare_link(_("Compare"), experiment=name)
    if result := st.session_state.get(_RESULT):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.warning(plain(result), icon=":material/rule:")
            st.button(md("Dismiss"), key="dismiss-experiment-result", type="tertiary", on_click=_forget_result)


@dialog(_("Add seeds"), icon=":material/add:")
def _ask_for_seeds(database: Database, name: str) -> None:
    chosen = st.number_input(md("Seeds"), 1, MAX_SEEDS, MORE_SEEDS, key="more-seeds")
    seeds = int(chosen or MORE_SEEDS)
    try:
        added = experiments.more_seeds(experiments.progress_of(database, name).runs, seeds)
        cost = cost_of(database, [one.to_train for one in added], read_pace)
    except V3Error as error:
        st.error(plain(error))
        return
    new = sorted({one.config.seed for one in added})
    span = _("seed {seed}", seed=new[0]) if len(new) == 1 else _("seeds {first} to {last}", first=new[0], last=new[-1])
    st.markdown(md("Everything that **{}** compares, with {}: {}.", name, span, cost.amount()))
    st.caption(plain(cost.time()))
    confirm(
        _("Start {runs}", runs=counted(len(added), "run")),
        ":material/play_arrow:",
        "add-seeds",
        _add_seeds,
        database,
        name,
    )


def _add_seeds(database: Database, name: str) -> None:
    # From the field as it is now: a click may arrive together with what was typed just before.
    added = experiments.add_seeds(database, name, int(st.session_state["more-seeds"] or MORE_SEEDS))
    notify(md("Added {}.", counted(len(added), "run")), icon=":material/add:", seconds=4)


@dialog(_("Stop the experiment?"), icon=":material/stop_circle:")
def _confirm_stop(database: Database, name: str, count: int) -> None:
    st.markdown(
        md(
            "Stop {} of **{}**? Training runs write a checkpoint first; all of them can be resumed.",
            counted(count, "run"),
            name,
        )
    )
    confirm(_("Stop"), ":material/stop_circle:", "stop-experiment", _stop, database, name)


def _stop(database: Database, name: str) -> None:
    asked = experiments.stop(database, name, ACTOR)
    notify(md("Stopping {}.", counted(asked, "run")), icon=":material/stop_circle:", seconds=4)


@or_notice
def _resume(database: Database, name: str, which: str) -> None:
    resume = experiments.resume_failed if which == "failed" else experiments.resume_stopped
    _report(resume(database, name, ACTOR), lambda runs: _("Resuming {runs}.", runs=runs))


def _report(outcome: Outcome, doing: Callable[[Message], Message]) -> None:
    """Say what came of it: in a notice, and what was refused until it is dismissed."""
    _forget_result()
    text = outcome.describe(doing)
    if outcome.refused:
        st.session_state[_RESULT] = text
    else:
        notify(plain(text), icon=":material/check_circle:", seconds=4)


def _forget_result() -> None:
    st.session_state.pop(_RESULT, None)

"""Active experiments: runs that were started together and can be stopped together."""

from collections import Counter

import streamlit as st

from v3core.jobs import control
from v3core.jobs.lifecycle import ENDED, Status
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.clicks import ACTOR, confirm, dialog
from v3core.ui.notices import notify
from v3core.ui.run_picker import compare_link
from v3core.ui.status import counted
from v3core.ui.text import md, plain

_SHOWN = 3
_STATUSES = (Status.RUNNING, Status.STARTING, Status.PAUSED, Status.STALLED, Status.STOPPING, Status.QUEUED)


def active_experiments(database: Database, runs: list[RunRow]) -> None:
    """A line for each experiment that is not over, newest first; of no other experiment."""
    groups: dict[str, list[RunRow]] = {}
    for run in runs:
        if run.experiment:
            groups.setdefault(run.experiment, []).append(run)
    at_work = {name: group for name, group in groups.items() if any(run.status not in ENDED for run in group)}
    for place, (name, group) in enumerate(list(at_work.items())[:_SHOWN]):
        _line(database, name, group, place)
    if len(at_work) > _SHOWN:
        st.caption(f"{counted(len(at_work) - _SHOWN, 'more experiment')} active; find their runs with the filter.")


def _line(database: Database, name: str, group: list[RunRow], place: int) -> None:
    stop = control.COMMANDS["stop"]
    stoppable = [run for run in group if run.status != stop.done and stop.refusal(run) is None]
    with (
        st.container(border=True, key=f"experiment-{place}"),
        st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"),
    ):
        st.markdown(md(":material/lab_research: **{}** · {}", name, describe(group)), width="stretch")
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", width="content"):
            if len(group) > 1:
                compare_link("Compare", experiment=name)
            if st.button(
                f"Stop {counted(len(stoppable), 'run')}",
                icon=":material/stop_circle:",
                key=f"stop-experiment:{name}",
                disabled=not stoppable,
                help=None if stoppable else "All runs are already stopping, or train on other hosts.",
            ):
                _confirm_stop(database, name, len(stoppable))


def describe(group: list[RunRow]) -> str:
    """How the runs of an experiment stand, as in `6 runs: 2 running, 1 queued, 3 ended`."""
    counts = Counter(run.status for run in group)
    parts = [f"{counts[status]} {status}" for status in _STATUSES if counts[status]]
    if ended := sum(counts[status] for status in ENDED):
        parts.append(f"{ended} ended")
    return f"{counted(len(group), 'run')}: {', '.join(parts)}"


@dialog("Stop the experiment?", icon=":material/stop_circle:")
def _confirm_stop(database: Database, name: str, count: int) -> None:
    st.markdown(
        f"Stop {counted(count, 'run')} of **{plain(name)}**? Training runs write a checkpoint first; all of them can "
        "be resumed."
    )
    confirm("Stop", ":material/stop_circle:", "stop-experiment", _stop, database, name)


def _stop(database: Database, name: str) -> None:
    asked = control.stop_experiment(database, name, ACTOR)
    notify(md("Stopping {}.", counted(asked, "run")), icon=":material/stop_circle:", seconds=4)

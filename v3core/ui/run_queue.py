"""Waiting runs: their position in the queue, and the priority that determines it."""

import streamlit as st
from humanize import ordinal

from v3core.jobs import control, launcher
from v3core.jobs.control import trains_elsewhere
from v3core.jobs.launch import waits_for
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.clicks import ACTOR, or_notice
from v3core.ui.text import md, plain

PRIORITY_HELP = "Waiting runs with the highest priority start first, then the oldest."


def queue_places(runs: list[RunRow]) -> dict[str, int]:
    """Run id to its place in the queue, from 1, for each run that waits."""
    return {run.id: place for place, run in enumerate(launcher.queue_order(runs), start=1)}


def slots_text(runs: list[RunRow], slots: int) -> str:
    """How full this machine is, as in `3 of 4 slots in use, 1 of them paused · 2 waiting`."""
    active = [run for run in runs if run.status in ACTIVE]
    elsewhere = sum(trains_elsewhere(run) is not None for run in active)
    paused = sum(run.status == Status.PAUSED and not trains_elsewhere(run) for run in active)
    used = f"{len(active) - elsewhere} of {slots} slots in use"
    if paused:
        used += f", {paused} of them paused"
    waiting = sum(run.status == Status.QUEUED for run in runs)
    return " · ".join([used, *([f"{elsewhere} on other hosts"] if elsewhere else []), f"{waiting} waiting"])


def slots_menu(database: Database, limit: int) -> None:
    """Opened, it changes how many runs train at once on this machine, which is `limit` now."""
    with st.popover("Slots", icon=":material/tune:", type="tertiary", key="slots"):
        # The limit is part of the key, so that the field follows a change made elsewhere.
        field = f"slots:{limit}"
        st.number_input(
            "Runs at once on this machine",
            1,
            launcher.MOST_SLOTS,
            limit,
            key=field,
            help="Does not affect runs that are already training. Each run uses one core; more runs than cores slow "
            "each other down.",
            on_change=_set_slots,
            args=(database, field),
        )


def queue_place(database: Database, run: RunRow, place: int, *, key: str) -> None:
    """The queue position of a waiting run, in a popover to change its priority."""
    label = md("{} in the queue", ordinal(place))
    if run.priority:
        label = md("{} · priority {}", label, run.priority)
    with st.popover(label, icon=":material/low_priority:", type="tertiary", key=f"queue:{key}:{run.id}"):
        # Its priority is part of the key, so that the field follows a change made elsewhere.
        field = f"priority:{key}:{run.id}:{run.priority}"
        st.number_input(
            "Priority",
            -launcher.MOST_PRIORITY,
            launcher.MOST_PRIORITY,
            run.priority,
            key=field,
            help=PRIORITY_HELP,
            on_change=_set_priority,
            args=(database, run.id, field),
        )
    if problem := waits_for(run):
        st.caption(f":material/folder_off: {plain(problem)}")


@or_notice
def _set_slots(database: Database, field: str) -> None:
    if (number := st.session_state[field]) is not None:
        launcher.set_slots(database, number)


@or_notice
def _set_priority(database: Database, run_id: str, field: str) -> None:
    if (priority := st.session_state[field]) is not None:
        control.set_priority(database, run_id, priority, ACTOR)

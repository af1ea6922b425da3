"""How a run's status looks: one badge per status, everywhere."""

from typing import Literal

import streamlit as st

from v3core.jobs.lifecycle import Status
from v3core.store.run_row import RunRow
from v3core.ui.moments import age
from v3core.ui.text import plain

ADVANCES = (Status.STARTING, Status.RUNNING, Status.STOPPING)
"""Statuses in which a run trains, so that its speed, and the time that it takes, mean something."""

Colour = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray"]

_LOOKS: dict[Status, tuple[Colour, str, str]] = {
    Status.QUEUED: ("gray", ":material/schedule:", "Waiting for a free slot."),
    Status.STARTING: ("blue", ":material/hourglass_top:", "The worker process is starting."),
    Status.RUNNING: ("blue", ":material/play_circle:", "The worker process is training."),
    Status.PAUSED: (
        "violet",
        ":material/pause_circle:",
        "Paused between two rollouts; keeps its process and its slot.",
    ),
    Status.STALLED: ("orange", ":material/sensors_off:", "The process is alive, but sends no heartbeats."),
    Status.STOPPING: ("orange", ":material/hourglass_bottom:", "Finishing the update, then writing a checkpoint."),
    Status.STOPPED: ("gray", ":material/stop_circle:", "Stopped; it can be resumed from its checkpoint."),
    Status.COMPLETED: ("green", ":material/check_circle:", "All episodes are trained."),
    Status.FAILED: ("red", ":material/error:", "Training ended with an error."),
    Status.UNREADABLE: ("red", ":material/database_off:", "Its row in the database is invalid."),
    Status.LOST: ("red", ":material/link_off:", "The worker process exited unexpectedly."),
}


def status_badge(run: RunRow) -> None:
    """The badge of a run's status."""
    colour, icon, meaning = _LOOKS[Status(run.status)]
    if run.status == Status.STALLED:
        meaning = stalled_sentence(run)
    st.badge(plain(run.status.capitalize()), icon=icon, color=colour, help=plain(meaning))


def stalled_sentence(run: RunRow) -> str:
    """What is known of a stalled run."""
    return f"The process is alive, but its last heartbeat was {age(run.heartbeat_at)} ago. V3 Lab does not kill it."


def number(value: float | None, digits: int | None = None) -> str:
    """A number for reading; a missing one is a dash. Without `digits`, a small one keeps three decimals."""
    if value is None or value != value:
        return "–"
    return f"{value:,.{(3 if abs(value) < 10 else 1) if digits is None else digits}f}"


def counted(count: int, noun: str) -> str:
    """As in `1 run` and `6 runs`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"

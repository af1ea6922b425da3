"""How a run's status looks: one badge per status, everywhere."""

import re
from datetime import UTC, datetime
from typing import Literal

import streamlit as st

from v3core.jobs.lifecycle import Status

Colour = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray"]

_LOOKS: dict[Status, tuple[Colour, str, str]] = {
    Status.QUEUED: ("gray", ":material/schedule:", "Waits for a free core."),
    Status.STARTING: ("blue", ":material/hourglass_top:", "Its worker process is starting."),
    Status.RUNNING: ("blue", ":material/play_circle:", "Its worker process is training."),
    Status.STOPPING: ("orange", ":material/hourglass_bottom:", "Finishes its update, then writes a checkpoint."),
    Status.STOPPED: ("gray", ":material/pause_circle:", "Stopped; it can be resumed from its checkpoint."),
    Status.COMPLETED: ("green", ":material/check_circle:", "All episodes are trained."),
    Status.FAILED: ("red", ":material/error:", "Training ended with an error."),
    Status.LOST: ("red", ":material/link_off:", "Its worker process died without a word."),
}


def status_badge(status: str) -> None:
    """The badge of a status."""
    colour, icon, meaning = _LOOKS[Status(status)]
    st.badge(status.capitalize(), icon=icon, color=colour, help=meaning)


def plain(text: str) -> str:
    """A name that somebody typed, for where Streamlit reads Markdown: its signs stand for themselves."""
    return re.sub(r"([\\`*_\[\]<>~$:#])", r"\\\1", text)


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, in the largest unit that fits: `12 s`, `3 min`, `5 h`, `2 d`."""
    if moment is None:
        return "–"
    seconds = max(0.0, ((now or datetime.now(UTC)) - moment).total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def number(value: float | None, digits: int | None = None) -> str:
    """A number for reading; a missing one is a dash. Without `digits`, a small one keeps three decimals."""
    if value is None or value != value:
        return "–"
    return f"{value:,.{(3 if abs(value) < 10 else 1) if digits is None else digits}f}"

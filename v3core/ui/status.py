"""Statuses, numbers and times as people read them, everywhere alike."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from v3core.jobs.lifecycle import STATUS_WORDS, Status, status_title
from v3core.messages import Message, _, localised, with_minus
from v3core.phrases import counted as counted
from v3core.phrases import day_and_time, delta, strung, with_unit
from v3core.store.run_row import RunRow
from v3core.ui import ticks
from v3core.ui.text import plain

ADVANCES = (Status.STARTING, Status.RUNNING, Status.STOPPING)
"""Statuses in which a run trains, so that its speed, and the time that it takes, mean something."""

Colour = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray"]
_UNITS_SECONDS = (86_400, 3_600, 60, 1)

_LOOKS: dict[Status, tuple[Colour, str, str]] = {
    Status.QUEUED: ("gray", ":material/schedule:", _("Waiting for a free slot.")),
    Status.STARTING: ("blue", ":material/hourglass_top:", _("The worker process is starting.")),
    Status.RUNNING: ("blue", ":material/play_circle:", _("The worker process is training.")),
    Status.PAUSED: (
        "violet",
        ":material/pause_circle:",
        _("Paused between two rollouts; keeps its process and its slot."),
    ),
    Status.STALLED: ("orange", ":material/sensors_off:", _("The process is alive, but sends no heartbeats.")),
    Status.STOPPING: ("orange", ":material/hourglass_bottom:", _("Finishing the update, then writing a checkpoint.")),
    Status.STOPPED: ("gray", ":material/stop_circle:", _("Stopped; it can be resumed from its checkpoint.")),
    Status.COMPLETED: ("green", ":material/check_circle:", _("All episodes are trained.")),
    Status.FAILED: ("red", ":material/error:", _("Training ended with an error.")),
    Status.UNREADABLE: ("red", ":material/database_off:", _("Its row in the database is invalid.")),
    Status.LOST: ("red", ":material/link_off:", _("The worker process exited unexpectedly.")),
}


def look(run: RunRow) -> tuple[Colour, str, str]:
    """The colour, icon and meaning of a run's status."""
    colour, icon, meaning = _LOOKS[Status(run.status)]
    return colour, icon, stalled_sentence(run) if run.status == Status.STALLED else meaning


def status_badge(run: RunRow) -> None:
    """The badge of a run's status."""
    colour, icon, meaning = look(run)
    st.badge(plain(status_title(run.status)), icon=icon, color=colour, help=plain(meaning))


def status_badges(counts: Mapping[str, int]) -> None:
    """A badge for each status with the number of runs in it, in the order of a run's life."""
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        for status, (colour, icon, meaning) in _LOOKS.items():
            if count := counts.get(status):
                st.badge(
                    plain(_("{count:,} {status}", count=count, status=STATUS_WORDS[status])),
                    icon=icon,
                    color=colour,
                    help=plain(meaning),
                )


def stalled_sentence(run: RunRow) -> Message:
    """What is known of a stalled run."""
    return _(
        "The process is alive, but its last heartbeat was {age} ago. V3 Lab does not kill it.",
        age=age(run.heartbeat_at),
    )


def mean_words(run: RunRow, count: int, what: str) -> str:
    """What a run's mean return is of, as in `Mean, last 100 in phase`; with fewer `Mean, the 42 so far in phase`.

    `count` is how many episodes it is of: `RecentReturns.count`.
    """
    if not count:
        return what
    if count < run.mean_window:
        return _("{what}, the {count:,} so far in phase", what=what, count=count)
    return _("{what}, last {mean_window} in phase", what=what, mean_window=run.mean_window)


def number(value: float | None, digits: int | None = None) -> str:
    """A number for reading; a missing one is a dash. Without `digits`, a small one keeps three decimals."""
    if value is None or value != value:
        return "–"
    return localised(with_minus(f"{value:,.{(3 if abs(value) < 10 else 1) if digits is None else digits}f}"))


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, in the largest unit that fits: `12 seconds`, `an hour`, `2 days`."""
    if moment is None:
        return "–"
    seconds = max(0.0, ((now or datetime.now(UTC)) - moment).total_seconds())
    if now is None:
        ticks.draw_again_in(max(1.0, next((unit for unit in _UNITS_SECONDS if seconds >= unit), 1) / 3))
    return delta(seconds)


def took(seconds: float | None) -> str:
    """A duration in its two largest units: `42 s`, `3 min 10 s`, `2 h 5 min`, `3 d 4 h`; a missing one is a dash."""
    if seconds is None:
        return "–"
    left = round(seconds)
    parts: list[Message] = []
    for size, unit in zip(_UNITS_SECONDS, ("d", "h", "min", "s"), strict=True):
        if left >= size or (size == 1 and not parts):
            parts.append(with_unit(f"{left // size}", unit))
            left %= size
        elif parts:
            break
    return strung(" ", parts[:2])


def clock(moment: datetime) -> str:
    """The time of day in the browser's time zone, as in `14:03:22`; with the day if that is not today."""
    local = _here(moment)
    is_today = local.date() == _here(datetime.now(UTC)).date()
    return f"{local:%H:%M:%S}" if is_today else day_and_time(local)


def latency(asked: datetime, done: datetime) -> str:
    """How long an answer took: tenths of a second, as in `0.4 seconds`, then the largest unit that fits."""
    seconds = max(0.0, (done - asked).total_seconds())
    return _("{amount:.1f} seconds", amount=seconds) if seconds < 10 else age(asked, done)


def _here(moment: datetime) -> datetime:
    """The same moment in the browser's time zone, or in UTC if that is unknown."""
    try:
        return moment.astimezone(ZoneInfo(st.context.timezone or "UTC"))
    except (ZoneInfoNotFoundError, ValueError, OverflowError):  # of the year 1 or 9999
        return moment.astimezone(UTC)

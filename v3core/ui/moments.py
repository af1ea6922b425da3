"""Formatting times: the time of day in the user's time zone, ages, and durations."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import humanize
import streamlit as st

from v3core.ui import ticks

_UNITS_SECONDS = (86_400, 3_600, 60, 1)


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, in the largest unit that fits: `12 seconds`, `an hour`, `2 days`."""
    if moment is None:
        return "–"
    seconds = max(0.0, ((now or datetime.now(UTC)) - moment).total_seconds())
    if now is None:
        ticks.draw_again_in(max(1.0, next((unit for unit in _UNITS_SECONDS if seconds >= unit), 1) / 3))
    return humanize.naturaldelta(seconds)


def clock(moment: datetime, now: datetime | None = None) -> str:
    """The time of day in the browser's time zone, as in `14:03:22`; with the day if that is not today."""
    local, today = here(moment), here(now or datetime.now(UTC)).date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local.day} {local:%b %H:%M:%S}"


def latency(asked: datetime, done: datetime) -> str:
    """How long an answer took: tenths of a second, as in `0.4 seconds`, then the largest unit that fits."""
    seconds = max(0.0, (done - asked).total_seconds())
    return f"{seconds:.1f} seconds" if seconds < 10 else age(asked, done)


def here(moment: datetime) -> datetime:
    """The same moment in the browser's time zone, or in UTC if that is unknown."""
    try:
        return moment.astimezone(ZoneInfo(st.context.timezone or "UTC"))
    except (ZoneInfoNotFoundError, ValueError, OverflowError):  # of the year 1 or 9999
        return moment.astimezone(UTC)

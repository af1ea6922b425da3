"""Every open page shows a toast when a run completes, fails or is lost."""

import streamlit as st

from v3core.errors import V3Error
from v3core.jobs.lifecycle import NOTIFIED, Status
from v3core.store.database import Database
from v3core.store.run_ends import EndRow, newest_event, read_ends
from v3core.ui import news, ticks
from v3core.ui.notices import notify, show_pending_notices
from v3core.ui.status import counted
from v3core.ui.text import md, plain

MOST_AT_ONCE = 3
_CURSOR = "ends-told-until"
_REASON_CHARACTERS = 200
_ICONS = {
    Status.COMPLETED: ":material/check_circle:",
    Status.FAILED: ":material/error:",
    Status.LOST: ":material/link_off:",
}


def notify_of_ends(database: Database) -> None:
    """Show a toast for each run that has ended since the last check, except those from before this session.

    It draws nothing else and writes only its cursor, so that a tick does not disturb the rest of the page.
    """
    ticks.ticking(2, news.of_ends(database))(_notify_new)(database)


def _notify_new(database: Database) -> None:
    try:
        if _CURSOR not in st.session_state:
            st.session_state[_CURSOR] = newest_event(database)
        ends = read_ends(database, st.session_state[_CURSOR], NOTIFIED)
    except V3Error:
        return  # the page itself shows the error; the next tick tries again
    if not ends:
        return
    st.session_state[_CURSOR] = ends[-1].event
    for end in ends[:MOST_AT_ONCE]:
        seconds = 5 if end.status == Status.COMPLETED else 15
        notify(plain(end_sentence(end)), icon=_ICONS[Status(end.status)], seconds=seconds)
    if len(ends) > MOST_AT_ONCE:
        notify(md("And {} more; see Runs for all of them.", len(ends) - MOST_AT_ONCE), icon=":material/more_horiz:")
    show_pending_notices()


def end_sentence(end: EndRow) -> str:
    """How a run ended, in one sentence that names it."""
    after = counted(end.episode, "episode")
    if end.status == Status.COMPLETED:
        return f"{end.name} completed after {after}."
    how = "has failed" if end.status == Status.FAILED else "was lost"
    reason = end.reason or "See its log."
    short = reason if len(reason) <= _REASON_CHARACTERS else f"{reason[:_REASON_CHARACTERS].rstrip()} …"
    return f"{end.name} {how} after {after}: {short}"

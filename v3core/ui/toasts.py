"""Whichever page is open tells when a run has completed, failed or was lost."""

import streamlit as st

from v3core.errors import V3Error
from v3core.jobs.lifecycle import TOLD, Status
from v3core.store.database import Database
from v3core.store.run_ends import EndRow, newest_event, read_ends
from v3core.ui import news, ticks
from v3core.ui.notices import notify, show_waiting
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


def tell_of_ends(database: Database) -> None:
    """A toast for each run that has ended since the last look; those from before this session are not news.

    It draws nothing and writes only its cursor, so that a tick disturbs no other part of the page.
    """
    ticks.ticking(2, news.of_ends(database))(_tell)(database)


def _tell(database: Database) -> None:
    try:
        if _CURSOR not in st.session_state:
            st.session_state[_CURSOR] = newest_event(database)
        ends = read_ends(database, st.session_state[_CURSOR], TOLD)
    except V3Error:
        return  # the page itself says what is wrong; the next tick tries again
    if not ends:
        return
    st.session_state[_CURSOR] = ends[-1].event
    for end in ends[:MOST_AT_ONCE]:
        seconds = 5 if end.status == Status.COMPLETED else 15
        notify(plain(end_sentence(end)), icon=_ICONS[Status(end.status)], seconds=seconds)
    if len(ends) > MOST_AT_ONCE:
        notify(md("And {} more; see Runs for all of them.", len(ends) - MOST_AT_ONCE), icon=":material/more_horiz:")
    show_waiting()


def end_sentence(end: EndRow) -> str:
    """How a run ended, in one sentence with its name."""
    after = counted(end.episode, "episode")
    if end.status == Status.COMPLETED:
        return f"{end.name} completed after {after}."
    how = "has failed" if end.status == Status.FAILED else "was lost"
    reason = end.reason or "See its log."
    short = reason if len(reason) <= _REASON_CHARACTERS else f"{reason[:_REASON_CHARACTERS].rstrip()} …"
    return f"{end.name} {how} after {after}: {short}"

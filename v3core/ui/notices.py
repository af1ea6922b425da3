"""Short notices, shown as toasts, among them of runs that have ended. No other module calls `st.toast`.

Streamlit draws toasts and dialogs in one container outside the page, in the order of the script. A toast from a
callback, or from a fragment that reruns, would take the first position there: it replaces an open dialog, and the
dialog's next element breaks the page ("'setIn' cannot be called on an ElementNode"). And a toast is lost if the next
script run fills its position before the browser has shown it. So every page first reserves positions for notices, and a
notice that was shown a moment ago is sent to the same position again, which the browser recognises as the same toast.
"""

import time
from dataclasses import dataclass

import streamlit as st
from streamlit.cursor import RunningCursor, get_container_cursor
from streamlit.delta_generator_singletons import get_dg_singleton_instance
from streamlit.proto.RootContainer_pb2 import RootContainer

from v3core.errors import V3Error
from v3core.jobs.lifecycle import NOTIFIED, Status
from v3core.messages import _, say
from v3core.recall import recalled
from v3core.store.database import Database
from v3core.store.history import EndRow, newest_event, read_ends
from v3core.ui import news, ticks
from v3core.ui.status import counted
from v3core.ui.text import Markdown, md, plain

LONG_SECONDS = 10
"""How long an error notice stays."""
PLACES = 8
"""Maximum number of notices at once; another one replaces the oldest."""
AGAIN_SECONDS = 4
"""A page that is drawn within this time after a notice sends it again; at most the shortest duration of a notice."""
MAX_ENDS = 3
"""Ends of runs at once that have a notice each."""
_WAITING = "notices-waiting"
_SHOWN = "notices-shown"
_CURSOR = "ends-shown-until"
_REASON_CHARACTERS = 200
_ICONS = {
    Status.COMPLETED: ":material/check_circle:",
    Status.FAILED: ":material/error:",
    Status.LOST: ":material/link_off:",
}


@dataclass
class _Notice:
    text: Markdown
    icon: str
    seconds: int
    shown_at: float = float("-inf")

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.shown_at < AGAIN_SECONDS


_NEVER = _Notice(md(""), icon="", seconds=0)
"""Of a position that has not had a notice."""


def notify(text: Markdown, *, icon: str, seconds: int = LONG_SECONDS) -> None:
    """Show a notice at the end of the current fragment or page, or after the current callback."""
    st.session_state.setdefault(_WAITING, []).append(_Notice(text, icon, seconds))


def prepare_notices() -> None:
    """Call at the top of every page: reserves positions for notices, and resends those the browser may have missed."""
    shown: list[_Notice] = st.session_state.setdefault(_SHOWN, [_NEVER] * PLACES)
    for _place in range(PLACES):
        get_dg_singleton_instance().event_dg.empty()
    for place, notice in enumerate(shown):
        if notice.is_fresh:
            _show(place, notice)
    show_pending_notices()


def show_pending_notices() -> None:
    """Show the notices added since."""
    waiting, shown = st.session_state.get(_WAITING), st.session_state.get(_SHOWN)
    while waiting and shown:
        place = min(range(PLACES), key=lambda place: shown[place].shown_at)
        shown[place] = notice = waiting.pop(0)
        notice.shown_at = time.monotonic()
        _show(place, notice)


def _show(place: int, notice: _Notice) -> None:
    # A fragment must not write to elements outside itself, but it may write to this container.
    cursor = get_container_cursor(RootContainer.EVENT)
    if not isinstance(cursor, RunningCursor):
        return  # no page is being drawn
    cursor._index, before = place, cursor._index
    try:
        st.toast(md("{}", notice.text), icon=notice.icon, duration=notice.seconds)
    finally:
        cursor._index = before


def notify_of_ends(database: Database) -> None:
    """Show a notice for each run that has ended since the last check, except those from before this session.

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
    for end in ends[:MAX_ENDS]:
        seconds = 5 if end.status == Status.COMPLETED else 15
        notify(plain(end_sentence(end)), icon=_ICONS[Status(end.status)], seconds=seconds)
    if len(ends) > MAX_ENDS:
        notify(md("And {} more; see Runs for all of them.", len(ends) - MAX_ENDS), icon=":material/more_horiz:")
    show_pending_notices()


def end_sentence(end: EndRow) -> str:
    """How a run ended, in one sentence that names it."""
    after = counted(end.episode, "episode")
    if end.status == Status.COMPLETED:
        return _("{name} completed after {after}.", name=end.name, after=after)
    reason = recalled(end.reason) if end.reason else say("See its log.")
    short = reason if len(reason) <= _REASON_CHARACTERS else f"{reason[:_REASON_CHARACTERS].rstrip()} …"
    if end.status == Status.FAILED:
        return _("{name} has failed after {after}: {reason}", name=end.name, after=after, reason=short)
    return _("{name} was lost after {after}: {reason}", name=end.name, after=after, reason=short)

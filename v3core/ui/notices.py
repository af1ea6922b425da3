"""Short notices at the edge of the window, as toasts. Nothing else calls `st.toast`.

Streamlit draws toasts and dialogs in one place outside of the page, in the order of the script. A toast of a callback,
or of a part that draws itself again, would take the first place there: it replaces a dialog that is open, and what the
dialog draws next breaks the page ("'setIn' cannot be called on an ElementNode"). And a toast whose place the next run
of the script fills otherwise is lost if the browser had no time to show it. So every page begins with places of their
own for notices, and one that was shown a moment ago is shown there again: the browser takes it for the same one.
"""

import time
from dataclasses import dataclass

import streamlit as st
from streamlit.cursor import RunningCursor, get_container_cursor
from streamlit.delta_generator_singletons import get_dg_singleton_instance
from streamlit.proto.RootContainer_pb2 import RootContainer

from v3core.ui.text import Markdown, md

LONG_SECONDS = 10
"""How long a notice stays that says what did not work."""
PLACES = 8
"""How many notices are shown at once; one more takes the place of the oldest."""
AGAIN_SECONDS = 4
"""A page that is drawn so soon after a notice shows it again; not longer than the shortest stays."""
_WAITING = "notices-waiting"
_SHOWN = "notices-shown"


@dataclass
class _Notice:
    text: Markdown
    icon: str
    seconds: int
    shown_at: float = float("-inf")

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.shown_at < AGAIN_SECONDS


def notify(text: Markdown, *, icon: str, seconds: int = LONG_SECONDS) -> None:
    """Show a notice soon: at the end of the part of the page that is being drawn, or after the callback."""
    st.session_state.setdefault(_WAITING, []).append(_Notice(text, icon, seconds))


def begin_notices() -> None:
    """At the top of every page: keep places for notices, and show those again that the browser may have missed."""
    shown: list[_Notice | None] = st.session_state.setdefault(_SHOWN, [None] * PLACES)
    for _ in range(PLACES):
        get_dg_singleton_instance().event_dg.empty()
    for place, notice in enumerate(shown):
        if notice is not None and notice.is_fresh:
            _show(place, notice)
    show_waiting()


def show_waiting() -> None:
    """Show what was said since."""
    waiting, shown = st.session_state.get(_WAITING), st.session_state.get(_SHOWN)
    while waiting and shown:
        place = min(range(PLACES), key=lambda place: shown[place].shown_at if shown[place] else float("-inf"))
        shown[place] = notice = waiting[0]
        notice.shown_at = time.monotonic()
        del waiting[0]
        _show(place, notice)


def _show(place: int, notice: _Notice) -> None:
    # A part that draws itself again may not write to an element outside of it; to the container, where it is, it may.
    cursor = get_container_cursor(RootContainer.EVENT)
    if not isinstance(cursor, RunningCursor):
        return  # no page is being drawn
    cursor._index, before = place, cursor._index
    try:
        st.toast(md("{}", notice.text), icon=notice.icon, duration=notice.seconds)
    finally:
        cursor._index = before

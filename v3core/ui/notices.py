"""Short notices at the edge of the window, as toasts. Nothing else calls `st.toast`.

Streamlit draws toasts and dialogs in one place outside of the page. A toast of a part that draws itself again, or of a
callback, takes the first place there: it replaces a dialog that is open, and what the dialog draws next breaks the
page ("'setIn' cannot be called on an ElementNode"). So toasts have a container of their own, which every page makes
before a dialog can open, and a callback only says what is to be shown by the script that follows it.
"""

from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator_singletons import get_dg_singleton_instance

from v3core.ui.text import Markdown, md

_PLACE, _WAITING = "notices-place", "notices-waiting"
LONG_SECONDS = 10
"""How long a notice stays that says what did not work."""


@dataclass(frozen=True)
class _Notice:
    text: Markdown
    icon: str
    seconds: int


def notify(text: Markdown, *, icon: str, seconds: int = LONG_SECONDS) -> None:
    """Show a notice soon: at the end of the part of the page that is being drawn, or after the callback."""
    st.session_state.setdefault(_WAITING, []).append(_Notice(text, icon, seconds))


def make_room() -> None:
    """Called once by every page, before anything that may open a dialog."""
    st.session_state[_PLACE] = get_dg_singleton_instance().event_dg.container()
    show_waiting()


def show_waiting() -> None:
    """Show what was said since."""
    place = st.session_state.get(_PLACE)
    while place is not None and st.session_state.get(_WAITING):
        notice = st.session_state[_WAITING].pop(0)
        place.toast(md("{}", notice.text), icon=notice.icon, duration=notice.seconds)

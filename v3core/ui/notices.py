"""Short notices at the edge of the window, as toasts. Nothing else calls `st.toast`.

Streamlit draws toasts and dialogs in one place outside of the page, in the order of the script. A toast of a callback,
or of a part that draws itself again, takes the first place there: it replaces a dialog that is open, and what the
dialog draws next breaks the page ("'setIn' cannot be called on an ElementNode"). So a callback only says what is to be
shown by the script that follows it, and the part of every page that reports ends has places that no dialog takes.
"""

from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator_singletons import get_dg_singleton_instance

from v3core.ui.text import Markdown, md

_WAITING = "notices-waiting"
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


def keep_places(count: int) -> None:
    """Keep so many toasts of the part that was just drawn apart from the dialogs that open after it."""
    for _ in range(count):
        get_dg_singleton_instance().event_dg.empty()


def show_waiting() -> None:
    """Show what was said since."""
    while st.session_state.get(_WAITING):
        notice = st.session_state[_WAITING].pop(0)
        st.toast(md("{}", notice.text), icon=notice.icon, duration=notice.seconds)

"""Actions behind clicks: run with a notice if they fail; some need a confirmation first.

A click that opens a dialog is noted before its script can be interrupted, by `st.rerun` or by another click, and holds
until the dialog has been drawn to its end. A button's own value is lost with the script that was interrupted.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, ParamSpec

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from v3core.curriculum import Curriculum
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.messages import _
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui import ticks
from v3core.ui.notices import notify
from v3core.ui.text import Markdown, md, plain

P = ParamSpec("P")

ACTOR = "page"
"""The actor of clicks in a run's history."""


_ASKED = "asked-for-dialog"
ASKED_SECONDS = 20.0
"""A dialog that could not be drawn for so long is not wanted any more: its button may be back for another reason."""


def ask(button: str) -> None:
    """For the callback of a button, by its key: a dialog is to open."""
    st.session_state[_ASKED] = (button, _page(), time.monotonic())


def is_asked(button: str) -> bool:
    """Whether the dialog of this button is to be opened now."""
    asked, page, at = st.session_state.get(_ASKED, ("", "", 0.0))
    return bool(asked == button and page == _page() and time.monotonic() - at < ASKED_SECONDS)


def asking(label: Markdown, *, key: str, **looks: Any) -> bool:
    """A button that opens a dialog; returns whether to open it now, in place of `st.button`."""
    st.button(label, key=key, on_click=ask, args=(key,), **looks)
    return is_asked(key)


def forget_dialogs_of_other_pages() -> None:
    """What was asked for on a page that was left does not open when it is opened again."""
    if st.session_state.get(_ASKED, ("", _page()))[1] != _page():
        del st.session_state[_ASKED]


def _page() -> str:
    context = get_script_run_ctx(suppress_warning=True)
    return "" if context is None else context.page_script_hash


def or_notice(action: Callable[P, object]) -> Callable[P, None]:
    """Wraps an action for a callback: if it fails, a notice shows why."""

    @functools.wraps(action)
    def carried_out(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            action(*args, **kwargs)
        except V3Error as error:
            notify(plain(error), icon=":material/warning:")

    return carried_out


def dialog(title: str, icon: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """A decorator: `st.dialog` whose function opens it, from a part of the page that rests while it is open."""

    def decorate(body: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(body)
        def opens(*args: P.args, **kwargs: P.kwargs) -> None:
            ticks.rest_for_dialog()
            try:
                # Only here: whoever opens it reads its title, in the language of that moment.
                st.dialog(plain(title), icon=icon, on_dismiss="rerun")(body)(*args, **kwargs)
            except Exception:
                st.session_state.pop(_ASKED, None)
                raise
            st.session_state.pop(_ASKED, None)  # not if Streamlit has interrupted it

        return opens

    return decorate


def confirm(label: str, icon: str, key: str, action: Callable[..., object], *args: Any) -> None:
    """The end of a dialog that asks whether to do something: the buttons to leave it, and to do it (`confirm-KEY`)."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(md("Cancel"), key=f"cancel-{key}"):
            st.rerun()
        # In a callback: a click that arrives with a tick of the page behind the dialog is carried out all the same.
        if st.button(
            plain(label), type="primary", icon=icon, key=f"confirm-{key}", on_click=or_notice(action), args=args
        ):
            st.rerun()


@dialog(_("Resume on this host?"), icon=":material/swap_horiz:")
def ask_to_take_over(database: Database, run: RunRow, curriculum: Curriculum | None = None) -> None:
    """Ask, then resume a run that was trained on another host, under another curriculum if one is given."""
    st.markdown(
        md(
            "**{}** was trained on host **{}**. Resume it on this host? Its checkpoints must be in this data folder, "
            "and it must not be resumed on the other host as well.",
            run.name,
            run.host or "",
        )
    )
    resume = functools.partial(control.resume, curriculum=curriculum, take_over=True)
    confirm(_("Resume here"), ":material/resume:", "take-over", resume, database, run.id, ACTOR)

"""What surrounds every page: calm while parts of it are drawn again, and a word when it cannot be drawn.

The browser's part is `page_frame.js`, which outlives Streamlit's tree, and `page_frame.css`.
"""

from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from v3core.errors import V3Error
from v3core.ui.text import md, plain

_FOLDER = Path(__file__).parent
_component = st.components.v2.component(
    "v3_page_frame",
    css=(_FOLDER / "page_frame.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "page_frame.js").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def page_frame() -> None:
    """For the sidebar of every page, where it takes no room."""
    attend_to_errors()
    _component(key="page-frame")


def attend_to_errors() -> None:
    """From now on, an error that nobody catches in this run of a script is shown as a sentence."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is not None:
        context.on_script_error = show_error


def show_error(error: Exception) -> bool:
    """Say that the page, or the part of it that is being drawn, could not be; Streamlit has written the log already.

    Returns:
        True: Streamlit shows no traceback.
    """
    if isinstance(error, V3Error):
        reason = plain(error)
    else:
        reason = md("{}. See the server's log for details.", f"{type(error).__name__}: {error}".removesuffix(": "))
    st.error(reason, title="This page could not be displayed", icon=":material/error:")
    _again()
    return True


def _again() -> None:
    # Not under a fixed key: several parts of one page may fail.
    failures = st.session_state.get("failures", 0) + 1
    st.session_state["failures"] = failures
    st.button("Reload", icon=":material/refresh:", key=f"reload-{failures}")

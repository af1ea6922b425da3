"""The frame of every page: no flicker while parts are redrawn, a message if the page fails, and keyboard shortcuts.

The browser side is `page_frame.js`, which survives changes of Streamlit's tree, `page_language.js`, `page_section.js`
and `page_frame.css`.
"""

from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from v3core.errors import V3Error
from v3core.messages import _, said
from v3core.ui import hidden_tabs, language, shortcuts
from v3core.ui.text import md, plain

_FOLDER = Path(__file__).parent
_KEY = "page-frame"
_SCRIPTS = ("page_frame", "page_language", "page_section")
_component = st.components.v2.component(
    "v3_page_frame",
    html='<span class="v3-languages"></span><button type="button" class="v3-shortcuts"></button>',
    css=(_FOLDER / "page_frame.css").read_text(encoding="utf-8"),
    js="\n".join((_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS),
    isolate_styles=False,
)


_WORDS = {
    "shortcuts": _("Keyboard shortcuts"),
    "close": _("Close"),
    "reload": _("Reload"),
    "not_displayed": _("This page could not be displayed. Runs are not affected: they train in separate processes."),
}


def page_frame() -> None:
    """Add the frame to the sidebar of a page, where only the button for the sheet of shortcuts is seen."""
    handle_errors()
    _component(
        key=_KEY,
        data=said(
            {
                "shortcuts": shortcuts.as_data(),
                "tab": hidden_tabs.as_data(),
                "language": language.as_data(),
                "words": _WORDS,
            }
        ),
        on_language_change=partial(language.switch, _KEY),
    )


def handle_errors() -> None:
    """Show uncaught errors of the current script run as a message instead of a traceback."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is not None:
        context.on_script_error = show_error


def show_error(error: Exception) -> bool:
    """Show an error of a page or a part, which is logged already; True, so that Streamlit shows no traceback."""
    if isinstance(error, V3Error):
        reason = plain(error)
    else:
        reason = md("{}. See the server's log for details.", f"{type(error).__name__}: {error}".removesuffix(": "))
    st.error(reason, title=md("This page could not be displayed"), icon=":material/error:")
    failures = st.session_state.get("failures", 0) + 1
    st.session_state["failures"] = failures  # part of the key, because several parts of one page may fail
    st.button(md("Reload"), icon=":material/refresh:", key=f"reload-{failures}")
    return True

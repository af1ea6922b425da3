"""The language of a page: `?lang=zh` in its address, which the session keeps for its other pages."""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from v3core import messages
from v3core.messages import known_language

PARAMETER = "lang"


def of_page() -> str | None:
    """The language of the script that runs in this thread; None where none does, or its reader chose none."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    wanted = known_language(st.query_params.get(PARAMETER))
    if wanted is not None:
        st.session_state[PARAMETER] = wanted
    return st.session_state.get(PARAMETER)


messages.ask_for_language(of_page)

"""Tabs that nobody looks at do not tick on the server: `page_frame.js` says when one is hidden or shown."""

import json
import secrets

import streamlit as st
from starlette.requests import Request
from starlette.responses import Response
from streamlit.runtime.scriptrunner import get_script_run_ctx

from v3core.ui import ticks
from v3core.ui.own_paths import path_of

NAME = "v3/tab"


def as_data() -> dict[str, str]:
    """What the browser needs for it: a name for this tab, and where to say it."""
    context = get_script_run_ctx(suppress_warning=True)
    tab: str = st.session_state.setdefault("tab", secrets.token_urlsafe(12))
    if context is not None:
        ticks.name_tab(context.session_id, tab)
    return {"name": tab, "address": address()}


def address() -> str:
    """Where the browser says it."""
    return path_of(NAME)


async def endpoint(request: Request) -> Response:
    """Takes `{"tab": name, "hidden": true or false}`; 400 for anything else."""
    try:
        said = json.loads(await request.body())
        ticks.note_hidden(str(said["tab"]), said["hidden"] is True)
    except (ValueError, TypeError, KeyError):
        return Response(status_code=400)
    return Response(status_code=204)

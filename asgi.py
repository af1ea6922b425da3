"""The dashboard as the server runs it: app.py and its pages, behind a check of the name that a browser asks for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from starlette.middleware import Middleware

from v3core.jobs.watchdog import ensure_watchdog
from v3core.ui.known_hosts import KnownHosts


@asynccontextmanager
async def looking_after_runs(_: st.App) -> AsyncIterator[None]:
    """From the server's start on, whether a page is open or not."""
    ensure_watchdog()
    yield


app = st.App("app.py", lifespan=looking_after_runs, middleware=[Middleware(KnownHosts)])

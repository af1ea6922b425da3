"""The dashboard as run by the server: app.py and its pages, behind a check of the host name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route, WebSocketRoute

from v3core.jobs import warm
from v3core.jobs.watchdog import ensure_watchdog
from v3core.ui import chart_rows, hidden_tabs, push, replay_frames, replay_steps
from v3core.ui.known_hosts import KnownHosts
from v3core.ui.no_delay import send_at_once
from v3core.ui.page_start import PageStart
from v3core.ui.plotly_js import SOURCE, address


@asynccontextmanager
async def looking_after_runs(_: st.App) -> AsyncIterator[None]:
    """From the server's start on, whether a page is open or not."""
    send_at_once()
    ensure_watchdog()
    warm.allow()
    yield


async def plotly_js(_: Request) -> FileResponse:
    """The charts' script, as the installed plotly has it."""
    return FileResponse(SOURCE, media_type="text/javascript")


app = st.App(
    "app.py",
    lifespan=looking_after_runs,
    middleware=[Middleware(KnownHosts), Middleware(PageStart)],
    routes=[
        Route(address(), plotly_js),
        WebSocketRoute(push.address(), push.endpoint),
        Route(chart_rows.address(), chart_rows.endpoint),
        Route(replay_frames.address(), replay_frames.endpoint),
        Route(replay_steps.address(), replay_steps.endpoint),
        Route(hidden_tabs.address(), hidden_tabs.endpoint, methods=["POST"]),
    ],
)

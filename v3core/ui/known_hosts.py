"""Answering to known host names only, and saying so to whoever asks for another.

Streamlit refuses only the websocket of an unknown name, and the browser shows an empty page for ever. Here the page
itself is refused, with a sentence that names the setting.
"""

import html
import logging
import re

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

HEALTH = "/_stcore/health"
"""What a watchdog asks for, often by address; it says nothing about runs."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>V3 Lab: unknown host name</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>body {{ font: 16px/1.5 sans-serif; max-width: 42em; margin: 4em auto; padding: 0 1em }}
pre {{ white-space: pre-wrap }}</style></head>
<body><h1>V3 Lab does not answer to this name</h1><p>{sentence}</p><pre>{command}</pre>
<p>It answers only to names that it knows, so that no other web page can reach it under a name of its own; see
docs/serving.md.</p></body></html>
"""

logger = logging.getLogger("streamlit.v3core")


class KnownHosts:
    """ASGI middleware: requests for a host outside `server.allowedHosts` are answered with a page that says so."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app
        self._told: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        host = Headers(scope=scope).get("host") if scope["type"] == "http" else None
        if scope["type"] != "http" or is_host_allowed(host) or scope["path"].endswith(HEALTH):
            await self._app(scope, receive, send)
            return
        name = re.sub(r":\d*$", "", host or "") or "(none)"
        self._tell(name)
        page = _PAGE.format(sentence=html.escape(_sentence(name)), command=html.escape(_command(name)))
        await HTMLResponse(page, status_code=403)(scope, receive, send)

    def _tell(self, name: str) -> None:
        """In the server's log, once for each name."""
        if name not in self._told and len(self._told) < 100:
            self._told.add(name)
            logger.warning("%s Start it with: %s", _sentence(name), _command(name))


def _sentence(name: str) -> str:
    return (
        f"V3 Lab was asked for under the host name {name!r}, which is not among those it answers to. If it is yours, "
        "add it to STREAMLIT_SERVER_ALLOWED_HOSTS (server.allowedHosts in .streamlit/config.toml) and start it again."
    )


def _command(name: str) -> str:
    return f"STREAMLIT_SERVER_ALLOWED_HOSTS='localhost 127.0.0.1 {name}' make run"

"""Accept known host names only, and explain this to browsers that use another.

Streamlit refuses only the websocket of an unknown name, or of a page that a proxy has fetched, and the browser shows an
empty page. Here the page itself is refused, with a message that names the setting.
"""

import html
import logging
import re
import textwrap
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import config, net_util
from streamlit.web.server.server_util import allowlisted_origins
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

from v3core.messages import _, said
from v3core.paths import SERVE
from v3core.serve import ADDRESS
from v3core.ui.language import of_request, tag

HEALTH = "/_stcore/health"
"""Requested by monitoring, often by address, and by Streamlit's page before it connects; it reveals nothing."""
MISDIRECTED = 421
"""Of this status Streamlit's page shows the answer, if it is JSON; of 403 a general guess about CORS."""
_COLUMNS = 50
"""As much as Streamlit's page shows of a line."""

_PAGE = """<!doctype html>
<html lang="{tag}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>body {{ font: 16px/1.5 sans-serif; max-width: 42em; margin: 4em auto; padding: 0 1em }}
pre {{ white-space: pre-wrap }}</style></head>
<body><h1>{heading}</h1><p>{sentence}</p><pre>{command}</pre>
<p>{why}</p></body></html>
"""
_WORDS = {
    "title": _("V3 Lab: unknown host name"),
    "heading": _("V3 Lab does not answer to this name"),
    "why": _(
        "It answers only to names that it knows, so that no other web page can reach it under a name of its own; see "
        "docs/serving.md."
    ),
}

logger = logging.getLogger("streamlit.v3core")


class KnownHosts:
    """ASGI middleware: requests for a host outside `server.allowedHosts` are answered with a page that says so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._logged: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host")
        if scope["path"].endswith(HEALTH):
            origin = _origin(headers.get("referer"))
            if origin is None or origin.netloc == host or _is_allowed(origin):
                await self._app(scope, receive, send)
                return
            sentence = _(
                "This page was opened at {netloc}, but the proxy forwards the host name {host} to V3 Lab, which "
                "therefore rejects the connection. Configure the proxy to forward the original Host header (nginx: "
                "proxy_set_header Host $http_host; Apache: ProxyPreserveHost On); see docs/serving.md.",
                netloc=origin.netloc,
                host=host or "",
            )
            self._log(origin.netloc, sentence)
            lines = "\n".join(textwrap.wrap(sentence.in_language(of_request(headers)), _COLUMNS))
            await JSONResponse(lines, status_code=MISDIRECTED)(scope, receive, send)
            return
        if is_host_allowed(host):
            await self._app(scope, receive, send)
            return
        name = re.sub(r":\d*$", "", host or "") or _("(none)")
        sentence = _(
            "V3 Lab was requested under the host name {name!r}, which is not allowed. If it belongs to you, add it to "
            "STREAMLIT_SERVER_ALLOWED_HOSTS (server.allowedHosts in .streamlit/config.toml) and restart V3 Lab.",
            name=name,
        )
        command = f"STREAMLIT_SERVER_ALLOWED_HOSTS='localhost 127.0.0.1 {name}' {SERVE}"
        self._log(name, f"{sentence} Start it with: {command}")
        language = of_request(headers)
        words = said({**_WORDS, "sentence": sentence, "command": command}, language)
        page = _PAGE.format(tag=tag(language), **{name: html.escape(text) for name, text in words.items()})
        await HTMLResponse(page, status_code=403)(scope, receive, send)

    def _log(self, name: str, sentence: str) -> None:
        """In the server's log, once for each name."""
        if name not in self._logged and len(self._logged) < 100:
            self._logged.add(name)
            logger.warning("%s", sentence)


def may_connect(headers: Headers) -> bool:
    """Whether a WebSocket may be opened: for a known host, and by a page of it or of an origin that Streamlit trusts.

    A browser lets the pages of others open one, so that host names alone protect nothing.
    """
    host, origin = headers.get("host"), headers.get("origin")
    if not is_host_allowed(host):
        return False
    if origin is None:  # not a browser
        return True
    parts = _origin(origin)
    return parts is not None and (parts.netloc == host or _is_allowed(parts))


def _origin(referer: str | None) -> SplitResult | None:
    """The origin of a request, from its referer; None if unknown."""
    try:
        parts = urlsplit(referer or "")
    except ValueError:
        return None
    return SplitResult(parts.scheme, parts.netloc, "", "", "") if parts.netloc else None


def _is_allowed(origin: SplitResult) -> bool:
    """Whether Streamlit lets a page of that origin connect. Its own check would ask the internet for an address."""
    names = {"localhost", "0.0.0.0", ADDRESS, config.get_option("server.address"), net_util.get_internal_ip()}
    names.update(urlsplit(allowed).hostname for allowed in allowlisted_origins())
    return not config.get_option("server.enableCORS") or origin.hostname in names

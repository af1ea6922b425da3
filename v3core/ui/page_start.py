"""A page appears sooner: the browser is sent at once what it would otherwise find out about step by step.

By itself, Streamlit's page asks two addresses for the server before it connects, and loads a module when the first
element needs it. Here the document of a page names the server, the modules that pages use at once, and plotly if the
page has charts; Streamlit's files are compressed once and kept. Streamlit answers everything else. docs/benchmarks.md
has what this saves.
"""

import gzip
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import streamlit
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from v3core.paths import shipped
from v3core.ui.own_paths import path_of
from v3core.ui.plotly_js import SOURCE, address, versioned_address

FILES = Path(streamlit.__file__).parent / "static"
HOST_CONFIG = "_stcore/host-config"
CHART_PAGES = frozenset({"live", "compare", "replay"})
PAGES = frozenset({"", *(file.stem for file in shipped("pages").glob("*.py"))})
"""Addresses of pages, under the base of the dashboard's: Streamlit names them after their files."""
USED_AT_ONCE = ("PageLink", "BidiComponent", "Selectbox", "Button", "ButtonGroup", "NumberInput")
"""Elements of Streamlit that are in sight on every page or on Live, by the names of their modules."""

_TYPES = {".js": "text/javascript", ".css": "text/css", ".woff2": "font/woff2"}
_KEEP = "public, immutable, max-age=31536000"
"""As Streamlit says of its files, whose names change with their content."""
_SMALL = 1000
_IMPORTED = re.compile(r'(?:from|import)"\./([\w.-]+\.js)"')


class PageStart:
    """ASGI middleware in front of Streamlit's server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._base = path_of("")
        self._kept: dict[str, Response] = {}
        self._host_config: dict[str, object] = {}
        """Empty until it was asked for with success."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        await (answer or self._app)(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response | None:
        """None for what Streamlit answers."""
        path = scope["path"]
        if not path.startswith(self._base):
            return None
        name, headers = path.removeprefix(self._base), Headers(scope=scope)
        if name in PAGES:
            if not self._host_config:
                self._host_config = await self._asked(scope)
            page = await run_in_threadpool(document, name, self._host_config)
            return HTMLResponse(page, headers={"Cache-Control": "no-cache"}) if page else None
        if "gzip" not in headers.get("accept-encoding", "") or "range" in headers:
            return None
        if path not in self._kept:
            file = SOURCE if path == address() else static_file(name)
            if file is None:
                return None
            self._kept[path] = await run_in_threadpool(_compressed, file)
        return self._kept[path]

    async def _asked(self, scope: Scope) -> dict[str, object]:
        """What Streamlit's server says of itself; empty if it does not."""
        body, path = bytearray(), f"{self._base}{HOST_CONFIG}"

        async def heard(message: Message) -> None:
            body.extend(message.get("body", b""))

        async def nothing() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        question = {**scope, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": []}
        await self._app(question, nothing, heard)
        try:
            found = json.loads(bytes(body))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def static_file(name: str) -> Path | None:
    """One of Streamlit's own files with a hash in its name, such as `static/js/index.DormvYxC.js`; None for others."""
    if not re.fullmatch(r"static/(js|css|media)/[\w-]+(\.[\w-]+)+", name) or Path(name).suffix not in _TYPES:
        return None
    file = FILES / name
    return file if file.is_file() else None


def document(page: str, host_config: Mapping[str, object]) -> str | None:
    """Streamlit's document with what a page needs; None if it is not the one that this was written for.

    Args:
        page: its address under the base, such as `live`.
        host_config: what Streamlit's server says of itself; without it, the page finds the server as it always does.
    """
    text = (FILES / "index.html").read_text(encoding="utf-8")
    if text.count("</head>") != 1:
        return None
    tags = [f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in modules(text)]
    if host_config:
        said = json.dumps(host_config).replace("<", "\\u003c")
        # Under whatever path a proxy serves it: pages lie side by side.
        server = f'{{BACKEND_BASE_URL: new URL(".", location).href, HOST_CONFIG: {said}}}'
        tags.append(f"<script>window.__streamlit = {server}</script>")
    text = text.replace("</head>", "\n".join(tags) + "</head>")
    if page in CHART_PAGES:
        # Before all others, so that it runs while the browser waits for them. Removed if it cannot be loaded, so that
        # the first chart tries again and says so; marked once it ran, for its events come once (`loadPlotly`).
        events = 'onload="this.dataset.loaded=1" onerror="this.remove()"'
        script = f'<script async fetchpriority="high" src="{versioned_address()}" {events}></script>'
        text = text.replace("<head>", f"<head>{script}")
    return text


def modules(text: str) -> list[str]:
    """The modules of `USED_AT_ONCE` and those that they import, except for those that a document names already."""
    found: dict[str, None] = {}
    waiting = [file for name in USED_AT_ONCE for file in sorted(FILES.glob(f"static/js/{name}.*.js"))]
    while waiting:
        file = waiting.pop(0)
        if file.name in found or file.name in text or not file.is_file():
            continue
        found[file.name] = None
        waiting += [file.with_name(name) for name in _imports(file)]
    return list(found)


def _imports(file: Path) -> Iterable[str]:
    return _IMPORTED.findall(file.read_text(encoding="utf-8"))


def _compressed(file: Path) -> Response:
    content = file.read_bytes()
    headers = {"Cache-Control": _KEEP, "Vary": "Accept-Encoding"}
    if len(content) > _SMALL and file.suffix != ".woff2":
        content = gzip.compress(content, 6)
        headers["Content-Encoding"] = "gzip"
    return Response(content, media_type=_TYPES[file.suffix], headers=headers)

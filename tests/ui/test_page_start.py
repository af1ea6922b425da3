"""What a page's document has the browser load at once, and Streamlit's files from memory."""

import asyncio
import gzip
import re
from pathlib import Path
from typing import Any

import plotly
import pytest
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import Receive, Scope, Send

from v3core.ui.page_start import CHART_PAGES, FILES, USED_AT_ONCE, PageStart, document, modules, static_file
from v3core.ui.plotly_js import SOURCE, address, version, versioned_address

SAID = {"allowedOrigins": ["https://example.org"], "useExternalAuthToken": False, "text": "</script>"}
INDEX = FILES / "index.html"


async def streamlit(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands for the server behind: it says of itself what Streamlit's says, and which requests reach it."""
    found = scope["path"].endswith("/_stcore/host-config")
    await (JSONResponse(SAID) if found else PlainTextResponse(f"behind: {scope['path']}"))(scope, receive, send)


def asked(app: PageStart, path: str, method: str = "GET", **headers: str) -> tuple[dict[str, str], bytes]:
    """The headers and the body of the answer."""
    start: dict[str, Any] = {}
    body = bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        start.update(message) if message["type"] == "http.response.start" else body.extend(message["body"])

    sent = {"accept-encoding": "gzip, br"} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"run=1",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    asyncio.run(app(scope, receive, send))
    return {name.decode(): value.decode() for name, value in start["headers"]}, bytes(body)


def test_a_page_names_its_server_what_it_needs_and_plotly_first():
    app = PageStart(streamlit)
    for page in sorted(CHART_PAGES):
        headers, body = asked(app, f"/{page}")
        text = body.decode()
        assert headers["content-type"].startswith("text/html")
        assert headers["cache-control"] == "no-cache"
        assert f'src="{versioned_address()}"' in re.findall("<script.*?>", text)[0], "it runs while the rest is loaded"
        assert '"allowedOrigins": ["https://example.org"]' in text
        assert r"\u003c/script>" in text
        for name in USED_AT_ONCE:
            assert re.search(rf'modulepreload" crossorigin href="./static/js/{name}\.', text), name
    _, runs = asked(app, "/")
    assert b"HOST_CONFIG" in runs
    assert b"plotly" not in runs, "the list of runs has no chart"


def test_a_server_that_does_not_answer_yet_is_asked_again():
    ready: list[bool] = []

    async def starting(scope: Scope, receive: Receive, send: Send) -> None:
        await (streamlit if ready else PlainTextResponse("starting", 503))(scope, receive, send)

    app = PageStart(starting)
    assert b"HOST_CONFIG" not in asked(app, "/live")[1]
    ready.append(True)
    assert b"HOST_CONFIG" in asked(app, "/live")[1]


def test_every_module_is_a_file_and_named_once():
    text = INDEX.read_text(encoding="utf-8")
    found = modules(text)
    assert len(found) == len(set(found)) > len(USED_AT_ONCE)
    for name in found:
        assert (FILES / "static" / "js" / name).is_file()
        assert name not in text


def test_files_of_streamlit_are_sent_as_they_are_but_compressed():
    app = PageStart(streamlit)
    for file in sorted((FILES / "static" / "js").glob("index.*.js")) + sorted((FILES / "static" / "css").glob("*.css")):
        path = f"/{file.relative_to(FILES)}"
        for _ in range(2):
            headers, body = asked(app, path)
            assert gzip.decompress(body) == file.read_bytes()
            assert "immutable" in headers["cache-control"]
            assert headers["vary"] == "Accept-Encoding"
    headers, body = asked(app, address())
    assert gzip.decompress(body) == SOURCE.read_bytes()
    assert headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path",
    [
        "/live/",
        "/other",
        "/_stcore/health",
        "/static/js/none.ABC.js",
        "/static/js/../../index.html",
        "/static/../../../server.py",
        "/static/js/%2e%2e/a.js",
        "//static/js/a.js",
        "/media/a.js",
    ],
)
def test_everything_else_is_left_to_streamlit(path):
    assert asked(PageStart(streamlit), path)[1] == f"behind: {path}".encode()


def test_so_are_browsers_that_take_no_gzip_parts_of_files_and_other_methods():
    app, path = PageStart(streamlit), f"/static/js/{next((FILES / 'static' / 'js').glob('index.*.js')).name}"
    behind = f"behind: {path}".encode()
    assert asked(app, path, accept_encoding="br")[1] == behind
    assert asked(app, path, range="bytes=0-10")[1] == behind
    assert asked(app, path, method="HEAD")[1] == behind
    assert asked(app, "/live", method="POST")[1] == b"behind: /live"


def test_a_server_that_says_nothing_of_itself_is_found_as_before():
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("no")(scope, receive, send)

    _, body = asked(PageStart(silent), "/live")
    assert b"HOST_CONFIG" not in body
    assert b"modulepreload" in body


def test_another_document_than_streamlits_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "index.html").write_text("<html>another</html>")
    monkeypatch.setattr("v3core.ui.page_start.FILES", tmp_path)
    assert document("live", SAID) is None
    assert asked(PageStart(streamlit), "/live")[1] == b"behind: /live"


def test_only_files_with_a_hash_are_kept():
    assert static_file("static/js/index.html") is None
    assert static_file("index.html") is None
    assert static_file("static/js/a/b.c.js") is None


def test_the_bundle_is_of_the_version_that_the_installed_plotly_brings():
    whole = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    of_package = re.search(r"plotly\.js v(\S+)", whole.read_text(encoding="utf-8")[:200])
    assert of_package is not None
    assert version() == of_package[1], "npm pack plotly.js-cartesian-dist-min@VERSION, and replace the file"

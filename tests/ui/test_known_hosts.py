"""Who comes under an unknown name reads why, in the language of the browser."""

import asyncio
from typing import Any

import pytest

from v3core.ui.known_hosts import HEALTH, KnownHosts


def answer(path: str, **headers: str) -> str:
    """The body that a request gets, which must not reach the app."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(KnownHosts(None)({"type": "http", "path": path, "headers": raw}, None, send))  # type: ignore[arg-type]
    return b"".join(message.get("body", b"") for message in sent).decode()


@pytest.mark.parametrize(
    ("language", "said", "tag"),
    [
        ("en-GB,en;q=0.9", "V3 Lab was requested under the host name &#x27;x.example&#x27;, which is not", "en"),
        ("fr", "V3 Lab does not answer to this name", "en"),
        ("zh-CN,zh;q=0.9", "有人以主机名 &#x27;x.example&#x27; 请求 V3 Lab", "zh-CN"),
    ],
)
def test_a_browser_under_an_unknown_name(language: str, said: str, tag: str) -> None:
    page = answer("/", host="x.example:1", accept_language=language)
    assert said in page
    assert f'<html lang="{tag}">' in page
    assert ("其他网页" in page) == (tag == "zh-CN")
    assert ("any other web page" not in page and "no other web page" not in page) == (tag == "zh-CN")


def test_a_page_of_a_proxy_that_keeps_the_host() -> None:
    given = {"host": "127.0.0.1:1", "referer": "http://x.example/"}
    assert "This page was opened at x.example, but" in answer(HEALTH, **given, accept_language="en").replace("\\n", " ")
    assert "此页面是在" in answer(HEALTH, **given, accept_language="zh")

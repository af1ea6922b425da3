"""Posting to the address of V3_WEBHOOK_URL. What is in the address besides scheme and host is a secret: never shown."""

import base64
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from v3core.errors import V3Error

VARIABLE = "V3_WEBHOOK_URL"
TIMEOUT_SECONDS = 5.0
PAUSES_SECONDS = (1.0, 2.0)
"""Between the first try and the second, and so on: three tries."""
_TRY_AGAIN = frozenset({408, 429})
"""Of the answers below 500, those that may be others the next time."""


@dataclass(frozen=True)
class Webhook:
    """Where to post."""

    url: str = field(repr=False)
    """Without credentials."""
    shown: str
    """Scheme and host, for people."""
    authorization: str | None = field(default=None, repr=False)


class NotToldError(V3Error):
    """The address did not take it."""


def webhook() -> Webhook | None:
    """What V3_WEBHOOK_URL names; None if it is not set.

    Raises:
        V3Error: if it is not an address that can be posted to. The address is not shown.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise V3Error(f"{VARIABLE} is not an address; write https://HOST/PATH.") from None
    if parts.scheme not in {"http", "https"}:
        what = f"a '{parts.scheme}' address" if "://" in text else "no scheme"
        raise V3Error(f"{VARIABLE} has {what}; write https://HOST/PATH, or http.")
    if not host:
        raise V3Error(f"{VARIABLE} names no host; write {parts.scheme}://HOST/PATH.")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise V3Error(f"{VARIABLE} has blanks or letters that an address cannot have; write them as %20 and the like.")
    place = f"[{host}]" if ":" in host else host
    place += f":{port}" if port is not None else ""
    authorization = None
    if parts.username is not None:  # urllib would take them for a part of the host
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
    url = urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))
    return Webhook(url, f"{parts.scheme}://{place}", authorization)


def post(target: Webhook, content: Mapping[str, Any], pauses: Sequence[float] = PAUSES_SECONDS) -> str:
    """Post JSON; returns the answer, e.g. `200 OK`. Tries again after each pause, unless that is of no use.

    Raises:
        NotToldError: one sentence without the address's secrets, if no try had an answer of success.
    """
    body = json.dumps(content, allow_nan=False).encode()
    # Some servers refuse urllib's own name.
    headers = {"Content-Type": "application/json", "User-Agent": "V3-Lab"}
    if target.authorization:
        headers["Authorization"] = target.authorization
    request = urllib.request.Request(target.url, data=body, headers=headers, method="POST")
    tries = 0
    while True:
        tries += 1
        try:
            with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return _words(answer.status, answer.reason)
        except urllib.error.HTTPError as error:
            problem, again = f"it answered {_words(error.code, error.reason)}", error.code >= 500
            again = again or error.code in _TRY_AGAIN
            error.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem, again = _problem(error), True
        if not again or tries > len(pauses):
            after = f" ({tries} tries)" if tries > 1 else ""
            raise NotToldError(f"{target.shown} could not be told: {problem}{after}; check {VARIABLE}.")
        time.sleep(pauses[tries - 1])


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its content, and perhaps without encryption."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """The redirect becomes an error with its code."""


_OPENER = urllib.request.build_opener(_NoRedirects)


def _words(code: int, reason: object) -> str:
    text = "".join(letter for letter in str(reason or "") if letter.isprintable())[:60].strip()
    return f"{code} {text}".strip()


def _problem(error: Exception) -> str:
    """What went wrong, never in the error's own words where they may quote the address."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS:g} seconds"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return f"{type(cause).__name__}" if isinstance(cause, Exception) else "no connection"

"""Posting to the address in V3_WEBHOOK_URL. Only scheme and host are ever shown: the rest of it is a secret."""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from v3core.errors import V3Error

VARIABLE = "V3_WEBHOOK_URL"
TIMEOUT_SECONDS = 5.0
TRIES = 3
PAUSE_SECONDS = 1.0
"""Doubled before each further try; the first follows at once, unless the server says when (`Retry-After`)."""
MAX_PAUSE_SECONDS = 10
"""All tries must fit into the minute after which another process takes over."""
_TRY_AGAIN = frozenset({408, 429, *(code for code in HTTPStatus if code >= 500)})


@dataclass(frozen=True)
class Webhook:
    """Where to post."""

    url: str = field(repr=False)
    """Without credentials."""
    shown: str
    """Scheme and host, for people."""
    auth: tuple[bytes, bytes] | None = field(default=None, repr=False)
    """User and password."""


class WebhookError(V3Error):
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
        raise V3Error(
            f"{VARIABLE} contains characters that are not valid in an address; escape them, such as a space as %20."
        )
    place = f"[{host}]" if ":" in host else host
    place += f":{port}" if port is not None else ""
    auth = None
    if parts.username is not None:
        auth = unquote(parts.username).encode(), unquote(parts.password or "").encode()
    return Webhook(urlunsplit((parts.scheme, place, parts.path, parts.query, "")), f"{parts.scheme}://{place}", auth)


def post(target: Webhook, content: Mapping[str, Any]) -> str:
    """Post JSON; returns the response, e.g. `200 OK`. Retries if that may help.

    Redirects are not followed: a redirected POST would arrive as a GET without its content.

    Raises:
        WebhookError: one sentence without the address's secrets, if no try had an answer of success.
    """
    import requests  # only here: each monitor of a worker would import it at its start
    from urllib3.exceptions import HTTPError
    from urllib3.util import Retry

    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings would name the whole address
    retry = Retry(
        total=TRIES - 1,
        status_forcelist=_TRY_AGAIN,
        allowed_methods=None,
        backoff_factor=PAUSE_SECONDS,
        backoff_max=MAX_PAUSE_SECONDS,
        retry_after_max=MAX_PAUSE_SECONDS,
        raise_on_status=False,
    )
    with requests.Session() as session:
        session.mount(f"{target.url.partition(':')[0]}://", requests.adapters.HTTPAdapter(max_retries=retry))
        try:
            answer = session.post(
                target.url,
                data=json.dumps(content, allow_nan=False),
                headers={"Content-Type": "application/json", "User-Agent": "V3-Lab"},
                auth=requests.auth.HTTPBasicAuth(*target.auth) if target.auth else None,
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except (requests.RequestException, HTTPError) as error:
            problem, tries = _problem(error), TRIES
        else:
            words = f"{answer.status_code} {''.join(filter(str.isprintable, answer.reason or ''))[:60]}".strip()
            if 200 <= answer.status_code < 300:
                return words
            problem, tries = f"it answered {words}", 1 + (len(answer.raw.retries.history) if answer.raw.retries else 0)
    after = f" ({tries} tries)" if tries > 1 else ""
    raise WebhookError(f"{target.shown} could not be notified: {problem}{after}; check {VARIABLE}.")


def _problem(error: Exception) -> str:
    """What went wrong, never in the error's own words if they may quote the address."""
    from urllib3.exceptions import TimeoutError as NoAnswerError

    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    causes = (reason, reason.__cause__, *reason.args) if isinstance(reason, Exception) else ()
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    if isinstance(reason, NoAnswerError):
        return f"no answer within {TIMEOUT_SECONDS:g} seconds"
    return type(reason).__name__

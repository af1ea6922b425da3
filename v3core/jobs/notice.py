"""Notifying V3_WEBHOOK_URL of runs that have ended, at least once each.

Only the address's scheme and host are ever shown: the rest of it is a secret.
"""

import json
import logging
import math
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from v3core.errors import V3Error
from v3core.jobs.lifecycle import NOTIFIED, Status
from v3core.messages import _
from v3core.store.alarms import AlarmRow, alarm_notices_due, claim_alarm_notice, settle_alarm_notice
from v3core.store.database import Database
from v3core.store.history import CALLED, FAILED, claim_notice, notices_due, settle_notice
from v3core.store.pace import recent_returns
from v3core.store.run_row import RunRow
from v3core.store.runs import find_run

VARIABLE = "V3_WEBHOOK_URL"
TIMEOUT_SECONDS = 5.0
TRIES = 3
PAUSE_SECONDS = 1.0
"""Doubled before each further try; the first follows at once, unless the server says when (`Retry-After`)."""
MAX_PAUSE_SECONDS = 10
"""All tries must fit into the minute after which another process takes over."""
_TRY_AGAIN = frozenset({408, 429, *(code for code in HTTPStatus if code >= 500)})
TEXT_CHARACTERS = 1900
"""Discord takes no longer messages than 2,000."""


@dataclass(frozen=True)
class Webhook:
    """Where to post."""

    url: str = field(repr=False)
    """Without credentials."""
    shown: str
    """Scheme and host, for people."""
    auth: tuple[bytes, bytes] | None = field(default=None, repr=False)
    """User and password."""


def webhook() -> Webhook | None:
    """What V3_WEBHOOK_URL names, None if it is not set; a V3Error says why it is not an address to post to."""
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise V3Error("{variable} is not an address; write https://HOST/PATH.", variable=VARIABLE) from None
    if parts.scheme not in {"http", "https"}:
        what = _("a '{scheme}' address", scheme=parts.scheme) if "://" in text else _("no scheme")
        raise V3Error("{variable} has {what}; write https://HOST/PATH, or http.", variable=VARIABLE, what=what)
    if not host:
        raise V3Error("{variable} names no host; write {scheme}://HOST/PATH.", variable=VARIABLE, scheme=parts.scheme)
    if not text.isascii() or not text.isprintable() or " " in text:
        raise V3Error(
            "{variable} contains characters that are not valid in an address; escape them, such as a space as %20.",
            variable=VARIABLE,
        )
    place = f"[{host}]" if ":" in host else host
    place += f":{port}" if port is not None else ""
    auth = None
    if parts.username is not None:
        auth = unquote(parts.username).encode(), unquote(parts.password or "").encode()
    return Webhook(urlunsplit((parts.scheme, place, parts.path, parts.query, "")), f"{parts.scheme}://{place}", auth)


def post(target: Webhook, content: Mapping[str, Any]) -> str:
    """Post JSON; returns the response, e.g. `200 OK`. Retries if that may help.

    Redirects are not followed: a redirected POST would arrive as a GET without its content. If no try is answered
    with success, a V3Error says why, without the address's secrets.
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
            problem, tries = (
                _("it answered {words}", words=words),
                1 + (len(answer.raw.retries.history) if answer.raw.retries else 0),
            )
    raise V3Error(
        _("{shown} could not be notified: {problem} ({tries} tries); check {variable}.")
        if tries > 1
        else _("{shown} could not be notified: {problem}; check {variable}."),
        shown=target.shown,
        problem=problem,
        tries=tries,
        variable=VARIABLE,
    )


def _problem(error: Exception) -> str:
    """What went wrong, never in the error's own words if they may quote the address."""
    from urllib3.exceptions import TimeoutError as NoAnswerError

    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    causes = (reason, reason.__cause__, *reason.args) if isinstance(reason, Exception) else ()
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    if isinstance(reason, NoAnswerError):
        return _("no answer within {seconds:g} seconds", seconds=TIMEOUT_SECONDS)
    return type(reason).__name__


def call_webhooks(database: Database) -> int:
    """Notify V3_WEBHOOK_URL of each alarm and each end of a run that is due; returns how many were posted.

    Two cheap queries if none is. Safe in many processes at once: each is claimed by one. If that one dies over it,
    another does so a minute
    later, perhaps for the second time. May take some 20 seconds per run: not for a page. The outcome of each, also a
    failure of the network, is in its history.
    """
    try:
        target, mistake = webhook(), None
    except V3Error as error:
        target, mistake = None, error.message
    if target is None and mistake is None:
        return 0
    with database.read() as tx:
        due = notices_due(tx, NOTIFIED, now=datetime.now(UTC))
        alarms = alarm_notices_due(tx, now=datetime.now(UTC))
    posted = sum(_send_alarm(database, run_id, number, target, mistake) for run_id, number in alarms)
    return posted + sum(_send(database, run_id, target, mistake) for run_id in due)


class WebhookCaller:
    """Calls the webhook for runs that are due, on a thread: a slow server must not block the caller."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        """`complain` is called with a sentence if the database cannot be used."""
        self._complain = complain
        self._thread: threading.Thread | None = None

    def call(self, database: Database) -> None:
        """Start calling, unless calls are in progress; returns at once."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self.call_now, args=(database,), daemon=True)
            self._thread.start()

    def call_now(self, database: Database) -> None:
        try:
            call_webhooks(database)
        except V3Error as error:
            self._complain(_("The webhook could not be processed: {error}", error=error))

    def wait(self) -> None:
        """Wait until the calls in progress have ended."""
        if self._thread is not None:
            self._thread.join()


def notice(run: RunRow, mean_count: int) -> dict[str, Any]:
    """What is posted of a run; `text` is for Slack, `content` for Discord.

    `mean_count` is the number of episodes that its mean return is of.
    """
    sentence = _sentence(run, mean_count)
    about = ("name", "status", "reason", "env", "curriculum", "phase", "seed", "episode", "episodes")
    columns = (*about, "experiment", "host")
    return {
        "run": run.id,
        **{name: getattr(run, name) for name in (*columns, *_of_steps(run))},
        "mean_return": _mean_return(run),
        "mean_return_episodes": mean_count,
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
        "text": sentence,
        "content": sentence,
    }


def _of_steps(run: RunRow) -> tuple[str, ...]:
    """The columns of a length in environment steps, where a run has one."""
    return () if run.steps is None else ("step", "steps")


def alarm_notice(run: RunRow, alarm: AlarmRow) -> dict[str, Any]:
    """What is posted of an alarm; `text` is for Slack, `content` for Discord."""
    sentence = _shortened(f"Run '{run.name}', episode {alarm.first_episode}: {alarm.sentence}.")
    columns = ("name", "status", "env", "curriculum", "seed", "episode", "episodes", "experiment", "host")
    return {
        "run": run.id,
        **{name: getattr(run, name) for name in (*columns, *_of_steps(run))},
        "alarm": alarm.to_dict(),
        "text": sentence,
        "content": sentence,
    }


def _send_alarm(database: Database, run_id: str, number: int, target: Webhook | None, mistake: str | None) -> bool:
    message = _calling(target)
    with database.write() as tx:
        alarm = claim_alarm_notice(tx, run_id, number, message=message, now=datetime.now(UTC))
        run = find_run(tx, run_id) if alarm else None
    if run is None or alarm is None:
        return False
    is_called, outcome = _posted(target, mistake, alarm_notice(run, alarm))
    with database.write() as tx:
        settle_alarm_notice(tx, run_id, number, called=is_called, message=outcome, now=datetime.now(UTC))
    return is_called


def _calling(target: Webhook | None) -> str:
    return _("Calling {shown}.", shown=target.shown) if target else _("Checking {variable}.", variable=VARIABLE)


def _posted(target: Webhook | None, mistake: str | None, content: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether it was posted, and a sentence about that."""
    if target is None:
        return False, mistake or ""
    try:
        return True, _("{shown} was notified: {answer}.", shown=target.shown, answer=post(target, content))
    except V3Error as error:
        return False, error.message


def _send(database: Database, run_id: str, target: Webhook | None, mistake: str | None) -> bool:
    message = _calling(target)
    with database.write() as tx:
        run = claim_notice(tx, run_id, NOTIFIED, message=message, now=datetime.now(UTC))
        mean_count = recent_returns(tx, run_id, run.mean_window).count if run else 0
    if run is None:
        return False
    is_called, outcome = _posted(target, mistake, notice(run, mean_count))
    with database.write() as tx:
        settle_notice(tx, run_id, state=CALLED if is_called else FAILED, message=outcome, now=datetime.now(UTC))
    return is_called


def _sentence(run: RunRow, mean_count: int) -> str:
    mean = _mean_return(run)
    how = {Status.COMPLETED: "completed", Status.FAILED: "failed", Status.LOST: "was lost"}[Status(run.status)]
    window = "the last episode" if mean_count == 1 else f"the last {mean_count:,} episodes"
    returned = "" if mean is None else f", mean return {mean:.2f} over {window} of phase '{run.phase}'"
    reason = f": {run.reason}" if run.reason else "."
    text = f"Run '{run.name}' {how} after {run.progress_words} of {run.env}{returned}{reason}"
    return _shortened(text)


def _shortened(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS else f"{text[: TEXT_CHARACTERS - 1]}…"


def _mean_return(run: RunRow) -> float | None:
    return run.mean_return if run.mean_return is not None and math.isfinite(run.mean_return) else None

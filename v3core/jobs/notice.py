"""Notifying V3_WEBHOOK_URL of runs that have ended, at least once each."""

import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from v3core.errors import V3Error
from v3core.jobs.lifecycle import NOTIFIED, Status
from v3core.jobs.webhook import Webhook, WebhookError, post, webhook
from v3core.store.database import Database
from v3core.store.run_ends import (
    CALLED,
    FAILED,
    claim_notice,
    notices_due,
    settle_notice,
)
from v3core.store.run_row import RunRow

TEXT_CHARACTERS = 1900
"""Discord takes no longer messages than 2,000."""


def call_webhooks(database: Database) -> int:
    """Notify V3_WEBHOOK_URL of each run whose end is due. One cheap query if there is none.

    Safe in many processes at once: each run is claimed by one. If that one dies over it, another does so a minute
    later, perhaps for the second time. May take some 20 seconds per run: not for a page.

    Returns:
        How many were posted. What came of each is in its history; the network's failures are not raised.

    Raises:
        V3Error: if the database will not do.
    """
    try:
        target, mistake = webhook(), None
    except V3Error as error:
        target, mistake = None, str(error)
    if target is None and mistake is None:
        return 0
    with database.read() as tx:
        due = notices_due(tx, NOTIFIED, now=datetime.now(UTC))
    return sum(_send(database, run_id, target, mistake) for run_id in due)


class WebhookCaller:
    """Calls the webhook for runs that are due, on a thread: a slow server must not block the caller."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        """`complain` is given a sentence where the database will not do."""
        self._complain = complain
        self._thread: threading.Thread | None = None

    def call(self, database: Database) -> None:
        """Start calling, unless calls are in progress; returns at once."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self.call_now, args=(database,), daemon=True)
            self._thread.start()

    def call_now(self, database: Database) -> None:
        """Call on this thread."""
        try:
            call_webhooks(database)
        except V3Error as error:
            self._complain(f"The webhook could not be processed: {error}")

    def wait(self) -> None:
        """Wait until the calls in progress have ended."""
        if self._thread is not None:
            self._thread.join()


def notice(run: RunRow) -> dict[str, Any]:
    """What is posted of a run; `text` is for Slack, `content` for Discord."""
    sentence = _sentence(run)
    return {
        "run": run.id,
        "name": run.name,
        "status": run.status,
        "reason": run.reason,
        "env": run.env,
        "curriculum": run.curriculum,
        "seed": run.seed,
        "episode": run.episode,
        "episodes": run.episodes,
        "mean_return": _mean_return(run),
        "experiment": run.experiment,
        "host": run.host,
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
        "text": sentence,
        "content": sentence,
    }


def _send(database: Database, run_id: str, target: Webhook | None, mistake: str | None) -> bool:
    message = f"Calling {target.shown}." if target else "Checking V3_WEBHOOK_URL."
    with database.write() as tx:
        run = claim_notice(tx, run_id, NOTIFIED, message=message, now=datetime.now(UTC))
    if run is None:
        return False
    state, outcome = FAILED, mistake or ""
    if target:
        try:
            state, outcome = CALLED, f"{target.shown} was notified: {post(target, notice(run))}."
        except WebhookError as error:
            outcome = str(error)
    with database.write() as tx:
        settle_notice(tx, run_id, state=state, message=outcome, now=datetime.now(UTC))
    return state == CALLED


def _sentence(run: RunRow) -> str:
    mean = _mean_return(run)
    how = {Status.COMPLETED: "completed", Status.FAILED: "failed", Status.LOST: "was lost"}[Status(run.status)]
    returned = "" if mean is None else f", mean return {mean:.2f}"
    reason = f": {run.reason}" if run.reason else "."
    text = f"Run '{run.name}' {how} after {run.episode} of {run.episodes} episodes of {run.env}{returned}{reason}"
    return text if len(text) <= TEXT_CHARACTERS else f"{text[: TEXT_CHARACTERS - 1]}…"


def _mean_return(run: RunRow) -> float | None:
    return run.mean_return if run.mean_return is not None and math.isfinite(run.mean_return) else None

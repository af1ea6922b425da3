"""The statuses of a run and the table of transitions between them, the only place where they are defined."""

import os
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from v3core.insight.alarms.rules import RULES, STALLED
from v3core.messages import Message, _
from v3core.phrases import capitalised
from v3core.store.alarms import ACTIVE as OPEN
from v3core.store.alarms import AlarmRow, clear_stalled, put_alarm
from v3core.store.commands import STOP, apply_commands, reject_open
from v3core.store.history import add_event
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run, update_run
from v3core.store.schema import ACTIVE as ACTIVE
from v3core.store.schema import Status as Status
from v3core.store.schema import Transaction

STATUS_WORDS: Mapping[Status, Message] = {
    Status.QUEUED: _("queued"),
    Status.STARTING: _("starting"),
    Status.RUNNING: _("running"),
    Status.PAUSED: _("paused"),
    Status.STALLED: _("stalled"),
    Status.STOPPING: _("stopping"),
    Status.STOPPED: _("stopped"),
    Status.COMPLETED: _("completed"),
    Status.FAILED: _("failed"),
    Status.LOST: _("lost"),
    Status.UNREADABLE: _("unreadable"),
}
"""As people read them; code, rows and machine-readable output have `Status`."""


def status_word(status: str) -> Message:
    """How a status is called within a sentence."""
    return STATUS_WORDS[Status(status)]


def status_title(status: str) -> str:
    """How a status is called by itself: `Running`."""
    return capitalised(STATUS_WORDS[Status(status)])


_CUT_SHORT = frozenset({Status.STOPPING, Status.FAILED, Status.LOST})
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.STARTING, Status.STOPPED}),
    # Back to the queue if the launcher died before there was a process.
    Status.STARTING: _CUT_SHORT | {Status.QUEUED, Status.RUNNING},
    Status.RUNNING: _CUT_SHORT | {Status.PAUSED, Status.STALLED, Status.COMPLETED},
    Status.PAUSED: _CUT_SHORT | {Status.RUNNING, Status.STALLED},
    Status.STALLED: _CUT_SHORT | {Status.RUNNING, Status.PAUSED},
    Status.STOPPING: frozenset({Status.STOPPED, Status.COMPLETED, Status.FAILED, Status.LOST}),
    Status.STOPPED: frozenset({Status.QUEUED}),
    Status.COMPLETED: frozenset({Status.QUEUED}),  # only with a new length: see `control.resume`
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.LOST: frozenset({Status.QUEUED}),
    Status.UNREADABLE: frozenset(),
}

ENDED = frozenset({Status.STOPPED, Status.COMPLETED, Status.FAILED, Status.LOST, Status.UNREADABLE})
RESUMABLE = frozenset(status for status in ENDED - {Status.COMPLETED} if Status.QUEUED in TRANSITIONS[status])
"""Statuses from which training can be resumed unchanged; a completed run only if it is extended."""
NOTIFIED = frozenset({Status.COMPLETED, Status.FAILED, Status.LOST})
"""Ends without a request: pages and the webhook report them."""


def change_status(
    tx: Transaction,
    run: RunRow,
    to: Status,
    message: str,
    *,
    actor: str,
    now: datetime,
    reason: str | None = None,
    only_from: Collection[Status] = tuple(Status),
    pids: Collection[int] | None = None,
    heard_before: datetime | None = None,
    values: Mapping[str, Any] | None = None,
) -> bool:
    """Move a run to another status, if the table allows it from where the run is now; returns whether it moved.

    The check and the change are one conditional UPDATE, so of several processes that try, one succeeds. The event is
    written in the same transaction. A run that ends settles its open commands.

    Args:
        tx: a writing transaction.
        run: moves only if it is still in this generation.
        to: the status to move to.
        message: one sentence for the run's history.
        actor: who does it: `user`, `worker`, `launcher` or `supervisor`.
        now: the time.
        reason: why it ended, one sentence; shown with the run.
        only_from: only from these statuses.
        pids: only if the run's process is one of these, or none yet.
        heard_before: only if the heartbeat promised for this time has not come.
        values: further columns to set.
    """
    sources = [status for status in only_from if to in TRANSITIONS[status]]
    changes: dict[str, Any] = {"status": to, "reason": reason, **(values or {})}
    if to in ENDED:
        changes |= {"ended_at": now, "steps_per_second": None, "episodes_per_second": None}
    if to in NOTIFIED and os.environ.get("V3_WEBHOOK_URL"):
        changes["webhook"] = "due"
    conditions: dict[str, Any] = {"generation": run.generation, "pids": pids, "due_before": heard_before}
    if not update_run(tx, run.id, changes, only_in=sources, **conditions):
        return False
    add_event(tx, run.id, actor=actor, kind=to, message=message, now=now)
    if to is Status.STALLED:
        _raise_stalled(tx, run.id, actor, now)
    else:
        clear_stalled(tx, run.id, now)
    if to in ENDED:
        apply_commands(tx, run.id, kind=STOP, episode=get_run(tx, run.id).episode, now=now)
        reject_open(
            tx,
            run.id,
            reason=_("The run was {status} before the command was carried out.", status=STATUS_WORDS[to]),
            now=now,
        )
    return True


def _raise_stalled(tx: Transaction, run_id: str, actor: str, now: datetime) -> None:
    """The alarm of a worker that lives without heartbeats: the worker cannot raise it itself."""
    run = get_run(tx, run_id)
    seconds = (now - run.heartbeat_at).total_seconds() if run.heartbeat_at else 0.0
    alarm = AlarmRow(
        number=0,
        rule=STALLED,
        phase=run.phase or "",
        first_episode=run.episode,
        last_episode=run.episode,
        value=seconds,
        threshold=RULES[STALLED].threshold,
        state=OPEN,
        detail=_("The worker has sent no heartbeat for {seconds:.0f} s, but its process exists", seconds=seconds),
    )
    put_alarm(tx, run_id, alarm, actor=actor, now=now, notify=bool(os.environ.get("V3_WEBHOOK_URL")))

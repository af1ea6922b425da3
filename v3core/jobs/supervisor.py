"""Reconciling the statuses in the store with the actual processes."""

import signal
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from v3core.jobs import identity
from v3core.jobs.housekeeping import remove_abandoned
from v3core.jobs.launcher import StartCommand, drain, worker_command
from v3core.jobs.launchers.chosen import chosen
from v3core.jobs.lifecycle import ACTIVE, Status, change_status
from v3core.jobs.restarts import restart_lost
from v3core.messages import _
from v3core.store.commands import CommandRow, note_step, open_stop, redate_stop
from v3core.store.database import Database
from v3core.store.history import add_event
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run, redate_heartbeat, runs_to_look_after
from v3core.store.schema import HIDDEN, Transaction

COMMAND_GRACE_SECONDS = 10.0
"""A worker that has not seen a stop this long after it was asked for is sent SIGTERM: an environment may hang."""
SEEN_GRACE_SECONDS = 30.0
"""One that has seen it is sent SIGTERM this long after that: it only ends a step or a minibatch, and writes a file.

One that is still starting, which takes long on a busy machine, has as long from the beginning."""
SIGNAL_GRACE_SECONDS = 10.0
"""This long after that, SIGKILL is sent, also to all that it started."""
MONITOR_SECONDS = 4.0
"""How long after the last heartbeat a death is left to the run's own monitor, which knows its cause."""
CLOCK_SECONDS = 5.0
"""A time of this machine that is this far in the future was written before the clock jumped back."""
KILL_SECONDS = 2.0
"""How long to wait for a killed process to be gone."""

SIGTERM, SIGKILL = signal.SIGTERM.name, signal.SIGKILL.name

NO_LAST_CHECKPOINT = _("The worker process ended before it could write a final checkpoint.")
NEVER_BEGAN = _("The worker process ended before training started; see the log.")
DIED = _("The worker process exited unexpectedly: it was killed, or ran out of memory.")
RESTARTED = _("The machine was restarted during training.")


def reconcile(database: Database, now: datetime | None = None, command: StartCommand = worker_command) -> list[str]:
    """Find runs whose process is gone or silent, hurry stops that take too long, and start what is queued.

    Also removes what imports and deletions that died halfway have left. A process on a node of a cluster looks after
    the runs of that node. Cheap: one query when no run is queued or active. Safe in many processes at once. Returns the
    ids of the runs whose status this call changed.
    """
    now = now or datetime.now(UTC)
    with database.read() as tx:
        unfinished = runs_to_look_after(tx, ACTIVE | {Status.QUEUED, HIDDEN}, identity.this_node())
    if any(run.status == HIDDEN for run in unfinished):
        remove_abandoned(database)
    changed = [run.id for run in unfinished if run.status in ACTIVE and _settle(database, run, now)]
    if changed or any(run.status == Status.LOST for run in unfinished):
        changed += restart_lost(database)
    if changed or any(run.status == Status.QUEUED for run in unfinished):
        changed += drain(database, command)
    return changed


def describe_stop(tx: Transaction, run_id: str, otherwise: str | None) -> str | None:
    """Why a run that was asked to stop has ended: which signal it took, or `otherwise` if none was sent."""
    asked = open_stop(tx, run_id)
    if asked is None or asked.value is None:
        return otherwise
    _asked, grace = _patience(asked, get_run(tx, run_id))
    if asked.value == SIGKILL:
        waited = grace + SIGNAL_GRACE_SECONDS
        return _(
            "The run did not stop within {waited:g} seconds, nor after SIGTERM, and was killed (SIGKILL).",
            waited=waited,
        )
    return _("The run did not stop within {grace:g} seconds and was terminated (SIGTERM).", grace=grace)


def _patience(asked: CommandRow, run: RunRow) -> tuple[datetime, float]:
    """From when on, and for how many seconds, a worker may take its time over a stop."""
    if asked.acknowledged_at is not None:
        return asked.acknowledged_at, SEEN_GRACE_SECONDS
    starts = run.started_at is None or run.started_at < run.queued_at  # it imports, and has not looked yet
    return asked.requested_at, SEEN_GRACE_SECONDS if starts else COMMAND_GRACE_SECONDS


def _settle(database: Database, run: RunRow, now: datetime) -> bool:
    """Correct the status of a run that has a process, or should have; returns whether it changed."""
    launcher = chosen()
    alive = launcher.is_alive(run)
    if alive is not None and run.heartbeat_at is not None and _is_ahead(run.heartbeat_at, now):
        with database.write() as tx:
            redate_heartbeat(tx, run, now)
        return False  # the next check uses its new due time
    late = timedelta(0) if run.heartbeat_due_at is None else now - run.heartbeat_due_at
    if alive is None:
        where = _("node {node_address} of the cluster", node_address=run.node_address) if run.node else run.host
        gone = late > timedelta(seconds=launcher.silence_seconds(run))
        return gone and _end(
            database, run, now, _("The heartbeat of the worker on {where} has been overdue for too long.", where=where)
        )
    if run.pid is None and run.status in {Status.STARTING, Status.STOPPING}:
        # Claimed, but not started: the launcher is at it, unless it died in between.
        gone = late > timedelta(0) or run.boot_id != identity.this_boot()
        if run.status == Status.STOPPING:
            return gone and _end(database, run, now, NEVER_BEGAN)
        return gone and _requeue(database, run, now)
    if not alive:
        if run.heartbeat_at is not None and now - run.heartbeat_at < timedelta(seconds=MONITOR_SECONDS):
            return False  # its own monitor knows the cause of its death; it writes it in a moment
        if run.node:
            return _end(
                database,
                run,
                now,
                _("Node {node_address} of the cluster ended the worker, or went down.", node_address=run.node_address),
            )
        if run.boot_id != identity.this_boot():
            return _end(database, run, now, RESTARTED)
        return _end(database, run, now, NEVER_BEGAN if run.status == Status.STARTING else DIED)
    if run.status == Status.STOPPING:
        return _hurry(database, run, now)
    if run.status in {Status.RUNNING, Status.PAUSED} and late > timedelta(0):
        return _mark_stalled(database, run, now)
    return False


def _is_ahead(moment: datetime, now: datetime) -> bool:
    """Whether the clock of this machine has jumped back since: else it would be that long before anything is late."""
    return moment - now > timedelta(seconds=CLOCK_SECONDS)


def _requeue(database: Database, run: RunRow, now: datetime) -> bool:
    message = _("The launcher died before it started the worker process; the run is queued again.")
    conditions: dict[str, Any] = {"only_from": {Status.STARTING}, "pids": []}
    with database.write() as tx:
        return change_status(
            tx, run, Status.QUEUED, message, actor="supervisor", now=now, values=identity.NOWHERE, **conditions
        )


def _mark_stalled(database: Database, run: RunRow, now: datetime) -> bool:
    silent = (now - (run.heartbeat_at or now)).total_seconds()
    message = _("No heartbeat for {silent:.0f} seconds; the process is alive and is left alone.", silent=silent)
    unchanged = {Status(run.status)}
    with database.write() as tx:
        return change_status(
            tx, run, Status.STALLED, message, actor="supervisor", now=now, only_from=unchanged, heard_before=now
        )


def _hurry(database: Database, run: RunRow, now: datetime) -> bool:
    """Signal a worker that takes too long to stop; returns whether its run has ended by that.

    Of several processes that look after the run, one sends each signal: the one that noted it.
    """
    with database.read() as tx:
        asked = open_stop(tx, run.id)
    if asked is None:
        return False
    since, grace = _patience(asked, run)
    if _is_ahead(since, now):
        with database.write() as tx:
            redate_stop(tx, run.id, now)
        return False
    waited = (now - since).total_seconds()
    launcher = chosen()
    if waited > grace and asked.value is None:
        message = _("Still running {grace:g} seconds after the stop: sent SIGTERM.", grace=grace)
        if _note_step(database, run, SIGTERM, None, message, now):
            launcher.send_signal(run, signal.SIGTERM)
    if waited <= grace + SIGNAL_GRACE_SECONDS:
        return False
    message = _(
        "Still running {signal_grace_seconds:g} seconds after SIGTERM: sent SIGKILL.",
        signal_grace_seconds=SIGNAL_GRACE_SECONDS,
    )
    _note_step(database, run, SIGKILL, SIGTERM, message, now)
    # Not only by the process that noted it, which may have died right after.
    launcher.send_signal(run, signal.SIGKILL, whole_group=True)
    deadline = time.monotonic() + KILL_SECONDS
    while launcher.is_alive(run) is not False:
        if time.monotonic() > deadline:
            return False  # it hangs in the kernel, or nobody knows; the next check tries again
        time.sleep(0.01)
    return _end(database, run, now, NO_LAST_CHECKPOINT)


def _note_step(database: Database, run: RunRow, step: str, before: str | None, message: str, now: datetime) -> bool:
    with database.write() as tx:
        noted = note_step(tx, run.id, step, instead_of=before)
        if noted:
            add_event(tx, run.id, actor="supervisor", kind=step.lower(), message=message, now=now)
    return noted


def _end(database: Database, run: RunRow, now: datetime, reason: str) -> bool:
    """A run without a process: stopped if that was asked for, else lost."""
    with database.write() as tx:
        return end_without_process(tx, run, Status.LOST, reason, actor="supervisor", now=now)


def end_without_process(
    tx: Transaction, run: RunRow, otherwise: Status, reason: str, *, actor: str, now: datetime
) -> bool:
    """End a run whose process was found to be gone by `actor`; returns whether it had not ended yet.

    It is `otherwise` for a reason of one sentence; a run that was asked to stop is stopped.
    """
    ended = otherwise
    if run.status == Status.STOPPING:
        ended = Status.STOPPED
        reason = describe_stop(tx, run.id, reason if run.boot_id != identity.this_boot() else NO_LAST_CHECKPOINT) or ""
    unchanged = {Status(run.status)}
    return change_status(tx, run, ended, reason, actor=actor, now=now, reason=reason, only_from=unchanged)

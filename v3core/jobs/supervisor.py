"""Bringing what the store says in line with the processes that are really there."""

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from v3core.jobs import identity
from v3core.jobs.identity import ProcessIdentity
from v3core.jobs.launcher import Command, drain, worker_command
from v3core.jobs.lifecycle import ACTIVE, Status, change_status
from v3core.store.commands import stop_requested_at
from v3core.store.database import Database
from v3core.store.runs import RunRow, runs_in

GRACE_SECONDS = 15.0
"""A worker that does not stop within so long is killed."""
OTHER_HOST_SECONDS = 60.0
"""A run of another machine is lost when its promised heartbeat is so late: its process cannot be looked at."""
KILL_SECONDS = 2.0
"""How long to wait for a killed process to be gone."""


def reconcile(db: Database, now: datetime | None = None, command: Command = worker_command) -> list[str]:
    """Find runs whose process is gone, end stops that take too long, and start what is queued.

    Cheap: one query when no run is queued or active. Safe in many processes at once.

    Args:
        db: an open store.
        now: the time; default the clock's.
        command: from run id to the command line of its worker.

    Returns:
        Ids of the runs that ended or were started by this call.

    Raises:
        V3Error: if the database or V3_MAX_WORKERS will not do.
    """
    now = now or datetime.now(UTC)
    with db.read() as tx:
        unfinished = runs_in(tx, ACTIVE | {Status.QUEUED})
    changed = [run.id for run in unfinished if run.status in ACTIVE and _settle(db, run, now)]
    if any(run.status == Status.QUEUED for run in unfinished):
        changed += drain(db, command)
    return changed


def process_of(run: RunRow) -> ProcessIdentity:
    """The process that a run says it belongs to."""
    return ProcessIdentity(run.host or "", run.boot_id or "", run.pid, run.pid_started)


def _settle(db: Database, run: RunRow, now: datetime) -> bool:
    """End the run if its process is gone, or will not stop; returns whether it ended."""
    alive = identity.is_alive(process_of(run))
    late = timedelta(0) if run.heartbeat_due_at is None else now - run.heartbeat_due_at
    if alive is None:
        gone = late > timedelta(seconds=OTHER_HOST_SECONDS)
        return gone and _end(db, run, now, f"Nothing was heard from its worker on {run.host} for too long.")
    if run.pid is None and run.boot_id == identity.this_boot():
        # Claimed, but not started: the launcher is at it, unless it died in between.
        return late > timedelta(0) and _end(db, run, now, "Its launcher died before it started the worker process.")
    if not alive:
        if run.status == Status.STOPPING:
            return _end(db, run, now, "Its worker process ended before it could write a last checkpoint.")
        if run.boot_id != identity.this_boot():
            return _end(db, run, now, "The machine was restarted while it trained.")
        if run.status == Status.STARTING:
            return _end(db, run, now, "Its worker process ended before it began to train; its log may say why.")
        return _end(db, run, now, "Its worker process died without a word: it was killed, or ran out of memory.")
    if run.status == Status.STOPPING and _is_overdue(db, run, now):
        return _kill(db, run, now)
    return False


def _is_overdue(db: Database, run: RunRow, now: datetime) -> bool:
    with db.read() as tx:
        asked = stop_requested_at(tx, run.id)
    return asked is not None and now - asked > timedelta(seconds=GRACE_SECONDS)


def _kill(db: Database, run: RunRow, now: datetime) -> bool:
    process = process_of(run)
    identity.send_signal(process, signal.SIGKILL, whole_group=True)
    if not _wait(lambda: not identity.is_alive(process), KILL_SECONDS):
        return False  # it hangs in the kernel; the next look tries again
    return _end(db, run, now, f"The worker did not stop within {GRACE_SECONDS:g} seconds and was killed.")


def _end(db: Database, run: RunRow, now: datetime, reason: str) -> bool:
    """A run without a process: stopped if that was asked for, else lost."""
    ended = Status.STOPPED if run.status == Status.STOPPING else Status.LOST
    with db.write() as tx:
        return change_status(
            tx,
            run.id,
            ended,
            actor="supervisor",
            message=reason,
            now=now,
            reason=reason,
            only_from={Status(run.status)},
            generation=run.generation,
        )


def _wait(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True

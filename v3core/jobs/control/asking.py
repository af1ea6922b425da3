"""Requests to a run: commands for its worker, priorities, tags and notes."""

import time
from datetime import UTC, datetime
from functools import partial

from v3core.errors import V3Error
from v3core.jobs.control.kinds import COMMANDS, check
from v3core.jobs.identity import is_here
from v3core.jobs.launcher import check_priority
from v3core.jobs.lifecycle import ACTIVE, ENDED, Status, change_status
from v3core.jobs.supervisor import reconcile
from v3core.store import commands
from v3core.store.database import Database
from v3core.store.history import add_event
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run, runs_of_experiment, update_run
from v3core.store.schema import Transaction

WAIT_POLL_SECONDS = 0.1
MOST_NOTES = 10_000
MOST_TAGS = 500


def ask(database: Database, run_id: str, actor: str = "user", *, kind: str) -> None:
    """Ask a command of `COMMANDS` that a worker answers and with which nothing is given. Asking twice does it once."""
    with database.write() as tx:
        run = get_run(tx, run_id, for_update=True)
        waiting = {row.kind for row in commands.read_commands(tx, run.id, only_open=True)}
        check(kind, run, waiting)
        if kind not in waiting and run.status != COMMANDS[kind].done:
            commands.add_command(tx, run.id, kind, actor=actor, now=datetime.now(UTC))


pause = partial(ask, kind=commands.PAUSE)
unpause = partial(ask, kind=commands.CONTINUE)
checkpoint = partial(ask, kind=commands.CHECKPOINT)


def stop(database: Database, run_id: str, actor: str = "user") -> Status:
    """Ask a run to end after its present rollout, with a checkpoint; returns at once. Asking twice does it once.

    A worker that does not stop is signalled, and in the end killed: see `v3core.jobs.supervisor`.

    Returns:
        STOPPED for a run that was still queued, else STOPPING.
    """
    with database.write() as tx:
        return _stop(tx, get_run(tx, run_id, for_update=True), actor, datetime.now(UTC))


def stop_experiment(database: Database, experiment: str, actor: str = "user") -> int:
    """Ask all runs of a group to end, those that wait and those that train, at one stroke; returns how many.

    Raises:
        V3Error: if there is no such group, or none of its runs waits or trains on this host.
    """
    now = datetime.now(UTC)
    with database.write() as tx:
        here = [
            run for run in need_experiment(tx, experiment, for_update=True) if run.status not in ENDED and is_here(run)
        ]
        if not here:
            raise V3Error(f"No run of experiment '{experiment}' is queued or active here; there is nothing to stop.")
        for run in here:
            _stop(tx, run, actor, now)
    return len(here)


def need_experiment(tx: Transaction, experiment: str, *, for_update: bool = False) -> list[RunRow]:
    """The runs of a group.

    Raises:
        V3Error: if there is none.
    """
    runs = runs_of_experiment(tx, experiment, for_update=for_update)
    if not runs:
        raise V3Error(f"There is no experiment '{experiment}'; `runs --json` lists the experiment of each run.")
    return runs


def _stop(tx: Transaction, run: RunRow, actor: str, now: datetime) -> Status:
    if run.status == Status.QUEUED:
        command = commands.add_command(tx, run.id, commands.STOP, actor=actor, now=now)
        message = "Stopped while waiting in the queue."
        change_status(tx, run, Status.STOPPED, message, actor=actor, reason=message, now=now)
        commands.apply_commands(tx, run.id, ids=[command], episode=run.episode, now=now)
        return Status.STOPPED
    check(commands.STOP, run)
    if change_status(tx, run, Status.STOPPING, "Stop requested.", actor=actor, now=now):
        commands.add_command(tx, run.id, commands.STOP, actor=actor, now=now)
    return Status.STOPPING


def wait_stopped(database: Database, run_id: str, timeout: float) -> Status:
    """Wait for the end of a run, signalling and killing its worker if it does not stop in time; returns its status.

    After `timeout` seconds it returns in any case.
    """
    deadline = time.monotonic() + timeout
    while True:
        status = Status(get_run(database, run_id).status)
        if status not in ACTIVE or time.monotonic() > deadline:
            return status
        reconcile(database)
        time.sleep(WAIT_POLL_SECONDS)


def set_priority(database: Database, run_id: str, priority: int, actor: str = "user") -> None:
    """Say which of the runs that wait start first: those of the highest priority, among them the oldest.

    A run that trains keeps it for when it waits again.
    """
    check_priority(priority)
    now = datetime.now(UTC)
    with database.write() as tx:
        run = get_run(tx, run_id, for_update=True)
        check(commands.PRIORITY, run)
        if run.priority == priority:
            return
        update_run(tx, run_id, {"priority": priority}, only_in={run.status})
        command = commands.add_command(tx, run_id, commands.PRIORITY, actor=actor, now=now, value=str(priority))
        commands.apply_commands(tx, run_id, ids=[command], episode=run.episode, now=now)
        message = f"Priority changed from {run.priority} to {priority}."
        add_event(tx, run_id, actor=actor, kind="priority", message=message, now=now)


def annotate(
    database: Database, run_id: str, *, tags: str | None = None, notes: str | None = None, actor: str = "user"
) -> None:
    """Set the tags or the notes of a run in any status; None leaves them unchanged.

    Tags are words, separated by blanks or commas; doubled ones count once.
    """
    values: dict[str, str | None] = {}
    if tags is not None:
        values["tags"] = " ".join(dict.fromkeys(tags.replace(",", " ").split())) or None
        if len(values["tags"] or "") > MOST_TAGS:
            raise V3Error(f"The tags are longer than {MOST_TAGS} characters; use fewer or shorter ones.")
    if notes is not None:
        values["notes"] = notes.strip() or None
        if len(notes) > MOST_NOTES:
            raise V3Error(f"The notes are longer than {MOST_NOTES:,} characters; shorten them.")
    with database.write() as tx:
        run = get_run(tx, run_id, for_update=True)
        changes = {name: value for name, value in values.items() if value != getattr(run, name)}
        if changes:
            update_run(tx, run_id, changes, only_in=tuple(Status))
            message = f"New {' and '.join(changes)}."
            add_event(tx, run_id, actor=actor, kind="note", message=message, now=datetime.now(UTC))

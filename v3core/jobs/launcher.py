"""Putting runs into the queue, and starting worker processes for them while slots are free."""

import sys
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from v3core.config import RunConfig, check_name
from v3core.errors import V3Error
from v3core.jobs.checkpoints import kept_checkpoints
from v3core.jobs.identity import current, of_pid
from v3core.jobs.launch import capture
from v3core.jobs.launchers.chosen import chosen
from v3core.jobs.launchers.interface import Launcher
from v3core.jobs.launchers.interface import StartCommand as StartCommand
from v3core.jobs.lifecycle import Status, change_status
from v3core.jobs.needs import NO_NEEDS, Needs
from v3core.jobs.slots import save_requested_slots
from v3core.messages import _
from v3core.phrases import unended
from v3core.store.commands import add_revision
from v3core.store.database import Database
from v3core.store.dialect import lock_queue
from v3core.store.experiment_rows import record_launch
from v3core.store.history import add_event
from v3core.store.run_row import RunRow
from v3core.store.runs import add_run, known_ids, runs_in, update_run
from v3core.store.schema import Transaction

MAX_PRIORITY = 1000
TOGETHER = 250
"""Runs that are written in one commit: less than a second, so that no worker waits long for thousands of them."""


def worker_command(run_id: str) -> list[str]:
    """The command line of a worker process."""
    return [sys.executable, "-m", "v3core", "worker", run_id]


def enqueue(
    database: Database,
    configs: Sequence[RunConfig],
    experiment: str | None = None,
    *,
    priority: int = 0,
    token: str | None = None,
    launch: dict[str, Any] | None = None,
    needs: Needs = NO_NEEDS,
) -> list[str]:
    """Put runs into the queue, in this order, and start as many as there are free slots; returns their ids.

    Hundreds are queued in one commit, thousands in several.

    Nothing is queued if the files of runs cannot be written, or the experiment's name, V3_LAUNCHER, V3_MAX_WORKERS or
    V3_KEEP_CHECKPOINTS is invalid.

    Args:
        database: an open store.
        configs: one per run.
        experiment: a name that groups them.
        priority: of two waiting runs the higher starts first.
        token: identifies this request: with one that was used before nothing is queued again, so that a double click
            starts its runs once.
        launch: the grid, for the experiment's record.
        needs: what the runs demand of where they train.
    """
    needs.check(database)
    database.place.check()
    kept_checkpoints()
    check_priority(priority)
    if experiment is not None:
        check_name(_("experiment"), experiment)
    now = datetime.now(UTC)
    group = uuid.UUID(token) if token else uuid.uuid4()
    ids = [str(uuid.uuid5(group, str(place))) for place in range(len(configs))]
    for start in range(0, len(configs), TOGETHER):
        places = range(start, min(start + TOGETHER, len(configs)))
        with database.write() as tx:
            known = known_ids(tx, [ids[place] for place in places])
            if not start:
                save_requested_slots(tx)
                # With the first runs: the record of an experiment goes when no run of it is left.
                if ids[0] not in known and experiment is not None and launch is not None:
                    record_launch(tx, experiment, launch, now)
            # Those of an earlier request with this token that was cut off, or asked for fewer, are completed.
            for place in places:
                if ids[place] not in known:
                    # A microsecond apart, so that the queue keeps their order.
                    at = now + timedelta(microseconds=place)
                    create(
                        tx,
                        configs[place],
                        now=at,
                        run_id=ids[place],
                        experiment=experiment,
                        priority=priority,
                        needs=needs,
                    )
    drain(database)
    return ids


def create(
    tx: Transaction,
    config: RunConfig,
    *,
    now: datetime,
    run_id: str | None = None,
    experiment: str | None = None,
    priority: int = 0,
    needs: Needs = NO_NEEDS,
) -> str:
    """Insert a queued run with its first curriculum revision and what this process has for it; returns its id."""
    run_id = run_id or str(uuid.uuid4())
    launch = capture(config).to_json()
    add_run(
        tx,
        run_id,
        config,
        status=Status.QUEUED,
        now=now,
        experiment=experiment,
        priority=priority,
        launch=launch,
        **needs.columns(),
    )
    add_revision(tx, run_id, config.curriculum, actor="user", now=now, applied_episode=0)
    message = _(
        "Queued: {length} of {env} with curriculum {name}.",
        length=config.length.words,
        env=config.env,
        name=config.curriculum.name,
    )
    add_event(tx, run_id, actor="user", kind=Status.QUEUED, message=message, now=now)
    return run_id


def check_priority(priority: int) -> None:
    """Raise V3Error for a priority that is out of bounds."""
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise V3Error(
            "Priority {priority} is out of range; choose from {value} to {max_priority}.",
            priority=priority,
            value=-MAX_PRIORITY,
            max_priority=MAX_PRIORITY,
        )


def drain(database: Database, command: StartCommand = worker_command) -> list[str]:
    """Start workers for queued runs, by priority and then by age, while slots are free.

    Safe when many processes do it at once: each run is claimed by one of them, and the slots are never exceeded. A run
    whose import folders are not on this machine is skipped. Returns the ids of the runs that were started.
    """
    launcher = chosen()
    with database.read() as tx:  # usually there is nothing to do, and no reason to become the only writer
        queued = queue_order(runs_in(tx, {Status.QUEUED}))
    if not queued:
        return []
    offer = launcher.offer()
    with database.read() as tx:
        if not launcher.startable(tx, offer, queued):
            return []
    with database.write() as tx:
        lock_queue(tx)
        now = datetime.now(UTC)  # not before: others may have claimed runs while this process waited
        queued = queue_order(runs_in(tx, {Status.QUEUED}))
        wanted = launcher.startable(tx, offer, queued)
        claimed = [run for run in wanted if claim(tx, run, now=now, actor="launcher")]
    for run in claimed:
        _start(database, run, launcher, command)
    return [run.id for run in claimed]


def claim(tx: Transaction, run: RunRow, *, now: datetime, actor: str) -> bool:
    """Take a queued run for this machine; returns whether it was still queued."""
    values = {
        **vars(replace(current(), pid=None, pid_started=None)),
        "heartbeat_at": now,
        "heartbeat_due_at": now + timedelta(seconds=chosen().start_seconds),
        "ended_at": None,
    }
    return change_status(
        tx, run, Status.STARTING, _("The worker process is starting."), actor=actor, now=now, values=values
    )


def queue_order(runs: Iterable[RunRow]) -> list[RunRow]:
    """Those of the runs that wait, in the order in which they start: by priority, then by age."""
    waiting = (run for run in runs if run.status == Status.QUEUED)  # which leaves out unreadable ones
    return sorted(waiting, key=lambda run: (-run.priority, run.queued_at, run.id))


def _start(database: Database, run: RunRow, launcher: Launcher, command: StartCommand) -> None:
    try:
        pid = launcher.start(database, run, command)
    except (OSError, V3Error) as error:
        problem = unended(error.message) if isinstance(error, V3Error) else error.strerror or error
        reason = _("The worker process could not be started: {problem}.", problem=problem)
        with database.write() as tx:
            change_status(tx, run, Status.FAILED, reason, actor="launcher", reason=reason, now=datetime.now(UTC))
        return
    if pid is None:
        return
    identity = of_pid(pid)
    with database.write() as tx:
        values = {"pid": identity.pid, "pid_started": identity.pid_started}
        # Stopping: a stop that came since the claim.
        only_in = {Status.STARTING, Status.STOPPING}
        update_run(tx, run.id, values, only_in=only_in, generation=run.generation, pids=[pid])

"""Putting runs into the queue, and starting worker processes for them while slots are free."""

import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import IO, Any

from v3core.config import RunConfig, check_name
from v3core.errors import V3Error
from v3core.jobs import warm
from v3core.jobs.checkpoints import kept_checkpoints
from v3core.jobs.files import log_file
from v3core.jobs.identity import current, is_alive, is_here, of_pid, process_of, this_host, this_machine
from v3core.jobs.launch import Launch, capture, here, launch_of, waits_for
from v3core.jobs.lifecycle import ACTIVE, Status, change_status
from v3core.jobs.warm import Surroundings
from v3core.store.commands import add_revision
from v3core.store.database import Database, reading
from v3core.store.dialect import lock_queue
from v3core.store.experiment_rows import record_launch
from v3core.store.history import add_event
from v3core.store.run_row import RunRow
from v3core.store.runs import add_run, known_ids, read_slots, runs_in, update_run, write_slots
from v3core.store.schema import Transaction

MAX_PRIORITY = 1000
MAX_SLOTS = 10_000
TOGETHER = 250
"""Runs that are written in one commit: less than a second, so that no worker waits long for thousands of them."""
SLOTS_VARIABLE = "V3_MAX_WORKERS"

StartCommand = Callable[[str], list[str]]

START_PROMISE_SECONDS = 10.0
"""A launcher that has claimed a run and not started its process within this time has died."""


def worker_command(run_id: str) -> list[str]:
    """The command line of a worker process."""
    return [sys.executable, "-m", "v3core", "worker", run_id]


def slots(source: Database | Transaction) -> int:
    """How many runs may train at once on this machine: what was set, or the number of cores."""
    with reading(source) as tx:
        return read_slots(tx, this_machine()) or os.cpu_count() or 1


def slots_in_use(source: Database | Transaction) -> int:
    """How many runs have a process on this machine, or are about to."""
    with reading(source) as tx:
        active = runs_in(tx, ACTIVE)
    # A row that makes no sense takes a slot as long as its process is really there, and no longer.
    return sum(bool(is_alive(process_of(run))) if run.status == Status.UNREADABLE else is_here(run) for run in active)


def set_slots(database: Database, number: int | None) -> None:
    """Set how many runs may train at once on this machine, 1 to MAX_SLOTS; None for as many as it has cores.

    Runs that train already stay; the next look at the queue starts what a larger number allows.
    """
    if number is not None and not 1 <= number <= MAX_SLOTS:
        raise V3Error(f"{number} runs at once is out of range; choose from 1 to {MAX_SLOTS:,}.")
    with database.write() as tx:
        write_slots(tx, this_machine(), this_host(), number)


def parse_slots(text: str) -> int | None:
    """Parse a limit: a number, or `auto` for one per core, which is None; V3Error if it is neither."""
    number = _slots_number(text)
    if number is None and text != "auto":
        raise V3Error(
            f"'{text}' is not a number of runs; give one from 1 to {MAX_SLOTS:,}, or `auto` for one per core."
        )
    return number


def _slots_number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) and 1 <= int(text) <= MAX_SLOTS else None


def save_requested_slots(tx: Transaction) -> None:
    """Set the limit of this machine to V3_MAX_WORKERS if that is set: the process that queues a run decides.

    The variable of any other process is ignored. A shell without it would otherwise start one run per core.
    """
    text = os.environ.get(SLOTS_VARIABLE)
    if not text:
        return
    asked = _slots_number(text)
    if asked is None:
        raise V3Error(f"{SLOTS_VARIABLE} is '{text}'; set it to a whole number from 1 to {MAX_SLOTS:,}.")
    if asked != read_slots(tx, this_machine()):
        write_slots(tx, this_machine(), this_host(), asked)


def enqueue(
    database: Database,
    configs: Sequence[RunConfig],
    experiment: str | None = None,
    *,
    priority: int = 0,
    token: str | None = None,
    launch: dict[str, Any] | None = None,
) -> list[str]:
    """Put runs into the queue, in this order, and start as many as there are free slots; returns their ids.

    Hundreds are queued in one commit, thousands in several.

    Nothing is queued if the experiment's name, V3_MAX_WORKERS or V3_KEEP_CHECKPOINTS is invalid.

    Args:
        database: an open store.
        configs: one per run.
        experiment: a name that groups them.
        priority: of two waiting runs the higher starts first.
        token: identifies this request: with one that was used before nothing is queued again, so that a double click
            starts its runs once.
        launch: the grid, for the experiment's record.
    """
    kept_checkpoints()
    check_priority(priority)
    if experiment is not None:
        check_name("experiment", experiment)
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
                    create(tx, configs[place], now=at, run_id=ids[place], experiment=experiment, priority=priority)
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
) -> str:
    """Insert a queued run with its first curriculum revision and what this process has for it; returns its id."""
    run_id = run_id or str(uuid.uuid4())
    launch = capture(config).to_json()
    add_run(tx, run_id, config, status=Status.QUEUED, now=now, experiment=experiment, priority=priority, launch=launch)
    add_revision(tx, run_id, config.curriculum, actor="user", now=now, applied_episode=0)
    message = f"Queued: {config.length} of {config.env} with curriculum {config.curriculum.name}."
    add_event(tx, run_id, actor="user", kind=Status.QUEUED, message=message, now=now)
    return run_id


def check_priority(priority: int) -> None:
    """Raise V3Error for a priority that is out of bounds."""
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise V3Error(f"Priority {priority} is out of range; choose from {-MAX_PRIORITY} to {MAX_PRIORITY}.")


def drain(database: Database, command: StartCommand = worker_command) -> list[str]:
    """Start workers for queued runs, by priority and then by age, while slots are free.

    Safe when many processes do it at once: each run is claimed by one of them, and the slots are never exceeded. A run
    whose import folders are not on this machine is skipped. Returns the ids of the runs that were started.
    """
    with database.read() as tx:  # usually there is nothing to do, and no reason to become the only writer
        if not _next_runs(tx):
            return []
    with database.write() as tx:
        lock_queue(tx)
        now = datetime.now(UTC)  # not before: others may have claimed runs while this process waited
        claimed = [run for run in _next_runs(tx) if claim(tx, run, now=now, actor="launcher")]
    for run in claimed:
        _start(database, run, command)
    return [run.id for run in claimed]


def claim(tx: Transaction, run: RunRow, *, now: datetime, actor: str) -> bool:
    """Take a queued run for this machine; returns whether it was still queued."""
    values = {
        **vars(replace(current(), pid=None, pid_started=None)),
        "heartbeat_at": now,
        "heartbeat_due_at": now + timedelta(seconds=START_PROMISE_SECONDS),
        "ended_at": None,
    }
    return change_status(
        tx, run, Status.STARTING, "The worker process is starting.", actor=actor, now=now, values=values
    )


def queue_order(runs: Iterable[RunRow]) -> list[RunRow]:
    """Those of the runs that wait, in the order in which they start: by priority, then by age."""
    waiting = (run for run in runs if run.status == Status.QUEUED)  # which leaves out unreadable ones
    return sorted(waiting, key=lambda run: (-run.priority, run.queued_at, run.id))


def _next_runs(tx: Transaction) -> list[RunRow]:
    """The queued runs that the free slots suffice for."""
    queued = queue_order(runs_in(tx, {Status.QUEUED}))
    if not queued:
        return []
    free = max(0, slots(tx) - slots_in_use(tx))
    return list(islice((run for run in queued if waits_for(run) is None), free))


def _start(database: Database, run: RunRow, command: StartCommand) -> None:
    try:
        pid = _spawn(database, run, command(run.id))
    except (OSError, V3Error) as error:
        problem = error.strerror if isinstance(error, OSError) else None
        reason = f"The worker process could not be started: {problem or str(error).removesuffix('.')}."
        with database.write() as tx:
            change_status(tx, run, Status.FAILED, reason, actor="launcher", reason=reason, now=datetime.now(UTC))
        return
    identity = of_pid(pid)
    with database.write() as tx:
        values = {"pid": identity.pid, "pid_started": identity.pid_started}
        # Stopping: a stop that came since the claim.
        only_in = {Status.STARTING, Status.STOPPING}
        update_run(tx, run.id, values, only_in=only_in, generation=run.generation, pids=[pid])


def start_process(
    database: Database, run: RunRow, command: Sequence[str], output: IO[bytes], errors: IO[bytes] | int
) -> "subprocess.Popen[bytes]":
    """Start a process in its own session with the folders, variables and interpreter of the run; it outlives this one.

    In `command` this interpreter is replaced by the run's. Raises OSError if it cannot be started.
    """
    surroundings = _surroundings_of(database, run)
    program, *arguments = command
    return subprocess.Popen(
        [surroundings.python if program == sys.executable else program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        cwd=surroundings.folder,
        env=surroundings.environment,
        start_new_session=True,
    )


def _surroundings(database: Database, launch: Launch) -> Surroundings:
    environment = launch.environment() | {
        "V3_DATABASE_URL": database.url,
        "V3_DATA_DIR": str(database.data_dir),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",  # of the log, whatever the language of the machine
        "OMP_NUM_THREADS": "1",  # one core per run; more threads would only wait for each other
    }
    return Surroundings(launch.interpreter(), launch.working_folder(database.data_dir), environment)


def _surroundings_of(database: Database, run: RunRow) -> Surroundings:
    return _surroundings(database, launch_of(run) or capture(run.config))


def keep_warm(database: Database) -> None:
    """In a server: have a process ready for the run that somebody is about to start."""
    warm.keep(_surroundings(database, here()))


def _spawn(database: Database, run: RunRow, command: list[str]) -> int:
    """Start a process that outlives this one, with its output in the run's log; returns its pid."""
    log = log_file(run.id, database.data_dir)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return start_command(database, run, command, output)


def start_command(database: Database, run: RunRow, command: Sequence[str], output: IO[bytes]) -> int:
    """Start a process as `start_process` does, forked from the warm one if it can be; returns its pid.

    Raises:
        OSError: if it cannot be started.
    """
    ours = command[:3] == [sys.executable, "-m", "v3core"]
    if ours and (pid := warm.fork(_surroundings_of(database, run), command[3:], output)):
        return pid
    process = start_process(database, run, command, output, subprocess.STDOUT)
    # The parent must wait for the process, or a zombie keeps its pid.
    threading.Thread(target=process.wait, name=f"wait for {run.id}", daemon=True).start()
    return process.pid

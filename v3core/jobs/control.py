"""What people ask of runs: stop, resume, edit the curriculum, delete."""

import shutil
import signal
import time
from datetime import UTC, datetime

from v3core.curriculum import Curriculum, PhaseStart, Progress, check_edit
from v3core.errors import V3Error
from v3core.jobs import identity
from v3core.jobs.checkpoints import newest_usable
from v3core.jobs.files import run_folder
from v3core.jobs.launcher import Command, drain, worker_command
from v3core.jobs.lifecycle import ACTIVE, ENDED, RESUMABLE, Status, change_status
from v3core.jobs.supervisor import process_of, reconcile
from v3core.store import commands
from v3core.store.database import Database
from v3core.store.history import add_event, read_phase_changes
from v3core.store.runs import RunRow, get_run, need_run, remove_run
from v3core.store.truncate import truncate

WAIT_POLL_SECONDS = 0.1


def stop(db: Database, run_id: str, actor: str = "user") -> Status:
    """Ask a run to end after its present rollout, with a checkpoint; returns at once. Asking twice does no harm.

    Args:
        db: an open store.
        run_id: full id.
        actor: who asks, for the run's history.

    Returns:
        STOPPED for a run that was still queued, else STOPPING.

    Raises:
        V3Error: if there is no such run, or it has ended already.
    """
    now = datetime.now(UTC)
    with db.write() as tx:
        run = need_run(tx, run_id, for_update=True)
        if run.status == Status.QUEUED:
            message = "Stopped while it waited in the queue."
            change_status(tx, run_id, Status.STOPPED, actor=actor, message=message, reason=message, now=now)
            return Status.STOPPED
        if run.status in ENDED:
            raise V3Error(f"Run {_short(run)} is {run.status} already; there is nothing to stop.")
        if change_status(tx, run_id, Status.STOPPING, actor=actor, message="A stop was asked for.", now=now):
            commands.add_command(tx, run_id, commands.STOP, now=now)
    if run.status == Status.RUNNING:
        # It would find the command by itself; the signal is for the case that the database is out of its reach.
        # Not while it starts: it may not handle signals yet, and looks for a stop before it trains.
        identity.send_signal(process_of(run), signal.SIGTERM)
    return Status.STOPPING


def wait_stopped(db: Database, run_id: str, timeout: float) -> Status:
    """Wait until a run has ended, killing its worker if it does not stop in time.

    Args:
        db: an open store.
        run_id: full id.
        timeout: seconds after which to give up.

    Returns:
        Its status at the end of the wait.

    Raises:
        V3Error: if there is no such run.
    """
    deadline = time.monotonic() + timeout
    while True:
        status = Status(get_run(db, run_id).status)
        if status not in ACTIVE or time.monotonic() > deadline:
            return status
        reconcile(db)
        time.sleep(WAIT_POLL_SECONDS)


def resume(db: Database, run_id: str, actor: str = "user", command: Command = worker_command) -> None:
    """Put a stopped, failed or lost run back into the queue, to go on from its newest checkpoint.

    What was recorded beyond the checkpoint is deleted, so that each episode is recorded once. Without a checkpoint the
    run begins again.

    Args:
        db: an open store.
        run_id: full id.
        actor: who asks, for the run's history.
        command: from run id to the command line of its worker.

    Raises:
        V3Error: if there is no such run, it is not over yet, or it is complete.
    """
    now = datetime.now(UTC)
    with db.write() as tx:
        run = need_run(tx, run_id, for_update=True)
        if run.status == Status.COMPLETED:
            raise V3Error(
                f"Run {_short(run)} has completed all its {run.episodes} episodes; there is no more to train."
            )
        if run.status not in RESUMABLE:
            raise V3Error(f"Run {_short(run)} is {run.status}; only a run that has ended can be resumed.")
        checkpoint = newest_usable(db, tx, run_id)
        episode, step = (checkpoint.episode, checkpoint.step) if checkpoint else (0, 0)
        deleted = truncate(tx, run_id, episode=episode, step=step, now=now)
        where = (
            f"from the checkpoint at episode {episode}" if checkpoint else "from the beginning: it has no checkpoint"
        )
        again = f"; the {deleted} episodes after it are trained anew" if deleted else ""
        values = {
            "generation": run.generation + 1,
            "queued_at": now,
            "ended_at": None,
            "pid": None,
            "pid_started": None,
            "heartbeat_at": None,
            "heartbeat_due_at": None,
        }
        change_status(
            tx, run_id, Status.QUEUED, actor=actor, message=f"Resumes {where}{again}.", now=now, values=values
        )
    drain(db, command)


def current_curriculum(db: Database, run_id: str) -> Curriculum:
    """The newest revision that was applied: what the run trains under, or will go on under.

    Raises:
        V3Error: if there is no such run.
    """
    with db.read() as tx:
        need_run(tx, run_id)
        return commands.curriculum_in_force(tx, run_id)


def request_edit(db: Database, run_id: str, curriculum: Curriculum, actor: str = "user") -> None:
    """Ask a run to go on under another curriculum, which may differ only in what lies ahead.

    A run that trains applies it between two updates, or rejects it if it has gone past by then; the revision's row
    says which. For a run without a process it is in force at once.

    Args:
        db: an open store.
        run_id: full id.
        curriculum: the whole curriculum, past phases included.
        actor: who asks.

    Raises:
        V3Error: if there is no such run, it is complete, or the edit reaches into what was already trained.
    """
    now = datetime.now(UTC)
    starts = tuple(PhaseStart(change.episode, change.step) for change in read_phase_changes(db, run_id))
    with db.write() as tx:
        run = need_run(tx, run_id, for_update=True)
        if run.status == Status.COMPLETED:
            raise V3Error(f"Run {_short(run)} is complete; its curriculum can no longer be changed.")
        progress = Progress(run.episode, run.episodes, run.step, starts)
        check_edit(commands.curriculum_in_force(tx, run_id), curriculum, progress)
        if run.status in ACTIVE:
            revision = commands.add_revision(tx, run_id, curriculum, actor=actor, now=now, applied_episode=None)
            commands.add_command(tx, run_id, commands.EDIT_CURRICULUM, now=now, revision_id=revision)
            return
        commands.add_revision(tx, run_id, curriculum, actor=actor, now=now, applied_episode=run.episode)
        message = f"Curriculum edited from episode {run.episode} on."
        add_event(tx, run_id, actor=actor, kind="edit", message=message, now=now)


def delete(db: Database, run_id: str) -> None:
    """Delete a run that has ended or waits in the queue: its rows, log and checkpoints.

    Raises:
        V3Error: if there is no such run, it has a process, or a file cannot be deleted.
    """
    with db.write() as tx:
        run = need_run(tx, run_id, for_update=True)
        if not remove_run(tx, run_id, only_in=ENDED | {Status.QUEUED}):
            raise V3Error(f"Run {_short(run)} is {run.status}; stop it before you delete it.")
    folder = run_folder(run_id, db.data_dir)
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        problem = error.strerror or error
        raise V3Error(f"Run {_short(run)} is deleted, but its folder {folder} is not: {problem}.") from None


def _short(run: RunRow) -> str:
    return f"{run.id[:8]} '{run.name}'"

"""What people ask of runs: stop, pause, checkpoint, edit, resume, order in the queue, notes, delete.

Every function raises V3Error, and changes nothing, for a run that is unknown, has ended, or trains on another host.
"""

import shutil
import time
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from v3core.curriculum import Curriculum, PhaseStart, Progress, check_edit, lengthened
from v3core.errors import V3Error
from v3core.jobs.checkpoints import newest_whole
from v3core.jobs.files import DELETED, run_folder
from v3core.jobs.hidden import remove_hidden
from v3core.jobs.identity import NOWHERE, is_alive, is_here, process_of, process_values
from v3core.jobs.launch import renewed
from v3core.jobs.launcher import Command, check_priority, drain, keep_asked_slots, worker_command
from v3core.jobs.lifecycle import ACTIVE, ENDED, RESUMABLE, Status, change_status
from v3core.jobs.longer import check_length, make_longer
from v3core.jobs.supervisor import reconcile
from v3core.store import commands
from v3core.store.database import Database
from v3core.store.hidden import hide_run, show_run
from v3core.store.history import (
    CheckpointRow,
    add_event,
    checkpoints_of,
    phase_changes_of,
    read_phase_changes,
)
from v3core.store.run_row import RunRow
from v3core.store.runs import (
    get_run,
    need_run,
    runs_of_experiment,
    stored_status,
    update_run,
)
from v3core.store.schema import Transaction

WAIT_POLL_SECONDS = 0.1
MOST_NOTES = 10_000
MOST_TAGS = 500


def stop(database: Database, run_id: str, actor: str = "user") -> Status:
    """Ask a run to end after its present rollout, with a checkpoint; returns at once. Asking twice does it once.

    A worker that does not stop is signalled, and in the end killed: see `v3core.jobs.supervisor`.

    Args:
        database: an open store.
        run_id: full id.
        actor: who asks, for the run's history.

    Returns:
        STOPPED for a run that was still queued, else STOPPING.
    """
    with database.write() as tx:
        return _stop(tx, need_run(tx, run_id, for_update=True), actor, datetime.now(UTC))


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
            raise V3Error(f"No run of experiment '{experiment}' waits or trains here; there is nothing to stop.")
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
        raise V3Error(f"There is no experiment '{experiment}'; `runs --json` names the experiment of each run.")
    return runs


def _stop(tx: Transaction, run: RunRow, actor: str, now: datetime) -> Status:
    if run.status == Status.QUEUED:
        command = commands.add_command(tx, run.id, commands.STOP, actor=actor, now=now)
        message = "Stopped while it waited in the queue."
        change_status(tx, run.id, Status.STOPPED, actor=actor, message=message, reason=message, now=now)
        commands.apply_commands(tx, run.id, ids=[command], episode=run.episode, now=now)
        return Status.STOPPED
    _need_active(run, "there is nothing to stop")
    if change_status(tx, run.id, Status.STOPPING, actor=actor, message="A stop was asked for.", now=now):
        commands.add_command(tx, run.id, commands.STOP, actor=actor, now=now)
    return Status.STOPPING


def wait_stopped(database: Database, run_id: str, timeout: float) -> Status:
    """Wait until a run has ended, signalling and killing its worker if it does not stop in time.

    Args:
        database: an open store.
        run_id: full id.
        timeout: seconds after which to give up.

    Returns:
        Its status at the end of the wait.
    """
    deadline = time.monotonic() + timeout
    while True:
        status = Status(get_run(database, run_id).status)
        if status not in ACTIVE or time.monotonic() > deadline:
            return status
        reconcile(database)
        time.sleep(WAIT_POLL_SECONDS)


def pause(database: Database, run_id: str, actor: str = "user") -> None:
    """Ask a run to hold after its present rollout, with a checkpoint. It keeps its process and its slot."""
    with database.write() as tx:
        run = need_run(tx, run_id, for_update=True)
        _need_active(run, "there is nothing to pause", {Status.RUNNING, Status.STALLED, Status.PAUSED})
        if run.status != Status.PAUSED:
            _ask_once(tx, run, commands.PAUSE, actor)


def unpause(database: Database, run_id: str, actor: str = "user") -> None:
    """Ask a paused run to go on where it holds."""
    with database.write() as tx:
        run = need_run(tx, run_id, for_update=True)
        _need_active(run, "it is not paused", {Status.RUNNING, Status.STALLED, Status.PAUSED})
        waits = any(row.kind == commands.PAUSE for row in commands.commands_of(tx, run.id, only_open=True))
        if run.status == Status.RUNNING and not waits:
            raise V3Error(f"Run {_short(run)} is running; it is not paused.")
        _ask_once(tx, run, commands.CONTINUE, actor)


def checkpoint(database: Database, run_id: str, actor: str = "user") -> None:
    """Ask a run to write a checkpoint after its present rollout."""
    with database.write() as tx:
        run = need_run(tx, run_id, for_update=True)
        _need_active(run, "it cannot write a checkpoint", {Status.RUNNING, Status.STALLED, Status.PAUSED})
        _ask_once(tx, run, commands.CHECKPOINT, actor)


def set_priority(database: Database, run_id: str, priority: int, actor: str = "user") -> None:
    """Say which of the runs that wait start first: those of the highest priority, among them the oldest.

    A run that trains keeps it for when it waits again.
    """
    check_priority(priority)
    now = datetime.now(UTC)
    with database.write() as tx:
        run = need_run(tx, run_id, for_update=True)
        if run.status in ENDED:
            raise V3Error(f"Run {_short(run)} is {run.status} already; a priority orders only runs that wait.")
        if run.priority == priority:
            return
        update_run(tx, run_id, {"priority": priority}, only_in={run.status})
        command = commands.add_command(tx, run_id, commands.PRIORITY, actor=actor, now=now, value=str(priority))
        commands.apply_commands(tx, run_id, ids=[command], episode=run.episode, now=now)
        message = f"Priority {priority}, after {run.priority}."
        add_event(tx, run_id, actor=actor, kind="priority", message=message, now=now)


def annotate(
    database: Database, run_id: str, *, tags: str | None = None, notes: str | None = None, actor: str = "user"
) -> None:
    """Set the tags or the notes of a run, ended or not; None leaves them as they are.

    Args:
        database: an open store.
        run_id: full id.
        tags: words, separated by blanks or commas; doubled ones count once.
        notes: any text.
        actor: who, for the run's history.
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
        run = need_run(tx, run_id, for_update=True)
        changes = {name: value for name, value in values.items() if value != getattr(run, name)}
        if changes:
            update_run(tx, run_id, changes, only_in=tuple(Status))
            message = f"New {' and '.join(changes)}."
            add_event(tx, run_id, actor=actor, kind="note", message=message, now=datetime.now(UTC))


def resume(
    database: Database,
    run_id: str,
    actor: str = "user",
    *,
    curriculum: Curriculum | None = None,
    take_over: bool = False,
    here: bool = False,
    episodes: int | None = None,
    command: Command = worker_command,
) -> None:
    """Put a run that has ended back into the queue, to continue from its newest whole checkpoint.

    Nothing is deleted here: once its worker has read the checkpoint, it takes the records back to it, so that each
    episode is recorded once.

    Args:
        database: an open store.
        run_id: full id.
        actor: who asks, for the run's history.
        curriculum: go on under this one, which may differ only in what lies ahead of the checkpoint.
        take_over: go on here with a run that trained on another host.
        here: start it from now on with the import folders and variables of this process, not of whoever launched it.
        episodes: train it longer, up to so many; needed for one that is complete.
        command: from run id to the command line of its worker.

    Raises:
        V3Error: if there is no such run, it is not over yet, it is complete and not made longer, it trained on another
            host, its checkpoints or import folders are gone, or V3_MAX_WORKERS, length or curriculum will not do.
    """
    now = datetime.now(UTC)
    with database.write() as tx:
        run = need_run(tx, run_id, for_update=True)
        if run.status == Status.COMPLETED and episodes is None:
            raise V3Error(
                f"Run {_short(run)} has completed all its {run.episodes} episodes; train it longer with: "
                f"python -m v3core resume {run.id[:8]} --episodes {2 * run.episodes}."
            )
        if run.status not in RESUMABLE | {Status.COMPLETED}:
            raise V3Error(f"Run {_short(run)} is {run.status}; only a run that has ended can be resumed.")
        if not is_here(run) and not take_over:
            raise V3Error(
                f"Run {_short(run)} was trained on host '{run.host}'; if its files are here and it does not train "
                f"there, go on with: python -m v3core resume {run.id[:8]} --take-over."
            )
        longer = episodes if run.status == Status.COMPLETED or episodes != run.episodes else None
        if longer is not None:
            check_length(run, longer)
        start, where = _start(database, tx, run)
        if longer is not None:
            if curriculum is not None:
                starts = tuple(PhaseStart(change.episode, change.step) for change in phase_changes_of(tx, run_id))
                curriculum = lengthened(curriculum, Progress(run.episode, run.episodes, run.step, starts))
            make_longer(tx, run, longer, actor, now)
            if run.status == Status.COMPLETED:
                where = "from before its end"
            run = need_run(tx, run_id)
        if curriculum is not None:
            _edit_before_resume(database, tx, run, curriculum, start, actor, now)
        values: dict[str, Any] = {
            "generation": run.generation + 1,
            "queued_at": now,
            "ended_at": None,
            "traceback": None,
            **NOWHERE,
            "rollout_at": None,
            "launch": renewed(run, here=here),
        }
        keep_asked_slots(tx)
        message = f"To be resumed {where}."
        change_status(tx, run_id, Status.QUEUED, actor=actor, message=message, now=now, values=values)
    drain(database, command)


def resume_point(database: Database, run_id: str) -> CheckpointRow | None:
    """The checkpoint that a resume would go on from; None if it would begin again, or cannot."""
    with database.read() as tx:
        return newest_whole(database, tx, run_id)


def _start(database: Database, tx: Transaction, run: RunRow) -> tuple[CheckpointRow | None, str]:
    """Where a resume goes on, and that in words.

    Raises:
        V3Error: if episodes were trained and every checkpoint is gone or damaged.
    """
    known = checkpoints_of(tx, run.id)
    start = newest_whole(database, tx, run.id)
    if start is None and run.episode:
        names = f"'{database.data_dir / known[-1].path}'" if known else "it has none"
        raise V3Error(
            f"Run {_short(run)} cannot be resumed: its checkpoints are gone or damaged ({names}); "
            "put one back, or start a new run."
        )
    if start is None:
        return None, "from the beginning"
    where = f"from the checkpoint at episode {start.episode}"
    if start != known[-1]:
        where += f"; the newest, at episode {known[-1].episode}, is gone or damaged"
    return start, where


def _edit_before_resume(
    database: Database,
    tx: Transaction,
    run: RunRow,
    curriculum: Curriculum,
    start: CheckpointRow | None,
    actor: str,
    now: datetime,
) -> None:
    """Let a resumed run go on under another curriculum from its checkpoint on."""
    episode, step = (start.episode, start.step) if start else (0, 0)
    starts = tuple(
        PhaseStart(change.episode, change.step)
        for change in read_phase_changes(database, run.id)
        if change.episode <= episode and start is not None
    )
    in_force = commands.curriculum_in_force(tx, run.id)
    if curriculum == in_force:
        return
    check_edit(in_force, curriculum, Progress(episode, run.episodes, step, starts))
    commands.add_revision(tx, run.id, curriculum, actor=actor, now=now, applied_episode=episode)
    message = f"Curriculum edited from episode {episode} on."
    add_event(tx, run.id, actor=actor, kind="edit", message=message, now=now)


def current_curriculum(database: Database, run_id: str) -> Curriculum:
    """The newest revision that was applied: what the run trains under, or will go on under."""
    with database.read() as tx:
        need_run(tx, run_id)
        return commands.curriculum_in_force(tx, run_id)


def request_edit(database: Database, run_id: str, curriculum: Curriculum, actor: str = "user") -> None:
    """Ask a run to go on under another curriculum, which may differ only in what lies ahead.

    A run that trains applies it between two updates, or rejects it if it has gone past by then; the command's row says
    which. For one that waits in the queue it is in force at once.

    Args:
        database: an open store.
        run_id: full id.
        curriculum: the whole curriculum, past phases included.
        actor: who asks.

    Raises:
        V3Error: also if the edit reaches into what was already trained.
    """
    now = datetime.now(UTC)
    starts = tuple(PhaseStart(change.episode, change.step) for change in read_phase_changes(database, run_id))
    with database.write() as tx:
        run = need_run(tx, run_id, for_update=True)
        if run.status == Status.COMPLETED:
            raise V3Error(f"Run {_short(run)} is complete; its curriculum can no longer be changed.")
        if run.status in ENDED:
            raise V3Error(
                f"Run {_short(run)} is {run.status}, and ended runs do not change; resume it with other boundaries: "
                f"python -m v3core resume {run.id[:8]} --boundaries EPISODES."
            )
        if run.status != Status.QUEUED:
            _need_active(run, "its curriculum cannot be changed", ACTIVE - {Status.STOPPING})
        progress = Progress(run.episode, run.episodes, run.step, starts)
        check_edit(commands.curriculum_in_force(tx, run_id), curriculum, progress)
        if run.status in ACTIVE:
            waiting = commands.commands_of(tx, run_id, only_open=True)
            if any(row.revision is not None and row.revision.curriculum == curriculum for row in waiting):
                return
            revision = commands.add_revision(tx, run_id, curriculum, actor=actor, now=now, applied_episode=None)
            commands.add_command(tx, run_id, commands.EDIT_CURRICULUM, actor=actor, now=now, revision_id=revision)
            return
        revision = commands.add_revision(tx, run_id, curriculum, actor=actor, now=now, applied_episode=run.episode)
        done = commands.add_command(tx, run_id, commands.EDIT_CURRICULUM, actor=actor, now=now, revision_id=revision)
        commands.apply_commands(tx, run_id, ids=[done], episode=run.episode, now=now)
        message = f"Curriculum edited from episode {run.episode} on."
        add_event(tx, run_id, actor=actor, kind="edit", message=message, now=now)


def delete(database: Database, run_id: str) -> None:
    """Delete a run that has ended or waits in the queue: its rows, log and checkpoints.

    No list shows it any more, then its folder is set aside in one step: if that cannot be done, nothing is deleted.
    Its rows are deleted in several commits, so that workers can write in between.

    Raises:
        V3Error: also if it has a process, or a file cannot be deleted.
    """
    folder = run_folder(run_id, database.data_dir)
    aside = folder.with_name(f"{DELETED}{run_id}")
    with database.write() as tx:
        run = need_run(tx, run_id, for_update=True)
        deletable: Collection[Any] = ENDED | {Status.QUEUED}
        if run.status == Status.UNREADABLE:
            if is_alive(process_of(run)):
                raise V3Error(f"Run {_short(run)} still has process {run.pid}; end that before you delete it.")
            run = replace(run, status=stored_status(tx, run_id))
            deletable = {run.status}
        if not hide_run(tx, run_id, process_values(), only_in=deletable):
            raise V3Error(f"Run {_short(run)} is {run.status}; stop it before you delete it.")
    try:
        _set_aside(run, folder, aside)
    except BaseException:
        with database.write() as tx:
            show_run(tx, run)
        raise
    remove_hidden(database, run_id)
    try:
        # A link is somebody's own way to keep files elsewhere: only the link is removed.
        aside.unlink() if aside.is_symlink() else shutil.rmtree(aside)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise V3Error(
            f"Run {_short(run)} is deleted, but not all of its files: {error.strerror or error} ({error.filename}); "
            "mend that and remove them with: python -m v3core tidy --delete."
        ) from None


def _set_aside(run: RunRow, folder: Path, aside: Path) -> None:
    try:
        if aside.exists():  # an earlier run of this id, whose files could not all be deleted
            shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise V3Error(
            f"Run {_short(run)} is not deleted: its folder {folder} cannot be removed: {error.strerror or error}."
        ) from None


def _ask_once(tx: Transaction, run: RunRow, kind: str, actor: str) -> None:
    """Add a command, unless the same is asked already and not done yet."""
    if not any(row.kind == kind for row in commands.commands_of(tx, run.id, only_open=True)):
        commands.add_command(tx, run.id, kind, actor=actor, now=datetime.now(UTC))


def _need_active(run: RunRow, otherwise: str, allowed: Collection[Status] = ACTIVE) -> None:
    """Refuse a command that only a run with a process on this host can take."""
    if run.status in ENDED:
        raise V3Error(f"Run {_short(run)} is {run.status} already; {otherwise}.")
    if run.status not in allowed:
        raise V3Error(f"Run {_short(run)} is {run.status}; {otherwise}.")
    if not is_here(run):
        raise V3Error(f"Run {_short(run)} trains on host '{run.host}'; give the command there.")


def _short(run: RunRow) -> str:
    return f"{run.id[:8]} '{run.name}'"

"""Resuming a run that has ended: on which host, from which checkpoint, with which curriculum and length."""

from datetime import UTC, datetime
from typing import Any

from v3core.curriculum import Curriculum, PhaseStart, Progress, check_edit, lengthened
from v3core.errors import V3Error
from v3core.jobs.checkpoints import newest_whole
from v3core.jobs.control.editing import check_length, make_longer, note_edit, progress_of
from v3core.jobs.control.kinds import check, named
from v3core.jobs.identity import NOWHERE, is_here
from v3core.jobs.launch import renewed
from v3core.jobs.launcher import Command, drain, save_requested_slots, worker_command
from v3core.jobs.lifecycle import Status, change_status
from v3core.paths import COMMAND
from v3core.store import commands
from v3core.store.database import Database
from v3core.store.history import CheckpointRow, read_checkpoints, read_phase_changes
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run
from v3core.store.schema import Transaction


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
        actor: who requests it, for the run's history.
        curriculum: continue with this one, which may only change what comes after the checkpoint.
        take_over: continue here a run that trained on another host.
        here: from now on use the import folders and variables of this process instead of the saved ones.
        episodes: train it longer, up to this many; needed for one that is complete.
        command: from run id to the command line of its worker.

    Raises:
        V3Error: if there is no such run, it is not over yet, it is complete and not made longer, it trained on another
            host, its checkpoints or import folders are gone, or V3_MAX_WORKERS, length or curriculum will not do.
    """
    now = datetime.now(UTC)
    with database.write() as tx:
        run = get_run(tx, run_id, for_update=True)
        if run.status != Status.COMPLETED or episodes is None:
            check("resume", run)
        if not is_here(run) and not take_over:
            raise V3Error(
                f"{named(run)} was trained on host '{run.host}'; if its files are here and it no longer trains there, "
                f"resume it with: {COMMAND} resume {run.id[:8]} --take-over."
            )
        longer = episodes if run.status == Status.COMPLETED or episodes != run.episodes else None
        if longer is not None:
            check_length(run, longer)
        start, where = _start(database, tx, run)
        if longer is not None:
            if curriculum is not None:
                curriculum = lengthened(curriculum, progress_of(tx, run))
            make_longer(tx, run, longer, actor, now)
            if run.status == Status.COMPLETED:
                where = "from before its end"
            run = get_run(tx, run_id)
        if curriculum is not None:
            _edit_before_resume(tx, run, curriculum, start, actor, now)
        values: dict[str, Any] = {
            "generation": run.generation + 1,
            "queued_at": now,
            "ended_at": None,
            "traceback": None,
            **NOWHERE,
            "rollout_at": None,
            "launch": renewed(run, here=here),
        }
        save_requested_slots(tx)
        change_status(tx, run, Status.QUEUED, f"Resuming {where}.", actor=actor, now=now, values=values)
    drain(database, command)


def resume_point(database: Database, run_id: str) -> CheckpointRow | None:
    """The checkpoint that a resume would continue from; None if it would begin again, or cannot."""
    with database.read() as tx:
        return newest_whole(database, tx, run_id)


def _start(database: Database, tx: Transaction, run: RunRow) -> tuple[CheckpointRow | None, str]:
    """Where a resume continues, and that in words.

    Raises:
        V3Error: if episodes were trained and every checkpoint is gone or damaged.
    """
    known = read_checkpoints(tx, run.id)
    start = newest_whole(database, tx, run.id)
    if start is None and run.episode:
        names = f"'{database.data_dir / known[-1].path}'" if known else "it has none"
        raise V3Error(
            f"{named(run)} cannot be resumed: its checkpoints are gone or damaged ({names}); restore one, or start a "
            "new run."
        )
    if start is None:
        return None, "from the beginning"
    where = f"from the checkpoint at episode {start.episode}"
    if start != known[-1]:
        where += f"; the newest, at episode {known[-1].episode}, is gone or damaged"
    return start, where


def _edit_before_resume(
    tx: Transaction,
    run: RunRow,
    curriculum: Curriculum,
    start: CheckpointRow | None,
    actor: str,
    now: datetime,
) -> None:
    """Let a resumed run continue under another curriculum from its checkpoint on."""
    episode, step = (start.episode, start.step) if start else (0, 0)
    starts = tuple(
        PhaseStart(change.episode, change.step)
        for change in read_phase_changes(tx, run.id)
        if change.episode <= episode and start is not None
    )
    in_force = commands.curriculum_in_force(tx, run.id)
    if curriculum == in_force:
        return
    check_edit(in_force, curriculum, Progress(episode, run.episodes, step, starts))
    commands.add_revision(tx, run.id, curriculum, actor=actor, now=now, applied_episode=episode)
    note_edit(tx, run.id, episode, actor, now)

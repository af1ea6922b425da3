"""Changing what a run will train: its curriculum and its length."""

from datetime import UTC, datetime

from v3core.config import MAX_EPISODES
from v3core.curriculum import Curriculum, PhaseStart, Progress, check_edit, lengthened
from v3core.errors import V3Error
from v3core.jobs.control.kinds import check, named
from v3core.jobs.lifecycle import Status
from v3core.store import commands
from v3core.store.database import Database
from v3core.store.history import add_event, read_phase_changes
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run, set_length
from v3core.store.schema import Transaction


def current_curriculum(database: Database, run_id: str) -> Curriculum:
    """The newest revision that was applied: what the run trains under, or will continue under."""
    with database.read() as tx:
        get_run(tx, run_id)
        return commands.curriculum_in_force(tx, run_id)


def request_edit(database: Database, run_id: str, curriculum: Curriculum, actor: str = "user") -> None:
    """Request another curriculum for a run, given in full, which may only change the future.

    A run that trains applies it between two updates, or rejects it if it has gone past by then; the command's row says
    which. For one that waits in the queue it is in force at once.

    Raises:
        V3Error: also if the edit reaches into what was already trained.
    """
    with database.write() as tx:
        run = get_run(tx, run_id, for_update=True)
        check(commands.EDIT_CURRICULUM, run)
        check_edit(commands.curriculum_in_force(tx, run_id), curriculum, progress_of(tx, run))
        waiting = commands.read_commands(tx, run_id, only_open=True)
        if any(row.revision is not None and row.revision.curriculum == curriculum for row in waiting):
            return
        now, at_once = datetime.now(UTC), run.episode if run.status == Status.QUEUED else None
        revision = commands.add_revision(tx, run_id, curriculum, actor=actor, now=now, applied_episode=at_once)
        asked = commands.add_command(tx, run_id, commands.EDIT_CURRICULUM, actor=actor, now=now, revision_id=revision)
        if at_once is not None:
            commands.apply_commands(tx, run_id, ids=[asked], episode=at_once, now=now)
            note_edit(tx, run_id, at_once, actor, now)


def note_edit(tx: Transaction, run_id: str, episode: int, actor: str, now: datetime) -> None:
    """Note in the run's history that another curriculum is in force."""
    add_event(tx, run_id, actor=actor, kind="edit", message=f"Curriculum edited from episode {episode} on.", now=now)


def progress_of(tx: Transaction, run: RunRow) -> Progress:
    """How far a run is, with the realised starts of its phases."""
    starts = tuple(PhaseStart(change.episode, change.step) for change in read_phase_changes(tx, run.id))
    return Progress(run.episode, run.episodes, run.step, starts)


def extend(database: Database, run_id: str, episodes: int, actor: str = "user") -> None:
    """Ask a run that trains or waits to train up to `episodes`. A worker applies it between two updates.

    Raises:
        V3Error: if it has ended, is stopping, or has that length already.
    """
    with database.write() as tx:
        run = get_run(tx, run_id, for_update=True)
        check_length(run, episodes)
        check(commands.EXTEND, run)
        now, value = datetime.now(UTC), str(episodes)
        waiting = commands.read_commands(tx, run_id, only_open=True)
        if any(row.kind == commands.EXTEND and row.value == value for row in waiting):
            return
        asked = commands.add_command(tx, run_id, commands.EXTEND, actor=actor, now=now, value=value)
        if run.status == Status.QUEUED:
            make_longer(tx, run, episodes, actor, now)
            commands.apply_commands(tx, run_id, ids=[asked], episode=run.episode, now=now)


def check_length(run: RunRow, episodes: int) -> None:
    """Refuse a length that is none to train up to.

    Raises:
        V3Error: naming what the run has, and what to choose.
    """
    name = named(run)
    if episodes <= run.episode:
        raise V3Error(f"{name} has already trained {run.episode:,} episodes; choose more than that.")
    if episodes <= run.episodes:
        raise V3Error(
            f"{name} is planned for {run.episodes:,} episodes; choose more: a run can be extended, not shortened."
        )
    if episodes > MAX_EPISODES:
        raise V3Error(f"{episodes:,} episodes are too many; choose at most {MAX_EPISODES:,}.")


def make_longer(tx: Transaction, run: RunRow, episodes: int, actor: str, now: datetime) -> None:
    """Write the new length, and the curriculum that it takes, of a run that no process trains."""
    in_force = commands.curriculum_in_force(tx, run.id)
    longer = lengthened(in_force, progress_of(tx, run))
    if longer != in_force:
        commands.add_revision(tx, run.id, longer, actor=actor, now=now, applied_episode=run.episode)
    set_length(tx, run, episodes)
    message = f"Length changed from {run.episodes} to {episodes} episodes."
    add_event(tx, run.id, actor=actor, kind="length", message=message, now=now)

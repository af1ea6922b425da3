"""Making a run longer: one that trains, one that waits, one that has ended."""

from datetime import UTC, datetime

from v3core.config import MAX_EPISODES
from v3core.curriculum import PhaseStart, Progress, lengthened
from v3core.errors import V3Error
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.store import commands
from v3core.store.database import Database
from v3core.store.history import add_event, phase_changes_of
from v3core.store.run_row import RunRow
from v3core.store.runs import need_run, set_length
from v3core.store.schema import Transaction


def extend(database: Database, run_id: str, episodes: int, actor: str = "user") -> None:
    """Ask a run that trains or waits to train up to `episodes`. A worker applies it between two updates.

    Raises:
        V3Error: if it has ended, is stopping, or has that length already.
    """
    now = datetime.now(UTC)
    with database.write() as tx:
        run = need_run(tx, run_id, for_update=True)
        check_length(run, episodes)
        if run.status == Status.QUEUED:
            make_longer(tx, run, episodes, actor, now)
            done = commands.add_command(tx, run_id, commands.EXTEND, actor=actor, now=now, value=str(episodes))
            commands.apply_commands(tx, run_id, ids=[done], episode=run.episode, now=now)
            return
        if run.status not in ACTIVE:
            raise V3Error(
                f"Run {run.id[:8]} '{run.name}' is {run.status}; train it longer with: "
                f"python -m v3core resume {run.id[:8]} --episodes {episodes}."
            )
        if run.status == Status.STOPPING:
            raise V3Error(f"Run {run.id[:8]} '{run.name}' is stopping; resume it with --episodes {episodes} then.")
        waiting = commands.commands_of(tx, run_id, only_open=True)
        if not any(row.kind == commands.EXTEND and row.value == str(episodes) for row in waiting):
            commands.add_command(tx, run_id, commands.EXTEND, actor=actor, now=now, value=str(episodes))


def check_length(run: RunRow, episodes: int) -> None:
    """Refuse a length that is none to train up to.

    Raises:
        V3Error: naming what the run has, and what to choose.
    """
    name = f"Run {run.id[:8]} '{run.name}'"
    if episodes <= run.episode:
        raise V3Error(f"{name} has trained {run.episode:,} episodes already; choose more than that.")
    if episodes <= run.episodes:
        raise V3Error(
            f"{name} is planned for {run.episodes:,} episodes; choose more: it can be made longer, not shorter."
        )
    if episodes > MAX_EPISODES:
        raise V3Error(f"{episodes:,} episodes are too many; choose at most {MAX_EPISODES:,}.")


def make_longer(tx: Transaction, run: RunRow, episodes: int, actor: str, now: datetime) -> None:
    """Write the new length, and the curriculum that it takes, of a run that no process trains."""
    starts = tuple(PhaseStart(change.episode, change.step) for change in phase_changes_of(tx, run.id))
    in_force = commands.curriculum_in_force(tx, run.id)
    longer = lengthened(in_force, Progress(run.episode, run.episodes, run.step, starts))
    if longer != in_force:
        commands.add_revision(tx, run.id, longer, actor=actor, now=now, applied_episode=run.episode)
    set_length(tx, run, episodes)
    message = f"To be trained up to episode {episodes}, not {run.episodes}."
    add_event(tx, run.id, actor=actor, kind="length", message=message, now=now)

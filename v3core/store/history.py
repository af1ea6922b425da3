"""What happened to a run besides its episodes: phase changes, checkpoints, and events in sentences."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import delete, exists, func, insert, select

from v3core.store.database import Database
from v3core.store.schema import HIDDEN, Transaction, checkpoints, evaluations, events, phase_changes, runs

IMPORT = "import"
"""Kind of the event that says when a run came here, and where from."""


@dataclass(frozen=True)
class PhaseChangeRow:
    """When a phase really began."""

    phase: int
    """Index of the phase, from 0."""
    name: str
    planned: int | None
    """Complete episodes at which the curriculum had it begin."""
    episode: int
    """Complete episodes at which it began."""
    step: int
    generation: int
    at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; the time is ISO 8601 with its zone."""
        return {**vars(self), "at": self.at.isoformat()}


@dataclass(frozen=True)
class CheckpointRow:
    """A checkpoint file."""

    episode: int
    """Complete episodes that it holds."""
    step: int
    path: str
    """Relative to the data folder."""
    at: datetime
    bytes: int | None = None
    """Size of the file; None where an older version wrote it."""


@dataclass(frozen=True)
class EventRow:
    """One sentence of a run's history."""

    at: datetime
    actor: str
    """`user`, `worker`, `launcher` or `supervisor`."""
    kind: str
    message: str

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; the time is ISO 8601 with its zone."""
        return {**vars(self), "at": self.at.isoformat()}


def add_event(tx: Transaction, run_id: str, *, actor: str, kind: str, message: str, now: datetime) -> None:
    """Append to a run's history."""
    tx.execute(insert(events).values(run_id=run_id, at=now, actor=actor, kind=kind, message=message))


EvaluationResult = tuple[float, int, float | None]
"""Return, length and success (None where the environment does not say) of an evaluation's episode."""


def read_events(database: Database, run_id: str) -> list[EventRow]:
    """A run's history, oldest first."""
    query = select(events.c.at, events.c.actor, events.c.kind, events.c.message)
    with database.read() as tx:
        return [EventRow(*row) for row in tx.execute(query.where(events.c.run_id == run_id).order_by(events.c.id))]


@dataclass(frozen=True)
class EndRow:
    """An end that a run came to by itself."""

    event: int
    """Its place in the history of all runs."""
    run_id: str
    name: str
    status: str
    """`completed`, `failed` or `lost`."""
    reason: str | None
    episode: int


def newest_event(database: Database) -> int:
    """The number of the newest event of all runs, 0 if there is none: where to read ends from."""
    with database.read() as tx:
        return tx.execute(select(func.max(events.c.id))).scalar_one() or 0


def read_ends(database: Database, after: int, kinds: Collection[str]) -> list[EndRow]:
    """Runs that came to an end of these kinds after event `after`, oldest first.

    A deleted run is left out, and so is what an imported run came to before it was imported.
    """
    later = events.alias()
    imported = exists().where(later.c.run_id == events.c.run_id, later.c.kind == IMPORT, later.c.id > events.c.id)
    query = (
        select(events.c.id, runs.c.id, runs.c.name, events.c.kind, runs.c.reason, runs.c.episode)
        .join(runs, runs.c.id == events.c.run_id)
        .where(events.c.id > after, events.c.kind.in_(kinds), runs.c.status != HIDDEN, ~imported)
        .order_by(events.c.id)
    )
    with database.read() as tx:
        return [EndRow(*row) for row in tx.execute(query)]


def add_phase_change(tx: Transaction, run_id: str, change: PhaseChangeRow) -> bool:
    """Record that a phase began; returns whether it is new.

    A resumed run that begins in a phase it was in before keeps the first record.
    """
    known = select(phase_changes.c.phase).where(phase_changes.c.run_id == run_id, phase_changes.c.phase == change.phase)
    if tx.execute(known).one_or_none() is not None:
        return False
    tx.execute(insert(phase_changes).values(run_id=run_id, **vars(change)))
    return True


def read_phase_changes(database: Database, run_id: str) -> list[PhaseChangeRow]:
    """The phases that began, in order."""
    with database.read() as tx:
        return phase_changes_of(tx, run_id)


def phase_changes_of(tx: Transaction, run_id: str) -> list[PhaseChangeRow]:
    """The phases that began, in order, up to the first whose row makes no sense."""
    columns = [phase_changes.c[name] for name in PhaseChangeRow.__dataclass_fields__]
    query = select(*columns).where(phase_changes.c.run_id == run_id).order_by(phase_changes.c.phase)
    rows = [PhaseChangeRow(*row) for row in tx.execute(query)]
    return list(takewhile(lambda row: _are_whole(row.phase, row.episode, row.step), rows))


def _are_whole(*values: object) -> bool:
    """Whether these are whole numbers: SQLite takes any value in any column."""
    return all(isinstance(value, int) for value in values)


def add_checkpoint(tx: Transaction, run_id: str, checkpoint: CheckpointRow) -> None:
    """Record a checkpoint file that is complete on disk; one of the same episode count is replaced."""
    remove_checkpoint(tx, run_id, checkpoint.episode)
    tx.execute(insert(checkpoints).values(run_id=run_id, **vars(checkpoint)))


def remove_checkpoint(tx: Transaction, run_id: str, episode: int) -> None:
    """Forget a checkpoint."""
    tx.execute(delete(checkpoints).where(checkpoints.c.run_id == run_id, checkpoints.c.episode == episode))


def checkpoints_of(tx: Transaction, run_id: str) -> list[CheckpointRow]:
    """A run's checkpoints, oldest first."""
    columns = [checkpoints.c[name] for name in CheckpointRow.__dataclass_fields__]
    query = select(*columns).where(checkpoints.c.run_id == run_id).order_by(checkpoints.c.episode)
    rows = [CheckpointRow(*row) for row in tx.execute(query)]
    # One whose row makes no sense is as good as none.
    return [row for row in rows if isinstance(row.path, str) and _are_whole(row.episode, row.step, row.bytes or 0)]


def read_checkpoints(database: Database, run_id: str) -> list[CheckpointRow]:
    """A run's checkpoints, oldest first."""
    with database.read() as tx:
        return checkpoints_of(tx, run_id)


def add_evaluation(
    tx: Transaction,
    run_id: str,
    *,
    episode: int,
    step: int,
    env: str,
    results: Sequence[EvaluationResult],
    now: datetime,
) -> None:
    """Record the episodes of an evaluation, numbered from 1; one of the same episode count is replaced."""
    tx.execute(delete(evaluations).where(evaluations.c.run_id == run_id, evaluations.c.episode == episode))
    tx.execute(
        insert(evaluations),
        [
            {
                "run_id": run_id,
                "episode": episode,
                "number": number,
                "step": step,
                "env": env,
                "return_": return_,
                "length": length,
                "success": success,
                "at": now,
            }
            for number, (return_, length, success) in enumerate(results, start=1)
        ],
    )

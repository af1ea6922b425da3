"""What happened to a run besides its episodes: phase changes, checkpoints, and events in sentences."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select

from v3core.store.database import Database, Transaction
from v3core.store.schema import checkpoints, evaluations, events, phase_changes


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


def add_event(tx: Transaction, run_id: str, *, actor: str, kind: str, message: str, now: datetime) -> None:
    """Append to a run's history."""
    tx.execute(insert(events).values(run_id=run_id, at=now, actor=actor, kind=kind, message=message))


EvaluationResult = tuple[float, int, float | None]
"""Return, length and success (None where the environment does not say) of an evaluation's episode."""


def read_events(db: Database, run_id: str) -> list[EventRow]:
    """A run's history, oldest first."""
    query = select(events.c.at, events.c.actor, events.c.kind, events.c.message)
    with db.read() as tx:
        return [EventRow(*row) for row in tx.execute(query.where(events.c.run_id == run_id).order_by(events.c.id))]


def add_phase_change(tx: Transaction, run_id: str, change: PhaseChangeRow) -> bool:
    """Record that a phase began; returns whether it is new.

    A resumed run that begins in a phase it was in before keeps the first record.
    """
    known = select(phase_changes.c.phase).where(phase_changes.c.run_id == run_id, phase_changes.c.phase == change.phase)
    if tx.execute(known).one_or_none() is not None:
        return False
    tx.execute(insert(phase_changes).values(run_id=run_id, **vars(change)))
    return True


def read_phase_changes(db: Database, run_id: str) -> list[PhaseChangeRow]:
    """The phases that began, in order."""
    columns = [phase_changes.c[name] for name in PhaseChangeRow.__dataclass_fields__]
    query = select(*columns).where(phase_changes.c.run_id == run_id).order_by(phase_changes.c.phase)
    with db.read() as tx:
        return [PhaseChangeRow(*row) for row in tx.execute(query)]


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
    return [CheckpointRow(*row) for row in tx.execute(query)]


def read_checkpoints(db: Database, run_id: str) -> list[CheckpointRow]:
    """A run's checkpoints, oldest first."""
    with db.read() as tx:
        return checkpoints_of(tx, run_id)


def newest_checkpoints(db: Database, run_ids: Collection[str]) -> dict[str, CheckpointRow]:
    """Run id to its newest checkpoint, for those of these runs that have one."""
    columns = [checkpoints.c[name] for name in CheckpointRow.__dataclass_fields__]
    query = select(checkpoints.c.run_id, *columns).where(checkpoints.c.run_id.in_(run_ids))
    if not run_ids:
        return {}
    with db.read() as tx:  # in the order of the key: of each run the newest comes last
        rows = tx.execute(query.order_by(checkpoints.c.run_id, checkpoints.c.episode))
        return {run_id: CheckpointRow(*row) for run_id, *row in rows}


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

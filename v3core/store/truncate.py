"""Taking a run back to a checkpoint, so that its curve goes on without a zigzag."""

from datetime import datetime

from sqlalchemy import delete, select, update

from v3core.store.commands import APPLIED
from v3core.store.pace import recent_returns
from v3core.store.rollups import cut_rollups
from v3core.store.schema import (
    Transaction,
    checkpoints,
    episodes,
    evaluations,
    expert_loads,
    phase_changes,
    revisions,
    runs,
)


def truncate(
    tx: Transaction, run_id: str, *, episode: int, step: int, now: datetime, phases: int = 0, evaluated: int = 0
) -> int:
    """Delete what was recorded beyond a checkpoint, and set the run's numbers back to it.

    What is deleted is what training from that checkpoint records again, no more and no less.

    Args:
        tx: a writing transaction.
        run_id: full id.
        episode: complete episodes of the checkpoint; 0 begins again.
        step: environment steps of the checkpoint.
        now: the time.
        phases: how many phases had begun at the checkpoint; others may have begun at the same episode since.
        evaluated: complete episodes at its newest evaluation.

    Returns:
        How many episodes were deleted.
    """
    for table in (expert_loads, checkpoints):
        tx.execute(delete(table).where(table.c.run_id == run_id, table.c.episode > episode))
    tx.execute(delete(evaluations).where(evaluations.c.run_id == run_id, evaluations.c.episode > evaluated))
    tx.execute(delete(phase_changes).where(phase_changes.c.run_id == run_id, phase_changes.c.phase >= phases))
    deleted = tx.execute(delete(episodes).where(episodes.c.run_id == run_id, episodes.c.episode > episode)).rowcount
    cut_rollups(tx, run_id, episode)
    # An edit applied in the deleted part stays in force: from the checkpoint on.
    tx.execute(
        update(revisions)
        .where(revisions.c.run_id == run_id, revisions.c.state == APPLIED, revisions.c.applied_episode > episode)
        .values(applied_episode=episode, decided_at=now)
    )
    newest_phase = (
        select(phase_changes.c.name)
        .where(phase_changes.c.run_id == run_id)
        .order_by(phase_changes.c.phase.desc())
        .limit(1)
    )
    returns = recent_returns(tx, run_id)
    tx.execute(
        update(runs)
        .where(runs.c.id == run_id)
        .values(
            episode=episode,
            step=step,
            phase=tx.execute(newest_phase).scalar_one_or_none(),
            latest_return=returns.latest,
            mean_return=returns.mean,
            steps_per_second=None,
            episodes_per_second=None,
            # Whoever has read the deleted rows must read anew.
            generation=runs.c.generation + (1 if deleted else 0),
        )
    )
    return deleted

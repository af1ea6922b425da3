"""Taking a run back to a checkpoint, so that its curve goes on without a zigzag."""

from datetime import datetime

from sqlalchemy import delete, select, update

from v3core.store.commands import APPLIED
from v3core.store.database import Transaction
from v3core.store.recent import recent_returns
from v3core.store.rollups import cut_rollups
from v3core.store.schema import checkpoints, episodes, evaluations, expert_loads, phase_changes, revisions, runs


def truncate(tx: Transaction, run_id: str, *, episode: int, step: int, now: datetime) -> int:
    """Delete what was recorded beyond `episode`, and set the run's numbers back to it.

    Args:
        tx: a writing transaction.
        run_id: full id.
        episode: complete episodes of the checkpoint; 0 begins again.
        step: environment steps of the checkpoint.
        now: the time.

    Returns:
        How many episodes were deleted.
    """
    for table in (expert_loads, evaluations, phase_changes, checkpoints):
        tx.execute(delete(table).where(table.c.run_id == run_id, table.c.episode > episode))
    deleted = tx.execute(delete(episodes).where(episodes.c.run_id == run_id, episodes.c.episode > episode)).rowcount
    cut_rollups(tx, run_id, episode)
    if episode == 0:
        tx.execute(delete(phase_changes).where(phase_changes.c.run_id == run_id))
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

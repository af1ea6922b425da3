"""Keeping the rows that forks begin with, when the run that they belong to is deleted or taken back to before them."""

import uuid

from sqlalchemy import and_, delete, func, insert, select, update

from v3core.store.rollups import LEVELS, full_rows
from v3core.store.schema import (
    TRUNK,
    Transaction,
    alarms,
    checkpoints,
    commands,
    episodes,
    evaluation_experts,
    evaluations,
    events,
    expert_loads,
    knockouts,
    phase_changes,
    process_samples,
    revisions,
    rollups,
    runs,
    state_maps,
)
from v3core.store.trunks import BY_EVALUATION

_OF_ITS_LIFE = (alarms, checkpoints, commands, events, phase_changes, process_samples, revisions)
"""Tables that no fork reads in its trunk."""


def forks_need(tx: Transaction, run_id: str) -> int | None:
    """Up to which episode forks need the rows of a run; None if there are no forks that read them."""
    query = select(func.max(runs.c.parent_episode)).where(runs.c.trunk == run_id)
    return tx.execute(query).scalar_one_or_none()


def keep_trunk(tx: Transaction, run_id: str, *, episode: int, evaluated: int) -> None:
    """Before a run's own rows beyond `episode` are deleted: move those that forks begin with to a run of their own.

    Args:
        tx: a writing transaction.
        run_id: full id.
        episode: complete episodes up to which the run keeps its rows.
        evaluated: up to which of them it keeps evaluations.
    """
    cut_off = and_(runs.c.trunk == run_id, runs.c.parent_episode > episode)
    needed = tx.execute(select(func.max(runs.c.parent_episode)).where(cut_off)).scalar_one_or_none()
    if needed is None:
        return
    kept = str(uuid.uuid4())
    values = dict(tx.execute(select(runs).where(runs.c.id == run_id)).mappings().one())
    begin = {"trunk": run_id, "parent_episode": episode, "parent_evaluated": evaluated, "parent": run_id}
    tx.execute(
        insert(runs).values({**values, "id": kept, "status": TRUNK, **begin, "webhook": None, "experiment": None})
    )
    for table in (episodes, expert_loads, knockouts, evaluations, evaluation_experts, state_maps):
        after = evaluated if table.name in BY_EVALUATION else episode
        mine = (table.c.run_id == run_id, table.c.episode > after, table.c.episode <= needed)
        tx.execute(update(table).where(*mine).values(run_id=kept))
    for size in LEVELS:
        c = rollups.c
        span = (c.number >= full_rows(episode, size), c.number < full_rows(needed, size))
        tx.execute(update(rollups).where(c.run_id == run_id, c.size == size, *span).values(run_id=kept))
    tx.execute(update(runs).where(cut_off).values(trunk=kept))


def become_trunk(tx: Transaction, run_id: str) -> None:
    """Leave of a run, which is hidden, what its forks begin with; its episodes beyond that are deleted already."""
    for table in _OF_ITS_LIFE:
        tx.execute(delete(table).where(table.c.run_id == run_id))
    tx.execute(update(runs).where(runs.c.id == run_id).values(status=TRUNK, webhook=None, experiment=None))

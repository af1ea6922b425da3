"""Which ends of runs are still to be told, and by whom; the column `runs.webhook`."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, or_, select, update

from v3core.store.history import add_event
from v3core.store.run_row import RunRow
from v3core.store.runs import UnknownRunError, need_run
from v3core.store.schema import Transaction, events, runs

DUE, CALLING, CALLED, FAILED = "due", "calling", "called", "failed"
NOTICE = "notice"
"""Actor and kind of the events."""
CLAIM_SECONDS = 60.0
"""Whoever claimed a notice and has said nothing for so long died over it."""


def notices_due(tx: Transaction, statuses: Collection[str], *, now: datetime) -> list[str]:
    """Ids of the runs whose end is to be told and that nobody is telling just now, the first ended first."""
    query = select(runs.c.id).where(runs.c.status.in_(statuses), _is_free(now)).order_by(runs.c.ended_at, runs.c.id)
    return list(tx.execute(query).scalars())


def claim_notice(
    tx: Transaction, run_id: str, statuses: Collection[str], *, message: str, now: datetime
) -> RunRow | None:
    """Take it upon this process to tell the end of a run; None if another was quicker, or the run goes on.

    Args:
        tx: a writing transaction.
        run_id: full id.
        statuses: the ends that are told.
        message: for the run's history, which also says since when it is claimed.
        now: the time.
    """
    try:
        run = need_run(tx, run_id, for_update=True)  # so that what follows sees what others have committed
    except UnknownRunError:
        return None
    query = update(runs).where(runs.c.id == run_id, runs.c.status.in_(statuses), _is_free(now))
    if tx.execute(query.values(webhook=CALLING)).rowcount != 1:
        return None
    add_event(tx, run_id, actor=NOTICE, kind=NOTICE, message=message, now=now)
    return run


def settle_notice(tx: Transaction, run_id: str, *, state: str, message: str, now: datetime) -> None:
    """Write what came of a claim; a run that has ended anew meanwhile stays due, a deleted one is left alone."""
    query = update(runs).where(runs.c.id == run_id, runs.c.webhook == CALLING).values(webhook=state)
    if tx.execute(query).rowcount == 1:
        add_event(tx, run_id, actor=NOTICE, kind=NOTICE, message=message, now=now)


def _is_free(now: datetime) -> ColumnElement[bool]:
    claimed = exists().where(
        events.c.run_id == runs.c.id,
        events.c.kind == NOTICE,
        # Not after now either: the clock may have jumped back since.
        events.c.at.between(now - timedelta(seconds=CLAIM_SECONDS), now + timedelta(seconds=CLAIM_SECONDS)),
    )
    return or_(runs.c.webhook == DUE, and_(runs.c.webhook == CALLING, ~claimed))

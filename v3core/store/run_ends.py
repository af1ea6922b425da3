"""Ends of runs that are reported: on pages, and to the webhook.

The state of the webhook request is in the column `runs.webhook`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update

from v3core.store.database import Database
from v3core.store.history import IMPORT, add_event
from v3core.store.run_row import RunRow
from v3core.store.runs import UnknownRunError, get_run
from v3core.store.schema import HIDDEN, Transaction, events, runs

DUE, CALLING, CALLED, FAILED = "due", "calling", "called", "failed"
NOTICE = "notice"
"""Actor and kind of the events."""
CLAIM_SECONDS = 60.0
"""A claim on a notice expires after this time: its process must have died."""


@dataclass(frozen=True)
class EndRow:
    """The end of a run that was not requested."""

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

    Deleted runs are skipped, and so are events of an imported run from before the import.
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


def notices_due(tx: Transaction, statuses: Collection[str], *, now: datetime) -> list[str]:
    """Ids of the runs whose end is due for the webhook and not claimed, the earliest end first."""
    query = select(runs.c.id).where(runs.c.status.in_(statuses), _is_free(now)).order_by(runs.c.ended_at, runs.c.id)
    return list(tx.execute(query).scalars())


def claim_notice(
    tx: Transaction, run_id: str, statuses: Collection[str], *, message: str, now: datetime
) -> RunRow | None:
    """Claim the webhook request for the end of a run; None if another process was faster, or the run was resumed.

    Args:
        tx: a writing transaction.
        run_id: full id.
        statuses: the ends that are reported.
        message: for the run's history, which also says since when it is claimed.
        now: the time.
    """
    try:
        run = get_run(tx, run_id, for_update=True)  # so that what follows sees what others have committed
    except UnknownRunError:
        return None
    query = update(runs).where(runs.c.id == run_id, runs.c.status.in_(statuses), _is_free(now))
    if tx.execute(query.values(webhook=CALLING)).rowcount != 1:
        return None
    add_event(tx, run_id, actor=NOTICE, kind=NOTICE, message=message, now=now)
    return run


def settle_notice(tx: Transaction, run_id: str, *, state: str, message: str, now: datetime) -> None:
    """Record the result of a claim; a run that has ended again meanwhile stays due, a deleted one is ignored."""
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

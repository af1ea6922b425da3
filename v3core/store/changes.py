"""Whether anything was committed since the last poll, and the dependencies of pages as comparable values."""

from collections.abc import Hashable
from datetime import UTC, datetime

from sqlalchemy import Connection, func, select

from v3core.store import dialect
from v3core.store.database import Database
from v3core.store.schema import (
    Transaction,
    alarms,
    checkpoints,
    commands,
    episodes,
    evaluations,
    events,
    knockouts,
    phase_changes,
    revisions,
    runs,
)


class Probe:
    """Polls one database as cheaply as possible; for one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None

    def look(self) -> Hashable:
        """A value that differs from that of the look before if any process has committed anything since.

        It may differ without that, as on a PostgreSQL server where another database is written.

        Raises:
            V3Error: if the database cannot be used; the next look tries again.
        """
        with self._database.explained():
            try:
                if self._connection is None:
                    self._connection = self._database.connect()
                return dialect.change_token(self._connection)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_OF_EVERY_EPISODE = frozenset(
    {
        "episode",
        "step",
        "latest_return",
        "mean_return",
        "steps_per_second",
        "episodes_per_second",
        "heartbeat_at",
        "heartbeat_due_at",
        "rollout_at",
        "watched",
    }
)
"""What changes in the row of a run while nothing happens but that it trains."""
SILENT_SECONDS = 30
"""A running worker that has not ended a rollout for so long is spoken of."""


def state_of_run(database: Database, run_id: str) -> Hashable:
    """All that pages show of one run, as far as it changes: its row, and how many of everything else there are.

    Raises:
        V3Error: if the database cannot be used.
    """
    with database.read() as tx:
        row = tx.execute(select(runs).where(runs.c.id == run_id)).one_or_none()
        return (None if row is None else tuple(row), _counts(tx, run_id))


def milestones_of_run(database: Database, run_id: str) -> Hashable:
    """What changes seldom of one run: its row without what every episode changes, and how many of all else there are.

    Raises:
        V3Error: if the database cannot be used.
    """
    with database.read() as tx:
        row = tx.execute(select(runs).where(runs.c.id == run_id)).mappings().one_or_none()
        if row is None:
            return None
        newest = tx.execute(
            select(episodes.c.routing, episodes.c.env, episodes.c.rollbacks, episodes.c.success.is_not(None)).where(
                episodes.c.run_id == run_id, episodes.c.episode == row["episode"]
            )
        ).one_or_none()
        seldom = tuple(value for name, value in row.items() if name not in _OF_EVERY_EPISODE)
        since = row["rollout_at"] or row["started_at"]
        is_silent = since is not None and (datetime.now(UTC) - since).total_seconds() > SILENT_SECONDS
        return (seldom, None if newest is None else tuple(newest), is_silent, _counts(tx, run_id))


def recorded_of_run(database: Database, run_id: str) -> Hashable:
    """What is recorded of one run, as far as it changes.

    Raises:
        V3Error: if the database cannot be used.
    """
    parts = (
        select(func.max(evaluations.c.episode)).where(evaluations.c.run_id == run_id),
        select(func.count(phase_changes.c.at)).where(phase_changes.c.run_id == run_id),
        select(func.max(revisions.c.id)).where(revisions.c.run_id == run_id),
        select(func.count(revisions.c.decided_at)).where(revisions.c.run_id == run_id),
    )
    row = select(
        *(runs.c[name] for name in ("name", "status", "generation", "episodes", "episode")),
        *(part.scalar_subquery() for part in parts),
    )
    with database.read() as tx:
        found = tx.execute(row.where(runs.c.id == run_id)).one_or_none()
        return None if found is None else tuple(found)


def _counts(tx: Transaction, run_id: str) -> Hashable:
    parts = [
        select(func.max(events.c.id)).where(events.c.run_id == run_id),
        # Its value changes with every episode, its evidence only if another expert is dead.
        select(func.max(alarms.c.detail)).where(alarms.c.run_id == run_id, alarms.c.rule == "dead_expert"),
        *(
            select(function(column)).where(table.c.run_id == run_id)
            for table, function, column in (
                (commands, func.max, commands.c.id),
                (commands, func.count, commands.c.acknowledged_at),
                (commands, func.count, commands.c.applied_at),
                (commands, func.count, commands.c.rejected_reason),
                (revisions, func.max, revisions.c.id),
                (revisions, func.count, revisions.c.decided_at),
                (checkpoints, func.max, checkpoints.c.at),
                (checkpoints, func.count, checkpoints.c.at),
                (evaluations, func.max, evaluations.c.episode),
                (knockouts, func.max, knockouts.c.at),
                (phase_changes, func.max, phase_changes.c.at),
                (alarms, func.max, alarms.c.number),
                (alarms, func.count, alarms.c.cleared_at),
                (alarms, func.count, alarms.c.reason),
            )
        ),
    ]
    return tuple(tx.execute(select(*(part.scalar_subquery() for part in parts))).one())

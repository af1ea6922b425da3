"""Whether anything was committed since the last poll, and the dependencies of pages as comparable values."""

from collections.abc import Hashable

from sqlalchemy import Connection, func, select

from v3core.store import dialect
from v3core.store.database import Database
from v3core.store.schema import (
    checkpoints,
    commands,
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


def state_of_run(database: Database, run_id: str) -> Hashable:
    """All that pages show of one run, as far as it changes: its row, and how many of everything else there are.

    Raises:
        V3Error: if the database cannot be used.
    """
    parts = [
        select(func.max(events.c.id)).where(events.c.run_id == run_id),
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
            )
        ),
    ]
    with database.read() as tx:
        row = tx.execute(select(runs).where(runs.c.id == run_id)).one_or_none()
        counts = tx.execute(select(*(part.scalar_subquery() for part in parts))).one()
    return (None if row is None else tuple(row), tuple(counts))

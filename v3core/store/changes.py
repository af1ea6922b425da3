"""Whether anything was committed since the last poll, and the dependencies of pages as comparable values."""

from collections.abc import Hashable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, Select, Table, bindparam, func, select

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
        return (_of_one(tx, _ROW, run_id), _of_one(tx, _COUNTS, run_id))


def row_of_run(database: Database, run_id: str) -> Hashable:
    """The row of one run, None if it is not there.

    Raises:
        V3Error: if the database cannot be used.
    """
    with database.read() as tx:
        return _of_one(tx, _ROW, run_id)


def state_of_experiment(database: Database, name: str) -> Hashable:
    """The rows of an experiment's runs.

    Raises:
        V3Error: if the database cannot be used.
    """
    with database.read() as tx:
        return tuple(map(tuple, tx.execute(_OF_EXPERIMENT, {"experiment": name})))


def milestones_of_run(database: Database, run_id: str) -> Hashable:
    """What changes seldom of one run: its row without what every episode changes, and how many of all else there are.

    Raises:
        V3Error: if the database cannot be used.
    """
    of_it = {"run": run_id}
    with database.read() as tx:
        row = tx.execute(_ROW, of_it).mappings().one_or_none()
        if row is None:
            return None
        newest = tx.execute(_NEWEST_EPISODE, of_it | {"episode": row["episode"]}).one_or_none()
        seldom = tuple(value for name, value in row.items() if name not in _OF_EVERY_EPISODE)
        since = row["rollout_at"] or row["started_at"]
        is_silent = since is not None and (datetime.now(UTC) - since).total_seconds() > SILENT_SECONDS
        counts = tuple(tx.execute(_COUNTS, of_it).one())
        return (seldom, None if newest is None else tuple(newest), is_silent, counts)


def recorded_of_run(database: Database, run_id: str) -> Hashable:
    """What is recorded of one run and marked on its charts, as far as it changes.

    Raises:
        V3Error: if the database cannot be used.
    """
    with database.read() as tx:
        return _of_one(tx, _RECORDED, run_id)


def _of_one(tx: Transaction, query: Select[Any], run_id: str) -> tuple[Any, ...] | None:
    """The row that a query has of a run; None if there is none."""
    found = tx.execute(query, {"run": run_id}).one_or_none()
    return None if found is None else tuple(found)


# Built once: that takes longer than to execute them, and a watched run is asked about twice a second.


def _of_run(table: Table, value: ColumnElement[Any], *where: ColumnElement[bool]) -> ScalarSelect[Any]:
    return select(value).where(table.c.run_id == bindparam("run"), *where).scalar_subquery()


_ROW = select(runs).where(runs.c.id == bindparam("run"))
_OF_EXPERIMENT = (
    select(*(column for column in runs.c if column.name not in {"config", "launch", "traceback"}))
    .where(runs.c.experiment == bindparam("experiment"))
    .order_by(runs.c.id)
)
_NEWEST_EPISODE = select(
    episodes.c.routing, episodes.c.env, episodes.c.rollbacks, episodes.c.success.is_not(None)
).where(episodes.c.run_id == bindparam("run"), episodes.c.episode == bindparam("episode"))
_ALARMS = (
    _of_run(alarms, func.max(alarms.c.number)),
    _of_run(alarms, func.count(alarms.c.cleared_at)),
    _of_run(alarms, func.count(alarms.c.reason)),
)
_REVISIONS = (
    _of_run(revisions, func.max(revisions.c.id)),
    _of_run(revisions, func.count(revisions.c.decided_at)),
)
_RECORDED = select(
    *(runs.c[name] for name in ("name", "status", "generation", "episodes", "episode")),
    _of_run(evaluations, func.max(evaluations.c.episode)),
    _of_run(phase_changes, func.count(phase_changes.c.at)),
    *_REVISIONS,
    *_ALARMS,
).where(runs.c.id == bindparam("run"))
_COUNTS = select(
    _of_run(events, func.max(events.c.id)),
    # Its value changes with every episode, its evidence only if another expert is dead.
    _of_run(alarms, func.max(alarms.c.detail), alarms.c.rule == "dead_expert"),
    _of_run(commands, func.max(commands.c.id)),
    _of_run(commands, func.count(commands.c.acknowledged_at)),
    _of_run(commands, func.count(commands.c.applied_at)),
    _of_run(commands, func.count(commands.c.rejected_reason)),
    *_REVISIONS,
    _of_run(checkpoints, func.max(checkpoints.c.at)),
    _of_run(checkpoints, func.count(checkpoints.c.at)),
    _of_run(evaluations, func.max(evaluations.c.episode)),
    _of_run(knockouts, func.max(knockouts.c.at)),
    _of_run(phase_changes, func.max(phase_changes.c.at)),
    *_ALARMS,
)

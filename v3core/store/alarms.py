"""Alarms of runs: raised and cleared by a run's worker, muted by people, read by pages and commands."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import select

from v3core.store.bulk import floats
from v3core.store.database import Database, reading
from v3core.store.schema import HIDDEN, Transaction, alarms, runs

ACTIVE, CLEARED, MUTED = "active", "cleared", "muted"
STATES = (ACTIVE, CLEARED, MUTED)


@dataclass(frozen=True)
class AlarmRow:
    """Something that went wrong with a run, by a rule of `v3core.insight.alarms`."""

    number: int
    """From 1, in the order in which they were raised; 0 if it is not stored, because it was computed on demand."""
    rule: str
    phase: str
    """Name of the phase in which it was raised."""
    first_episode: int
    """The episode at which the rule held at first."""
    last_episode: int
    """The newest at which it held."""
    value: float | None
    """What the rule measures, at that episode."""
    threshold: float | None
    """The limit that it was beyond."""
    state: str
    """One of `STATES`."""
    detail: str
    """The evidence, one sentence without a full stop."""
    reason: str | None = None
    """Why it was muted."""

    def to_dict(self) -> dict[str, Any]:
        """For the command line."""
        return dict(vars(self))


_FIELDS = [field.name for field in fields(AlarmRow)]


def read_alarms(source: Database | Transaction, run_id: str) -> list[AlarmRow]:
    """All alarms of a run, oldest first."""
    query = select(*(alarms.c[name] for name in _FIELDS)).where(alarms.c.run_id == run_id).order_by(alarms.c.number)
    with reading(source) as tx:
        return [_row(row) for row in tx.execute(query)]


def active_alarms(source: Database | Transaction) -> dict[str, list[AlarmRow]]:
    """The active alarms of all runs, by run, oldest first; runs without any are left out."""
    query = (
        select(alarms.c.run_id, *(alarms.c[name] for name in _FIELDS))
        .join(runs, runs.c.id == alarms.c.run_id)
        .where(alarms.c.state == ACTIVE, runs.c.status != HIDDEN)
        .order_by(alarms.c.run_id, alarms.c.number)
    )
    found: dict[str, list[AlarmRow]] = defaultdict(list)
    with reading(source) as tx:
        for run_id, *row in tx.execute(query):
            found[run_id].append(_row(row))
    return dict(found)


def _row(values: Sequence[Any]) -> AlarmRow:
    row = AlarmRow(*values)
    numbers = floats([row.value, row.threshold]).tolist()
    value, threshold = (None if number != number else number for number in numbers)
    return AlarmRow(**vars(row) | {"value": value, "threshold": threshold})

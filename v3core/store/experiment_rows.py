"""How experiments were launched: rows of the table `experiments`, by the text in `runs.experiment`."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select

from v3core.store.schema import UNREADABLE_TIME, Transaction, experiments, runs


@dataclass(frozen=True)
class ExperimentRow:
    """The record of an experiment."""

    name: str
    created_at: datetime | None
    launches: tuple[dict[str, Any], ...]
    """What was asked for at each launch; see `v3core.jobs.grid.Grid.to_dict`."""


def read_experiments(tx: Transaction) -> dict[str, ExperimentRow]:
    """The records of all experiments, by name."""
    return {row.name: _row(*row) for row in tx.execute(_QUERY)}


def read_experiment(tx: Transaction, name: str) -> ExperimentRow | None:
    """The record of an experiment; None for one without, as those made before there were records."""
    row = tx.execute(_QUERY.where(experiments.c.name == name)).one_or_none()
    return None if row is None else _row(*row)


_QUERY = select(experiments.c.name, experiments.c.created_at, experiments.c.spec)


def _row(name: str, created_at: datetime | None, spec: str | None) -> ExperimentRow:
    return ExperimentRow(name, None if created_at == UNREADABLE_TIME else created_at, _launches(spec))


def _launches(spec: str | None) -> tuple[dict[str, Any], ...]:
    """Those of a row, which other programs can write to; none if it makes no sense."""
    try:
        launches = json.loads(spec or "[]")
    except ValueError:
        return ()
    return tuple(launch for launch in launches if isinstance(launch, dict)) if isinstance(launches, list) else ()


def record_launch(tx: Transaction, name: str, launch: dict[str, Any], now: datetime) -> None:
    """Add a launch to the record of an experiment, before its runs are added."""
    known = read_experiment(tx, name)
    is_there = tx.execute(select(runs.c.id).where(runs.c.experiment == name).limit(1)).first() is not None
    if known is None and is_there:
        return  # how its first runs were launched is not known, so that a record would be wrong
    launches = [*(known.launches if known and is_there else ()), launch]
    created_at = known.created_at if known and is_there else now
    tx.execute(delete(experiments).where(experiments.c.name == name))
    tx.execute(insert(experiments).values(name=name, created_at=created_at, spec=json.dumps(launches)))


def remove_empty(tx: Transaction) -> None:
    """Delete the records of experiments of which no run is left."""
    left = select(runs.c.experiment).where(runs.c.experiment == experiments.c.name)
    tx.execute(delete(experiments).where(~left.exists()))

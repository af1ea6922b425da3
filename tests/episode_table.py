"""Every episode that is recorded of a run, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import String, select

from v3core.store.bulk import floats
from v3core.store.database import Database
from v3core.store.runs import get_run
from v3core.store.schema import UtcDateTime, episodes, expert_loads

_COLUMNS = {column.name: column for column in episodes.c if column.name != "run_id"}
EPISODE_COLUMNS = tuple(_COLUMNS)


@dataclass(frozen=True)
class EpisodeTable:
    """Episodes in the order of their numbers; a number that the database lacks is NaN."""

    columns: dict[str, np.ndarray]
    loads: np.ndarray
    """[n, experts], as the other two."""
    hard_loads: np.ndarray
    expert_grad_norms: np.ndarray

    def __len__(self) -> int:
        return len(self.columns["episode"])

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[column]

    @property
    def last(self) -> int:
        """Number of the newest episode, 0 if there is none."""
        return int(self.columns["episode"][-1]) if len(self) else 0


def read_episodes(db: Database, run_id: str) -> EpisodeTable:
    """All episodes of a run, with every expert's load of each."""
    with db.read() as tx:
        experts = get_run(tx, run_id).experts
        query = select(*_COLUMNS.values()).where(episodes.c.run_id == run_id).order_by(episodes.c.episode)
        rows = tx.execute(query).all()
        loads = select(expert_loads.c.load, expert_loads.c.hard_load, expert_loads.c.grad_norm)
        loads = loads.where(expert_loads.c.run_id == run_id).order_by(expert_loads.c.episode, expert_loads.c.expert)
        shares = floats([tuple(row) for row in tx.execute(loads)])
    assert len(shares) == len(rows) * experts
    values = zip(*rows, strict=True) if rows else ((),) * len(_COLUMNS)
    return EpisodeTable(
        {name: _array(name, column) for name, column in zip(_COLUMNS, values, strict=True)},
        *np.moveaxis(shares.reshape(len(rows), experts, 3), 2, 0),
    )


def _array(name: str, values: Sequence[Any]) -> np.ndarray:
    kind = _COLUMNS[name].type
    if isinstance(kind, String | UtcDateTime):
        return np.array(values, dtype=object)
    if kind.python_type is int and all(isinstance(value, int) for value in values):
        return np.array(values, dtype=np.int64)
    return floats(values)

"""Reading what was recorded, by cursor: only what is new since the last look."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import String, select

from v3core.errors import V3Error
from v3core.store.bulk import floats
from v3core.store.commands import RevisionRow, read_revisions
from v3core.store.database import Database
from v3core.store.history import (
    CheckpointRow,
    EventRow,
    PhaseChangeRow,
    read_checkpoints,
    read_events,
    read_phase_changes,
)
from v3core.store.runs import need_run
from v3core.store.schema import Transaction, UtcDateTime, episodes, evaluations, expert_loads

__all__ = [
    "EPISODE_COLUMNS",
    "CheckpointRow",
    "EpisodeTable",
    "EvaluationRow",
    "EventRow",
    "PhaseChangeRow",
    "RevisionRow",
    "read_checkpoints",
    "read_episodes",
    "read_evaluations",
    "read_events",
    "read_phase_changes",
    "read_revisions",
]

_COLUMNS = {column.name: column for column in episodes.c if column.name != "run_id"}

EPISODE_COLUMNS = tuple(_COLUMNS)
"""Columns of an `EpisodeTable`, in the order of the table `episodes`."""


@dataclass(frozen=True)
class EpisodeTable:
    """Episodes as columns, in the order of their numbers."""

    columns: Mapping[str, NDArray[Any]]
    """Column name to [n]: integers, float64 (a number the database lacks is NaN), or objects (text, datetime)."""
    loads: NDArray[np.float64]
    """[n, experts]: mean gate weight per expert; each row sums to 1."""
    hard_loads: NDArray[np.float64]
    """[n, experts]: share of the steps at which the expert had the largest weight."""
    expert_grad_norms: NDArray[np.float64]
    """[n, experts]: norm of the gradient of the expert's parameters."""

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.columns["episode"])

    def __getitem__(self, column: str) -> NDArray[Any]:
        """One column."""
        return self.columns[column]

    @property
    def last(self) -> int:
        """Number of the newest episode, 0 if there is none: the cursor for the next read."""
        return int(self.columns["episode"][-1]) if len(self) else 0

    def followed_by(self, newer: "EpisodeTable") -> "EpisodeTable":
        """Both tables as one; `newer` was read with the same columns and `after=self.last`."""
        return EpisodeTable(
            {name: np.concatenate([column, newer.columns[name]]) for name, column in self.columns.items()},
            np.concatenate([self.loads, newer.loads]),
            np.concatenate([self.hard_loads, newer.hard_loads]),
            np.concatenate([self.expert_grad_norms, newer.expert_grad_norms]),
        )


def read_episodes(
    database: Database,
    run_id: str,
    after: int = 0,
    limit: int | None = None,
    columns: Sequence[str] = EPISODE_COLUMNS,
    loads: bool = True,
) -> EpisodeTable:
    """The episodes whose number is greater than `after`, oldest first.

    A resumed run may replace episodes that were read before: read from 0 again when `RunRow.generation` has changed.

    Args:
        database: an open store.
        run_id: full id.
        after: the cursor: `EpisodeTable.last` of the table read before.
        limit: at most so many episodes.
        columns: the columns wanted; `episode` is always there. Fewer are faster.
        loads: whether the experts' loads are wanted; without them they have shape [n, 0].

    Raises:
        V3Error: if there is no such run.
    """
    wanted = ["episode", *(name for name in columns if name != "episode")]
    query = select(*(_COLUMNS[name] for name in wanted))
    query = query.where(episodes.c.run_id == run_id, episodes.c.episode > after).order_by(episodes.c.episode)
    with database.read() as tx:
        experts = need_run(tx, run_id).experts if loads else 0
        rows = tx.execute(query.limit(limit)).all()
        shares: Sequence[Any] = ()
        if loads and rows:
            share_query = (
                select(expert_loads.c.load, expert_loads.c.hard_load, expert_loads.c.grad_norm)
                .where(expert_loads.c.run_id == run_id)
                .where(expert_loads.c.episode > after, expert_loads.c.episode <= rows[-1][0])
                .order_by(expert_loads.c.episode, expert_loads.c.expert)
            )
            # Straight from the driver: tuples become an array ten times as fast as SQLAlchemy's rows do.
            cursor = tx.execute(share_query).cursor
            shares = cursor.fetchall() if cursor is not None else ()
    if len(shares) != len(rows) * experts:
        raise V3Error(f"Run {run_id} has {len(shares)} expert loads for {len(rows)} episodes of {experts} experts.")
    values = zip(*rows, strict=True) if rows else ((),) * len(wanted)
    per_expert = floats(shares).reshape(len(rows), experts, 3)
    return EpisodeTable(
        {name: _array(name, column) for name, column in zip(wanted, values, strict=True)},
        *(per_expert[:, :, column] for column in range(3)),
    )


@dataclass(frozen=True)
class EvaluationRow:
    """One evaluation: its episodes' results, in the order of their numbers."""

    episode: int
    """Complete training episodes at the time."""
    step: int
    env: str
    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    successes: tuple[float | None, ...]

    @property
    def mean_return(self) -> float:
        """Mean over its episodes."""
        return float(np.mean(self.returns))

    def to_dict(self) -> dict[str, Any]:
        """For exports."""
        return dict(vars(self))


def read_evaluations(database: Database, run_id: str, after: int = 0) -> list[EvaluationRow]:
    """A run's evaluations taken at an episode greater than `after`, oldest first."""
    with database.read() as tx:
        return evaluations_of(tx, run_id, after)


def evaluations_of(tx: Transaction, run_id: str, after: int = 0) -> list[EvaluationRow]:
    """A run's evaluations taken at an episode greater than `after`, oldest first."""
    c = evaluations.c
    query = select(c.episode, c.step, c.env, c.return_, c.length, c.success)
    rows = tx.execute(query.where(c.run_id == run_id, c.episode > after).order_by(c.episode, c.number)).all()
    found: list[EvaluationRow] = []
    for (episode, step, env), group in groupby(rows, key=lambda row: tuple(row[:3])):
        returns, lengths, successes = zip(*(row[3:] for row in group), strict=True)
        known = [None if math.isnan(value) else value for value in floats(successes).tolist()]
        found.append(EvaluationRow(episode, step, str(env), tuple(floats(returns).tolist()), lengths, tuple(known)))
    return found


def _array(name: str, values: Sequence[Any]) -> NDArray[Any]:
    kind = _COLUMNS[name].type
    if isinstance(kind, String | UtcDateTime):
        return np.array(values, dtype=object)
    if kind.python_type is int and all(isinstance(value, int) for value in values):
        return np.array(values, dtype=np.int64)
    return floats(values)

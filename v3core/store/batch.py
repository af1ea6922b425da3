"""One batch of episodes on its way into the database, with the rows of the pyramid that it fills."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

import numpy as np

from v3core.metrics import METRICS, PER_EXPERT, EpisodeRecord
from v3core.store.bulk import driver_time, insert_rows
from v3core.store.rollups import COLUMNS, Pyramid, cut_rollups, insert_rollups
from v3core.store.schema import Transaction, episodes, expert_loads

_TEXTS = ("phase", *(metric.name for metric in METRICS.values() if metric.kind is str and metric.name != "phase"))
_EPISODE = ("run_id", "at", "episode", *_TEXTS, *COLUMNS)
_LOADS = ("run_id", "episode", "expert", *(metric.column for metric in PER_EXPERT))
_CHUNK = 4096

_row = attrgetter("episode", *(METRICS[name].field for name in (*_TEXTS, *COLUMNS)))
_per_expert = attrgetter(*(metric.field for metric in PER_EXPERT))
_NUMBERS = slice(1 + len(_TEXTS), None)


@dataclass(frozen=True)
class Batch:
    """Rows as the driver takes them; made once, however often the transaction is tried."""

    run_id: str
    episodes: list[tuple[Any, ...]]
    loads: list[tuple[Any, ...]]
    rollups: list[tuple[Any, ...]]
    whole: int | None
    """Rows of the pyramid beyond this episode are not right, and go first; None if all are."""

    @classmethod
    def of(cls, records: Sequence[EpisodeRecord], pyramid: Pyramid) -> "Batch":
        """From episodes in the order of their numbers; the pyramid counts them in."""
        rows = [_row(record) for record in records]
        per_expert = list(map(_per_expert, records))
        loads = [
            (row[0], expert, *values)
            for row, vectors in zip(rows, per_expert, strict=True)
            for expert, values in enumerate(zip(*vectors, strict=True))
        ]
        rollups: list[tuple[Any, ...]] = []
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            rollups += pyramid.record(
                [row[0] for row in part],
                np.array([row[_NUMBERS] for row in part], dtype=np.float64),  # None becomes NaN
                np.array(per_expert[start : start + _CHUNK], dtype=np.float64),
                [row[1] for row in part],
            )
        return cls(pyramid.run_id, rows, loads, rollups, pyramid.take_whole() if rows else None)

    def insert(self, tx: Transaction, now: datetime) -> None:
        """Write it all."""
        insert_rows(tx, episodes, _EPISODE, self.episodes, (self.run_id, driver_time(tx, now)))
        insert_rows(tx, expert_loads, _LOADS, self.loads, (self.run_id,))
        if self.whole is not None:
            cut_rollups(tx, self.run_id, self.whole)
        insert_rollups(tx, self.rollups)

"""One batch of episodes on its way into the database, with the rows of the pyramid that it fills."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from v3core.store.bulk import driver_time, insert_rows
from v3core.store.database import Transaction
from v3core.store.rollups import COLUMNS, Pyramid, cut_rollups, insert_rollups
from v3core.store.schema import episodes, expert_loads

if TYPE_CHECKING:
    from v3core.store.writer import EpisodeRow

_TEXTS = ("phase", "env", "routing", "top_k_weights")
_EPISODE = ("run_id", "at", "episode", *_TEXTS, *COLUMNS)
_LOADS = ("run_id", "episode", "expert", "load", "hard_load", "grad_norm")
_CHUNK = 4096

_key = attrgetter("episode", *_TEXTS)
_numbers = attrgetter(*(name if name != "return" else "return_" for name in COLUMNS))


@dataclass(frozen=True)
class Batch:
    """Rows as the driver takes them; made once, however often the transaction is tried."""

    run_id: str
    keys: list[tuple[Any, ...]]
    numbers: list[tuple[Any, ...]]
    loads: list[tuple[Any, ...]]
    rollups: list[tuple[Any, ...]]
    whole: int | None
    """Rows of the pyramid beyond this episode are not right, and go first; None if all are."""

    @classmethod
    def of(cls, rows: Sequence["EpisodeRow"], pyramid: Pyramid) -> "Batch":
        """From episodes in the order of their numbers; the pyramid counts them in."""
        keys, numbers = [_key(row) for row in rows], [_numbers(row) for row in rows]
        loads = [
            (pyramid.run_id, row.episode, expert, load, hard, norm)
            for row in rows
            for expert, (load, hard, norm) in enumerate(
                zip(row.loads, row.hard_loads, row.expert_grad_norms, strict=True)
            )
        ]
        rollups: list[tuple[Any, ...]] = []
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            rollups += pyramid.record(
                [key[0] for key in keys[part]],
                np.array(numbers[part], dtype=np.float64),  # None becomes NaN
                np.array([(row.loads, row.hard_loads, row.expert_grad_norms) for row in rows[part]], dtype=np.float64),
                [key[1] for key in keys[part]],
            )
        return cls(pyramid.run_id, keys, numbers, loads, rollups, pyramid.take_whole() if rows else None)

    def insert(self, tx: Transaction, now: datetime) -> None:
        """Write it all."""
        at = driver_time(tx, now)
        rows = [(self.run_id, at, *key, *numbers) for key, numbers in zip(self.keys, self.numbers, strict=True)]
        insert_rows(tx, episodes, _EPISODE, rows)
        insert_rows(tx, expert_loads, _LOADS, self.loads)
        if self.whole is not None:
            cut_rollups(tx, self.run_id, self.whole)
        insert_rollups(tx, self.rollups)

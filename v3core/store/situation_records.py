"""Reading what is recorded of the situations of a run's episodes."""

import json
import math
import threading

from sqlalchemy import select

from v3core.insight.situation_loads import InSituations
from v3core.store.database import Database, reading
from v3core.store.schema import Transaction, episodes
from v3core.store.trunks import of_run

MOST_READ = 5_000
"""Episodes that are looked at; of more, every second, fourth, eighth and so on."""
_LOOKED_AT = 100
"""First and newest episodes that tell whether a run has situations: of a run without any, all are many pages."""


def read_situations(
    source: Database | Transaction, run_id: str, *, after: int, last: int, every: int | None = None
) -> list[InSituations]:
    """Of the episodes beyond `after` up to `last`, oldest first, without invalid ones.

    Of many, those whose number is a multiple of `every`, by default a power of two, so that the choice stays the same
    while a run trains.
    """
    every = every or spacing(last - after)
    c = episodes.c
    found = []
    with reading(source) as tx:
        mine = (of_run(tx, episodes, run_id), c.episode > after, c.episode <= last, c.situations.is_not(None))
        query = select(c.episode, c.length, c.situations).where(*mine, c.episode % every == 0)
        for episode, length, text in tx.execute(query.order_by(c.episode)):
            situations = _read(text)
            if situations and isinstance(length, int):
                found.append(InSituations(int(episode), length, situations))
    return found


def spacing(count: int) -> int:
    """The smallest power of two that parts this many episodes into at most `MOST_READ`."""
    return 1 << max(0, math.ceil(count / MOST_READ) - 1).bit_length()


class GrowingSituations:
    """What is read of a run that trains: each episode once, until its `generation` is another."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._found: list[InSituations] = []
        self._every, self._last = 1, 0
        self._lock = threading.Lock()

    def read(self, database: Database, run_id: str, *, after: int, last: int) -> list[InSituations]:
        """As `read_situations`; `after` and `last` only grow from call to call."""
        with self._lock:
            self._every = max(self._every, spacing(last - after))
            new = read_situations(database, run_id, after=max(after, self._last), last=last, every=self._every)
            kept = (one for one in self._found if one.episode > after and one.episode % self._every == 0)
            self._found = [*kept, *new]
            self._last = max(self._last, last)
            return self._found


def has_situations(source: Database | Transaction, run_id: str, *, last: int) -> bool:
    """Whether anything is recorded of them in the first or the newest episodes of a run that has `last`."""
    c = episodes.c
    with reading(source) as tx:
        mine = (of_run(tx, episodes, run_id), c.situations.is_not(None))
        # Those of an environment may fail in the middle of a run, and be declared in the middle of it.
        for within in ((c.episode > last - _LOOKED_AT, c.episode <= last), (c.episode > 0, c.episode <= _LOOKED_AT)):
            if tx.execute(select(c.episode).where(*mine, *within).limit(1)).first() is not None:
                return True
    return False


def _read(text: object) -> dict[str, tuple[int, tuple[float, ...]]]:
    """By name the steps, of which there are some, and the loads; empty if V3 Lab did not write this."""
    try:
        given = json.loads(text) if isinstance(text, str) else {}
        found = {
            str(name): (int(steps), tuple(math.nan if load is None else float(load) for load in loads))
            for name, (steps, *loads) in given.items()
        }
    except (AttributeError, ValueError, TypeError, OverflowError, RecursionError):
        return {}
    return found if all(steps > 0 for steps, _ in found.values()) else {}

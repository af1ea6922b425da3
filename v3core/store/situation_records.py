"""Reading what is recorded of the situations of a run's episodes."""

import json
import math

from sqlalchemy import select

from v3core.insight.situation_loads import InSituations
from v3core.store.database import Database, reading
from v3core.store.schema import Transaction, episodes
from v3core.store.trunks import of_run

MOST_READ = 10_000
"""Episodes that are looked at; of more, every second, third and so on."""


def read_situations(source: Database | Transaction, run_id: str, *, after: int, last: int) -> list[InSituations]:
    """Of the episodes beyond `after` up to `last`, oldest first; of many, evenly spaced ones, without invalid ones."""
    every = max(1, math.ceil((last - after) / MOST_READ))
    c = episodes.c
    found = []
    with reading(source) as tx:
        mine = (of_run(tx, episodes, run_id), c.episode > after, c.episode <= last, c.situations.is_not(None))
        query = select(c.episode, c.length, c.situations).where(*mine, c.episode % every == last % every)
        for episode, length, text in tx.execute(query.order_by(c.episode)):
            situations = _read(text)
            if situations and isinstance(length, int):
                found.append(InSituations(int(episode), length, situations))
    return found


def has_situations(source: Database | Transaction, run_id: str) -> bool:
    """Whether anything is recorded of them."""
    c = episodes.c
    with reading(source) as tx:
        mine = (of_run(tx, episodes, run_id), c.situations.is_not(None))
        return tx.execute(select(c.episode).where(*mine).limit(1)).first() is not None


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

"""What is recorded of the facts of a run's episodes: read from the store, and summed up."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select

from v3core.store.database import Database, reading
from v3core.store.schema import Transaction, episodes
from v3core.store.trunks import of_run

MOST_READ = 20_000
"""Episodes that are looked at; of more, every second, third and so on."""
Facts = list[tuple[int, dict[str, float | str]]]
"""Episodes with what was recorded of each, oldest first."""


@dataclass(frozen=True)
class FactResult:
    """One fact in some episodes."""

    name: str
    episodes: int
    """Of those in which it is known."""
    numbers: int
    """Of those in which it is a number; in the others it is a word."""
    mean: float
    """Of the numbers; NaN if there are none."""
    least: float
    most: float
    words: tuple[tuple[str, int], ...]
    """Each word and in how many episodes it was, the most frequent first; empty of numbers."""


def read_facts(source: Database | Transaction, run_id: str, *, after: int, last: int) -> Facts:
    """The facts of the episodes beyond `after` up to `last`; of many, evenly spaced ones. Invalid ones are left out."""
    every = max(1, math.ceil((last - after) / MOST_READ))
    c = episodes.c
    found: Facts = []
    with reading(source) as tx:
        mine = (of_run(tx, episodes, run_id), c.episode > after, c.episode <= last, c.facts.is_not(None))
        query = select(c.episode, c.facts).where(*mine, c.episode % every == last % every).order_by(c.episode)
        for episode, text in tx.execute(query):
            facts = _read(text)
            if facts:
                found.append((int(episode), facts))
    return found


def _read(text: object) -> dict[str, float | str]:
    try:
        given = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    if not isinstance(given, dict):
        return {}
    facts: dict[str, float | str] = {}
    for name, fact in given.items():
        if isinstance(fact, str):
            facts[name] = fact
        elif isinstance(fact, int | float):
            with suppress(OverflowError):  # a whole number that no float can be
                number = float(fact)
                if math.isfinite(number):
                    facts[name] = number
    return facts


def fact_results(facts: Facts, names: Sequence[str]) -> list[FactResult]:
    """Each fact of `names` that is known of any of the episodes, in their order."""
    known = {name for _, one in facts for name in one}
    results = []
    for name in (name for name in names if name in known):
        values = [one[name] for _, one in facts if name in one]
        numbers = [value for value in values if isinstance(value, float)]
        words = Counter(value for value in values if isinstance(value, str)).most_common()
        low, high = (min(numbers), max(numbers)) if numbers else (math.nan, math.nan)
        mean = float(np.mean(numbers)) if numbers else math.nan
        results.append(FactResult(name, len(values), len(numbers), mean, low, high, tuple(words)))
    return results


def fact_points(facts: Facts, name: str, *, last: int, parts: int) -> list[tuple[int, float]]:
    """Means of a number over equal parts of the first `last` episodes: the last episode of each part, and the mean."""
    size = -(-last // parts) or 1
    by_part: dict[int, list[float]] = {}
    for episode, one in facts:
        value = one.get(name)
        if isinstance(value, float):
            by_part.setdefault((episode - 1) // size, []).append(value)
    return [(min((part + 1) * size, last), float(np.mean(values))) for part, values in sorted(by_part.items())]

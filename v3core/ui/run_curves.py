"""What the list of runs shows of their returns: read once per server, and again only for runs that have advanced."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import streamlit as st

from v3core.jobs.lifecycle import ENDED
from v3core.rollup import Floats
from v3core.store.database import Database
from v3core.store.history import Stretch, read_stretches
from v3core.store.pace import MeanReturn, read_mean
from v3core.store.returns import read_mean_return, read_sparkline
from v3core.store.run_row import RunRow
from v3core.store.schema import Transaction

_KEPT = 8192


class _Kept:
    """The newest values by key, which begins with the function that reads the value: no two kinds can be mistaken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        with self._lock:
            return self._values.get(key)

    def put(self, key: Hashable, value: Any) -> None:
        with self._lock:
            self._values[key] = value
            while len(self._values) > _KEPT:
                self._values.popitem(last=False)


@st.cache_resource(max_entries=4, show_spinner=False)
def _kept(url: str) -> _Kept:  # noqa: ARG001  the cache's key
    return _Kept()


def _state(run: RunRow) -> tuple[Hashable, ...]:
    """What is recorded under it never changes: a resume that replaces episodes begins another generation."""
    return (run.id, run.generation, run.episode)


def load_sparklines(database: Database, runs: Sequence[RunRow]) -> dict[str, Floats]:
    """The coarse curve of each run's return."""
    return _of_state(database, runs, _state, read_sparkline)


def load_means(database: Database, runs: Sequence[RunRow]) -> dict[str, MeanReturn]:
    """Run id to its mean return, and what that is of."""
    return _of_state(database, runs, lambda run: (*_state(run), run.mean_window), read_mean)


def _of_state(
    database: Database,
    runs: Sequence[RunRow],
    state: Callable[[RunRow], Hashable],
    read: Callable[[Transaction, RunRow], Any],
) -> dict[str, Any]:
    """Run id to what is read of a run, once for each of its states."""
    kept = _kept(database.url)
    found = {run.id: kept.get((read, state(run))) for run in runs}
    missing = [run for run in runs if found[run.id] is None]
    if missing:
        with database.read() as tx:
            for run in missing:
                found[run.id] = read(tx, run)
                kept.put((read, state(run)), found[run.id])
    return found


def load_stretches(database: Database, runs: Sequence[RunRow]) -> dict[str, list[Stretch]]:
    """The times in which each run trained; of a run that has ended they are kept until it is resumed."""
    kept = _kept(database.url)

    def key(run: RunRow) -> tuple[Hashable, ...]:
        return (read_stretches, run.id, run.generation, run.status, run.ended_at)

    found = {run.id: kept.get(key(run)) for run in runs if run.status in ENDED}
    missing = [run for run in runs if found.get(run.id) is None]
    if missing:
        read = read_stretches(database, [run.id for run in missing])
        found |= read
        for run in missing:
            if run.status in ENDED:
                kept.put(key(run), read[run.id])
    return found


def load_differences(database: Database, runs: Sequence[RunRow], baseline: RunRow) -> dict[str, float]:
    """Run id to its mean return minus the baseline's, both as they were at the last episode that both have.

    Runs of other environments, and without finite returns, are left out.
    """
    kept = _kept(database.url)
    differences = {}
    with database.read() as tx:

        def mean(run: RunRow, last: int, window: int) -> float:
            key = (read_mean_return, run.id, run.generation, last, window)
            if (value := kept.get(key)) is None:
                value = read_mean_return(tx, run.id, last, window)
                kept.put(key, value)
            return float(value)

        for run in runs:
            last, window = min(run.episode, baseline.episode), min(run.mean_window, baseline.mean_window)
            if run.env == baseline.env and run.id != baseline.id and last:
                difference = mean(run, last, window) - mean(baseline, last, window)
                if np.isfinite(difference):
                    differences[run.id] = difference
    return differences

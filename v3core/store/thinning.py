"""Dropping the single episodes of ended runs whose means are in buckets: what stays, and what goes.

A bucket of 16 episodes says all that charts and the phase table need of them if they are of one phase, each wholly.
The others stay as they are, as do the last episodes of each phase, over which its closing values are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import numpy as np
from sqlalchemy import delete, update

from v3core.store.bulk import REACH, metric_names
from v3core.store.curve import SUMMED, in_one_phase, read_phase_sums
from v3core.store.database import Database
from v3core.store.kept_trunks import forks_need
from v3core.store.rollups import LEVELS, TOGETHER, full_rows, read_pyramid
from v3core.store.run_row import RunRow
from v3core.store.runs import REMOVED_EPISODES
from v3core.store.schema import ACTIVE, Status, Transaction, episodes, expert_loads, runs

Spans = list[tuple[int, int]]
"""Ranges of episodes: beyond the first number, up to the second."""


@dataclass(frozen=True)
class Thinnable:
    """What can go of a run."""

    run: RunRow
    spans: Spans

    @property
    def episodes(self) -> int:
        """How many."""
        return sum(last - after for after, last in self.spans)


def thinnable(database: Database, run: RunRow) -> Thinnable:
    """Which of a run's single episodes are in buckets that stand for them; none if the run cannot be thinned.

    None of a run that trains or may again, is a fork or has forks, or has no alarms recorded: these are computed from
    its episodes.
    """
    may_be_lost = run.status == Status.LOST and run.restarts < (run.max_restarts or 0)
    with database.read() as tx:
        shared = run.trunk is not None or forks_need(tx, run.id) is not None
    trains = run.status in ACTIVE | {Status.QUEUED, Status.UNREADABLE}
    if trains or may_be_lost or shared or run.thinned_at is not None or not run.has_alarms_recorded:
        return Thinnable(run, [])
    kept = _closing(database, run)
    names = metric_names(run.experts)
    places = [names.index(name) for name in [*SUMMED, *(f"load_{expert}" for expert in range(1, run.experts + 1))]]
    with database.read() as tx:
        fits = partial(in_one_phase, names, places)
        found, _ = read_pyramid(tx, run.id, run.experts, run.episode, [(0, run.episode)], LEVELS[:1], fits)
    numbers = np.concatenate([stored.numbers for _, stored in found] or [np.empty(0, dtype=np.int64)])
    size = LEVELS[0]
    gone = [
        (int(number) * size, int(number + 1) * size)
        for number in numbers
        if not any(int(number) * size < last and after < int(number + 1) * size for after, last in kept)
    ]
    return Thinnable(run, _joined(gone))


def _closing(database: Database, run: RunRow) -> Spans:
    """The last episodes of each phase, and of the run: with those that trailing means beyond the last bucket are of."""
    spans = [(sums.last_episode - run.mean_window, sums.last_episode) for sums in read_phase_sums(database, run.id)]
    whole = full_rows(run.episode, LEVELS[0]) * TOGETHER * LEVELS[0]
    return [*spans, (whole - max(run.mean_window, REACH), run.episode)]


def _joined(spans: Iterable[tuple[int, int]]) -> Spans:
    joined: Spans = []
    for after, last in spans:
        if joined and joined[-1][1] == after:
            joined[-1] = joined[-1][0], last
        else:
            joined.append((after, last))
    return joined


def thin(database: Database, found: Thinnable, now: datetime) -> int:
    """Delete those episodes, in several commits so that workers can write in between; returns how many are gone.

    The run says from the first commit on that it is thinned. One that was resumed, forked or deleted meanwhile is left.
    """
    run = found.run
    with database.write() as tx:
        if forks_need(tx, run.id) is not None or not _mark(tx, run, now):
            return 0
    gone = 0
    for after, last in found.spans:
        for begin in range(after, last, REMOVED_EPISODES):
            until = min(last, begin + REMOVED_EPISODES)
            with database.write() as tx:
                for table in (expert_loads, episodes):
                    c = table.c
                    query = delete(table).where(c.run_id == run.id, c.episode > begin, c.episode <= until)
                    deleted = tx.execute(query).rowcount
                gone += deleted
    return gone


def _mark(tx: Transaction, run: RunRow, now: datetime) -> bool:
    c = runs.c
    mine = (c.id == run.id, c.status == run.status, c.generation == run.generation, c.thinned_at.is_(None))
    return tx.execute(update(runs).where(*mine).values(thinned_at=now)).rowcount == 1

"""Dropping the single episodes of ended runs whose means are in buckets: what stays, and what goes.

A bucket of 16 episodes says all that charts and the phase table need of them if they are of one phase, each wholly.
The others stay as they are, as do the last episodes of each phase, over which its closing values are.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import numpy as np
from sqlalchemy import delete, func, or_, select, update

from v3core.messages import several
from v3core.rollup import Floats, Integers
from v3core.store.bulk import REACH, metric_names
from v3core.store.curve import SUMMED, in_one_phase, read_phase_sums
from v3core.store.database import Database
from v3core.store.history import add_event, read_stretches
from v3core.store.kept_trunks import forks_need
from v3core.store.returns import POINTS
from v3core.store.rollups import LEVELS, TOGETHER, full_rows, read_pyramid
from v3core.store.run_row import RunRow
from v3core.store.runs import REMOVED_EPISODES
from v3core.store.schema import ACTIVE, Status, Transaction, episodes, expert_loads, runs

EVENT = "thinned"
"""Kind of the event in a run's history."""
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
    its episodes. None of a short one either: its coarse curve is of single episodes. Of a run that is thinned already,
    those that were left when that was interrupted.
    """
    may_be_lost = run.status == Status.LOST and run.restarts < (run.max_restarts or 0)
    with database.read() as tx:
        shared = run.trunk is not None or forks_need(tx, run.id) is not None
    trains = run.status in ACTIVE | {Status.QUEUED, Status.UNREADABLE}
    is_short = run.episode <= LEVELS[0] * POINTS
    if trains or may_be_lost or shared or is_short or not run.has_alarms_recorded:
        return Thinnable(run, [])
    kept = _closing(database, run)
    names = metric_names(run.experts)
    places = [names.index(name) for name in SUMMED]
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
    spans = _joined(gone)
    return Thinnable(run, spans if run.thinned_at is None else _unfinished(database, run, spans))


def _unfinished(database: Database, run: RunRow, spans: Spans) -> Spans:
    """What is left of these spans; their oldest episodes go first."""
    c = episodes.c
    left: Spans = []
    with database.read() as tx:
        for after, last in spans:
            mine = (c.run_id == run.id, c.episode > after, c.episode <= last)
            oldest = tx.execute(select(func.min(c.episode)).where(*mine)).scalar_one()
            if oldest is not None:
                left.append((oldest - 1, last))
    return left


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

    The run, and its history, say from the first commit on that it is thinned. One that was resumed, forked or deleted
    meanwhile is left.
    """
    run = found.run
    with database.write() as tx:
        if forks_need(tx, run.id) is not None or not _mark(tx, run, now):
            return 0
        if run.thinned_at is None:
            message = several(
                "Thinned: {count} single episode is gone, and its mean stays.",
                "Thinned: {count:,} single episodes are gone, and their means stay.",
                count=found.episodes,
            )
            add_event(tx, run.id, actor="user", kind=EVENT, message=message, now=now)
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
    marked = c.thinned_at.is_(None) if run.thinned_at is None else c.thinned_at.is_not(None)
    mine = (c.id == run.id, c.status == run.status, c.generation == run.generation, marked)
    return tx.execute(update(runs).where(*mine).values(thinned_at=run.thinned_at or now)).rowcount == 1


def seconds_between(
    database: Database, run: RunRow, wanted: Integers, known: Mapping[int, float], seconds: Callable[[datetime], float]
) -> Floats:
    """Seconds at each of these episodes, shape [n]: as `known`, else NaN.

    Of a thinned run they are interpolated between the episodes that are there, and from when it began to train.
    `seconds` says the same of a time.
    """
    found = np.array([known.get(episode, np.nan) for episode in wanted.tolist()], dtype=np.float64)
    missing = np.isnan(found)
    if run.thinned_at is None or not missing.any():
        return found
    c = episodes.c
    before, after = (each(c.episode).over(order_by=c.episode) for each in (func.lag, func.lead))
    rows = select(c.episode, c.at, before.label("before"), after.label("after")).where(c.run_id == run.id).subquery()
    is_end = or_(
        rows.c.before.is_(None),
        rows.c.after.is_(None),
        rows.c.before < rows.c.episode - 1,
        rows.c.after > rows.c.episode + 1,
    )
    with database.read() as tx:
        ends = [(row.episode, row.at) for row in tx.execute(select(rows).where(is_end).order_by(rows.c.episode))]
    began = next((begin for begin, _ in read_stretches(database, [run.id])[run.id]), run.started_at)
    if began is not None and (not ends or ends[0][0] > 1):
        ends.insert(0, (0, began))
    if ends:
        places = [float(episode) for episode, _ in ends]
        times = [seconds(at) for _, at in ends]
        found[missing] = np.interp(wanted[missing], places, times, left=np.nan, right=np.nan)
    return found

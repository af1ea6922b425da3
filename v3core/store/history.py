"""The records of a run, row by row: phase changes, checkpoints, evaluations, events and ends, and a single episode."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import groupby, takewhile, zip_longest
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Table, and_, case, delete, exists, func, insert, or_, select, update

from v3core.store.bulk import floats
from v3core.store.database import Database, reading
from v3core.store.run_row import RunRow
from v3core.store.runs import UnknownRunError, get_run
from v3core.store.schema import (
    UNLISTED,
    Status,
    Transaction,
    checkpoints,
    episodes,
    evaluations,
    events,
    phase_changes,
    runs,
)
from v3core.store.trunks import of_run

_TOGETHER = 500
"""Episodes, or runs, that are looked for at once."""
LARGEST = 1e150
"""Beyond, sums and squares leave the numbers, and PostgreSQL refuses the whole query."""
IMPORT = "import"
"""Kind of the event that says when a run came here, and where from."""


@dataclass(frozen=True)
class PhaseChangeRow:
    """The actual start of a phase."""

    phase: int
    """Index of the phase, from 0."""
    name: str
    planned: int | None
    """Complete episodes at which the curriculum had it begin."""
    episode: int
    """Complete episodes at which it began."""
    step: int
    generation: int
    at: datetime


@dataclass(frozen=True)
class CheckpointRow:
    """A checkpoint file."""

    episode: int
    """Completed episodes at the checkpoint."""
    step: int
    path: str
    """Relative to the data folder."""
    at: datetime
    bytes: int | None = None
    """Size of the file; None where an older version wrote it."""


@dataclass(frozen=True)
class EventRow:
    """One sentence of a run's history."""

    at: datetime
    actor: str
    """`user`, `worker`, `launcher` or `supervisor`."""
    kind: str
    message: str


def add_event(tx: Transaction, run_id: str, *, actor: str, kind: str, message: str, now: datetime) -> None:
    tx.execute(insert(events).values(run_id=run_id, at=now, actor=actor, kind=kind, message=message))


EvaluationResult = tuple[float, int, float | None]
"""Return, length and success (None where the environment does not say) of an evaluation's episode."""


def read_events(database: Database, run_id: str) -> list[EventRow]:
    """A run's history, oldest first."""
    return _read(database, EventRow, events, run_id, order="id")


Stretch = tuple[datetime, datetime | None]
"""When a run began, or continued, to train, and when that ended; None while it trains."""
_BEGINS = Status.RUNNING
_ENDS = (Status.PAUSED, Status.STOPPED, Status.COMPLETED, Status.FAILED, Status.LOST)


def read_stretches(source: Database | Transaction, run_ids: Collection[str]) -> dict[str, list[Stretch]]:
    """Run id to the stretches of time in which it trained, oldest first, from its history; pauses are between them."""
    c = events.c
    query = select(c.run_id, c.kind, c.at).where(c.run_id.in_(run_ids), c.kind.in_([_BEGINS, *_ENDS]))
    found: dict[str, list[Stretch]] = {run_id: [] for run_id in run_ids}
    with reading(source) as tx:
        for run_id, kind, at in tx.execute(query.order_by(c.run_id, c.id)):
            stretches = found[run_id]
            trains = bool(stretches) and stretches[-1][1] is None
            if kind == _BEGINS and not trains:  # else it was stalled meanwhile
                stretches.append((at, None))
            elif kind != _BEGINS and trains:
                stretches[-1] = (stretches[-1][0], at)
    return found


_Row = TypeVar("_Row", PhaseChangeRow, CheckpointRow, EventRow)


def _read(source: Database | Transaction, kind: type[_Row], table: Table, run_id: str, *, order: str) -> list[_Row]:
    query = select(*(table.c[field.name] for field in fields(kind))).where(table.c.run_id == run_id)
    with reading(source) as tx:
        return [kind(*row) for row in tx.execute(query.order_by(table.c[order]))]


def add_phase_change(tx: Transaction, run_id: str, change: PhaseChangeRow) -> bool:
    """Record that a phase began; returns whether it is new.

    A resumed run that begins in a phase it was in before keeps the first record.
    """
    known = select(phase_changes.c.phase).where(phase_changes.c.run_id == run_id, phase_changes.c.phase == change.phase)
    if tx.execute(known).one_or_none() is not None:
        return False
    tx.execute(insert(phase_changes).values(run_id=run_id, **vars(change)))
    return True


def read_phase_changes(source: Database | Transaction, run_id: str) -> list[PhaseChangeRow]:
    """The phases that began, in order, up to the first whose row makes no sense."""
    rows = _read(source, PhaseChangeRow, phase_changes, run_id, order="phase")
    return list(takewhile(lambda row: _are_whole(row.phase, row.episode, row.step), rows))


def _are_whole(*values: object) -> bool:
    """Whether these are whole numbers: SQLite takes any value in any column."""
    return all(isinstance(value, int) for value in values)


def add_checkpoint(tx: Transaction, run_id: str, checkpoint: CheckpointRow) -> None:
    """Record a checkpoint file that is complete on disk; one of the same episode count is replaced."""
    remove_checkpoint(tx, run_id, checkpoint.episode)
    tx.execute(insert(checkpoints).values(run_id=run_id, **vars(checkpoint)))


def remove_checkpoint(tx: Transaction, run_id: str, episode: int) -> None:
    tx.execute(delete(checkpoints).where(checkpoints.c.run_id == run_id, checkpoints.c.episode == episode))


def read_checkpoints(source: Database | Transaction, run_id: str) -> list[CheckpointRow]:
    """A run's checkpoints, oldest first."""
    rows = _read(source, CheckpointRow, checkpoints, run_id, order="episode")
    # One whose row makes no sense is as good as none.
    return [row for row in rows if isinstance(row.path, str) and _are_whole(row.episode, row.step, row.bytes or 0)]


def add_evaluation(
    tx: Transaction,
    run_id: str,
    *,
    episode: int,
    step: int,
    env: str,
    results: Sequence[EvaluationResult],
    now: datetime,
    tasks: Sequence[str | None] = (),
) -> None:
    """Record the episodes of an evaluation, numbered from 1; one of the same episode count is replaced.

    `tasks` are those of the episodes of a run on several environments at once.
    """
    tx.execute(delete(evaluations).where(evaluations.c.run_id == run_id, evaluations.c.episode == episode))
    shared = {"run_id": run_id, "episode": episode, "step": step, "env": env, "at": now}
    names = ("number", "return_", "length", "success", "task")
    numbered = enumerate(zip_longest(results, tasks), start=1)
    rows = [shared | dict(zip(names, (number, *result, task), strict=True)) for number, (result, task) in numbered]
    tx.execute(insert(evaluations), rows)


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
    tasks: tuple[str | None, ...] = ()
    """The environment of each episode, where there are several."""


def read_evaluations(source: Database | Transaction, run_id: str, after: int = 0) -> list[EvaluationRow]:
    """A run's evaluations taken at an episode greater than `after`, oldest first."""
    c = evaluations.c
    query = select(c.episode, c.step, c.env, c.return_, c.length, c.success, c.task)
    with reading(source) as tx:
        mine = of_run(tx, evaluations, run_id)
        rows = tx.execute(query.where(mine, c.episode > after).order_by(c.episode, c.number)).all()
    found: list[EvaluationRow] = []
    for (episode, step, env), group in groupby(rows, key=lambda row: tuple(row[:3])):
        returns, lengths, successes, tasks = zip(*(row[3:] for row in group), strict=True)
        known = [None if math.isnan(value) else value for value in floats(successes).tolist()]
        numbers = tuple(floats(returns).tolist())
        found.append(EvaluationRow(episode, step, str(env), numbers, lengths, tuple(known), tasks))
    return found


def newest_evaluation(source: Database | Transaction, run_id: str, until: int) -> int | None:
    """The episode of the newest evaluation up to that episode; None without one."""
    with reading(source) as tx:
        mine = select(func.max(evaluations.c.episode)).where(of_run(tx, evaluations, run_id))
        found: int | None = tx.execute(mine.where(evaluations.c.episode <= until)).scalar_one()
    return found


@dataclass(frozen=True)
class EvaluationMean:
    """One evaluation in short."""

    episode: int
    step: int
    env: str
    mean: float
    """Mean of the returns that are finite; NaN if none is."""
    count: int
    """Number of those."""
    success: float
    """Share of its episodes that solved the task; NaN where the environment does not say."""


def read_evaluation_means(source: Database | Transaction, run_ids: Sequence[str]) -> dict[str, list[EvaluationMean]]:
    """Run id to its evaluations, oldest first; computed by the database, however many episodes they have."""
    c = evaluations.c
    finite = case((func.abs(c.return_) <= LARGEST, c.return_))
    solved = case((func.abs(c.success) <= LARGEST, c.success))
    columns = (c.run_id, c.episode, func.min(c.step), func.min(c.env))
    query = select(*columns, func.avg(finite), func.count(finite), func.avg(solved))
    query = query.group_by(c.run_id, c.episode).order_by(c.episode)
    found: dict[str, list[EvaluationMean]] = {run_id: [] for run_id in run_ids}
    with reading(source) as tx:
        for start in range(0, len(run_ids), _TOGETHER):
            some = run_ids[start : start + _TOGETHER]
            forks = select(runs.c.id).where(runs.c.id.in_(some), runs.c.trunk.is_not(None))
            forked = set(tx.execute(forks).scalars())
            for run_id, *row in tx.execute(query.where(c.run_id.in_([one for one in some if one not in forked]))):
                found[run_id].append(_evaluation_mean(row))
            for fork in forked:
                mine = tx.execute(query.where(of_run(tx, evaluations, fork)))
                found[fork] = [_evaluation_mean(row) for _, *row in mine]
    return found


def _evaluation_mean(row: Sequence[Any]) -> EvaluationMean:
    episode, step, env, mean, count, success = row
    mean, success = (math.nan if value is None else float(value) for value in (mean, success))
    return EvaluationMean(episode, int(step), str(env), mean, int(count), success)


def read_times(source: Database | Transaction, run_id: str, wanted: Sequence[int]) -> dict[int, datetime]:
    """Episode to the time at which it was recorded, of these episodes; those that are not there are left out."""
    found: dict[int, datetime] = {}
    with reading(source) as tx:
        for start in range(0, len(wanted), _TOGETHER):
            some = wanted[start : start + _TOGETHER]
            rows = tx.execute(
                select(episodes.c.episode, episodes.c.at).where(
                    of_run(tx, episodes, run_id), episodes.c.episode.in_(some)
                )
            )
            found |= {row.episode: row.at for row in rows}
    return found


def read_episode(database: Database, run_id: str, episode: int) -> dict[str, Any] | None:
    """One episode's row by the names of its columns, None if there is none; a value of another kind is None too."""
    with database.read() as tx:
        query = select(*episodes.c).where(of_run(tx, episodes, run_id), episodes.c.episode == episode)
        row = tx.execute(query).one_or_none()
    return None if row is None else {c.name: _if_fits(c, value) for c, value in zip(episodes.c, row, strict=True)}


def _if_fits(column: Column[Any], value: Any) -> Any:
    kind = column.type.python_type
    return value if isinstance(value, int | float if kind is float else kind) else None


# Ends of runs that are reported: on pages, and to the webhook. The state of its request is in `runs.webhook`.

DUE, CALLING, CALLED, FAILED = "due", "calling", "called", "failed"
NOTICE = "notice"
"""Actor and kind of the events about them."""
CLAIM_SECONDS = 60.0
"""A claim on a notice expires after this time: its process must have died."""


@dataclass(frozen=True)
class EndRow:
    """The end of a run that was not requested."""

    event: int
    """Its place in the history of all runs."""
    run_id: str
    name: str
    status: str
    """`completed`, `failed` or `lost`."""
    reason: str | None
    episode: int


def newest_event(database: Database) -> int:
    """The number of the newest event of all runs, 0 if there is none: where to read ends from."""
    with database.read() as tx:
        return tx.execute(select(func.max(events.c.id))).scalar_one() or 0


def read_ends(database: Database, after: int, kinds: Collection[str]) -> list[EndRow]:
    """Runs that came to an end of these kinds after event `after`, oldest first.

    Deleted runs are skipped, and so are events of an imported run from before the import.
    """
    later = events.alias()
    imported = exists().where(later.c.run_id == events.c.run_id, later.c.kind == IMPORT, later.c.id > events.c.id)
    query = (
        select(events.c.id, runs.c.id, runs.c.name, events.c.kind, runs.c.reason, runs.c.episode)
        .join(runs, runs.c.id == events.c.run_id)
        .where(events.c.id > after, events.c.kind.in_(kinds), runs.c.status.not_in(UNLISTED), ~imported)
        .order_by(events.c.id)
    )
    with database.read() as tx:
        return [EndRow(*row) for row in tx.execute(query)]


def notices_due(tx: Transaction, statuses: Collection[str], *, now: datetime) -> list[str]:
    """Ids of the runs whose end is due for the webhook and not claimed, the earliest end first."""
    query = select(runs.c.id).where(runs.c.status.in_(statuses), _is_free(now)).order_by(runs.c.ended_at, runs.c.id)
    return list(tx.execute(query).scalars())


def claim_notice(
    tx: Transaction, run_id: str, statuses: Collection[str], *, message: str, now: datetime
) -> RunRow | None:
    """Claim the webhook request for the end of a run, one of `statuses`; its history says since when it is claimed.

    None if another process was faster, or the run was resumed.
    """
    try:
        run = get_run(tx, run_id, for_update=True)  # so that what follows sees what others have committed
    except UnknownRunError:
        return None
    query = update(runs).where(runs.c.id == run_id, runs.c.status.in_(statuses), _is_free(now))
    if tx.execute(query.values(webhook=CALLING)).rowcount != 1:
        return None
    add_event(tx, run_id, actor=NOTICE, kind=NOTICE, message=message, now=now)
    return run


def settle_notice(tx: Transaction, run_id: str, *, state: str, message: str, now: datetime) -> None:
    """Record the result of a claim; a run that has ended again meanwhile stays due, a deleted one is ignored."""
    query = update(runs).where(runs.c.id == run_id, runs.c.webhook == CALLING).values(webhook=state)
    if tx.execute(query).rowcount == 1:
        add_event(tx, run_id, actor=NOTICE, kind=NOTICE, message=message, now=now)


def _is_free(now: datetime) -> ColumnElement[bool]:
    claimed = exists().where(
        events.c.run_id == runs.c.id,
        events.c.kind == NOTICE,
        # Not after now either: the clock may have jumped back since.
        events.c.at.between(now - timedelta(seconds=CLAIM_SECONDS), now + timedelta(seconds=CLAIM_SECONDS)),
    )
    return or_(runs.c.webhook == DUE, and_(runs.c.webhook == CALLING, ~claimed))

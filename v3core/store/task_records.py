"""What is recorded of the tasks of a run on several environments; computed by the database."""

import math
from dataclasses import dataclass

from sqlalchemy import and_, case, func, select

from v3core.insight.task_loads import TaskResult
from v3core.store.database import Database, reading
from v3core.store.history import LARGEST
from v3core.store.schema import Transaction, episodes, evaluations, expert_loads
from v3core.store.trunks import of_run, ranges_of


@dataclass(frozen=True)
class TaskPoint:
    """The episodes of one task in one part of a run."""

    task: str
    episode: int
    """The last episode of the part."""
    episodes: int
    return_: float
    success: float


_E = episodes.c
_RETURN = func.avg(case((func.abs(_E.return_) <= LARGEST, _E.return_)))
_SUCCESS = func.avg(case((func.abs(_E.success) <= LARGEST, _E.success)))


def read_tasks(source: Database | Transaction, run_id: str, *, after: int, last: int) -> list[TaskResult]:
    """The results of each task in the episodes beyond `after` up to `last`; none of a run on one environment."""
    with reading(source) as tx:
        found: dict[str, list[tuple[int, int, float, float]]] = {}
        used: dict[str, dict[int, tuple[float, int]]] = {}
        """Of each expert of a task: its load times steps, and the steps of the episodes whose load is known."""
        for part, begin, end in ranges_of(tx, run_id, after, last):
            mine = and_(_E.run_id == part, _E.episode > begin, _E.episode <= end, _E.task.is_not(None))
            sums = select(_E.task, func.count(), func.sum(_E.length), _RETURN, _SUCCESS)
            for task, count, steps, mean, success in tx.execute(sums.where(mine).group_by(_E.task)):
                found.setdefault(task, []).append((int(count), int(steps), _number(mean), _number(success)))
            c = expert_loads.c
            load = case((func.abs(c.load) <= 1 + 1e-6, c.load))
            steps_known = func.sum(case((load.is_not(None), _E.length), else_=0))
            loads = select(_E.task, c.expert, func.sum(load * _E.length), steps_known).join(
                expert_loads, and_(c.run_id == _E.run_id, c.episode == _E.episode)
            )
            for task, expert, total, steps in tx.execute(loads.where(mine).group_by(_E.task, c.expert)):
                of_task = used.setdefault(task, {})
                before, steps_before = of_task.get(expert, (0.0, 0))
                of_task[expert] = before + (_number(total) if steps else 0.0), steps_before + int(steps)
    experts = max((expert + 1 for of_task in used.values() for expert in of_task), default=0)
    return [
        TaskResult(
            task,
            episodes=sum(part[0] for part in parts),
            steps=sum(part[1] for part in parts),
            return_=_mean([(part[0], part[2]) for part in parts]),
            success=_mean([(part[0], part[3]) for part in parts]),
            loads=tuple(_load(*used.get(task, {}).get(expert, (0.0, 0))) for expert in range(experts)),
        )
        for task, parts in found.items()
    ]


def read_task_points(source: Database | Transaction, run_id: str, *, last: int, parts: int) -> list[TaskPoint]:
    """Returns and successes of each task, by equal parts of the first `last` episodes, oldest first."""
    size = -(-last // parts) or 1
    found: list[TaskPoint] = []
    place = (_E.episode - 1) // size
    with reading(source) as tx:
        mine = and_(of_run(tx, episodes, run_id), _E.episode <= last, _E.task.is_not(None))
        query = select(place, _E.task, func.max(_E.episode), func.count(), _RETURN, _SUCCESS)
        for _, task, episode, count, mean, success in tx.execute(query.where(mine).group_by(place, _E.task)):
            found.append(TaskPoint(task, int(episode), int(count), _number(mean), _number(success)))
    return sorted(found, key=lambda point: point.episode)


def read_task_evaluation(
    source: Database | Transaction, run_id: str, episode: int | None = None
) -> dict[str, tuple[int, float, float]]:
    """Task to episodes, mean return and success (NaN if unknown) of an evaluation; empty without it, or without tasks.

    By default it is the newest.
    """
    c = evaluations.c
    with reading(source) as tx:
        mine = of_run(tx, evaluations, run_id)
        at = select(func.max(c.episode)).where(mine).scalar_subquery() if episode is None else episode
        returns = func.avg(case((func.abs(c.return_) <= LARGEST, c.return_)))
        query = select(c.task, func.count(), returns, func.avg(c.success)).where(mine, c.episode == at)
        rows = tx.execute(query.where(c.task.is_not(None)).group_by(c.task)).all()
    return {task: (int(count), _number(mean), _number(success)) for task, count, mean, success in rows}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _load(total: float, steps: int) -> float:
    return total / steps if steps else math.nan


def _mean(parts: list[tuple[int, float]]) -> float:
    """The mean over episodes of means over some of them."""
    known = [(count, value) for count, value in parts if not math.isnan(value)]
    total = sum(count for count, _ in known)
    return sum(count * value for count, value in known) / total if total else math.nan

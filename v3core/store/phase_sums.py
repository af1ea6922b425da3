"""What each phase of a run was like: exact sums over its episodes, made by the database, read on by cursor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select

from v3core.store.database import Database, Transaction
from v3core.store.schema import episodes, expert_loads

TAIL_EPISODES = 100
"""How many of a phase's last episodes `closing_return` is the mean of."""
_LARGEST, _SMALLEST = 1e150, 1e-150
"""Beyond, sums and squares leave the numbers, and PostgreSQL refuses the whole query."""


@dataclass(frozen=True)
class Mean:
    """A mean that others can be merged into; NaN of nothing."""

    count: int = 0
    mean: float = math.nan
    squares: float = 0.0
    """Sum of squared distances from the mean."""

    def __add__(self, other: "Mean") -> "Mean":
        """The mean of both."""
        if not other.count or not self.count:
            return self if self.count else other
        count, distance = self.count + other.count, other.mean - self.mean
        return Mean(
            count,
            self.mean + distance * other.count / count,
            self.squares + other.squares + distance * distance * self.count * other.count / count,
        )

    @property
    def deviation(self) -> float:
        """Sample standard deviation; NaN of fewer than two."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else math.nan


@dataclass(frozen=True)
class Split:
    """A mean over the episodes of a phase, and over its own: the routing of one that began before it is of both."""

    every: Mean = Mean()
    own: Mean = Mean()

    def __add__(self, other: "Split") -> "Split":
        """The means of both."""
        return Split(self.every + other.every, self.own + other.own)

    @property
    def mean(self) -> float:
        """Of its own episodes, or of all if it has none that is wholly its own."""
        return self.own.mean if self.own.count else self.every.mean


@dataclass(frozen=True)
class PhaseSums:
    """One phase of a run, from every episode recorded of it.

    Numbers that are not finite, or beyond 1e150, count as missing.
    """

    phase: str
    first_episode: int
    last_episode: int
    episodes: int
    steps: int
    """Environment steps of its episodes."""
    returns: Mean
    closing_return: float
    """Mean return of its last 100 episodes, or of all if it has fewer."""
    success: Mean
    router_shift: Mean
    routing_entropy: "Split"
    specialisation: "Split"
    loads: tuple["Split", ...]
    """Mean gate weight per expert."""

    def followed_by(self, newer: "PhaseSums") -> "PhaseSums":
        """Both as one; `newer` was read from where this ended."""
        return PhaseSums(
            self.phase,
            self.first_episode,
            newer.last_episode,
            self.episodes + newer.episodes,
            self.steps + newer.steps,
            self.returns + newer.returns,
            newer.closing_return,
            self.success + newer.success,
            self.router_shift + newer.router_shift,
            self.routing_entropy + newer.routing_entropy,
            self.specialisation + newer.specialisation,
            tuple(old + new for old, new in zip(self.loads, newer.loads, strict=True)),
        )


def merged(before: Sequence[PhaseSums], newer: Sequence[PhaseSums]) -> tuple[PhaseSums, ...]:
    """The phases of both, in the order of training; `newer` was read from where `before` ended."""
    phases = {sums.phase: sums for sums in before}
    for sums in newer:
        known = phases.get(sums.phase)
        phases[sums.phase] = known.followed_by(sums) if known else sums
    return tuple(phases.values())


def read_phase_sums(db: Database, run_id: str, *, after: int = 0) -> tuple[PhaseSums, ...]:
    """The phases of the episodes beyond `after`, in the order of training.

    Args:
        db: an open store.
        run_id: full id.
        after: the newest `last_episode` read before, whose phases are then `merged` with these.
    """
    c = episodes.c
    here = (c.run_id == run_id, c.episode > after)
    query = select(
        c.phase,
        func.min(c.episode),
        func.max(c.episode),
        func.count(),
        func.sum(c.length),
        *_sum_and_count(c.return_),
        *_sum_and_count(c.success),
        *_sum_and_count(c.router_shift),
        *_sum_and_count(c.routing_entropy),
        *_sum_and_count(c.routing_entropy, _OWN),
        *_sum_and_count(c.specialisation),
        *_sum_and_count(c.specialisation, _OWN),
    )
    found: list[PhaseSums] = []
    with db.read() as tx:
        loads = _read_loads(tx, run_id, after)
        for row in tx.execute(query.where(*here).group_by(c.phase).order_by(func.min(c.episode))):
            phase, first, last, count, steps, *sums = row
            returns, success, shift, entropy, own_entropy, apart, own_apart = (
                _mean(*pair) for pair in zip(sums[::2], sums[1::2], strict=True)
            )
            distance = c.return_ - returns.mean
            squared = case((_finite(c.return_) & (func.abs(distance) > _SMALLEST), distance * distance))
            squares = select(func.sum(squared)).where(*here, c.phase == phase)
            returns = Mean(returns.count, returns.mean, tx.execute(squares).scalar_one() or 0.0)
            found.append(
                PhaseSums(
                    phase,
                    first,
                    last,
                    count,
                    int(steps),
                    returns,
                    _closing_return(tx, run_id, phase),
                    success,
                    shift,
                    Split(entropy, own_entropy),
                    Split(apart, own_apart),
                    loads[phase],
                )
            )
    return tuple(found)


_OWN = episodes.c.phase_steps.is_(None) | (episodes.c.phase_steps >= episodes.c.length)


def _finite(column: ColumnElement[Any]) -> ColumnElement[bool]:
    # To PostgreSQL, NaN is greater than all numbers.
    return func.abs(column) <= _LARGEST


def _sum_and_count(column: ColumnElement[Any], only: ColumnElement[bool] | None = None) -> list[ColumnElement[Any]]:
    wanted = _finite(column) if only is None else and_(_finite(column), only)
    return [func.sum(case((wanted, column))), func.count(case((wanted, column)))]


def _mean(total: float | None, count: int) -> Mean:
    return Mean(count, total / count) if total is not None and count else Mean()


def _closing_return(tx: Transaction, run_id: str, phase: str) -> float:
    c = episodes.c
    query = select(c.return_).where(c.run_id == run_id, c.phase == phase).order_by(c.episode.desc())
    last = [value for value in tx.execute(query.limit(TAIL_EPISODES)).scalars() if value is not None]
    finite = [value for value in last if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def _read_loads(tx: Transaction, run_id: str, after: int) -> dict[str, tuple["Split", ...]]:
    """Per phase, the mean load of each expert."""
    own = case((_OWN, 1), else_=0)
    query = (
        select(episodes.c.phase, expert_loads.c.expert, own, *_sum_and_count(expert_loads.c.load))
        .join(
            episodes,
            and_(episodes.c.run_id == expert_loads.c.run_id, episodes.c.episode == expert_loads.c.episode),
        )
        .where(expert_loads.c.run_id == run_id, expert_loads.c.episode > after)
        .group_by(episodes.c.phase, expert_loads.c.expert, own)
        .order_by(expert_loads.c.expert)
    )
    found: dict[str, dict[int, Split]] = {}
    for phase, expert, is_own, total, count in tx.execute(query):
        mean = _mean(total, count)
        experts = found.setdefault(phase, {})
        experts[expert] = experts.get(expert, Split()) + Split(mean, mean if is_own else Mean())
    return {phase: tuple(experts.values()) for phase, experts in found.items()}

"""The records that a fork begins with: rows of the run it was forked from, which are read where they are.

A fork has rows of its own only beyond its beginning. What reads a run therefore reads the rows of several runs, each in
a range of episodes; of a run that is no fork, its own. Buckets of the pyramid are parted by whole rows: the first that
reaches beyond the beginning is the fork's own, with the trunk's episodes in it.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Table, and_, bindparam, or_, select

from v3core.store.schema import (
    Transaction,
    episodes,
    evaluation_experts,
    evaluations,
    expert_loads,
    knockouts,
    runs,
    state_maps,
)

NEWEST = 2**31 - 1
"""No episode has a greater number."""
BY_EVALUATION = frozenset({evaluations.name, evaluation_experts.name, state_maps.name})
"""Tables whose rows belong to an evaluation: one of the same episode may come before a checkpoint, or after it."""
BY_EPISODE = frozenset({episodes.name, expert_loads.name, knockouts.name})
"""Other tables that a fork's trunk has rows of; those of all remaining tables are a fork's own."""

_BEGIN = select(runs.c.trunk, runs.c.parent_episode, runs.c.parent_evaluated).where(runs.c.id == bindparam("run"))


@dataclass(frozen=True)
class Part:
    """The rows of one run that belong to another, or to itself: beyond one episode, up to another."""

    run_id: str
    after: int
    last: int
    evaluated_after: int
    """The same range for what belongs to evaluations."""
    evaluated_last: int


def parts_of(tx: Transaction, run_id: str) -> list[Part]:
    """The parts that a run's records consist of, oldest first; one for a run that is no fork."""
    parts: list[Part] = []
    last = evaluated = NEWEST
    known: set[str] = set()
    here: str | None = run_id
    while here is not None and here not in known:
        known.add(here)
        found = tx.execute(_BEGIN, {"run": here}).one_or_none()
        trunk, after, evaluated_after = found if found is not None else (None, None, None)
        if not isinstance(trunk, str) or not isinstance(after, int):
            trunk, after, evaluated_after = None, -1, -1
        if not isinstance(evaluated_after, int):
            evaluated_after = after
        # A trunk may itself begin later than its fork, which then began in the trunk's own trunk.
        parts.append(Part(here, min(after, last), last, min(evaluated_after, evaluated), evaluated))
        last, evaluated, here = min(after, last), min(evaluated_after, evaluated), trunk
    return [part for part in reversed(parts) if part.last > part.after or part.evaluated_last > part.evaluated_after]


def of_run(tx: Transaction, table: Table, run_id: str) -> ColumnElement[bool]:
    """Which rows of a table are the run's, those that it shares with its trunk too."""
    parts = parts_of(tx, run_id) if table.name in BY_EPISODE | BY_EVALUATION else []
    if len(parts) < 2:
        return table.c.run_id == run_id
    episode = table.c.episode
    ranges = [
        (part.run_id, part.evaluated_after, part.evaluated_last)
        if table.name in BY_EVALUATION
        else (part.run_id, part.after, part.last)
        for part in parts
    ]
    mine = [and_(table.c.run_id == each, episode > after, episode <= last) for each, after, last in ranges]
    if table.name == knockouts.name:
        mine = [
            and_(rows, ~with_evaluation(part.run_id, after=part.evaluated_last))
            if part.evaluated_last < NEWEST
            else rows
            for rows, part in zip(mine, parts, strict=True)
        ]
    return or_(*mine)


def with_evaluation(run_id: str, *, after: int) -> ColumnElement[bool]:
    """Which knock-outs were played by the policy of an evaluation of that run beyond the episode `after`."""
    c = evaluations.c
    return knockouts.c.episode.in_(select(c.episode).where(c.run_id == run_id, c.episode > after))


Range = tuple[str, int, int]
"""Rows of a run: its id, and numbers beyond the first, up to the last."""


def ranges_of(tx: Transaction, run_id: str, after: int = 0, last: int | None = None) -> list[Range]:
    """Where the episodes of a run beyond `after`, up to `last`, have their rows, oldest first: run, after and last."""
    until = NEWEST if last is None else last
    parts = ((part.run_id, max(part.after, after), min(part.last, until)) for part in parts_of(tx, run_id))
    return [part for part in parts if part[1] < part[2]]


def rollup_ranges(tx: Transaction, run_id: str, episodes_per_row: int, first: int, last: int) -> list[Range]:
    """Where the rows of the pyramid from number `first` to `last` are: run, first and last number, ascending."""
    found: list[Range] = []
    for part in parts_of(tx, run_id):
        begin = max(first, max(part.after, 0) // episodes_per_row)
        end = min(last, part.last // episodes_per_row - 1) if part.last < NEWEST else last
        if begin <= end:
            found.append((part.run_id, begin, end))
    return found


def fork_begin(tx: Transaction, run_id: str) -> int:
    """Episodes of a run that are rows of its trunk; 0 if all are its own."""
    return max(0, parts_of(tx, run_id)[-1].after)

"""What a change did: forks of one checkpoint in pairs of the same seed, one as it was and one with the change."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from v3core.comparison.curves import on_grid
from v3core.insight.grids import Grid
from v3core.store.database import Database
from v3core.store.run_row import RunRow


@dataclass(frozen=True)
class Pairs:
    """Forks of one checkpoint."""

    begin: int
    """Complete episodes of the checkpoint."""
    base: str
    """Curriculum of those as it was."""
    change: str
    """Curriculum of those with the change."""
    pairs: tuple[tuple[RunRow, RunRow], ...]
    """As it was and with the change, by seed."""


def pairs_of(runs: Sequence[RunRow]) -> Pairs | None:
    """The pairs among the runs of one experiment; None unless they are forks of one checkpoint in two curricula.

    The curriculum of the oldest is the one as it was.
    """
    forks = sorted(runs, key=lambda run: (run.created_at, run.id))
    curricula = list(dict.fromkeys(run.curriculum for run in forks))
    if len(curricula) != 2 or len({(run.parent, run.parent_episode) for run in forks}) != 1 or not forks[0].parent:
        return None
    by_curriculum = [{run.seed: run for run in reversed(forks) if run.curriculum == name} for name in curricula]
    seeds = sorted(by_curriculum[0].keys() & by_curriculum[1].keys())
    pairs = tuple((by_curriculum[0][seed], by_curriculum[1][seed]) for seed in seeds)
    base, change = curricula
    return Pairs(forks[0].parent_episode or 0, base, change, pairs) if pairs else None


def differences(database: Database, pairs: Pairs, metric: str = "return") -> Grid:
    """A metric with the change minus the same as it was, for each pair, over the episodes since the checkpoint.

    A row for each pair, under the id of the run with the change.
    """
    base, change = zip(*pairs.pairs, strict=True)
    grid = on_grid(database, (*base, *change), metric, axis="episode")
    later, count = grid.x > pairs.begin, len(base)
    y = grid.y[count:, later] - grid.y[:count, later]
    return replace(grid, x=grid.x[later], y=y, run_ids=grid.run_ids[count:])

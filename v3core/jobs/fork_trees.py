"""Which run was forked from which: the tree that a run belongs to."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from v3core.store.run_row import RunRow


@dataclass(frozen=True)
class Branch:
    """A run and its forks, by the episode at which they begin, then by age."""

    run: RunRow
    forks: tuple["Branch", ...] = ()

    def walk(self, depth: int = 0) -> Iterator[tuple[int, RunRow]]:
        """Each run of the tree with its depth, parents before their forks."""
        yield depth, self.run
        for fork in self.forks:
            yield from fork.walk(depth + 1)


def trees_of(runs: Sequence[RunRow], wanted: Collection[str]) -> list[Branch]:
    """The trees of those of the runs that are `wanted`, by id; a run that is no fork and has none is a tree alone.

    A fork whose parent is deleted, or not among the runs, is the root of its tree.
    """
    by_id = {run.id: run for run in runs}
    forks: dict[str, list[RunRow]] = defaultdict(list)
    for run in runs:
        if run.parent in by_id:
            forks[str(run.parent)].append(run)

    def branch(run: RunRow, above: frozenset[str]) -> Branch:
        below = sorted(forks[run.id], key=lambda fork: (fork.parent_episode or 0, fork.created_at, fork.id))
        known = above | {run.id}
        return Branch(run, tuple(branch(fork, known) for fork in below if fork.id not in known))

    roots = dict.fromkeys(_root(by_id, run_id) for run_id in wanted if run_id in by_id)
    return [branch(by_id[root], frozenset()) for root in roots]


def _root(by_id: dict[str, RunRow], run_id: str) -> str:
    seen: set[str] = set()
    while (parent := by_id[run_id].parent) in by_id and run_id not in seen:
        seen.add(run_id)
        run_id = str(parent)
    return run_id

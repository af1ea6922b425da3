"""Experiments: runs that are started together and share the text `runs.experiment`, which is the experiment's name."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import count, islice
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from v3core.config import MAX_NAME, MAX_SEED, RunConfig
from v3core.errors import V3Error, suggestion
from v3core.jobs import control
from v3core.jobs.costs import cost_of as cost_of
from v3core.jobs.forks import Change, config_of, fork_all, origin_of
from v3core.jobs.grid import Candidate as Candidate
from v3core.jobs.grid import Grid as Grid
from v3core.jobs.grid import check_size, title_of
from v3core.jobs.grid import configs_of as configs_of
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import ENDED, Status, status_word
from v3core.jobs.needs import NO_NEEDS, Needs
from v3core.jobs.several import Outcome, for_each
from v3core.jobs.sweep import experiment_name, experiments_of
from v3core.messages import _
from v3core.overrides import FACTS, SETTINGS
from v3core.phrases import counted, listed, one_of
from v3core.store.database import Database
from v3core.store.experiment_rows import read_experiment, read_experiments
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run, list_runs, runs_of_experiment

FAILED = (Status.FAILED, Status.LOST)
MORE_SEEDS = 5
"""Seeds that are added unless another number is given."""


def start(
    database: Database,
    grid: Grid,
    name: str | None = None,
    *,
    priority: int = 0,
    token: str | None = None,
    configs: Sequence[RunConfig] | None = None,
    needs: Needs = NO_NEEDS,
) -> tuple[str, list[str]]:
    """Queue the runs of a grid as one experiment; returns its name and their ids.

    Args:
        database: an open store.
        grid: what the runs are.
        name: of the experiment; None makes one of the grid. One that exists gets these runs as well.
        priority: of two waiting runs the higher starts first.
        token: as of `enqueue`.
        configs: those of the grid, where they are known already.
        needs: what the runs demand of where they train.

    Raises:
        V3Error: nothing is queued.
    """
    check_size(grid)
    configs = configs_of(grid) if configs is None else configs
    chosen = (name or "").strip() or made_name(database, grid)
    return chosen, enqueue(
        database, configs, chosen, priority=priority, token=token, launch=grid.to_dict(), needs=needs
    )


def made_name(database: Database, grid: Grid) -> str:
    """A name for an experiment that was given none."""
    curricula = [candidate.curriculum.name for candidate in grid.curricula]
    return experiment_name(title_of(grid), curricula, grid.seeds, experiments_of(list_runs(database)))


@dataclass(frozen=True)
class Progress:
    """How an experiment stands."""

    name: str
    created_at: datetime
    runs: tuple[RunRow, ...]
    """Oldest first."""
    launches: tuple[dict[str, Any], ...]
    """What was asked for, if it is recorded; see `Grid.to_dict`."""

    @property
    def counts(self) -> dict[str, int]:
        """Status to the number of runs in it."""
        return dict(Counter(run.status for run in self.runs))

    @property
    def failed(self) -> list[RunRow]:
        """The runs that failed or were lost."""
        return [run for run in self.runs if run.status in FAILED]

    @property
    def is_over(self) -> bool:
        """Whether no run trains or waits."""
        return all(run.status in ENDED for run in self.runs)

    @property
    def episode(self) -> int:
        """Completed episodes of all runs."""
        return sum(run.episode for run in self.runs)

    @property
    def episodes(self) -> int | None:
        """Planned episodes of all runs; None if some are planned in environment steps alone."""
        return None if any(run.length.is_by_steps for run in self.runs) else sum(run.episodes for run in self.runs)

    @property
    def steps(self) -> int | None:
        """Planned environment steps of all runs; None if some are planned in episodes."""
        planned = [run.steps for run in self.runs if run.length.is_by_steps and run.steps is not None]
        return sum(planned) if len(planned) == len(self.runs) else None

    def reached(self) -> str:
        """As in `130 of 800 episodes` or `12,000 of 20,000 steps`, of all runs together."""
        if self.episodes is not None:
            return _("{episode:,} of {episodes:,} episodes", episode=self.episode, episodes=self.episodes)
        step = sum(run.step for run in self.runs)
        return (
            _("{step:,} steps", step=step)
            if self.steps is None
            else _("{step:,} of {steps:,} steps", step=step, steps=self.steps)
        )

    @property
    def share(self) -> float:
        """From 0 to 1: the mean of how far its runs are."""
        return sum(run.part for run in self.runs) / len(self.runs)

    @property
    def deleted(self) -> int:
        """Runs that were asked for and are not there any more; 0 if it is not recorded what was asked for."""
        asked = [launch.get("runs") for launch in self.launches]
        return max(0, sum(number for number in asked if isinstance(number, int)) - len(self.runs))

    def describe(self) -> str:
        """As in `6 runs: 2 running, 1 queued, 3 completed`."""
        counts = self.counts
        parts = [
            _("{count} {status}", count=counts[status], status=status_word(status))
            for status in Status
            if status in counts
        ]
        return _("{runs}: {parts}", runs=counted(len(self.runs), "run"), parts=listed(parts))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "created_at": self.created_at,
            "runs": len(self.runs),
            "deleted": self.deleted,
            "statuses": self.counts,
            "episode": self.episode,
            "episodes": self.episodes,
            "step": sum(run.step for run in self.runs),
            "steps": self.steps,
            "is_over": self.is_over,
            "launches": list(self.launches),
        }


def progress_of(database: Database, name: str) -> Progress:
    """How an experiment stands; V3Error with near names if there is none."""
    with database.read() as tx:
        runs = runs_of_experiment(tx, name)
        row = read_experiment(tx, name)
    if not runs:
        near = suggestion(name, experiments_of(list_runs(database)))
        raise V3Error(
            "There is no experiment '{name}'. {value}", name=name, value=near or _("List them with: experiments.")
        )
    return Progress(name, runs[0].created_at, tuple(runs), row.launches if row else ())


def list_experiments(database: Database) -> list[Progress]:
    """All experiments, the newest first."""
    groups: dict[str, list[RunRow]] = {}
    for run in reversed(list_runs(database)):
        if run.experiment:
            groups.setdefault(run.experiment, []).append(run)
    with database.read() as tx:
        rows = read_experiments(tx)
    found = [
        Progress(name, runs[0].created_at, tuple(runs), row.launches if (row := rows.get(name)) else ())
        for name, runs in groups.items()
    ]
    return sorted(found, key=lambda progress: progress.created_at, reverse=True)


stop = control.stop_experiment


def resume_failed(database: Database, name: str, actor: str = "user") -> Outcome:
    """Resume the runs of an experiment that failed or were lost; says of each of the others why it cannot be."""
    return _resume(database, name, FAILED, actor)


def resume_stopped(database: Database, name: str, actor: str = "user") -> Outcome:
    """Resume the runs of an experiment that were stopped."""
    return _resume(database, name, (Status.STOPPED,), actor)


def _resume(database: Database, name: str, statuses: Collection[Status], actor: str) -> Outcome:
    runs = [run for run in progress_of(database, name).runs if run.status in statuses]
    if not runs:
        words = one_of([status_word(status) for status in statuses])
        raise V3Error("No run of experiment '{name}' is {words}; there is nothing to resume.", name=name, words=words)
    return for_each(runs, partial(control.resume, database, actor=actor))


def add_seeds(database: Database, name: str, number: int = MORE_SEEDS, *, priority: int = 0) -> list[str]:
    """Queue runs with `number` more seeds of everything that the experiment compares; returns their ids.

    Every run is trained with the same new seeds as it was launched, whatever was changed while it trained; a fork
    begins at the checkpoint at which it began. Of two requests at the same time, as of a double click, the second adds
    only those that the first does not.

    Raises:
        V3Error: also if a fork's checkpoint is gone; nothing is queued.
    """
    runs = progress_of(database, name).runs
    added = more_seeds(runs, number)
    forks: dict[tuple[str, int], list[Change]] = {}
    for one in added:
        if one.origin is not None:
            forks.setdefault(one.origin, []).append(_change(database, one.config, one.origin))
    for (parent, episode), changes in forks.items():
        origin = origin_of(database, parent, episode)
        for change in changes:
            config_of(origin, change)
    fresh = [one.config for one in added if one.origin is None]
    launch = {"seeds": sorted({config.seed for config in fresh}), "runs": len(fresh)}
    # Not of the number: the first runs of a request for more seeds are those of a request for fewer.
    token = uuid5(NAMESPACE_OID, f"{name} {sorted(run.id for run in runs)}")
    ids: list[str] = []
    if fresh:
        needs = Needs.common(runs)
        ids = enqueue(database, fresh, name, priority=priority, token=str(token), launch=launch, needs=needs)
    for (parent, episode), changes in forks.items():
        own = str(uuid5(token, f"{parent} {episode}"))
        ids += fork_all(database, parent, changes, episode=episode, experiment=name, priority=priority, token=own)
    return ids


def _change(database: Database, config: RunConfig, origin: tuple[str, int]) -> Change:
    """What a fork with this configuration does otherwise than its parent."""
    trained = get_run(database, origin[0]).config
    changed = tuple(
        f"{path}={setting.show(getattr(getattr(config, setting.section), setting.name))}"
        for path, setting in SETTINGS.items()
        if getattr(getattr(config, setting.section), setting.name)
        != getattr(getattr(trained, setting.section), setting.name)
    )
    own = config.episode_facts.items() - trained.episode_facts.items()
    changed += tuple(f"{FACTS}{name}={path}" for name, path in sorted(own))
    return Change(config.curriculum, config.seed, changed, config.episodes, config.name, config.steps)


@dataclass(frozen=True)
class Addition:
    """A run with a further seed."""

    config: RunConfig
    origin: tuple[str, int] | None = None
    """Of a fork, its parent, and the episode of the checkpoint at which it begins."""

    @property
    def to_train(self) -> RunConfig:
        """With the episodes that it trains itself, for what it costs; of steps all, also those of its trunk."""
        if self.config.length.is_by_steps:
            return self.config
        left = self.config.episodes - (self.origin[1] if self.origin else 0)
        return self.config.model_copy(update={"episodes": max(1, left)})


def more_seeds(runs: Sequence[RunRow], number: int) -> list[Addition]:
    """The runs that `number` more seeds of an experiment are, the first new seed of all first."""
    if number < 1:
        raise V3Error("{number} seeds cannot be added; choose 1 or more.", number=number)
    cells: dict[tuple[str, tuple[str, int] | None], list[RunConfig]] = {}
    for run in runs:
        length = {"episodes": 1, "steps": run.steps and 1}
        bare = run.config.model_copy(update={"name": "-", "seed": 0, "backend": None, **length})
        origin = None if run.parent is None else (run.parent, run.parent_episode or 0)
        cells.setdefault((bare.model_dump_json(by_alias=True), origin), []).append(run.config)
    launched = [(_as_launched(configs), origin) for (_, origin), configs in cells.items()]
    seeds = list(islice(_free_seeds({run.seed for run in runs}), number))
    return [
        Addition(
            config.model_copy(update={"name": _renamed(config, seed), "seed": seed, "backend": None}),
            origin,
        )
        for seed in seeds
        for config, origin in launched
    ]


def _as_launched(configs: Sequence[RunConfig]) -> RunConfig:
    """Of the runs that differ in seed, and in length where some were trained longer, one of the usual length."""
    lengths = Counter(config.length for config in configs)
    usual = min(lengths, key=lambda length: (-lengths[length], length.episodes, length.steps or 0))
    return next(config for config in configs if config.length == usual)


def _free_seeds(taken: Collection[int]) -> Iterator[int]:
    """Those after the largest that is taken, then any others."""
    yield from range(max(taken) + 1, MAX_SEED + 1)
    yield from (seed for seed in count() if seed not in taken)


def _renamed(config: RunConfig, seed: int) -> str:
    """The name of a run with another seed, which its name ends with."""
    ending = f"seed {seed}"
    name = re.sub(r"(\s·)? seed \d+$", "", config.name)
    return f"{name[: MAX_NAME - len(ending) - 3]} · {ending}"

"""The demo: the same policy, environment and seed, once with a routing curriculum and once without."""

import re
from collections.abc import Sequence

from v3core.config import RunConfig, chosen_environment, recipe_for
from v3core.curriculum import load_preset
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import ENDED
from v3core.jobs.sweep import expand, experiments_of, free_name
from v3core.metrics import METRICS
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.runs import list_runs

ENV = "CartPole-v1"
SEED = 1
"""The first of those in docs/results.md, not the best."""
WITH, WITHOUT = "demo-with-curriculum", "demo-without-curriculum"
"""Presets of the two runs."""
NAMES = {WITH: "With curriculum", WITHOUT: "Without curriculum"}
"""The names of the runs."""
METRIC = METRICS["recent_dead_experts"].label
"""What Compare shows the difference by, as its address names it."""
_EXPERIMENT = "Demo"


def demo_configs() -> list[RunConfig]:
    """One run per preset, with the length of the preset; the one with the curriculum first."""
    recipe = recipe_for(ENV)
    environment = chosen_environment(ENV, recipe)
    configs = []
    for preset, name in NAMES.items():
        curriculum = load_preset(preset)
        length = curriculum.episodes or recipe.episodes
        configs += expand([curriculum], [SEED], name=name, env=environment, episodes=length, recipe=recipe)
    return configs


def start_demo(database: Database) -> list[str]:
    """Queue the demo's runs, which train in the background; nothing while those of an earlier start are unfinished.

    Returns the ids of its runs, the one with the curriculum first.
    """
    runs = list_runs(database)
    newest = newest_demo(runs)
    if any(run.status not in ENDED for run in newest):
        return [run.id for run in newest]
    return enqueue(database, demo_configs(), free_name(_EXPERIMENT, experiments_of(runs)))


def is_demo(run: RunRow) -> bool:
    """Whether the demo has started it."""
    return run.curriculum in NAMES and bool(re.fullmatch(rf"{_EXPERIMENT}( \(\d+\))?", run.experiment or ""))


def demo_of(runs: Sequence[RunRow], run: RunRow) -> list[RunRow]:
    """The runs of `run`'s demo that are still there, the one with the curriculum first."""
    together = [other for other in runs if is_demo(other) and other.experiment == run.experiment]
    return sorted(together, key=lambda other: list(NAMES).index(other.curriculum))


def newest_demo(runs: Sequence[RunRow]) -> list[RunRow]:
    """Of all runs, newest first, those of the newest demo, the one with the curriculum first; none without a demo."""
    newest = next((run for run in runs if is_demo(run)), None)
    return demo_of(runs, newest) if newest else []

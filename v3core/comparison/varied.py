"""What the runs of an experiment vary, by which they are grouped unless somebody asks otherwise."""

from collections.abc import Sequence
from math import prod

from v3core.comparison.groups import (
    CURRICULUM,
    NAME,
    NOT_VARIED,
    environment_of,
    grouped,
    name_of,
    settings_that_differ,
)
from v3core.store.run_row import RunRow

_MAX_SETTINGS = 2
"""Settings, besides the curriculum, whose values make a name that can be read."""


def varied(runs: Sequence[RunRow]) -> tuple[str, ...]:
    """The settings that an experiment varies besides environment and seed: those that differ within one environment.

    The curriculum always is one: it is what the groups are called. Arms of a study, which differ in many settings at
    once, are told apart by their names instead.
    """
    paths = dict.fromkeys([CURRICULUM])
    for env in dict.fromkeys(map(environment_of, runs)):
        here = [run for run in runs if environment_of(run) == env]
        paths |= dict.fromkeys(setting.path for setting in settings_that_differ(here))
    by = tuple(path for path in paths if path not in NOT_VARIED)
    return (NAME,) if len(by) > 1 + _MAX_SETTINGS and _are_arms(runs, by) else by


def _are_arms(runs: Sequence[RunRow], by: Sequence[str]) -> bool:
    """Whether each combination of these settings has a name of its own, and they are not most of a grid."""
    groups = grouped(runs, by)
    combinations = {group.values for group in groups}
    pairs = {(group.values, name_of(run)) for group in groups for run in group.runs}
    is_grid = 2 * len(combinations) >= prod(len(set(values)) for values in zip(*combinations, strict=True))
    return not is_grid and len(pairs) == len(combinations) == len({name for _values, name in pairs})

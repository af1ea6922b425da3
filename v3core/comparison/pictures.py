"""The figures of a comparison, one per environment: for Compare and for reports."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from v3core.charts.figure import Figure
from v3core.charts.group_curves import GroupCurve, groups_figure
from v3core.charts.outcomes import (
    GroupStyle,
    final_figure,
    parallel_figure,
    phases_figure,
    profile_figure,
    sweep_figure,
)
from v3core.charts.palette import DASHES, curriculum_colours, run_colours, shaded
from v3core.comparison.curves import band, numbered_phase, on_grid
from v3core.comparison.groups import (
    CURRICULUM,
    Group,
    Setting,
    grouped,
    settings_among,
    settings_that_differ,
    shown_value,
    title_of,
)
from v3core.comparison.looking import Grouping
from v3core.curriculum import unedited
from v3core.insight.compared import Across, Comparison, GroupResult
from v3core.messages import _, translated
from v3core.metrics import COMPARED, EVALUATION, METRICS
from v3core.store.curve import PhaseSums
from v3core.store.database import Database
from v3core.store.run_row import RunRow


@dataclass(frozen=True)
class Picture:
    """A figure of one environment."""

    env: str
    key: str
    """Distinguishes it from the other pictures of the page."""
    figure: Figure


def looks_of(groups: Sequence[Group | GroupResult]) -> dict[str, GroupStyle]:
    """By the name of a group: the colour of its curriculum; further groups of it, or of edits of it, are shades."""
    return _looks({group.name: group.curriculum for group in groups})


def _looks(names: Mapping[str, str | None]) -> dict[str, GroupStyle]:
    mixed = iter(run_colours(len(names)))
    colours = curriculum_colours([curriculum for curriculum in names.values() if curriculum is not None])
    seen: dict[str, int] = {}
    looks = {}
    for name, curriculum in names.items():
        if curriculum is None:
            looks[name] = GroupStyle(next(mixed))
            continue
        origin = unedited(curriculum)
        place = seen[origin] = seen.get(origin, -1) + 1
        looks[name] = GroupStyle(shaded(colours[curriculum], place), DASHES[place % len(DASHES)])
    return looks


def curve_pictures(
    database: Database, runs: Sequence[RunRow], metric: str, grouping: Grouping, found: Comparison
) -> tuple[list[Picture], tuple[str, ...]]:
    """The groups over the axis, without copies of runs, and sentences about runs that are missing there."""
    groups = grouped([run for run in runs if run.id not in found.copies], grouping.by)
    looks = looks_of(groups)
    pictures, notes = [], list[str]()
    for env in dict.fromkeys(group.env for group in groups):
        here = [group for group in groups if group.env == env]
        # By itself: another environment may take a hundred times the steps.
        grid = on_grid(database, [run for group in here for run in group.runs], metric, grouping.axis, grouping.since)
        notes += grid.notes
        if not np.isfinite(grid.y).any():
            continue
        lines = []
        for group in here:
            own = grid.only([run.id for run in group.runs])
            look = looks[group.name]
            lines.append(GroupCurve(group.name, look.colour, look.dash, own, band(own)))
        figure = groups_figure(
            lines,
            name=f"{env}:{metric}:{grouping.axis}:{grouping.since}:{','.join(grouping.by)}",
            label=COMPARED[metric].label,
            axis=grouping.axis,
            since=grouping.since,
            common=grid.common,
            threshold=found.thresholds.get(env) if metric in ("return", EVALUATION) else None,
        )
        pictures.append(Picture(env, f"groups-{env}", figure))
    return pictures, tuple(notes)


def final_pictures(found: Comparison) -> list[Picture]:
    """The final value of each run, and of each group with its interval."""
    looks = looks_of(found.groups)
    pictures = []
    for env in dict.fromkeys(group.env for group in found.groups):
        here = [group for group in found.groups if group.env == env]
        if not any(group.final.n for group in here):
            continue
        of_each = [looks[group.name] for group in here]
        figure = final_figure(here, of_each, label=found.label, threshold=found.thresholds.get(env))
        pictures.append(Picture(env, f"finals-{env}", figure))
    return pictures


def phase_pictures(
    runs: Sequence[RunRow], phases_of: Mapping[str, Sequence[PhaseSums]], metric: str, by: Sequence[str]
) -> list[Picture]:
    """Boxes of the runs' means in each phase; `phases_of` are those of each run, by id.

    Where the groups have phases of different names, the first of each stand together, then the second.
    """
    of = metric if metric in METRICS else "return"
    groups = grouped(runs, by)
    looks = looks_of(groups)
    means = {run_id: {phase.phase: _of_phase(phase, of) for phase in found} for run_id, found in phases_of.items()}
    orders = [list(dict.fromkeys(name for run in group.runs for name in means.get(run.id, ()))) for group in groups]
    same = all(order == orders[0] for order in orders)
    most = max((len(order) for order in orders), default=0)
    phases = orders[0] if same and orders else [numbered_phase(index) for index in range(most)]
    pictures = []
    for env in dict.fromkeys(group.env for group in groups):
        here = [(group, order) for group, order in zip(groups, orders, strict=True) if group.env == env]
        values = [
            {
                phases[place]: [means[run.id][name] for run in group.runs if name in means.get(run.id, ())]
                for place, name in enumerate(order)
            }
            for group, order in here
        ]
        if not any(math.isfinite(one) for of_group in values for of_phase in of_group.values() for one in of_phase):
            continue
        names = [group.name for group, _ in here]
        label = COMPARED[of].label if of in COMPARED else of
        figure = phases_figure(phases, values, names, [looks[name] for name in names], label=label)
        pictures.append(Picture(env, f"phases-{env}", figure))
    return pictures


def _of_phase(phase: PhaseSums, metric: str) -> float:
    try:
        return phase[metric]
    except ValueError:  # not summed per phase
        return math.nan


def sweep_pictures(
    runs: Sequence[RunRow], settings: Sequence[Setting], found: Comparison, by: Sequence[str]
) -> list[Picture]:
    """Final values over each numeric setting that is grouped by; with several that differ, a line per run too."""
    groups = grouped(runs, by)
    results = {(group.name, group.env): group for group in found.groups}
    pictures = []
    for setting in settings:
        if setting.path not in by or not _is_numeric(setting):
            continue
        for env in dict.fromkeys(group.env for group in groups):
            here = [group for group in groups if group.env == env]
            lines = _sweep_lines(here, results, setting.path, by)
            if lines:
                figure = sweep_figure(lines, setting=translated(setting.title), label=found.label)
                pictures.append(Picture(env, f"sweep-{setting.path}-{env}", figure))
    return pictures + _parallel(runs, found)


def _sweep_lines(
    groups: Sequence[Group], results: Mapping[tuple[str, str], GroupResult], path: str, by: Sequence[str]
) -> list[tuple[str, GroupStyle, list[tuple[float, GroupResult]]]]:
    place, others = list(by).index(path), [one for one in by if one != path]
    lines: dict[str, list[tuple[float, GroupResult]]] = {}
    curricula: dict[str, str | None] = {}
    for group in groups:
        value, rest = group.values[place], [*group.values[:place], *group.values[place + 1 :]]
        parts = [
            shown_value(one) if other == CURRICULUM else f"{translated(title_of(other))} {shown_value(one)}"
            for other, one in zip(others, rest, strict=True)
        ]
        name = " · ".join(parts) or _("all runs")
        if isinstance(value, int | float):
            lines.setdefault(name, []).append((float(value), results[group.name, group.env]))
            curricula[name] = group.curriculum
    looks = _looks(curricula)
    return [(name, looks[name], sorted(points, key=lambda point: point[0])) for name, points in lines.items()]


def _is_numeric(setting: Setting) -> bool:
    numbers = [value for value in setting.values if value is not None]
    return len(numbers) > 1 and all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers)


def _parallel(runs: Sequence[RunRow], found: Comparison) -> list[Picture]:
    """Of each environment in which several settings differ, apart from its recipe's own, and a run has a value."""
    finals = {run.run_id: run.final for group in found.groups for run in group.runs}
    pictures = []
    for env in dict.fromkeys(group.env for group in found.groups):
        ids = {run.run_id for group in found.groups if group.env == env for run in group.runs}
        here = [run for run in runs if run.id in ids]
        settings = settings_that_differ(here)
        if len(settings) < 2 or not any(math.isfinite(finals[run.id]) for run in here):
            continue
        axes = [(translated(setting.title), [shown_value(value) for value in setting.values]) for setting in settings]
        lines = [
            ([setting.values.index(own.get(setting.path)) for setting in settings], finals[run.id], run.name)
            for run, own in zip(here, settings_among(here), strict=True)
        ]
        pictures.append(Picture(env, f"parallel-{env}", parallel_figure(axes, lines, label=found.label)))
    return pictures


def profile_picture(found: Across, groups: Sequence[GroupResult]) -> Figure:
    """Performance profiles of the groups over the environments."""
    looks = looks_of(groups)
    return profile_figure([(group.name, looks[group.name], group.profile) for group in found.groups])

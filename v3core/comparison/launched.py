"""What runs were launched with: their curricula, and the settings that differ."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from v3core.charts.figure import Figure
from v3core.charts.series import end_of_axis, phase_bands, phases_in_steps
from v3core.charts.timelines import Timeline, timelines_figure
from v3core.comparison.groups import (
    CURRICULUM,
    NAME,
    OF_PHASES,
    Setting,
    group_name,
    name_of,
    settings_among,
    settings_that_differ,
    shown_value,
)
from v3core.comparison.tables import Row
from v3core.comparison.varied import varied
from v3core.curriculum import Curriculum
from v3core.errors import V3Error
from v3core.messages import _
from v3core.store.run_row import RunRow


def launched_with(runs: Sequence[RunRow]) -> list[tuple[RunRow, Curriculum]]:
    """Each run with its curriculum as launched; without those whose configuration cannot be read."""
    found = []
    for run in runs:
        with suppress(V3Error):
            found.append((run, run.config.curriculum))
    return found


@dataclass(frozen=True)
class Launched:
    """A curriculum with which runs were launched."""

    curriculum: Curriculum
    end: int
    """Where an axis of episodes of its first run ends."""
    steps: int | None
    """Length of that run in environment steps, if it has one."""


def curricula_of(runs: Sequence[RunRow]) -> dict[str, Launched]:
    """Each different curriculum as launched, by a name of its own: edits that differ in a setting are called by it.

    Where arms have names, there is one for each arm, and it is called by it.
    """
    are_named = varied(runs) == (NAME,)
    phases = [setting.path for setting in settings_that_differ(runs) if setting.path.startswith(OF_PHASES)]
    owned = {run.id: own for run, own in zip(runs, settings_among(runs), strict=True)}
    found: dict[str, Launched] = {}
    for run, curriculum in launched_with(runs):
        own = owned[run.id]
        by = [CURRICULUM, *(path for path in phases if path in own)]
        called = name_of(run) if are_named else group_name(by, [own[path] for path in by])
        number = 1
        while (name := called if number == 1 else f"{called} ({number})") in found:
            if (known := found[name].curriculum).phases == curriculum.phases and known.policy == curriculum.policy:
                break
            number += 1
        found.setdefault(
            name, Launched(curriculum, end_of_axis(curriculum, run.expected_episodes), run.config.length.steps)
        )
    return found


def timelines_picture(runs: Sequence[RunRow]) -> Figure:
    """The curricula above one another: over steps if all of their phases end there, otherwise over episodes."""
    found = curricula_of(runs)
    in_steps = [phases_in_steps(one.curriculum, one.steps) for one in found.values()]
    bands = in_steps if all(in_steps) else [phase_bands(one.curriculum, episodes=one.end) for one in found.values()]
    rows = [
        Timeline(name, one.curriculum.name, of, tuple(phase.name for phase in one.curriculum.phases[len(of) :]))
        for (name, one), of in zip(found.items(), bands, strict=True)
    ]
    return timelines_figure(rows, unit="step" if all(in_steps) else "episode")


def differing_rows(runs: Sequence[RunRow], settings: Sequence[Setting]) -> list[Row]:
    """A row per setting that differs: how many runs have which value."""
    owned = settings_among(runs)
    rows: list[Row] = []
    for setting in settings:
        counts = Counter(shown_value(one.get(setting.path)) for one in owned)
        said = ", ".join(f"{shown_value(value)} ({counts[shown_value(value)]})" for value in setting.values)
        rows.append({_("Setting"): setting.title, _("Path"): setting.path, _("Values (runs)"): said})
    return rows

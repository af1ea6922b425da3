"""What runs were launched with: their curricula, and the settings that differ."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from v3core.charts.figure import Figure
from v3core.charts.series import end_of_axis, phase_bands
from v3core.charts.timelines import timelines_figure
from v3core.comparison.groups import Setting, settings_of, shown_value
from v3core.comparison.tables import Row
from v3core.curriculum import Curriculum
from v3core.errors import V3Error
from v3core.store.run_row import RunRow


def launched_with(runs: Sequence[RunRow]) -> list[tuple[RunRow, Curriculum]]:
    """Each run with its curriculum as launched; without those whose configuration cannot be read."""
    found = []
    for run in runs:
        with suppress(V3Error):
            found.append((run, run.config.curriculum))
    return found


def curricula_of(runs: Sequence[RunRow]) -> dict[str, tuple[Curriculum, int]]:
    """Each different curriculum as launched, by a name of its own, and where an axis of its run ends."""
    found: dict[str, tuple[Curriculum, int]] = {}
    for run, curriculum in launched_with(runs):
        number = 1
        while (name := curriculum.name if number == 1 else f"{curriculum.name} ({number})") in found:
            if found[name][0] == curriculum:
                break
            number += 1
        found.setdefault(name, (curriculum, end_of_axis(curriculum, run.expected_episodes)))
    return found


def timelines_picture(runs: Sequence[RunRow]) -> Figure:
    """The curricula above one another."""
    found = curricula_of(runs).items()
    return timelines_figure(
        [(name, phase_bands(curriculum, episodes=episodes)) for name, (curriculum, episodes) in found]
    )


def differing_rows(runs: Sequence[RunRow], settings: Sequence[Setting]) -> list[Row]:
    """A row per setting that differs: how many runs have which value."""
    owned = [settings_of(run) for run in runs]
    rows: list[Row] = []
    for setting in settings:
        counts = Counter(shown_value(one.get(setting.path)) for one in owned)
        said = ", ".join(f"{shown_value(value)} ({counts[shown_value(value)]})" for value in setting.values)
        rows.append({"Setting": setting.title, "Path": setting.path, "Values (runs)": said})
    return rows

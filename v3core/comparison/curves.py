"""Runs on an explicit grid of steps, episodes or seconds."""

from collections.abc import Sequence

import numpy as np

from v3core.comparison.groups import Group
from v3core.comparison.run_traces import Trace, traces_of, training_seconds, window_of
from v3core.insight.grids import AXES, Axis, Band, Grid
from v3core.insight.grids import band as band
from v3core.messages import _, several
from v3core.metrics import AT_EVALUATIONS, WINDOWED, phrase_of
from v3core.phrases import listed
from v3core.rollup import Floats
from v3core.store.database import Database
from v3core.store.history import PhaseChangeRow, read_phase_changes
from v3core.store.run_row import RunRow

__all__ = ["AXES", "POINTS", "Axis", "Band", "Grid", "band", "on_grid"]

POINTS = 200


def on_grid(
    database: Database,
    runs: Group | Sequence[RunRow],
    metric: str,
    axis: Axis = "step",
    since_phase: str | None = None,
    points: int = POINTS,
    window: int | None = None,
) -> Grid:
    """A metric of runs at the same places; for several groups give all runs, and take each group's with `Grid.only`.

    Between two points of a run the line is straight; nothing is drawn beyond what it has reached. Lines are means of
    the last `window` episodes, by default as suits the shortest run, rounded up to whole buckets, or of one of `POOLED`
    over their steps together; evaluations and metrics of `WINDOWED` are not smoothed. `since_phase` is a phase's name,
    or `Phase 2` for the second of each run; a run that has not begun it is a row of NaN, and a note says so.

    Raises:
        V3Error: for a metric that does not exist.
    """
    rows = runs.runs if isinstance(runs, Group) else tuple(runs)
    traces = traces_of(database, rows, metric)
    if metric in AT_EVALUATIONS or metric in WINDOWED:
        window = 1
    elif window is None:
        window = window_of(rows)
    lines = [_line(database, run, trace, axis, since_phase, window) for run, trace in zip(rows, traces, strict=True)]
    end = max((float(x[-1]) for x, _ in lines if len(x)), default=0.0)
    x = _places(end, points, whole=axis != "seconds")
    y = np.full((len(rows), len(x)), np.nan)
    for row, (at, values) in enumerate(lines):
        if len(at):
            y[row] = np.interp(x, at, values, left=np.nan, right=np.nan)
    notes = _notes(rows, lines, metric, since_phase)
    return Grid(metric, axis, since_phase, x, y, tuple(run.id for run in rows), notes)


def _places(end: float, points: int, *, whole: bool) -> Floats:
    """Equally spaced from above 0 to the end, which is one of them."""
    places = end * np.arange(1, points + 1) / points
    return np.unique(np.rint(places)) if whole and end else places[: points if end else 0]


def _line(
    database: Database, run: RunRow, trace: Trace, axis: Axis, since_phase: str | None, window: int
) -> tuple[Floats, Floats]:
    """A run's values at ascending places of the axis."""
    values = trace.trailing(window)
    at = _axis_of(database, run, trace, axis)
    if since_phase is not None:
        change = _start_of(since_phase, read_phase_changes(database, run.id))
        if change is None:
            return np.empty(0), np.empty(0)
        if axis == "seconds":
            begins = float(training_seconds(database, run, np.array([max(change.episode, 1)]))[0]) if len(at) else 0.0
            begins = 0.0 if change.episode == 0 else begins
        else:
            begins = float(change.step if axis == "step" else change.episode)
        later = at > begins
        at, values = at[later] - begins, values[later]
    placed = ~np.isnan(at)
    at, values = at[placed], values[placed]
    has = np.flatnonzero(~np.isnan(values))
    # Before the first value there is none; a gap within stays one.
    kept = slice(int(has[0]), int(has[-1]) + 1) if len(has) else slice(0, 0)
    at, values = at[kept], values[kept]
    # Several episodes may end on the same step: the newest says it.
    newest = np.append(np.diff(at) > 0, True) if len(at) else np.empty(0, dtype=bool)
    return at[newest], values[newest]


def _start_of(phase: str, changes: Sequence[PhaseChangeRow]) -> PhaseChangeRow | None:
    """The beginning of a phase by its name, or by its number, as in `Phase 2`."""
    named = next((one for one in changes if one.name == phase), None)
    return named or next((one for one in changes if phase == numbered_phase(one.phase)), None)


def numbered_phase(index: int) -> str:
    """What the phase at a place is called where curricula have phases of different names: 0 is `Phase 1`."""
    return _("Phase {number}", number=index + 1)


def _axis_of(database: Database, run: RunRow, trace: Trace, axis: Axis) -> Floats:
    if axis == "seconds":
        return training_seconds(database, run, trace.episode)
    return trace.step if axis == "step" else trace.episode.astype(np.float64)


def _notes(
    runs: Sequence[RunRow], lines: Sequence[tuple[Floats, Floats]], metric: str, since_phase: str | None
) -> tuple[str, ...]:
    missing = [run.name for run, (at, _) in zip(runs, lines, strict=True) if not len(at)]
    if not missing:
        return ()
    said: dict[str, object] = {"runs": len(runs), "metric": phrase_of(metric)}
    said |= {"phase": since_phase, "names": listed(missing)}
    if len(runs) == 1:
        alone = _("1 run has no {metric}: {names}.", **said)
        return (
            alone if since_phase is None else _("1 run has no {metric} since the start of {phase}: {names}.", **said),
        )
    if since_phase is None:
        return (
            several(
                "{count} of {runs} runs has no {metric}: {names}.",
                "{count} of {runs} runs have no {metric}: {names}.",
                count=len(missing),
                **said,
            ),
        )
    return (
        several(
            "{count} of {runs} runs has no {metric} since the start of {phase}: {names}.",
            "{count} of {runs} runs have no {metric} since the start of {phase}: {names}.",
            count=len(missing),
            **said,
        ),
    )

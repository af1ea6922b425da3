"""The newest episodes of a run's phase in force, of which tables of tasks, facts and situations are."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import fmean

from v3core.comparison.groups import is_readable
from v3core.comparison.run_traces import traces_of
from v3core.insight.compared import Comparison, GroupResult
from v3core.messages import Message, _
from v3core.phrases import counted
from v3core.store.database import Database
from v3core.store.phase_window import PhaseWindow, read_phase_window
from v3core.store.run_row import RunRow

MIN_WINDOW, MAX_WINDOW = 100, 5000
"""Newest episodes of a phase that a table is of: a tenth of the run's, within these bounds."""
NEWEST_WORDS = _(
    "the newest episodes of the phase that each run is in, or ended in: a tenth of the run's, at least {least}, or all "
    "of the phase if it has fewer",
    least=MIN_WINDOW,
)
Newest = list[tuple[RunRow, PhaseWindow]]
"""Runs with the episodes of each that are looked at."""
Wanted = Callable[[RunRow], bool]
"""Whether a run, whose configuration can be read, has what a table is about."""


def window_of(database: Database, run: RunRow, last: int | None = None) -> PhaseWindow:
    """The newest episodes, up to `last`, of the phase in force, as many as are looked at."""
    last = run.episode if last is None else last
    return read_phase_window(database, run.id, last=last, most=min(max(last // 10, MIN_WINDOW), MAX_WINDOW))


def window_words(window: PhaseWindow) -> Message:
    """As in `the newest 25 episodes of phase 'late'`."""
    return _("the newest {episodes} of phase '{phase}'", episodes=counted(window.count, "episode"), phase=window.phase)


def newest_of(
    database: Database, runs: Sequence[RunRow], names: Sequence[str], wanted: Wanted
) -> Iterator[tuple[str, RunRow, PhaseWindow]]:
    """The newest episodes of each of the runs that are wanted, with the run's name among `names`."""
    for run, name in zip(runs, names, strict=True):
        if is_readable(run) and wanted(run):
            yield name, run, window_of(database, run)


def newest_of_groups(
    database: Database, runs: Sequence[RunRow], found: Comparison, wanted: Wanted
) -> Iterator[tuple[GroupResult, Newest]]:
    """Of each group of a comparison of these runs those that count, at the step where it takes final values."""
    known = {run.id: run for run in runs if is_readable(run) and wanted(run)}
    for group in found.groups:
        here = [known[run_id] for run_id in group.finals if run_id in known]
        ends = [run.episode if found.until is None else _episode_at(database, run, found.until) for run in here]
        yield group, [(run, window_of(database, run, last)) for run, last in zip(here, ends, strict=True)]


def _episode_at(database: Database, run: RunRow, step: int) -> int:
    (trace,) = traces_of(database, [run], "return")
    return trace.episode_at(step)


def mean_of_known(values: Iterable[float]) -> float:
    """The mean of those that are numbers; NaN if none is."""
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else math.nan

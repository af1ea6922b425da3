"""The final value of each run, and its steps to a threshold."""

import math
from collections.abc import Sequence

import numpy as np

from v3core.comparison.groups import Group
from v3core.comparison.run_traces import Trace, measured_or_error, traces_of
from v3core.insight.compared import RunResult
from v3core.insight.estimates import steps_to_threshold
from v3core.metrics import EVALUATION
from v3core.rollup import mean_window
from v3core.store.curve import read_series
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.schema import Status

FAILED = (Status.FAILED, Status.LOST, Status.UNREADABLE)


def results_of(
    database: Database, group: Group, metric: str, threshold: float | None, *, until: int | None, window: int
) -> list[RunResult]:
    """What each run of a group came to.

    Of a completed run the newest evaluation counts, or the mean over its last `window` episodes. With `until`, those
    up to that step, of every run that reached it, however it ended.
    """
    traces = traces_of(database, group.runs, metric)
    seen: set[tuple[str, int]] = set()
    return [
        _result(database, run, trace, metric, threshold, until, window, seen)
        for run, trace in zip(group.runs, traces, strict=True)
    ]


def _result(
    database: Database,
    run: RunRow,
    trace: Trace,
    metric: str,
    threshold: float | None,
    until: int | None,
    window: int,
    seen: set[tuple[str, int]],
) -> RunResult:
    smoothed = trace.trailing(1 if metric == EVALUATION else window)
    steps_to = None
    if threshold is not None:
        within = trace.step <= (math.inf if until is None else until)
        steps_to = steps_to_threshold(trace.step[within], smoothed[within], threshold)
    left_out, value = _why_left_out(run, until), math.nan
    if not left_out:
        value = _value(database, run, trace, metric, until, window)
        left_out = "" if math.isfinite(value) else f"has no finite value of {metric}"
    if not left_out and _is_a_copy(run, seen):
        left_out = "is a copy of another run: same settings, same seed"
    if left_out:
        value, steps_to = math.nan, None if steps_to is None else math.nan
    return RunResult(run.id, run.name, run.seed, run.status, run.episode, run.step, value, left_out, steps_to)


def _why_left_out(run: RunRow, until: int | None) -> str:
    if run.status == Status.UNREADABLE:
        return "cannot be read"
    if until is not None:
        return "" if run.step >= until else f"reached {run.step:,} steps only"
    if run.status == Status.COMPLETED:
        return ""
    if run.status in FAILED:
        return f"{'failed' if run.status == Status.FAILED else 'was lost'} at episode {run.episode:,}"
    return f"is not finished ({run.status} at episode {run.episode:,} of {run.episodes:,})"


def _value(database: Database, run: RunRow, trace: Trace, metric: str, until: int | None, window: int) -> float:
    before = np.flatnonzero(trace.step <= (math.inf if until is None else until))
    if not len(before):
        return math.nan
    if metric == EVALUATION:
        return float(trace.values[before[-1]])
    newest = run.episode if until is None else int(trace.episode[before[-1]])
    last = read_series(database, run.id, first=max(newest - window + 1, 1), last=newest)
    values, counts = measured_or_error(last, metric)
    within = (last.episode > newest - window) & (last.episode <= newest) & (counts > 0)
    return float(np.average(values[within], weights=counts[within])) if within.any() else math.nan


def _is_a_copy(run: RunRow, seen: set[tuple[str, int]]) -> bool:
    """Whether a run of the same settings and seed came before: it would count the same numbers twice."""
    config = run.config
    same = config.model_copy(update={"name": "copy"}).model_dump_json(), run.seed
    is_copy = same in seen
    seen.add(same)
    return is_copy


def window_of(runs: Sequence[RunRow]) -> int:
    """Episodes that final values are means of: as suits the shortest run."""
    return min((mean_window(run.episodes) for run in runs), default=1)

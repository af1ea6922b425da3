"""The final value of each run, and its steps to a threshold."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from v3core.comparison.groups import Group
from v3core.comparison.run_traces import Trace, mean_of_last, traces_of
from v3core.errors import V3Error
from v3core.insight.compared import RunResult
from v3core.insight.estimates import steps_to_threshold
from v3core.metrics import AT_EVALUATIONS, EVALUATION
from v3core.rollup import Floats
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.schema import Status

FAILED = (Status.FAILED, Status.LOST, Status.UNREADABLE)


def results_of(
    database: Database,
    group: Group,
    metric: str,
    threshold: float | None,
    *,
    until: int | None,
    window: int,
    steps_by: str,
) -> list[RunResult]:
    """What each run of a group came to.

    Of a completed run the newest evaluation counts, or the mean over its last `window` episodes. With `until`, those
    up to that step, of every run that reached it, however it ended. Steps to the threshold are those of the metric
    `steps_by`.
    """
    traces = traces_of(database, group.runs, metric)
    timed = traces
    if threshold is not None and steps_by != metric:
        timed = traces_of(database, group.runs, steps_by)
    seen: set[tuple[str, int]] = set()
    results = []
    for run, trace, steps in zip(group.runs, traces, timed, strict=True):
        result = _result(database, run, trace, metric, until, window, seen)
        if threshold is not None:
            result = replace(result, steps_to=_steps_to(steps, threshold, steps_by, until, window, result.left_out))
        results.append(result)
    return results


def _result(
    database: Database,
    run: RunRow,
    trace: Trace,
    metric: str,
    until: int | None,
    window: int,
    seen: set[tuple[str, int]],
) -> RunResult:
    left_out, value = _why_left_out(run, until), math.nan
    if not left_out:
        value = _value(database, run, trace, metric, until, window)
        left_out = "" if math.isfinite(value) else f"has no finite value of {metric}"
    if not left_out and _is_a_copy(run, seen):
        left_out = "is a copy of another run: same settings, same seed"
    if left_out:
        value = math.nan
    return RunResult(run.id, run.name, run.seed, run.status, run.episode, run.step, value, left_out, None)


def _smoothed(trace: Trace, metric: str, window: int) -> Floats:
    return trace.trailing(1 if metric in AT_EVALUATIONS else window)


def _steps_to(trace: Trace, threshold: float, metric: str, until: int | None, window: int, left_out: str) -> float:
    if left_out:
        return math.nan
    within = trace.step <= (math.inf if until is None else until)
    return steps_to_threshold(trace.step[within], _smoothed(trace, metric, window)[within], threshold)


def _why_left_out(run: RunRow, until: int | None) -> str:
    if run.status == Status.UNREADABLE:
        return "cannot be read"
    if until is not None:
        return "" if run.step >= until else f"reached {run.step:,} steps only"
    if run.status == Status.COMPLETED:
        return ""
    if run.status in FAILED:
        return f"{'failed' if run.status == Status.FAILED else 'was lost'} at episode {run.episode:,}"
    return f"is not finished ({run.status} at {run.progress_words})"


def _value(database: Database, run: RunRow, trace: Trace, metric: str, until: int | None, window: int) -> float:
    before = np.flatnonzero(trace.step <= (math.inf if until is None else until))
    if not len(before):
        return math.nan
    if metric in AT_EVALUATIONS:
        return float(trace.values[before[-1]])
    newest = run.episode if until is None else int(trace.episode[before[-1]])
    return mean_of_last(database, run, metric, newest, window)


def _is_a_copy(run: RunRow, seen: set[tuple[str, int]]) -> bool:
    """Whether a run of the same settings and seed came before: it would count the same numbers twice."""
    config = run.config
    same = config.model_copy(update={"name": "copy"}).model_dump_json(), run.seed
    is_copy = same in seen
    seen.add(same)
    return is_copy


EVALUATIONS_NEEDED = 10
"""Of every run, for evaluations to say at which step a threshold was reached."""


def steps_metric(runs: Sequence[RunRow], metric: str) -> str:
    """The metric whose steps to a threshold are compared: the training return where evaluations are too few."""
    if metric != EVALUATION:
        return metric
    return EVALUATION if all(_evaluations(run) >= EVALUATIONS_NEEDED for run in runs) else "return"


def _evaluations(run: RunRow) -> int:
    """Planned in the episodes that it has."""
    try:
        every = run.config.evaluation.every
    except V3Error:
        return 0
    return 1 if every is None else run.episode // every

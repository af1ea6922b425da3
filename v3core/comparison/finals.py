"""The final value of each run that counts, and its steps to a threshold."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from v3core.comparison.groups import Group, is_readable
from v3core.comparison.run_traces import Final, Trace, crossing_step, final_value, traces_of
from v3core.insight.compared import RunResult
from v3core.insight.estimates import steps_to_threshold
from v3core.messages import _
from v3core.metrics import AT_EVALUATIONS, EVALUATION, phrase_of
from v3core.phrases import stored
from v3core.store.commands import APPLIED, read_revisions
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.schema import Status

FAILED = (Status.FAILED, Status.LOST, Status.UNREADABLE)
_NONE = Final(math.nan, None)


def results_of(
    database: Database, group: Group, metric: str, *, until: int | None, window: int, edited: Collection[str]
) -> list[RunResult]:
    """What each run of a group came to.

    Of a completed run the newest evaluation counts, or the `final_value` of its last `window` episodes. With `until`,
    those up to that step, of every run that reached it, however it ended. `edited` are the ids of runs whose curriculum
    was edited as they trained.
    """
    seen: set[_Trained] = set()
    results = []
    for run, trace in zip(group.runs, traces_of(database, group.runs, metric), strict=True):
        left_out, final, is_copy = _why_left_out(run, until), _NONE, False
        if not left_out:
            final = _final(database, run, trace, metric, until, window)
            left_out = "" if math.isfinite(final.value) else _("has no {metric}", metric=phrase_of(metric))
        if not left_out:
            trained = _trained(database, run, is_edited=run.id in edited)
            if is_copy := trained in seen:
                left_out = _("is a copy of another run: same settings, same seed")
            seen.add(trained)
        if left_out:
            final = _NONE
        place = run.status, run.episode, run.step
        about = run.id, run.name, run.seed, *place
        results.append(RunResult(*about, final.value, left_out, None, is_copy, final.episodes))
    return results


def steps_in_all(results: Sequence[RunResult], until: int | None) -> int:
    """The steps that all of these runs that count reached, at most `until`: before that, each could have crossed."""
    counted = [run.step for run in results if not run.left_out]
    return min([*counted, *([] if until is None else [until])], default=0)


def with_steps(
    database: Database,
    group: Group,
    results: Sequence[RunResult],
    metric: str,
    threshold: float,
    *,
    within: int,
    window: int,
) -> list[RunResult]:
    """The same with the steps to a threshold of a metric; one that is crossed after `within` steps is not reached."""
    timed = zip(group.runs, results, traces_of(database, group.runs, metric), strict=True)
    return [
        replace(
            result,
            steps_to=math.nan
            if result.left_out
            else _steps_to(database, run, trace, threshold, metric, within, window),
        )
        for run, result, trace in timed
    ]


def is_unknown_when(run: RunRow, metric: str) -> bool:
    """Whether nothing says when a metric crossed a threshold: of a thinned run only means of episodes are left."""
    return run.thinned_at is not None and metric not in AT_EVALUATIONS


def _steps_to(
    database: Database, run: RunRow, trace: Trace, threshold: float, metric: str, within: int, window: int
) -> float:
    if is_unknown_when(run, metric):
        return math.nan
    smoothed = trace.trailing(1 if metric in AT_EVALUATIONS else window)
    steps = steps_to_threshold(trace.step, smoothed, threshold)
    if math.isfinite(steps) and trace.size > 1:
        place = int(np.searchsorted(trace.step, steps))
        after = int(trace.episode[place - 1]) if place else 0
        steps = crossing_step(
            database, run, metric, after, int(trace.episode[place]), threshold, trace.whole_buckets(window)
        )
    return math.inf if steps > within else steps


def _why_left_out(run: RunRow, until: int | None) -> str:
    if run.status == Status.UNREADABLE:
        return _("cannot be read")
    if until is not None and run.step < until:
        return _("reached only {steps:,} steps", steps=run.step)
    if until is None and run.status in FAILED:
        failed, lost = _("failed at episode {episode:,}"), _("was lost at episode {episode:,}")
        return _(failed if run.status == Status.FAILED else lost, episode=run.episode)
    if until is None and run.status != Status.COMPLETED:
        return _("is not finished ({status} at {progress})", status=stored(run.status), progress=run.progress_words)
    return "" if is_readable(run) else _("cannot count: its configuration cannot be read")


def _final(database: Database, run: RunRow, trace: Trace, metric: str, until: int | None, window: int) -> Final:
    before = np.flatnonzero(trace.step <= (math.inf if until is None else until))
    if not len(before):
        return _NONE
    if metric in AT_EVALUATIONS:
        return Final(float(trace.values[before[-1]]), None)
    newest = run.episode if until is None else trace.episode_at(until)
    return final_value(database, run, metric, newest, window)


_Trained = tuple[str, int, str | None, int | None, tuple[tuple[int | None, str], ...]]


def _trained(database: Database, run: RunRow, *, is_edited: bool) -> _Trained:
    """All that decides the numbers of a run: two runs in which it is equal would count the same numbers twice."""
    settings = run.config.model_copy(update={"name": "copy"}).model_dump_json()
    edits = read_revisions(database, run.id)[1:] if is_edited else []
    applied = tuple((edit.applied_episode, edit.curriculum_json) for edit in edits if edit.state == APPLIED)
    return settings, run.seed, run.parent, run.parent_episode, applied


EVALUATIONS_NEEDED = 10
"""Of every run, for evaluations to say at which step a threshold was reached."""


def steps_metric(runs: Sequence[RunRow], metric: str) -> str:
    """The metric whose steps to a threshold are compared: the training return where evaluations are too few.

    Args:
        runs: those that count; a queued one has no evaluation yet.
        metric: the one that is compared.
    """
    if metric != EVALUATION:
        return metric
    return EVALUATION if all(_evaluations(run) >= EVALUATIONS_NEEDED for run in runs) else "return"


def _evaluations(run: RunRow) -> int:
    """Planned in the episodes that it has."""
    every = run.config.evaluation.every
    return 1 if every is None else run.episode // every

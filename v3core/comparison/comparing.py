"""Which group ends higher, or is sooner at a threshold, and whether that is certain: the comparison that all show."""

import math
from collections.abc import Mapping, Sequence

from v3core.comparison.across import across
from v3core.comparison.finals import is_unknown_when, results_of, steps_in_all, steps_metric, with_steps
from v3core.comparison.groups import CURRICULUM, Group, grouped
from v3core.comparison.inequalities import few_roots, notes_of, roots_of, windows_of
from v3core.comparison.pairs import pairs_of
from v3core.comparison.run_traces import window_of
from v3core.comparison.verdict import verdict_of
from v3core.environments.thresholds import reward_threshold
from v3core.errors import V3Error
from v3core.insight.compared import Comparison, GroupResult, RunResult
from v3core.insight.estimates import iqm_of
from v3core.insight.profiles import Bounds
from v3core.messages import _
from v3core.metrics import AT_EVALUATIONS, COMPARED, EVALUATION, EVALUATION_SUCCESS, WINDOWED, phrase_of, worst_of
from v3core.phrases import listed, one_of
from v3core.store.commands import edits_of
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.schema import Status

OF_RETURNS = (EVALUATION, "return")
"""The metrics to which an environment's reward threshold applies."""
WITH_THRESHOLD = (*OF_RETURNS, EVALUATION_SUCCESS, "success")
"""The metrics that are meant to rise: one that falls would be at any threshold with its first step."""


def compare(
    database: Database,
    runs: Sequence[RunRow],
    *,
    by: Sequence[str] = (CURRICULUM,),
    metric: str = EVALUATION,
    threshold: float | None = None,
    until: int | None = None,
    bounds: Mapping[str, Bounds] | None = None,
) -> Comparison:
    """Compare runs in groups, in each environment by itself.

    Args:
        database: an open store.
        runs: any runs.
        by: paths of the settings by which they are grouped; see `settings_that_differ`.
        metric: the one that is compared, by name; `evaluation` is the mean return of evaluations.
        threshold: return or success rate whose first step is compared; by default the reward threshold of the
            environment, if it has one.
        until: compare at this step, with every run that reached it; by default completed runs at their end.
        bounds: of environments, as in `Comparison.groups`, to compare them together by normalised scores too.

    Raises:
        V3Error: for a setting or a metric that does not exist, a threshold of a metric that is neither a return nor a
            success rate, or records that cannot be read.
    """
    groups = grouped(runs, by)
    windows = {
        env: window_of([run for group in groups if group.env == env for run in group.runs])
        for env in dict.fromkeys(group.env for group in groups)
    }
    edited = edits_of(database, [run.id for run in runs])
    ended = [
        results_of(database, group, metric, until=until, window=windows[group.env], edited=edited) for group in groups
    ]
    thresholds = _thresholds(groups, metric, threshold)
    counted = {run.run_id for of_group in ended for run in of_group if not run.left_out}
    steps_by = steps_metric([run for run in runs if run.id in counted], metric)
    within = {env: steps_in_all(_in_environment(env, groups, ended), until) for env in thresholds}
    results = []
    for group, of_group in zip(groups, ended, strict=True):
        if (env := group.env) in thresholds:
            value, steps = thresholds[env], within[env]
            of_group = with_steps(database, group, of_group, steps_by, value, within=steps, window=windows[env])
        results.append(_group(group, of_group, metric))
    shortened = {
        env: steps
        for env, steps in within.items()
        if any(run.step > steps for run in _in_environment(env, groups, ended) if not run.left_out)
    }
    pairs = pairs_of(results)
    common = windows_of(groups)
    label, phrase = COMPARED[metric].label if metric in COMPARED else metric, phrase_of(metric)
    notes = notes_of(
        database, groups, results, common, by=by, metric=metric, until=until, edited=edited, windows=windows
    )
    for env, steps in shortened.items():
        judged = _(
            "When the threshold is reached is judged within the {steps:,} steps that all runs reached; a run "
            "that reaches it later counts as one that does not.",
            steps=steps,
        )
        if len(within) > 1:
            judged = _(
                "When the threshold is reached in {env} is judged within the {steps:,} steps that all runs "
                "reached; a run that reaches it later counts as one that does not.",
                env=env,
                steps=steps,
            )
        notes.append(judged)
    if thresholds and steps_by != metric:
        lengths = one_of([f"{length:,}" for length in sorted({windows[env] for env in thresholds})])
        notes.append(
            _(
                "When the threshold is reached is judged by the training return, mean of {lengths} episodes: the runs "
                "were evaluated too rarely.",
                lengths=lengths,
            )
        )
    unknown = [run.name for run in runs if thresholds and run.id in counted and is_unknown_when(run, steps_by)]
    if unknown:
        notes.append(
            _(
                "When the threshold is reached is not known of runs whose raw rows were thinned: {names}.",
                names=listed(unknown),
            )
        )
    return Comparison(
        metric=metric,
        label=label,
        by=tuple(by),
        until=until,
        groups=tuple(results),
        pairs=tuple(pairs),
        thresholds=thresholds,
        verdict=tuple(verdict_of(results, pairs, thresholds, shortened, few_roots(results, roots_of(groups)), phrase)),
        notes=tuple(notes),
        common=tuple(common),
        mean_over={} if metric in AT_EVALUATIONS or metric in WINDOWED else windows,
        across=across(results, bounds) if bounds else None,
    )


def _thresholds(groups: Sequence[Group], metric: str, threshold: float | None) -> dict[str, float]:
    if threshold is not None:
        if metric not in WITH_THRESHOLD:
            raise V3Error(
                "A threshold is for returns and success rates, not for {phrase_of}; leave it out.",
                phrase_of=phrase_of(metric),
            )
        return {group.env: threshold for group in groups}
    if metric not in OF_RETURNS:
        return {}
    known = {group.env: reward_threshold(group.env_id) for group in groups}
    return {env: value for env, value in known.items() if value is not None}


def _in_environment(env: str, groups: Sequence[Group], of_groups: Sequence[Sequence[RunResult]]) -> list[RunResult]:
    return [run for group, runs in zip(groups, of_groups, strict=True) if group.env == env for run in runs]


def _group(group: Group, runs: Sequence[RunResult], metric: str) -> GroupResult:
    finals = [run.final for run in runs]
    steps = [run.steps_to for run in runs if run.steps_to is not None]
    failed = sum(run.status in (Status.FAILED, Status.LOST) for run in runs)
    completed = sum(run.status == Status.COMPLETED for run in runs)
    return GroupResult(
        name=group.name,
        env=group.env,
        curriculum=group.curriculum,
        runs=tuple(runs),
        final=iqm_of(finals),
        steps_to=iqm_of(steps) if steps else None,
        reached=sum(math.isfinite(value) for value in steps),
        failed=failed,
        unfinished=len(runs) - failed - completed,
        worst=_worst(finals, metric),
    )


def _worst(finals: Sequence[float], metric: str) -> float | None:
    known = [value for value in finals if not math.isnan(value)]
    if (worst := worst_of(metric)) == "":
        return None
    return (max if worst == "most" else min)(known, default=math.nan)

"""Runs in groups on Compare: the verdict, curves with intervals, final values, tests, phases and swept settings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from v3core.charts.group_curves import GroupCurve, groups_figure
from v3core.charts.outcomes import Look, final_figure, parallel_figure, phases_figure, sweep_figure
from v3core.charts.palette import DASHES, curriculum_colour, run_colours, shaded
from v3core.comparison import Group, Setting, band, compare, grouped, on_grid
from v3core.comparison.groups import CURRICULUM, ENVIRONMENT, settings_of, shown_value, title_of
from v3core.insight.compared import Comparison, GroupResult, Pair
from v3core.insight.estimates import Estimate
from v3core.insight.grids import Axis
from v3core.metrics import COMPARED, EVALUATION, METRICS
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.compare_curricula import launched_with
from v3core.ui.live_chart import live_chart
from v3core.ui.run_data import load_phases
from v3core.ui.status import counted
from v3core.ui.text import md, plain

_AXES: Mapping[str, Axis] = {"Step": "step", "Episode": "episode", "Time": "seconds"}
_BEGINNING = "the run"


@dataclass(frozen=True)
class Grouping:
    """What is chosen of how groups are looked at."""

    by: tuple[str, ...]
    axis: Axis
    since: str | None
    at_common: bool


def usual_grouping(settings: Sequence[Setting]) -> tuple[str, ...]:
    """By curriculum if it differs, otherwise by the first setting that does."""
    offered = [setting.path for setting in settings if setting.path != ENVIRONMENT]
    return (CURRICULUM,) if CURRICULUM in offered else tuple(offered[:1])


def usual(settings: Sequence[Setting]) -> Grouping:
    """What is chosen while nothing is."""
    return Grouping(usual_grouping(settings), "step", None, at_common=False)


def group_controls(settings: Sequence[Setting], phases: Sequence[str]) -> Grouping:
    """By which settings, along which axis, from where; `phases` are those that can be 0."""
    offered = {setting.path: setting.title for setting in settings if setting.path != ENVIRONMENT}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = st.multiselect(
            "Group by",
            list(offered),
            default=list(usual_grouping(settings)),
            format_func=lambda path: offered[path],
            key="by",
            placeholder="All runs in one group",
            help="Settings in which these runs differ. Seeds are never a setting, and environments are always apart.",
            width=320,
        )
        axis = st.segmented_control(
            "X axis",
            [*_AXES],
            default="Step",
            required=True,
            key="group-axis",
            bind="query-params",
            help="Steps are those of all environments. Time is that of training, without the queue and pauses.",
        )
        since = _BEGINNING
        if len(phases) > 1:
            since = st.selectbox(
                "Since the start of", [_BEGINNING, *phases[1:]], key="group-since", bind="query-params", width=200
            )
        at_common = st.toggle(
            "Final values at equal steps",
            key="equal-steps",
            bind="query-params",
            help="Compare at the last step that every run has reached, instead of at the end of each run.",
        )
    return Grouping(tuple(by), _AXES[axis or "Step"], None if since == _BEGINNING else since, at_common)


def phases_of(runs: Sequence[RunRow]) -> list[str]:
    """Names of the phases that all of these runs have, in the order of the first."""
    names = [[phase.name for phase in curriculum.phases] for _, curriculum in launched_with(runs)]
    return [name for name in dict.fromkeys(names[0] if names else []) if all(name in of_run for of_run in names)]


def looks_of(groups: Sequence[Group | GroupResult]) -> dict[str, Look]:
    """By the name of a group: the colour of its curriculum; further groups of one curriculum are shades of it."""
    names: dict[str, str | None] = {group.name: group.curriculum for group in groups}
    mixed = iter(run_colours(len(names)))
    seen: dict[str, int] = {}
    looks = {}
    for name, curriculum in names.items():
        if curriculum is None:
            looks[name] = Look(next(mixed))
            continue
        place = seen[curriculum] = seen.get(curriculum, -1) + 1
        looks[name] = Look(shaded(curriculum_colour(curriculum), place), DASHES[place % len(DASHES)])
    return looks


def comparison(database: Database, runs: Sequence[RunRow], metric: str, grouping: Grouping) -> Comparison:
    """The comparison that the page shows: of evaluations for returns, if there are any."""
    of = metric
    if metric == "return":
        found = compare(database, runs, by=grouping.by, metric=EVALUATION)
        of = EVALUATION if any(group.final.n for group in found.groups) else "return"
    found = compare(database, runs, by=grouping.by, metric=of)
    if grouping.at_common and found.common:
        return compare(database, runs, by=grouping.by, metric=of, until=min(window.step for window in found.common))
    return found


def verdict(found: Comparison) -> None:
    """The answer on top, and everything that limits it."""
    with st.container(border=True, key="verdict"):
        first, *others = found.verdict
        st.markdown(md(":material/gavel: **{}**", first))
        for sentence in others[:3]:
            st.markdown(md("{}", sentence))
        if others[3:]:
            with st.expander(plain(f"{counted(len(others) - 3, 'more pair')}")):
                for sentence in others[3:]:
                    st.markdown(md("{}", sentence))
        for note in found.notes:
            st.caption(md(":material/info: {}", note))


def curves(database: Database, runs: Sequence[RunRow], metric: str, grouping: Grouping, found: Comparison) -> None:
    """One chart per environment: two never share an axis."""
    groups = grouped(runs, grouping.by)
    looks = looks_of(groups)
    grid = on_grid(database, runs, metric, grouping.axis, grouping.since)
    for note in grid.notes:
        st.caption(md(":material/info: {}", note))
    envs = list(dict.fromkeys(group.env for group in groups))
    for env in envs:
        here = [group for group in groups if group.env == env]
        lines = []
        for group in here:
            own = grid.only([run.id for run in group.runs])
            look = looks[group.name]
            lines.append(GroupCurve(group.name, look.colour, look.dash, own, band(own)))
        if len(envs) > 1:
            st.markdown(md("**{}**", env))
        everyone = grid.only([run.id for group in here for run in group.runs])
        figure = groups_figure(
            lines,
            name=f"{env}:{metric}:{grouping.axis}:{grouping.since}:{','.join(grouping.by)}",
            label=COMPARED[metric].label,
            axis=grouping.axis,
            since=grouping.since,
            common=everyone.common,
            threshold=found.thresholds.get(env) if metric in ("return", EVALUATION) else None,
        )
        with st.container(border=True):
            live_chart(figure, key=f"groups-{env}", height=460)


def finals(found: Comparison) -> None:
    """Points and intervals of each group, then the tests of each pair."""
    at = "at the end of each run" if found.until is None else f"at step {found.until:,}"
    st.subheader("Final values", anchor=False)
    st.caption(
        md("{}, {}: each point is a run, the diamond the interquartile mean with its 95 % interval.", found.label, at)
    )
    looks = looks_of(found.groups)
    envs = list(dict.fromkeys(group.env for group in found.groups))
    for env in envs:
        here = [group for group in found.groups if group.env == env]
        if len(envs) > 1:
            st.markdown(md("**{}**", env))
        figure = final_figure(
            here, [looks[group.name] for group in here], label=found.label, threshold=found.thresholds.get(env)
        )
        with st.container(border=True):
            live_chart(figure, key=f"finals-{env}", height=200)
    st.dataframe(
        pd.DataFrame([_group_row(group, found, several=len(envs) > 1) for group in found.groups]),
        hide_index=True,
        alt="Final values of each group",
    )
    if found.pairs:
        st.markdown("**Pairs**")
        st.dataframe(
            pd.DataFrame([_pair_row(pair, several=len(envs) > 1) for pair in found.pairs]),
            hide_index=True,
            column_config={name: st.column_config.TextColumn(help=meaning) for name, meaning in _PAIR_HELP.items()},
            alt="Differences of each pair of groups",
        )


def _group_row(group: GroupResult, found: Comparison, *, several: bool) -> dict[str, object]:
    row: dict[str, object] = {"Group": group.name}
    if several:
        row["Environment"] = group.env
    row |= {
        "Runs": len(group.runs),
        "Count": group.final.n,
        "Final": _number(group.final.value),
        "95 % interval": _interval(group.final),
        "Failed": group.failed,
        "Unfinished": group.unfinished,
    }
    if group.env in found.thresholds:
        row[f"Reached {found.thresholds[group.env]:g}"] = f"{group.reached} of {len(group.runs)}"
        steps = group.steps_to
        row["Steps to it"] = "–" if steps is None else _steps(steps.value)
    return row


_PAIR_HELP = {
    "Difference": "Of the interquartile means of the final values.",
    "95 % interval": "Of the difference, by bootstrap within each group; from 5 seeds on.",
    "By seed": "Mean difference of runs of the same seed.",
    "Improves": "The chance that a run of the first group ends above one of the second.",
    "Welch": "Two-sided p of Welch's t-test, corrected for the number of pairs by Holm's method.",
    "Permutation": "Two-sided p of a permutation test, of pairs if both have the same seeds; corrected likewise.",
    "Fewer steps": "How many per cent fewer steps the first group needs to reach the threshold.",
    "Seeds needed": "Seeds per group at which a t-test finds the difference seen in 80 % of cases.",
}


def _pair_row(pair: Pair, *, several: bool) -> dict[str, object]:
    row: dict[str, object] = {"Pair": f"{pair.first} − {pair.second}"}
    if several:
        row["Environment"] = pair.env
    row |= {
        "Difference": _number(pair.difference.value),
        "95 % interval": _interval(pair.difference),
        "By seed": "–" if pair.paired is None else _with_interval(pair.paired),
        "Improves": _with_interval(pair.improvement, per_cent=True),
        "Welch": _p(pair.welch_corrected),
        "Permutation": _p(pair.permutation_corrected),
    }
    if pair.steps_change is not None:
        row["Fewer steps"] = _with_interval(pair.steps_change, unit=" %")
    row["Seeds needed"] = "over 1,000" if pair.seeds_needed is None else f"{pair.seeds_needed:,}"
    return row


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.4g}"


def _steps(value: float) -> str:
    return "–" if math.isnan(value) else "not reached" if math.isinf(value) else f"{value:,.0f}"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return {"points": "needs 5 seeds", "exploratory": "exploratory"}.get(estimate.confidence, "–")
    return f"{_number(estimate.low)} to {_number(estimate.high)}"


def _with_interval(estimate: Estimate, *, per_cent: bool = False, unit: str = "") -> str:
    scale, end = (100, " %") if per_cent else (1, unit)
    if math.isnan(estimate.value):
        return "–"
    said = f"{_short(scale * estimate.value)}{end}"
    if estimate.low is None or estimate.high is None:
        return said
    return f"{said} ({_short(scale * estimate.low)} to {_short(scale * estimate.high)})"


def _short(value: float) -> str:
    return f"{value:.3g}".replace("inf", "∞")


def _p(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def by_phase(database: Database, runs: Sequence[RunRow], metric: str, by: Sequence[str]) -> None:
    """Boxes of the runs' means in each phase."""
    of = metric if metric in METRICS else "return"
    groups = grouped(runs, by)
    looks = looks_of(groups)
    means = {run.id: {phase.phase: _of_phase(phase, of) for phase in load_phases(database, run)} for run in runs}
    orders = [list(dict.fromkeys(name for run in group.runs for name in means[run.id])) for group in groups]
    same = all(order == orders[0] for order in orders)
    most = max((len(order) for order in orders), default=0)
    phases = orders[0] if same and orders else [f"Phase {number}" for number in range(1, most + 1)]
    envs = list(dict.fromkeys(group.env for group in groups))
    for env in envs:
        here = [(group, order) for group, order in zip(groups, orders, strict=True) if group.env == env]
        values = [
            {
                phases[place]: [means[run.id][name] for run in group.runs if name in means[run.id]]
                for place, name in enumerate(order)
            }
            for group, order in here
        ]
        figure = phases_figure(
            phases,
            values,
            [group.name for group, _ in here],
            [looks[group.name] for group, _ in here],
            label=COMPARED[of].label if of in COMPARED else of,
        )
        if len(envs) > 1:
            st.markdown(md("**{}**", env))
        with st.container(border=True):
            live_chart(figure, key=f"phases-{env}", height=340)


def _of_phase(phase: object, metric: str) -> float:
    try:
        return float(phase[metric])  # type: ignore[index]
    except (KeyError, ValueError):
        return math.nan


def sweeps(runs: Sequence[RunRow], settings: Sequence[Setting], found: Comparison, by: Sequence[str]) -> None:
    """Curves over each numeric setting that is grouped by; all swept settings at once, a line per run."""
    numeric = [setting for setting in settings if _is_numeric(setting)]
    groups = grouped(runs, by)
    results = {(group.name, group.env): group for group in found.groups}
    for setting in numeric:
        if setting.path not in by:
            continue
        place, envs = list(by).index(setting.path), list(dict.fromkeys(group.env for group in groups))
        for env in envs:
            lines: dict[str, list[tuple[float, Estimate]]] = {}
            curricula: dict[str, str | None] = {}
            for group in (one for one in groups if one.env == env):
                value, rest = group.values[place], [*group.values[:place], *group.values[place + 1 :]]
                others = [path for path in by if path != setting.path]
                name = (
                    " · ".join(
                        shown_value(one) if path == CURRICULUM else f"{title_of(path)} {shown_value(one)}"
                        for path, one in zip(others, rest, strict=True)
                    )
                    or "all runs"
                )
                if isinstance(value, int | float):
                    lines.setdefault(name, []).append((float(value), results[group.name, env].final))
                    curricula[name] = group.curriculum
            colours = run_colours(len(lines))
            made = []
            for index, (name, points) in enumerate(lines.items()):
                of = curricula[name]
                made.append((name, Look(curriculum_colour(of) if of else colours[index]), sorted(points)))
            if not made:
                continue
            title = setting.title if len(envs) == 1 else f"{setting.title}, {env}"
            with st.container(border=True):
                live_chart(sweep_figure(made, setting=title, label=found.label), key=f"sweep-{setting.path}-{env}")
    if len(settings_in_parallel := [one for one in settings if one.path != ENVIRONMENT]) > 1:
        _parallel(runs, settings_in_parallel, found)


def _is_numeric(setting: Setting) -> bool:
    numbers = [value for value in setting.values if value is not None]
    return len(numbers) > 1 and all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers)


def _parallel(runs: Sequence[RunRow], settings: Sequence[Setting], found: Comparison) -> None:
    finals = {run.run_id: run.final for group in found.groups for run in group.runs}
    for env in dict.fromkeys(group.env for group in found.groups):
        ids = {run.run_id for group in found.groups if group.env == env for run in group.runs}
        lines = []
        for run in runs:
            if run.id in ids:
                own = settings_of(run)
                places = [setting.values.index(own.get(setting.path)) for setting in settings]
                lines.append((places, finals[run.id], run.name))
        axes = [(setting.title, [shown_value(value) for value in setting.values]) for setting in settings]
        with st.container(border=True):
            live_chart(parallel_figure(axes, lines, label=found.label), key=f"parallel-{env}", height=380)

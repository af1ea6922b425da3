"""Runs in groups on Compare: the verdict, curves with intervals, final values, tests, phases and swept settings."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import streamlit as st

from v3core.comparison import Setting
from v3core.comparison.across import across
from v3core.comparison.curves import numbered_phase
from v3core.comparison.groups import CURRICULUM, ENVIRONMENT, environment_of, title_of
from v3core.comparison.launched import launched_with
from v3core.comparison.looking import Grouping
from v3core.comparison.pictures import (
    Picture,
    curve_pictures,
    final_pictures,
    phase_pictures,
    profile_picture,
    sweep_pictures,
)
from v3core.comparison.tables import PAIR_HELP, across_rows, final_words, group_rows, pair_rows
from v3core.comparison.varied import varied
from v3core.insight.compared import Comparison
from v3core.insight.grids import Axis
from v3core.insight.profiles import Bounds
from v3core.messages import _, said, say, translated
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.live_chart import live_chart
from v3core.ui.option_labels import follow_language
from v3core.ui.run_data import load_phases
from v3core.ui.status import counted
from v3core.ui.text import md, plain

_AXES: Mapping[str, Axis] = {_("Step"): "step", _("Episode"): "episode", _("Time"): "seconds"}
_BEGINNING = _("the run")


def group_controls(runs: Sequence[RunRow], settings: Sequence[Setting], phases: Sequence[str]) -> Grouping:
    """By which settings, along which axis, from where; `phases` are those that can be 0."""
    differing = {setting.path: setting.title for setting in settings if setting.path != ENVIRONMENT}
    by_default = varied(runs)
    offered = {path: title_of(path) for path in (CURRICULUM, *by_default)} | differing
    with st.container(horizontal=True, vertical_alignment="bottom"):
        follow_language("by", offered, lambda path: translated(offered[path]))
        by = st.multiselect(
            md("Group by"),
            list(offered),
            default=list(by_default),
            format_func=lambda path: translated(offered[path]),
            key="by",
            bind="query-params",
            placeholder=say("All runs in one group"),
            help=md(
                "Settings in which these runs differ. Seeds are never a setting, and environments are always apart."
            ),
            width=320,
        )
        follow_language("group-axis", _AXES, plain)
        axis = st.segmented_control(
            md("X axis"),
            [*_AXES],
            format_func=plain,
            default="Step",
            required=True,
            key="group-axis",
            bind="query-params",
            help=md("Steps are those of all environments. Time is that of training, without the queue and pauses."),
        )
        since: str = _BEGINNING
        if len(phases) > 1:
            follow_language("group-since", [_BEGINNING, *phases[1:]], translated)
            since = st.selectbox(
                md("Since the start of"),
                [_BEGINNING, *phases[1:]],
                format_func=translated,
                key="group-since",
                bind="query-params",
                width=200,
                placeholder=say("Choose an option"),
            )
        at_common = st.toggle(
            md("Final values at equal steps"),
            key="equal-steps",
            bind="query-params",
            help=md("Compare at the last step that every run has reached, instead of at the end of each run."),
        )
        threshold = st.number_input(
            md("Threshold"),
            value=None,
            key="threshold",
            bind="query-params",
            placeholder=say("Default"),
            help=md("How many steps runs need to reach this value. By default the environment's reward threshold."),
            width=170,
        )
    return Grouping(tuple(by), _AXES[axis or "Step"], None if since == _BEGINNING else since, at_common, threshold)


def phases_of(runs: Sequence[RunRow]) -> list[str]:
    """Names of the phases that all of these runs have, in the order of the first; `Phase 1` … if they share none."""
    names = [[phase.name for phase in curriculum.phases] for _, curriculum in launched_with(runs)]
    shared = [name for name in dict.fromkeys(names[0] if names else []) if all(name in of_run for of_run in names)]
    return shared if shared[1:] else [numbered_phase(index) for index in range(min(map(len, names), default=0))]


def verdict(found: Comparison) -> None:
    """The answer on top, and everything that limits it."""
    with st.container(border=True, key="verdict"):
        first, *others = found.verdict
        st.markdown(md(":material/gavel: **{}**", first))
        for sentence in others[:3]:
            st.markdown(md("{}", sentence))
        if others[3:]:
            with st.expander(plain(counted(len(others) - 3, "more sentence"))):
                for sentence in others[3:]:
                    st.markdown(md("{}", sentence))
        for note in found.notes:
            st.caption(md(":material/info: {}", note))


def curves(database: Database, runs: Sequence[RunRow], metric: str, grouping: Grouping, found: Comparison) -> None:
    """One chart per environment: two never share an axis."""
    pictures, notes = curve_pictures(database, runs, metric, grouping, found)
    for note in notes:
        st.caption(md(":material/info: {}", note))
    _show(pictures, _environments(found))


def _show(pictures: Sequence[Picture], envs: Iterable[str]) -> None:
    """Each titled with its environment, if the groups are in several."""
    several = len(set(envs)) > 1
    for picture in pictures:
        if several:
            st.markdown(md("**{}**", picture.env))
        with st.container(border=True):
            live_chart(picture.figure, key=picture.key, height=int(picture.figure.layout.height))


def _environments(found: Comparison) -> Iterable[str]:
    return (group.env for group in found.groups)


def finals(found: Comparison) -> None:
    """Points and intervals of each group, then the tests of each pair."""
    st.subheader(md("Final values"), anchor=False)
    st.caption(md("{}", final_words(found)))
    _show(final_pictures(found), _environments(found))
    st.dataframe(pd.DataFrame(said(group_rows(found))), hide_index=True, alt=say("Final values of each group"))
    if found.pairs:
        st.markdown(md("**Pairs**"))
        columns = {
            translated(name): st.column_config.TextColumn(help=translated(meaning))
            for name, meaning in PAIR_HELP.items()
        }
        rows = pd.DataFrame(said(pair_rows(found)))
        st.dataframe(rows, hide_index=True, column_config=columns, alt=say("Differences of each pair of groups"))


def by_phase(database: Database, runs: Sequence[RunRow], metric: str, by: Sequence[str]) -> None:
    """Boxes of the runs' means in each phase."""
    pictures = phase_pictures(runs, {run.id: load_phases(database, run) for run in runs}, metric, by)
    _show(pictures, map(environment_of, runs))


def sweeps(runs: Sequence[RunRow], settings: Sequence[Setting], found: Comparison, by: Sequence[str]) -> None:
    """Curves over each numeric setting that is grouped by; all swept settings at once, a line per run."""
    _show(sweep_pictures(runs, settings, found, by), _environments(found))


def all_environments(found: Comparison) -> None:
    """Performance profiles and aggregates over several environments, between bounds that somebody states."""
    envs = list(dict.fromkeys(group.env for group in found.groups))
    if len(envs) < 2:
        return
    st.subheader(md("All environments together"), anchor=False)
    st.caption(
        md(
            "State which final values of each environment become 0 and 1, such as those of a random policy and of a "
            "solved task. V3 Lab suggests none: bounds that follow from the data would favour what happened to be "
            "trained."
        )
    )
    bounds = {}
    for env in envs:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            low = st.number_input(md("0 in {}", env), value=None, key=f"bound-low-{env}", width=220)
            high = st.number_input(
                md("1 in {}", env), value=found.thresholds.get(env), key=f"bound-high-{env}", width=220
            )
        if low is not None and high is not None:
            bounds[env] = Bounds(low, high)
    for env, ends in bounds.items():  # after all fields: one that is not drawn would lose its value
        if ends.low >= ends.high:
            st.error(md("In {} the value of 1 must be above that of 0; change one of them.", env))
            return
    if not bounds:
        return
    made = across(found.groups, bounds)
    for note in made.notes:
        st.caption(md(":material/info: {}", note))
    if not made.groups:
        st.info(md("No environment with bounds has a final value of each group yet."))
        return
    figure = profile_picture(made, found.groups)
    with st.container(border=True):
        live_chart(figure, key="profiles", height=int(figure.layout.height))
    st.dataframe(pd.DataFrame(said(across_rows(made))), hide_index=True, alt=say("Aggregates over environments"))

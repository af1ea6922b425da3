"""The tree of forks that runs belong to, and their lines in one chart."""

from collections.abc import Sequence

import streamlit as st

from v3core.charts.branches import difference_figure
from v3core.comparison.curves import band
from v3core.comparison.fork_pairs import differences, pairs_of
from v3core.jobs.fork_trees import Branch, trees_of
from v3core.messages import _
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.runs import list_runs
from v3core.ui.chart_sources import BRANCHES, MAX_RUNS, Source
from v3core.ui.live_chart import live_chart
from v3core.ui.run_picker import compare_link
from v3core.ui.status import counted
from v3core.ui.text import Markdown, md

SHOWN = 40
"""Runs of a tree that are listed."""
_INDENT_PIXELS, _DEEPEST = 24, 6
_LISTED = 4
"""Forks of one experiment that are listed one by one."""


def lineage(database: Database, run: RunRow) -> None:
    """The tree of a run on Live, with its chart and what the changes did; nothing for a run without relatives."""
    runs = list_runs(database)
    (tree,) = trees_of(runs, [run.id]) or [Branch(run)]
    if not tree.forks and run.parent is None:
        return
    with st.container(border=True, key="lineage"):
        st.markdown(md("**Forks**"))
        draw_tree(tree, here=run.id)
        members = [member for _, member in tree.walk()]
        if len(members) > 1:
            live_chart(
                Source(BRANCHES, tuple(member.id for member in members[:MAX_RUNS])),
                key=f"branches-{run.id}",
                height=360,
            )
        for experiment in dict.fromkeys(member.experiment for member in members if member.parent and member.experiment):
            _what_it_did(database, [member for member in runs if member.experiment == experiment], experiment)


def lineages(database: Database, runs: Sequence[RunRow]) -> None:
    """The trees of compared runs that are forks or have some, for Compare; nothing without any."""
    everything = list_runs(database)
    trees = [tree for tree in trees_of(everything, [run.id for run in runs]) if tree.forks or tree.run.parent]
    if trees:
        st.subheader(md("Forks"), anchor=False)
    for tree in trees:
        draw_tree(tree)


def draw_tree(tree: Branch, *, here: str = "") -> None:
    """The runs of a tree as links, each fork below its parent; `here` is the one that the page shows."""
    members = list(tree.walk())
    if tree.run.parent is not None:
        st.caption(
            md(
                "{} was forked at episode {:,} from a run that is deleted or not in this database.",
                tree.run.name,
                tree.run.parent_episode or 0,
            ),
            text_alignment="left",
        )
    together = _together(tree, here)
    grouped = {run_id for forks in together.values() for run_id in forks}
    shown = [one for one in members if one[1].id not in grouped]
    for depth, member in shown[:SHOWN]:
        where = (
            ""
            if not depth or f"from {member.parent_episode}" in member.name
            else _(", from {parent_episode:,}", parent_episode=member.parent_episode)
        )
        text = md("{} · {}{}", member.name, member.status, where)
        with st.container(horizontal=True, vertical_alignment="center", gap=None):
            if depth:
                st.space(_INDENT_PIXELS * min(depth, _DEEPEST))
            icon = ":material/subdirectory_arrow_right:" if depth else ":material/account_tree:"
            if member.id == here:
                st.markdown(md("{} **{}**", Markdown(icon), text))
            else:
                st.page_link("pages/live.py", label=text, icon=icon, query_params={"run": member.id})
    for experiment, forks in together.items():
        with st.container(horizontal=True, vertical_alignment="center", gap=None):
            st.space(_INDENT_PIXELS)
            compare_link(md("{} of {}", counted(len(forks), "fork"), experiment), experiment=experiment)
    if len(shown) > SHOWN:
        st.caption(md("{counted} of this tree are listed on Runs.", counted=counted(len(shown) - SHOWN, "further run")))


def _together(tree: Branch, here: str) -> dict[str, set[str]]:
    """Experiments whose forks are listed in one line, with their ids; a fork that has forks itself is listed alone."""
    groups: dict[str, set[str]] = {}
    branches = [tree]
    while branches:
        branch = branches.pop()
        branches += branch.forks
        for one in branch.forks:
            if one.run.experiment and not one.forks and one.run.id != here:
                groups.setdefault(one.run.experiment, set()).add(one.run.id)
    return {name: forks for name, forks in groups.items() if len(forks) > _LISTED}


def _what_it_did(database: Database, runs: Sequence[RunRow], experiment: str) -> None:
    """The difference of the pairs of a what-if, and the way to its comparison."""
    pairs = pairs_of(runs)
    if pairs is None:
        return
    compare_link(md("Compare the {} of {}", counted(len(runs), "run"), experiment), experiment=experiment)
    grid = differences(database, pairs)
    if not len(grid.x):
        return
    st.markdown(md("**{} minus {}**, in pairs of the same seed", pairs.change, pairs.base))
    live_chart(
        difference_figure(grid, band(grid), pairs.begin, pairs.base, pairs.change),
        key=f"difference-{experiment}",
        height=260,
    )
    enough = "" if len(pairs.pairs) >= 5 else _(" An interval needs 5 pairs.")
    st.caption(
        md(
            "Interquartile mean of {pairs} with its 95 % interval.{enough}",
            pairs=counted(len(pairs.pairs), "pair"),
            enough=enough,
        )
    )

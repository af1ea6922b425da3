"""What the runs of a launch demand of where they train, and whether they are queued again when they are lost."""

import streamlit as st

from v3core.errors import V3Error
from v3core.jobs.launchers.chosen import NAMES, chosen
from v3core.jobs.launchers.local import LocalLauncher
from v3core.jobs.needs import MAX_GPUS, MAX_RESTARTS, NO_NEEDS, Needs
from v3core.messages import say
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.text import md, plain

_MAX_LABEL = 141


def pick_needs(database: Database, again: RunRow | None) -> tuple[Needs, list[str]]:
    """Fields in a closed section; returns what they say, and what is wrong with it, one sentence each.

    `again` is the run whose demands they begin with. What only a cluster can meet is asked for where one can be used.
    """
    before = NO_NEEDS if again is None else Needs.of(again)
    with st.expander(md("Restarts and placement"), icon=":material/dns:", key="needs", expanded=before != NO_NEEDS):
        columns = iter(st.columns(4))
        restarts = next(columns).number_input(
            md("Restarts"),
            0,
            MAX_RESTARTS,
            before.restarts or 0,
            key="restarts",
            bind="query-params",
            help=md("How often a run is queued again, from its newest checkpoint, when it is lost."),
        )
        launcher: str | None = None
        if not database.url.startswith("sqlite"):
            offered = [*NAMES, *chosen().names[1:]]
            launcher = next(columns).selectbox(
                md("Launcher"),
                offered,
                offered.index(before.launcher or chosen().name),
                key="launcher",
                bind="query-params",
                help=md(
                    "local: a process of the machine that starts it; ray: a node of any Ray cluster; an address: one "
                    "of that cluster."
                ),
                placeholder=say("Choose an option"),
            )
        label, gpus = "", before.gpus
        if (launcher or chosen().name) != LocalLauncher.name:
            label = next(columns).text_input(
                md("Node label"),
                before.label or "",
                key="node-label",
                bind="query-params",
                placeholder=say("Any node"),
                max_chars=_MAX_LABEL,
                help=md("A label KEY=VALUE, such as zone=b: only nodes with it train the runs."),
            )
            gpus = next(columns).number_input(
                md("GPUs"),
                0.0,
                MAX_GPUS,
                before.gpus,
                key="gpus",
                bind="query-params",
                placeholder=say("By the device"),
                help=md("For each run: a whole number, or a part of one GPU."),
            )
        try:
            needs = Needs(label.strip() or None, gpus, int(restarts or 0) or None, launcher)
            needs.check(database)
        except V3Error as error:
            st.error(plain(error))
            return NO_NEEDS, [error.message]
    return needs, []

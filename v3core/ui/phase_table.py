"""Per-phase statistics of several runs, as a table."""

import math
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from v3core.insight.loads import dead_experts, effective_experts
from v3core.messages import Message, _, say, translated
from v3core.metrics import DEAD_LOAD, METRICS
from v3core.phrases import listed, sentences
from v3core.rollup import MEAN_WINDOW
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.run_data import load_phases
from v3core.ui.status import counted
from v3core.ui.text import md

_NUMBERS: Mapping[Message, tuple[str | None, str | None]] = {
    _("Steps"): ("localized", _("Steps of the completed episodes of the phase.")),
    _("Mean return"): ("%.2f", None),
    _("SD"): ("%.2f", _("Sample standard deviation over the episodes of the phase in this run.")),
    _("Final return"): (
        "%.2f",
        _("Mean return of the last episodes of the phase: {window}, as on Live.", window=MEAN_WINDOW),
    ),
    _("Success"): (
        "percent",
        sentences(_("Mean over the episodes of the phase."), METRICS["success"].sentence),
    ),
    _("Length"): ("%.1f", _("Mean number of steps per episode.")),
    _("Entropy"): ("%.3f", _("Routing entropy in nats: {meaning}", meaning=METRICS["routing_entropy"].sentence)),
    _("Effective"): (
        "%.2f",
        _(
            "Effective experts: exp of the entropy of the loads over all steps of the last episodes of the phase "
            "together, as “Dead” counts them: how many experts share the work at its end."
        ),
    ),
    _("Dead"): (
        None,
        _(
            "Experts with a load below {load:.0%} of the steps at the end of the phase, over its last episodes "
            "together: {window}, without those that began before it.",
            load=DEAD_LOAD,
            window=MEAN_WINDOW,
        ),
    ),
    _("Specialisation"): (
        "%.3f",
        _("In nats, mean over the episodes of the phase: {meaning}", meaning=METRICS["specialisation"].sentence),
    ),
    _("Pooled"): (
        "%.3f",
        _(
            "Specialisation in nats over all steps of the last episodes of the phase together, so that long episodes "
            "count more, and experts that differ between episodes count: {window}, without those that began before "
            "the phase.",
            window=MEAN_WINDOW,
        ),
    ),
    _("Router shift"): (
        "%.4f",
        _(
            "{meaning} Mean over the episodes of the phase; where that was not recorded, of all gradient steps of each "
            "update, the first of which is 0. {shift}",
            meaning=METRICS["router_shift_last"].sentence,
            shift=METRICS["router_shift"].sentence,
        ),
    ),
}
"""The columns that are numbers: how they are written, and what they are."""

_WHERE_KNOWN = ("Success", "Specialisation", "Pooled", "Router shift")
"""Columns that are omitted if no phase of any run has a value."""

_AT_FIRST: Mapping[Message, int] = {_("Run"): 100, _("Phase"): 92, _("Final return"): 78, _("Dead"): 62}
"""The columns that are shown before more are asked for, and their pixels: together they fit a phone."""
_ALL = "phase-columns"


def phase_table(database: Database, runs: list[RunRow], names: list[str]) -> None:
    """One row per run and phase, described from every recorded episode."""
    with st.spinner(md("Reading the phases …")):
        rows = [
            {
                "Run": name,
                "Phase": phase.phase,
                "Episodes": f"{phase.first_episode:,}–{phase.last_episode:,}",
                "Steps": phase.steps,
                "Mean return": phase["return"],
                "SD": phase.deviation,
                "Final return": phase.closing_return,
                "Success": phase["success"],
                "Length": phase.steps / phase.episodes,
                "Entropy": phase["routing_entropy"],
                "Effective": float(effective_experts(phase.closing_loads)),
                "Dead": dead_experts(phase.closing_loads),
                "Specialisation": phase["specialisation"],
                "Pooled": phase.closing_specialisation,
                "Router shift": phase["router_shift_last"]
                if math.isfinite(phase["router_shift_last"])
                else phase["router_shift"],
            }
            for run, name in zip(runs, names, strict=True)
            for phase in load_phases(database, run)
        ]
    table = pd.DataFrame(rows)
    unknown = [name for name in _WHERE_KNOWN if name in table and table[name].isna().all()]
    table = table.drop(columns=unknown)
    numbers = {
        translated(name): st.column_config.NumberColumn(format=form, help=translated(text), width=_AT_FIRST.get(name))
        for name, (form, text) in _NUMBERS.items()
    }
    everything = st.toggle(
        md("All columns"),
        key=_ALL,
        bind="query-params",
        help=md("Also episodes, steps, mean return, deviation, length, routing and experts of each phase."),
    )
    shown = table if everything else table[[str(name) for name in _AT_FIRST if name in table]]
    titles = {str(name): translated(name) for name in (*_AT_FIRST, _("Episodes"), *_NUMBERS)}
    texts = {
        # A pinned column keeps its width; one that is not gets its part of a wide page.
        translated(name): st.column_config.TextColumn(width=_AT_FIRST[name], pinned=everything and name == "Run")
        for name in (_("Run"), _("Phase"))
    }
    st.dataframe(
        shown.rename(columns=titles),
        hide_index=True,
        column_config=texts | numbers,
        alt=say("Statistics of each phase of each run"),
    )
    if everything:
        last = listed([titles[name] for name in table.columns[-3:]])
        st.caption(md(":material/swap_horiz: The table scrolls sideways; its last columns are {}.", last))
    seeds = len({(run.seed, run.curriculum) for run in runs})
    st.caption(
        md(
            "{runs} runs, {seeds} of curriculum and seed. Deviations are over the episodes of one run, not over "
            "seeds: a difference between two runs is no evidence about their curricula.",
            runs=len(runs),
            seeds=counted(seeds, "pair"),
        )
    )

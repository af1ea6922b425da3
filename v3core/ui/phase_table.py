"""Per-phase statistics of several runs, as a table."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from v3core.insight.loads import dead_experts, effective_experts
from v3core.metrics import DEAD_LOAD, METRICS
from v3core.rollup import MEAN_WINDOW
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.run_data import load_phases
from v3core.ui.status import counted
from v3core.ui.text import md

_FINAL = "Final return"
_NUMBERS: Mapping[str, tuple[str | None, str | None]] = {
    "Steps": ("localized", "Steps of the completed episodes of the phase."),
    "Mean return": ("%.2f", None),
    "SD": ("%.2f", "Sample standard deviation over the episodes of the phase in this run."),
    _FINAL: ("%.2f", f"Mean return of the last episodes of the phase: {MEAN_WINDOW}, as on Live."),
    "Success": ("percent", f"Mean over the episodes of the phase. {METRICS['success'].sentence}"),
    "Length": ("%.1f", "Mean number of steps per episode."),
    "Entropy": ("%.3f", f"Routing entropy in nats: {METRICS['routing_entropy'].sentence}"),
    "Effective": (
        "%.2f",
        "Effective experts: exp of the entropy of the mean load in the phase: how many experts share the work.",
    ),
    "Dead": (
        None,
        f"Experts with a load below {DEAD_LOAD:.0%} of the steps at the end of the phase, over its last episodes "
        f"together: {MEAN_WINDOW}.",
    ),
    "Specialisation": ("%.3f", f"In nats, mean over the episodes of the phase: {METRICS['specialisation'].sentence}"),
    "Pooled": (
        "%.3f",
        "Specialisation in nats over all steps of the last episodes of the phase together, so that long episodes count "
        f"more, and experts that differ between episodes count: {MEAN_WINDOW}.",
    ),
    "Router shift": ("%.4f", METRICS["router_shift"].sentence),
}
"""The columns that are numbers: how they are written, and what they are."""

_WHERE_KNOWN = ("Success", "Specialisation", "Pooled", "Router shift")
"""Columns that are omitted if no phase of any run has a value."""

_AT_FIRST: Mapping[str, int] = {"Run": 100, "Phase": 92, "Mean return": 78, _FINAL: 78}
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
                _FINAL: phase.closing_return,
                "Success": phase["success"],
                "Length": phase.steps / phase.episodes,
                "Entropy": phase["routing_entropy"],
                "Effective": float(effective_experts(phase.loads)),
                "Dead": dead_experts(phase.closing_loads),
                "Specialisation": phase["specialisation"],
                "Pooled": phase.closing_specialisation,
                "Router shift": phase["router_shift"],
            }
            for run, name in zip(runs, names, strict=True)
            for phase in load_phases(database, run)
        ]
    table = pd.DataFrame(rows)
    unknown = [name for name in _WHERE_KNOWN if name in table and table[name].isna().all()]
    table = table.drop(columns=unknown)
    numbers = {
        name: st.column_config.NumberColumn(format=form, help=text, width=_AT_FIRST.get(name))
        for name, (form, text) in _NUMBERS.items()
    }
    everything = st.toggle(
        md("All columns"),
        key=_ALL,
        bind="query-params",
        help=md("Also episodes, steps, deviation, length, routing and experts of each phase."),
    )
    shown = table if everything else table[[name for name in _AT_FIRST if name in table]]
    texts = {
        # A pinned column keeps its width; one that is not gets its part of a wide page.
        name: st.column_config.TextColumn(width=_AT_FIRST[name], pinned=everything and name == "Run")
        for name in ("Run", "Phase")
    }
    st.dataframe(shown, hide_index=True, column_config=texts | numbers, alt="Statistics of each phase of each run")
    if everything:
        last = ", ".join(table.columns[-3:])
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

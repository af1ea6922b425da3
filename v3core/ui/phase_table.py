"""Per-phase statistics of several runs, as a table."""

import pandas as pd
import streamlit as st

from v3core.insight.loads import DEAD_LOAD, dead_experts, effective_experts
from v3core.store.database import Database
from v3core.store.phase_sums import TAIL_EPISODES
from v3core.store.run_row import RunRow
from v3core.ui.run_data import load_phases
from v3core.ui.status import counted

_WHERE_KNOWN = ("Success", "Specialisation", "Router shift")
"""Columns left out where no phase of any run has a number."""


def phase_table(database: Database, runs: list[RunRow], names: list[str]) -> None:
    """One row per run and phase, described from every recorded episode."""
    with st.spinner("Reading the phases …"):
        rows = [
            {
                "Run": name,
                "Phase": phase.phase,
                "Episodes": f"{phase.first_episode:,}–{phase.last_episode:,}",
                "Steps": phase.steps,
                "Mean return": phase.returns.mean,
                "SD": phase.returns.deviation,
                f"Last {TAIL_EPISODES}": phase.closing_return,
                "Success": phase.success.mean,
                "Length": phase.steps / phase.episodes,
                "Entropy": phase.routing_entropy.mean,
                "Effective": float(effective_experts([load.mean for load in phase.loads])),
                "Dead": dead_experts([load.mean for load in phase.loads]),
                "Specialisation": phase.specialisation.mean,
                "Router shift": phase.router_shift.mean,
            }
            for run, name in zip(runs, names, strict=True)
            for phase in load_phases(database, run)
        ]
    table = pd.DataFrame(rows)
    unknown = [name for name in _WHERE_KNOWN if name in table and table[name].isna().all()]
    decimals = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(
        table.drop(columns=unknown),
        hide_index=True,
        column_config={
            "Steps": st.column_config.NumberColumn(format="localized"),
            "Mean return": decimals,
            "SD": st.column_config.NumberColumn(
                format="%.2f", help="Sample standard deviation over the phase's episodes of this one run."
            ),
            f"Last {TAIL_EPISODES}": st.column_config.NumberColumn(
                format="%.2f", help=f"Mean return of the phase's last {TAIL_EPISODES} episodes, or of all if fewer."
            ),
            "Success": st.column_config.NumberColumn(
                format="percent", help="Share of the phase's episodes that solved the task, where the environment says."
            ),
            "Length": st.column_config.NumberColumn(format="%.1f", help="Mean steps of an episode."),
            "Entropy": st.column_config.NumberColumn(
                format="%.3f",
                help="Routing entropy: mean entropy of the gate weights, in nats; 0 is one expert, ln N is all alike.",
            ),
            "Effective": st.column_config.NumberColumn(
                format="%.2f",
                help="Effective experts: exp of the entropy of the phase's mean load: how many experts share the work.",
            ),
            "Dead": st.column_config.NumberColumn(
                help=f"Experts with a mean load below {DEAD_LOAD:.0%} over the phase."
            ),
            "Specialisation": st.column_config.NumberColumn(
                format="%.3f",
                help="H(E[α]) − E[H(α)] in nats, mean of the phase's episodes: 0 if every step is routed alike.",
            ),
            "Router shift": st.column_config.NumberColumn(
                format="%.4f",
                help="Mean total variation, 0 to 1, between the gates as acted and as they are while learning.",
            ),
        },
        alt="Statistics of each phase of each run",
    )
    seeds = len({(run.seed, run.curriculum) for run in runs})
    st.caption(
        f"{len(runs)} runs, {counted(seeds, 'pair')} of curriculum and seed. Deviations are over episodes of one run, "
        "not over seeds: a difference between two single runs says nothing certain about their curricula."
    )

"""What to do with a run that is complete: compare it, use its policy."""

import streamlit as st

from v3core.jobs.demo import is_demo
from v3core.store.database import Database
from v3core.store.history import CheckpointRow
from v3core.store.run_row import RunRow
from v3core.store.runs import list_runs
from v3core.ui.run_checkpoints import use_policy
from v3core.ui.run_picker import compare_link
from v3core.ui.status import counted
from v3core.ui.text import md


def next_steps(database: Database, run: RunRow, checkpoint: CheckpointRow | None) -> None:
    """Links and buttons under the sentence that says that the run is complete.

    Args:
        database: an open store.
        run: the run.
        checkpoint: its newest one that is whole, if there is one.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        if not is_demo(run):  # whose page offers the comparison with what to look for
            _compare(run, list_runs(database))
        if checkpoint is not None:
            with st.popover("Use the policy", icon=":material/code:", key=f"use-{run.id}"):
                use_policy((database.data_dir / checkpoint.path).resolve())


def _compare(run: RunRow, runs: list[RunRow]) -> None:
    """With its experiment; else with the newest other run of the same environment."""
    group = [other for other in runs if run.experiment and other.experiment == run.experiment]
    if len(group) > 1 and run.experiment:
        compare_link(md("Compare the {} of {}", counted(len(group), "run"), run.experiment), experiment=run.experiment)
        return
    other = next((one for one in runs if one.env == run.env and one.id != run.id and one.episode), None)
    if other is not None:
        compare_link(md("Compare with {}", other.name), runs=f"{run.id},{other.id}")

"""Stop, resume, delete: the same buttons wherever a run is shown."""

from collections.abc import Callable

import streamlit as st

from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.lifecycle import ENDED, RESUMABLE, Status
from v3core.store.database import Database
from v3core.store.runs import RunRow
from v3core.ui.status import plain

STOPPABLE = {Status.QUEUED, Status.STARTING, Status.RUNNING}
DELETABLE = ENDED | {Status.QUEUED}


def run_actions(database: Database, run: RunRow, *, compact: bool, key: str) -> None:
    """Buttons for what can be done with `run` now.

    Args:
        database: where commands go.
        run: the run.
        compact: icons only, for lists.
        key: tells apart the same run's buttons on one page.
    """
    status = Status(run.status)
    with st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        if status in RESUMABLE:
            _button("Resume", ":material/resume:", lambda: control.resume(database, run.id), run, compact, key)
        else:
            _button(
                "Stop",
                ":material/stop_circle:",
                lambda: control.stop(database, run.id),
                run,
                compact,
                key,
                disabled=status not in STOPPABLE,
            )
        if st.button(
            "" if compact else "Delete",
            icon=":material/delete:",
            key=f"delete:{key}:{run.id}",
            disabled=status not in DELETABLE,
            help=f"Delete {plain(run.name)}" if status in DELETABLE else "Stop it before you delete it.",
        ):
            _confirm_delete(database, run)


def _button(
    label: str,
    icon: str,
    act: Callable[[], object],
    run: RunRow,
    compact: bool,
    key: str,
    disabled: bool = False,
) -> None:
    def click() -> None:
        try:
            act()
        except V3Error as error:
            st.toast(str(error), icon=":material/warning:", duration="long")

    st.button(
        "" if compact else label,
        icon=icon,
        key=f"{label.lower()}:{key}:{run.id}",
        help=f"{label} {plain(run.name)}",
        disabled=disabled,
        on_click=click,
    )


@st.dialog("Delete this run?", icon=":material/delete:")
def _confirm_delete(database: Database, run: RunRow) -> None:
    st.markdown(f"**{plain(run.name)}** with its {run.episode:,} episodes, checkpoints and log. This cannot be undone.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep it", key="keep"):
            st.rerun()
        if st.button("Delete", type="primary", icon=":material/delete:", key="confirm-delete"):
            try:
                control.delete(database, run.id)
            except V3Error as error:
                st.error(str(error))
            else:
                if run.id.startswith(st.query_params.get("run", run.id)) and "run" in st.query_params:
                    del st.query_params["run"]  # the address must not go on naming it
                st.rerun()

"""Going on here with a run that was trained on another host: asked first, since its checkpoints may be there only."""

import streamlit as st

from v3core.curriculum import Curriculum
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.notices import notify
from v3core.ui.status import ACTOR
from v3core.ui.text import plain


@st.dialog("Go on here?", icon=":material/swap_horiz:")
def ask_to_take_over(database: Database, run: RunRow, curriculum: Curriculum | None = None) -> None:
    """Ask, then resume the run on this host, under another curriculum if one is given."""
    st.markdown(
        f"**{plain(run.name)}** was trained on host **{plain(run.host or '')}**. Go on here? Its checkpoints must lie "
        "in this data folder too, and nobody should resume it there as well."
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Leave it", key="leave-it"):
            st.rerun()
        # In a callback: a click that arrives with a tick of the page behind the dialog is carried out all the same.
        if st.button(
            "Go on here",
            type="primary",
            icon=":material/resume:",
            key="confirm-take-over",
            on_click=_take_over,
            args=(database, run.id, curriculum),
        ):
            st.rerun()


def _take_over(database: Database, run_id: str, curriculum: Curriculum | None) -> None:
    try:
        control.resume(database, run_id, ACTOR, curriculum=curriculum, take_over=True)
    except V3Error as error:
        notify(plain(error), icon=":material/warning:")

"""What happened to a run, in sentences."""

import streamlit as st

from v3core.store.database import Database
from v3core.store.history import read_events
from v3core.ui.moments import clock
from v3core.ui.text import plain

_SHOWN = 200


def run_history(database: Database, run_id: str) -> None:
    """The event log, newest first; closed at first, and read only while it is open."""
    expander = st.expander("History", icon=":material/history:", key=f"history-{run_id}", on_change="rerun")
    if not expander.open:
        return
    events = read_events(database, run_id)
    with expander:
        st.table(
            [
                {"When": clock(event.at), "Who": plain(event.actor), "What": plain(event.message)}
                for event in events[::-1][:_SHOWN]
            ],
            border="horizontal",
            hide_index=True,
            height=320 if len(events) > 7 else "content",
            alt="What happened to the run, newest first",
        )
        if len(events) > _SHOWN:
            st.caption(f"The newest {_SHOWN} of {len(events):,}.")

"""What a run really trained under, live edits included: shown, and saved as a preset to run again."""

import streamlit as st

from v3core.curriculum import dump
from v3core.curriculum.model import MAX_NAME
from v3core.jobs.what_happened import save_curriculum, what_happened
from v3core.messages import say
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.clicks import or_notice
from v3core.ui.text import md

_SAVED = "saved-preset"


def what_really_happened(database: Database, run: RunRow) -> None:
    """The curriculum as YAML with the field to save it; closed at first. Not in a part that ticks: people type."""
    expander = st.expander(
        md("What really happened"), icon=":material/fact_check:", key="happened", on_change="rerun", bind="query-params"
    )
    if not expander.open:
        return
    with expander:
        st.caption(
            md(
                "What this run trained under: each phase as long as it was, live edits included. Phases that ended "
                "by a trigger or by steps end at the episode at which they did."
            )
        )
        st.code(dump(what_happened(database, run.id)), language="yaml", height=280)
        key = f"preset-name-{run.id}"
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input(
                md("Name of the preset"), key=key, max_chars=MAX_NAME, width=280, placeholder=say("my-curriculum")
            )
            st.button(
                md("Save as a preset"),
                icon=":material/bookmark_add:",
                key="save-preset",
                on_click=_save,
                args=(database, run.id, key),
            )
        saved_of, name = st.session_state.get(_SAVED, ("", ""))
        if saved_of == run.id:
            st.success(md("Saved as preset **{}**.", name), icon=":material/check:")
            st.page_link(
                "pages/launch.py",
                label=md("Launch a run with it"),
                icon=":material/rocket_launch:",
                query_params={"env": run.env, "curriculum": name},
            )


@or_notice
def _save(database: Database, run_id: str, key: str) -> None:
    name = str(st.session_state.get(key) or "").strip()
    save_curriculum(database, run_id, name)
    st.session_state[_SAVED] = (run_id, name)

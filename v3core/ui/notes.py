"""User annotations of a run: tags and notes."""

import streamlit as st

from v3core.errors import V3Error
from v3core.jobs import control
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.clicks import ACTOR
from v3core.ui.text import lines, plain


def notes_editor(database: Database, run: RunRow) -> None:
    """A popover with both. Not for a fragment that ticks, which would interrupt typing."""
    with (
        st.popover("Notes and tags", icon=":material/edit_note:", key=f"notes-{run.id}"),
        st.form(f"notes-form-{run.id}", border=False),
    ):
        tags = st.text_input(
            "Tags",
            run.tags or "",
            max_chars=control.MOST_TAGS,
            help="Words, separated by spaces. The filter on Runs finds them.",
        )
        notes = st.text_area("Notes", run.notes or "", max_chars=control.MOST_NOTES, height=140)
        if st.form_submit_button("Save", icon=":material/check:", type="primary"):
            try:
                control.annotate(database, run.id, tags=tags, notes=notes, actor=ACTOR)
            except V3Error as error:
                st.error(plain(error))
            else:
                st.rerun()


def tag_badges(run: RunRow) -> None:
    """The run's tags, in the direction of the container around."""
    for tag in (run.tags or "").split():
        st.badge(plain(tag), icon=":material/label:", color="gray")


def notes_line(run: RunRow) -> None:
    """The run's tags, and its notes as they were typed, line by line; nothing if it has neither."""
    if not (run.tags or run.notes):
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        tag_badges(run)
        if run.notes:
            st.caption(lines(run.notes), width="content")

"""Taking in a run from an archive that somebody uploads."""

import streamlit as st

from v3core.archive import import_archive
from v3core.errors import V3Error
from v3core.store.database import Database
from v3core.ui.text import plain


def archive_import(database: Database) -> None:
    """A popover with an uploader. Not for a fragment that ticks: an upload takes time."""
    with (
        st.popover("Import a run", icon=":material/upload:", key="import-popover"),
        st.form("import-form", border=False),
    ):
        upload = st.file_uploader("Archive", type="v3run", help="A file that V3 Lab wrote: Export on the page Live.")
        as_new = st.checkbox("Under a new id", help="So that it may stand beside the run that it was made from.")
        if st.form_submit_button("Import", icon=":material/check:", type="primary"):
            if upload is None:
                st.error("No archive was chosen; choose a file that ends in .v3run.")
                return
            try:
                with st.spinner("Checking and importing …"):
                    run_id = import_archive(database, upload, as_new=as_new)
            except V3Error as error:
                st.error(plain(error))
            else:
                st.switch_page("pages/live.py", query_params={"run": run_id})

"""The database of this server, opened once for pages and feed."""

import streamlit as st

from v3core.store.database import Database
from v3core.store.opening import open_database


@st.cache_resource(max_entries=1, show_spinner=False)
def shared_database() -> Database:
    """Opens it at the first call; a V3Error if it cannot be opened, and the next call tries again."""
    return open_database()

"""Pages on a database that is damaged, or that cannot be opened: a sentence in place of the page."""

import streamlit as st

from tests.pages.recorded import finished_run

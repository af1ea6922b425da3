"""Replay: what the policy did in an episode, step by step, with its gates, its experts and its graph."""

import streamlit as st

from v3core.jobs.lifecycle import Status
from v3core.ui import shell
from v3core.ui.replay_choice import choose
from v3core.ui.replay_page import replay
from v3core.ui.run_header import run_header
from v3core.ui.run_picker import pick_run
from v3core.ui.text import md

database = shell.page("Replay")
shell.reconcile(database)
st.title(md("Replay"), anchor=False)
head = st.container(horizontal=True, vertical_alignment="center")
with shell.or_stop():
    run = pick_run(database, head, page="replay")

if run.status == Status.UNREADABLE:
    run_header(database, run, [])
    st.stop()

with shell.or_stop():
    chosen = choose(database, run)
replay(database, chosen)

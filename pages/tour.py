"""Tour: what is architecture and what is curriculum, beside a run."""

import streamlit as st

from v3core.claims.statements import claims, readable_states
from v3core.jobs import control
from v3core.jobs.demo import start_demo
from v3core.jobs.lifecycle import Status
from v3core.store.runs import list_runs
from v3core.ui import shell
from v3core.ui.guided_tour import bicycle, misunderstandings, training_wheels, verdicts
from v3core.ui.navigation import open_page
from v3core.ui.run_header import run_header
from v3core.ui.run_picker import pick_run
from v3core.ui.text import md

database = shell.page("Tour")
shell.reconcile(database)
st.title(md("Tour"), anchor=False)
st.caption(
    md(
        "Learning to ride with training wheels does not change the bicycle: a policy, and the curriculum of its "
        "routing."
    )
)

run = None
if list_runs(database):
    with shell.or_stop():
        run = pick_run(database, st.container(horizontal=True), page="tour")
else:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            md("With a run you see beside the text what it says. The demo takes about two minutes."), width="content"
        )
        if st.button(md("Start the demo"), type="primary", icon=":material/play_arrow:", key="start-demo"):
            open_page("tour", run=start_demo(database)[0])

if run is not None and run.status == Status.UNREADABLE:
    run_header(database, run, [])
    run = None
with shell.or_stop():
    curriculum = control.current_curriculum(database, run.id) if run is not None else None
bicycle(run)
training_wheels(run, curriculum)
misunderstandings(claims())
with shell.show_errors():
    verdicts(claims(), [finding for state in readable_states()[0] for finding in state.findings])

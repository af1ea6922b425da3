"""Home: all runs at a glance, and links to start one."""

import streamlit as st

from v3core.jobs.demo import start_demo
from v3core.jobs.launchers.chosen import chosen
from v3core.jobs.launchers.local import LocalLauncher
from v3core.jobs.lifecycle import ENDED
from v3core.jobs.slots import slots
from v3core.messages import _
from v3core.store.runs import list_runs
from v3core.ui import news, shell, ticks
from v3core.ui.demo_guide import after_the_demo, invitation
from v3core.ui.navigation import open_page
from v3core.ui.run_files import archive_import
from v3core.ui.run_list import (
    active_experiments,
    cluster_text,
    columns_menu,
    nodes_menu,
    run_list,
    slots_menu,
    slots_text,
)
from v3core.ui.run_picker import compare_link
from v3core.ui.status import counted
from v3core.ui.text import about, md, plain

DATABASE_HELP = _("Commands run from another folder may use a different database; see docs/serving.md.")

database = shell.page("Runs")


def empty() -> None:
    """What a newcomer sees."""
    with st.container(border=True, horizontal_alignment="center", key="empty"):
        st.space("medium")
        st.subheader(md("No runs yet"), anchor=False, text_alignment="center")
        invitation()
        with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center"):
            if st.button(md("Start the demo"), type="primary", icon=":material/play_arrow:", key="start-demo"):
                open_page("live", run=start_demo(database)[0])
            st.page_link("pages/launch.py", label=md("Set up your own run"), icon=":material/rocket_launch:")
        st.space("medium")


@ticks.ticking(1, news.of_anything(database), news.of_launcher(database))
@shell.show_errors()
def overview() -> None:
    """All runs, as they are now."""
    shell.reconcile(database)
    runs = list_runs(database)
    if not runs:
        empty()
        return
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            if (launcher := chosen()).name == LocalLauncher.name:
                limit = slots(database)
                st.caption(md("{} · {}", counted(len(runs), "run"), slots_text(runs, limit)))
                slots_menu(database, limit)
            else:
                offer = launcher.seen()
                st.caption(md("{} · {}", counted(len(runs), "run"), cluster_text(runs, offer)))
                nodes_menu(runs, offer)
            columns = columns_menu()
        with st.container(horizontal=True, horizontal_alignment="right", width="content"):
            newest = next((run.experiment for run in runs if run.experiment), None)
            group = [run for run in runs if newest and run.experiment == newest]
            if len(group) > 1 and all(run.status in ENDED for run in group):
                compare_link(_("Compare the latest experiment"), experiment=str(newest))
            st.page_link("pages/launch.py", label=md("New run"), icon=":material/add:")
    after_the_demo(database, runs)
    active_experiments(database, runs)
    run_list(database, runs, columns)


st.title(md("Runs"), anchor=False)
overview()
archive_import(database)
with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
    st.caption(md("Database: {describe}", describe=plain(database.describe())), width="content")
    about(_("the database"), DATABASE_HELP)

"""Experiments: all of them, or of one its progress, failures, statistics so far and runs."""

import streamlit as st

from v3core.errors import V3Error
from v3core.jobs.experiments import progress_of
from v3core.store.database import DatabaseBusyError
from v3core.store.runs import list_runs
from v3core.ui import news, shell, ticks
from v3core.ui.experiment_page import experiment_head, experiment_list
from v3core.ui.experiment_statistics import experiment_statistics
from v3core.ui.report_download import report_download
from v3core.ui.run_list import columns_menu, run_list
from v3core.ui.run_picker import show_here
from v3core.ui.text import md, plain

database = shell.page("Experiments")
shell.reconcile(database)
chosen = st.query_params.get("experiment")


@ticks.ticking(2, news.of_anything(database))
@shell.show_errors()
def overview() -> None:
    """All experiments."""
    shell.reconcile(database)
    experiment_list(database)


@ticks.ticking(1, news.of_experiment(database, chosen or ""))
@shell.show_errors()
def head(name: str) -> None:
    """How the experiment stands, and what can be done with it."""
    shell.reconcile(database)
    experiment_head(database, progress_of(database, name))


@ticks.ticking(3, news.of_experiment(database, chosen or ""))
@shell.show_errors()
def statistics(name: str) -> None:
    """What it says so far."""
    experiment_statistics(database, progress_of(database, name))


@shell.show_errors()
def report(name: str) -> None:
    """All of it in one file."""
    report_download(database, name, has_episodes=any(run.episode for run in progress_of(database, name).runs))


@ticks.ticking(1, news.of_experiment(database, chosen or ""), news.of_launcher(database))
@shell.show_errors()
def runs(name: str) -> None:
    """Its runs, as on Runs."""
    st.subheader(md("Runs"), anchor=False)
    columns = columns_menu()
    run_list(database, list(progress_of(database, name).runs)[::-1], columns, waiting=list_runs(database))


def one(name: str) -> None:
    """The page of one experiment; without it, if there is none of that name."""
    with st.container(horizontal=True, vertical_alignment="center"):
        show_here(md("All experiments"), ":material/arrow_back:")
    st.title(plain(name), anchor=False)
    try:
        progress_of(database, name)
    except DatabaseBusyError:
        pass  # the parts below show it, and are drawn again
    except V3Error as error:
        st.warning(plain(error), icon=":material/search_off:")
        return
    head(name)
    statistics(name)
    report(name)
    runs(name)


if chosen:
    one(chosen)
else:
    st.title(md("Experiments"), anchor=False)
    overview()

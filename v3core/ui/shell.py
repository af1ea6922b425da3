"""What every page calls first: page settings, navigation and the database, or an error if it cannot be opened."""

import gc
import importlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import streamlit as st
from streamlit.runtime import Runtime

from v3core.errors import V3Error
from v3core.jobs import supervisor
from v3core.jobs.watchdog import ensure_watchdog, is_watched
from v3core.messages import _, translation
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.runs import UnknownRunError, get_runs
from v3core.ui import tick_gate, ticks
from v3core.ui.clicks import forget_dialogs_of_other_pages
from v3core.ui.language import choose
from v3core.ui.notices import notify, notify_of_ends, prepare_notices, show_pending_notices
from v3core.ui.page_frame import page_frame
from v3core.ui.plotly_js import ensure_plotly_js
from v3core.ui.shared import shared_database
from v3core.ui.text import md, plain

tick_gate.install()

PAGES = (
    ("app.py", _("Runs"), ":material/home:"),
    ("pages/launch.py", _("Launch"), ":material/rocket_launch:"),
    ("pages/experiments.py", _("Experiments"), ":material/lab_research:"),
    ("pages/live.py", _("Live"), ":material/monitoring:"),
    ("pages/compare.py", _("Compare"), ":material/compare_arrows:"),
    ("pages/replay.py", _("Replay"), ":material/play_circle:"),
    ("pages/claims.py", _("Claims"), ":material/balance:"),
    ("pages/tour.py", _("Tour"), ":material/signpost:"),
)


_HEAVY = ("v3core.ui.run_charts", "v3core.ui.phase_table", "v3core.charts.compare", "v3core.environments")

# A Material icon would be fetched from the internet here; this one is shipped with the code.
ICON = Path(__file__).with_name("icon.svg")


def page(title: str) -> Database:
    """Set up a page; returns the open database. If it cannot be opened, the page stops here with an error."""
    choose()
    title = translation(title)
    st.set_page_config(page_title=f"{title} · V3 Lab", page_icon=ICON, layout="wide")
    prepare_notices()
    forget_dialogs_of_other_pages()
    with st.sidebar:
        st.markdown(md("### :material/hub: V3 Lab"))
        for path, label, page_icon in PAGES:
            st.page_link(path, label=plain(label), icon=page_icon, width="stretch")
        page_frame()
    try:
        ensure_plotly_js()
        database = shared_database()
    except V3Error as error:
        shared_database.clear()
        st.title(plain(title), anchor=False)
        st.error(plain(error), title=md("V3 Lab cannot open its data"), icon=":material/database_off:")
        st.stop()
    _warm_up()
    notify_of_ends(database)
    return database


@st.cache_resource(max_entries=1, show_spinner=False)
def _warm_up() -> threading.Thread:
    """Import the modules of other pages in the background, so that the first click on each does not wait for them."""
    thread = threading.Thread(target=_import_heavy, daemon=True)
    thread.start()
    return thread


def _import_heavy() -> None:
    for name in _HEAVY:
        importlib.import_module(name)
    # Streamlit collects garbage at the end of each script, and nothing else of the process runs meanwhile: 0.1 s if it
    # looks through all modules each time. What there is by now stays.
    gc.collect()
    gc.freeze()


@contextmanager
def show_errors() -> Iterator[None]:
    """Of a part of a page, which it may decorate: a V3Error is shown in its place; the next tick tries again."""
    try:
        yield
    except V3Error as error:
        st.error(plain(error), icon=":material/error:")
        ticks.draw_again_in(1)
    show_pending_notices()


@contextmanager
def or_stop() -> Iterator[None]:
    """Of reading what a page needs: a V3Error is shown and stops the page."""
    try:
        yield
    except V3Error as error:
        st.error(plain(error), icon=":material/database_off:")
        st.stop()


def run_or_rerun(database: Database, run_id: str) -> RunRow:
    """The current row of a run; if it has been deleted, perhaps in another tab, the page reruns without it."""
    return runs_or_rerun(database, [run_id])[0]


def runs_or_rerun(database: Database, run_ids: Sequence[str]) -> list[RunRow]:
    """The current rows of runs, in their order; if one has been deleted, the page reruns without it."""
    try:
        return get_runs(database, run_ids)
    except UnknownRunError:
        st.rerun()


def reconcile(database: Database) -> None:
    """Reconcile statuses with the actual processes, unless this server's watchdog does."""
    if is_watched(database):
        return
    # A server that was not started by `serve`; page tests have no real server.
    if Runtime.exists() and isinstance(Runtime.instance(), Runtime):
        ensure_watchdog()
    try:
        supervisor.reconcile(database)
    except V3Error as error:  # a database that is busy must not break the page: the next tick tries again
        notify(plain(error), icon=":material/warning:")

"""What every page calls first: page settings, navigation, and a database, or a sentence that says why not."""

import functools
import importlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import streamlit as st
from streamlit.runtime import Runtime

from v3core.errors import V3Error
from v3core.jobs import supervisor
from v3core.jobs.watchdog import ensure_watchdog, is_looked_after
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.run_row import RunRow
from v3core.store.runs import UnknownRunError, get_run
from v3core.ui import tick_gate, ticks
from v3core.ui.notices import begin_notices, notify, show_waiting
from v3core.ui.page_frame import page_frame
from v3core.ui.plotly_js import ensure_plotly_js
from v3core.ui.text import plain
from v3core.ui.toasts import tell_of_ends

P = ParamSpec("P")
T = TypeVar("T")

tick_gate.install()

PAGES = (
    ("app.py", "Runs", ":material/home:"),
    ("pages/launch.py", "Launch", ":material/rocket_launch:"),
    ("pages/live.py", "Live", ":material/monitoring:"),
    ("pages/compare.py", "Compare", ":material/compare_arrows:"),
)


_HEAVY = ("v3core.ui.run_charts", "v3core.ui.phase_table", "v3core.charts.compare", "v3core.environments")

# A Material icon here would be fetched from outside; this one lies beside the code.
ICON = Path(__file__).with_name("icon.svg")


def page(title: str) -> Database:
    """Set up a page that stands alone, also when it is opened cold by its own address.

    Returns:
        The open database. The page ends here, with one sentence, if there is none.
    """
    st.set_page_config(page_title=f"{title} · V3 Lab", page_icon=ICON, layout="wide")
    begin_notices()
    with st.sidebar:
        st.markdown("### :material/hub: V3 Lab")
        for path, label, page_icon in PAGES:
            st.page_link(path, label=label, icon=page_icon, width="stretch")
        page_frame()
    try:
        ensure_plotly_js()
        database = _open_database()
    except V3Error as error:
        _open_database.clear()
        st.title(plain(title), anchor=False)
        st.error(plain(error), title="V3 Lab cannot open its data", icon=":material/database_off:")
        st.stop()
    _warm_up()
    tell_of_ends(database)
    return database


@st.cache_resource(max_entries=1, show_spinner=False)
def _open_database() -> Database:
    return open_database()


@st.cache_resource(max_entries=1, show_spinner=False)
def _warm_up() -> threading.Thread:
    """Import in the background what the other pages need, so that the first click on each does not wait for it."""
    thread = threading.Thread(target=lambda: [importlib.import_module(name) for name in _HEAVY], daemon=True)
    thread.start()
    return thread


def told(body: Callable[P, None]) -> Callable[P, None]:
    """For the body of a fragment: what is wrong is told in its place, as one sentence; the next tick tries again."""

    @functools.wraps(body)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            body(*args, **kwargs)
        except V3Error as error:
            st.error(plain(error), icon=":material/error:")
            ticks.draw_again_in(1)
        show_waiting()

    return guarded


def needed(read: Callable[P, T]) -> Callable[P, T]:
    """For what a page cannot do without: if it cannot be read, the page ends there with one sentence."""

    @functools.wraps(read)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(*args, **kwargs)
        except V3Error as error:
            st.error(plain(error), icon=":material/database_off:")
            st.stop()

    return guarded


def still_there(database: Database, run_id: str) -> RunRow:
    """The run as it is now; if it was deleted meanwhile, in another tab perhaps, the page begins anew without it."""
    try:
        return get_run(database, run_id)
    except UnknownRunError:
        st.rerun()


def reconcile(database: Database) -> None:
    """Bring statuses in line with the processes that are really there, unless this server's watchdog does.

    A database that is busy for once must not take the page down: the next tick tries again.
    """
    if is_looked_after(database):
        return
    # A server that `serve` did not start; tests of pages have no real one.
    if Runtime.exists() and isinstance(Runtime.instance(), Runtime):
        ensure_watchdog()
    try:
        supervisor.reconcile(database)
    except V3Error as error:
        notify(plain(error), icon=":material/warning:")

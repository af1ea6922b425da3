"""The bar with what is about to start, how long it takes, errors, and the button: always visible."""

from collections.abc import Callable, Sequence

import streamlit as st

from v3core.config import RunConfig
from v3core.errors import V3Error
from v3core.insight.duration import Pace
from v3core.jobs.costs import Cost, cost_of, pace_of
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.status import counted
from v3core.ui.text import Markdown, md

MAX_PROBLEMS = 2
"""Number of errors that are shown in full: the bar must leave space for the page."""


def start_bar(
    database: Database, configs: Sequence[RunConfig], problems: Sequence[str], on_start: Callable[[], None]
) -> bool:
    """Pin the summary and the button to the bottom of the window; returns whether it was clicked.

    Args:
        database: its earlier runs are the basis of the estimate.
        configs: what would start; empty while something is wrong.
        problems: errors, one sentence each.
        on_start: called on a click.
    """
    with st.bottom, st.container(key="start-bar", gap="xsmall"):
        count = len(configs)
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            if problems:
                _show_problems(problems)
            else:
                st.markdown(_summary(database, configs), width="stretch")
            label = md("Start {} runs", count) if count > 1 else "Start the run"
            clicked = st.button(
                label, type="primary", icon=":material/play_arrow:", key="start", disabled=bool(problems)
            )
        if clicked:
            on_start()
    return clicked


def _show_problems(problems: Sequence[str]) -> None:
    each = list(dict.fromkeys(problems))
    with st.container(gap=None, width="stretch"):
        for problem in each[:MAX_PROBLEMS]:
            st.markdown(md(":small[:red[:material/error: {}]]", problem))
        if len(each) > MAX_PROBLEMS:
            with st.popover(md("And {} more", len(each) - MAX_PROBLEMS), type="tertiary", icon=":material/error:"):
                for problem in each:
                    st.markdown(md(":red[:material/error:] {}", problem))


def _summary(database: Database, configs: Sequence[RunConfig]) -> Markdown:
    more = str(configs[0].length)
    if len(configs) > 1:
        seeds = len({config.seed for config in configs})
        curricula = len(configs) // seeds
        each = "1 curriculum" if curricula == 1 else f"{curricula} curricula"
        more = f"{each} × {counted(seeds, 'seed')} · {more} each"
    found = cost(database, configs)
    time = "Time unknown." if found is None else found.time()
    return md("**{}** · {}  \n:small[:material/timer: {}]", counted(len(configs), "run"), more, time)


def cost(database: Database, configs: Sequence[RunConfig]) -> Cost | None:
    """What these runs cost; None if the database cannot be read, which is shown where it is needed."""
    try:
        return cost_of(database, configs, read_pace)
    except V3Error:
        return None


@st.cache_data(
    max_entries=64, show_spinner=False, hash_funcs={RunRow: lambda run: (run.id, run.generation, run.episode)}
)
def read_pace(_database: Database, run: RunRow) -> Pace:
    """How a run advanced, read once until it advances."""
    return pace_of(_database, run)

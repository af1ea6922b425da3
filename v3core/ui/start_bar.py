"""The bar with what is about to start, how long it takes, errors, and the button: always visible."""

from collections.abc import Callable, Sequence

import streamlit as st

from v3core.config import RunConfig
from v3core.errors import V3Error
from v3core.insight.duration import Pace
from v3core.jobs.costs import Cost, cost_of, pace_of
from v3core.jobs.grid import MANY_RUNS, Grid
from v3core.messages import Message, _, several
from v3core.phrases import strung
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.clicks import asking, confirm, dialog
from v3core.ui.status import counted
from v3core.ui.text import Markdown, md, plain

_CONFIRMED = "start-confirmed"
MAX_PROBLEMS = 2
"""Number of errors that are shown in full: the bar must leave space for the page."""


def start_bar(
    database: Database,
    grid: Grid | None,
    configs: Sequence[RunConfig],
    problems: Sequence[str],
    on_start: Callable[[], None],
) -> bool:
    """Pin the summary and the button to the bottom of the window; returns whether it was clicked, and confirmed.

    Args:
        database: its earlier runs are the basis of the estimate.
        grid: what the runs are; None while something is wrong.
        configs: what would start; empty while something is wrong.
        problems: errors, one sentence each.
        on_start: called on a click.
    """
    with st.bottom, st.container(key="start-bar", gap="xsmall"):
        count = len(configs)
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            expected = None
            if problems or grid is None:
                _show_problems(problems)
            else:
                expected = cost(database, configs)
                st.markdown(_summary(grid, configs, expected), width="stretch")
            label = md("Start {} runs", count) if count > 1 else md("Start the run")
            button = asking if count > MANY_RUNS else st.button
            clicked = button(label, type="primary", icon=":material/play_arrow:", key="start", disabled=bool(problems))
        asks = clicked and count > MANY_RUNS and not problems
        clicked = (clicked and count <= MANY_RUNS) or st.session_state.pop(_CONFIRMED, None) == count
        if clicked:
            on_start()
    if asks:
        _ask(count, expected)
    return clicked


@dialog(_("Start this many runs?"), icon=":material/play_arrow:")
def _ask(count: int, expected: Cost | None) -> None:
    st.markdown(md("**{}** start as one experiment, which can be stopped as one.", counted(count, "run")))
    if expected is not None:
        st.markdown(plain(_("{amount}.", amount=expected.amount())))
        st.caption(plain(expected.time()))
    confirm(_("Start {runs}", runs=counted(count, "run")), ":material/play_arrow:", "start-many", _confirm, count)


def _confirm(count: int) -> None:
    st.session_state[_CONFIRMED] = count


def _show_problems(problems: Sequence[str]) -> None:
    each = list(dict.fromkeys(problems))
    with st.container(gap=None, width="stretch"):
        for problem in each[:MAX_PROBLEMS]:
            st.markdown(md(":small[:red[:material/error: {}]]", problem))
        if len(each) > MAX_PROBLEMS:
            with st.popover(md("And {} more", len(each) - MAX_PROBLEMS), type="tertiary", icon=":material/error:"):
                for problem in each:
                    st.markdown(md(":red[:material/error:] {}", problem))


def _summary(grid: Grid, configs: Sequence[RunConfig], expected: Cost | None) -> Markdown:
    more = configs[0].length.words
    if len(configs) > 1:
        count = len(grid.curricula)
        parts: list[Message] = [several("{count} curriculum", "{count} curricula", count=count)]
        if len(grid.environments) > 1:
            parts.append(counted(len(grid.environments), "environment"))
        parts.append(counted(len(grid.seeds), "seed"))
        parts += [
            _("{values} values of {setting}", values=len(values), setting=path.rpartition(".")[2])
            for path, values in grid.swept
        ]
        more = _("{parts} · {length} each", parts=strung(" × ", parts), length=more)
    time = _("Time unknown.") if expected is None else expected.time()
    if expected is not None and expected.steps is not None and expected.are_steps_estimated:
        time = _("About {steps:,} environment steps. {time}", steps=expected.steps, time=time)
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

"""The list of runs on the home page."""

import streamlit as st

from v3core.jobs.lifecycle import Status
from v3core.store.database import Database
from v3core.store.runs import RunRow
from v3core.ui.actions import run_actions
from v3core.ui.status import age, number, plain, status_badge

RUNS_PER_PAGE = 12
_ID_CHARACTERS = 4
_WIDTHS = (3.2, 1.3, 2.6, 1.5, 1.2)


def run_list(database: Database, runs: list[RunRow]) -> None:
    """One row per run: what it is, its status, how far it is, how well it does, and what can be done with it."""
    shown = _filtered(runs)
    if not shown:
        st.caption("No run matches; clear the filter to see them all.")
        return
    pages = (len(shown) - 1) // RUNS_PER_PAGE + 1
    number_of_page = min(st.pagination(pages, key="runs-page"), pages) if pages > 1 else 1
    first = (number_of_page - 1) * RUNS_PER_PAGE
    for run in shown[first : first + RUNS_PER_PAGE]:
        _row(database, run)


def _filtered(runs: list[RunRow]) -> list[RunRow]:
    if len(runs) <= RUNS_PER_PAGE:
        return runs
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Filter", key="runs-filter", placeholder="Name, environment or id", label_visibility="collapsed", live=True
        )
        statuses = st.pills(
            "Status",
            [status for status in Status if any(run.status == status for run in runs)],
            selection_mode="multi",
            format_func=str.capitalize,
            key="runs-status",
            label_visibility="collapsed",
        )
    words = text.lower().split()
    return [
        run
        for run in runs
        if (not statuses or run.status in statuses)
        and all(word in f"{run.name} {run.env} {run.curriculum}".lower() or _names_id(run, word) for word in words)
    ]


def _names_id(run: RunRow, word: str) -> bool:
    """Whether a word is the beginning of the run's id; shorter ones would hit ids by chance."""
    return len(word) >= _ID_CHARACTERS and run.id.startswith(word)


def _row(database: Database, run: RunRow) -> None:
    with st.container(border=True, key=f"run-{run.id}"):
        what, status, progress, result, actions = st.columns(_WIDTHS, vertical_alignment="center")
        with what:
            st.page_link(
                "pages/live.py",
                label=f"**{plain(run.name)}**",
                icon=":material/monitoring:",
                query_params={"run": run.id},
                help="Open its charts",
            )
            started = run.started_at or run.created_at
            st.caption(f"{plain(run.env)} · {plain(run.curriculum)} · seed {run.seed} · {age(started)} ago")
        with status:
            status_badge(run.status)
        with progress:
            st.progress(min(run.episode / run.episodes, 1.0), text=_progress_text(run))
        with result:
            st.metric(
                "Mean return, last 100", number(run.mean_return), _latest(run), delta_color="off", delta_arrow="off"
            )
        with actions:
            run_actions(database, run, compact=True, key="list")
        if run.status in (Status.FAILED, Status.LOST) and run.reason:
            st.caption(f":red[{plain(run.reason)}]")


def _progress_text(run: RunRow) -> str:
    phase = f" · {run.phase}" if run.phase else ""
    return f"{run.episode:,} of {run.episodes:,} episodes{phase}"


def _latest(run: RunRow) -> str | None:
    return None if run.latest_return is None else f"latest {number(run.latest_return)}"

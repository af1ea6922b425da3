"""The list of runs on the home page."""

import re
from collections.abc import Mapping
from datetime import datetime

import streamlit as st

from v3core.insight.duration import time_left
from v3core.jobs.checkpoints import newest_present
from v3core.jobs.control import trains_elsewhere
from v3core.jobs.lifecycle import ACTIVE, RESUMABLE, Status
from v3core.store.database import Database
from v3core.store.history import CheckpointRow
from v3core.store.run_row import RunRow
from v3core.ui.moments import age
from v3core.ui.notes import tag_badges
from v3core.ui.run_actions import run_actions
from v3core.ui.run_queue import queue_place, queue_places
from v3core.ui.status import ADVANCES, number, status_badge
from v3core.ui.text import Markdown, md, plain

RUNS_PER_PAGE = 12
_ID_CHARACTERS = 4
_WIDTHS = (1.2, 3.2, 2.2, 1.8)


def run_list(database: Database, runs: list[RunRow]) -> None:
    """One row per run: its name, status, progress and results, and what can be done with it."""
    places = queue_places(runs)
    shown = _filtered(in_order(runs, places))
    if not shown:
        st.caption("No runs match; clear the filter to see all runs.")
        return
    pages = (len(shown) - 1) // RUNS_PER_PAGE + 1
    number_of_page = min(st.pagination(pages, key="runs-page"), pages) if pages > 1 else 1
    first = (number_of_page - 1) * RUNS_PER_PAGE
    on_page = shown[first : first + RUNS_PER_PAGE]
    with database.read() as tx:
        points = {run.id: newest_present(database, tx, run.id) for run in on_page if run.status in RESUMABLE}
    for run in on_page:
        _row(database, run, places.get(run.id), points.get(run.id))


def in_order(runs: list[RunRow], places: Mapping[str, int]) -> list[RunRow]:
    """What trains, then what waits as it will start, then what has ended; the newest first in each."""
    return sorted(runs, key=lambda run: (0, 0) if run.status in ACTIVE else (1, places.get(run.id, len(runs))))


def _filtered(runs: list[RunRow]) -> list[RunRow]:
    if len(runs) <= RUNS_PER_PAGE:
        return runs
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Filter",
            key="runs-filter",
            placeholder="Name, tag, experiment or id",
            label_visibility="collapsed",
            live=True,
        )
        statuses = st.pills(
            "Status",
            [status for status in Status if any(run.status == status for run in runs)],
            selection_mode="multi",
            format_func=lambda status: plain(status.capitalize()),
            key="runs-status",
            label_visibility="collapsed",
        )
    words = text.lower().split()
    return [
        run
        for run in runs
        if (not statuses or run.status in statuses)
        and all(word in _searched(run) or _names_id(run, word) for word in words)
    ]


def _searched(run: RunRow) -> str:
    return " ".join([run.name, run.env, run.curriculum, run.experiment or "", run.tags or ""]).lower()


def _names_id(run: RunRow, word: str) -> bool:
    """Whether a word is the beginning of the run's id; shorter ones would hit ids by chance."""
    return len(word) >= _ID_CHARACTERS and run.id.startswith(word)


def _row(database: Database, run: RunRow, place: int | None, checkpoint: CheckpointRow | None) -> None:
    with st.container(border=True, key=f"run-{run.id}"):
        # A separate line: the end of a long name often distinguishes two runs.
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.page_link(
                "pages/live.py",
                label=f"**{plain(run.name)}**",
                icon=":material/monitoring:",
                query_params={"run": run.id},
                help="Open the charts",
            )
            st.caption(plain(" · ".join(facts_beside_the_name(run))), width="content")
        if run.tags:
            with st.container(horizontal=True, gap="xsmall"):
                tag_badges(run)
        status, progress, result, actions = st.columns(_WIDTHS, vertical_alignment="center")
        with status:
            status_badge(run)
            if host := trains_elsewhere(run):
                st.caption(f"on host {plain(host)}")
        with progress:
            if place is not None:
                queue_place(database, run, place, key="list")
            if place is None or run.episode:
                st.progress(min(run.episode / run.episodes, 1.0), text=plain(_progress_text(run)))
        with result:
            st.metric(
                md("Mean return, last {}", run.mean_window),
                number(run.mean_return),
                _latest(run),
                delta_color="off",
                delta_arrow="off",
            )
        with actions:
            run_actions(database, run, compact=True, key="list", checkpoint=checkpoint)
        if run.status in (Status.FAILED, Status.LOST, Status.UNREADABLE) and run.reason:
            st.caption(md(":red[{}]", run.reason))


def facts_beside_the_name(run: RunRow, now: datetime | None = None) -> list[str]:
    """Facts in a list next to a run's name: those not in the name, its age and its experiment."""
    facts = [fact for fact in (run.curriculum, run.env, f"seed {run.seed}") if not _says(run.name, fact)]
    facts.append(f"{age(run.started_at or run.created_at, now)} ago")
    return [*facts, run.experiment] if run.experiment else facts


def _says(name: str, fact: str) -> bool:
    """Whether the words of `fact` stand in the name: `seed 1` does not stand in `seed 12`."""
    return re.search(rf"(?<!\w){re.escape(fact)}(?!\w)", name) is not None


def _progress_text(run: RunRow) -> str:
    phase = f" · {run.phase}" if run.phase else ""
    left = f" · {time_left(run.seconds_left)}" if run.status in ADVANCES and run.seconds_left else ""
    return f"{run.episode:,} of {run.episodes:,} episodes{phase}{left}"


def _latest(run: RunRow) -> Markdown | None:
    return None if run.latest_return is None else md("latest {}", number(run.latest_return))

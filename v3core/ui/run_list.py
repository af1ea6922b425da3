"""The home page: how full this machine is, active experiments, and the list of runs with their places in the queue."""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import streamlit as st
from humanize import ordinal

from v3core.insight.duration import time_left
from v3core.jobs import control, launcher
from v3core.jobs.checkpoints import newest_present
from v3core.jobs.kinds import COMMANDS, trains_elsewhere
from v3core.jobs.launch import waits_for
from v3core.jobs.lifecycle import ACTIVE, ENDED, RESUMABLE, Status
from v3core.store.database import Database
from v3core.store.history import CheckpointRow
from v3core.store.run_row import RunRow
from v3core.ui.clicks import ACTOR, confirm, dialog, or_notice
from v3core.ui.notices import notify
from v3core.ui.run_actions import run_actions, tag_badges
from v3core.ui.run_picker import compare_link
from v3core.ui.status import ADVANCES, age, counted, number, status_badge
from v3core.ui.text import md, plain

RUNS_PER_PAGE = 12
_EXPERIMENTS_SHOWN = 3
_UNFINISHED = (Status.RUNNING, Status.STARTING, Status.PAUSED, Status.STALLED, Status.STOPPING, Status.QUEUED)
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
        points = {run.id: newest_present(database, run.id, tx) for run in on_page if run.status in RESUMABLE}
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
    return [run for run in runs if (not statuses or run.status in statuses) and all(_has(run, word) for word in words)]


def _has(run: RunRow, word: str) -> bool:
    """Whether a word of the filter stands in what names a run, or begins its id; a short one does so by chance."""
    searched = " ".join([run.name, run.env, run.curriculum, run.experiment or "", run.tags or ""]).lower()
    return word in searched or (len(word) >= _ID_CHARACTERS and run.id.startswith(word))


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
                None if run.latest_return is None else md("latest {}", number(run.latest_return)),
                delta_color="off",
                delta_arrow="off",
            )
        with actions:
            run_actions(database, run, compact=True, key="list", checkpoint=checkpoint)
        if run.status in (Status.FAILED, Status.LOST, Status.UNREADABLE) and run.reason:
            st.caption(md(":red[{}]", run.reason))


def facts_beside_the_name(run: RunRow, now: datetime | None = None) -> list[str]:
    """Facts in a list next to a run's name: those not in the name, its age and its experiment."""
    facts = [
        fact
        for fact in (run.curriculum, run.env, f"seed {run.seed}")
        if not re.search(rf"(?<!\w){re.escape(fact)}(?!\w)", run.name)  # `seed 1` does not stand in `seed 12`
    ]
    facts.append(f"{age(run.started_at or run.created_at, now)} ago")
    return [*facts, run.experiment] if run.experiment else facts


def _progress_text(run: RunRow) -> str:
    phase = f" · {run.phase}" if run.phase else ""
    left = f" · {time_left(run.seconds_left)}" if run.status in ADVANCES and run.seconds_left else ""
    return f"{run.episode:,} of {run.episodes:,} episodes{phase}{left}"


def queue_places(runs: list[RunRow]) -> dict[str, int]:
    """Run id to its place in the queue, from 1, for each run that waits."""
    return {run.id: place for place, run in enumerate(launcher.queue_order(runs), start=1)}


def slots_text(runs: list[RunRow], slots: int) -> str:
    """How full this machine is, as in `3 of 4 slots in use, 1 of them paused · 2 waiting`."""
    active = [run for run in runs if run.status in ACTIVE]
    here = [run for run in active if not trains_elsewhere(run)]
    parts = [f"{len(here)} of {slots} slots in use"]
    if paused := sum(run.status == Status.PAUSED for run in here):
        parts[0] += f", {paused} of them paused"
    if len(here) < len(active):
        parts.append(f"{len(active) - len(here)} on other hosts")
    return " · ".join([*parts, f"{sum(run.status == Status.QUEUED for run in runs)} waiting"])


def slots_menu(database: Database, limit: int) -> None:
    """Opened, it changes how many runs train at once on this machine, which is `limit` now."""
    with st.popover("Slots", icon=":material/tune:", type="tertiary", key="slots"):
        # The limit is part of the key, so that the field follows a change made elsewhere.
        field = f"slots:{limit}"
        st.number_input(
            "Runs at once on this machine",
            1,
            launcher.MAX_SLOTS,
            limit,
            key=field,
            help="Does not affect runs that are already training. Each run uses one core; more runs than cores slow "
            "each other down.",
            on_change=_set_slots,
            args=(database, field),
        )


def queue_place(database: Database, run: RunRow, place: int, *, key: str) -> None:
    """The queue position of a waiting run, in a popover to change its priority."""
    label = md("{} in the queue", ordinal(place))
    if run.priority:
        label = md("{} · priority {}", label, run.priority)
    with st.popover(label, icon=":material/low_priority:", type="tertiary", key=f"queue:{key}:{run.id}"):
        # Its priority is part of the key, so that the field follows a change made elsewhere.
        field = f"priority:{key}:{run.id}:{run.priority}"
        st.number_input(
            "Priority",
            -launcher.MAX_PRIORITY,
            launcher.MAX_PRIORITY,
            run.priority,
            key=field,
            help=plain(COMMANDS["priority"].meaning),
            on_change=_set_priority,
            args=(database, run.id, field),
        )
    if problem := waits_for(run):
        st.caption(f":material/folder_off: {plain(problem)}")


@or_notice
def _set_slots(database: Database, field: str) -> None:
    if (number := st.session_state[field]) is not None:
        launcher.set_slots(database, number)


@or_notice
def _set_priority(database: Database, run_id: str, field: str) -> None:
    if (priority := st.session_state[field]) is not None:
        control.set_priority(database, run_id, priority, ACTOR)


def active_experiments(database: Database, runs: list[RunRow]) -> None:
    """A line for each experiment that is not over, newest first; of no other experiment."""
    active = list(dict.fromkeys(run.experiment for run in runs if run.experiment and run.status not in ENDED))
    for place, name in enumerate(active[:_EXPERIMENTS_SHOWN]):
        _experiment(database, name, [run for run in runs if run.experiment == name], place)
    if (more := len(active) - _EXPERIMENTS_SHOWN) > 0:
        st.caption(f"{counted(more, 'more experiment')} active; find their runs with the filter.")


def _experiment(database: Database, name: str, group: list[RunRow], place: int) -> None:
    stop = COMMANDS["stop"]
    stoppable = [run for run in group if run.status != stop.done and stop.refusal(run) is None]
    with (
        st.container(border=True, key=f"experiment-{place}"),
        st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"),
    ):
        st.markdown(md(":material/lab_research: **{}** · {}", name, describe_experiment(group)), width="stretch")
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", width="content"):
            if len(group) > 1:
                compare_link("Compare", experiment=name)
            if st.button(
                f"Stop {counted(len(stoppable), 'run')}",
                icon=":material/stop_circle:",
                key=f"stop-experiment:{name}",
                disabled=not stoppable,
                help=None if stoppable else "All runs are already stopping, or train on other hosts.",
            ):
                _confirm_stop(database, name, len(stoppable))


def describe_experiment(group: list[RunRow]) -> str:
    """How the runs of an experiment stand, as in `6 runs: 2 running, 1 queued, 3 ended`."""
    counts = Counter(run.status for run in group)
    parts = [f"{counts[status]} {status}" for status in _UNFINISHED if counts[status]]
    if ended := sum(counts[status] for status in ENDED):
        parts.append(f"{ended} ended")
    return f"{counted(len(group), 'run')}: {', '.join(parts)}"


@dialog("Stop the experiment?", icon=":material/stop_circle:")
def _confirm_stop(database: Database, name: str, count: int) -> None:
    st.markdown(
        f"Stop {counted(count, 'run')} of **{plain(name)}**? Training runs write a checkpoint first; all of them can "
        "be resumed."
    )
    confirm("Stop", ":material/stop_circle:", "stop-experiment", _stop, database, name)


def _stop(database: Database, name: str) -> None:
    asked = control.stop_experiment(database, name, ACTOR)
    notify(md("Stopping {}.", counted(asked, "run")), icon=":material/stop_circle:", seconds=4)

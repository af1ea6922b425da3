"""The head of the live page: the run, its state, and what can be done with it."""

from datetime import UTC, datetime

import numpy as np
import streamlit as st

from v3core.charts.series import RunSeries
from v3core.curriculum import Curriculum
from v3core.jobs import control
from v3core.jobs.checkpoints import newest_whole
from v3core.jobs.demo import is_demo
from v3core.jobs.kinds import trained_elsewhere, trains_elsewhere
from v3core.jobs.lifecycle import ACTIVE, RESUMABLE, Status
from v3core.jobs.retention import thinned_sentence
from v3core.messages import _, say, several
from v3core.phrases import strung
from v3core.places import PlaceError
from v3core.recall import recalled
from v3core.store.changes import SILENT_SECONDS
from v3core.store.commands import CommandRow
from v3core.store.database import Database
from v3core.store.history import CheckpointRow, read_checkpoints
from v3core.store.run_row import RunRow
from v3core.store.runs import list_runs
from v3core.ui.launch_again import launch_again_link
from v3core.ui.run_actions import notes_line, resume_hint, run_actions
from v3core.ui.run_files import use_policy
from v3core.ui.run_history import newest_command
from v3core.ui.run_list import queue_place, queue_places
from v3core.ui.run_numbers import run_numbers
from v3core.ui.run_picker import compare_link
from v3core.ui.status import age, counted, stalled_sentence, status_badge
from v3core.ui.text import md, plain


def run_header(database: Database, run: RunRow, commands: list[CommandRow], *, has_alarms: bool = False) -> None:
    """Name, badge, actions, progress, newest command and numbers of a run; of an ended one how it ended.

    A run that is complete but has active alarms is no success.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(plain(run.name), anchor=False, width="content")
        status_badge(run)
        if host := trains_elsewhere(run) or trained_elsewhere(run):
            st.badge(md("on host {host}", host=plain(host)), icon=":material/dns:", color="gray")
        if run.node_address and run.status in ACTIVE:
            st.badge(md("on node {node}", node=plain(run.node_address)), icon=":material/dns:", color="gray")
        if run.experiment:
            st.page_link(
                "pages/experiments.py",
                label=plain(run.experiment),
                icon=":material/lab_research:",
                query_params={"experiment": run.experiment},
            )
        launch_again_link(run)
    point = _point(database, run) if run.status in RESUMABLE | {Status.COMPLETED} else None
    # A separate row, so that the numbers do not move when one of them changes its width.
    asked = {command.kind for command in commands if command.is_open}
    run_actions(database, run, compact=False, key="live", checkpoint=point, asked=asked)
    if run.status == Status.QUEUED and (place := queue_places(list_runs(database)).get(run.id)):
        queue_place(database, run, place, key="live")
    notes_line(run)
    if (sentence := thinned_sentence(run)) is not None:
        st.caption(md(":material/compress: {}", sentence))
    _state(database, run, point, has_alarms=has_alarms)
    run_numbers(database, run)
    # What was asked before a resume is of another life.
    newest_command(database, run.id, [command for command in commands if command.requested_at >= run.queued_at])


def _point(database: Database, run: RunRow) -> CheckpointRow | None:
    """Where it would continue; while files cannot be read, what is recorded, below the reason."""
    try:
        return newest_whole(database, run.id)
    except PlaceError as error:
        st.warning(plain(error), icon=":material/cloud_off:")
        return next(reversed(read_checkpoints(database, run.id)), None)


def _state(database: Database, run: RunRow, point: CheckpointRow | None, *, has_alarms: bool) -> None:
    """How an ended run has ended and what to do next, or why an active one does not advance."""
    status = Status(run.status)
    after = _("after {episodes}", episodes=counted(run.episode, "episode"))
    if status is Status.FAILED:
        st.error(
            plain(recalled(run.reason) if run.reason else say("See the log below.")),
            title=md("Failed {after}", after=after),
        )
        if run.traceback:
            with st.expander(md("Traceback"), icon=":material/bug_report:"):
                st.code(run.traceback, language="python", wrap_lines=True)
    elif status is Status.UNREADABLE:
        st.error(plain(recalled(run.reason or "")), title=md("Unreadable"), icon=":material/database_off:")
    elif status is Status.LOST:
        st.error(
            md(
                "{} {}",
                recalled(run.reason) if run.reason else _("The worker process exited unexpectedly."),
                resume_hint(run, point),
            ),
            title=md("Lost {after}", after=after),
        )
    elif status is Status.STOPPED:
        st.info(plain(recalled(run.reason) if run.reason else resume_hint(run, point)), icon=":material/stop_circle:")
    elif status is Status.COMPLETED:
        trained = _all_trained(run, control.current_curriculum(database, run.id))
        if has_alarms:
            st.info(md("{trained}, with active alarms.", trained=trained), icon=":material/notification_important:")
        else:
            st.success(plain(_("{trained}.", trained=trained)), icon=":material/check_circle:")
        _next_steps(database, run, point)
    elif status is Status.STALLED:
        st.warning(
            md(
                "{stalled_sentence} It may be suspended, or the machine may be low on memory.",
                stalled_sentence=plain(stalled_sentence(run)),
            ),
            icon=":material/sensors_off:",
        )
    elif status is Status.PAUSED:
        st.info(
            md("Paused between two rollouts; the run keeps its process and its slot."), icon=":material/pause_circle:"
        )
    elif status is Status.RUNNING:
        since = run.rollout_at or run.started_at
        if since is not None and (datetime.now(UTC) - since).total_seconds() > SILENT_SECONDS:
            st.warning(
                md(
                    "No update for {since}: the worker is alive, but no rollout has finished. An environment may "
                    "hang, or an evaluation or a rollout may be long.",
                    since=age(since),
                ),
                icon=":material/hourglass_disabled:",
            )


def _all_trained(run: RunRow, curriculum: Curriculum) -> str:
    """That a run is complete, in the unit of its length that it has reached; and the phases that it did not reach."""
    if run.steps is None or run.step < run.steps:
        return _("All {episodes:,} episodes are trained", episodes=run.episodes)
    names = [phase.name for phase in curriculum.phases]
    missing = names[names.index(run.phase) + 1 :] if run.phase in names else []
    episodes = counted(run.episode, "episode")
    if not missing:
        return _("All {steps:,} environment steps are trained, in {episodes}", steps=run.steps, episodes=episodes)
    return _(
        "All {steps:,} environment steps are trained, in {episodes}; {missing} did not begin",
        steps=run.steps,
        episodes=episodes,
        missing=strung(_(" and "), missing),
    )


def rollback_warning(series: RunSeries) -> None:
    """One sentence if updates were undone; nothing otherwise."""
    rollbacks = series.curve.summary("rollbacks").last
    undone = np.nanmax(rollbacks) if series.has("rollbacks") else 0
    if undone > 0:
        newest = int(series.curve.episode[np.flatnonzero(rollbacks == undone)[0]])
        updates = several("{count:,} update was", "{count:,} updates were", count=int(undone))
        which = _("at episode") if undone == 1 else _("the newest at episode")
        st.warning(
            md(
                "{updates} undone because of a non-finite number, {which} {newest:,}; they did not affect the policy.",
                updates=updates,
                which=which,
                newest=newest,
            ),
            icon=":material/undo:",
        )


def _next_steps(database: Database, run: RunRow, checkpoint: CheckpointRow | None) -> None:
    """Under the sentence that a run is complete: a comparison, and the policy of its newest intact checkpoint."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if not is_demo(run):  # whose page offers the comparison with what to look for
            _compare(run, list_runs(database))
        if checkpoint is not None:
            with st.popover(md("Use the policy"), icon=":material/code:", key=f"use-{run.id}"):
                use_policy(database.place.name_of(database.data_dir / checkpoint.path))


def _compare(run: RunRow, runs: list[RunRow]) -> None:
    """With its experiment; else with the newest other run of the same environment."""
    group = [other for other in runs if run.experiment and other.experiment == run.experiment]
    if len(group) > 1 and run.experiment:
        compare_link(md("Compare the {} of {}", counted(len(group), "run"), run.experiment), experiment=run.experiment)
        return
    other = next((one for one in runs if one.env == run.env and one.id != run.id and one.episode), None)
    if other is not None:
        compare_link(md("Compare with {}", other.name), runs=f"{run.id},{other.id}")

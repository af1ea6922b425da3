"""Changing every setting of the phase in force and of those ahead, with a preview, while a run trains."""

from dataclasses import replace
from typing import Any

import streamlit as st

from v3core.charts.schedule import edit_preview
from v3core.charts.series import end_of_axis
from v3core.curriculum import Curriculum, Progress, check_edit, renamed
from v3core.curriculum.edit import changes
from v3core.curriculum.progress import starts_of
from v3core.curriculum.table import COMMON, FURTHER, PhaseRow, from_rows, further_in_use, to_rows
from v3core.curriculum.typed import HOW_TO_WRITE_AN_END
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.kinds import COMMANDS, trained_elsewhere
from v3core.jobs.lifecycle import RESUMABLE
from v3core.store.commands import EDIT_CURRICULUM, known_revisions
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.clicks import ACTOR, ask_to_take_over, or_notice
from v3core.ui.curriculum_editor import HOW_TO_WRITE, MIN_FIELD_WIDTH, setting_field
from v3core.ui.live_chart import live_chart
from v3core.ui.text import md, plain


def phase_editor(database: Database, run: RunRow) -> None:
    """All settings of the phases that can still change; closed at first. Not in a part that ticks: people type."""
    expander = st.expander(
        "Edit phases", icon=":material/edit_note:", key="phases", on_change="rerun", bind="query-params"
    )
    if not expander.open:
        return
    with expander:
        refused = None if run.status in RESUMABLE else COMMANDS[EDIT_CURRICULUM].refusal(run)
        if refused is not None:
            st.caption(plain(refused))
            return
        curriculum, progress = control.current_curriculum(database, run.id), control.progress_of(database, run.id)
        revision = known_revisions(database, run.id)[-1].revision  # other fields after each edit
        here = len(starts_of(curriculum, progress)) - 1
        st.caption(plain(HOW_TO_WRITE))
        rows = to_rows(curriculum)
        further = further_in_use(rows)
        if st.toggle("All settings", key=f"all-settings-{run.id}", help="Show all settings of a phase."):
            further = FURTHER
        key = f"{run.id}-{revision}"
        edited = [
            row
            if index < here
            else phase_fields(index, row, here, last=index == len(rows) - 1, further=further, key=f"edit-{key}")
            for index, row in enumerate(rows)
        ]
        _review(database, run, curriculum, edited, progress)


def phase_fields(
    index: int, row: PhaseRow, here: int, *, last: bool, further: tuple[str, ...], key: str, place: str = "edit"
) -> PhaseRow:
    """The fields of one phase, where `here` is the one in force; returns it as edited."""
    with st.container(border=True, key=f"{place}-phase-{index + 1}"):
        st.markdown(md("**{}**{}", row.name, ", in force now" if index == here else ""))
        typed: dict[str, Any] = {}
        with st.grid("auto", min_column_width=MIN_FIELD_WIDTH, vertical_alignment="bottom"):
            if not last:
                until = st.text_input("Ends", row.until, key=f"{key}-{index}-until", help=HOW_TO_WRITE_AN_END)
                typed["until"] = until or ""
            for field in (*COMMON[2:], *further):
                typed[field] = setting_field(row, field, key=f"{key}-{index}-{field}", unset="unchanged")
    return replace(row, **typed)


def _review(
    database: Database, run: RunRow, curriculum: Curriculum, edited: list[PhaseRow], progress: Progress
) -> None:
    """What the edit changes, what is wrong with it, a preview, and the button that asks for it."""
    checked = from_rows(
        edited,
        name=curriculum.name,
        episodes=run.episodes,
        steps=run.steps,
        description=curriculum.description,
        policy=curriculum.policy,
    )
    for index, problem in checked.problems.items():
        st.error(md("{}: {}", edited[index].name, problem))
    if checked.curriculum is None:
        return
    wanted = checked.curriculum.model_copy(update={"episodes": curriculum.episodes})
    found = changes(curriculum, wanted)
    refused = False
    if found:
        wanted = renamed(wanted)
        try:
            check_edit(curriculum, wanted, progress)
        except V3Error as error:
            refused = True
            st.error(plain(error))
        else:
            st.markdown(md("**Changes from the next rollout on**: {}.", "; ".join(found)))
            end = max(end_of_axis(wanted, run.expected_episodes), run.episode + 1)
            figure = edit_preview(curriculum, wanted, end, run.config.base.values(), progress)
            live_chart(figure, key=f"edit-preview-{run.id}")
    resumes, elsewhere = run.status in RESUMABLE, trained_elsewhere(run) is not None
    clicked = st.button(
        "Resume with these phases" if resumes else "Apply",
        icon=":material/resume:" if resumes else ":material/check:",
        key="apply-phases",
        type="primary" if found and not refused else "secondary",
        disabled=not found or refused,
        on_click=None if elsewhere else _apply,
        args=(database, run.id, run.status, wanted),
    )
    if clicked and elsewhere:
        ask_to_take_over(database, run, wanted)


@or_notice
def _apply(database: Database, run_id: str, status: str, wanted: Curriculum) -> None:
    if status in RESUMABLE:
        control.resume(database, run_id, ACTOR, curriculum=wanted)
    else:
        control.request_edit(database, run_id, wanted, ACTOR)

"""Changing every setting of the phase in force and of those ahead, with a preview, while a run trains."""

from collections.abc import Callable
from dataclasses import dataclass, replace
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
from v3core.messages import _
from v3core.phrases import strung
from v3core.store.commands import EDIT_CURRICULUM, known_revisions
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.clicks import ACTOR, ask, ask_to_take_over, is_asked, or_notice
from v3core.ui.curriculum_editor import HOW_TO_WRITE, MIN_FIELD_WIDTH, UNCHANGED, setting_field
from v3core.ui.live_chart import live_chart
from v3core.ui.text import md, plain


def phase_editor(database: Database, run: RunRow) -> None:
    """All settings of the phases that can still change; closed at first. Not in a part that ticks: people type."""
    expander = st.expander(
        md("Edit phases"), icon=":material/edit_note:", key="phases", on_change="rerun", bind="query-params"
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
        form = PhaseForm(
            "edit", f"{run.id}-{revision}", f"all-settings-{run.id}", _("Changes from the next rollout on")
        )
        edited = edited_phases(
            run, curriculum, progress, here, form, now=run.episode, named=lambda one, _: renamed(one)
        )
        if edited is not None:
            _apply_button(database, run, edited)


@dataclass(frozen=True)
class PhaseForm:
    """A place where phases are edited."""

    name: str
    """Begins the keys of its fields, phases and preview."""
    of: str
    """What its fields are about; other fields for another."""
    toggle: str
    """Key of the switch for all settings."""
    title: str
    """Of the sentence that lists the changes."""


@dataclass(frozen=True)
class EditedPhases:
    """What the fields say, all of them valid."""

    curriculum: Curriculum
    is_changed: bool
    is_refused: bool
    """Whether the run cannot change in this way; the page says why."""

    @property
    def can_be_applied(self) -> bool:
        """Whether it is a change that the run takes."""
        return self.is_changed and not self.is_refused


def edited_phases(
    run: RunRow,
    curriculum: Curriculum,
    progress: Progress,
    here: int,
    form: PhaseForm,
    *,
    now: int,
    named: Callable[[Curriculum, Curriculum], Curriculum],
) -> EditedPhases | None:
    """The fields of the phases from `here` on, what is wrong with them, and a preview; None if a field is invalid.

    `now` is how many episodes are complete; `named` gives the changed curriculum, beside the old one, its name.
    """
    st.caption(plain(HOW_TO_WRITE))
    rows = to_rows(curriculum)
    further = further_in_use(rows)
    if st.toggle(md("All settings"), key=form.toggle, help=md("Show all settings of a phase.")):
        further = FURTHER
    edited = [
        row
        if index < here
        else _phase_fields(index, row, here, last=index == len(rows) - 1, further=further, form=form)
        for index, row in enumerate(rows)
    ]
    checked = from_rows(
        edited,
        name=curriculum.name,
        **vars(run.length),
        description=curriculum.description,
        policy=curriculum.policy,
    )
    for index, problem in checked.problems.items():
        st.error(md("{}: {}", edited[index].name, problem))
    if checked.curriculum is None:
        return None
    wanted = checked.curriculum.model_copy(update={"episodes": curriculum.episodes})
    if not (found := changes(curriculum, wanted)):
        return EditedPhases(wanted, is_changed=False, is_refused=False)
    wanted = named(wanted, curriculum)
    try:
        check_edit(curriculum, wanted, progress)
    except V3Error as error:
        st.error(plain(error))
        return EditedPhases(wanted, is_changed=True, is_refused=True)
    st.markdown(md("**{}**: {}.", form.title, strung(_("; "), found)))
    end = max(end_of_axis(wanted, run.expected_episodes), now + 1)
    figure = edit_preview(curriculum, wanted, end, run.config.base.values(), progress)
    live_chart(figure, key=f"{form.name}-preview-{run.id}")
    return EditedPhases(wanted, is_changed=True, is_refused=False)


def _phase_fields(
    index: int, row: PhaseRow, here: int, *, last: bool, further: tuple[str, ...], form: PhaseForm
) -> PhaseRow:
    """The fields of one phase, where `here` is the one in force; returns it as edited."""
    key = f"{form.name}-{form.of}"
    with st.container(border=True, key=f"{form.name}-phase-{index + 1}"):
        st.markdown(md("**{}**{}", row.name, _(", in force now") if index == here else ""))
        typed: dict[str, Any] = {}
        with st.grid("auto", min_column_width=MIN_FIELD_WIDTH, vertical_alignment="bottom"):
            if not last:
                until = st.text_input(md("Ends"), row.until, key=f"{key}-{index}-until", help=md(HOW_TO_WRITE_AN_END))
                typed["until"] = until or ""
            for field in (*COMMON[2:], *further):
                typed[field] = setting_field(row, field, key=f"{key}-{index}-{field}", unset=UNCHANGED)
    return replace(row, **typed)


_APPLY = "apply-phases"


def _apply_button(database: Database, run: RunRow, edited: EditedPhases) -> None:
    """Asks for the change."""
    resumes, elsewhere = run.status in RESUMABLE, trained_elsewhere(run) is not None
    st.button(
        md("Resume with these phases") if resumes else md("Apply"),
        icon=":material/resume:" if resumes else ":material/check:",
        key=_APPLY,
        type="primary" if edited.can_be_applied else "secondary",
        disabled=not edited.can_be_applied,
        on_click=ask if elsewhere else _apply,
        args=(_APPLY,) if elsewhere else (database, run.id, run.status, edited.curriculum),
    )
    if elsewhere and edited.can_be_applied and is_asked(_APPLY):
        ask_to_take_over(database, run, edited.curriculum)


@or_notice
def _apply(database: Database, run_id: str, status: str, wanted: Curriculum) -> None:
    if status in RESUMABLE:
        control.resume(database, run_id, ACTOR, curriculum=wanted)
    else:
        control.request_edit(database, run_id, wanted, ACTOR)

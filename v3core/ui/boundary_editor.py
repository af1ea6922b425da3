"""Moving the future phase boundaries of a run, below the charts and at the handles of one, with the outcome."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from v3core.curriculum import Curriculum, with_boundaries
from v3core.curriculum.typed import format_end
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.kinds import trained_elsewhere
from v3core.jobs.lifecycle import RESUMABLE, Status
from v3core.messages import _
from v3core.store.commands import RevisionRow, known_revisions
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui import news, shell, ticks
from v3core.ui.clicks import ACTOR, ask, ask_to_take_over, is_asked
from v3core.ui.live_chart import BoundaryMove, Editing
from v3core.ui.run_history import edit_title
from v3core.ui.status import age
from v3core.ui.text import md, plain

_APPLIED = "boundaries-applied"
_AT_HANDLES = "boundaries-at-handles"
"""What a button at a handle did: `done`, or `ask` if a dialog has to be opened."""


def _key(run_id: str, what: object) -> str:
    """Of the field of a boundary by its index, the ends seen last (`seen`), or the error of an edit (`problem`)."""
    return f"boundary-{run_id}-{what}"


def at_handles(database: Database, run: RunRow, curriculum: Curriculum) -> Editing:
    """Dragging boundaries in a chart, with the buttons of the editor at the handle."""
    newest = known_revisions(database, run.id)[-1]
    problem = st.session_state.get(_key(run.id, "problem"), "")
    held = drafts(run.id, curriculum)
    if not problem and newest.state == "rejected" and _with(curriculum, held) == list(newest.curriculum.boundaries):
        problem = newest.reason or ""
    return Editing(
        on_move=partial(_remember, run.id),
        on_apply=partial(_apply_at_handles, database, run, curriculum),
        on_undo=partial(_undo_at_handles, run.id, curriculum),
        wanted=held,
        apply=_apply_label(run),
        waiting=_planned(newest.curriculum) if newest.state == "pending" else {},
        problem=problem,
    )


def acted_at_handles(database: Database, run: RunRow, curriculum: Curriculum) -> bool:
    """Whether a button at a handle was pressed, so that the page has to be drawn again; asks first if it has to."""
    match st.session_state.pop(_AT_HANDLES, None):
        case "ask":
            _apply(database, run, curriculum, _with(curriculum, drafts(run.id, curriculum)))
        case "done":
            return True
    return False


def _remember(run_id: str, move: BoundaryMove) -> None:
    """Put a boundary dragged in a chart into the editor, as a draft."""
    st.session_state[_key(run_id, move.index)] = move.episode
    st.session_state.pop(_key(run_id, "problem"), None)


def _apply_at_handles(database: Database, run: RunRow, curriculum: Curriculum, moves: Sequence[BoundaryMove]) -> None:
    for move in moves:  # a click that follows a drag at once may arrive before it
        _remember(run.id, move)
    elsewhere = trained_elsewhere(run) is not None
    st.session_state[_AT_HANDLES] = "ask" if elsewhere else "done"
    if not elsewhere:
        _apply(database, run, curriculum, _with(curriculum, drafts(run.id, curriculum)))


def _undo_at_handles(run_id: str, curriculum: Curriculum) -> None:
    _forget(run_id, curriculum)
    st.session_state[_AT_HANDLES] = "done"


def _with(curriculum: Curriculum, held: dict[int, int]) -> list[int]:
    """All boundaries, with drafts in place of what is planned."""
    return [held.get(index, end) for index, end in _planned(curriculum).items()]


def _apply_label(run: RunRow) -> str:
    return _("Resume with these boundaries") if run.status in RESUMABLE else _("Apply")


def drafts(run_id: str, curriculum: Curriculum) -> dict[int, int]:
    """Boundary index to the episode in the editor that is not applied yet."""
    planned = _planned(curriculum)
    held = {index: st.session_state.get(_key(run_id, index)) for index in planned}
    return {index: int(episode) for index, episode in held.items() if episode not in (None, planned[index])}


def _planned(curriculum: Curriculum) -> dict[int, int]:
    """Phase index to planned end, of the phases that end at an episode."""
    return {index: end for index, end in enumerate(curriculum.planned_ends) if end is not None}


def boundary_editor(database: Database, run: RunRow) -> None:
    """One field per boundary; those that the run has passed, or that training decides, are closed."""
    if not control.current_curriculum(database, run.id).planned_ends:
        return
    with st.container(border=True, key="boundaries"):
        st.subheader(md("Phase boundaries"), anchor=False)
        ticks.ticking(1, news.of_milestones(database, run.id))(_editor)(database, run.id)


@shell.show_errors()
def _editor(database: Database, run_id: str) -> None:
    if st.session_state.pop(_APPLIED, False):
        st.rerun()  # the charts are drawn again too: those of a run that does not train have no tick
    run = shell.run_or_rerun(database, run_id)
    curriculum = control.current_curriculum(database, run_id)
    open_ones = [index for index, end in _planned(curriculum).items() if end > run.episode]
    if not curriculum.boundaries:
        st.caption(md("Training decides when these phases end, so there is no boundary to move."))
    elif open_ones and run.status == Status.COMPLETED:
        st.caption(md("The run is complete; train it longer to move the boundaries that it did not reach."))
    elif not open_ones:
        st.caption(md("All boundaries have passed; none can be moved."))
    else:
        then = _("apply: the run adopts them between two updates.")
        if run.status in RESUMABLE:
            then = _("resume: the run continues from its checkpoint with the new boundaries.")
        st.caption(
            md(
                "Each phase ends at this number of completed episodes. Change a number, or drag a dashed line in "
                "the return chart, then {then}",
                then=then,
            )
        )
    wanted = _fields(run, curriculum, open_ones)
    revisions = known_revisions(database, run_id)
    if curriculum.boundaries:
        pending = [list(revision.curriculum.boundaries) for revision in revisions if revision.state == "pending"]
        _buttons(database, run, curriculum, wanted, wanted not in [list(curriculum.boundaries), *pending])
    if problem := st.session_state.get(_key(run_id, "problem")):
        st.error(plain(problem))
    _newest_edit(revisions)


_APPLY = "apply-boundaries"


def _buttons(database: Database, run: RunRow, curriculum: Curriculum, wanted: list[int], changed: bool) -> None:
    """Bring the wanted boundaries into force, at once or with a resume; or forget them."""
    resumes, elsewhere = run.status in RESUMABLE, trained_elsewhere(run) is not None
    with st.container(horizontal=True):
        st.button(
            plain(_apply_label(run)),
            icon=":material/resume:" if resumes else ":material/check:",
            type="primary" if changed else "secondary",
            key=_APPLY,
            disabled=not changed,
            on_click=ask if elsewhere else _apply,
            args=(_APPLY,) if elsewhere else (database, run, curriculum, wanted),
        )
        st.button(
            md("Undo"),
            icon=":material/undo:",
            key="undo-boundaries",
            disabled=not changed,
            on_click=_forget,
            args=(run.id, curriculum),
        )
    if elsewhere and changed and is_asked(_APPLY):
        _apply(database, run, curriculum, wanted)


def _fields(run: RunRow, curriculum: Curriculum, open_ones: list[int]) -> list[int]:
    wanted: list[int] = []
    first = _key(run.id, "seen") not in st.session_state
    seen = st.session_state.get(_key(run.id, "seen"), curriculum.planned_ends)
    st.session_state[_key(run.id, "seen")] = curriculum.planned_ends
    with st.grid("auto", min_column_width=200):
        for index, (phase, end) in enumerate(zip(curriculum.phases, curriculum.planned_ends, strict=False)):
            key = _key(run.id, index)
            if end is None:
                # The end is part of the key: a field without a callback keeps what it was first given.
                text = format_end(phase.until)
                st.text_input(
                    md("{} ends by", phase.name),
                    text,
                    key=f"{key}-{text}",
                    disabled=True,
                    help=md("Training decides when this phase ends; only ends by episode can be moved here."),
                )
                continue
            is_open = index in open_ones and run.status != Status.COMPLETED
            # An unchanged field follows the run; a changed one keeps what was typed or dragged.
            held = st.session_state.get(key)
            follows = held is not None and held != end and (not is_open or held == seen[index])
            forgotten = held is None and not first
            if follows or forgotten:
                st.session_state[key] = end
            value = st.number_input(
                md("{} ends at episode", phase.name),
                # Streamlit takes one or the other; without both, a tick at the wrong moment would show 0.
                value="min" if follows or forgotten else end,
                step=1,
                key=key,
                disabled=not is_open,
                help=None
                if is_open
                else md("The run is complete.")
                if end > run.episode
                else md("This boundary has passed."),
            )
            wanted.append(end if value is None else int(value))
    return wanted


def _apply(database: Database, run: RunRow, curriculum: Curriculum, wanted: list[int]) -> None:
    try:
        asked = with_boundaries(curriculum, wanted)
        if trained_elsewhere(run) is not None:
            ask_to_take_over(database, run, asked)
            return
        if run.status in RESUMABLE:
            control.resume(database, run.id, ACTOR, curriculum=asked)
        else:
            control.request_edit(database, run.id, asked, ACTOR)
    except V3Error as error:
        st.session_state[_key(run.id, "problem")] = error.message
    else:
        st.session_state.pop(_key(run.id, "problem"), None)
        st.session_state[_APPLIED] = True


def _forget(run_id: str, curriculum: Curriculum) -> None:
    for what in ("problem", *_planned(curriculum)):
        st.session_state.pop(_key(run_id, what), None)


def _newest_edit(revisions: list[RevisionRow]) -> None:
    """The outcome of the latest request; the command panel lists all of them."""
    revision = revisions[-1]
    if revision.revision == 1:
        return
    what = edit_title(revision, revisions)
    if revision.state == "applied":
        applied = md("{}: applied at episode {:,}", what, revision.applied_episode)
        st.caption(md(":green[:material/check:] {}", applied))
        return
    requested = _("{what}: requested {age} ago", what=what, age=age(revision.requested_at))
    if revision.state == "rejected":
        st.caption(md(":red[:material/block:] {}, rejected. {}", requested, revision.reason or ""))
    else:
        st.caption(md(":orange[:material/pending:] {}, waiting for the worker", requested))
